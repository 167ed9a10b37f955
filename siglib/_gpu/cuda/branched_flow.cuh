// One segment of a branched signature with corrections, by a block: `siglib/_cpu/branched_step.pxd` says what it does.
//
// A thread takes coefficients, which are sums over few others with fewer nodes. V^(k+1) is read and V^(k) written, with
// a barrier in between: the two lie in different places. Element 0 is nothing, 1 + i the i-th coefficient.
#pragma once
#include "increments.cuh"

// Weights of the segments of one path: of increments, and of the terms at chains.
template <typename T>
struct Weights {
    const Paths<T>& paths;
    const T* points;
    const T* correction;  // the path's
    const int* weight_terms;
    const T* weight_ways;
    long long term_row;  // numbers from one segment's row to the next one's
    int n;

    __device__ __forceinline__ void load(long long row, T* w) const {
        for (int j = threadIdx.x; j < n; j += blockDim.x) {
            const int u = weight_terms[j];
            const T term =
                u < paths.d ? increment_at(paths, points, row, u) : correction[row * term_row + (u - paths.d)];
            w[j] = term * weight_ways[j];
        }
    }
};

// The sums: element rows[i] has the sources starts[i] ... starts[i + 1] - 1, and as many weights from weight_starts[i]
// on. The first ends[n] have up to n nodes.
struct Terms {
    const int* rows;
    const long long* starts;
    const long long* weight_starts;
    const int* sources;
    const int* weights;
    const long long* ends;
};

// out = X + factor l V, for coefficients of up to `nodes` nodes; out may be x.
template <typename T>
__device__ __forceinline__ void horner(const T* x, const T* v, const T* w, T factor, T* out, int nodes,
                                       const Terms& terms) {
    const int n = (int)terms.ends[nodes];
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const long long start = terms.starts[i];
        const int count = (int)(terms.starts[i + 1] - start), row = terms.rows[i];
        const int *const sources = terms.sources + start, *const weights = terms.weights + terms.weight_starts[i];
        T total = 0;
        for (int k = 0; k < count; k++) total += w[weights[k]] * v[sources[k]];
        out[row] = x[row] + factor * total;
    }
}

// X <- exp(sign l) * X. `even` and `odd`: scratch memory for V^(k), which are 1 at nothing. Ends with a barrier.
template <typename T>
__device__ __forceinline__ void step(T* x, T* even, T* odd, const T* w, T sign, int degree, const Terms& terms) {
    for (int k = degree; k > 0; k--) {
        horner(x, k & 1 ? even : odd, w, sign / k, k == 1 ? x : k & 1 ? odd : even, degree - k + 1, terms);
        __syncthreads();
    }
}
