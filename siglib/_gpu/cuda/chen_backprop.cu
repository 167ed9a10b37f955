// The adjoint of one round of the tree that joins the time chunks of paths, see chen_round in tensor.cu.
//
// Rows of `before` are (path, chunk), those of `after` (path, pair of chunks); a last chunk without partner was copied.
// A few lanes for each number of the result (tensor_words.cuh), so no barriers; the sums of short words are shared.
#include "tensor_words.cuh"

struct Pair {
    long long first;  // row of the first factor in `before`, the second's follows
    bool alone;       // whether there is no second
};

__device__ __forceinline__ Pair pair_of(unsigned row, unsigned n_chunks) {
    const unsigned n_pairs = (n_chunks + 1) / 2, path = row / n_pairs, pair = row % n_pairs;
    return {(long long)path * n_chunks + 2 * pair, 2 * pair + 1 == n_chunks};
}

// before, g_before (n_paths, n_chunks, length), g_after (n_paths, (n_chunks + 1) / 2, length): the cotangents of the
// products, and the factors, give the cotangents of the factors. n_blocks blocks share a product.
template <typename T>
__global__ void __launch_bounds__(256) chen_round_backprop(const T* __restrict__ before, const T* __restrict__ g_after,
                                                           T* __restrict__ g_before, long long dimension,
                                                           long long degree, long long length, long long n_chunks,
                                                           long long n_blocks) {
    const unsigned d = (unsigned)dimension, lane = threadIdx.x % 32;
    const unsigned row = blockIdx.x / (unsigned)n_blocks, block = blockIdx.x % (unsigned)n_blocks;
    const Pair pair = pair_of(row, (unsigned)n_chunks);
    const T* a = before + pair.first * length;
    const T* b = a + length;
    const T* g = g_after + (long long)row * length;
    T* g_a = g_before + pair.first * length;
    T* g_b = g_a + length;
    if (pair.alone) {
        const unsigned stride = (unsigned)n_blocks * blockDim.x;
        for (unsigned w = block * blockDim.x + threadIdx.x; w < length; w += stride) g_a[w] = g[w];
        return;
    }
    const unsigned n_warps = blockDim.x / 32, warp = block * n_warps + threadIdx.x / 32;
    for_suffix_sums(g, b, d, (int)degree, (int)degree, warp, n_warps * (unsigned)n_blocks, lane,
                    [&](unsigned u, T sum) { g_a[u] = g[u] + sum; });
    for_prefix_sums(a, g, d, (int)degree, (int)degree, warp, n_warps * (unsigned)n_blocks, lane,
                    [&](unsigned v, T sum) { g_b[v] = g[v] + sum; });
}
