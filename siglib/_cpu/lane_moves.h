/* Moves between arrays of rows, one row per work item, and lane vectors, which hold one number of each item.
 *
 * load_columns_*:  numbers first..first+W-1 of each of the W rows -> W vectors (a W x W transpose in registers).
 * store_columns_*: its inverse (and its adjoint); only the first n_live rows are written.
 * load_words_*:    numbers first..first+n-1 of each row -> n vectors, n a small constant; by pieces of 16 bytes, so up
 *                  to 12 bytes behind the last number are read, too: they must exist.
 * load_singles, store_singles: the same for rows of floats and vectors of doubles.
 * gather_*:        number `first` of each row -> one vector.
 * SIGLIB_PREFETCH_LINE: ask for the cache line of an address, which need not exist.
 * A transpose is log2(W) rounds of interleaving row i with row i + W/2. */
#ifndef SIGLIB_LANE_MOVES_H
#define SIGLIB_LANE_MOVES_H

#include <stddef.h>
#include "simd.h"

#define SIGLIB_MOVE static inline __attribute__((always_inline))

typedef double vd_unaligned __attribute__((vector_size(SIGLIB_LANE_BYTES), aligned(8), may_alias));
typedef float vf_unaligned __attribute__((vector_size(SIGLIB_LANE_BYTES), aligned(4), may_alias));

#define SIGLIB_LOW_2 0, 2
#define SIGLIB_HIGH_2 1, 3
#define SIGLIB_LOW_4 0, 4, 1, 5
#define SIGLIB_HIGH_4 2, 6, 3, 7
#define SIGLIB_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define SIGLIB_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define SIGLIB_LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SIGLIB_HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31

#if SIGLIB_LANE_BYTES == 64
#define SIGLIB_LOW_F64 SIGLIB_LOW_8
#define SIGLIB_HIGH_F64 SIGLIB_HIGH_8
#define SIGLIB_LOW_F32 SIGLIB_LOW_16
#define SIGLIB_HIGH_F32 SIGLIB_HIGH_16
#elif SIGLIB_LANE_BYTES == 32
#define SIGLIB_LOW_F64 SIGLIB_LOW_4
#define SIGLIB_HIGH_F64 SIGLIB_HIGH_4
#define SIGLIB_LOW_F32 SIGLIB_LOW_8
#define SIGLIB_HIGH_F32 SIGLIB_HIGH_8
#else
#define SIGLIB_LOW_F64 SIGLIB_LOW_2
#define SIGLIB_HIGH_F64 SIGLIB_HIGH_2
#define SIGLIB_LOW_F32 SIGLIB_LOW_4
#define SIGLIB_HIGH_F32 SIGLIB_HIGH_4
#endif

#define SIGLIB_PREFETCH_LINE(address) __builtin_prefetch((const void *)(address))

/* Two-operand shuffle with constant lane numbers, in the spelling that the compiler knows. */
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define SIGLIB_SHUFFLE(mask_type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef SIGLIB_SHUFFLE
#define SIGLIB_SHUFFLE(mask_type, a, b, ...) __builtin_shuffle(a, b, (mask_type){__VA_ARGS__})
#endif

typedef long long vd_mask __attribute__((vector_size(SIGLIB_LANE_BYTES)));
typedef int vf_mask __attribute__((vector_size(SIGLIB_LANE_BYTES)));

/* The outer loops over rounds have a constant number of steps; -O3 unrolls them and keeps all rows in registers. */
#define SIGLIB_DEFINE_MOVES(vec, real, W, LOW, HIGH)                                                           \
  SIGLIB_MOVE void transpose_##vec(vec *r) {                                                                   \
    vec t[W];                                                                                                  \
    _Pragma("GCC unroll 4") for (int span = 1; span < W; span *= 2) {                                          \
      _Pragma("GCC unroll 16") for (int i = 0; i < W / 2; i++) {                                               \
        t[2 * i] = SIGLIB_SHUFFLE(vec##_mask, r[i], r[i + W / 2], LOW);                                        \
        t[2 * i + 1] = SIGLIB_SHUFFLE(vec##_mask, r[i], r[i + W / 2], HIGH);                                   \
      }                                                                                                        \
      _Pragma("GCC unroll 16") for (int i = 0; i < W; i++) r[i] = t[i];                                        \
    }                                                                                                          \
  }                                                                                                            \
  SIGLIB_MOVE void load_columns_##vec(const void *const *rows, ptrdiff_t first, vec *out) {                    \
    vec r[W];                                                                                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < W; i++)                                                       \
        r[i] = *(const vec##_unaligned *)((const real *)rows[i] + first);                                      \
    transpose_##vec(r);                                                                                        \
    _Pragma("GCC unroll 16") for (int i = 0; i < W; i++) out[i] = r[i];                                        \
  }                                                                                                            \
  SIGLIB_MOVE void store_columns_##vec(const vec *in, void *const *rows, ptrdiff_t first, int n_live) {        \
    vec r[W];                                                                                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < W; i++) r[i] = in[i];                                         \
    transpose_##vec(r);                                                                                        \
    if (n_live == W) {                                                                                         \
      _Pragma("GCC unroll 16") for (int i = 0; i < W; i++)                                                     \
          *(vec##_unaligned *)((real *)rows[i] + first) = r[i];                                                \
    } else {                                                                                                   \
      _Pragma("GCC unroll 16") for (int i = 0; i < W; i++)                                                     \
          if (i < n_live) *(vec##_unaligned *)((real *)rows[i] + first) = r[i];                                \
    }                                                                                                          \
  }                                                                                                            \
  SIGLIB_MOVE vec gather_##vec(const void *const *rows, ptrdiff_t first) {                                     \
    vec r;                                                                                                     \
    _Pragma("GCC unroll 16") for (int i = 0; i < W; i++) r[i] = ((const real *)rows[i])[first];                \
    return r;                                                                                                  \
  }

