// One item of a corrected signature: `signature_tree.cuh` with terms of the levels 1..M in every increment.
//
// The increment is l = l_1 + .. + l_M, l_1 = x being that of the path, and S <- exp(l) (x) S. With V^(N+1) = 1, level
// 0, Horner's scheme is
//
//     V^(k)[v] = S[v] + 1/k sum_q l_q[the first q letters of v] V^(k+1)[v without them],    k = N, .., 1,
//
// for words v of up to N - k + 1 letters, and V^(1) is the new S. Only endings of v are needed, so items are what they
// are without correction. A node needs its M nearest ancestors, of the tree or of the suffix: `Above` has, for the one
// that is q letters shorter, V^(k+1) / k at [q - 1][k - 1], the same k for all of them.
//
// `Heads` has the place of the first q letters of a word among the words of q letters at [q], for all q up to M and the
// length of the word.
#pragma once
#include "signature_tree.cuh"

template <int M>
using Heads = int[M + 1];

template <typename T, int P, int M>
using Above = T[M][P];

// What terms are at: those of level q, from 2 on, begin `starts[q]` numbers behind `c`; powers[q] is d^q.
template <typename T, int M>
struct Terms {
    const T* c;
    int starts[M + 1], powers[M + 1];

    __device__ __forceinline__ explicit Terms(int d) {
        powers[0] = 1;
        powers[1] = d;
        starts[0] = starts[1] = 0;
        int start = 0;
#pragma unroll
        for (int q = 2; q <= M; q++) {
            powers[q] = powers[q - 1] * d;
            starts[q] = start;
            start += powers[q];
        }
    }

    // `heads` of a word and `letter` in front of it: those of the longer word, of `length` letters, and its terms, l[0]
    // being there already.
    template <int LENGTH>
    __device__ __forceinline__ void prepend(int letter, const Heads<M>& heads, Heads<M>& longer, T (&l)[M]) const {
        longer[0] = 0;
#pragma unroll
        for (int q = 1; q <= (M < LENGTH ? M : LENGTH); q++) {
            longer[q] = letter * powers[q - 1] + heads[q - 1];
            if (q > 1) l[q - 1] = c[starts[q] + longer[q]];
        }
    }
};

// Endings of the suffix of 1..SUFFIX letters, one after another: x[n - 1] is the increment of the n-th letter w[n - 1]
// of the suffix from its end. l[n - 1] become the terms of the ending of n letters, `heads` those of the suffix.
template <typename T, int SUFFIX, int M, int N>
__device__ __forceinline__ void load_terms(const int* w, const T* x, const Terms<T, M>& terms, Heads<M>& heads,
                                           T (*l)[M]) {
    if constexpr (N <= SUFFIX) {
        Heads<M> longer;
        l[N - 1][0] = x[N - 1];
        terms.template prepend<N>(w[N - 1], heads, longer, l[N - 1]);
#pragma unroll
        for (int q = 0; q <= (M < N ? M : N); q++) heads[q] = longer[q];
        load_terms<T, SUFFIX, M, N + 1>(w, x, terms, heads, l);
    }
}

// The endings, and what is above the tree's first level.
template <typename T, int SUFFIX, int P, int M>
__device__ __forceinline__ void advance_ending(T* ending, const T (*l)[M], Above<T, P, M>& above) {
    constexpr int DEGREE = SUFFIX + P;
    T v[SUFFIX + 1] = {};  // V^(k) at the endings
    v[0] = 1;
#pragma unroll
    for (int k = DEGREE + 1; k >= 1; k--) {
#pragma unroll
        for (int n = SUFFIX; n >= 1; n--) {
            if (n > DEGREE - k + 1) continue;
            T sum = l[n - 1][0] * v[n - 1];
#pragma unroll
            for (int q = 2; q <= M; q++)
                if (q <= n) sum += l[n - 1][q - 1] * v[n - q];
            v[n] = sum * (T(1) / T(k)) + ending[n - 1];
        }
        if (k >= 2 && k <= P + 1) {
#pragma unroll
            for (int q = 1; q <= M; q++)
                if (q <= SUFFIX + 1) above[q - 1][k - 2] = v[SUFFIX + 1 - q] * (T(1) / T(k - 1));
        }
    }
#pragma unroll
    for (int n = 1; n <= SUFFIX; n++) ending[n - 1] = v[n];
}

// The nodes below node u of level Q, whose `heads` are given. Letters that no word has, of a tile that is larger than
// what is left for it, are taken for the last one: nobody reads what becomes of them.
template <typename T, int D, int SUFFIX, int P, int T1, int T2, int M, int Q>
__device__ __forceinline__ void advance_below(T* tree, int u, const Heads<M>& heads, const Above<T, P, M>& above,
                                              const Terms<T, M>& terms, const T* root, const T* inner, int c0, int j0) {
    constexpr int FAN = fan<D, P, T1, T2>(Q), AT = level_at<D, P, T1, T2>(Q + 1), LENGTH = SUFFIX + Q + 1;
    const T* x = Q == 0 ? root : inner;
#pragma unroll
    for (int j = 0; j < FAN; j++) {
        const int letter = D > 0 ? j : smaller((Q == 0 ? c0 : j0) + j, terms.powers[1] - 1);
        Heads<M> longer;
        T l[M], z[P - Q];
        l[0] = x[j];
        terms.template prepend<LENGTH>(letter, heads, longer, l);
        const T t = tree[AT + u * FAN + j];
#pragma unroll
        for (int k = 0; k < P - Q; k++) {
            z[k] = l[0] * above[0][k] + t;
#pragma unroll
            for (int q = 2; q <= M; q++)
                if (q <= LENGTH) z[k] += l[q - 1] * above[q - 1][k];
        }
        tree[AT + u * FAN + j] = z[0];
        if constexpr (Q + 1 < P) {
            Above<T, P, M> next = {};
#pragma unroll
            for (int k = 1; k < P - Q; k++) {
                next[0][k - 1] = z[k] * (T(1) / T(k));
#pragma unroll
                for (int q = 2; q <= M; q++)
                    if (q <= LENGTH + 1) next[q - 1][k - 1] = above[q - 2][k - 1];
            }
            advance_below<T, D, SUFFIX, P, T1, T2, M, Q + 1>(tree, u * FAN + j, longer, next, terms, root, inner, c0,
                                                             j0);
        }
    }
}
