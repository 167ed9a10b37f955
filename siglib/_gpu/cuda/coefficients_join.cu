// The coefficients of paths from those of their time chunks: S(w) of two paths, one after the other, is the sum over
// w = u v of S_1(u) S_2(v). The second factor is that of a sub-word; chunks come with the coefficients of all of them.
//
// A thread has a chain of a path and goes from chunk to chunk, which takes n (n + 1) / 2 multiply-adds each. What it
// reads does not depend on what it has computed, so reads need not wait for each other.
//
// For the gradient of a chunk it is enough to know the coefficients at its end, and their cotangents: these are the
// same kind of walk, from the first chunk on and from the last one back.
#include "coefficients.cuh"

// A chain's sub-words in a chunk: chunk[first[i] + j * stride[i]] is that of letters i..i + j, counted from 0.
template <int N>
struct SubWords {
    int first[N], stride[N];

    __device__ __forceinline__ SubWords(const Part& part, const int* suffixes, int entry) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            first[i] = suffixes[2 * (entry + i * part.n_chains)];
            stride[i] = suffixes[2 * (entry + i * part.n_chains) + 1];
        }
    }
};

// What does not depend on the length of the chains.
template <typename T>
struct Join {
    const T *chunks, *derivs;
    const int *suffixes, *starts, *columns;
    long long n_chunks, n_pieces, n_columns;
    int n_entries;
    T* out;
};

template <typename T, int N>
__device__ __forceinline__ void join(const Join<T>& call, const Part& part, long long b, int chain) {
    const int entry = part.first_entry + chain;
    const SubWords<N> at(part, call.suffixes, entry);
    T s[N];
#pragma unroll
    for (int k = 0; k < N; k++) s[k] = 0;
    for (long long c = 0; c < call.n_chunks; c++) {
        const T* const chunk = call.chunks + (b * call.n_chunks + c) * call.n_pieces;
#pragma unroll
        for (int k = N - 1; k >= 0; k--) {
            T total = s[k] + chunk[at.first[0] + k * at.stride[0]];
#pragma unroll
            for (int j = 0; j < k; j++) total += s[j] * chunk[at.first[j + 1] + (k - j - 1) * at.stride[j + 1]];
            s[k] = total;
        }
        if (call.starts) continue;
        T* const row = call.out + (b * call.n_chunks + c) * call.n_columns;
#pragma unroll
        for (int k = 0; k < N; k++) row[entry + k * part.n_chains] = s[k];
    }
    if (!call.starts) return;
    T* const row = call.out + b * call.n_columns;
#pragma unroll
    for (int k = 0; k < N; k++) store_entry(call.starts, call.columns, entry + k * part.n_chains, s[k], row);
    if (blockIdx.y == 0 && chain == 0) store_entry(call.starts, call.columns, call.n_entries, T(1), row);
}

template <typename T, int N>
__device__ __forceinline__ void join_backprop(const Join<T>& call, const Part& part, long long b, int chain) {
    const int entry = part.first_entry + chain;
    const SubWords<N> at(part, call.suffixes, entry);
    T g[N];
#pragma unroll
    for (int k = 0; k < N; k++)
        g[k] = load_entry(call.starts, call.columns, entry + k * part.n_chains, call.derivs + b * call.n_columns);
    for (long long c = call.n_chunks - 1; c >= 0; c--) {
        T* const row = call.out + (b * call.n_chunks + c) * call.n_entries;
        const T* const chunk = call.chunks + (b * call.n_chunks + c) * call.n_pieces;
#pragma unroll
        for (int k = 0; k < N; k++) row[entry + k * part.n_chains] = g[k];
#pragma unroll
        for (int j = 0; j < N; j++) {
            T total = g[j];
#pragma unroll
            for (int k = j + 1; k < N; k++) total += g[k] * chunk[at.first[j + 1] + (k - j - 1) * at.stride[j + 1]];
            g[j] = total;
        }
    }
}

template <typename T, int LENGTHS, bool BACK, int N = 1>
__device__ __forceinline__ void join_part(const Join<T>& call, const Part& part, long long b, int chain) {
    if constexpr (LENGTHS >> N) {
        if constexpr (LENGTHS >> N & 1) {
            if (part.length == N) {
                if constexpr (BACK)
                    join_backprop<T, N>(call, part, b, chain);
                else
                    join<T, N>(call, part, b, chain);
            }
        }
        join_part<T, LENGTHS, BACK, N + 1>(call, part, b, chain);
    }
}

// chunks (n_paths, n_chunks, n_pieces): the entries of all sub-words. Tables: see siglib/_gpu/word_chains.py. out
// (n_paths, n_columns): the columns of all owners, and of the empty word; without `starts` (n_paths, n_chunks,
// n_columns): all entries, at the end of each chunk. Blocks along y are parts.
template <typename T, int LENGTHS>
__global__ void __launch_bounds__(THREADS, 1) join_chunks(
    const T* __restrict__ chunks, T* __restrict__ out, long long n_paths, long long n_chunks, long long n_pieces,
    const int* __restrict__ parts, const int* __restrict__ suffixes, const int* __restrict__ starts,
    const int* __restrict__ columns, long long n_entries, long long n_columns) {
    const Part part(parts, blockIdx.y);
    const long long b = quotient(thread_number(), part.n_chains);
    if (b >= n_paths) return;
    const Join<T> call = {chunks, 0, suffixes, starts, columns, n_chunks, n_pieces, n_columns, (int)n_entries, out};
    join_part<T, LENGTHS, false>(call, part, b, (int)(thread_number() - b * part.n_chains));
}

// derivs (n_paths, n_columns); out (n_paths, n_chunks, n_entries): the cotangents of all entries at the end of each
// chunk. What several chains have in common is the cotangent of its owner only.
template <typename T, int LENGTHS>
__global__ void __launch_bounds__(THREADS, 1) join_chunks_backprop(
    const T* __restrict__ chunks, const T* __restrict__ derivs, T* __restrict__ out, long long n_paths,
    long long n_chunks, long long n_pieces, const int* __restrict__ parts, const int* __restrict__ suffixes,
    const int* __restrict__ starts, const int* __restrict__ columns, long long n_entries, long long n_columns) {
    const Part part(parts, blockIdx.y);
    const long long b = quotient(thread_number(), part.n_chains);
    if (b >= n_paths) return;
    const Join<T> call = {chunks,   derivs,   suffixes,  starts,         columns,
                          n_chunks, n_pieces, n_columns, (int)n_entries, out};
    join_part<T, LENGTHS, true>(call, part, b, (int)(thread_number() - b * part.n_chains));
}