#define SIGLIB_W_F64 (SIGLIB_LANE_BYTES / 8)
#define SIGLIB_W_F32 (SIGLIB_LANE_BYTES / 4)
SIGLIB_DEFINE_MOVES(vd, double, SIGLIB_W_F64, SIGLIB_LOW_F64, SIGLIB_HIGH_F64)
SIGLIB_DEFINE_MOVES(vf, float, SIGLIB_W_F32, SIGLIB_LOW_F32, SIGLIB_HIGH_F32)

typedef float vf_half __attribute__((vector_size(SIGLIB_LANE_BYTES / 2), aligned(4), may_alias));

SIGLIB_MOVE void load_singles(const void *const *rows, ptrdiff_t first, vd *out) {
  vd r[SIGLIB_W_F64];
  _Pragma("GCC unroll 8") for (int i = 0; i < SIGLIB_W_F64; i++)
      r[i] = __builtin_convertvector(*(const vf_half *)((const float *)rows[i] + first), vd);
  transpose_vd(r);
  _Pragma("GCC unroll 8") for (int i = 0; i < SIGLIB_W_F64; i++) out[i] = r[i];
}

SIGLIB_MOVE void store_singles(const vd *in, void *const *rows, ptrdiff_t first, int n_live) {
  vd r[SIGLIB_W_F64];
  _Pragma("GCC unroll 8") for (int i = 0; i < SIGLIB_W_F64; i++) r[i] = in[i];
  transpose_vd(r);
  _Pragma("GCC unroll 8") for (int i = 0; i < SIGLIB_W_F64; i++)
      if (i < n_live) *(vf_half *)((float *)rows[i] + first) = __builtin_convertvector(r[i], vf_half);
}

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif

/* load_words: piece k of a vector of pieces comes from row k * (numbers per piece) + r; then the pieces are transposed,
 * each in itself. */
