// Sums over the ways to cut a word in two: what products of tensors, logarithms and their adjoints are made of.
//
// A word is its position in a tensor: levels 1, 2, ... one after another, each in lexicographic order, letters 0..d-1.
// The position plus one, call it the value, counts words in bijective base d: the letters plus one are its digits. So
//
//     value(u v) = value(u) d^|v| + value(v),
//
// the word without its last letter has value position / d, and no length or start of a level is needed to find the
// parts of a word. Everything is a gather: one thread, or a few lanes of a warp, own each number of the result, and the
// order of their sum depends on d and the degree alone.
//
// D is the dimension where it is known at compile time (divisions become multiplications), else 0.
#pragma once

#include "common.cuh"

constexpr unsigned FULL_WARP = 0xffffffffu;

// Number of words of length 1..length, in other words where those of length + 1 start.
__device__ __forceinline__ unsigned words_up_to(unsigned d, int length) {
    unsigned total = 0;
    for (int n = 0; n < length; ++n) total = (total + 1) * d;
    return total;
}

// total + sum of p[u] t[v] over all cuts of `word` into u v, neither of them empty; the longest u first.
template <typename T, int D>
__device__ __forceinline__ T add_cuts(T total, const T* p, const T* t, unsigned word, unsigned dimension) {
    const unsigned d = D > 0 ? D : dimension;
    unsigned suffix = 0, power = 1;  // suffix: its value
    for (unsigned prefix = word / d; prefix > 0; prefix = word / d) {
        suffix += (word - prefix * d + 1) * power;
        power *= d;
        total += p[prefix - 1] * t[suffix - 1];
        word = prefix - 1;
    }
    return total;
}

// Which of the words of one level a lane of a team of warps works at, and its share of their sums.
struct Share {
    unsigned first, stride;  // words first, first + stride, ... of the level; the same number of rounds for all lanes
    unsigned word_lane;      // added to them
    unsigned part, parts;    // terms part, part + parts, ... of the sum are this lane's
};

// The adjoint with respect to the first factor: what the words u v that start with u hand to u.
// The lanes that share a word stand side by side, as their terms do.
__device__ __forceinline__ Share share_suffixes(unsigned n_terms, unsigned warp, unsigned n_warps, unsigned lane) {
    unsigned parts = 1;
    while (parts < 32 && 2 * parts <= n_terms) parts *= 2;
    const unsigned words = 32 / parts;
    return {warp * words, n_warps * words, lane / parts, lane % parts, parts};
}

// The adjoint with respect to the second factor: what the words u v that end in v hand to v.
// Words v stand side by side, so neighbours read neighbours.
__device__ __forceinline__ Share share_prefixes(unsigned n_terms, unsigned warp, unsigned n_warps, unsigned lane) {
    unsigned parts = 1;
    while (parts < 32 && 4 * parts <= n_terms) parts *= 2;
    const unsigned words = 32 / parts;
    return {warp * words, n_warps * words, lane % words, lane / words, parts};
}

// This lane's share of the sum of g[u v] t[v], u = `word`, over all v with u v among the first `end` words.
template <typename T>
__device__ __forceinline__ T sum_suffixes(const T* g, const T* t, unsigned word, unsigned end, unsigned d,
                                          unsigned part, unsigned parts) {
    T total = 0;
    unsigned size = d, start = 0;
    for (unsigned long long first = (word + 1ull) * d; first < end; first = (first + 1) * d) {
        const T* row = g + first;
        for (unsigned v = part; v < size; v += parts) total += row[v] * t[start + v];
        start += size;
        size *= d;
    }
    return total;
}

// This lane's share of the sum of p[u] g[u v], v = `word` of length n, over the first `n_prefixes` words u; size: d^n.
template <typename T>
__device__ __forceinline__ T sum_prefixes(const T* p, const T* g, unsigned word, unsigned size, unsigned n_prefixes,
                                          unsigned part, unsigned parts) {
    T total = 0;
    for (unsigned u = part; u < n_prefixes; u += parts) total += p[u] * g[word + (u + 1) * size];
    return total;
}

// Sum over the lanes that share a word, in all of them; `step` apart, all lanes of the warp together.
template <typename T>
__device__ __forceinline__ T sum_of_parts(T value, unsigned parts, unsigned step) {
    for (unsigned mask = parts / 2; mask > 0; mask /= 2) value += __shfl_xor_sync(FULL_WARP, value, mask * step);
    return value;
}

// out(u, s), for all words u of length 1..longest, of s = sum of g[u v] t[v] over the words u v of length up to `top`.
// Whole warps call this, number `warp` of `n_warps`.
template <typename T, typename Out>
__device__ __forceinline__ void for_suffix_sums(const T* g, const T* t, unsigned d, int longest, int top, unsigned warp,
                                                unsigned n_warps, unsigned lane, Out out) {
    const unsigned end = words_up_to(d, top);
    unsigned start = 0, size = d, terms = words_up_to(d, top - 1);
    for (int n = 1; n <= longest; ++n) {
        const Share share = share_suffixes(terms, warp, n_warps, lane);
        for (unsigned base = share.first; base < size; base += share.stride) {
            const unsigned u = base + share.word_lane;
            T total = u < size ? sum_suffixes(g, t, start + u, end, d, share.part, share.parts) : (T)0;
            total = sum_of_parts(total, share.parts, 1);
            if (u < size && share.part == 0) out(start + u, total);
        }
        start += size;
        size *= d;
        terms /= d;
    }
}

// out(v, s), for all words v of length 1..longest, of s = sum of p[u] g[u v] over the words u v of length up to `top`.
template <typename T, typename Out>
__device__ __forceinline__ void for_prefix_sums(const T* p, const T* g, unsigned d, int longest, int top, unsigned warp,
                                                unsigned n_warps, unsigned lane, Out out) {
    unsigned start = 0, size = d;
    for (int n = 1; n <= longest; ++n) {
        const unsigned n_prefixes = words_up_to(d, top - n);
        const Share share = share_prefixes(n_prefixes, warp, n_warps, lane);
        for (unsigned base = share.first; base < size; base += share.stride) {
            const unsigned v = base + share.word_lane;
            T total = v < size ? sum_prefixes(p, g, start + v, size, n_prefixes, share.part, share.parts) : (T)0;
            total = sum_of_parts(total, share.parts, 32 / share.parts);
            if (v < size && share.part == 0) out(start + v, total);
        }
        start += size;
        size *= d;
    }
}
