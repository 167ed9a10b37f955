// From two paths to the coefficients of the cells of the grid, in a window of shared memory.
//
// The grid of a pair of paths has n1 x n2 cells; a dyadic order cuts each into 2^order1 rows and 2^order2 columns with
// one coefficient: `rows` and `columns` count the refined ones. A warp takes a band of 32 R rows, lane l the rows
// l R ... l R + R - 1 of it, from left to right, each lane one column behind the lane before. So the columns that a
// warp works on at a time are at most 32 apart: a window of 64 columns of cells, filled 32 at a time, holds them.
//
// A fill is done by columns: each lane takes one column of cells and goes down the band's rows of cells, whose letters
// it reads from shared memory, the same for all lanes. Kernels of points are evaluated once at every node: differences
// between columns come from the neighbouring lane, those between rows from the row before.
#pragma once
#include "signature_kernel_points.cuh"

// Columns of the window, and numbers from one of its rows to the next: no two lanes that read their own rows, each one
// column behind the lane before, meet in a bank.
constexpr int WINDOW = 64, STRIDE = 66;

struct Problem {
    int n1, n2, d;         // cells, channels
    int order1, order2;    // dyadic orders
    int rows, columns;     // of the refined grid
    int n_bands, n_tiles;  // of 32 R rows; of 32 steps of a warp: the last lane starts 31 steps after the first
    int band_cells;        // rows of cells in a band
    int carry;             // numbers that go from one band to the next, and as many / LOOK exponents
};

template <typename T, int R>
__device__ __forceinline__ Problem make_problem(long long n1, long long n2, long long d, long long order1,
                                                long long order2) {
    Problem p;
    p.n1 = (int)n1, p.n2 = (int)n2, p.d = (int)d;
    p.order1 = (int)order1, p.order2 = (int)order2;
    p.rows = p.n1 << p.order1;
    p.columns = p.n2 << p.order2;
    p.n_bands = (p.rows - 1) / (32 * R) + 1;
    p.n_tiles = (p.columns + 30) / 32 + 1;
    p.band_cells = p.order1 < 12 ? larger((32 * R) >> p.order1, 1) : 1;
    p.carry = 32 * p.n_tiles + 32;
    return p;
}

// Which pairs of paths: (i, i); all, row by row; all (a, b) with a <= b of one batch, row by row.
enum { PAIRWISE, GRAM, SYMMETRIC };

__device__ __forceinline__ void pair_of(int layout, long long pair, long long batch1, long long batch2, long long* a,
                                        long long* b) {
    if (layout == PAIRWISE) {
        *a = *b = pair;
    } else if (layout == GRAM) {
        *a = quotient(pair, batch2);
        *b = pair - *a * batch2;
    } else {
        // Counted from the end, rows of the upper triangle are 1, 2, 3, ... long.
        const long long rest = batch1 * (batch1 + 1) / 2 - 1 - pair;
        long long row = (long long)((sqrt(8.0 * (double)rest + 1) - 1) / 2);
        while (row * (row + 1) / 2 > rest) row--;
        while ((row + 1) * (row + 2) / 2 <= rest) row++;
        *a = batch1 - 1 - row;
        *b = batch1 - 1 - (rest - row * (row + 1) / 2);
    }
}

// A warp's shared memory.
template <typename T>
struct Room {
    T* own;      // what a kernel needs besides; like `letters` it is read 16 bytes at a time
    T* letters;  // (band_cells + 1, C): of the band's points or increments
    T* window;   // (n_rows, STRIDE)
    T* edges;    // (2, band_cells + 1): the kernel at the nodes between two fills, read and written in turn
};

