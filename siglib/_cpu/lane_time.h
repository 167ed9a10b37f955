/* Increments of time in lanes: `load_time_*` for n rows, the first of which is row first[l] in lane l. Row k goes to
 * dx + k * stride. From row stop[l] on time stands still.
 *
 * vd: each increment is steps[l]. vf: differences of times that are rounded by adding `grid` and taking it off again; in
 * double precision, of which a vector holds half as many.
 *
 * set_time_words_of_lanes: the words of time alone, T^n / n!, in signatures (n_words, LANES_F32). */
#ifndef SIGLIB_LANE_TIME_H
#define SIGLIB_LANE_TIME_H

#include <stddef.h>
#include <string.h>
#include "lane_exponents.h"

typedef float siglib_half_vf __attribute__((vector_size(SIGLIB_LANE_BYTES / 2), may_alias));

SIGLIB_LANE vd siglib_smaller(vd a, vd b) {
  vd_bits first = (vd_bits)(a < b);
  return (vd)(((vd_bits)a & first) | ((vd_bits)b & ~first));
}

SIGLIB_LANE void load_time_vd(const double *first, const double *stop, ptrdiff_t n, const double *steps, double grid,
                              double *dx, ptrdiff_t stride) {
  vd row, end, step;
  (void)grid;
  memcpy(&row, first, sizeof row);
  memcpy(&end, stop, sizeof end);
  memcpy(&step, steps, sizeof step);
  for (ptrdiff_t k = 0; k < n; k++) {
    *(vd *)(dx + k * stride) = (vd)((vd_bits)step & (vd_bits)(row < end));
    row += 1.0;
  }
}

SIGLIB_LANE void load_time_vf(const double *first, const double *stop, ptrdiff_t n, const double *steps, double grid,
                              float *dx, ptrdiff_t stride) {
  for (int half = 0; half < 2; half++) {
    vd row, end, step, before, after;
    memcpy(&step, steps + half * LANES_F64, sizeof step);
    memcpy(&row, first + half * LANES_F64, sizeof row);
    memcpy(&end, stop + half * LANES_F64, sizeof end);
    before = (siglib_smaller(row, end) * step + grid) - grid;
    for (ptrdiff_t k = 0; k < n; k++) {
      row += 1.0;
      after = (siglib_smaller(row, end) * step + grid) - grid;
      *(siglib_half_vf *)(dx + k * stride + half * LANES_F64) = __builtin_convertvector(after - before, siglib_half_vf);
      before = after;
    }
  }
}

SIGLIB_LANE void set_time_words_of_lanes(const double *durations, ptrdiff_t d, ptrdiff_t degree, float *sig) {
  for (int half = 0; half < 2; half++) {
    vd duration, power;
    float *word = sig + half * LANES_F64;
    ptrdiff_t size = 1;
    memcpy(&duration, durations + half * LANES_F64, sizeof duration);
    power = duration - duration + 1.0;
    for (ptrdiff_t n = 1; n <= degree; n++) {
      size *= d;
      power *= duration * (1.0 / (double)n);
      *(siglib_half_vf *)(word + (size - 1) * LANES_F32) = __builtin_convertvector(power, siglib_half_vf);
      word += size * LANES_F32;
    }
  }
}

#endif
