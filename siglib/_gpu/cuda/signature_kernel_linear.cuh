// The linear kernel with few channels: coefficients of cells from registers, for the forward and the backward pass.
//
// A lane keeps the increments of its R rows in registers for a whole band, and takes D letters of its column's
// increment from shared memory in each step.
#pragma once
#include "signature_kernel_sweep.cuh"

// The window: the letters of a column side by side, so that few loads take them, and columns so far apart that the
// loads of a warp meet no bank twice. The first columns stand behind the last ones as well: LOOK steps go on without
// wrapping.
constexpr int SLOTS = WINDOW + 8;
template <typename T, int D>
constexpr int SLOT = D * sizeof(T) <= 8 ? D : ((D * (int)sizeof(T) + 15) / 16 | 1) * 16 / (int)sizeof(T);

// Increments of 32 columns of cells to the window; tile -1 is zeros.
template <typename T, int D>
__device__ __forceinline__ void load_columns(const Problem& p, const T* path, int tile, int lane, T* window) {
    const int j = 32 * tile + lane, slot = j & (WINDOW - 1);
    const bool inside = j >= 0 && j < p.n2;
    const T* at = path + (long long)j * p.d;
    T letters[D];
#pragma unroll
    for (int c = 0; c < D; c++) letters[c] = inside && c < p.d ? at[p.d + c] - at[c] : (T)0;
#pragma unroll
    for (int c = 0; c < D; c++) window[slot * SLOT<T, D> + c] = letters[c];
    if (slot < SLOTS - WINDOW) {
#pragma unroll
        for (int c = 0; c < D; c++) window[(WINDOW + slot) * SLOT<T, D> + c] = letters[c];
    }
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
    constexpr int WHOLE = D * (int)sizeof(T) / 16 * 16 / (int)sizeof(T);
    load_letters<T, WHOLE>(y, letters);
#pragma unroll
    for (int c = WHOLE; c < D; c++) letters[c] = y[c];
#pragma unroll
    for (int c = 0; c < D; c++) {
#pragma unroll
        for (int k = 0; k < R >> SHIFT; k++) cells[k] = c == 0 ? x[k][c] * letters[c] : cells[k] + x[k][c] * letters[c];
    }
}

// 32 steps of one band. If `slopes` (32 steps, R, 32) is not null, they and their exponents `used` (32 / LOOK, 32) are
// kept, and nothing is carried on. COARSE: cells may have several columns. strip (32): room for what is carried in,
// where the first lane finds the numbers of a look in one load.
template <typename T, int D, int R, int SHIFT, bool COARSE>
__device__ __forceinline__ void sweep_linear(const Problem& p, Lane<T, R>& s, const T (*x)[D], const T* window,
                                             const Carry<T>& carry, T* carry_out, int tile, int lane, T* slopes,
                                             T* used, T* strip) {
    // What every turn of the loop costs counts where few cells are between two looks.
    constexpr int LOOK = Pace<T, R>::LOOK, TURNS = sizeof(T) == 4 && !COARSE ? 8 : 1;
    Carried<T> carried(carry, s.exponent);
    LastExponents<T, R> exponents(s.exponent);
    strip[lane] = carried.D;
    __syncwarp();
    struct alignas(LOOK * sizeof(T) < 16 ? LOOK * sizeof(T) : 16) Steps {
        T v[LOOK];
    };
    T* out = carry_out + 32 * tile;
    int at = ((32 * tile - lane) & (WINDOW - 1)) * SLOT<T, D>;  // of the lane's column in the window
#pragma unroll(TURNS)
    for (int first = 0; first < 32; first += LOOK) {
        if (rescale(s, carry, first, lane, carried)) {
            exponents.changed(s.exponent, first, lane);
            __syncwarp();
            strip[lane] = carried.D;
            __syncwarp();
        }
        const Steps above = *reinterpret_cast<const Steps*>(strip + first);
        Steps below;
        if (slopes) used[first / LOOK * 32 + lane] = (T)s.exponent;
#pragma unroll
        for (int i = 0; i < LOOK; i++) {
            T D_above = __shfl_up_sync(ALL_LANES, s.D, 1) * s.from_above;
            if (lane == 0) D_above = above.v[i];
            T letters[D], cells[R >> SHIFT];
            const T* column = window + at + i * SLOT<T, D>;
            if constexpr (COARSE)
                column = window + (((32 * tile + first + i - lane) >> p.order2) & (WINDOW - 1)) * SLOT<T, D>;
            products<T, D, R, SHIFT>(x, column, letters, cells);
            if (!slopes) {
                advance<T, R, SHIFT, false>(s, D_above, cells, nullptr);
            } else {
                T found[R];
                advance<T, R, SHIFT, true>(s, D_above, cells, found);
#pragma unroll
                for (int r = 0; r < R; r++) slopes[((first + i) * R + r) * 32 + lane] = found[r];
            }
            below.v[i] = s.D;
        }
        if (!slopes && lane == 31) *reinterpret_cast<Steps*>(out + first) = below;
        at += LOOK * SLOT<T, D>;
        if (at >= WINDOW * SLOT<T, D>) at -= WINDOW * SLOT<T, D>;
    }
    if (!slopes) exponents.store(p, carry_out, tile, lane);
    __syncwarp();
}
