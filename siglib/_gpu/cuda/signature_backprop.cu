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
#include "sharing.cuh"
#include "signature_item.cuh"

constexpr int THREADS = 128;

// The tiles and suffixes of a row: item q has the suffix q % n_suffixes, then come the root tiles, then the top tiles.
struct Cut {
    int d, n_suffixes, n_roots, n_tops, n_items;
};

// Where item q stands.
struct Place {
    int w, root_tile, top_tile;

    __device__ __forceinline__ Place(const Cut& cut, int q)
        : w(q % cut.n_suffixes),
          root_tile(q / cut.n_suffixes % cut.n_roots),
          top_tile(q / cut.n_suffixes / cut.n_roots) {}
};

// Which of the values of a row's items first..last-1 belong to one letter: the root's tile that has it, the top's tile
// that has it, and the suffixes that have it at their k-th place from the end. Values are THREADS + 1 apart; those of
// the item `first` are at the start.
template <typename T, int S, int T1, int T2>
struct LetterSum {
    int first, last, root_tile, top_tile, root_value, top_value, letter;
    int starts[S > 0 ? S : 1], ends[S > 0 ? S : 1];

    __device__ __forceinline__ LetterSum(const Cut& cut, int given, int first_item, int last_item)
        : first(first_item),
          last(last_item),
          root_tile(given / T1),
          top_tile(given / T2),
          root_value(given % T1),
          top_value(T1 + given % T2),
          letter(given) {
        // Item q has the letter (q / run) % d at a place: runs of `run` items, one in d. We count the items that have
        // it.
        int run = 1;
#pragma unroll
        for (int k = 0; k < S; ++k) {
            const int period = run * cut.d, offset = letter * run;
            starts[k] = first / period * run + smaller(run, larger(0, first % period - offset));
            ends[k] = last / period * run + smaller(run, larger(0, last % period - offset));
            run = period;
        }
    }

    __device__ __forceinline__ T of_tile(const T* values, int tile, const Cut& cut, int lane, int lanes) const {
        const int start = larger(first, tile * cut.n_suffixes), end = smaller(last, (tile + 1) * cut.n_suffixes);
        T total = 0;
#pragma unroll 4
        for (int q = start - first + lane; q < end - first; q += lanes) total += values[q];
        return total;
    }

    // This lane's share of the sum.
    __device__ __forceinline__ T operator()(const T* red, const Cut& cut, int lane, int lanes) const {
        T total = 0;
        const T* of_root = red + root_value * (THREADS + 1);
        const T* of_top = red + top_value * (THREADS + 1);
        if (cut.n_roots == 1 && cut.n_tops == 1) {
#pragma unroll 4
            for (int q = lane; q < last - first; q += lanes) total += of_root[q] + of_top[q];
        } else {
            for (int top = 0; top < cut.n_tops; ++top) {
                total += of_tile(of_root, top * cut.n_roots + root_tile, cut, lane, lanes);
            }
            for (int root = 0; root < cut.n_roots; ++root) {
                total += of_tile(of_top, top_tile * cut.n_roots + root, cut, lane, lanes);
            }
        }
        int run = 1;
#pragma unroll
        for (int k = 0; k < S; ++k) {
            const int period = run * cut.d, offset = letter * run - first;
            const T* values = red + (T1 + T2 + k) * (THREADS + 1);
            for (int t = starts[k] + lane; t < ends[k]; t += lanes)
                total += values[t / run * period + offset + t % run];
            run = period;
        }
        return total;
    }
};

