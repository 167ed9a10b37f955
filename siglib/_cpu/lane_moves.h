/* Moves between arrays of rows, one row per work item, and lane vectors, which hold one number of each item.
 *
 * load_columns_*:  numbers first..first+W-1 of each of the W rows -> W vectors (a W x W transpose in registers).
 * store_columns_*: its inverse (and its adjoint); only the first n_live rows are written.
 * gather_*:        number `first` of each row -> one vector.
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
    _Pragma("GCC unroll 16") for (int i = 0; i < W; i++)                                                       \
        if (i < n_live) *(vec##_unaligned *)((real *)rows[i] + first) = r[i];                                  \
  }                                                                                                            \
  SIGLIB_MOVE vec gather_##vec(const void *const *rows, ptrdiff_t first) {                                     \
    vec r;                                                                                                     \
    _Pragma("GCC unroll 16") for (int i = 0; i < W; i++) r[i] = ((const real *)rows[i])[first];                \
    return r;                                                                                                  \
  }

#if SIGLIB_LANE_BYTES == 64
SIGLIB_DEFINE_MOVES(vd, double, 8, SIGLIB_LOW_F64, SIGLIB_HIGH_F64)
SIGLIB_DEFINE_MOVES(vf, float, 16, SIGLIB_LOW_F32, SIGLIB_HIGH_F32)
#elif SIGLIB_LANE_BYTES == 32
SIGLIB_DEFINE_MOVES(vd, double, 4, SIGLIB_LOW_F64, SIGLIB_HIGH_F64)
SIGLIB_DEFINE_MOVES(vf, float, 8, SIGLIB_LOW_F32, SIGLIB_HIGH_F32)
#else
SIGLIB_DEFINE_MOVES(vd, double, 2, SIGLIB_LOW_F64, SIGLIB_HIGH_F64)
SIGLIB_DEFINE_MOVES(vf, float, 4, SIGLIB_LOW_F32, SIGLIB_HIGH_F32)
#endif

#endif
