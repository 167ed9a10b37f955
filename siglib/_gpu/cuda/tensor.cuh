// The product of two signatures, a word at a time, and its adjoint (Chen's identity).
//
// An element is stored as levels 1..degree one after another, level n as d^n words in lexicographic order; its empty
// word is 1 and not stored. D is the number of letters if it is known when the kernel is compiled, so that dividing by it
// is cheap, or 0.
#pragma once
#include "common.cuh"

// Word number `word` of an element: its length, and its place in its level.
struct Word {
    int length;
    long long at;     // where its level begins
    long long size;   // d^length
    long long index;  // among the words of its length
};

__device__ __forceinline__ Word word_at(long long word, int d) {
    Word w = {1, 0, d, word};
    while (w.index >= w.size) {
        w.index -= w.size;
        w.at += w.size;
        w.size *= d;
        w.length++;
    }
    return w;
}

// Coefficient of the word in a (x) b: the sum over all ways to cut it in two. I is an integer type that holds all of an
// element's indices.
template <typename T, int D, typename I>
__device__ __forceinline__ T product_at(const T* __restrict__ a, const T* __restrict__ b, const Word& w, int d_given) {
    const I d = D ? D : d_given;
    T sum = a[w.at + w.index] + b[w.at + w.index];
    I prefix = (I)w.index;            // of k letters, its level begins at a_at
    I size = (I)w.size, a_at = (I)w.at;
    I suffix_size = 1, b_at = 0;      // of n - k letters
    for (int k = w.length - 1; k > 0; k--) {
        prefix /= d;
        size /= d;
        a_at -= size;
        suffix_size *= d;
        sum += a[a_at + prefix] * b[b_at + ((I)w.index - prefix * suffix_size)];
        b_at += suffix_size;
    }
    return sum;
}
