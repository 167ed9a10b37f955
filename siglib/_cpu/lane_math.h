/* Exponential, logarithm and square root of lane vectors, to about one unit in the last place.
 *
 * exp_*: x = n log 2 + r, a Taylor polynomial of r, and n added to the exponent; 0 and infinity beyond the normal
 *        range. With AVX-512 n counts steps of 1/8 (float32: 1/16), for which one register holds a table, and the
 *        polynomial has half as many terms.
 * log_*: of positive normal numbers: x = 2^n m with m between sqrt(1/2) and sqrt(2), and the series in (m - 1)/(m + 1).
 * NaN stays NaN, and the exponential of infinity, which says that something overflowed before, is NaN. */
#ifndef SIGLIB_LANE_MATH_H
#define SIGLIB_LANE_MATH_H

#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#include "lane_exponents.h"

#define SIGLIB_DEFINE_EXP(vec, real, integer, MANTISSA, LOWEST, HIGHEST, LN2_HIGH, LN2_LOW, INFINITE, N_EXP)        \
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
  }

#define SIGLIB_DEFINE_MATH(vec, real, integer, W, MANTISSA, LN2_HIGH, LN2_LOW, SQRT_FN, N_LOG)                      \
  SIGLIB_LANE vec log_##vec(vec x) {                                                                                \
    const real magic = (real)((integer)3 << (MANTISSA - 1)), root = (real)0.70710678118654752;                      \
    union { real number; integer bits; } m0 = {magic}, r0 = {root};                                                 \
    vec##_bits n = (vec##_bits)((vec##_unsigned)x - (unsigned integer)r0.bits) >> MANTISSA;                         \
    vec m = (vec)((vec##_unsigned)x - ((vec##_unsigned)n << MANTISSA)), number = (vec)(n + m0.bits) - magic;        \
    vec s = (m - (real)1) / (m + (real)1), z = s * s, p = z * 0 + (real)(1.0 / (2 * N_LOG + 1));                    \
    _Pragma("GCC unroll 16") for (int i = N_LOG - 1; i >= 1; i--) p = p * z + (real)(1.0 / (2 * i + 1));            \
    vec twice = s + s;                                                                                              \
    vec result = number * (real)LN2_HIGH + (twice + (twice * (z * p) + number * (real)LN2_LOW));                    \
    return (vec)((vec##_bits)result | (vec##_bits)(x != x));                                                        \
  }                                                                                                                 \
  SIGLIB_LANE vec sqrt_##vec(vec x) {                                                                               \
    union { vec v; real lanes[W]; } in = {x}, out;                                                                  \
    for (int i = 0; i < W; i++) out.lanes[i] = SQRT_FN(in.lanes[i]);                                                \
    return out.v;                                                                                                   \
  }

SIGLIB_DEFINE_MATH(vd, double, long long, LANES_F64, 52, 6.93147180369123816490e-01, 1.90821492927058770002e-10,
                   __builtin_sqrt, 10)
SIGLIB_DEFINE_MATH(vf, float, int, LANES_F32, 23, 6.9314575195e-01f, 1.4286067653e-06f, __builtin_sqrtf, 5)

#if defined(__AVX512F__)
/* power[j]: 2^(j/8), or 2^(j/16), less j at the place where n is added, so that the sum is 2^(n/8). The polynomial is
 * e^r = 1 + r + r^2 p(r), where p is interpolated over the r that occur, and summed by pairs: dependent instructions
 * are what an exponential costs. */
SIGLIB_LANE vd exp_vd(vd x) {
  static const long long power[8] __attribute__((aligned(64))) = {
      0x3ff0000000000000, 0x3fef72b83c7d517b, 0x3fef06fe0a31b715, 0x3feebfdad5362a27,
      0x3feea09e667f3bcd, 0x3feeace5422aa0db, 0x3feee89f995ad3ad, 0x3fef5818dcfba487};
  const double magic = 0x1.8p52;
  vd shifted = x * (8 * 1.4426950408889634) + magic, n = shifted - magic;
  vd r = (x - n * (6.93147180369123816490e-01 / 8)) - n * (1.90821492927058770002e-10 / 8), square = r * r;
  __m512i steps = (__m512i)shifted, scale = _mm512_permutexvar_epi64(steps, _mm512_load_si512(power));
  vd one = (vd)_mm512_add_epi64(scale, _mm512_slli_epi64(steps, 49));
  vd p = r * 0.00019842045637239258 + 0.0013889587108239542;
  p = p * square + (r * 0.00833333332787334 + 0.04166666661752646);
  p = p * square + (r * 0.16666666666666724 + 0.5000000000000051);
  p = p * square + r;
  __mmask8 not_low = _mm512_cmp_pd_mask(x, _mm512_set1_pd(-708.0), _CMP_NLT_UQ);
  __mmask8 high = _mm512_cmp_pd_mask(x, _mm512_set1_pd(709.0), _CMP_GT_OQ);
  p = (vd)_mm512_maskz_fmadd_pd(not_low, p, one, one);
  return (vd)_mm512_mask_mov_pd(p, high, x - x + __builtin_inf());
}
SIGLIB_LANE vf exp_vf(vf x) {
  static const int power[16] __attribute__((aligned(64))) = {
      0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
      0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d};
  const float magic = 0x1.8p23f;
  vf shifted = x * (16 * 1.4426950408889634f) + magic, n = shifted - magic;
  vf r = (x - n * (6.9314575195e-01f / 16)) - n * (1.4286067653e-06f / 16), square = r * r;
  __m512i steps = (__m512i)shifted, scale = _mm512_permutexvar_epi32(steps, _mm512_load_si512(power));
  vf one = (vf)_mm512_add_epi32(scale, _mm512_slli_epi32(steps, 19));
  vf p = (r * 0.16666862164590476f + 0.5000097749180301f) * square + r;
  __mmask16 not_low = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_NLT_UQ);
  __mmask16 high = _mm512_cmp_ps_mask(x, _mm512_set1_ps(88.0f), _CMP_GT_OQ);
  p = (vf)_mm512_maskz_fmadd_ps(not_low, p, one, one);
  return (vf)_mm512_mask_mov_ps(p, high, x - x + __builtin_inff());
}
#else
SIGLIB_DEFINE_EXP(vd, double, long long, 52, -708.0, 709.0, 6.93147180369123816490e-01, 1.90821492927058770002e-10,
                  __builtin_inf(), 13)
SIGLIB_DEFINE_EXP(vf, float, int, 23, -87.0f, 88.0f, 6.9314575195e-01f, 1.4286067653e-06f, __builtin_inff(), 7)
#endif

#endif
