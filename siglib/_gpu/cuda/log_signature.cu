// Logarithms of signatures, at all words (method 0), at Lyndon words (1), or in the Lyndon basis (2); and their
// adjoint.
//
// One thread for each word, one team of threads for each signature (tensor_log.cuh). Suffixes of neighbouring words are
// neighbours and prefixes are the same, so the natural layout is coalesced: nothing is transposed, and lanes that work
// together need no batch. Every number is a sum in an order that depends on d and the degree alone.
//
// Small signatures: the team is a block or a part of it, and all steps are one launch (`log_sig`, `log_sig_backprop`).
// The tensors t^(k) live in shared memory, two at a time forward; the adjoint needs all of them, and three cotangents.
// Time is that of reading the signature once, plus `degree` barriers.
//
// Large ones: a team is several blocks, the tensors live in global memory, and each step is a launch of its own
// (`log_step`, `log_last_step`, `log_step_backprop`, ...).
//
// The cotangent of the last step stands in `out`, where that of the signature will be: at the words of full length the
// two are the same. `skip` counts the scalar term in front of a row, 0 or 1.
#include "tensor_log.cuh"

__device__ __forceinline__ Team team_in_block(long long width) {
    return {threadIdx.x % (unsigned)width, (unsigned)width};
}

__device__ __forceinline__ Team team_of_blocks(long long n_blocks) {
    return {blockIdx.x % (unsigned)n_blocks * blockDim.x + threadIdx.x, (unsigned)n_blocks * blockDim.x};
}

// sig (batch, skip + length); out (batch, out_skip + length) or (batch, n_lyndon). `width` threads share a signature.
// Shared memory: for each signature of the block `t_size` numbers, t^(1), t^(3), .. at the start, t^(2), .. from
// `second`; the latter is also the place of the result before the Lyndon basis, if that is to be (x_shared).
template <typename T, int D, int METHOD>
__global__ void __launch_bounds__(256) log_sig(const T* __restrict__ sig, const long long* __restrict__ index,
                                               const long long* __restrict__ ends, const int* __restrict__ rows,
                                               const long long* __restrict__ starts, const int* __restrict__ columns,
                                               const T* __restrict__ values, T* __restrict__ out, long long batch,
                                               long long dimension, long long degree, long long length,
                                               long long n_lyndon, long long n_levels, long long skip,
                                               long long out_skip, long long width, long long t_size, long long second,
                                               long long x_shared) {
    const unsigned d = D > 0 ? D : (unsigned)dimension;
    const Team team = team_in_block(width);
    const unsigned per_block = blockDim.x / (unsigned)width, place = threadIdx.x / (unsigned)width;
    const long long row = (long long)blockIdx.x * per_block + place;
    const bool alive = row < batch;
    const T* p = sig + (alive ? row : 0) * (skip + length) + skip;
    T* result = out + (alive ? row : 0) * (METHOD == 0 ? out_skip + length : n_lyndon);
    T* odd = dyn_smem<T>() + place * t_size;
    T* even = odd + second;
    for (int k = (int)degree - 1; k > 0; --k) {
        const unsigned n_words = alive ? words_up_to(d, (int)degree - k) : 0;
        horner_step<T, D>(p, k % 2 ? even : odd, log_coefficient<T>(k + 1), k % 2 ? odd : even, n_words, d, team);
        __syncthreads();
    }
    if (METHOD == 0) {
        if (alive && out_skip && team.thread == 0) result[0] = 0;
        horner_step<T, D>(p, odd, (T)1, result + out_skip, alive ? (unsigned)length : 0, d, team);
        return;
    }
    T* x = METHOD == 2 && x_shared ? even : result;
    horner_step_at<T, D>(p, odd, index, x, alive ? (unsigned)n_lyndon : 0, d, team);
    if (METHOD == 1) return;
    __syncthreads();
    const Levels levels = {ends, rows, starts, columns, (int)n_levels};
    solve_by_levels(levels, values, x, alive, team);
    if (!x_shared) return;
    for (unsigned r = team.thread; alive && r < n_lyndon; r += team.n_threads) result[r] = x[r];
}

