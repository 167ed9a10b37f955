// Sums of pairs' gradients, in the order of the pairs: from the scratch memory of `signature_kernel_backprop.cu` to the
// gradients of paths. One thread for each number of the result; no result depends on how pairs were cut into calls.
#include "signature_kernel_cells.cuh"

// Number c of cell or node row `row` of the first path of one pair: bands that share a row have their parts of it.
template <typename T, int POINTS, int R>
__device__ __forceinline__ T row_of_bands(const Problem& p, const T* gradient, int row, int c) {
    const int first_cell = larger(row - POINTS, 0), last_cell = smaller(row, p.n1 - 1);
    const int first = (int)(((long long)first_cell << p.order1) / (32 * R));
    const int last = (int)(((((long long)last_cell + 1) << p.order1) - 1) / (32 * R));
    T sum = 0;
    for (int band = first; band <= last; band++) {
        const int i = row - (int)(((long long)band * 32 * R) >> p.order1);
        if (i >= 0 && i < p.band_cells + POINTS)
            sum += gradient[((long long)band * (p.band_cells + POINTS) + i) * p.d + c];
    }
    return sum;
}

// The same where rows of the refined grid were summed in groups, `groups` to a cell.
template <typename T>
__device__ __forceinline__ T row_of_groups(const Problem& p, const T* gradient, int groups, int row, int c) {
    T sum = 0;
    for (int i = 0; i < groups; i++) sum += gradient[((long long)row * groups + i) * p.d + c];
    return sum;
}

// The part of one pair in number c of point `point` of its first or second path.
template <typename T, int POINTS, int R, bool SECOND>
__device__ __forceinline__ T part_of(const Problem& p, const T* gradient, int groups, int point, int c) {
    const int n = SECOND ? p.n2 : p.n1;
    const auto row = [&](int i) {
        if (SECOND) return gradient[(long long)i * p.d + c];
        if (groups) return row_of_groups(p, gradient, groups, i, c);
        return row_of_bands<T, POINTS, R>(p, gradient, i, c);
    };
    if (POINTS) return row(point);
    // Points from increments.
    return (point > 0 ? row(point - 1) : (T)0) - (point < n ? row(point) : (T)0);
}

// out (batch, points, d) of the first paths, or the second ones: what it was, unless `starts`, and the parts of pairs
// first_pair ... first_pair + n_pairs - 1. In the symmetric layout both parts of a pair go to `out`. gradient1 has
// size1 numbers for each pair: groups of rows, `groups` to a cell, or if that is 0 rows of bands.
template <typename T, int POINTS, int R, bool SECOND>
__global__ void __launch_bounds__(256, 1) sum_of_pairs(const T* gradient1, const T* gradient2, T* out, long long size,
                                                       long long starts, long long first_pair, long long n_pairs,
                                                       long long batch1, long long batch2, long long layout,
                                                       long long n1, long long n2, long long d, long long order1,
                                                       long long size1, long long row_groups) {
    const long long index = thread_number();
    if (index >= size) return;
    const Problem p = make_problem<T, R>(n1, n2, d, order1, 0);
    const int n_points = (int)(SECOND ? n2 : n1) + 1;
    const long long path = quotient(index, n_points * d), rest = index - path * (n_points * d);
    const int point = (int)quotient(rest, d), c = (int)(rest - (long long)point * d);
    const long long size2 = (n2 + POINTS) * d;
    const int groups = (int)row_groups;
    const long long end = first_pair + n_pairs;
    T sum = starts ? (T)0 : out[index];
    if (layout == PAIRWISE) {
        if (path >= first_pair && path < end)
            sum += SECOND ? part_of<T, POINTS, R, true>(p, gradient2 + (path - first_pair) * size2, 0, point, c)
                          : part_of<T, POINTS, R, false>(p, gradient1 + (path - first_pair) * size1, groups, point, c);
    } else if (layout == GRAM && SECOND) {
        for (long long a = quotient(first_pair, batch2); a < batch1 && a * batch2 + path < end; a++) {
            const long long pair = a * batch2 + path - first_pair;
            if (pair >= 0) sum += part_of<T, POINTS, R, true>(p, gradient2 + pair * size2, 0, point, c);
        }
    } else {
        if (layout == SYMMETRIC) {
            for (long long a = 0; a <= path; a++) {
                const long long pair = a * batch1 - a * (a - 1) / 2 + path - a;
                if (pair >= first_pair && pair < end)
                    sum += part_of<T, POINTS, R, true>(p, gradient2 + (pair - first_pair) * size2, 0, point, c);
            }
        }
        const long long start = layout == GRAM ? path * batch2 : path * batch1 - path * (path - 1) / 2;
        const long long stop = start + (layout == GRAM ? batch2 : batch1 - path);
        for (long long pair = larger(start, first_pair); pair < smaller(stop, end); pair++)
            sum += part_of<T, POINTS, R, false>(p, gradient1 + (pair - first_pair) * size1, groups, point, c);
    }
    out[index] = known(sum);
}

// out (3): what it was, unless `starts`, and the sum of numbers (n, 3). One warp.
__global__ void __launch_bounds__(32) sum_of_numbers(const double* numbers, double* out, long long n,
                                                     long long starts) {
    for (int k = 0; k < 3; k++) {
        double sum = 0;
        for (long long i = threadIdx.x; i < n; i += 32) sum += numbers[3 * i + k];
        for (int i = 16; i > 0; i /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, i);
        if (threadIdx.x == 0) out[k] = starts ? sum : out[k] + sum;
    }
}

// out (n, size): row index[i] of it gets row i of values (m, size) added, in the order of i.
template <typename T>
__global__ void __launch_bounds__(256) add_paths(T* out, const long long* index, const T* values, long long n,
                                                 long long m, long long size) {
    const long long at = thread_number();
    if (at >= n * size) return;
    const long long row = quotient(at, size), c = at - row * size;
    T sum = out[at];
    for (long long i = 0; i < m; i++)
        if (index[i] == row) sum += values[i * size + c];
    out[at] = sum;
}
