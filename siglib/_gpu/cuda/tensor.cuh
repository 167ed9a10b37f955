// The product of two signatures, a word at a time, and its adjoint (Chen's identity).
//
// An element is stored as levels 1..degree one after another, level n as d^n words in lexicographic order; its empty
// word is 1 and not stored. D is the number of letters if it is known when the function is compiled, so that dividing
// by it is cheap, or 0.
#pragma once
#include "common.cuh"

// Word number `word` of an element: its length, and its place in its level. I is an integer type that holds all of an
// element's indices.
template <typename I>
struct Word {
    int length;
    I at;     // where its level begins
    I size;   // d^length
    I index;  // among the words of its length
};

template <typename I>
__device__ __forceinline__ Word<I> word_at(I word, I d) {
    Word<I> w = {1, 0, d, word};
    while (w.index >= w.size) {
        w.index -= w.size;
        w.at += w.size;
        w.size *= d;
        w.length++;
    }
    return w;
}

// Coefficient of the word in a (x) b: the sum over all ways to cut it in two. Counted from 1 through all levels, words
// are numbers in a system whose digits are 1..d: no sizes of levels are needed to find prefix and suffix.
template <typename T, int D, typename I>
__device__ __forceinline__ T product_at(const T* __restrict__ a, const T* __restrict__ b, I word,
                                        const Divisor<D, I>& by_d) {
    T sum = a[word] + b[word];
    I suffix = -1, power = 1;
    for (I prefix = by_d.of(word); prefix > 0; prefix = by_d.of(word)) {
        suffix += (word - prefix * by_d.d + 1) * power;
        power *= by_d.d;
        word = prefix - 1;
        sum += a[word] * b[suffix];
    }
    return sum;
}

// The adjoint. Given the derivs g with respect to a (x) b, those with respect to one word of a, or of b, without the
// term g[word] that both have: the sums over the words v that may follow it, and over the words u that may stand before
// it,
//
//     sum of g[word v] b[v],        sum of g[u word] a[u].
//
// `n_team` threads share the terms: thread `rank` takes every n_team-th, and has its part of the sum as a result.
template <typename T, int D, typename I>
__device__ __forceinline__ T sum_after(const T* __restrict__ g, const T* __restrict__ b, const Word<I>& w, int degree,
                                       int d_given, int rank, int n_team) {
    const I d = D ? D : d_given;
    T sum = 0;
    I size = 1, b_at = 0;                             // words v of m letters
    I g_at = w.at, g_size = w.size, first = w.index;  // words of w.length + m letters, the first with v
    for (int n = w.length + 1; n <= degree; n++) {
        size *= d;
        g_at += g_size;
        g_size *= d;
        first *= d;
        for (I v = rank; v < size; v += n_team) sum += g[g_at + first + v] * b[b_at + v];
        b_at += size;
    }
    return sum;
}

template <typename T, int D, typename I>
__device__ __forceinline__ T sum_before(const T* __restrict__ g, const T* __restrict__ a, const Word<I>& w, int degree,
                                        int d_given, int rank, int n_team) {
    const I d = D ? D : d_given;
    T sum = 0;
    I size = 1, a_at = 0;            // words u of k letters
    I g_at = w.at, g_size = w.size;  // words of k + w.length letters
    for (int n = w.length + 1; n <= degree; n++) {
        size *= d;
        g_at += g_size;
        g_size *= d;
        for (I u = rank; u < size; u += n_team) sum += g[g_at + u * w.size + w.index] * a[a_at + u];
        a_at += size;
    }
    return sum;
}

// The adjoint of a product, from its cotangents g: block `tile` of those that share the product. The first `n_long`
// words of both factors have long sums: a warp for each, in the first blocks. A thread for each of the others. Whoever
// has the cotangent of a word of a, or of b (`second`), hands it to put(second, word, cotangent).
template <typename T, int D, typename I, typename Put>
__device__ __forceinline__ void product_backprop(const T* __restrict__ g, const T* __restrict__ a,
                                                 const T* __restrict__ b, long long tile, int d, int degree,
                                                 long long n_words, long long n_long, const Put& put) {
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
    if (rank == 0) put(second, word, g[word] + sum);
}