// Adjoint: derivs as `out` of log_sig; out as `sig`. The rows, starts, columns and values are those of the transpose.
// Shared memory, for each signature of the block `t_size` numbers: t^(1), t^(2), ..; from `g` on the cotangents of p,
// of t^(1), t^(3), .. and, after `n_shorter` numbers each, of t^(2), .. . With method 2 the derivatives after the
// substitution stand at the start, before anything else is there.
template <typename T, int D, int METHOD>
__global__ void __launch_bounds__(256) log_sig_backprop(
    const T* __restrict__ sig, const T* __restrict__ derivs, const long long* __restrict__ index,
    const long long* __restrict__ ends, const int* __restrict__ rows, const long long* __restrict__ starts,
    const int* __restrict__ columns, const T* __restrict__ values, T* __restrict__ out, long long batch,
    long long dimension, long long degree, long long length, long long n_shorter, long long n_lyndon,
    long long n_levels, long long skip, long long out_skip, long long width, long long t_size, long long g) {
    const unsigned d = D > 0 ? D : (unsigned)dimension;
    const Team team = team_in_block(width);
    const unsigned per_block = blockDim.x / (unsigned)width, place = threadIdx.x / (unsigned)width;
    const long long row = (long long)blockIdx.x * per_block + place;
    const bool alive = row < batch;
    const T* p = sig + (alive ? row : 0) * (skip + length) + skip;
    const T* z = derivs + (alive ? row : 0) * (METHOD == 0 ? out_skip + length : n_lyndon);
    T* result = out + (alive ? row : 0) * (skip + length) + skip;
    T* t = dyn_smem<T>() + place * t_size;
    T* g_p = t + g;
    T* g_odd = g_p + n_shorter;
    T* g_even = g_odd + n_shorter;
    if (alive && skip && team.thread == 0) result[-1] = 0;
    for (unsigned w = team.thread; alive && w < length; w += team.n_threads) {
        result[w] = METHOD == 0 ? z[out_skip + w] : (T)0;
    }
    if (METHOD == 2) {
        for (unsigned r = team.thread; alive && r < n_lyndon; r += team.n_threads) t[r] = z[r];
        __syncthreads();
        const Levels levels = {ends, rows, starts, columns, (int)n_levels};
        solve_by_levels(levels, values, t, alive, team);
        z = t;
    }
    if (METHOD > 0) {
        __syncthreads();
        for (unsigned r = team.thread; alive && r < n_lyndon; r += team.n_threads) result[index[r]] = z[r];
    }
    __syncthreads();
    unsigned begin = 0;
    for (int k = 1; k < degree; ++k) begin += words_up_to(d, (int)degree - k);
    const T* next = t;
    for (int k = (int)degree - 1; k > 0; --k) {
        const unsigned n_words = words_up_to(d, (int)degree - k);
        begin -= n_words;
        horner_step<T, D>(p, next, log_coefficient<T>(k + 1), t + begin, alive ? n_words : 0, d, team);
        next = t + begin;
        __syncthreads();
    }
    // `begin` is 0 again.
    for (int k = 0; k < degree; ++k) {
        const T* g_t = k == 0 ? result : k % 2 ? g_odd : g_even;
        horner_step_backprop(g_t, p, t + begin, k, g_p, k % 2 ? g_even : g_odd, d, (int)degree, alive, team);
        begin += words_up_to(d, (int)degree - k - 1);
        __syncthreads();
    }
    for (unsigned w = team.thread; alive && w < n_shorter; w += team.n_threads) result[w] = g_p[w];
}

// One launch for each step from here on; a signature has n_blocks blocks, its tensors a row of t_size numbers in `t`.

// t^(k), at `target` of the row, from t^(k+1), at `source`.
template <typename T, int D>
__global__ void __launch_bounds__(256) log_step(const T* __restrict__ sig, T* t, long long dimension, long long degree,
                                                long long length, long long skip, long long n_blocks, long long t_size,
                                                long long k, long long source, long long target) {
    const unsigned d = D > 0 ? D : (unsigned)dimension;
    const long long row = blockIdx.x / (unsigned)n_blocks;
    T* mine = t + row * t_size;
    horner_step<T, D>(sig + row * (skip + length) + skip, mine + source, log_coefficient<T>((int)k + 1), mine + target,
                      words_up_to(d, (int)(degree - k)), d, team_of_blocks(n_blocks));
}

