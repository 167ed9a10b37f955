/* Powers of two of lane vectors: what rescaling needs.
 *
 * exponent_of_*: floor(log2 |v|) as a number, for each lane that is finite and normal; 0 for every other lane.
 * power_of_two_*: 2^e for integer-valued e; 0 below the normal range, infinity above it.
 * rounded_half_*: an integer near e / 2, for integer-valued e.
 * magnitude_*, larger_*: |v| and max(a, b), lane by lane; a lane of b that is NaN stays NaN.
 * any_above_*, any_differ_*: whether some lane of v is above the bound, or of a is not equal to that of b.
 * exponent_above_*: exponent_of_* of the lanes above the bound, 0 for the others.
 * gone_*: 1 for lanes in which `before` is not 0 and |after| is below `least`, 0 for the others.
 * unless_zero_*: a, and b in the lanes in which v is 0. */
#ifndef SIGLIB_LANE_EXPONENTS_H
#define SIGLIB_LANE_EXPONENTS_H

#include "simd.h"

#define SIGLIB_LANE static inline __attribute__((always_inline))

/* MANTISSA bits hold the fraction; BIAS is that of the exponent. Adding 1.5 * 2^MANTISSA leaves an integer in the lowest
 * bits of a number, and setting the bits of 2^MANTISSA makes a number of such an integer. */
#define SIGLIB_DEFINE_EXPONENTS(vec, real, integer, W, MANTISSA, BIAS)                                           \
  typedef integer vec##_bits __attribute__((vector_size(SIGLIB_LANE_BYTES), may_alias));                         \
  typedef unsigned integer vec##_unsigned __attribute__((vector_size(SIGLIB_LANE_BYTES), may_alias));            \
  SIGLIB_LANE vec exponent_of_##vec(vec v) {                                                                     \
    const integer one = (integer)1 << MANTISSA;                                                                  \
    vec##_bits biased = ((vec##_bits)v >> MANTISSA) & (2 * BIAS + 1);                                            \
    vec##_bits normal = (vec##_bits)(biased > 0) & (vec##_bits)(biased < 2 * BIAS + 1);                          \
    vec##_bits number = biased | ((integer)(MANTISSA + BIAS) << MANTISSA);                                       \
    return (vec)((vec##_bits)((vec)number - (real)(one + BIAS)) & normal);                                       \
  }                                                                                                              \
  SIGLIB_LANE vec power_of_two_##vec(vec e) {                                                                    \
    vec top = e - e + (real)(BIAS + 1);                                                                             \
    vec##_bits high = (vec##_bits)(e > (real)BIAS), normal = (vec##_bits)(e > -(real)BIAS);                      \
    vec clamped = (vec)(((vec##_bits)top & high) | ((vec##_bits)e & ~high));                                     \
    vec##_bits biased = (vec##_bits)(clamped + (real)(((integer)3 << (MANTISSA - 1)) + BIAS));                   \
    return (vec)((vec##_bits)((vec##_unsigned)biased << MANTISSA) & normal);                                     \
  }                                                                                                              \
  SIGLIB_LANE vec rounded_half_##vec(vec e) {                                                                    \
    const real magic = (real)((integer)3 << (MANTISSA - 1));                                                     \
    return (e * (real)0.5 + magic) - magic;                                                                      \
  }                                                                                                              \
  SIGLIB_LANE vec magnitude_##vec(vec v) {                                                                       \
    return (vec)((vec##_bits)v & (((integer)(2 * BIAS + 1) << MANTISSA) | (((integer)1 << MANTISSA) - 1)));      \
  }                                                                                                              \
  SIGLIB_LANE vec larger_##vec(vec a, vec b) {                                                                   \
    vec##_bits first = (vec##_bits)(a > b);                                                                      \
    return (vec)(((vec##_bits)a & first) | ((vec##_bits)b & ~first));                                            \
  }                                                                                                              \
  SIGLIB_LANE int any_##vec(vec##_bits mask) {                                                                   \
    integer any = 0;                                                                                             \
    for (int i = 0; i < W; i++) any |= mask[i];                                                                  \
    return any != 0;                                                                                             \
  }                                                                                                              \
  SIGLIB_LANE int any_above_##vec(vec v, real bound) { return any_##vec((vec##_bits)(v > bound)); }              \
  SIGLIB_LANE int any_differ_##vec(vec a, vec b) { return any_##vec((vec##_bits)(a != b)); }                     \
  SIGLIB_LANE vec exponent_above_##vec(vec v, real bound) {                                                      \
    return (vec)((vec##_bits)exponent_of_##vec(v) & (vec##_bits)(v > bound));                                    \
  }                                                                                                              \
  SIGLIB_LANE vec gone_##vec(vec before, vec after, real least) {                                                \
    vec one = power_of_two_##vec((vec)((vec##_bits)before ^ (vec##_bits)before));                                \
    return (vec)((vec##_bits)one & (vec##_bits)(before != 0) & (vec##_bits)(magnitude_##vec(after) < least));    \
  }                                                                                                              \
  SIGLIB_LANE vec unless_zero_##vec(vec v, vec a, vec b) {                                                       \
    vec##_bits zero = (vec##_bits)(v == 0);                                                                      \
    return (vec)(((vec##_bits)b & zero) | ((vec##_bits)a & ~zero));                                              \
  }

SIGLIB_DEFINE_EXPONENTS(vd, double, long long, LANES_F64, 52, 1023)
SIGLIB_DEFINE_EXPONENTS(vf, float, int, LANES_F32, 23, 127)

#endif