// The item's part of the signature s and of the cotangent g, and the letters of its suffix, the last one first; zeros
// if it is not live. What several items have is the cotangent of one of them only.
template <typename T, int D, int S, int P, int T1, int T2>
__device__ __forceinline__ void load_item(Item<T, D, S, P, T1, T2>& item, int* letters, const T* s, const T* g,
                                          const Cut& cut, const Place& at, bool live) {
    const int d = D > 0 ? D : cut.d;
    int size = 1, start = 0;
#pragma unroll
    for (int n = 1; n <= S; ++n) {
        letters[n - 1] = at.w / size % d;
        size *= d;
        item.a[n - 1] = live ? s[start + at.w % size] : (T)0;
        item.g_a[n - 1] = live && at.root_tile == 0 && at.top_tile == 0 && at.w < size ? g[start + at.w] : (T)0;
        start += size;
    }
    int starts[P];
#pragma unroll
    for (int r = 0; r < P; ++r) {
        starts[r] = start;
        size *= d;
        start += size;
    }
    item.template visit<0>(0, 0, 1, at.root_tile * T1, at.top_tile * T2, d, live,
                           [&](int r, int word, bool exists, bool cotangent) -> T {
                               if (!exists || (cotangent && r < P && at.top_tile > 0)) return 0;
                               const long long place = starts[r - 1] + (long long)word * cut.n_suffixes + at.w;
                               return cotangent ? g[place] : s[place];
                           });
}

