// Gradients of branched signatures of paths whose segments have terms at chains.
//
// A block has a path. It takes the segments off again, from the first to the last, and keeps the partial results V^(k)
// of one segment, which its gradient needs. Sums over the targets of a source are gathered by a thread for each source,
// those over all terms with one weight by a warp for each weight: nobody adds to what others add to.
#include "branched_flow.cuh"

// The same terms by source and by weight, as in `_tables/tree_flow.py`.
struct Targets {
    const long long* source_ends;
    const int* source_targets;
    const int* source_weights;
    const long long* weight_ends;
    const int* weight_targets;
    const int* weight_sources;
    const long long* ends;
    int m, degree, n_weights;
};

// f(e, n) for the elements e of n nodes, n = 1 ... nodes; always with the same thread for an element.
template <typename F>
__device__ __forceinline__ void for_elements(const Targets& t, int nodes, F f) {
    for (int n = 1; n <= nodes; n++)
        for (int e = (int)t.ends[n - 1] + 1 + threadIdx.x; e <= (int)t.ends[n]; e += blockDim.x) f(e, n);
}

// Derivatives by the weights, for those `seeds` by V^(k) of up to `nodes` nodes; `v` is V^(k+1), `factor` 1/k. They are
// set if this is the `first` step, or else added to.
template <typename T>
__device__ __forceinline__ void weights_backprop(const T* seeds, const T* v, T factor, bool first, T* by_weight,
                                                 int nodes, const Targets& t) {
    const int lane = threadIdx.x % 32, n_warps = blockDim.x / 32;
    for (int j = threadIdx.x / 32; j < t.n_weights; j += n_warps) {
        const long long* const ends = t.weight_ends + (long long)j * (t.degree + 1);
        T total = 0;
        for (long long i = ends[0] + lane; i < ends[nodes]; i += 32)
            total += seeds[t.weight_targets[i]] * v[t.weight_sources[i]];
        for (int i = 16; i > 0; i /= 2) total += __shfl_xor_sync(0xffffffffu, total, i);
        if (lane == 0) by_weight[j] = first ? factor * total : by_weight[j] + factor * total;
    }
}

// Derivatives by V^(k+1) at element e of n nodes.
template <typename T>
__device__ __forceinline__ T source_backprop(const T* seeds, const T* w, T factor, int e, int n, int nodes,
                                             const Targets& t) {
    const long long* const ends = t.source_ends + (long long)e * (t.m + 1);
    T total = 0;
    for (long long i = ends[0]; i < ends[smaller(t.m, nodes - n)]; i++)
        total += w[t.source_weights[i]] * seeds[t.source_targets[i]];
    return factor * total;
}

// bsig, derivs (batch, skip + n); gx (batch, segments, d); term_derivs (batch, segments or 1, n_terms), or null.
// scratch as forward. term_starts: weights of number u of increment and correction are term_starts[u] ... term_starts[u
// + 1] - 1.
template <typename T>
__global__ void __launch_bounds__(256, 1) branched_flow_backprop(
    const Paths<T> paths, const T* __restrict__ correction, const T* __restrict__ bsig, const T* __restrict__ derivs,
    T* __restrict__ gx, T* __restrict__ term_derivs, T* scratch, const int* __restrict__ rows,
    const long long* __restrict__ starts, const long long* __restrict__ weight_starts, const int* __restrict__ sources,
    const int* __restrict__ weights, const long long* __restrict__ ends, const int* __restrict__ weight_terms,
    const T* __restrict__ weight_ways, const long long* __restrict__ source_ends,
    const int* __restrict__ source_targets, const int* __restrict__ source_weights,
    const long long* __restrict__ weight_ends, const int* __restrict__ weight_targets,
    const int* __restrict__ weight_sources, const long long* __restrict__ term_starts, long long term_path,
    long long term_row, long long n_terms, long long n_weights, long long n_kept, long long degree_given, long long m,
    long long skip, long long n_scratch) {
    const int degree = (int)degree_given;
    const Terms terms = {rows, starts, weight_starts, sources, weights, ends};
    const Targets targets = {source_ends,    source_targets, source_weights, weight_ends, weight_targets,
                             weight_sources, ends,           (int)m,         degree,      (int)n_weights};
    const long long path = blockIdx.x, n = ends[degree], n_partial = ends[degree - 1] + 1;
    T* const x = scratch ? scratch + path * n_scratch : dyn_smem<T>();
    T *const g = x + n + 1, *const even = g + n + 1, *const odd = even + n_partial;
    T *const kept = odd + n_partial, *const by_weight = kept + n_kept;  // V^(degree), .., V^(2)
    T *now = by_weight + n_weights, *next = now + n_weights;
    const Weights<T> segments = {paths,
                                 paths.points + path * paths.path,
                                 correction + path * term_path,
                                 weight_terms,
                                 weight_ways,
                                 term_row,
                                 (int)n_weights};
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        x[1 + i] = bsig[path * (skip + n) + skip + i];
        g[1 + i] = derivs[path * (skip + n) + skip + i];
    }
    if (threadIdx.x == 0) {
        even[0] = odd[0] = 1;
        T* v = kept;
        for (int k = degree; k > 1; k--) {
            v[0] = 1;
            v += ends[degree - k + 1] + 1;
        }
    }
    segments.load(0, now);
    __syncthreads();
    for (long long row = 0; row < paths.n_rows; row++) {
        if (row + 1 < paths.n_rows) segments.load(row + 1, next);
        step(x, even, odd, now, (T)-1, degree, terms);
        const T* above = even;
        T* v = kept;
        for (int k = degree; k > 1; k--) {
            horner(x, above, now, (T)1 / k, v, degree - k + 1, terms);
            above = v;
            v += ends[degree - k + 1] + 1;
            __syncthreads();
        }
        for (int k = 1; k <= degree; k++) {
            // `above` is V^(k+1), of which in the end only the 1 at nothing is left, `seeds` the cotangent of V^(k).
            const T* const seeds = k == 1 ? g : k & 1 ? odd : even;
            T* const below = k & 1 ? even : odd;
            const int nodes = degree - k + 1;
            // The cotangent of X has that of V^(2), too. Until now g was that of V^(1) alone, and others read it.
            if (k == 2) for_elements(targets, nodes, [&](int e, int) { g[e] += seeds[e]; });
            weights_backprop(seeds, above, (T)1 / k, k == 1, by_weight, nodes, targets);
            for_elements(targets, nodes - 1, [&](int e, int count) {
                const T total = source_backprop(seeds, now, (T)1 / k, e, count, nodes, targets);
                below[e] = total;
                if (k > 1) g[e] += total;
            });
            above = k + 1 < degree ? above - (ends[nodes - 2] + 1) : even;
            __syncthreads();
        }
        for (long long u = threadIdx.x; u < paths.d + n_terms; u += blockDim.x) {
            T total = 0;
            for (long long j = term_starts[u]; j < term_starts[u + 1]; j++) total += by_weight[j] * weight_ways[j];
            if (u < paths.d) {
                gx[(path * paths.n_rows + row) * paths.d + u] = total;
            } else if (term_derivs) {
                T* const at = term_derivs + (term_row ? path * paths.n_rows + row : path) * n_terms + (u - paths.d);
                *at = term_row || row == 0 ? total : *at + total;
            }
        }
        T* const other = now;
        now = next;
        next = other;
    }
}
