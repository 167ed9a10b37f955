// Chen's product of two signatures, each a tree in registers or wherever else its numbers can be asked for.
//
// Words are read from their last letter on, as in signature_tree.cuh: node u of level r is the word whose last letter
// is the first digit of u, of r digits to the base D. So the word of a left part, node a of level k, and a right part,
// node b, is node b D^k + a.
#pragma once
#include "signature_tree.cuh"

// The other way round: the place in memory of a word of N letters, from its node, or its node from its place.
template <int D, int N>
__device__ constexpr int reversed(int word) {
    if constexpr (N <= 1) {
        return word;
    } else {
        constexpr int LEFT = power<D>(N - 1);
        return word % D * LEFT + reversed<D, N - 1>(word / D);
    }
}

// Numbers of a tree of LEVELS levels whose root has T1 letters, up to level r.
template <int D, int LEVELS, int T1>
__device__ constexpr int tree_level(int r) {
    return level_at<D, LEVELS, T1, D>(r);
}

// A tree in registers, as products ask for it: number u of level R.
template <typename T, int D, int LEVELS, int T1>
struct Registers {
    const T* numbers;

    template <int R>
    __device__ __forceinline__ T get(int u) const {
        constexpr int START = tree_level<D, LEVELS, T1>(R);
        return numbers[START + u];
    }
};

// A tree in shared memory, or its part whose root has the letters from `first` on. Each has one of COLUMNS columns, as
// far as they lie apart: number u of a level of one lies beside that of the next.
template <typename T, int D, int LEVELS, int COLUMNS>
struct Column {
    T* numbers;
    int first;

    template <int R>
    __device__ __forceinline__ T& at(int u) const {
        constexpr int BELOW = power<D>(R - 1), START = tree_level<D, LEVELS, D>(R);
        return numbers[(START + first * BELOW + u) * COLUMNS];
    }
    template <int R>
    __device__ __forceinline__ T get(int u) const {
        return at<R>(u);
    }
    // Levels R and more become those of a tree in registers whose root has T1 letters.
    template <int T1, int R = 1>
    __device__ __forceinline__ void write(const T* tree) const {
        constexpr int WORDS = T1 * power<D>(R - 1), START = tree_level<D, LEVELS, T1>(R);
#pragma unroll
        for (int u = 0; u < WORDS; u++) at<R>(u) = tree[START + u];
        if constexpr (R < LEVELS) write<T1, R + 1>(tree);
    }
};

// The products of the left K letters of node u of level R with the rest of it, and so on for more letters.
template <int D, int R, int K, typename T, typename Left, typename Right>
__device__ __forceinline__ void add_cuts(T& total, int u, Left left, Right right) {
    if constexpr (K < R) {
        constexpr int LEFT = power<D>(K);
        total += left.template get<K>(u % LEFT) * right.template get<R - K>(u / LEFT);
        add_cuts<D, R, K + 1>(total, u, left, right);
    }
}

// One of the trees becomes the product, `to`: levels R and below, of words whose last letter is one of T1. `added` is
// the other tree, of these words; `left` is the left one, with all its words; `right` the right one. The one of both
// that is `to` itself is asked for levels that have not changed yet.
template <typename T, int D, int LEVELS, int T1, int R, typename Added, typename Left, typename Right>
__device__ __forceinline__ void multiply_levels(T* to, Added added, Left left, Right right) {
    constexpr int WORDS = T1 * power<D>(R - 1), START = tree_level<D, LEVELS, T1>(R);
#pragma unroll
    for (int u = 0; u < WORDS; u++) {
        T total = to[START + u] + added.template get<R>(u);
        add_cuts<D, R, 1>(total, u, left, right);
        to[START + u] = total;
    }
    if constexpr (R > 1) multiply_levels<T, D, LEVELS, T1, R - 1>(to, added, left, right);
}

template <typename T, int D, int LEVELS, int T1, typename Added, typename Left, typename Right>
__device__ __forceinline__ void multiply_tree(T* to, Added added, Left left, Right right) {
    multiply_levels<T, D, LEVELS, T1, LEVELS>(to, added, left, right);
}