// That of warp `warp`, whose window has `n_rows` rows. Sizes as in `shared_numbers` of signature_kernel.py: first what
// a kernel needs of its own at the beginning, last at the end.
template <typename T, int SOURCE, int C>
__device__ __forceinline__ Room<T> make_room(const Problem& p, int n_rows, int warp, int first = 0, int last = 0) {
    const int n = p.band_cells + 1, letters = SOURCE == FROM_CELLS ? 0 : (n * C + 3) / 4 * 4;
    const int edges = SOURCE == FROM_CELLS || SOURCE == FROM_INCREMENTS ? 0 : 2 * n;
    Room<T> room;
    room.own = dyn_smem<T>() + (long long)warp * (first + letters + (n_rows * STRIDE + edges + last + 3) / 4 * 4);
    room.letters = room.own + first;
    room.window = room.letters + letters;
    room.edges = room.window + n_rows * STRIDE;
    return room;
}

// Numbers of a band's part of a path to shared memory: letters c0 ... c0 + C - 1 of rows first ... first + n - 1,
// points or increments times `factor`, and 0 outside of the path's `n_valid` rows and d letters.
template <typename T, int SOURCE, int C>
__device__ __forceinline__ void stage(const T* path, int d, int c0, int first, int n, int n_valid, T factor, int lane,
                                      T* letters) {
    // Several loads are on their way at a time.
    constexpr int STEP = 32 / C, TOGETHER = 4;
    const int c = lane % C, step = STEP * d;
    const T* at = path + (long long)(first + lane / C) * d + c0 + c;
    // Of the rows from the first one on: the path's.
    const int begin = -first, end = c0 + c < d ? n_valid - first : 0;
#pragma unroll 1
    for (int row = lane / C; row < n; row += TOGETHER * STEP) {
        T v[TOGETHER];
#pragma unroll
        for (int k = 0; k < TOGETHER; k++) {
            const bool inside = row + k * STEP >= begin && row + k * STEP < end;
            v[k] = !inside ? (T)0 : SOURCE == FROM_INCREMENTS ? (at[d] - at[0]) * factor : at[0];
            at += step;
        }
#pragma unroll
        for (int k = 0; k < TOGETHER; k++)
            if (row + k * STEP < n) letters[(row + k * STEP) * C + c] = v[k];
    }
}

// The same letters of one row, for one lane.
template <typename T, int SOURCE, int C>
__device__ __forceinline__ void fetch(const T* path, int d, int c0, int row, bool valid, T* letters) {
    const T* at = path + (long long)row * d + c0;
#pragma unroll
    for (int c = 0; c < C; c++) {
        letters[c] = 0;
        if (valid && c0 + c < d) letters[c] = SOURCE == FROM_INCREMENTS ? at[d + c] - at[c] : at[c];
    }
}

// a + <x, y>, or a + |x - y|^2, of C letters.
template <typename T, int SOURCE, int C>
__device__ __forceinline__ T add_argument(T a, const T* x, const T* y) {
    T letters[C];
    load_letters<T, C>(x, letters);
#pragma unroll
    for (int c = 0; c < C; c++) {
        if constexpr (SOURCE == FROM_DISTANCES) {
            const T u = letters[c] - y[c];
            a += u * u;
        } else {
            a += letters[c] * y[c];
        }
    }
    return a;
}

// <x, y> or |x - y|^2 of the band's rows, one more for kernels of points, and a lane's column, to the window's
// `column`. `rows` is room for letters of the rows.
template <typename T, int SOURCE, int C>
__device__ __forceinline__ void sum_products(const Problem& p, const T* path1, const T* path2, T factor, int first,
                                             int node, bool valid, int lane, T* column, T* rows) {
    constexpr int POINTS = SOURCE != FROM_INCREMENTS;
    const int n = p.band_cells + POINTS;
    int c0 = 0;
    do {
        T letters[C];
        __syncwarp();
        stage<T, SOURCE, C>(path1, p.d, c0, first, n, p.n1 + POINTS, factor, lane, rows);
        fetch<T, SOURCE, C>(path2, p.d, c0, node, valid, letters);
        __syncwarp();
        for (int row = 0; row < n; row++) {
            const T sum = c0 > 0 ? column[row * STRIDE] : (T)0;
            column[row * STRIDE] = add_argument<T, SOURCE, C>(sum, rows + row * C, letters);
        }
        c0 += C;
    } while (c0 < p.d);
}

