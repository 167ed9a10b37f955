// The steps of the tensor logarithm of one signature, by the threads of a team; and their adjoints.
//
// S = 1 + p; with c_k = (-1)^(k-1) / k Horner's scheme reads
//
//     t^(k) = c_(k+1) p + p (x) t^(k+1),    t^(degree) = 0,    log S = t^(0),
//
// and t^(k) is needed for words up to length degree - k. Tensors are arrays over words as in tensor_words.cuh, and so
// is `index`, the list of Lyndon words. A team is the block's threads that share a signature, or those of several
// blocks.
#pragma once

#include "tensor_words.cuh"

struct Team {
    unsigned thread, n_threads;  // this one's number, and how many there are; whole warps

    __device__ __forceinline__ unsigned lane() const { return thread % 32; }
    __device__ __forceinline__ unsigned warp() const { return thread / 32; }
    __device__ __forceinline__ unsigned n_warps() const { return n_threads / 32; }
};

// c_k
template <typename T>
__device__ __forceinline__ T log_coefficient(int k) {
    return (k % 2 ? (T)1 : (T)-1) / (T)k;
}

// t = c p + p (x) next at the first n_words words.
template <typename T, int D>
__device__ __forceinline__ void horner_step(const T* p, const T* next, T c, T* t, unsigned n_words, unsigned d,
                                            const Team& team) {
    for (unsigned w = team.thread; w < n_words; w += team.n_threads) t[w] = add_cuts<T, D>(c * p[w], p, next, w, d);
}

// The same with c = 1, the last step, at Lyndon words only: x[r] for the word index[r].
template <typename T, int D>
__device__ __forceinline__ void horner_step_at(const T* p, const T* next, const long long* index, T* x,
                                               unsigned n_words, unsigned d, const Team& team) {
    for (unsigned r = team.thread; r < n_words; r += team.n_threads) {
        const unsigned w = (unsigned)index[r];
        x[r] = add_cuts<T, D>(p[w], p, next, w, d);
    }
}

// Adjoint of horner_step from t^(k+1) to t^(k): from g, the cotangent of t^(k), add that of p, and set that of t^(k+1).
// top = degree - k. Words of full length give nothing to p here, and are left alone.
template <typename T>
__device__ __forceinline__ void horner_step_backprop(const T* g, const T* p, const T* next, int k, T* g_p, T* g_next,
                                                     unsigned d, int degree, bool alive, const Team& team) {
    const int top = degree - k;
    const T c = log_coefficient<T>(k + 1);
    for_suffix_sums(g, next, d, alive ? smaller(top, degree - 1) : 0, top, team.warp(), team.n_warps(), team.lane(),
                    [&](unsigned u, T sum) { g_p[u] = (k > 0 ? g_p[u] : (T)0) + (c * g[u] + sum); });
    for_prefix_sums(p, g, d, alive ? top - 1 : 0, top, team.warp(), team.n_warps(), team.lane(),
                    [&](unsigned v, T sum) { g_next[v] = sum; });
}

// A sparse triangular system with unit diagonal. Rows are listed in levels: a row reads results of earlier levels only.
struct Levels {
    const long long* ends;    // (n_levels,) level l is rows[ends[l-1]:ends[l]], the first from 0
    const int* rows;          // the rows that have entries off the diagonal
    const long long* starts;  // the entries of row number e of `rows`: starts[e] <= i < starts[e+1]
    const int* columns;
    int n_levels;
};

// x <- M^-1 x, in place. All threads of the block come here, and the team is the block or part of it.
template <typename T>
__device__ __forceinline__ void solve_by_levels(const Levels& levels, const T* values, T* x, bool alive,
                                                const Team& team) {
    long long e = alive ? team.thread : 0, start = 0;
    for (int level = 0; level < levels.n_levels; ++level) {
        const long long end = levels.ends[level];
        for (e = start + team.thread; alive && e < end; e += team.n_threads) {
            const int row = levels.rows[e];
            T total = x[row];
            for (long long i = levels.starts[e]; i < levels.starts[e + 1]; ++i) {
                total -= values[i] * x[levels.columns[i]];
            }
            x[row] = total;
        }
        start = end;
        __syncthreads();
    }
}
