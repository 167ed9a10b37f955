// The adjoint of `fill`: from the derivatives of 32 columns of cells to those of two paths.
//
// A cell takes part in the gradient of R or fewer rows of the band and of one column. Sums over the band's rows, for
// `path2`, are made with a lane for each column; sums over the columns, for `path1`, with a lane for each row. For
// kernels of points it is nodes instead of cells: a node's weight is the double difference of the derivatives of the
// four cells around it, or of those that are in the band; a lane takes the nodes to the right of its column, and tile -1
// is that of the first nodes alone. A node row between two bands gets its sum in two parts.
#pragma once
#include "signature_kernel_cells.cuh"

// What one pair's gradient goes to; null where it is not wanted.
template <typename T>
struct Gradients {
    T* first;           // (bands, rows of cells or nodes in a band, d), or the cells (n1, n2) if they were given
    T* second;          // (n2, d) increments or (n2 + 1, d) points
    bool parameters;
    double* gp;         // three numbers of this lane
};

// Shared memory of a warp besides Room.
template <typename T>
struct PullRoom {
    T* weights;         // (32 R + 1, SLOPE_STRIDE)
    T* letters2;        // (32, C)
    T* right;           // (2, band_cells + 1): derivatives of the first column of a tile, read and written in turn
};

// Derivatives of the band's cells in the lane's column, summed over the rows of the refined grid, to `weights`.
template <typename T, int R>
__device__ __forceinline__ void sum_parts(const Problem& p, int first, int j, int lane, const T* column, T* weights) {
    const int parts = p.order1 < 12 ? smaller(1 << p.order1, 32 * R) : 32 * R;
    for (int i = 0; i < p.band_cells; i++) {
        T sum = 0;
        if (j >= 0 && j < p.n2 && first + i < p.n1)
            for (int part = 0; part < parts; part++) sum += column[(i * parts + part) * STRIDE];
        weights[i * 33 + lane] = sum;
    }
}

// From derivatives of cells to the derivatives of nodes' <x, y>, or twice those of |x - y|^2.
template <typename T, int SOURCE, int C>
__device__ void node_weights(const Problem& p, const StaticKernel<T>& s, const T* path1, const T* path2, T factor,
                             int first, int tile, bool begins, int lane, const Room<T>& at, const PullRoom<T>& pull,
                             const Gradients<T>& to) {
    const int n = p.band_cells, j = 32 * tile + lane, node = smaller(larger(j + 1, 0), p.n2);
    T* column = at.window + (j & (WINDOW - 1));
    const T* right = pull.right + (tile & 1) * (n + 1);
    T* next_right = pull.right + (1 - (tile & 1)) * (n + 1);
    T letters[C];
    int c0 = 0;
    for (; c0 + C < p.d; c0 += C) {
        __syncwarp();
        stage<T, SOURCE, C>(path1, p.d, c0, first, n + 1, p.n1 + 1, factor, lane, at.letters);
        fetch<T, SOURCE, C>(path2, p.d, c0, node, true, letters);
        __syncwarp();
        for (int row = 0; row <= n; row++) {
            const T sum = c0 > 0 ? column[row * STRIDE] : (T)0;
            column[row * STRIDE] = add_argument<T, SOURCE, C>(sum, at.letters + row * C, letters);
        }
    }
    __syncwarp();
    stage<T, SOURCE, C>(path1, p.d, c0, first, n + 1, p.n1 + 1, factor, lane, at.letters);
    fetch<T, SOURCE, C>(path2, p.d, c0, node, true, letters);
    __syncwarp();
    T before = 0;
    for (int row = 0; row <= n; row++) {
        T difference = 0;
        if (row < n) {
            const T mine = pull.weights[row * 33 + lane];
            T next = __shfl_down_sync(ALL_LANES, mine, 1);
            if (lane == 31) next = begins ? (T)0 : right[row];
            if (lane == 0) next_right[row] = mine;
            difference = mine - next;
        }
        const T sum = c0 > 0 ? column[row * STRIDE] : (T)0;
        const T v = add_argument<T, SOURCE, C>(sum, at.letters + row * C, letters);
        pull.weights[row * 33 + lane] =
            kappa_derivs_of<T, SOURCE>(s, v, (before - difference) * factor, to.parameters, to.gp);
        before = difference;
    }
}

// u (x - y) or u y, to one letter of x.
template <typename T, int SOURCE>
__device__ __forceinline__ T pulled(T u, T x, T y) {
    return SOURCE == FROM_DISTANCES ? u * (x - y) : u * y;
}

