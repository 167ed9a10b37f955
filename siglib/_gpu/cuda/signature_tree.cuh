// The state of one item (path, suffix w) in the registers of one thread, and how an increment changes it.
//
// Increments are taken from last to first and multiplied from the left, S <- exp(x) (x) S. That leaves the ends of
// words alone: all words that end in the same suffix w, of `SUFFIX` letters, are a sub-problem that needs nothing else.
//
//   ending[k - 1]   the coefficient of the last k letters of w
//   tree            the coefficients of the words u w, |u| = 1..P. A node's children are the words with one more letter
//                   in front; child j of node u of level q is number u * fan(q) + j of level q + 1
//
// The tree may be cut. Level 1 has the letters c0..c0 + T1 - 1 only (the root tile), and level
// P, if P is 2, the letters j0..j0 + T2 - 1 only (the top tile). A whole tree has T1 = T2 = D. With tiles the number of
// letters need not be known when the CUDA function is compiled: D is 0 then, and P at most 2.
//
// Horner's scheme. For a word v of length n, the new coefficient is
//     S_n[v] + x[v1] / 1 (S_{n-1}[v2 ..] + x[v2] / 2 (S_{n-2}[v3 ..] + ... x[vn] / n)),
// evaluated from the inside, that is from the last letter on. Words with the same ending and the same length share the
// inner values: those that belong to the ending are computed once, in `advance_ending`, those of a node once for all
// words below it. All loops are unrolled, all indices are known to the compiler: everything stays in registers.
#pragma once
#include "common.cuh"

// Children of a node of level q.
template <int D, int P, int T1, int T2>
__device__ constexpr int fan(int q) {
    return q == 0 ? T1 : q + 1 == P ? T2 : D;
}

// Where level r begins in the tree; level P + 1 where it ends.
template <int D, int P, int T1, int T2>
__device__ constexpr int level_at(int r) {
    int at = 0, nodes = 1;
    for (int q = 0; q + 1 < r; q++) {
        nodes *= fan<D, P, T1, T2>(q);
        at += nodes;
    }
    return at;
}

// With few letters, letters are scaled, x[j] / i; with many, partial results are: `scaled` holds P times D letters.
template <int D>
__device__ constexpr bool scales_letters() {
    return D == 2 || D == 3;
}

template <typename T, int D, int P>
__device__ __forceinline__ void scale_letters(T* letters) {
    if constexpr (scales_letters<D>()) {
#pragma unroll
        for (int i = 1; i < P; i++)
#pragma unroll
            for (int j = 0; j < D; j++) letters[i * D + j] = letters[j] * (T(1) / T(i + 1));
    }
}

// The nodes below node u of level Q. B[i] is the inner value that the words of level Q + 1 + i share.
template <typename T, int D, int P, int T1, int T2, int Q>
__device__ __forceinline__ void advance_below(T* tree, int u, const T* B, const T* root, const T* middle,
                                              const T* top) {
    constexpr int FAN = fan<D, P, T1, T2>(Q), AT = level_at<D, P, T1, T2>(Q + 1);
    const T* x = Q == 0 ? root : Q + 1 == P ? top : middle;
    T scaled[P - Q];
#pragma unroll
    for (int i = 0; i < P - Q; i++) scaled[i] = scales_letters<D>() ? B[i] : B[i] * (T(1) / T(i + 1));
#pragma unroll
    for (int j = 0; j < FAN; j++) {
        const T t = tree[AT + u * FAN + j];
        if constexpr (Q + 1 < P) {
            T C[P - Q - 1];
#pragma unroll
            for (int i = 0; i < P - Q - 1; i++)
                C[i] = (scales_letters<D>() ? x[(i + 1) * D + j] : x[j]) * scaled[i + 1] + t;
            tree[AT + u * FAN + j] = x[j] * scaled[0] + t;
            advance_below<T, D, P, T1, T2, Q + 1>(tree, u * FAN + j, C, root, middle, top);
        } else {
            tree[AT + u * FAN + j] = x[j] * scaled[0] + t;
        }
    }
}

// The ending, and B[r - 1], the inner value that the words of length SUFFIX + r share. x[k - 1] is the increment of
// the k-th letter of w from its end.
template <typename T, int SUFFIX, int P>
__device__ __forceinline__ void advance_ending(T* ending, const T* x, T* B) {
#pragma unroll
    for (int r = 1; r <= P; r++) {
        T c = 1;
#pragma unroll
        for (int k = 1; k <= SUFFIX; k++) c = x[k - 1] * (T(1) / T(SUFFIX + r - k + 1)) * c + ending[k - 1];
        B[r - 1] = c;
    }
#pragma unroll
    for (int n = SUFFIX; n >= 1; n--) {
        T c = 1;
#pragma unroll
        for (int k = 1; k < n; k++) c = x[k - 1] * (T(1) / T(n - k + 1)) * c + ending[k - 1];
        ending[n - 1] = x[n - 1] * c + ending[n - 1];
    }
}

// Write the coefficients below node u of level Q to the levels' `rows`; `word` is the place of the node's word.
template <typename T, int D, int P, int T1, int T2, int Q, typename I>
__device__ __forceinline__ void store_below(const T* tree, int u, I word, T* const* rows, const I* weights, int c0,
                                            int j0, int d) {
    constexpr int FAN = fan<D, P, T1, T2>(Q), AT = level_at<D, P, T1, T2>(Q + 1);
#pragma unroll
    for (int j = 0; j < FAN; j++) {
        const int letter = D > 0 ? j : j + (Q == 0 ? c0 : j0);
        if (D == 0 && letter >= d) continue;
        const I next = word + letter * weights[Q];
        // Several top tiles have the same words of level 1.
        if (Q + 1 == P || D > 0 || j0 == 0) rows[Q][next] = tree[AT + u * FAN + j];
        if constexpr (Q + 1 < P) store_below<T, D, P, T1, T2, Q + 1>(tree, u * FAN + j, next, rows, weights, c0, j0, d);
    }
}

// Write an item's coefficients to the signature at `row`, whose empty word is not there: level by level, first the
// words that are endings of the suffix, if this item is the first of several that have them, then those of the tree.
template <typename T, int D, int SUFFIX, int P, int T1, int T2, typename I>
__device__ __forceinline__ void store_item(const T* tree, const T* ending, T* row, I suffix, I n_suffixes, bool first,
                                           int c0, int j0, I d) {
    I size = d;  // of the level, which starts at `row`
#pragma unroll
    for (int k = 0; k < SUFFIX; k++) {
        if (first && suffix < size) row[suffix] = ending[k];
        row += size;
        size *= d;
    }
    T* rows[P];
    I weights[P];  // of the letter in front of a word of the tree's level q
#pragma unroll
    for (int q = 0; q < P; q++) {
        rows[q] = row + suffix;
        weights[q] = q == 0 ? n_suffixes : weights[q - 1] * d;
        row += size;
        size *= d;
    }
    store_below<T, D, P, T1, T2, 0>(tree, 0, I(0), rows, weights, c0, j0, (int)d);
}
