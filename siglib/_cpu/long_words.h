/* What the loops of long words (long_words.pxd) needs beyond arithmetic, for both lane types.
 *
 * collect_*:    lane q = row[index[q]].
 * scatter_*:    sums[index[q] * lanes + q] += v[q], all different numbers.
 * last_lane_*, first_lane_*.
 * negligible_*: whether |v| <= epsilon |total| in all lanes, finite both. */
#ifndef SIGLIB_LONG_WORDS_H
#define SIGLIB_LONG_WORDS_H

#include <stdint.h>
#include "lane_moves.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if SIGLIB_LANE_BYTES == 64
#define SIGLIB_ALL_AT_LEAST_0_F64(v) (_mm512_cmp_pd_mask((__m512d)(v), _mm512_setzero_pd(), _CMP_GE_OQ) == 0xff)
#define SIGLIB_ALL_AT_LEAST_0_F32(v) (_mm512_cmp_ps_mask((__m512)(v), _mm512_setzero_ps(), _CMP_GE_OQ) == 0xffff)
#elif SIGLIB_LANE_BYTES == 32
#define SIGLIB_ALL_AT_LEAST_0_F64(v) \
    (_mm256_movemask_pd(_mm256_cmp_pd((__m256d)(v), _mm256_setzero_pd(), _CMP_GE_OQ)) == 0xf)
#define SIGLIB_ALL_AT_LEAST_0_F32(v) \
    (_mm256_movemask_ps(_mm256_cmp_ps((__m256)(v), _mm256_setzero_ps(), _CMP_GE_OQ)) == 0xff)
#elif defined(__SSE2__)
#define SIGLIB_ALL_AT_LEAST_0_F64(v) (_mm_movemask_pd(_mm_cmpge_pd((__m128d)(v), _mm_setzero_pd())) == 0x3)
#define SIGLIB_ALL_AT_LEAST_0_F32(v) (_mm_movemask_ps(_mm_cmpge_ps((__m128)(v), _mm_setzero_ps())) == 0xf)
#else
#define SIGLIB_ALL_AT_LEAST_0_F64(v) ((v)[0] >= 0 && (v)[1] >= 0)
#define SIGLIB_ALL_AT_LEAST_0_F32(v) ((v)[0] >= 0 && (v)[1] >= 0 && (v)[2] >= 0 && (v)[3] >= 0)
#endif

#define SIGLIB_DEFINE_LONG_WORDS(vec, real, W, BITS, ALL_AT_LEAST_0)                          \
    SIGLIB_MOVE vec collect_##vec(const real* row, const int32_t* index) {                    \
        vec r;                                                                                \
        _Pragma("GCC unroll 16") for (int i = 0; i < W; i++) r[i] = row[index[i]];            \
        return r;                                                                             \
    }                                                                                         \
    SIGLIB_MOVE void scatter_##vec(vec v, real* sums, const int32_t* index) {                 \
        _Pragma("GCC unroll 16") for (int i = 0; i < W; i++) sums[index[i] * W + i] += v[i];  \
    }                                                                                         \
    SIGLIB_MOVE real last_lane_##vec(vec v) {                                                 \
        return v[W - 1];                                                                      \
    }                                                                                         \
    SIGLIB_MOVE real first_lane_##vec(vec v) {                                                \
        return v[0];                                                                          \
    }                                                                                         \
    SIGLIB_MOVE int negligible_##vec(vec v, vec total, vec epsilon) {                         \
        vec##_mask sign = (vec##_mask)((vec){0} - (vec){0} == (vec){0}) << (BITS - 1);        \
        vec room = (vec)((vec##_mask)total & ~sign) * epsilon - (vec)((vec##_mask)v & ~sign); \
        return ALL_AT_LEAST_0(room);                                                          \
    }

SIGLIB_DEFINE_LONG_WORDS(vd, double, SIGLIB_W_F64, 64, SIGLIB_ALL_AT_LEAST_0_F64)
SIGLIB_DEFINE_LONG_WORDS(vf, float, SIGLIB_W_F32, 32, SIGLIB_ALL_AT_LEAST_0_F32)

#endif
