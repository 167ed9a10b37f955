// Branched signature kernels on a grid: one warp, one band of rows, 32 steps at a time, all depths together.
//
// With K_0 = 1 the kernel of depth m is K_m = exp(I_m), where I_m sums over all cells above and to the left of a node,
// for each cell its coefficient times the mean of K_(m-1) at its corners. Cells hold a quarter of their coefficients.
//
// In step `tau` lane l takes its row over column tau - l: it has the sum of that row so far, and gets I_m and K_m of
// the row above from the lane above, which is one column ahead. The sums, and their order, are those of the CPU.
// Outside of the grid cells are 0: lanes run before their first column and below the last row without a condition.
//
// What leaves a band goes to memory, I_m and K_m for each depth. Number `step` of such a row is that of column
// step - 31.
#pragma once
#include "signature_kernel_cells.cuh"

// N numbers of a lane for each of DEPTH depths: in registers, or, for more depths than are known to the compiler
// (DEPTH = 0), in memory with the lanes side by side.
template <typename T, int DEPTH, int N>
struct Depths {
    T numbers[N * DEPTH];
    __device__ __forceinline__ Depths(int depth, T* memory, int lane) {}
    __device__ __forceinline__ int depth() const { return DEPTH; }
    __device__ __forceinline__ T& at(int which, int m) { return numbers[which * DEPTH + m]; }
};

template <typename T, int N>
struct Depths<T, 0, N> {
    T* numbers;
    int n;
    __device__ __forceinline__ Depths(int depth, T* memory, int lane) : numbers(memory + lane), n(depth) {}
    __device__ __forceinline__ int depth() const { return n; }
    __device__ __forceinline__ T& at(int which, int m) { return numbers[((long long)which * n + m) * 32]; }
};

// What a lane keeps: I_m and K_m at its last node, K_m at the node above that, the sum of its row.
enum { SUM, VALUE, ABOVE, TOTAL, N_KEPT };

// Rows of a carry: what a band leaves below.
enum { CARRIED_SUM, CARRIED_VALUE, N_CARRIED };

template <typename T, int DEPTH>
__device__ __forceinline__ void first_column(Depths<T, DEPTH, N_KEPT>& s) {
#pragma unroll(DEPTH ? DEPTH : 1)
    for (int m = 0; m < s.depth(); m++) {
        s.at(SUM, m) = s.at(TOTAL, m) = 0;
        s.at(VALUE, m) = s.at(ABOVE, m) = 1;
    }
}

// One cell with a quarter of its coefficient. `above`: the carried numbers at its column, or null for those of nodes
// at the border of the grid; only the first lane takes them.
template <typename T, int DEPTH>
__device__ __forceinline__ void advance(Depths<T, DEPTH, N_KEPT>& s, T cell, const T* above, long long carry,
                                        int lane) {
    // Corner by corner, the values that the depth before has.
    T corner = 1, up = 1, left = 1, now = 1;
#pragma unroll(DEPTH ? DEPTH : 1)
    for (int m = 0; m < s.depth(); m++) {
        T sum_above = __shfl_up_sync(ALL_LANES, s.at(SUM, m), 1);
        if (lane == 0) sum_above = above ? above[(CARRIED_SUM * s.depth() + m) * carry] : (T)0;
        const T total = s.at(TOTAL, m) + cell * ((corner + up) + (left + now));
        const T sum = sum_above + total;
        s.at(TOTAL, m) = total;
        s.at(SUM, m) = sum;
        if (m == s.depth() - 1) break;
        up = __shfl_up_sync(ALL_LANES, s.at(VALUE, m), 1);
        if (lane == 0) up = above ? above[(CARRIED_VALUE * s.depth() + m) * carry] : (T)1;
        corner = s.at(ABOVE, m);
        left = s.at(VALUE, m);
        now = exp_of(sum);
        s.at(ABOVE, m) = up;
        s.at(VALUE, m) = now;
    }
}

// 32 steps of one band, in this lane of row `row`. `above` and `below` are carries, `above` null in the first band;
// nodes (rows + 1, columns + 1) get the values if they are not null, `ends` (depth, bands, 32) the sums of whole rows.
// Gives I_depth at the last node to `last`.
template <typename T, int DEPTH>
__device__ void sweep(const Problem& p, Depths<T, DEPTH, N_KEPT>& s, const T* window, const T* above, T* below,
                      T* nodes, T* ends, int row, int tile, int lane, T* last) {
    const int depth = s.depth();
    window += smaller(lane >> p.order1, p.band_cells - 1) * STRIDE;
#pragma unroll 1
    for (int step = 32 * tile; step < 32 * tile + 32; step++) {
        const int column = step - lane;
        const T cell = window[(column >> p.order2) & (WINDOW - 1)];
        advance(s, cell, above && column < p.columns ? above + column + 31 : nullptr, p.carry, lane);
        if (lane == 31) {
#pragma unroll(DEPTH ? DEPTH : 1)
            for (int m = 0; m < depth; m++) {
                below[(CARRIED_SUM * depth + m) * (long long)p.carry + step] = s.at(SUM, m);
                if (m < depth - 1) below[(CARRIED_VALUE * depth + m) * (long long)p.carry + step] = s.at(VALUE, m);
            }
        }
        if (column < 0 || column >= p.columns) continue;
        if (nodes && row < p.rows)
            nodes[(long long)(row + 1) * (p.columns + 1) + column + 1] = exp_of(s.at(SUM, depth - 1));
        if (column < p.columns - 1) continue;
        if (row == p.rows - 1) *last = s.at(SUM, depth - 1);
        if (ends)
            for (int m = 0; m < depth; m++) ends[32LL * p.n_bands * m + row] = s.at(TOTAL, m);
    }
}

// The sweep of a whole pair, by all warps of a block. carries: (warps + 1, N_CARRIED, depth, carry). Returns the carry
// of the last band; other arguments as above.
template <typename T, int SOURCE, int C, int DEPTH>
__device__ T* sweep_pair(const Problem& p, const StaticKernel<T>& kernel, const T* x, const T* y, T factor,
                         Depths<T, DEPTH, N_KEPT>& s, const Room<T>& room, T* carries, T* nodes, T* ends, T* last) {
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    const long long size = (long long)N_CARRIED * s.depth() * p.carry;
    const int period = larger(p.n_tiles, 2 * n_warps), n_rounds = (p.n_bands - 1) / n_warps + 1;
    const int n_phases = (n_rounds - 1) * period + p.n_tiles + 2 * (n_warps - 1);
    const int sub_tiles = (1 << smaller(p.order2, 30)) - 1;
    first_column(s);
    for (int phase = 0; phase < n_phases; phase++) {
        __syncthreads();
        const int mine = phase - 2 * warp, round = mine / period, tile = mine - round * period;
        const int band = round * n_warps + warp;
        if (mine < 0 || tile >= p.n_tiles || band >= p.n_bands) continue;
        if (tile == 0) first_column(s);
        if ((tile & sub_tiles) == 0)
            fill_on<T, SOURCE, C>(p, kernel, x, y, factor, (int)((band * 32LL) >> p.order1), tile >> p.order2, lane,
                                  room);
        const T* above = band > 0 ? carries + (band - 1) % (n_warps + 1) * size : nullptr;
        sweep<T, DEPTH>(p, s, room.window, above, carries + band % (n_warps + 1) * size, nodes, ends, band * 32 + lane,
                        tile, lane, last);
    }
    __syncthreads();
    return carries + (p.n_bands - 1) % (n_warps + 1) * size;
}
