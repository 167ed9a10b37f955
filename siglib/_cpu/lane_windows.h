/* Neighbouring lanes: vectors at any number of an array, and moves of vectors by one lane.
 *
 * Arrays of numbers are passed as pointers to vectors, and addressed by the position i of a number.
 * load_at_*, store_at_*:   the vector that starts at number i.
 * load_part_*, store_part_*: the first n lanes of such a vector, n < W; the others are 0, and are not written.
 * number_at_*, set_number_*: number i.
 * copies_of_*:     a vector with the same number in all lanes.
 * shift_up_*:      lane q = v[q - 1]; the last lane of `from` enters at lane 0.
 * shift_down_*:    lane q = v[q + 1]; lane 0 of `from` enters at the last lane.
 * held_at_*:       as load_at_*, into a register: GCC would read memory again for each use, slow for unaligned vectors.
 * repeat_lanes_*:  lane q = v[q >> order].
 * sum_lanes_*, largest_lane_*: the sum of all lanes, and the largest one (lanes that are NaN are passed over). */
#ifndef SIGLIB_LANE_WINDOWS_H
#define SIGLIB_LANE_WINDOWS_H

#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#include "lane_moves.h"

#if SIGLIB_LANE_BYTES == 64
#define SIGLIB_UP_F64 7, 8, 9, 10, 11, 12, 13, 14
#define SIGLIB_DOWN_F64 1, 2, 3, 4, 5, 6, 7, 8
#define SIGLIB_TWICE_F64 0, 0, 1, 1, 2, 2, 3, 3
#define SIGLIB_UP_F32 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
#define SIGLIB_DOWN_F32 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#define SIGLIB_TWICE_F32 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
#elif SIGLIB_LANE_BYTES == 32
#define SIGLIB_UP_F64 3, 4, 5, 6
#define SIGLIB_DOWN_F64 1, 2, 3, 4
#define SIGLIB_TWICE_F64 0, 0, 1, 1
#define SIGLIB_UP_F32 7, 8, 9, 10, 11, 12, 13, 14
#define SIGLIB_DOWN_F32 1, 2, 3, 4, 5, 6, 7, 8
#define SIGLIB_TWICE_F32 0, 0, 1, 1, 2, 2, 3, 3
#else
#define SIGLIB_UP_F64 1, 2
#define SIGLIB_DOWN_F64 1, 2
#define SIGLIB_TWICE_F64 0, 0
#define SIGLIB_UP_F32 3, 4, 5, 6
#define SIGLIB_DOWN_F32 1, 2, 3, 4
#define SIGLIB_TWICE_F32 0, 0, 1, 1
#endif

#if defined(__AVX512F__)
#define SIGLIB_HOLD(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define SIGLIB_HOLD(v) __asm__("" : "+x"(v))
#else
#define SIGLIB_HOLD(v) ((void)0)
#endif

#define SIGLIB_DEFINE_WINDOWS(vec, real, W, UP, DOWN, TWICE)                                                   \
  SIGLIB_MOVE vec load_at_##vec(const vec *base, ptrdiff_t i) {                                                \
    return *(const vec##_unaligned *)((const real *)base + i);                                                 \
  }                                                                                                            \
  SIGLIB_MOVE vec held_at_##vec(const vec *base, ptrdiff_t i) {                                                \
    vec v = load_at_##vec(base, i);                                                                            \
    SIGLIB_HOLD(v);                                                                                            \
    return v;                                                                                                  \
  }                                                                                                            \
  SIGLIB_MOVE void store_at_##vec(vec *base, ptrdiff_t i, vec v) { *(vec##_unaligned *)((real *)base + i) = v; } \
  SIGLIB_MOVE real number_at_##vec(const vec *base, ptrdiff_t i) { return ((const vec##_number *)base)[i]; }   \
  SIGLIB_MOVE void set_number_##vec(vec *base, ptrdiff_t i, real x) { ((vec##_number *)base)[i] = x; }         \
  SIGLIB_MOVE vec copies_of_##vec(real x) { return x - (vec){0}; }                                              \
  SIGLIB_MOVE vec shift_up_##vec(vec v, vec from) { return SIGLIB_SHUFFLE(vec##_mask, from, v, UP); }          \
  SIGLIB_MOVE vec shift_down_##vec(vec v, vec from) { return SIGLIB_SHUFFLE(vec##_mask, v, from, DOWN); }      \
  SIGLIB_MOVE vec repeat_lanes_##vec(vec v, int order) {                                                       \
    for (int i = 0; i < order && i < 4; i++) v = SIGLIB_SHUFFLE(vec##_mask, v, v, TWICE);                      \
    return v;                                                                                                  \
  }                                                                                                            \
  SIGLIB_MOVE double sum_lanes_##vec(vec v) {                                                                  \
    double sum = v[0];                                                                                         \
    for (int i = 1; i < W; i++) sum += v[i];                                                                   \
    return sum;                                                                                                \
  }                                                                                                            \
  SIGLIB_MOVE double largest_lane_##vec(vec v) {                                                               \
    double largest = 0;                                                                                        \
    for (int i = 0; i < W; i++) largest = v[i] > largest ? v[i] : largest;                                     \
    return largest;                                                                                            \
  }

typedef double vd_number __attribute__((may_alias));
typedef float vf_number __attribute__((may_alias));
SIGLIB_DEFINE_WINDOWS(vd, double, SIGLIB_W_F64, SIGLIB_UP_F64, SIGLIB_DOWN_F64, SIGLIB_TWICE_F64)
SIGLIB_DEFINE_WINDOWS(vf, float, SIGLIB_W_F32, SIGLIB_UP_F32, SIGLIB_DOWN_F32, SIGLIB_TWICE_F32)

#if defined(__AVX512F__)
SIGLIB_MOVE vd load_part_vd(const vd *base, ptrdiff_t i, ptrdiff_t n) {
  return (vd)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), (const double *)base + i);
}
SIGLIB_MOVE vf load_part_vf(const vf *base, ptrdiff_t i, ptrdiff_t n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), (const float *)base + i);
}
SIGLIB_MOVE void store_part_vd(vd *base, ptrdiff_t i, ptrdiff_t n, vd v) {
  _mm512_mask_storeu_pd((double *)base + i, (__mmask8)((1u << n) - 1), (__m512d)v);
}
SIGLIB_MOVE void store_part_vf(vf *base, ptrdiff_t i, ptrdiff_t n, vf v) {
  _mm512_mask_storeu_ps((float *)base + i, (__mmask16)((1u << n) - 1), (__m512)v);
}
#else
#define SIGLIB_DEFINE_PARTS(vec, W)                                                                \
  SIGLIB_MOVE vec load_part_##vec(const vec *base, ptrdiff_t i, ptrdiff_t n) {                     \
    vec v = {0};                                                                                   \
    for (int k = 0; k < W; k++) if (k < n) v[k] = ((const vec##_number *)base)[i + k];             \
    return v;                                                                                      \
  }                                                                                                \
  SIGLIB_MOVE void store_part_##vec(vec *base, ptrdiff_t i, ptrdiff_t n, vec v) {                  \
    for (int k = 0; k < W; k++) if (k < n) ((vec##_number *)base)[i + k] = v[k];                   \
  }
SIGLIB_DEFINE_PARTS(vd, SIGLIB_W_F64)
SIGLIB_DEFINE_PARTS(vf, SIGLIB_W_F32)
#endif

#endif
