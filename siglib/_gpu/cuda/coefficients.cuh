// Chains of prefixes, the unit of work of the functions of coefficients: a word that is no prefix of another one, with
// all its prefixes. siglib/_gpu/word_chains.py makes the tables, and says what parts and entries are.
//
// With S_k the coefficient of the first k letters and x_k the increment of letter k, an increment of the path is
// multiplied from the right by Horner's scheme,
//
//     c_k^(r) = S_k + x_k / (r + 1) c_(k-1)^(r+1)      r = 0..n - k,   c_0^(r) = 1,      S_k <- c_k^(0),
//
// n (n + 1) / 2 multiply-adds, of which those of one k are independent of each other. With -x it is taken off again.
#pragma once
#include "increments.cuh"

constexpr int THREADS = 128;
// How far apart a chain's values lie in shared memory; see LINE in siglib/_gpu/word_chains.py.
constexpr int LINE = THREADS + 1;

// Chains of one length, for the threads of a block, and where their tables start.
struct Part {
    int length, n_chains, n_paths, first_entry, first_channel, n_channels;

    __device__ __forceinline__ Part(const int* parts, long long number)
        : length(parts[6 * number]),
          n_chains(parts[6 * number + 1]),
          n_paths(parts[6 * number + 2]),
          first_entry(parts[6 * number + 3]),
          first_channel(parts[6 * number + 4]),
          n_channels(parts[6 * number + 5]) {}
};

// What a thread works on: a chain of a virtual path, the block's path number `slot`. Threads left over repeat the first
// path, and are not `live`.
struct Place {
    int chain, slot;
    long long v;
    bool live;

    __device__ __forceinline__ Place(const Part& part, long long v_first, long long n_virtual) {
        slot = (int)threadIdx.x / part.n_chains;
        chain = (int)threadIdx.x - slot * part.n_chains;
        v = v_first + slot;
        live = slot < part.n_paths && v < n_virtual;
        if (!live) slot = 0;
    }
};

// How a block keeps increments of its paths in shared memory: `n` at a time, only the part's letters; rows of paths are
// `stride` numbers apart, an odd number.
struct Stage {
    int n, stride;

    __device__ __forceinline__ Stage(const Part& part, long long n_numbers)
        : n(smaller(32, larger(1, ((int)n_numbers / part.n_paths - 1) / part.n_channels))),
          stride((n * part.n_channels) | 1) {}
};

// Increments first..first + n - 1 of all of the block's paths, with a margin as in `load_increments`. To be called by
// all threads.
template <typename T>
__device__ __noinline__ void load_stage(const Paths<T>& paths, const Part& part, const int* channels,
                                        const Stage& stage, long long v_first, long long n_virtual, long long first,
                                        int n, T* staged, int margin = 0) {
    // A warp for each path, or the whole block for one.
    const int n_team = part.n_paths > 1 ? 32 : THREADS, rank = (int)threadIdx.x % n_team;
    const int* given = part.n_channels == paths.d ? nullptr : channels + part.first_channel;
    for (int slot = (int)threadIdx.x / n_team; slot < part.n_paths; slot += THREADS / n_team)
        load_increments(paths, v_first + slot, v_first + slot < n_virtual, first, n, part.n_channels,
                        staged + slot * stage.stride, rank, n_team, given, margin);
}

// One increment more: s[k] is S_(k+1), x[k] the increment of its last letter.
template <typename T, int N>
__device__ __forceinline__ void multiply(T* s, const T* x) {
    T c[N];  // c[r] is c_k^(r), then c_(k+1)^(r)
#pragma unroll
    for (int k = 0; k < N; k++) {
#pragma unroll
        for (int r = 0; r < N - k; r++) {
            const T step = r == 0 ? x[k] : x[k] * (T(1) / T(r + 1));
            c[r] = k == 0 ? s[k] + step : s[k] + step * c[r + 1];
        }
        s[k] = c[0];
    }
}

// The coefficient of an entry to the columns of a row that have it; without columns, to its own.
template <typename T>
__device__ __forceinline__ void store_entry(const int* starts, const int* columns, int entry, T value, T* row) {
    if (!starts) {
        row[entry] = value;
        return;
    }
    for (int i = starts[entry]; i < starts[entry + 1]; i++) row[columns[i]] = value;
}

// The derivatives of an entry's columns, summed; without columns, that of its own.
template <typename T>
__device__ __forceinline__ T load_entry(const int* starts, const int* columns, int entry, const T* row) {
    if (!starts) return row[entry];
    T total = 0;
    for (int i = starts[entry]; i < starts[entry + 1]; i++) total += row[columns[i]];
    return total;
}
