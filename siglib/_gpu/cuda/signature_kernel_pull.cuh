// The adjoint of `fill`: from the derivatives of 32 columns of cells to those of two paths.
//
// A cell takes part in the gradient of R or fewer rows of the band and of one column. Sums over the band's rows, for
// `path2`, are made with a lane for each column; sums over the columns, for `path1`, with a lane for each row. For
// kernels of points it is nodes instead of cells: a node's weight is the double difference of the derivatives of the
// four cells around it, or of those that are in the band; a lane takes the nodes to the right of its column, and tile
// -1 is that of the first nodes alone. A node row between two bands gets its sum in two parts.
#pragma once
#include "signature_kernel_cells.cuh"

// From one row of slopes, or of weights, to the next: lanes may read a row or a column without meeting in a bank.
constexpr int SLOPE_STRIDE = 33;

// Steps of a loop that are unrolled: none in float64, where arithmetic takes longer than what is around it, and kernels
// take longest to compile.
template <typename T>
constexpr int SIDE_BY_SIDE = sizeof(T) == 8 ? 1 : 4;

// What one pair's gradient goes to; null where it is not wanted.
template <typename T>
struct Gradients {
    T* first;   // (bands, rows of cells or nodes in a band, d), or the cells (n1, n2) if they were given
    T* second;  // (n2, d) increments or (n2 + 1, d) points
    bool parameters;
    double* gp;  // three numbers of this lane
};

// Shared memory of a warp besides Room.
template <typename T>
struct PullRoom {
    T* weights;   // (32 R + 1, SLOPE_STRIDE): of a tile's cells or nodes; while it is swept, its slopes
    T* used;      // (32 / LOOK, 32): the exponents of slopes
    T* letters2;  // (32, C)
    T* right;     // (2, band_cells + 1): derivatives of the first column of a tile, read and written in turn
};

// Its size, before and behind the rest.
template <typename T, int SOURCE, int C, int R>
struct PullSizes {
    static constexpr int POINTS = SOURCE == FROM_PRODUCTS || SOURCE == FROM_DISTANCES;
    int first, last;
    __device__ PullSizes(const Problem& p)
        : first(SOURCE == FROM_CELLS ? 0 : 32 * C),
          last((32 * R + 1) * SLOPE_STRIDE + 1024 / Pace<T, R>::LOOK + (POINTS ? 2 * (p.band_cells + 1) : 0)) {}
    __device__ PullRoom<T> room(const Problem& p, const Room<T>& room) const {
        T* weights = room.edges + (POINTS ? 2 * (p.band_cells + 1) : 0);
        T* used = weights + (32 * R + 1) * SLOPE_STRIDE;
        return {weights, used, room.own, used + 1024 / Pace<T, R>::LOOK};
    }
};

// Tiles for `fill`, from ... to: from left to right, beginning with tile -1, or from right to left.
struct Tiles {
    int from, to, beginning;
    bool rightwards;
};

// `fill` of tiles, the first of which is only a beginning if it is `beginning`. From right to left each row of cells is
// there as many times as it has rows in the refined grid, and tile -1 is zeros. One place for both ways: this is most
// of what the compiler has to do.
template <typename T, int SOURCE, int C, int R>
__device__ __forceinline__ void fill_tiles(const Problem& p, const StaticKernel<T>& s, const T* path1, const T* path2,
                                           T factor, int first, const Tiles& tiles, int lane, const Room<T>& at) {
    const int n_tiles = (tiles.rightwards ? tiles.to - tiles.from : tiles.from - tiles.to) + 1;
    for (int i = 0; i < n_tiles; i++) {
        const int tile = tiles.rightwards ? tiles.from + i : tiles.from - i;
        T* column = at.window + ((32 * tile + lane) & (WINDOW - 1));
        if (tile < 0 && !tiles.rightwards) {
#pragma unroll 4
            for (int i = 0; i < 32 * R; i++) column[i * STRIDE] = 0;
        } else {
            fill<T, SOURCE, C>(p, s, path1, path2, factor, first, tile, tile & 1, tile == tiles.beginning,
                               tiles.rightwards, lane, at);
            if (p.order1 > 0 && !tiles.rightwards)
#pragma unroll 2
                for (int i = 32 * R - 1; i >= 0; i--)
                    column[i * STRIDE] = column[smaller(i >> p.order1, p.band_cells - 1) * STRIDE];
        }
        __syncwarp();
    }
}