#if __has_builtin(__builtin_shufflevector)
typedef double vd_piece __attribute__((vector_size(16), aligned(8), may_alias));
typedef float vf_piece __attribute__((vector_size(16), aligned(4), may_alias));
#define SIGLIB_PIECE_F64(k) (*(const vd_piece *)((const double *)rows[2 * (k) + r] + first))
#define SIGLIB_PIECE_F32(k) (*(const vf_piece *)((const float *)rows[4 * (k) + r] + first))
#define SIGLIB_PAIR_F64(k) __builtin_shufflevector(SIGLIB_PIECE_F64(k), SIGLIB_PIECE_F64(k + 1), 0, 1, 2, 3)
#define SIGLIB_PAIR_F32(k) __builtin_shufflevector(SIGLIB_PIECE_F32(k), SIGLIB_PIECE_F32(k + 1), 0, 1, 2, 3, 4, 5, 6, 7)
#if SIGLIB_LANE_BYTES == 64
#define SIGLIB_PIECES_F64 __builtin_shufflevector(SIGLIB_PAIR_F64(0), SIGLIB_PAIR_F64(2), 0, 1, 2, 3, 4, 5, 6, 7)
#define SIGLIB_PIECES_F32 \
  __builtin_shufflevector(SIGLIB_PAIR_F32(0), SIGLIB_PAIR_F32(2), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define SIGLIB_EVEN_F64 0, 8, 2, 10, 4, 12, 6, 14
#define SIGLIB_ODD_F64 1, 9, 3, 11, 5, 13, 7, 15
#define SIGLIB_ONES_LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define SIGLIB_ONES_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define SIGLIB_TWOS_LOW 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define SIGLIB_TWOS_HIGH 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#elif SIGLIB_LANE_BYTES == 32
#define SIGLIB_PIECES_F64 SIGLIB_PAIR_F64(0)
#define SIGLIB_PIECES_F32 SIGLIB_PAIR_F32(0)
#define SIGLIB_EVEN_F64 0, 4, 2, 6
#define SIGLIB_ODD_F64 1, 5, 3, 7
#define SIGLIB_ONES_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define SIGLIB_ONES_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define SIGLIB_TWOS_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define SIGLIB_TWOS_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#else
#define SIGLIB_PIECES_F64 SIGLIB_PIECE_F64(0)
#define SIGLIB_PIECES_F32 SIGLIB_PIECE_F32(0)
#define SIGLIB_EVEN_F64 0, 2
#define SIGLIB_ODD_F64 1, 3
#define SIGLIB_ONES_LOW 0, 4, 1, 5
#define SIGLIB_ONES_HIGH 2, 6, 3, 7
#define SIGLIB_TWOS_LOW 0, 1, 4, 5
#define SIGLIB_TWOS_HIGH 2, 3, 6, 7
#endif

SIGLIB_MOVE void load_words_vd(const void *const *rows, ptrdiff_t first, int n, vd *out) {
  _Pragma("GCC unroll 4") for (int w = 0; w < n; w += 2, first += 2) {
    vd piece[2];
    _Pragma("GCC unroll 2") for (int r = 0; r < 2; r++) piece[r] = (vd)SIGLIB_PIECES_F64;
    out[w] = __builtin_shufflevector(piece[0], piece[1], SIGLIB_EVEN_F64);
    if (w + 1 < n) out[w + 1] = __builtin_shufflevector(piece[0], piece[1], SIGLIB_ODD_F64);
  }
}

SIGLIB_MOVE void load_words_vf(const void *const *rows, ptrdiff_t first, int n, vf *out) {
  _Pragma("GCC unroll 4") for (int w = 0; w < n; w += 4, first += 4) {
    vf piece[4], t[4], c[4];
    _Pragma("GCC unroll 4") for (int r = 0; r < 4; r++) piece[r] = (vf)SIGLIB_PIECES_F32;
    t[0] = __builtin_shufflevector(piece[0], piece[1], SIGLIB_ONES_LOW);
    t[1] = __builtin_shufflevector(piece[0], piece[1], SIGLIB_ONES_HIGH);
    t[2] = __builtin_shufflevector(piece[2], piece[3], SIGLIB_ONES_LOW);
    t[3] = __builtin_shufflevector(piece[2], piece[3], SIGLIB_ONES_HIGH);
    c[0] = __builtin_shufflevector(t[0], t[2], SIGLIB_TWOS_LOW);
    c[1] = __builtin_shufflevector(t[0], t[2], SIGLIB_TWOS_HIGH);
    c[2] = __builtin_shufflevector(t[1], t[3], SIGLIB_TWOS_LOW);
    c[3] = __builtin_shufflevector(t[1], t[3], SIGLIB_TWOS_HIGH);
    _Pragma("GCC unroll 4") for (int k = 0; k < 4; k++) if (w + k < n) out[w + k] = c[k];
  }
}
#else
SIGLIB_MOVE void load_words_vd(const void *const *rows, ptrdiff_t first, int n, vd *out) {
  for (int w = 0; w < n; w++) out[w] = gather_vd(rows, first + w);
}
SIGLIB_MOVE void load_words_vf(const void *const *rows, ptrdiff_t first, int n, vf *out) {
  for (int w = 0; w < n; w++) out[w] = gather_vf(rows, first + w);
}
#endif

#endif
