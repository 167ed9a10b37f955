// The gradient of signatures: from the signature of each path, or of each time chunk of it, back to its increments.
//
// One thread for each item (row, suffix, tile of the tree), a row being a chunk of a path; signature_item.cuh says what
// an item does. Neighbouring threads have neighbouring suffixes, so all reads of signatures are coalesced. Nothing is
// stored on the way: increments are taken off from first to last, and what is left is the signature of the rest.
//
// The increments of a few steps (`tile`) of the block's rows are staged in shared memory. What the items of a row have
// as gradient of an increment is summed in shared memory, for MG increments at a time, in an order given by the number
// of items alone. A row with more items than a block has threads is shared by several blocks, which write sums of their
// own; `increments.cu` adds them up.
//
// D is the dimension if it is 2..5; 0 stands for any other: the tree has two levels then, and the tiles are those of a
// matrix product.
#include "increments.cuh"
#include "signature_cut.cuh"

// The item's part of the signature s and of the cotangent, g or for words of full length g_top; zeros if it is not
// live. What several items have is the cotangent of one of them only.
template <typename T, int D, int S, int P, int T1, int T2>
__device__ __forceinline__ void load_item(Item<T, D, S, P, T1, T2>& item, const T* s, const T* g, const T* g_top,
                                          const Cut& cut, const Place& at, bool live) {
    int size = 1, start = 0;
#pragma unroll
    for (int n = 1; n <= S; ++n) {
        size *= cut.d;
        item.a[n - 1] = live ? s[start + at.w % size] : (T)0;
        item.g_a[n - 1] = live && at.root_tile == 0 && at.top_tile == 0 && at.w < size ? g[start + at.w] : (T)0;
        start += size;
    }
    visit_tree(item, cut, at, live, false, [&](int r, long long place, bool exists, bool cotangent, T) -> T {
        if (!exists || (cotangent && r < P && at.top_tile > 0)) return 0;
        return !cotangent ? s[place] : r < P ? g[place] : g_top[place];
    });
}

// paths: see increments.cuh; dx: its increments (rows, padded, n_padded), if they are not to be staged, else 0. sig,
// derivs: signatures of the rows and their cotangents, `stride` apart, without scalar term. Words of full length are
// not read there: `top` has their cotangents, for each path, `top_stride` apart. Row number r is chunk r % n_chunks of
// path r / n_chunks, `chunk` increments each, and before and behind them `margin` increments of zero. gx (rows, n_sums,
// margin + chunk + margin, d): sums over the items of a row; its n_parts parts, of a block's size, are dealt out to
// n_sums blocks.
template <typename T, int D, int S, int P, int T1, int T2, int MG, bool STAGED>
__global__ void __launch_bounds__(THREADS) sig_backward(const Paths<T> paths, const T* __restrict__ dx,
                                                        long long padded, const T* __restrict__ sig,
                                                        const T* __restrict__ derivs, const T* __restrict__ top,
                                                        long long stride, long long top_stride, T* __restrict__ gx,
                                                        long long rows, long long margin, long long n_padded,
                                                        long long tile, long long n_suffixes, long long n_parts,
                                                        long long n_sums) {
    constexpr int NV = D > 0 ? D : T1 + T2 + S, SUFFIXES = D > 0 ? 0 : S;
    const int d = D > 0 ? D : paths.d, dp = D > 0 ? (D + T1 - 1) / T1 * T1 : (int)n_padded, n_steps = (int)tile,
              end = (int)(paths.chunk + 2 * margin);
    const int n_roots = (d + T1 - 1) / T1, n_tops = D > 0 ? 1 : (d + T2 - 1) / T2;
    const Cut cut = {d, (int)n_suffixes, n_roots, n_tops, (int)n_suffixes * n_roots * n_tops};
    const int per_row = smaller(cut.n_items, THREADS), per_block = THREADS / per_row,
              slot_size = n_steps * dp + packed<T, D>();
    const int tid = threadIdx.x, slot = tid / per_row, n_all = (int)rows, sum_number = blockIdx.x % (unsigned)n_sums;
    const int first_row = (int)(blockIdx.x / (unsigned)n_sums) * per_block, row = first_row + slot;
    Chunk<T>* const chunks = dyn_smem<Chunk<T>>();
    T* const staged = reinterpret_cast<T*>(chunks + (STAGED ? per_block : 0));
    T* const red = staged + (STAGED ? per_block * slot_size : 0);
    if (STAGED && tid < per_block) chunks[tid] = Chunk<T>(paths, first_row + tid, first_row + tid < rows);
    __syncthreads();
    for (int part = sum_number; part < n_parts; part += (int)n_sums) {
        const int first = part * THREADS, last = smaller(cut.n_items, first + THREADS), q = first + tid % per_row;
        const bool live = slot < per_block && row < n_all && q < last;
        const Place at(cut, live ? q : 0);
        Item<T, D, S, P, T1, T2> item;
        int letters[S > 0 ? S : 1];
        suffix_letters<S>(letters, cut, at, false);
        const long long from = live ? row : 0, path_number = (unsigned)from / (unsigned)paths.n_chunks;
        load_item(item, sig + from * stride, derivs + from * stride, top + path_number * top_stride, cut, at, live);
        for (int step = 0; step < end; step += n_steps) {
            if (STAGED) {
                load_increments<8, D>(paths, chunks, per_block, step - (int)margin, n_steps, dp, staged, slot_size, tid,
                                      THREADS);
                __syncthreads();
            }
            for (int group = 0; group < n_steps && step + group < end; group += MG) {
                const int n_group = smaller(MG, end - step - group);
#pragma unroll 1
                for (int m = 0; m < n_group; ++m) {
                    const int k = group + m;
                    const T* x = STAGED ? staged + (live ? slot : 0) * slot_size + k * dp
                                        : dx + ((live ? row : 0ll) * padded + step + k) * dp;
                    step_item(item, letters, x, at.root_tile * T1, at.top_tile * T2, false,
                              red + m * NV * (THREADS + 1) + tid);
                }
                __syncthreads();
                sum_items<T, D, SUFFIXES, T1, T2, MG>(
                    cut, red, per_row, per_block, first, last,
                    [&](int place, int m) { return m < n_group && first_row + place < n_all; },
                    [&](int place, int m, int letter, T total) {
                        const int r = first_row + place, k = step + group + m;
                        T* result = gx + ((r * n_sums + sum_number) * end + k) * d + letter;
                        *result = part < n_sums ? total : *result + total;
                    });
                __syncthreads();
            }
        }
    }
}
