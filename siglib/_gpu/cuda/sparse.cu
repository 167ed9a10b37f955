// A constant sparse matrix times many vectors: what takes signatures to branched ones.
//
// A thread has one row of the matrix and ITEMS vectors: what it reads of the matrix serves all of them. Neighbouring
// threads have neighbouring rows, so that the matrix is read, and results are written, side by side. What threads of a
// warp read of a vector lies scattered, but vectors are short and stay in the cache. A sum goes through the row from
// its start, whatever ITEMS is.
#include "common.cuh"

// out[b][out_skip + i] = sum of values[k] vectors[b][skip + columns[k]], starts[i] <= k < starts[i + 1]; out[b][0] =
// scalar if out_skip. `stride` is the length of a vector with what is skipped. The vectors of group g are g, g +
// n_groups, g + 2 n_groups, ..: small results of neighbouring groups lie side by side, too.
template <typename T, int ITEMS>
__global__ void __launch_bounds__(256) apply_sparse(const T* __restrict__ vectors, const long long* __restrict__ starts,
                                                    const int* __restrict__ columns, const T* __restrict__ values,
                                                    T* __restrict__ out, long long batch, long long n_groups,
                                                    long long n_rows, long long stride, long long skip,
                                                    long long out_skip, double scalar) {
    const long long at = thread_number(), group = quotient(at, n_rows), row = at - group * n_rows;
    if (group >= n_groups) return;
    const T* x[ITEMS];
    T total[ITEMS];
#pragma unroll
    for (int j = 0; j < ITEMS; j++) {
        // The last groups have fewer vectors: they read the last one again.
        x[j] = vectors + smaller(group + j * n_groups, batch - 1) * stride + skip;
        total[j] = 0;
    }
    const long long end = starts[row + 1];
    for (long long k = starts[row]; k < end; k++) {
        const T value = values[k];
        const int column = columns[k];
#pragma unroll
        for (int j = 0; j < ITEMS; j++) total[j] += value * x[j][column];
    }
#pragma unroll
    for (int j = 0; j < ITEMS; j++) {
        const long long b = group + j * n_groups;
        if (b >= batch) continue;
        T* const result = out + b * (out_skip + n_rows);
        if (out_skip && row == 0) result[0] = (T)scalar;
        result[out_skip + row] = total[j];
    }
}
