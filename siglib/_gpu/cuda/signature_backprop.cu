// The gradient of signatures: from the signature of each path, or of each time chunk of it, back to its increments.
//
// One thread for each item (row, suffix, tile of the tree), a row being a chunk of a path; signature_item.cuh says what
// an item does. Neighbouring threads have neighbouring suffixes, so all reads of signatures are coalesced. Nothing is
// stored on the way: increments are taken off from first to last, and what is left is the signature of the rest.
//
// The increments of a few steps (`tile`) of the block's rows are staged in shared memory. What the items of a row have
// as gradient of an increment is summed in shared memory, for MG increments at a time, in an order given by the number
// of items alone. A row with more items than a block has threads is shared by n_parts blocks, which write sums of their
// own; `increments.cu` adds them up.
//
// D is the dimension if it is 2..5; 0 stands for any other: the tree has two levels then, and the tiles are those of a
// matrix product.
#include "increments.cuh"
#include "signature_item.cuh"

constexpr int THREADS = 128;

// What the tiles and suffixes of the run-time dimension give to one letter: this lane's share of the sum over the items
// first..last-1 of a row. `red` points to the item `first` and value 0; values are THREADS + 1 apart.
template <typename T, int S, int T1, int T2>
__device__ __forceinline__ T sum_letter(const T* red, int letter, int d, int n_suffixes, int n_roots, int n_tops,
                                        int first, int last, int lane, int lanes) {
    T total = 0;
    const T* values = red + letter % T1 * (THREADS + 1);
    for (int top = 0; top < n_tops; ++top) {
        const int start = (top * n_roots + letter / T1) * n_suffixes;
        const int end = smaller(last, start + n_suffixes);
        for (int q = larger(first, start) + lane; q < end; q += lanes) total += values[q - first];
    }
    values = red + (T1 + letter % T2) * (THREADS + 1);
    for (int root = 0; root < n_roots; ++root) {
        const int start = (letter / T2 * n_roots + root) * n_suffixes;
        const int end = smaller(last, start + n_suffixes);
        for (int q = larger(first, start) + lane; q < end; q += lanes) total += values[q - first];
    }
    // Item q has the letter (q / run) % d there: runs of `run` items, one in d. They are counted by t.
    int run = 1;
#pragma unroll
    for (int k = 0; k < S; ++k) {
        const int period = run * d, offset = letter * run;
        const int start = first / period * run + smaller(run, larger(0, first % period - offset));
        const int end = last / period * run + smaller(run, larger(0, last % period - offset));
        values = red + (T1 + T2 + k) * (THREADS + 1);
        for (int t = start + lane; t < end; t += lanes) total += values[t / run * period + offset + t % run - first];
        run = period;
    }
    return total;
}

