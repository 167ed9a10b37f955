// Signature coefficients at words that are too long for the registers of one thread.
//
// A block has a chain of a path, a thread every blockDim.x-th letter of it; there are no time chunks. Horner's scheme
// is taken in another order, in which all letters go side by side: with
//
//     u_k^(r) = S_k + x_k / r u_(k-1)^(r+1)      r = n..1,   u_0^(r) = 1,
//
// the increment's step is S_k <- u_k^(1). Only k <= n - r + 1 are needed. Values of one r lie in shared memory; a
// thread reads those of its neighbour, so there is a barrier for each r.
#include "coefficients_long.cuh"

// paths: see increments.cuh, one chunk each; letters: the channels of the chains' letters, chain q those from
// starts_of_chains[q] on. out (n_paths, n_columns): the columns of the chains' entries, and if `writes_empty` of the
// empty word. One block for each pair of a path and a chain; shared memory: 4 (n + 1) numbers for the longest chain.
template <typename T>
__global__ void __launch_bounds__(256) long_coefficients(const Paths<T> paths, T* __restrict__ out,
                                                         const int* __restrict__ letters,
                                                         const int* __restrict__ starts_of_chains, long long n_chains,
                                                         const int* __restrict__ starts,
                                                         const int* __restrict__ columns, long long n_entries,
                                                         long long n_columns, long long writes_empty) {
    const long long b = blockIdx.x / (unsigned)n_chains;
    const int chain = (int)(blockIdx.x % (unsigned)n_chains), first_entry = starts_of_chains[chain];
    const int n = starts_of_chains[chain + 1] - first_entry;
    const T* const points = paths.points + b * paths.path;
    T* const s = dyn_smem<T>();
    T* const x = s + n + 1;
    T* const u = x + n + 1;
    for (int k = threadIdx.x + 1; k <= n; k += blockDim.x) s[k] = 0;
    if (threadIdx.x == 0) u[0] = u[n + 1] = 1;
    __syncthreads();
    for (long long row = 0; row < paths.n_rows; row++) {
        for (int k = threadIdx.x + 1; k <= n; k += blockDim.x)
            x[k] = increment_at(paths, points, row, letters[first_entry + k - 1]);
        multiply_long(s, x, u, n, T(1));
    }
    T* const result = out + b * n_columns;
    for (int k = threadIdx.x + 1; k <= n; k += blockDim.x)
        store_entry(starts, columns, first_entry + k - 1, s[k], result);
    if (writes_empty && chain == 0 && threadIdx.x == 0) store_entry(starts, columns, (int)n_entries, T(1), result);
}