// t^(0), from t^(1) at the start of the row: all words for method 0, else the Lyndon words.
template <typename T, int D, int METHOD>
__global__ void __launch_bounds__(256) log_last_step(const T* __restrict__ sig, const T* __restrict__ t,
                                                     const long long* __restrict__ index, T* __restrict__ out,
                                                     long long dimension, long long length, long long n_lyndon,
                                                     long long skip, long long out_skip, long long n_blocks,
                                                     long long t_size) {
    const unsigned d = D > 0 ? D : (unsigned)dimension;
    const long long row = blockIdx.x / (unsigned)n_blocks;
    const Team team = team_of_blocks(n_blocks);
    const T* p = sig + row * (skip + length) + skip;
    const T* t_1 = t + row * t_size;
    if (METHOD == 0) {
        T* result = out + row * (out_skip + length);
        if (out_skip && team.thread == 0) result[0] = 0;
        horner_step<T, D>(p, t_1, (T)1, result + out_skip, (unsigned)length, d, team);
    } else {
        horner_step_at<T, D>(p, t_1, index, out + row * n_lyndon, (unsigned)n_lyndon, d, team);
    }
}

// x = M^-1 source, a row for each block; `source` may be x.
template <typename T>
__global__ void __launch_bounds__(256) log_solve(const T* source, const long long* __restrict__ ends,
                                                 const int* __restrict__ rows, const long long* __restrict__ starts,
                                                 const int* __restrict__ columns, const T* __restrict__ values, T* x,
                                                 long long n_lyndon, long long n_levels) {
    const Team team = {threadIdx.x, blockDim.x};
    x += blockIdx.x * n_lyndon;
    source += blockIdx.x * n_lyndon;
    for (unsigned r = team.thread; r < n_lyndon; r += team.n_threads) x[r] = source[r];
    __syncthreads();
    solve_by_levels({ends, rows, starts, columns, (int)n_levels}, values, x, true, team);
}

// out = the cotangent of the last step, from that of the logarithm; a row for each block.
template <typename T, int METHOD>
__global__ void __launch_bounds__(256) log_seed(const T* __restrict__ derivs, const long long* __restrict__ index,
                                                T* __restrict__ out, long long length, long long n_lyndon,
                                                long long skip, long long out_skip) {
    const long long row = blockIdx.x;
    const T* z = derivs + row * (METHOD == 0 ? out_skip + length : n_lyndon);
    T* result = out + row * (skip + length) + skip;
    if (skip && threadIdx.x == 0) result[-1] = 0;
    for (unsigned w = threadIdx.x; w < length; w += blockDim.x) result[w] = METHOD == 0 ? z[out_skip + w] : (T)0;
    if (METHOD == 0) return;
    __syncthreads();
    for (unsigned r = threadIdx.x; r < n_lyndon; r += blockDim.x) result[index[r]] = z[r];
}

// Adjoint of log_step and log_last_step, k >= 0. In the row of t: t^(k+1) at `next`, the cotangent of p at `g_p`, those
// of t^(k) and t^(k+1) at `g` and `g_next`; the cotangent of t^(0) is in `out`.
template <typename T>
__global__ void __launch_bounds__(256) log_step_backprop(const T* __restrict__ sig, const T* __restrict__ out, T* t,
                                                         long long dimension, long long degree, long long length,
                                                         long long skip, long long n_blocks, long long t_size,
                                                         long long k, long long next, long long g_p, long long g,
                                                         long long g_next) {
    const long long row = blockIdx.x / (unsigned)n_blocks, at = row * (skip + length) + skip;
    T* mine = t + row * t_size;
    horner_step_backprop<T>(k == 0 ? out + at : mine + g, sig + at, mine + next, (int)k, mine + g_p, mine + g_next,
                            (unsigned)dimension, (int)degree, true, team_of_blocks(n_blocks));
}

// The cotangent of p, at `g_p` of the row of t, to its place in `out`.
template <typename T>
__global__ void __launch_bounds__(256) log_finish(const T* __restrict__ t, T* __restrict__ out, long long length,
                                                  long long n_shorter, long long skip, long long n_blocks,
                                                  long long t_size, long long g_p) {
    const long long row = blockIdx.x / (unsigned)n_blocks;
    const Team team = team_of_blocks(n_blocks);
    const T* source = t + row * t_size + g_p;
    T* result = out + row * (skip + length) + skip;
    for (unsigned w = team.thread; w < n_shorter; w += team.n_threads) result[w] = source[w];
}
