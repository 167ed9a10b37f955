// Exponentials of tensors, and the adjoint: what stands between products of signatures.
//
// Tensors p are those of log-signatures: all words, or what coordinates in the Lyndon basis stand for. With Horner's
// scheme t = (p + p (x) t) / k, from k = degree down to 1, exp(p) = 1 + t. The product of signatures counts 1 for the
// empty word, so (x) there is that product less t. A launch for each step, a thread for each word; rows of p stand
// `p_stride` numbers apart, those of t are n_words numbers.
#include "tensor.cuh"
#include "tensor_log.cuh"

// x (batch, length): behind the n_first numbers of each row of `given` what the matrix makes of them. A row for each
// block.
template <typename S, typename T>
__global__ void __launch_bounds__(256) expand(const S* __restrict__ given, const long long* __restrict__ ends,
                                              const int* __restrict__ rows, const long long* __restrict__ starts,
                                              const int* __restrict__ columns, const T* __restrict__ values, T* x,
                                              long long n_first, long long length, long long n_levels) {
    const Team team = {threadIdx.x, blockDim.x};
    given += blockIdx.x * n_first;
    x += blockIdx.x * length;
    for (long long r = team.thread; r < length; r += team.n_threads) x[r] = r < n_first ? (T)given[r] : (T)0;
    __syncthreads();
    solve_by_levels({ends, rows, starts, columns, (int)n_levels}, values, x, true, team);
}

// The adjoint, from cotangents of all words, which are a + b, or b where there is no a: out (batch, n_first). Rows of b
// stand b_stride numbers apart; x (batch, length) is scratch memory.
template <typename S, typename T>
__global__ void __launch_bounds__(256) contract(const T* __restrict__ a, const T* __restrict__ b,
                                                const long long* __restrict__ ends, const int* __restrict__ rows,
                                                const long long* __restrict__ starts, const int* __restrict__ columns,
                                                const T* __restrict__ values, T* x, S* __restrict__ out,
                                                long long n_first, long long length, long long n_levels,
                                                long long b_stride) {
    const Team team = {threadIdx.x, blockDim.x};
    x += blockIdx.x * length;
    out += blockIdx.x * n_first;
    b += blockIdx.x * b_stride;
    if (a) a += blockIdx.x * (length - n_first);
    for (long long r = team.thread; r < length; r += team.n_threads)
        x[r] = r < n_first ? (T)0 : (a ? a[r - n_first] : (T)0) + b[r - n_first];
    __syncthreads();
    solve_by_levels({ends, rows, starts, columns, (int)n_levels}, values, x, true, team);
    for (long long r = team.thread; r < n_first; r += team.n_threads) out[r] = (S)x[r];
}

// The same where tensors are given at all words: out (batch, skip + n_words), 0 in front.
template <typename T>
__global__ void __launch_bounds__(256) sum_of_cotangents(const T* __restrict__ a, const T* __restrict__ b,
                                                         T* __restrict__ out, long long size, long long n_words,
                                                         long long b_stride, long long skip) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long row = quotient(index, n_words), word = index - row * n_words;
    T* const mine = out + row * (skip + n_words) + skip;
    if (skip && word == 0) mine[-1] = 0;
    mine[word] = (a ? a[index] : (T)0) + b[row * b_stride + word];
}

// out (n_rows, skip + n_words): (p + p (x) t) / divisor, or p / divisor where there is no t; 1 in front if `skip` is 1.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) exp_step(const T* __restrict__ p, const T* __restrict__ t, T* __restrict__ out,
                                                long long n_rows, long long d, long long n_words, long long p_stride,
                                                long long skip, double divisor) {
    const long long tiles = (n_words + 255) / 256;
    const long long row = quotient(blockIdx.x, tiles), word = (blockIdx.x - row * tiles) * 256 + threadIdx.x;
    if (row >= n_rows || word >= n_words) return;
    p += row * p_stride;
    T* const mine = out + row * (skip + n_words) + skip;
    T sum = p[word];
    if (t) {
        t += row * n_words;
        sum = product_at<T, D, I>(p, t, (I)word, Divisor<D, I>((I)d)) - t[word];
    }
    if (skip && word == 0) mine[-1] = 1;
    mine[word] = sum / (T)divisor;
}

// Adjoint of a step that t goes into, from cotangents g of the result times its divisor: those of p are added to g_p,
// which the first step (`first`) begins; g_t are those of t over `divisor`, that of the step before. Rows of g and p
// stand g_stride and p_stride numbers apart, those of the others are n_words numbers. n_tiles blocks share a row.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) exp_step_backprop(const T* __restrict__ g, const T* __restrict__ p,
                                                         const T* __restrict__ t, T* __restrict__ g_p,
                                                         T* __restrict__ g_t, long long n_tiles, long long d,
                                                         long long degree, long long n_words, long long n_long,
                                                         long long g_stride, long long p_stride, long long first,
                                                         double divisor) {
    const long long row = quotient(blockIdx.x, n_tiles), tile = blockIdx.x - row * n_tiles;
    g += row * g_stride;
    product_backprop<T, D, I>(g, p + row * p_stride, t + row * n_words, tile, (int)d, (int)degree, n_words, n_long,
                              [&](bool second, long long word, T value) {
                                  const long long at = row * n_words + word;
                                  if (second)
                                      g_t[at] = (value - g[word]) / (T)divisor;
                                  else
                                      g_p[at] = (first ? (T)0 : g_p[at]) + value;
                              });
}

// out (batch, n_out): logarithms of products of pairs, log, rounded; where the second of a pair is zero, the first as
// it is, and the other way round. They are rows of `first` (batch, n_first) and of `second` (batch, n_second), with
// zeros behind. A row for each block.
template <typename S, typename T>
__global__ void __launch_bounds__(256) put_products(const T* __restrict__ log, const S* __restrict__ first,
                                                    const S* __restrict__ second, S* __restrict__ out,
                                                    long long n_first, long long n_second, long long n_out) {
    log += blockIdx.x * n_out;
    out += blockIdx.x * n_out;
    first += blockIdx.x * n_first;
    second += blockIdx.x * n_second;
    bool is_first = false, is_second = false;  // whether there is one that is not zero
    for (long long i = threadIdx.x; i < n_first; i += blockDim.x) is_first = is_first || first[i] != 0;
    for (long long i = threadIdx.x; i < n_second; i += blockDim.x) is_second = is_second || second[i] != 0;
    is_first = __syncthreads_or(is_first);
    is_second = __syncthreads_or(is_second);
    for (long long i = threadIdx.x; i < n_out; i += blockDim.x) {
        if (is_first && is_second)
            out[i] = (S)log[i];
        else if (is_first)
            out[i] = i < n_first ? first[i] : (S)0;
        else
            out[i] = i < n_second ? second[i] : (S)0;
    }
}
