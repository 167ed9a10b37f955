// Signatures of a batch of paths.
//
// Work is cut into items (virtual path, suffix, tile) that need nothing from each other; one thread computes an item,
// with its coefficients in registers (signature_tree.cuh), while it walks over the increments, which a block keeps in
// shared memory, a few at a time. Consecutive threads have consecutive suffixes, so what they write is consecutive too.
// Long paths are cut in time; chunks are virtual paths, joined by Chen's identity afterwards (signature_join.cu). Where
// a path is cut depends on the length of the path and the size of a signature only, never on the batch. Where a thread
// would have a whole signature, signature_whole.cu takes the place of all of this.
#include "increments.cuh"
#include "signature_tree.cuh"
#include "tensor.cuh"

// paths: see increments.cuh; out: a row of `out_stride` numbers for each virtual path, after one number for the empty
// word if `scalar_term`. Items of a virtual path: d^SUFFIX suffixes, times n_roots root tiles, times n_tops top tiles.
// Shared memory: what a block knows of its virtual paths, n_places of them at most; and `n_staged` increments of each,
// `width` numbers wide, `shared_stride` numbers apart. Unless STAGED: then increments are read from memory when they
// are needed. I is an integer type for the indices of a signature's numbers.
template <typename T, int D, int SUFFIX, int P, int T1, int T2, int STAGED, typename I>
__global__ void __launch_bounds__(128, 1) sig_forward(const Paths<T> paths, T* __restrict__ out, long long n_virtual,
                                                      long long n_roots, long long n_tops, long long n_places,
                                                      long long n_staged, long long width, long long shared_stride,
                                                      long long out_stride, long long scalar_term) {
    constexpr int TREE = level_at<D, P, T1, T2>(P + 1), ENDING = SUFFIX > 0 ? SUFFIX : 1;
    constexpr int ALL = D > 0 ? D : 1;
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

    T tree[TREE], ending[ENDING];
#pragma unroll
    for (int i = 0; i < TREE; i++) tree[i] = 0;
#pragma unroll
    for (int i = 0; i < ENDING; i++) ending[i] = 0;

    Chunk<T>* const chunks = dyn_smem<Chunk<T>>();
    T* const staged = reinterpret_cast<T*>(chunks + (STAGED ? n_places : 0));
    const int n_there = (int)(v_last - v_first) + 1;
    if (STAGED && (int)threadIdx.x < n_there)
        chunks[threadIdx.x] = Chunk<T>(paths, v_first + threadIdx.x, v_first + threadIdx.x < n_virtual);
    const T* mine = staged + (int)(v - v_first) * (int)shared_stride;
    const int n_increments = (int)smaller(paths.chunk, paths.n_rows);
    for (int first = (n_increments - 1) / (int)n_staged * (int)n_staged; first >= 0; first -= (int)n_staged) {
        const int n = smaller((int)n_staged, n_increments - first);
        if constexpr (STAGED) {
            __syncthreads();
            load_increments<16, D>(paths, chunks, n_there, first, n, D > 0 ? D : (int)width, staged, (int)shared_stride,
                                   threadIdx.x, 128);
            __syncthreads();
        }
        for (int k = n - 1; k >= 0; k--) {
            T root[T1], middle[ALL * P], top[T2], x[ENDING], B[P];
            if constexpr (STAGED) {
                const T* now = mine + k * (int)width;
                if constexpr (D > 0) {
#pragma unroll
                    for (int i = 0; i < D; i += packed<T, D>()) load_letters<T, packed<T, D>()>(now + i, middle + i);
                } else {
                    load_letters<T, T1>(now + c0, root);
                    if constexpr (P > 1) load_letters<T, T2>(now + j0, top);
                }
#pragma unroll
                for (int i = 0; i < SUFFIX; i++) x[i] = now[w[i]];
            } else {
                const long long b = quotient(v, paths.n_chunks),
                                row = (v - b * paths.n_chunks) * paths.chunk + first + k;
                const bool there = v < n_virtual && row < paths.n_rows;
                const T* points = paths.points + b * paths.path;
#pragma unroll
                for (int i = 0; i < T1; i++)
                    root[i] = there && c0 + i < d ? increment_at(paths, points, row, c0 + i) : T(0);
#pragma unroll
                for (int i = 0; i < T2; i++)
                    top[i] = there && j0 + i < d ? increment_at(paths, points, row, j0 + i) : T(0);
#pragma unroll
                for (int i = 0; i < SUFFIX; i++) x[i] = there ? increment_at(paths, points, row, w[i]) : T(0);
            }
            scale_letters<T, D, P>(middle);
            advance_ending<T, SUFFIX, P>(ending, x, B);
            if constexpr (D > 0)
                advance_below<T, D, P, T1, T2, 0>(tree, 0, B, middle, middle, middle);
            else
                advance_below<T, D, P, T1, T2, 0>(tree, 0, B, root, root, top);
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

// Paths with one channel: the powers X^n / n! of the total increment. One warp for each path.
// out: a row of `out_stride` numbers for each path, `degree` of them after the empty word's if `scalar_term`.
template <typename T>
__global__ void __launch_bounds__(128) sig_powers(const Paths<T> paths, T* __restrict__ out, long long n_paths,
                                                  long long degree, long long out_stride, long long scalar_term) {
    const long long b = thread_number() / 32;
    const int lane = threadIdx.x % 32;
    if (b >= n_paths) return;
    const T* points = paths.points + b * paths.path;
    T total = 0;  // a sum of increments: NaN and infinity on the way count
    for (long long k = lane; k < paths.n_rows; k += 32) total += increment_at(paths, points, k, 0);
#pragma unroll
    for (int by = 16; by > 0; by /= 2) total += __shfl_xor_sync(0xffffffffu, total, by);
    if (lane > 0) return;
    T* row = out + b * out_stride;
    if (scalar_term) *row++ = 1;
    T power = 1;
    for (long long n = 1; n <= degree; n++) {
        power = power * total / (T)n;
        row[n - 1] = power;
    }
}