template <typename T>
__device__ __forceinline__ void add_to(T* numbers, int c0, int d, const T* sums, int n, bool overwrites) {
    for (int c = 0; c < n && c0 + c < d; c++) numbers[c0 + c] = overwrites ? sums[c] : numbers[c0 + c] + sums[c];
}

// Weights times letters: sums over rows to `to.second`, over columns to `to.first`, whose rows start with the band's.
template <typename T, int SOURCE, int C>
__device__ void pull_letters(const Problem& p, const T* path1, const T* path2, T factor, int first, int tile,
                             bool first_of_band, bool first_band, int lane, const Room<T>& at,
                             const PullRoom<T>& pull, const Gradients<T>& to) {
    constexpr int POINTS = SOURCE != FROM_INCREMENTS;
    const int n = p.band_cells, node = 32 * tile + lane + POINTS;
    for (int c0 = 0; c0 < p.d; c0 += C) {
        __syncwarp();
        stage<T, SOURCE, C>(path1, p.d, c0, first, n + POINTS, p.n1 + POINTS, factor, lane, at.letters);
        stage<T, SOURCE, C>(path2, p.d, c0, node - lane, 32, p.n2 + POINTS, factor, lane, pull.letters2);
        __syncwarp();
        T mine[C], others[C], sums[C];
        load_letters<T, C>(pull.letters2 + lane * C, mine);
        if (to.second && node >= 0 && node < p.n2 + POINTS) {
            for (int c = 0; c < C; c++) sums[c] = 0;
            for (int row = 0; row < n + POINTS; row++) {
                const T u = pull.weights[row * 33 + lane];
                load_letters<T, C>(at.letters + row * C, others);
#pragma unroll
                for (int c = 0; c < C; c++) sums[c] += pulled<T, SOURCE>(u, mine[c], others[c]);
            }
            add_to(to.second + (long long)node * p.d, c0, p.d, sums, C, first_band);
        }
        if (!to.first) continue;
        for (int row = lane; row < n; row += 32) {
            T x[C];
            load_letters<T, C>(at.letters + row * C, x);
            for (int c = 0; c < C; c++) sums[c] = 0;
            for (int k = 0; k < 32; k++) {
                const T u = pull.weights[row * 33 + k];
                load_letters<T, C>(pull.letters2 + k * C, others);
#pragma unroll
                for (int c = 0; c < C; c++) sums[c] += pulled<T, SOURCE>(u, x[c], others[c]);
            }
            add_to(to.first + (long long)row * p.d, c0, p.d, sums, C, first_of_band);
        }
        if constexpr (POINTS) {
            // The last row, one more than lanes may be: a lane for each column.
            const T u = pull.weights[n * 33 + lane];
            load_letters<T, C>(at.letters + n * C, others);
            for (int c = 0; c < C; c++) {
                sums[c] = pulled<T, SOURCE>(u, others[c], mine[c]);
                for (int k = 16; k > 0; k /= 2) sums[c] += __shfl_xor_sync(ALL_LANES, sums[c], k);
            }
            if (lane == 0) add_to(to.first + (long long)n * p.d, c0, p.d, sums, C, first_of_band);
        }
    }
}

// The window's derivatives of the cells of tile `tile`, in the band that starts in row `first` of cells, to gradients.
// first_of_band: the tile is the band's first, the rightmost; first_band: no other band has been there before.
template <typename T, int SOURCE, int C, int R>
__device__ void pull(const Problem& p, const StaticKernel<T>& s, const T* path1, const T* path2, T factor, int first,
                     int tile, bool first_of_band, bool first_band, int lane, const Room<T>& at,
                     const PullRoom<T>& room, const Gradients<T>& to) {
    const int j = 32 * tile + lane;
    __syncwarp();
    sum_parts<T, R>(p, first, j, lane, at.window + (j & (WINDOW - 1)), room.weights);
    if constexpr (SOURCE == FROM_CELLS) {
        for (int row = 0; row < p.band_cells; row++) {
            if (j >= p.n2 || first + row >= p.n1) continue;
            const T v = room.weights[row * 33 + lane] * factor;
            T* cell = to.first + (long long)(first + row) * p.n2 + j;
            *cell = first_band ? v : *cell + v;
        }
    } else {
        if constexpr (SOURCE != FROM_INCREMENTS)
            node_weights<T, SOURCE, C>(p, s, path1, path2, factor, first, tile, first_of_band, lane, at, room, to);
        pull_letters<T, SOURCE, C>(p, path1, path2, factor, first, tile, first_of_band, first_band, lane, at, room, to);
    }
    __syncwarp();
}