// path: see increments.cuh; dx: its increments (rows, padded, n_padded), zero beyond the last, if they are not to be
// staged, else 0. sig, derivs: signatures of the rows and their cotangents, `stride` apart, without scalar term.
// gx (rows, n_parts, chunk, d): sums over the items of each part. Row number r is chunk r % n_chunks of path
// r / n_chunks, `chunk` increments each.
template <typename T, int D, int S, int P, int T1, int T2, int MG, bool STAGED>
__global__ void __launch_bounds__(THREADS) sig_backward(
    const T* __restrict__ path, long long path_stride, long long point, long long channel, long long n_channels,
    long long n_rows, long long time_aug, long long lead_lag, double time_step, const T* __restrict__ dx,
    long long padded, const T* __restrict__ sig, const T* __restrict__ derivs, long long stride, T* __restrict__ gx,
    long long rows, long long n_chunks, long long chunk, long long dimension, long long n_padded, long long tile,
    long long n_suffixes, long long n_parts) {
    using MyItem = Item<T, D, S, P, T1, T2>;
    constexpr int NV = D > 0 ? D : T1 + T2 + S;
    const int d = D > 0 ? D : (int)dimension, dp = (int)n_padded, n_steps = (int)tile;
    const int n_roots = (d + T1 - 1) / T1, n_tops = D > 0 ? 1 : (d + T2 - 1) / T2;
    const int n_items = (int)n_suffixes * n_roots * n_tops;
    const int per_row = smaller(n_items, THREADS), per_block = THREADS / per_row;
    const int tid = threadIdx.x, part = (int)(blockIdx.x % n_parts);
    const int first_row = (int)(blockIdx.x / n_parts) * per_block, n_all = (int)rows, end = (int)chunk;
    const int slot = tid / per_row, q = part * THREADS + tid % per_row;
    const int row = first_row + slot;
    const bool live = slot < per_block && row < n_all && q < n_items;
    const Paths<T> paths = {path,  path_stride,     point, channel,       n_rows,        n_chunks,
                            chunk, (int)n_channels, d,     time_aug != 0, lead_lag != 0, (T)time_step};
    const int slot_size = n_steps * dp + 1;
    T* const staged = dyn_smem<T>();
    T* const red = staged + (STAGED ? per_block * slot_size : 0);

    // The item: its letters, and its part of the signature and of the cotangent. What several items have is the
    // cotangent of one of them only.
    MyItem item;
    int letters[MyItem::SUFFIX];
    const int mine = live ? q : 0, tiles = mine / (int)n_suffixes, w = mine % (int)n_suffixes;
    const int root_tile = tiles % n_roots, top_tile = tiles / n_roots;
    const int first_root = root_tile * T1, first_top = top_tile * T2;
    {
        const T* s = sig + (live ? row : 0ll) * stride;
        const T* g = derivs + (live ? row : 0ll) * stride;
        int size = 1, start = 0;
#pragma unroll
        for (int n = 1; n <= S; ++n) {
            letters[n - 1] = w / size % d;
            size *= d;
            item.a[n - 1] = live ? s[start + w % size] : (T)0;
            item.g_a[n - 1] = live && root_tile == 0 && top_tile == 0 && w < size ? g[start + w] : (T)0;
            start += size;
        }
        int starts[P];
#pragma unroll
        for (int r = 0; r < P; ++r) {
            starts[r] = start;
            size *= d;
            start += size;
        }
        item.template visit<0>(0, 0, 1, first_root, first_top, d, live,
                               [&](int r, int word, bool exists, bool cotangent) -> T {
                                   if (!exists || (cotangent && r < P && top_tile > 0)) return 0;
                                   // Level 1 starts behind the n_suffixes words that are w itself.
                                   const long long at = starts[r - 1] + (long long)word * n_suffixes + w;
                                   return cotangent ? g[at] : s[at];
                               });
    }

    for (int step = 0; step < end; step += n_steps) {
        if (STAGED) {
            const int team = per_block < 4 ? THREADS : 32;
            for (int place = tid / team; place < per_block; place += THREADS / team) {
                const int r = first_row + place;
                load_increments(paths, r, r < n_all, step, n_steps, dp, staged + place * slot_size, tid % team, team);
            }
            __syncthreads();
        }
        for (int group = 0; group < n_steps; group += MG) {
#pragma unroll 1
            for (int m = 0; m < MG; ++m) {
                const int k = group + m;
                const T* x = STAGED ? staged + (live ? slot : 0) * slot_size + k * dp
                                    : dx + ((live ? row : 0ll) * padded + step + k) * dp;
#pragma unroll
                for (int i = 0; i < T1; ++i) item.root[i] = x[D == T1 ? i : first_root + i];
#pragma unroll
                for (int i = 0; i < MyItem::INNER; ++i) item.inner[i] = x[D > 0 ? i : first_top + i];
#pragma unroll
                for (int i = 0; i < S; ++i) item.suffix[i] = x[letters[i]];
                item.step();
                T* values = red + m * NV * (THREADS + 1) + tid;
                if constexpr (D > 0) {
#pragma unroll
                    for (int j = 0; j < D; ++j) {
                        T total = item.g_inner[j];
                        if constexpr (!MyItem::WHOLE) {
#pragma unroll
                            for (int i = 0; i < T1; ++i) total += first_root + i == j ? item.g_root[i] : (T)0;
                        }
#pragma unroll
                        for (int i = 0; i < S; ++i) total += letters[i] == j ? item.g_suffix[i] : (T)0;
                        values[j * (THREADS + 1)] = total;
                    }
                } else {
#pragma unroll
                    for (int i = 0; i < T1; ++i) values[i * (THREADS + 1)] = item.g_root[i];
#pragma unroll
                    for (int i = 0; i < T2; ++i) values[(T1 + i) * (THREADS + 1)] = item.g_inner[i];
#pragma unroll
                    for (int i = 0; i < S; ++i) values[(T1 + T2 + i) * (THREADS + 1)] = item.g_suffix[i];
                }
            }
            __syncthreads();
            // Sums over the items of a row, one for each letter of MG increments; neighbours write neighbours.
            const int n_sums = per_block * MG * d, first = part * THREADS, last = smaller(n_items, first + THREADS);
            int lanes = 1;
            while (lanes < 32 && 2 * lanes <= per_row && 2 * lanes * n_sums <= THREADS) lanes *= 2;
            for (int base = 0; base < n_sums; base += THREADS / lanes) {
                const int sum = base + tid / lanes, lane = tid % lanes;
                const int letter = sum % d, m = sum / d % MG, place = sum / d / MG;
                T total = 0;
                if (sum < n_sums) {
                    const T* values = red + m * NV * (THREADS + 1) + place * per_row;
                    if constexpr (D > 0) {
                        values += letter * (THREADS + 1);
                        for (int i = lane; i < last - first; i += lanes) total += values[i];
                    } else {
                        total = sum_letter<T, S, T1, T2>(values, letter, d, (int)n_suffixes, n_roots, n_tops, first,
                                                         last, lane, lanes);
                    }
                }
                for (int mask = lanes / 2; mask > 0; mask /= 2) total += __shfl_xor_sync(0xffffffffu, total, mask);
                const int r = first_row + place, k = step + group + m;
                if (sum < n_sums && lane == 0 && r < n_all && k < end) {
                    gx[((r * n_parts + part) * end + k) * d + letter] = total;
                }
            }
            __syncthreads();
        }
    }
}
