// Products of pairs of signatures (Chen's identity), and the adjoint. A thread computes one word, see tensor.cuh.
#include "tensor.cuh"

// out = a (x) b for each of n_rows pairs; rows are `a_stride`, `b_stride`, `out_stride` numbers apart and begin with
// the empty word if `a_scalar`, `b_scalar`; out does if a does.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) sig_combine(const T* __restrict__ a, const T* __restrict__ b,
                                                   T* __restrict__ out, long long n_rows, long long d,
                                                   long long n_words, long long a_scalar, long long b_scalar) {
    const long long tiles = (n_words + 255) / 256;
    const long long row = quotient(blockIdx.x, tiles), word = (blockIdx.x - row * tiles) * 256 + threadIdx.x;
    if (row >= n_rows || word >= n_words) return;
    const long long a_row = row * (n_words + a_scalar);
    if (a_scalar && word == 0) out[a_row] = 1;
    out[a_row + a_scalar + word] = product_at<T, D, I>(a + a_row + a_scalar, b + row * (n_words + b_scalar) + b_scalar,
                                                       (I)word, Divisor<D, I>((I)d));
}

// The adjoint of a product, from its cotangents g: block `tile` of those that share the product. The first `n_long`
// words of both factors have long sums: a warp for each, in the first blocks. A thread for each of the others. If a or
// b has the empty word in front, so have its cotangents: 0.
template <typename T, int D, typename I>
__device__ __forceinline__ void product_backprop(const T* __restrict__ g, const T* __restrict__ a,
                                                 const T* __restrict__ b, T* __restrict__ g_a, T* __restrict__ g_b,
                                                 long long tile, int d, int degree, long long n_words, long long n_long,
                                                 bool a_scalar, bool b_scalar) {
    const long long long_tiles = (2 * n_long + 7) / 8;
    const bool by_warp = tile < long_tiles;
    const long long n = by_warp ? n_long : n_words - n_long;
    long long word = by_warp ? tile * 8 + threadIdx.x / 32 : (tile - long_tiles) * 256 + threadIdx.x;
    if (word >= 2 * n) return;  // whole warps, where a warp works together
    const bool second = word >= n;
    word += (second ? -n : 0) + (by_warp ? 0 : n_long);

    const int rank = by_warp ? threadIdx.x % 32 : 0, n_team = by_warp ? 32 : 1;
    const Word<I> w = word_at<I>((I)word, (I)d);
    T sum = second ? sum_before<T, D, I>(g, a, w, degree, d, rank, n_team)
                   : sum_after<T, D, I>(g, b, w, degree, d, rank, n_team);
    if (by_warp) {
#pragma unroll
        for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, by);
    }
    if (rank > 0) return;
    T* out = second ? g_b : g_a;
    out[word] = g[word] + sum;
    if (word == 0 && (second ? b_scalar : a_scalar)) out[-1] = 0;
}

// Adjoint of `sig_combine`. For each of n_rows pairs the derivs with respect to a and to b; derivs and a_derivs have
// rows as a has, b_derivs as b has. n_tiles blocks share a pair.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) sig_combine_backprop(const T* __restrict__ derivs, const T* __restrict__ a,
                                                            const T* __restrict__ b, T* __restrict__ a_derivs,
                                                            T* __restrict__ b_derivs, long long n_tiles, long long d,
                                                            long long degree, long long n_words, long long n_long,
                                                            long long a_scalar, long long b_scalar) {
    const long long row = quotient(blockIdx.x, n_tiles), tile = blockIdx.x - row * n_tiles;
    const long long a_row = row * (n_words + a_scalar) + a_scalar, b_row = row * (n_words + b_scalar) + b_scalar;
    product_backprop<T, D, I>(derivs + a_row, a + a_row, b + b_row, a_derivs + a_row, b_derivs + b_row, tile, (int)d,
                              (int)degree, n_words, n_long, a_scalar, b_scalar);
}
