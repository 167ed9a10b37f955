// One increment of a long chain, whose letters are shared among the threads of a block; see coefficients_long.cu.
#pragma once
#include "coefficients.cuh"

// S (x) exp(x), or S (x) exp(-x) if sign is -1; s and x are those of letters 1..n, which one thread each reads and
// writes. u: two times n + 1 numbers, of which u[0] and u[n + 1] are 1. To be called by all threads.
template <typename T>
__device__ __forceinline__ void multiply_long(T* s, const T* x, T* u, int n, T sign) {
    T *now = u, *next = u + n + 1;
    for (int r = n; r > 0; r--) {
        const T inverse = sign / T(r);
        for (int k = threadIdx.x + 1; k <= n - r + 1; k += blockDim.x) next[k] = s[k] + x[k] * inverse * now[k - 1];
        __syncthreads();
        T* const last = now;
        now = next;
        next = last;
    }
    for (int k = threadIdx.x + 1; k <= n; k += blockDim.x) s[k] = now[k];
}
