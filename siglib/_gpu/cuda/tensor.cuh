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
