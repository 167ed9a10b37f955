// The adjoint of `signature_kernel_sweep.cuh`: 32 steps of one band, from the last to the first.
//
// With L the derivatives with respect to the values K, and E = L[j] - L[j + 1] their differences along a row,
//
//     E[i][j] = E[i + 1][j] + h[i - 1][j] L[i][j + 1] + h[i][j - 1] L[i + 1][j] + g[i][j] L[i + 1][j + 1],
//     dF/dq of a cell = sqrt(3) L11 * slope.
//
// It has the form of the sweep, with rows from the last to the first: E goes from each lane to the one above, in a step
// they are one column apart, and exponents work alike. Slopes come from a second sweep over the same 32 steps, which
// starts from the state that the first one has kept.
//
// What leaves a band upwards goes to memory: number step + 31 of the row is what the first lane has found in that step,
// its own column; the last lane of the band above, in its step, reads the number of its step.
#pragma once
#include "signature_kernel_pull.cuh"
#include "signature_kernel_sweep.cuh"

template <typename T, int R>
struct AdjointLane {
    T L[R], hL[R], gL[R];  // derivatives by values in the last column, and times h and g of the cells there
    T sums[R];             // derivatives by the coefficients of the cells that the lane is in
    T E;                   // what goes up
    int exponent;
    T from_below;  // 2^(exponent of the lane below - this one's)
};

template <typename T, int R>
__device__ __forceinline__ void last_column(AdjointLane<T, R>& s) {
#pragma unroll
    for (int r = 0; r < R; r++) s.L[r] = s.hL[r] = s.gL[r] = s.sums[r] = 0;
    s.E = 0;
    s.exponent = 0;
    s.from_below = 1;
}

template <typename T, int R>
__device__ __forceinline__ Carry<T> load_carry_up(const Problem& p, const T* row, T seed, int tile, int lane) {
    const int index = 32 * tile + lane;
    Carry<T> c = {index - 31 == p.columns - 1 ? seed : (T)0, 0};
    if (row) {
        c.D = row[index];
        if (index >= 31) c.exponent = (int)row[p.carry + (index - 31) / Pace<T, R>::LOOK];
    }
    return c;
}

// Numbers of such a row that no lane writes: columns before the first.
template <typename T>
__device__ __forceinline__ void clear_carry_up(T* row, int lane) {
    if (lane < 31) row[lane] = 0;
}

// The carried differences as the last lane needs them: with its exponent, to be added to its values L.
template <typename T>
__device__ __forceinline__ T carried_up(const Carry<T>& carry, int exponent, T L, int value, int limit) {
    const int change = carry.exponent - __shfl_sync(ALL_LANES, exponent, 31);
    const bool counts = exponent_of(magnitude(carry.D)) + carry.exponent + __shfl_sync(ALL_LANES, value, 31) > limit;
    const T sum = __shfl_sync(ALL_LANES, L, 31), factor = power_of_two<T>(change);
    return counts ? part_of_sum(carry.D, factor, sum) : carry.D * factor;
}

// The largest of R slopes, values of the kernel but for a factor, as a power of two with their exponent.
template <typename T, int R>
__device__ __forceinline__ int value_of_slopes(const T* slopes, int stride, int exponent) {
    T most = 0;
#pragma unroll
    for (int r = 0; r < R; r++) most = larger(most, magnitude(slopes[r * stride]));
    return most > 0 ? exponent_of(most) + exponent : -(1 << 28);
}

// `rescale` for the LOOK steps that end with `first`. What is lost does harm if, times the value of the kernel there,
// it counts beside `limit`: a power of two, as is `value`.
template <typename T, int R>
__device__ __forceinline__ void rescale_adjoint(AdjointLane<T, R>& s, const Carry<T>& carry, int first, int lane,
                                                int value, int limit, T& carried) {
    T most = 0;
#pragma unroll
    for (int r = 0; r < R; r++) most = larger(most, magnitude(s.L[r]));
    int shift = most > Range<T>::bound() && most <= Range<T>::most() ? exponent_of(most) : 0;
    const int below = __shfl_sync(ALL_LANES, carry.exponent, first & 31);
    if (lane == 31) shift = larger(shift, below - s.exponent);
    if (!__any_sync(ALL_LANES, shift > 0)) return;
    int exponent = s.exponent + shift;
    for (int k = 1; k < 32; k *= 2) {
        const int other = __shfl_down_sync(ALL_LANES, exponent, k) - k * Pace<T, R>::MARGIN;
        if (lane < 32 - k) exponent = larger(exponent, other);
    }
    const T factor = power_of_two<T>(s.exponent - exponent);
    const auto does_harm = [&](T v) {
        return is_lost(v, factor) && exponent_of(magnitude(v)) + s.exponent + value > limit;
    };
#pragma unroll
    for (int r = 0; r < R; r++) {
        if (does_harm(s.L[r])) s.L[r] = Range<T>::unknown();
        s.L[r] *= factor, s.hL[r] *= factor, s.gL[r] *= factor;
    }
    // In the last column E is all that there is.
    s.E = does_harm(s.E) ? part_of_sum(s.E, factor, s.L[0]) : s.E * factor;
    s.exponent = exponent;
    s.from_below = power_of_two<T>(__shfl_down_sync(ALL_LANES, exponent, 1) - exponent);
    carried = carried_up(carry, exponent, s.L[R - 1], value, limit);
}

// A lane's state before a tile.
template <typename T, int R>
__device__ __forceinline__ void save_state(const Lane<T, R>& s, int lane, T* to) {
#pragma unroll
    for (int r = 0; r <= R; r++) to[r * 32 + lane] = s.k[r];
    to[(R + 1) * 32 + lane] = s.D;
    to[(R + 2) * 32 + lane] = (T)s.exponent;
}