// The window's rows of cells 0 ... band_cells - 1 of the band that starts in row `first` of cells, for the columns of
// tile `tile` of 32 columns: coefficients times `factor`, 0 outside of the grid.
//
// rightwards: tiles come from left to right, else from right to left; cells are the same, to the last bit, both ways.
// `parity` is that of the tile's number. A sweep `begins` with tile -1 or the one behind the last: that gives zeros,
// and the kernel at the edge of the next tile.
template <typename T, int SOURCE, int C>
__device__ __forceinline__ void fill(const Problem& p, const StaticKernel<T>& s, const T* path1, const T* path2,
                                     T factor, int first, int tile, int parity, bool begins, bool rightwards, int lane,
                                     const Room<T>& at) {
    const int j = 32 * tile + lane, n = p.band_cells;
    const bool inside = j >= 0 && j < p.n2;
    T* column = at.window + (j & (WINDOW - 1));
    if constexpr (SOURCE == FROM_CELLS) {
        for (int row = 0; row < n; row++) {
            const bool valid = inside && first + row < p.n1;
            column[row * STRIDE] = valid ? path1[(long long)(first + row) * p.n2 + j] * factor : (T)0;
        }
    } else {
        constexpr bool POINTS = SOURCE != FROM_INCREMENTS;
        // Points: the node to the right of the cell, going rightwards, else to the left.
        const int node = POINTS ? smaller(larger(rightwards ? j + 1 : j, 0), p.n2) : j;
        const T* edge = at.edges + (parity & 1) * (n + 1);
        T* next_edge = at.edges + (1 - (parity & 1)) * (n + 1);
        sum_products<T, SOURCE, C>(p, path1, path2, factor, first, node, POINTS || inside, lane, column, at.letters);
        if constexpr (POINTS) {
            T before = 0;
            for (int row = 0; row <= n; row++) {
                const T kappa = kappa_of<T, SOURCE>(s, column[row * STRIDE]);
                T other = __shfl_sync(ALL_LANES, kappa, (lane + (rightwards ? 31 : 1)) & 31);
                if (lane == (rightwards ? 0 : 31) && !begins) other = edge[row];
                if (lane == (rightwards ? 31 : 0)) next_edge[row] = kappa;
                const T difference = rightwards ? kappa - other : other - kappa;
                if (row > 0) {
                    const bool valid = inside && first + row <= p.n1;
                    column[(row - 1) * STRIDE] = valid ? (difference - before) * factor : (T)0;
                }
                before = difference;
            }
        }
    }
    __syncwarp();
}

// `fill` from left to right, with its beginning before the first tile.
template <typename T, int SOURCE, int C>
__device__ __forceinline__ void fill_on(const Problem& p, const StaticKernel<T>& s, const T* path1, const T* path2,
                                        T factor, int first, int tile, int lane, const Room<T>& at) {
    for (int i = tile == 0 ? -1 : tile; i <= tile; i++)
        fill<T, SOURCE, C>(p, s, path1, path2, factor, first, i, i & 1, i < 0, true, lane, at);
}

// Where the nodes of one pair's grid go: (rows + 1, columns + 1), and transposed to the grid of the mirrored pair.
template <typename T>
struct Grid {
    T* nodes;
    T* mirrored;
};

template <typename T>
__device__ __forceinline__ void first_nodes(const Problem& p, const Grid<T>& grid) {
    for (int i = threadIdx.x; i <= p.rows; i += blockDim.x) grid.nodes[(long long)i * (p.columns + 1)] = 1;
    for (int j = 1 + threadIdx.x; j <= p.columns; j += blockDim.x) grid.nodes[j] = 1;
    if (!grid.mirrored) return;
    for (int j = threadIdx.x; j <= p.columns; j += blockDim.x) grid.mirrored[(long long)j * (p.rows + 1)] = 1;
    for (int i = 1 + threadIdx.x; i <= p.rows; i += blockDim.x) grid.mirrored[i] = 1;
}
