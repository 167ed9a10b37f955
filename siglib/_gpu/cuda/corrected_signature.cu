// Signatures of a batch of paths whose increments have terms of higher levels, too.
//
// Work is cut as in signature.cu, into items (virtual path, suffix, tile) that need nothing from each other, one thread
// each; an increment changes an item as corrected_tree.cuh says. A block keeps a few increments, and what corrects
// them, in shared memory. A correction that is the same for all increments, or too large for that, is read from memory
// instead, where a warp's threads mostly read the same numbers.
//
// A path of one channel is another matter: everything commutes, and its signature is the exponential of a sum.
#include "corrected_tree.cuh"
#include "increments.cuh"

// paths: see increments.cuh; terms: their correction, one row of n_terms numbers for all increments, or rows `term_row`
// numbers apart; `term_path` from one path's to the next. dx (virtual paths, chunk, width): increments that did not fit
// into shared memory, else 0. out: a row of `out_stride` numbers for each virtual path, after one number for the empty
// word if `scalar_term`. Items of a virtual path: d^SUFFIX suffixes, times n_roots root tiles, times n_tops top tiles.
//
// Shared memory, of every virtual path that the block has items of: `n_staged` increments, `width` numbers each,
// `shared_stride` numbers apart; behind them all, n_staged rows of the correction each if `terms_staged`.
template <typename T, int D, int SUFFIX, int P, int T1, int T2, int M, typename I>
__global__ void __launch_bounds__(128, 1) corrected_forward(
    const Paths<T> paths, const T* __restrict__ terms, const T* __restrict__ dx, T* __restrict__ out,
    long long n_virtual, long long n_roots, long long n_tops, long long term_path, long long term_row,
    long long n_terms, long long n_staged, long long width, long long shared_stride, long long n_slots,
    long long terms_staged, long long out_stride, long long scalar_term) {
    constexpr int TREE = level_at<D, P, T1, T2>(P + 1), ENDING = SUFFIX > 0 ? SUFFIX : 1;
    constexpr int INNER = D > 0 ? D : T2;
    const I d = D > 0 ? D : (I)paths.d;

    // This thread's item, and the virtual paths of the block.
    I n_suffixes = 1;
#pragma unroll
    for (int k = 0; k < SUFFIX; k++) n_suffixes *= d;
    const I n_items = n_suffixes * (I)(n_roots * n_tops);
    const long long thread_first = (long long)blockIdx.x * blockDim.x;
    const long long v = quotient(thread_number(), n_items), v_first = quotient(thread_first, n_items);
    const long long v_last = quotient(thread_first + blockDim.x - 1, n_items);
    const I in_path = (I)(thread_number() - v * n_items), tile = in_path / n_suffixes;
    const I suffix = in_path - tile * n_suffixes;
    const int c0 = (int)(tile % (int)n_roots) * T1, j0 = (int)(tile / (int)n_roots) * T2;
    int w[ENDING];  // w[k - 1]: the k-th letter of the suffix from its end
    I rest = suffix;
#pragma unroll
    for (int k = 0; k < SUFFIX; k++) {
        w[k] = (int)(rest % d);
        rest /= d;
    }
    // Where this thread's chunk begins, and its length.
    const long long b = quotient(v, paths.n_chunks), start = (v - b * paths.n_chunks) * paths.chunk;
    const int n_mine = v < n_virtual ? (int)smaller(paths.chunk, paths.n_rows - start) : 0;

    T tree[TREE], ending[ENDING];
#pragma unroll
    for (int i = 0; i < TREE; i++) tree[i] = 0;
#pragma unroll
    for (int i = 0; i < ENDING; i++) ending[i] = 0;

    T* staged = dyn_smem<T>();
    T* staged_terms = staged + n_slots * shared_stride;
    const int slot = (int)(v - v_first);
    Terms<T, M> l(D > 0 ? D : paths.d);
    const int n_increments = (int)smaller(paths.chunk, paths.n_rows);
    for (int first = (n_increments - 1) / (int)n_staged * (int)n_staged; first >= 0; first -= (int)n_staged) {
        const int n = smaller((int)n_staged, n_increments - first);
        if (dx == 0) {
            __syncthreads();
            // A warp for each virtual path if there are several, the whole block for one.
            const bool several = v_first < v_last;
            const int n_team = several ? 32 : blockDim.x, rank = threadIdx.x % n_team;
            for (long long k = v_first + threadIdx.x / n_team; k <= v_last; k += blockDim.x / n_team) {
                const int at = (int)(k - v_first);
                load_increments(paths, k, k < n_virtual, first, n, (int)width, staged + at * (int)shared_stride, rank,
                                n_team);
                if (!terms_staged || k >= n_virtual) continue;
                const long long b_k = quotient(k, paths.n_chunks),
                                first_row = (k - b_k * paths.n_chunks) * paths.chunk + first;
                const T* from = terms + b_k * term_path + first_row * n_terms;
                const int n_there = (int)(smaller((long long)n, larger(paths.n_rows - first_row, 0LL)) * n_terms);
                T* to = staged_terms + at * (int)(n_staged * n_terms);
                for (int i = rank; i < n_there; i += n_team) to[i] = from[i];
            }
            __syncthreads();
        }
        for (int k = smaller(n, n_mine - first) - 1; k >= 0; k--) {
            const T* now =
                dx ? dx + (v * paths.chunk + first + k) * width : staged + slot * (int)shared_stride + k * (int)width;
            l.c = terms_staged ? staged_terms + (slot * (int)n_staged + k) * (int)n_terms
                               : terms + b * term_path + (start + first + k) * term_row;
            T root[T1], inner[INNER], x[ENDING], l_ending[ENDING][M];
            Heads<M> heads;
            Above<T, P, M> above = {};
            if constexpr (D > 0) {
#pragma unroll
                for (int i = 0; i < D; i++) root[i] = inner[i] = now[i];
            } else {
                load_letters<T, T1>(now + c0, root);
                load_letters<T, T2>(now + j0, inner);
            }
#pragma unroll
            for (int i = 0; i < SUFFIX; i++) x[i] = now[w[i]];
            heads[0] = 0;
            load_terms<T, SUFFIX, M, 1>(w, x, l, heads, l_ending);
            advance_ending<T, SUFFIX, P, M>(ending, l_ending, above);
            advance_below<T, D, SUFFIX, P, T1, T2, M, 0>(tree, 0, heads, above, l, root, inner, c0, j0);
        }
    }
    if (v >= n_virtual) return;
    T* row = out + v * out_stride;
    if (scalar_term) {
        if (in_path == 0) row[0] = 1;
        row++;
    }
    store_item<T, D, SUFFIX, P, T1, T2>(tree, ending, row, suffix, n_suffixes, tile == 0, c0, j0, d);
}