template <typename T, int R>
__device__ __forceinline__ void load_state(Lane<T, R>& s, int lane, const T* from) {
#pragma unroll
    for (int r = 0; r <= R; r++) s.k[r] = from[r * 32 + lane];
    s.D = from[(R + 1) * 32 + lane];
    s.exponent = (int)from[(R + 2) * 32 + lane];
    s.from_above = power_of_two<T>(__shfl_up_sync(ALL_LANES, s.exponent, 1) - s.exponent);
}

// The last value of the grid and its exponent, unknown if two sweeps do not agree, from the lane that has it.
template <typename T, int R>
__device__ __forceinline__ void keep_result(const Problem& p, const Lane<T, R>& s, int row, double* results) {
#pragma unroll
    for (int r = 0; r < R; r++) {
        if (row + r != p.rows - 1) continue;
        const T value = known(s.k[r + 1]);
        const bool right = !s.trial.second || agree(value, s.exponent, (T)results[0], (int)results[1]);
        results[0] = (double)(right ? value : Range<T>::unknown());
        results[1] = s.exponent;
    }
}

// Slopes of 32 steps, (32 steps, R, SLOPE_STRIDE), and the exponents that they have, (32 / LOOK, 32).
template <typename T, int R>
__device__ void sweep_slopes(const Problem& p, Lane<T, R>& s, const T* window, const Carry<T>& carry, int tile,
                             int lane, T* slopes, T* used) {
    constexpr int LOOK = Pace<T, R>::LOOK;
    int row_offset[R];
#pragma unroll
    for (int r = 0; r < R; r++) row_offset[r] = (lane * R + r) * STRIDE;
    Carried<T> carried(carry, s.exponent);
    for (int first = 0; first < 32; first += LOOK) {
        rescale(s, carry, 32 * tile + first, lane, carried);
        used[first / LOOK * 32 + lane] = (T)s.exponent;
#pragma unroll
        for (int i = 0; i < LOOK; i++) {
            const int column = 32 * tile + first + i - lane;
            const T start = __shfl_sync(ALL_LANES, carried.D, first + i);
            T D = __shfl_up_sync(ALL_LANES, s.D, 1) * s.from_above;
            if (lane == 0) D = start;
            T cells[R], found[R];
            load_cells<T, R>(window + ((column >> p.order2) & (WINDOW - 1)), row_offset, cells);
            advance<T, R, 0, true>(s, D, cells, found);
#pragma unroll
            for (int r = 0; r < R; r++) slopes[((first + i) * R + r) * SLOPE_STRIDE + lane] = found[r];
        }
    }
}

// The adjoint of these steps. In the window derivatives take the place of the coefficients, row by row of the refined
// grid; each when the first of its cell's columns is done. `seeds`: derivatives by the nodes of the grid, or null.
template <typename T, int R>
__device__ void sweep_adjoint(const Problem& p, AdjointLane<T, R>& s, T* window, const Carry<T>& carry, T* carry_out,
                              int row, int tile, int lane, const T* slopes, const T* used, int final_exponent,
                              int limit, const T* seeds) {
    constexpr int LOOK = Pace<T, R>::LOOK;
    const int parts = p.order2 < 31 ? (1 << p.order2) - 1 : 0x7fffffff;
    const auto value_at = [&](int first) {
        const T* last = slopes + (first + LOOK - 1) * R * SLOPE_STRIDE + lane;
        return value_of_slopes<T, R>(last, SLOPE_STRIDE, (int)used[first / LOOK * 32 + lane]);
    };
    T carried = carried_up(carry, s.exponent, s.L[R - 1], value_at(32 - LOOK), limit);
    for (int first = 32 - LOOK; first >= 0; first -= LOOK) {
        rescale_adjoint(s, carry, 32 * tile + first, lane, value_at(first), limit, carried);
        if (lane == 0) carry_out[p.carry + (32 * tile + first) / LOOK] = (T)s.exponent;
        const int exponent = (int)used[first / LOOK * 32 + lane] + s.exponent - final_exponent;
        // In two steps: the power alone may be beyond the range when derivatives are not.
        const T factor = power_of_two<T>(exponent - exponent / 2) * (T)1.7320508075688772;
        const T slope_factor = power_of_two<T>(exponent / 2);
        const T seed_factor = power_of_two<T>(-s.exponent);
#pragma unroll
        for (int i = LOOK - 1; i >= 0; i--) {
            const int step = 32 * tile + first + i, column = step - lane;
            const T start = __shfl_sync(ALL_LANES, carried, first + i);
            T E = __shfl_down_sync(ALL_LANES, s.E, 1) * s.from_below;
            if (lane == 31) E = start;
            T* at = window + ((column >> p.order2) & (WINDOW - 1));
#pragma unroll
            for (int r = R - 1; r >= 0; r--) {
                T* cell = at + (lane * R + r) * STRIDE;
                const T q = *cell, g = q * q, h = g + q * (T)1.7320508075688772;
                E += s.hL[r];
                if (seeds && row + r < p.rows && column >= 0 && column < p.columns)
                    E += part_of_sum(seeds[(long long)(row + r + 1) * (p.columns + 1) + column + 1], seed_factor,
                                     s.L[r]);
                s.L[r] += E;
                s.hL[r] = h * s.L[r];
                E = (E + s.gL[r]) + s.hL[r];
                s.gL[r] = g * s.L[r];
                const T d = s.L[r] * factor * (slopes[((first + i) * R + r) * SLOPE_STRIDE + lane] * slope_factor);
                s.sums[r] = (column & parts) == parts ? d : s.sums[r] + d;
                if ((column & parts) == 0) *cell = s.sums[r];
            }
            s.E = E;
            if (lane == 0) carry_out[step + 31] = E;
        }
    }
}
