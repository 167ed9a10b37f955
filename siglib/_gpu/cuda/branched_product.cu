// Products of branched signatures, sums over the ways to cut a tree, steps of power series in them, and their adjoints.
//
// A thread has one tree, or planar forest, of one product. All three sums are gathers: tables list the cuts by the
// whole, by what stays, and by the trees of what is pruned, so that nobody adds to what others add to. Values at
// forests of several trees are multiplied where they are needed: they have few trees, and no memory then.
#include "common.cuh"

// X at an element: 0 is nothing, 1..n are coefficients, forests of several trees follow, each as a tree and the rest.
template <typename T>
__device__ __forceinline__ T value_at(const T* x, int element, int n, const int* products) {
    T value = 1;
    while (element > n) {
        const int* const parts = products + 2 * (long long)(element - n - 1);
        value *= x[parts[0] - 1];
        element = parts[1];
    }
    return element > 0 ? value * x[element - 1] : value;
}

// out[b][skip + i] = sum of ways[k] X[pruned[k]] Y[second[k]], starts[i] <= k < starts[i + 1], and if N_FACTORS is 3
// times Z[third[k]]; of the first n_rows coefficients i, or added to what is there if `add`. X is 0 below element
// `least` and above `most`, the last factor is `nothing` at nothing. A sum ends where second[k] > limit: for gradients
// these ascend. out[b][0] = scalar if `skip`. All arrays have rows of skip + n numbers.
template <typename T, int N_FACTORS>
__global__ void __launch_bounds__(256) cut_sums(const T* __restrict__ x, const T* __restrict__ y,
                                                const T* __restrict__ z, const long long* __restrict__ starts,
                                                const int* __restrict__ pruned, const int* __restrict__ second,
                                                const int* __restrict__ third, const T* __restrict__ ways,
                                                const int* __restrict__ products, T* __restrict__ out, long long batch,
                                                long long n, long long n_rows, long long skip, double scalar,
                                                double nothing, long long least, long long most, long long limit,
                                                long long add) {
    const long long at = thread_number(), b = quotient(at, n_rows), i = at - b * n_rows;
    if (b >= batch) return;
    const long long begin = b * (skip + n) + skip;
    if (skip && i == 0) out[begin - 1] = (T)scalar;
    const long long end = starts[i + 1];
    T total = add ? out[begin + i] : (T)0;
    for (long long k = starts[i]; k < end; k++) {
        const int element = pruned[k];
        if (second[k] > limit) break;
        if (element < least || element > most) continue;
        T term = ways[k] * value_at(x + begin, element, (int)n, products);
        if (N_FACTORS == 3) term *= y[begin + second[k] - 1];
        const T* const factor = N_FACTORS == 3 ? z : y;
        const int last = N_FACTORS == 3 ? third[k] : second[k];
        total += term * (last > 0 ? factor[begin + last - 1] : (T)nothing);
    }
    out[begin + i] = total;
}
