// Products of signatures (Chen's identity): of pairs of them, and of the time chunks of a path.
//
// A thread computes one word, see tensor.cuh. Chunks are multiplied in a tree, neighbours first.
#include "tensor.cuh"

// out_i = in_2i (x) in_(2i+1) of the `n_in` factors of each path; a last one without neighbour is copied. Elements have
// n_words numbers; factors (n_paths, n_in), out (n_paths, (n_in + 1) / 2) elements `out_stride` numbers apart, after a
// 1 for the empty word if `scalar_term`. A block has 256 words of one product.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) chen_round(const T* __restrict__ factors, T* __restrict__ out, long long n_paths,
                                                  long long n_in, long long d, long long n_words, long long out_stride,
                                                  long long scalar_term) {
    const long long tiles = (n_words + 255) / 256, n_out = (n_in + 1) / 2;
    const long long product = quotient(blockIdx.x, tiles), word = (blockIdx.x - product * tiles) * 256 + threadIdx.x;
    if (product >= n_paths * n_out || word >= n_words) return;
    const long long b = quotient(product, n_out), i = product - b * n_out;
    const T* first = factors + (b * n_in + 2 * i) * n_words;
    T* row = out + product * out_stride;
    if (scalar_term && word == 0) row[0] = 1;
    row[scalar_term + word] =
        2 * i + 1 < n_in ? product_at<T, D, I>(first, first + n_words, word_at(word, (int)d), (int)d) : first[word];
}

// All rounds of `chen_round` for small elements, with a block for each path: one launch instead of many. `work`
// (n_paths, n_factors / 2 rounded up) elements, `factors` are overwritten. The same sums in the same order.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) chen_tree(T* __restrict__ factors, T* __restrict__ work, T* __restrict__ out,
                                                 long long n_paths, long long n_factors, long long d, long long n_words,
                                                 long long out_stride, long long scalar_term) {
    const long long b = blockIdx.x;
    T* from = factors + b * n_factors * n_words;
    T* to = work + b * ((n_factors + 1) / 2) * n_words;
    long long n_in = n_factors;
    while (n_in > 1) {
        const long long n_out = (n_in + 1) / 2;
        T* row = to;
        if (n_out == 1) {
            row = out + b * out_stride + scalar_term;
            if (scalar_term && threadIdx.x == 0) row[-1] = 1;
        }
        for (long long at = threadIdx.x; at < n_out * n_words; at += blockDim.x) {
            const long long i = quotient(at, n_words), word = at - i * n_words;
            const T* first = from + 2 * i * n_words;
            row[at] = 2 * i + 1 < n_in ? product_at<T, D, I>(first, first + n_words, word_at(word, (int)d), (int)d)
                                       : first[word];
        }
        __syncthreads();
        T* other = from;
        from = to;
        to = other;
        n_in = n_out;
    }
}

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
                                                       word_at(word, (int)d), (int)d);
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
    const Word w = word_at(word, d);
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

// Adjoint of `chen_round`. factors, g_factors (n_paths, n_in), g_out (n_paths, (n_in + 1) / 2) elements: the cotangents
// of the products, and the factors, give the cotangents of the factors. n_tiles blocks share a product.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) chen_round_backprop(const T* __restrict__ factors, const T* __restrict__ g_out,
                                                           T* __restrict__ g_factors, long long n_in, long long n_tiles,
                                                           long long d, long long degree, long long n_words,
                                                           long long n_long) {
    const long long product = quotient(blockIdx.x, n_tiles), tile = blockIdx.x - product * n_tiles;
    const long long n_out = (n_in + 1) / 2, b = quotient(product, n_out), i = product - b * n_out;
    const long long first = (b * n_in + 2 * i) * n_words;
    const T* g = g_out + product * n_words;
    if (2 * i + 1 == n_in) {
        for (long long word = tile * 256 + threadIdx.x; word < n_words; word += n_tiles * 256)
            g_factors[first + word] = g[word];
        return;
    }
    product_backprop<T, D, I>(g, factors + first, factors + first + n_words, g_factors + first,
                              g_factors + first + n_words, tile, (int)d, (int)degree, n_words, n_long, false, false);
}
