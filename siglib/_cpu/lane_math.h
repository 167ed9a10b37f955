/* Exponential, logarithm and square root of lane vectors, to about one unit in the last place.
 *
 * exp_*: x = n log 2 + r, a Taylor polynomial of r, and n added to the exponent; 0 and infinity beyond the normal range.
 * log_*: of positive normal numbers: x = 2^n m with m between sqrt(1/2) and sqrt(2), and the series in (m - 1)/(m + 1).
 * NaN stays NaN. */
#ifndef SIGLIB_LANE_MATH_H
#define SIGLIB_LANE_MATH_H

#include "lane_exponents.h"

#define SIGLIB_DEFINE_MATH(vec, real, integer, W, MANTISSA, LOWEST, HIGHEST, LN2_HIGH, LN2_LOW, SQRT_FN, INFINITE,  \
                           N_EXP, N_LOG)                                                                            \
  SIGLIB_LANE vec exp_##vec(vec x) {                                                                                \
    static const real inverse_factorial[] = {                                                                       \
        (real)1,           (real)1,            (real)(1. / 2),       (real)(1. / 6),       (real)(1. / 24),         \
        (real)(1. / 120),  (real)(1. / 720),   (real)(1. / 5040),    (real)(1. / 40320),   (real)(1. / 362880),     \
        (real)(1. / 3628800), (real)(1. / 39916800), (real)(1. / 479001600), (real)(1. / 6227020800.)};             \
    const real magic = (real)((integer)3 << (MANTISSA - 1));                                                        \
    vec##_bits low = (vec##_bits)(x < (real)LOWEST), high = (vec##_bits)(x > (real)HIGHEST);                        \
    vec shifted = x * (real)1.4426950408889634 + magic, n = shifted - magic;                                        \
    vec r = (x - n * (real)LN2_HIGH) - n * (real)LN2_LOW;                                                           \
    vec p = r * inverse_factorial[N_EXP] + inverse_factorial[N_EXP - 1];                                            \
    _Pragma("GCC unroll 16") for (int i = N_EXP - 2; i >= 0; i--) p = p * r + inverse_factorial[i];                 \
    /* Without a sign: what is shifted out is meant to be lost, and beyond the range the sum is not used. */        \
    vec##_bits bits = (vec##_bits)((vec##_unsigned)p + ((vec##_unsigned)shifted << MANTISSA));                      \
    vec infinite = x - x + (real)INFINITE;                                                                          \
    return (vec)((bits & ~low & ~high) | ((vec##_bits)infinite & high));                                            \
  }                                                                                                                 \
  SIGLIB_LANE vec log_##vec(vec x) {                                                                                \
    const real magic = (real)((integer)3 << (MANTISSA - 1)), root = (real)0.70710678118654752;                      \
    union { real number; integer bits; } m0 = {magic}, r0 = {root};                                                 \
    vec##_bits n = (vec##_bits)((vec##_unsigned)x - (unsigned integer)r0.bits) >> MANTISSA;                         \
    vec m = (vec)((vec##_unsigned)x - ((vec##_unsigned)n << MANTISSA)), number = (vec)(n + m0.bits) - magic;        \
    vec s = (m - (real)1) / (m + (real)1), z = s * s, p = z * 0 + (real)(1.0 / (2 * N_LOG + 1));                    \
    _Pragma("GCC unroll 16") for (int i = N_LOG - 1; i >= 1; i--) p = p * z + (real)(1.0 / (2 * i + 1));            \
    vec twice = s + s;                                                                                              \
    return number * (real)LN2_HIGH + (twice + (twice * (z * p) + number * (real)LN2_LOW));                          \
  }                                                                                                                 \
  SIGLIB_LANE vec sqrt_##vec(vec x) {                                                                               \
    union { vec v; real lanes[W]; } in = {x}, out;                                                                  \
    for (int i = 0; i < W; i++) out.lanes[i] = SQRT_FN(in.lanes[i]);                                                \
    return out.v;                                                                                                   \
  }

SIGLIB_DEFINE_MATH(vd, double, long long, LANES_F64, 52, -708.0, 709.0, 6.93147180369123816490e-01,
                   1.90821492927058770002e-10, __builtin_sqrt, __builtin_inf(), 13, 10)
SIGLIB_DEFINE_MATH(vf, float, int, LANES_F32, 23, -87.0f, 88.0f, 6.9314575195e-01f, 1.4286067653e-06f, __builtin_sqrtf,
                   __builtin_inff(), 7, 5)

#endif