// Takes the increment x off, and writes its gradient, as far as this item is concerned, to values THREADS + 1 apart: of
// each letter if they are known, else of the root's letters, the top's, and the suffix's.
template <typename T, int D, int S, int P, int T1, int T2>
__device__ __forceinline__ void step_item(Item<T, D, S, P, T1, T2>& item, const int* letters, const T* x,
                                          int first_root, int first_top, T* values) {
    using MyItem = Item<T, D, S, P, T1, T2>;
#pragma unroll
    for (int i = 0; i < T1; ++i) item.root[i] = x[D == T1 ? i : first_root + i];
#pragma unroll
    for (int i = 0; i < MyItem::INNER; ++i) item.inner[i] = x[D > 0 ? i : first_top + i];
#pragma unroll
    for (int i = 0; i < S; ++i) item.suffix[i] = x[letters[i]];
    item.step();
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

// path: see increments.cuh; dx: its increments (rows, padded, n_padded), if they are not to be staged, else 0. sig,
// derivs: signatures of the rows and their cotangents, `stride` apart, without scalar term. Row number r is chunk
// r % n_chunks of path r / n_chunks, `chunk` increments each. gx (rows, n_sums, chunk, d): sums over the items of a
// row; its n_parts parts, of a block's size, are dealt out to n_sums blocks.
template <typename T, int D, int S, int P, int T1, int T2, int MG, bool STAGED>
__global__ void __launch_bounds__(THREADS) sig_backward(
    const T* __restrict__ path, long long path_stride, long long point, long long channel, long long n_channels,
    long long n_rows, long long time_aug, long long lead_lag, double time_step, const T* __restrict__ dx,
    long long padded, const T* __restrict__ sig, const T* __restrict__ derivs, long long stride, T* __restrict__ gx,
    long long rows, long long n_chunks, long long chunk, long long dimension, long long n_padded, long long tile,
    long long n_suffixes, long long n_parts, long long n_sums) {
    constexpr int NV = D > 0 ? D : T1 + T2 + S, SUFFIXES = D > 0 ? 0 : S;
    const int d = D > 0 ? D : (int)dimension, dp = D > 0 ? (D + T1 - 1) / T1 * T1 : (int)n_padded, n_steps = (int)tile,
              end = (int)chunk;
    const int n_roots = (d + T1 - 1) / T1, n_tops = D > 0 ? 1 : (d + T2 - 1) / T2;
    const Cut cut = {d, (int)n_suffixes, n_roots, n_tops, (int)n_suffixes * n_roots * n_tops};
    const int per_row = smaller(cut.n_items, THREADS), per_block = THREADS / per_row, slot_size = n_steps * dp + 1;
    const int tid = threadIdx.x, slot = tid / per_row, n_all = (int)rows, sum_number = blockIdx.x % (unsigned)n_sums;
    const int first_row = (int)(blockIdx.x / (unsigned)n_sums) * per_block, row = first_row + slot;
    const Paths<T> paths = {path,  path_stride,     point, channel,       n_rows,        n_chunks,
                            chunk, (int)n_channels, d,     time_aug != 0, lead_lag != 0, (T)time_step};
    // Of each row of the block: where its path starts, its first increment, and how many it has.
    long long* const offsets = dyn_smem<long long>();
    long long* const starts = offsets + THREADS;
    int* const lengths = reinterpret_cast<int*>(starts + THREADS);
    T* const staged = reinterpret_cast<T*>(lengths + THREADS);
    T* const red = staged + (STAGED ? per_block * slot_size : 0);
    if (STAGED && tid < per_block) {
        const unsigned r = first_row + tid, path_number = r / (unsigned)n_chunks;
        offsets[tid] = path_number * path_stride;
        starts[tid] = (r - path_number * (unsigned)n_chunks) * chunk;
        lengths[tid] = r < rows ? (int)smaller(chunk, n_rows - starts[tid]) : 0;
    }
    __syncthreads();
    for (int part = sum_number; part < n_parts; part += (int)n_sums) {
        const int first = part * THREADS, last = smaller(cut.n_items, first + THREADS), q = first + tid % per_row;
        const bool live = slot < per_block && row < n_all && q < last;
        const Place at(cut, live ? q : 0);
        Item<T, D, S, P, T1, T2> item;
        int letters[S > 0 ? S : 1];
        load_item(item, letters, sig + (live ? row : 0ll) * stride, derivs + (live ? row : 0ll) * stride, cut, at,
                  live);
        for (int step = 0; step < end; step += n_steps) {
            if (STAGED) {
                const Sharing sharing(n_steps * dp, tid, THREADS);
                for (int c = sharing.column; c < n_steps * dp; c += sharing.column_step) {
                    const int k = c / dp, letter = c % dp;
                    // A thread beyond the last whole row of threads has nothing to do.
                    int place = sharing.place < sharing.place_step ? sharing.place : per_block;
                    for (; place < per_block; place += sharing.place_step) {
                        const bool exists = step + k < lengths[place] && letter < d;
                        const T* points = path + offsets[place];
                        staged[place * slot_size + c] =
                            exists ? increment_at(paths, points, starts[place] + step + k, letter) : (T)0;
                    }
                }
                __syncthreads();
            }
            for (int group = 0; group < n_steps && step + group < end; group += MG) {
                const int n_group = smaller(MG, end - step - group);
#pragma unroll 1
                for (int m = 0; m < n_group; ++m) {
                    const int k = group + m;
                    const T* x = STAGED ? staged + (live ? slot : 0) * slot_size + k * dp
                                        : dx + ((live ? row : 0ll) * padded + step + k) * dp;
                    step_item(item, letters, x, at.root_tile * T1, at.top_tile * T2,
                              red + m * NV * (THREADS + 1) + tid);
                }
                __syncthreads();
                // Sums over the items of a row, one for each letter of the increments; neighbours write neighbours.
                const int columns = MG * d;
                int lanes = 1;
                while (lanes < 32 && 2 * lanes <= per_row && 2 * lanes * per_block * columns <= THREADS) lanes *= 2;
                const int lane = tid % lanes;
                const Sharing sharing(columns, tid / lanes, THREADS / lanes);
                // All threads make the same number of rounds, for the shuffles.
                for (int base = 0; base < columns; base += sharing.column_step) {
                    const int c = base + sharing.column, m = c / d, letter = c % d, k = step + group + m;
                    const bool exists = c < columns && m < n_group && sharing.place < sharing.place_step;
                    const LetterSum<T, SUFFIXES, T1, T2> sum(cut, letter, first, last);
                    const T* column = red + (m * NV + (D > 0 ? letter : 0)) * (THREADS + 1);
                    for (int row_base = 0; row_base < per_block; row_base += sharing.place_step) {
                        const int place = row_base + sharing.place, r = first_row + place;
                        const bool wanted = exists && place < per_block && r < n_all;
                        T total = 0;
                        if (wanted) {
                            if constexpr (D > 0) {
#pragma unroll 4
                                for (int i = lane; i < last - first; i += lanes) total += column[place * per_row + i];
                            } else {
                                total = sum(column + place * per_row, cut, lane, lanes);
                            }
                        }
                        for (int mask = lanes / 2; mask > 0; mask /= 2)
                            total += __shfl_xor_sync(0xffffffffu, total, mask);
                        if (wanted && lane == 0) {
                            T* result = gx + ((r * n_sums + sum_number) * end + k) * d + letter;
                            *result = part < n_sums ? total : *result + total;
                        }
                    }
                }
                __syncthreads();
            }
        }
    }
}
