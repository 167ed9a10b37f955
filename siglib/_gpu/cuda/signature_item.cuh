// One item of the gradient of a signature: what one thread holds of S and of its cotangent, and how it walks back.
//
// The signature of the increments l, l + 1, ... is exp(x_l) (x) that of l + 1, ... . A product from the left leaves the
// ends of words alone. So the words u w that end in the same suffix w of S letters need nothing from others but the
// coefficients of w's own endings, a[k-1] at the last k letters of w; and the words u, read from their last letter on,
// form a tree of P levels. One thread takes a tree, or a tile of it: T1 of the letters next to w (the root of the tree)
// and T2 of the first letters of the longest words (its top); in between all D. Everything is unrolled, so that the
// tree stays in registers.
//
// A step takes the increment x off, from the left: S <- exp(-x) (x) S, in Horner's scheme. For a word v of final length
// n, walked from its last letter, the partial result is
//
//     B^n(last k letters) = x(v_k) / (n - k + 1) B^n(last k - 1 letters) + S(last k letters),    B^n() = 1,
//
// and B^n of all n letters is the coefficient of exp(x) (x) S. `Bs` holds B^n / (n - depth) for all n above the depth;
// `Cs` the same for -x, which gives back S before the increment. Their adjoint carries `b`, the cotangents of B^n, back
// to the root of the tree and on along the suffix. Level P of S itself is never needed.
#pragma once

#include "common.cuh"

template <typename T>
__device__ __forceinline__ constexpr T inverse(int k) {
    return (T)1 / (T)k;
}

constexpr __device__ int at_least_one(int n) {
    return n > 0 ? n : 1;
}

// D: the dimension, or 0 where it is not known (then P = 2); S, P, T1, T2 as above.
template <typename T, int D, int S, int P, int T1, int T2>
struct Item {
    static_assert(P >= 2 && (D == 0 ? P == 2 : T2 == D));
    static constexpr bool WHOLE = D > 0 && T1 == D;  // root and top have the same letters
    static constexpr int INNER = D > 0 ? D : T2;     // letters above the root
    static constexpr int SUFFIX = S > 0 ? S : 1;

    // Nodes of level r of the tree, and of all levels below r.
    static constexpr __device__ int nodes(int r) {
        int n = T1;
        for (int q = 2; q <= r; ++q) n *= INNER;
        return n;
    }
    static constexpr __device__ int before(int r) {
        int n = 0;
        for (int q = 1; q < r; ++q) n += nodes(q);
        return n;
    }

    T a[SUFFIX], g_a[SUFFIX];                        // endings of the suffix, and their cotangent
    T s[before(P)];                                  // tree, levels 1..P-1
    T g[before(P + 1)];                              // its cotangent, levels 1..P
    T root[T1], inner[INNER], suffix[SUFFIX];        // the increment's letters
    T g_root[T1], g_inner[INNER], g_suffix[SUFFIX];  // its gradient; if WHOLE, all of the tree's is in g_inner

    // Changes the numbers of the tree: visit(level, word, reversed, exists, cotangent, old) for every word u of it
    // gives the new coefficient or cotangent, where `word` is its position within the words u, `reversed` that of the
    // word read backwards, and `exists` says whether this item's words exist at all.
    template <int Q, typename Visit>
    __device__ __forceinline__ void visit(int u, int word, int reversed, int power, int first_root, int first_top,
                                          int d, bool live, Visit visit_word) {
        constexpr int FAN = Q == 0 ? T1 : INNER;
#pragma unroll
        for (int j = 0; j < FAN; ++j) {
            const int letter = (Q == 0 ? first_root : Q == P - 1 ? first_top : 0) + j;
            const int child = u * FAN + j, at = before(Q + 1) + child;
            const int child_word = word + letter * power, child_reversed = reversed * d + letter;
            const bool exists = live && letter < d;
            if constexpr (Q + 1 < P) {
                s[at] = visit_word(Q + 1, child_word, child_reversed, exists, false, s[at]);
                g[at] = visit_word(Q + 1, child_word, child_reversed, exists, true, g[at]);
                visit<Q + 1>(child, child_word, child_reversed, power * d, first_root, first_top, d, exists,
                             visit_word);
            } else {
                g[at] = visit_word(Q + 1, child_word, child_reversed, exists, true, g[at]);
            }
        }
    }