// One channel: totals (n_paths, m), the sums of the increments and of the rows of the correction, levels 1..m. One warp
// for each path.
template <typename T>
__global__ void __launch_bounds__(128) corrected_totals(const Paths<T> paths, const T* __restrict__ terms,
                                                        T* __restrict__ totals, long long n_paths, long long term_path,
                                                        long long term_row, long long m) {
    const long long b = thread_number() / 32;
    const int lane = threadIdx.x % 32;
    if (b >= n_paths) return;
    const T* points = paths.points + b * paths.path;
    const T* rows = terms + b * term_path;
    for (long long q = 1; q <= m; q++) {
        T total = 0;
#pragma unroll 4
        for (long long k = lane; k < paths.n_rows; k += 32)
            total += q == 1 ? points[(k + 1) * paths.point] - points[k * paths.point] : rows[k * term_row + q - 2];
#pragma unroll
        for (int by = 16; by > 0; by /= 2) total += __shfl_xor_sync(0xffffffffu, total, by);
        if (lane == 0) totals[b * m + q - 1] = total;
    }
}

// S = exp(L) for one channel, from n S_n = sum of q L_q S_(n-q), q = 1..m. One thread for each path.
template <typename T>
__global__ void __launch_bounds__(128) corrected_powers(const T* __restrict__ totals, T* __restrict__ out,
                                                        long long n_paths, long long degree, long long m,
                                                        long long out_stride, long long scalar_term) {
    const long long b = thread_number();
    if (b >= n_paths) return;
    const T* l = totals + b * m;
    T* row = out + b * out_stride + scalar_term;
    if (scalar_term) row[-1] = 1;
    for (long long n = 1; n <= degree; n++) {
        T sum = n <= m ? (T)n * l[n - 1] : (T)0;
        for (long long q = 1; q < n && q <= m; q++) sum += (T)q * l[q - 1] * row[n - q - 1];
        row[n - 1] = sum / (T)n;
    }
}
