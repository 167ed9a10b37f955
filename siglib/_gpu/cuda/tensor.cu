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

// Adjoint of `sig_combine`. For each of n_rows pairs the derivs with respect to a and to b; derivs and a_derivs have
// rows as a has, b_derivs as b has. n_tiles blocks share a pair. If a or b has the empty word in front, so have its
// derivs: 0.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) sig_combine_backprop(const T* __restrict__ derivs, const T* __restrict__ a,
                                                            const T* __restrict__ b, T* __restrict__ a_derivs,
                                                            T* __restrict__ b_derivs, long long n_tiles, long long d,
                                                            long long degree, long long n_words, long long n_long,
                                                            long long a_scalar, long long b_scalar) {
    const long long row = quotient(blockIdx.x, n_tiles), tile = blockIdx.x - row * n_tiles;
    const long long a_row = row * (n_words + a_scalar) + a_scalar, b_row = row * (n_words + b_scalar) + b_scalar;
    product_backprop<T, D, I>(derivs + a_row, a + a_row, b + b_row, tile, (int)d, (int)degree, n_words, n_long,
                              [&](bool second, long long word, T value) {
                                  T* out = second ? b_derivs + b_row : a_derivs + a_row;
                                  out[word] = value;
                                  if (word == 0 && (second ? b_scalar : a_scalar)) out[-1] = 0;
                              });
}
