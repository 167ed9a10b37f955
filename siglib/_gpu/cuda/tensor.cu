// Products of signatures (Chen's identity): of pairs of them, and of the time chunks of a path.
//
// A thread computes one word, see tensor.cuh. Chunks are multiplied in a tree, neighbours first.
#include "tensor.cuh"

// out_i = in_2i (x) in_(2i+1) of the `n_in` factors of each path; a last one without neighbour is copied. Elements have
// n_words numbers; in (n_paths, n_in), out (n_paths, (n_in + 1) / 2) elements `out_stride` numbers apart, after a 1 for
// the empty word if `scalar_term`. A block has 256 words of one product.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256)
    chen_round(const T* __restrict__ in, T* __restrict__ out, long long n_paths, long long n_in, long long d,
               long long n_words, long long out_stride, long long scalar_term) {
    const long long tiles = (n_words + 255) / 256, n_out = (n_in + 1) / 2;
    const long long product = blockIdx.x / tiles, word = (blockIdx.x - product * tiles) * 256 + threadIdx.x;
    if (product >= n_paths * n_out || word >= n_words) return;
    const long long b = product / n_out, i = product - b * n_out;
    const T* first = in + (b * n_in + 2 * i) * n_words;
    T* row = out + product * out_stride;
    if (scalar_term && word == 0) row[0] = 1;
    row[scalar_term + word] =
        2 * i + 1 < n_in ? product_at<T, D, I>(first, first + n_words, word_at(word, (int)d), (int)d) : first[word];
}

// All rounds of `chen_round` for small elements, with a block for each path: one launch instead of many. `work`
// (n_paths, n_factors / 2 rounded up) elements, `in` is overwritten. The same sums in the same order.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256)
    chen_tree(T* __restrict__ in, T* __restrict__ work, T* __restrict__ out, long long n_paths, long long n_factors,
              long long d, long long n_words, long long out_stride, long long scalar_term) {
    const long long b = blockIdx.x;
    T* from = in + b * n_factors * n_words;
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
            const long long i = at / n_words, word = at - i * n_words;
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

// out = a (x) b for each of n_rows pairs; rows are `a_stride`, `b_stride`, `out_stride` numbers apart and begin with the
// empty word if `a_scalar`, `b_scalar`; out does if a does.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256)
    sig_combine(const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ out, long long n_rows, long long d,
                long long n_words, long long a_scalar, long long b_scalar) {
    const long long tiles = (n_words + 255) / 256;
    const long long row = blockIdx.x / tiles, word = (blockIdx.x - row * tiles) * 256 + threadIdx.x;
    if (row >= n_rows || word >= n_words) return;
    const long long a_row = row * (n_words + a_scalar);
    if (a_scalar && word == 0) out[a_row] = 1;
    out[a_row + a_scalar + word] = product_at<T, D, I>(
        a + a_row + a_scalar, b + row * (n_words + b_scalar) + b_scalar, word_at(word, (int)d), (int)d);
}
