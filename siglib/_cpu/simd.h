/* Lane types: one machine vector of independent work items.
 *
 * A `vd` holds LANES_F64 doubles, a `vf` holds LANES_F32 floats; arithmetic on them is element by element (GCC and Clang vector
 * extensions). The width follows the instruction set that the including module is compiled for. */
#ifndef SIGLIB_SIMD_H
#define SIGLIB_SIMD_H

#if defined(__AVX512F__)
#define SIGLIB_LANE_BYTES 64
#elif defined(__AVX__)
#define SIGLIB_LANE_BYTES 32
#else
#define SIGLIB_LANE_BYTES 16
#endif

typedef double vd __attribute__((vector_size(SIGLIB_LANE_BYTES), may_alias));
typedef float vf __attribute__((vector_size(SIGLIB_LANE_BYTES), may_alias));

enum { LANES_F64 = SIGLIB_LANE_BYTES / 8, LANES_F32 = SIGLIB_LANE_BYTES / 4 };

#endif
