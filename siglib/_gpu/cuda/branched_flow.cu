// Branched signatures of paths whose segments have terms at chains.
//
// A block has a path, and takes its segments from the last to the first: each multiplies the signature of what follows
// from the left. The signature, two partial results of a step and the weights of two segments, this one's and the next
// one's, are in shared memory, or in scratch memory where they do not fit.
#include "branched_flow.cuh"

// correction: `term_path` numbers from one path's to the next one's. out (batch, skip + n). scratch (batch, n_scratch),
// or null if everything is in shared memory. The tables are those of `_tables/tree_flow.py` and `flow_starts`.
template <typename T>
__global__ void __launch_bounds__(256, 1) branched_flow(
    const Paths<T> paths, const T* __restrict__ correction, T* __restrict__ out, T* scratch,
    const int* __restrict__ rows, const long long* __restrict__ starts, const long long* __restrict__ weight_starts,
    const int* __restrict__ sources, const int* __restrict__ weights, const long long* __restrict__ ends,
    const int* __restrict__ weight_terms, const T* __restrict__ weight_ways, long long term_path, long long term_row,
    long long n_weights, long long degree, long long skip, long long n_scratch) {
    const Terms terms = {rows, starts, weight_starts, sources, weights, ends};
    const long long path = blockIdx.x, n = ends[degree], n_partial = ends[degree - 1] + 1;
    T* const x = scratch ? scratch + path * n_scratch : dyn_smem<T>();
    T *const even = x + n + 1, *const odd = even + n_partial;
    T *now = odd + n_partial, *next = now + n_weights;
    const Weights<T> segments = {paths,
                                 paths.points + path * paths.path,
                                 correction + path * term_path,
                                 weight_terms,
                                 weight_ways,
                                 term_row,
                                 (int)n_weights};
    for (long long i = threadIdx.x; i <= n; i += blockDim.x) x[i] = 0;
    if (threadIdx.x == 0) even[0] = odd[0] = 1;
    segments.load(paths.n_rows - 1, now);
    __syncthreads();
    for (long long row = paths.n_rows - 1; row >= 0; row--) {
        if (row > 0) segments.load(row - 1, next);
        step(x, even, odd, now, (T)1, (int)degree, terms);
        T* const other = now;
        now = next;
        next = other;
    }
    T* const result = out + path * (skip + n);
    if (skip && threadIdx.x == 0) result[0] = 1;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) result[skip + i] = x[1 + i];
}
