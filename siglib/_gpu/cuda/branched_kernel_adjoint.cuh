// The adjoint of `branched_kernel_sweep.cuh`: 32 steps of one band, from the last to the first.
//
// It goes from the last node of the grid to the first, and takes cells off the sums again on the way: with t the sum of
// the cells to the left in a row,
//
//     t_m[i][j] = t_m[i][j + 1] - c_m[i][j],    I_m[i][j] = I_m[i + 1][j] - t_m[i][j],
//
// where c_m[i][j], the coefficient times the mean of K_(m-1) at its four corners, is known depth by depth. The last row
// of I, and t of whole rows, are all that the first sweep has to keep.
//
// With B_m the derivative by I_m at a node and C_m that by c_m of a cell, C_m sums B_m over all nodes below and to the
// right of the cell, and, a node being a corner of four cells,
//
//     B_m[i + 1][j + 1] = K_m[i + 1][j + 1] (W[i][j] + W[i][j + 1] + W[i + 1][j] + W[i + 1][j + 1]),
//
// with W the coefficient of a cell times its C_(m+1). Lanes work as in `signature_kernel_adjoint.cuh`: each one column
// before the lane below it. A sweep starts in the column behind the last one, with a cell of 0.
#pragma once
#include "branched_kernel_sweep.cuh"

// What a lane keeps: I_m and K_m at its last node; K_m at the node below that, and below the one to the right; t_m; W
// of its last cell, and of the cell below; derivatives by I_m in its column of nodes, from its own node downwards; C_m;
// the sum of K_(m-1) at the corners of its cell.
enum { BACK_SUM, BACK_VALUE, BELOW, CORNER, REST, WEIGHT, WEIGHT_BELOW, COLUMN, BY_CELL, FOUR, N_KEPT_BACK };

// What a band leaves above.
enum { UP_SUM, UP_VALUE, UP_WEIGHT, UP_COLUMN, N_CARRIED_UP };

template <typename T, int DEPTH>
__device__ __forceinline__ void last_column(Depths<T, DEPTH, N_KEPT_BACK>& s) {
#pragma unroll(DEPTH ? DEPTH : 1)
    for (int m = 0; m < s.depth(); m++) {
        s.at(BACK_SUM, m) = s.at(REST, m) = s.at(WEIGHT, m) = s.at(WEIGHT_BELOW, m) = s.at(COLUMN, m) = 0;
        s.at(BY_CELL, m) = 0;
        s.at(BACK_VALUE, m) = s.at(CORNER, m) = 1;
    }
}

// The number of the lane below, or the last lane's of those that the band below has left, if there are any.
template <typename T>
__device__ __forceinline__ T from_below(T v, const T* carried, T otherwise, int lane) {
    v = __shfl_down_sync(ALL_LANES, v, 1);
    return lane < 31 ? v : carried ? *carried : otherwise;
}

// One cell, a quarter of its coefficient; gives the derivative by it. `up`: the carried numbers of its column, or null.
// `ends`: sums of whole rows, where the node is the last one of its row, `stride` apart, otherwise null; `border`: it
// is the first one of its row, or of its column. `seed`: the derivative by I_depth at the node below and to the right,
// or with GRIDS by its exponential.
template <typename T, int DEPTH, bool GRIDS>
__device__ __forceinline__ T retreat(Depths<T, DEPTH, N_KEPT_BACK>& s, T cell, const T* up, long long carry,
                                     const T* ends, long long stride, bool border, T seed, int lane) {
    const int depth = s.depth(), n_levels = GRIDS ? depth : depth - 1;
    const auto carried = [&](int which, int m) { return up ? up + (which * depth + m) * carry : nullptr; };
    T now = 1, right = 1, below = 1, corner = 1;
#pragma unroll(DEPTH ? DEPTH : 1)
    for (int m = 0; m < depth; m++) {
        const T four = (now + right) + (below + corner);
        s.at(FOUR, m) = four;
        if (m == n_levels) break;
        const T sum_below = from_below(s.at(BACK_SUM, m), carried(UP_SUM, m), (T)0, lane);
        below = from_below(s.at(BACK_VALUE, m), carried(UP_VALUE, m), (T)1, lane);
        const T rest = ends ? ends[m * stride] : s.at(REST, m) - cell * four;
        // What is known to be 0 and 1 is not left to rounding.
        const T sum = border ? (T)0 : sum_below - rest;
        right = s.at(BACK_VALUE, m);
        corner = s.at(CORNER, m);
        now = exp_of(sum);
        s.at(REST, m) = rest;
        s.at(BACK_SUM, m) = sum;
        s.at(BACK_VALUE, m) = now;
        s.at(BELOW, m) = below;
    }
    // The sum of W around the node below and to the right; of the deepest kernel, what stands for it.
    T around = seed, derivative = 0;
#pragma unroll(DEPTH ? DEPTH : 1)
    for (int m = depth - 1; m >= 0; m--) {
        const T column = from_below(s.at(COLUMN, m), carried(UP_COLUMN, m), (T)0, lane);
        const T weight_below = from_below(s.at(WEIGHT, m), carried(UP_WEIGHT, m), (T)0, lane);
        const T by_sum = m < n_levels ? s.at(CORNER, m) * around : around;
        s.at(COLUMN, m) = column + by_sum;
        s.at(BY_CELL, m) += column + by_sum;
        const T by_cell = s.at(BY_CELL, m), weight = cell * by_cell;
        derivative += by_cell * s.at(FOUR, m);
        around = (weight + s.at(WEIGHT, m)) + (weight_below + s.at(WEIGHT_BELOW, m));
        s.at(WEIGHT, m) = weight;
        s.at(WEIGHT_BELOW, m) = weight_below;
        if (m < n_levels) s.at(CORNER, m) = s.at(BELOW, m);
    }
    return derivative;
}

