// The linear kernel with few channels: coefficients of cells from registers, for the forward and the backward pass.
//
// A lane keeps the increments of its R rows in registers for a whole band, and takes D letters of its column's
// increment from shared memory in each step.
#pragma once
#include "signature_kernel_sweep.cuh"

// Increments of 32 columns of cells to the window, (D, WINDOW); tile -1 is zeros.
template <typename T, int D>
__device__ __forceinline__ void load_columns(const Problem& p, const T* path, int tile, int lane, T* window) {
    const int j = 32 * tile + lane;
    const bool inside = j >= 0 && j < p.n2;
    const T* at = path + (long long)j * p.d;
    T* to = window + (j & (WINDOW - 1));
    T letters[D];
#pragma unroll
    for (int c = 0; c < D; c++) letters[c] = inside && c < p.d ? at[p.d + c] - at[c] : (T)0;
#pragma unroll
    for (int c = 0; c < D; c++) to[c * WINDOW] = letters[c];
    __syncwarp();
}

// Increments of the cells that the R rows from `row` on are in, 2^SHIFT rows each, times `factor`.
template <typename T, int D, int R, int SHIFT>
__device__ __forceinline__ void load_rows(const Problem& p, const T* path, T factor, int row, T (*x)[D]) {
#pragma unroll
    for (int i = 0; i < R >> SHIFT; i++) {
        const int cell = (row + (i << SHIFT)) >> p.order1;
        const T* at = path + (long long)cell * p.d;
#pragma unroll
        for (int c = 0; c < D; c++) x[i][c] = cell < p.n1 && c < p.d ? (at[p.d + c] - at[c]) * factor : (T)0;
    }
}

// The coefficients of a lane's cells in one column, whose letters stand at `y`.
template <typename T, int D, int R, int SHIFT>
__device__ __forceinline__ void products(const T (*x)[D], const T* y, T* letters, T* cells) {
#pragma unroll
    for (int c = 0; c < D; c++) {
        letters[c] = y[c * WINDOW];
#pragma unroll
        for (int k = 0; k < R >> SHIFT; k++) cells[k] = c == 0 ? x[k][c] * letters[c] : cells[k] + x[k][c] * letters[c];
    }
}

// 32 steps of one band. If `slopes` (32 steps, R, 32) is not null, they and their exponents `used` (32 / LOOK, 32) are
// kept, and nothing is carried on.
template <typename T, int D, int R, int SHIFT>
__device__ __forceinline__ void sweep_linear(const Problem& p, Lane<T, R>& s, const T (*x)[D], const T* window,
                                             const Carry<T>& carry, T* carry_out, int tile, int lane, T* slopes,
                                             T* used) {
    constexpr int LOOK = Pace<T, R>::LOOK;
    T carried = carried_in(carry, s.exponent);
    for (int first = 0; first < 32; first += LOOK) {
        rescale(s, carry, 32 * tile + first, lane, carried);
        if (slopes) used[first / LOOK * 32 + lane] = (T)s.exponent;
        if (!slopes && lane == 31) carry_out[p.carry + (32 * tile + first) / LOOK] = (T)s.exponent;
#pragma unroll
        for (int i = 0; i < LOOK; i++) {
            const int step = 32 * tile + first + i;
            const T start = __shfl_sync(ALL_LANES, carried, first + i);
            T D_above = __shfl_up_sync(ALL_LANES, s.D, 1) * s.from_above;
            if (lane == 0) D_above = start;
            T letters[D], cells[R >> SHIFT], found[R];
            products<T, D, R, SHIFT>(x, window + (((step - lane) >> p.order2) & (WINDOW - 1)), letters, cells);
            advance<T, R, SHIFT, true>(s, D_above, cells, found);
            if (slopes) {
#pragma unroll
                for (int r = 0; r < R; r++) slopes[((first + i) * R + r) * 32 + lane] = found[r];
            } else if (lane == 31) {
                carry_out[step] = s.D;
            }
        }
    }
}