// Derivatives of the band's cells in the lane's column, summed over the rows of the refined grid, to `weights`.
template <typename T, int R>
__device__ __forceinline__ void sum_parts(const Problem& p, int first, int j, int lane, const T* column, T* weights) {
    const int parts = p.order1 < 12 ? smaller(1 << p.order1, 32 * R) : 32 * R;
#pragma unroll(SIDE_BY_SIDE<T>)
    for (int i = 0; i < p.band_cells; i++) {
        T sum = 0;
        if (j >= 0 && j < p.n2 && first + i < p.n1)
#pragma unroll 1
            for (int part = 0; part < parts; part++) sum += column[(i * parts + part) * STRIDE];
        weights[i * SLOPE_STRIDE + lane] = sum;
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
    sum_products<T, SOURCE, C>(p, path1, path2, factor, first, node, true, lane, column, at.letters);
    T before = 0;
    for (int row = 0; row <= n; row++) {
        T difference = 0;
        if (row < n) {
            const T mine = pull.weights[row * SLOPE_STRIDE + lane];
            T next = __shfl_down_sync(ALL_LANES, mine, 1);
            if (lane == 31) next = begins ? (T)0 : right[row];
            if (lane == 0) next_right[row] = mine;
            difference = mine - next;
        }
        pull.weights[row * SLOPE_STRIDE + lane] =
            kappa_derivs_of<T, SOURCE>(s, column[row * STRIDE], (before - difference) * factor, to.parameters, to.gp);
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
                             bool first_of_band, bool first_band, int lane, const Room<T>& at, const PullRoom<T>& pull,
                             const Gradients<T>& to) {
    constexpr int POINTS = SOURCE != FROM_INCREMENTS;
    const int n = p.band_cells, first2 = 32 * tile + POINTS;
    for (int c0 = 0; c0 < p.d; c0 += C) {
        __syncwarp();
#pragma unroll 1
        for (int side = 0; side < 2; side++)
            stage<T, SOURCE, C>(side ? path2 : path1, p.d, c0, side ? first2 : first, side ? 32 : n + POINTS,
                                (side ? p.n2 : p.n1) + POINTS, factor, lane, side ? pull.letters2 : at.letters);
        __syncwarp();
        T mine[C], others[C], sums[C];
        // A lane for each row and sums over columns, or a lane for each column and sums over rows: one loop for both,
        // as in many other places here, because whatever stands in two places is compiled twice.
#pragma unroll 1
        for (int side = 0; side < 2; side++) {
            T* const target = side ? to.second : to.first;
            if (!target) continue;
            const T *const own = side ? pull.letters2 : at.letters, *const rest = side ? at.letters : pull.letters2;
            const int n_sums = side ? n + POINTS : 32, step = side ? SLOPE_STRIDE : 1;
            const int end = side ? smaller(p.n2 + POINTS - first2, 32) : n, shift = side ? first2 : 0;
            for (int i = lane; i < end; i += 32) {
                if (shift + i < 0) continue;
                const T* weight = pull.weights + i * (side ? 1 : SLOPE_STRIDE);
                load_letters<T, C>(own + i * C, mine);
#pragma unroll
                for (int c = 0; c < C; c++) sums[c] = 0;
#pragma unroll(larger(SIDE_BY_SIDE<T> / 2, 1))
                for (int k = 0; k < n_sums; k++) {
                    const T u = weight[k * step];
                    load_letters<T, C>(rest + k * C, others);
#pragma unroll
                    for (int c = 0; c < C; c++) sums[c] += pulled<T, SOURCE>(u, mine[c], others[c]);
                }
                add_to(target + (long long)(shift + i) * p.d, c0, p.d, sums, C, side ? first_band : first_of_band);
            }
        }
        if (!to.first) continue;
        if constexpr (POINTS) {
            // The last row, one more than lanes may be: a lane for each column.
            const T u = pull.weights[n * SLOPE_STRIDE + lane];
            constexpr int TOGETHER = C < 4 ? C : 4;
#pragma unroll 1
            for (int c = 0; c < C; c += TOGETHER) {
#pragma unroll
                for (int i = 0; i < TOGETHER; i++)
                    sums[i] = pulled<T, SOURCE>(u, at.letters[n * C + c + i], pull.letters2[lane * C + c + i]);
#pragma unroll 1
                for (int k = 16; k > 0; k /= 2)
#pragma unroll
                    for (int i = 0; i < TOGETHER; i++) sums[i] += __shfl_xor_sync(ALL_LANES, sums[i], k);
                if (lane == 0) add_to(to.first + (long long)n * p.d, c0 + c, p.d, sums, TOGETHER, first_of_band);
            }
        }
    }
}

// The window's derivatives of the cells of tile `tile`, in the band that starts in row `first` of cells, to gradients.
// first_of_band: the tile is the band's first, the rightmost; first_band: no other band has been there before.
template <typename T, int SOURCE, int C, int R>
__device__ void pull(const Problem& p, const StaticKernel<T>& s, const T* path1, const T* path2, T factor, int first,
                     int tile, bool first_of_band, bool first_band, int lane, const Room<T>& at,
                     const PullRoom<T>& room, const Gradients<T>& to) {
    // Behind the last tile to the left comes -1, for kernels of points.
    const int end = tile == 0 && SOURCE != FROM_CELLS && SOURCE != FROM_INCREMENTS ? -1 : tile;
    for (int at_tile = tile; at_tile >= end; at_tile--) {
        const int j = 32 * at_tile + lane;
        const bool begins = first_of_band && at_tile == tile;
        __syncwarp();
        sum_parts<T, R>(p, first, j, lane, at.window + (j & (WINDOW - 1)), room.weights);
        if constexpr (SOURCE == FROM_CELLS) {
            for (int row = 0; row < p.band_cells; row++) {
                if (j >= p.n2 || first + row >= p.n1) continue;
                const T v = room.weights[row * SLOPE_STRIDE + lane] * factor;
                T* cell = to.first + (long long)(first + row) * p.n2 + j;
                *cell = known(first_band ? v : *cell + v);
            }
        } else {
            if constexpr (SOURCE != FROM_INCREMENTS)
                node_weights<T, SOURCE, C>(p, s, path1, path2, factor, first, at_tile, begins, lane, at, room, to);
            pull_letters<T, SOURCE, C>(p, path1, path2, factor, first, at_tile, begins, first_band, lane, at, room, to);
        }
        __syncwarp();
    }
}

// The derivative by the kernel of a pair, or by that and the mirrored one, or by their logarithm; unknown if the kernel
// is.
template <typename T>
__device__ __forceinline__ T seed_of(const T* derivs, int layout, long long a, long long b, long long batch2,
                                     long long log_derivs, T value) {
    T seed = derivs[layout == PAIRWISE ? a : a * batch2 + b];
    if (layout == SYMMETRIC && a != b) seed += derivs[b * batch2 + a];
    return log_derivs ? seed / value : known(value) == value ? seed : Range<T>::unknown();
}

// Derivatives of cells that count are above 2^limit: for the derivative `seed` by the kernel value * 2^exponent.
template <typename T>
__device__ __forceinline__ int limit_of(T seed, const double* results) {
    return exponent_of(magnitude(seed * (T)results[0])) + (int)results[1] + Range<T>::ROUNDING;
}

// The sums of all threads' gp to three numbers, in a fixed order. All threads of the block come here.
template <typename T, int SOURCE>
__device__ void sum_numbers(long long size, long long d, const T* y, const T* second, double scale, double* gp,
                            double (*sums)[3], double* out) {
    const int lane = threadIdx.x & 31, n_warps = blockDim.x >> 5;
    if (SOURCE == FROM_INCREMENTS) {
        // scale^2 <x, y>: scale times the derivative by it is 2 sum <y, dF/dy>.
        for (long long i = threadIdx.x; i < size; i += blockDim.x) gp[0] += (double)((y[i + d] - y[i]) * second[i]);
        gp[0] = scale == 0 ? 0 : gp[0] * 2 / scale;
    }
#pragma unroll 1
    for (int i = 0; i < 3; i++) {
        double sum = i == 0 ? gp[0] : i == 1 ? gp[1] : gp[2];
#pragma unroll 1
        for (int k = 16; k > 0; k /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, k);
        if (lane == 0) sums[threadIdx.x >> 5][i] = sum;
    }
    __syncthreads();
    if (threadIdx.x < 3) {
        double sum = 0;
#pragma unroll 1
        for (int i = 0; i < n_warps; i++) sum += sums[i][threadIdx.x];
        out[threadIdx.x] = sum;
    }
    __syncthreads();
}