// The last row of the grid, from the carry of the last band, as what a band below would leave.
template <typename T>
__device__ void start_below(const Problem& p, int depth, const T* last_row, T* up) {
    for (long long i = threadIdx.x; i < depth * (p.columns + 1LL); i += blockDim.x) {
        const int m = (int)(i / (p.columns + 1)), node = (int)(i - m * (p.columns + 1LL));
        const T sum = node > 0 ? last_row[(CARRIED_SUM * depth + m) * (long long)p.carry + node + 30] : (T)0;
        T* const to = up + node + 31;
        to[(UP_SUM * depth + m) * (long long)p.carry] = sum;
        to[(UP_VALUE * depth + m) * (long long)p.carry] = exp_of(sum);
        to[(UP_WEIGHT * depth + m) * (long long)p.carry] = 0;
        to[(UP_COLUMN * depth + m) * (long long)p.carry] = 0;
    }
}

// 32 steps of one band. In the window derivatives take the place of the coefficients, row by row of the refined grid;
// each when the first of its cell's columns is done, `by_columns` being its sum so far. `seeds`: derivatives by the
// nodes of the grid, or null; then `seed` is that by the last one.
template <typename T, int DEPTH, bool GRIDS>
__device__ void sweep_back(const Problem& p, Depths<T, DEPTH, N_KEPT_BACK>& s, T* window, const T* below, T* above,
                           const T* ends, int row, int tile, int lane, const T* seeds, T seed, T& by_columns) {
    const int depth = s.depth(), parts = p.order2 < 31 ? (1 << p.order2) - 1 : 0x7fffffff;
#pragma unroll 1
    for (int step = 32 * tile + 31; step >= 32 * tile; step--) {
        const int column = step - lane;
        const bool counts = row < p.rows && column >= 0 && column < p.columns;
        T by_last = 0;
        if (GRIDS) {
            if (counts) by_last = seeds[(row + 1LL) * (p.columns + 1) + column + 1];
        } else if (row == p.rows - 1 && column == p.columns - 1) {
            by_last = seed;
        }
        T* const cell = window + lane * STRIDE + ((column >> p.order2) & (WINDOW - 1));
        const bool inside = column >= 0 && column <= p.columns;
        const T d = retreat<T, DEPTH, GRIDS>(s, *cell, inside ? below + column + 31 : nullptr, p.carry,
                                             column == p.columns ? ends + row : nullptr, 32LL * p.n_bands,
                                             row == 0 || column == 0, by_last, lane);
        by_columns = (column & parts) == parts ? d : by_columns + d;
        if ((column & parts) == 0) *cell = by_columns;
        if (lane > 0 || !inside) continue;
#pragma unroll(DEPTH ? DEPTH : 1)
        for (int m = 0; m < depth; m++) {
            T* const to = above + m * (long long)p.carry + column + 31;
            const long long part = depth * (long long)p.carry;
            to[UP_SUM * part] = s.at(BACK_SUM, m);
            to[UP_VALUE * part] = s.at(BACK_VALUE, m);
            to[UP_WEIGHT * part] = s.at(WEIGHT, m);
            to[UP_COLUMN * part] = s.at(COLUMN, m);
        }
    }
}
