// The gradient of coefficients at words that are too long for the registers of one thread; see coefficients_long.cu.
//
// Increments are taken off from last to first. The values u of Horner's scheme, which the adjoint needs in reverse, are
// written to memory; with b_k^(1) the cotangent of S_k after the increment,
//
//     gx_k += b_k^(r) / r u_(k-1)^(r+1),     b_(k-1)^(r+1) = b_k^(r) x_k / r      r = 1..n,   k <= n - r + 1,
//
// and that of S_k before it is the sum of all b_k^(r). Blocks take one pair of a path and a chain after the other.
#include "coefficients_long.cuh"

// The values of Horner's scheme for r = n..2 to rows r of `scheme`, n + 1 numbers each; s: before the increment.
template <typename T>
__device__ __forceinline__ void write_scheme(const T* s, const T* x, int n, T* scheme) {
    for (int r = n; r > 1; r--) {
        const T inverse = T(1) / T(r);
        const T* const last = scheme + (r + 1ll) * (n + 1);
        T* const now = scheme + (long long)r * (n + 1);
        for (int k = threadIdx.x + 1; k <= n - r + 1; k += blockDim.x)
            now[k] = s[k] + x[k] * inverse * (k > 1 ? last[k - 1] : T(1));
        __syncthreads();
    }
}

// The adjoint: g, of the coefficients after the increment, becomes that of those before it; writes gx. `b`: two times
// n + 1 numbers.
template <typename T>
__device__ __forceinline__ void multiply_long_backprop(const T* scheme, const T* x, T* g, T* gx, T* b, int n) {
    T *now = b, *next = b + n + 1;
    for (int k = threadIdx.x + 1; k <= n; k += blockDim.x) {
        now[k] = g[k];
        gx[k] = 0;
    }
    for (int r = 1; r <= n; r++) {
        const T inverse = T(1) / T(r);
        const T* const last = scheme + (r + 1ll) * (n + 1);
        for (int k = threadIdx.x + 1; k <= n - r + 1; k += blockDim.x) {
            const T h = now[k] * inverse;
            if (r > 1) g[k] += now[k];
            gx[k] += h * (k > 1 ? last[k - 1] : T(1));
            if (k > 1) next[k - 1] = h * x[k];
        }
        __syncthreads();
        T* const before = now;
        now = next;
        next = before;
    }
}

// paths: see increments.cuh, one chunk each; letters: the channels of the chains' letters, chain q those from
// starts_of_chains[q] on. states, derivs (n_paths, ...) and their columns, gx (n_paths, n_sums, n_rows, d): see
// coefficients_backprop; chain q has the sum first_sum + q. scheme: a square of n + 1 numbers for the longest chain,
// for each block. Shared memory: 6 (n + 1) numbers.
template <typename T>
__global__ void __launch_bounds__(256) long_coefficients_backprop(
    const Paths<T> paths, long long n_paths, const int* __restrict__ letters, const int* __restrict__ starts_of_chains,
    long long n_chains, const T* __restrict__ states, const int* __restrict__ state_columns, long long n_states,
    const T* __restrict__ derivs, const int* __restrict__ starts, const int* __restrict__ columns, long long n_derivs,
    T* __restrict__ gx, long long n_sums, long long first_sum, long long adds, T* __restrict__ schemes,
    long long scheme_size) {
    T* const scheme = schemes + blockIdx.x * scheme_size;
    for (long long item = blockIdx.x; item < n_paths * n_chains; item += gridDim.x) {
        const long long v = quotient(item, n_chains);
        const int chain = (int)(item - v * n_chains), first_entry = starts_of_chains[chain];
        const int n = starts_of_chains[chain + 1] - first_entry;
        const T* const points = paths.points + v * paths.path;
        T* const s = dyn_smem<T>();
        T *const g = s + n + 1, *const x = g + n + 1, *const own_gx = x + n + 1, *const u = own_gx + n + 1;
        for (int k = threadIdx.x + 1; k <= n; k += blockDim.x) {
            const int entry = first_entry + k - 1;
            s[k] = states[v * n_states + (state_columns ? state_columns[entry] : entry)];
            g[k] = load_entry(starts, columns, entry, derivs + v * n_derivs);
        }
        if (threadIdx.x == 0) u[0] = u[n + 1] = 1;
        __syncthreads();
        for (long long row = paths.n_rows - 1; row >= 0; row--) {
            for (int k = threadIdx.x + 1; k <= n; k += blockDim.x)
                x[k] = increment_at(paths, points, row, letters[first_entry + k - 1]);
            multiply_long(s, x, u, n, T(-1));
            write_scheme(s, x, n, scheme);
            multiply_long_backprop(scheme, x, g, own_gx, u, n);
            // Until own_gx is written again all threads wait for each other many times.
            T* const result = gx + ((v * n_sums + first_sum + chain) * paths.n_rows + row) * paths.d;
            for (int channel = threadIdx.x; channel < paths.d; channel += blockDim.x) {
                T total = 0;
                for (int k = 1; k <= n; k++)
                    if (letters[first_entry + k - 1] == channel) total += own_gx[k];
                result[channel] = adds ? result[channel] + total : total;
            }
        }
    }
}