    // One node at depth Q: takes the increment off its children, and gives b from theirs.
    template <int Q>
    __device__ __forceinline__ void node(int u, const T* Bs, const T* Cs, T* b) {
        constexpr int FAN = Q == 0 ? T1 : INNER;
#pragma unroll
        for (int i = 0; i < P - Q; ++i) b[i] = 0;
#pragma unroll
        for (int j = 0; j < FAN; ++j) {
            const T x = Q == 0 && !WHOLE ? root[j] : inner[j];
            T& g_x = Q == 0 && !WHOLE ? g_root[j] : g_inner[j];
            T& cotangent = g[before(Q + 1) + u * FAN + j];
            const T g_word = cotangent;
            T total = g_word * Bs[0];
            b[0] += x * g_word;
            if constexpr (Q + 1 < P) {
                T& coefficient = s[before(Q + 1) + u * FAN + j];
                const T later = coefficient, earlier = later - x * Cs[0];
                coefficient = earlier;
                T child_Bs[P - Q - 1], child_Cs[at_least_one(P - Q - 2)], child_b[P - Q - 1];
#pragma unroll
                for (int i = 0; i < P - Q - 2; ++i) child_Cs[i] = (later - x * Cs[i + 1]) * inverse<T>(i + 1);
#pragma unroll
                for (int i = 0; i < P - Q - 1; ++i) child_Bs[i] = (x * Bs[i + 1] + earlier) * inverse<T>(i + 1);
                node<Q + 1>(u * FAN + j, child_Bs, child_Cs, child_b);
                T sum = g_word;
#pragma unroll
                for (int i = 0; i < P - Q - 1; ++i) {
                    sum += child_b[i];
                    total += child_b[i] * Bs[i + 1];
                    b[i + 1] += x * child_b[i];
                }
                cotangent = sum;
            }
            g_x += total;
        }
#pragma unroll
        for (int i = 1; i < P - Q; ++i) b[i] *= inverse<T>(i + 1);
    }

    // The adjoint of B^n along the suffix, from e, the cotangent of B^n at its last `top` letters.
    template <int N>
    __device__ __forceinline__ void chain_backprop(T e) {
        constexpr int TOP = N < S ? N : S;
        T c[at_least_one(TOP)];
        c[0] = 1;
#pragma unroll
        for (int k = 1; k < TOP; ++k) c[k] = suffix[k - 1] * inverse<T>(N - k + 1) * c[k - 1] + a[k - 1];
#pragma unroll
        for (int k = TOP; k > 0; --k) {
            const T h = e * inverse<T>(N - k + 1);
            g_suffix[k - 1] += h * c[k - 1];
            e = h * suffix[k - 1];
            if (k > 1) g_a[k - 2] += e;
        }
    }

    template <int N>
    __device__ __forceinline__ void chains_backprop(const T* b) {
        if constexpr (S > 0 && N <= S + P) {
            if constexpr (N > S) {
                const T e = b[N - S - 1];
                g_a[S - 1] += e;
                chain_backprop<N>(e);
            } else {
                chain_backprop<N>(g_a[N - 1]);
            }
            chains_backprop<N + 1>(b);
        }
    }

    // Takes one increment off, its letters being set; leaves its gradient in g_root, g_inner, g_suffix.
    __device__ __forceinline__ void step() {
        T Bs[P], Cs[P - 1], b[P];
#pragma unroll
        for (int r = 1; r < P; ++r) {
            T c = 1;
#pragma unroll
            for (int k = 1; k <= S; ++k) c = a[k - 1] - suffix[k - 1] * inverse<T>(S + r - k + 1) * c;
            Cs[r - 1] = c * inverse<T>(r);
        }
#pragma unroll
        for (int n = S; n > 0; --n) {
            T c = 1;
#pragma unroll
            for (int k = 1; k < n; ++k) c = a[k - 1] - suffix[k - 1] * inverse<T>(n - k + 1) * c;
            a[n - 1] -= suffix[n - 1] * c;
        }
#pragma unroll
        for (int r = 1; r <= P; ++r) {
            T c = 1;
#pragma unroll
            for (int k = 1; k <= S; ++k) c = suffix[k - 1] * inverse<T>(S + r - k + 1) * c + a[k - 1];
            Bs[r - 1] = c * inverse<T>(r);
        }
#pragma unroll
        for (int i = 0; i < T1; ++i) g_root[i] = 0;
#pragma unroll
        for (int i = 0; i < INNER; ++i) g_inner[i] = 0;
#pragma unroll
        for (int k = 0; k < S; ++k) g_suffix[k] = 0;
        node<0>(0, Bs, Cs, b);
        chains_backprop<1>(b);
    }
};
