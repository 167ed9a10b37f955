// The gradient of signatures of windows: from windows to the rows that they are products of, from the rows of a scan to
// its increments, and the sums of what all scans have for an increment.
//
// The plan (window_plan.py) says which rows and scans there are. A scan is walked back from its last row to the middle,
// by the items of signature_cut.cuh: an increment is taken off, and what the items have as its gradient is summed.
// Where a row was, the item's part of the row's cotangent is added. Where the forward scan has left a state, which is
// at every row or after every few steps, it is loaded again: errors of the way back do not add up.
#include "signature_cut.cuh"
#include "tensor_words.cuh"

// Adjoint of windows_multiply, row by row: g_rows = the sum, over the windows that a row is a factor of, of what these
// hand to it. row_entries: where a row's entries of entry_window, and of entry_other, the other factor's row, begin;
// of the rows of this launch. right: the row's side. Windows have cotangents g, `g_stride` numbers apart, without
// scalar term, `path_windows` from path to path; rows of `rows` and `g_rows` are counted from first_row on, n_rows for
// each path. `team` warps share a row; a number of it is always the same lane's.
template <typename T>
__global__ void __launch_bounds__(256) windows_multiply_backprop(
    const T* __restrict__ rows, const T* __restrict__ g, T* g_rows, const long long* __restrict__ row_entries,
    const long long* __restrict__ entry_window, const long long* __restrict__ entry_other,
    const long long* __restrict__ right, long long n_paths, long long n_rows, long long first_row,
    long long path_windows, long long g_stride, long long n_words, long long dimension, long long degree,
    long long team) {
    const unsigned lane = threadIdx.x % 32, d = (unsigned)dimension;
    const long long warp = thread_number() / 32, path_row = quotient(warp, team), path = quotient(path_row, n_rows);
    if (path >= n_paths) return;
    const unsigned in_team = (unsigned)(warp - path_row * team), n_warps = (unsigned)team;
    const long long row = path_row - path * n_rows, first = row_entries[row];
    T* target = g_rows + path_row * n_words;
    if (row_entries[row + 1] == first)
        for (unsigned w = in_team * 32 + lane; w < n_words; w += n_warps * 32) target[w] = 0;
    for (long long entry = first; entry < row_entries[row + 1]; entry++) {
        const T* g_window = g + (path * path_windows + entry_window[entry]) * g_stride;
        const T* other = rows + (path * n_rows + entry_other[entry] - first_row) * n_words;
        const auto add = [&](unsigned w, T sum) {
            const T found = g_window[w] + sum;
            target[w] = entry == first ? found : target[w] + found;
        };
        if (right[row])
            for_prefix_sums(other, g_window, d, (int)degree, (int)degree, in_team, n_warps, lane, add);
        else
            for_suffix_sums(g_window, other, d, (int)degree, (int)degree, in_team, n_warps, lane, add);
    }
}

// A plan's scans that a launch has, and their rows and states. Tables are of the launch's scans; rows, states and steps
// count from the first ones of it, `path_...` of them for each path. g_target: which row of g is a row's cotangent; 0:
// the row's number less `first_row`.
struct Scans {
    const long long *first, *side, *steps, *rows, *row_steps, *target, *states, *state_steps;
    long long n, first_row, first_state, path_rows, path_states, path_steps;
};

// One scan of one path, as it is walked back: the rows and states that are still to come.
struct Walk {
    long long row, first_row, state, first_state, g_shift, state_shift, gx_first;
    int n_steps;
    bool right;

    __device__ __forceinline__ Walk(const Scans& scans, long long virtual_scan) {
        const long long path = quotient(virtual_scan, scans.n), scan = virtual_scan - path * scans.n;
        first_row = scans.rows[scan];
        row = scans.rows[scan + 1] - 1;
        first_state = scans.states[scan];
        state = scans.states[scan + 1] - 1;
        g_shift = path * scans.path_rows - (scans.target ? 0 : scans.first_row);
        state_shift = path * scans.path_states - scans.first_state;
        gx_first = path * scans.path_steps + scans.steps[scan] - scans.steps[0];
        n_steps = (int)(scans.steps[scan + 1] - scans.steps[scan]);
        right = scans.side[scan] != 0;
    }
};

// The same numbers, of which the compiler does not know that. Where the numbers of an item lie follows from them, and
// would else be computed before the loop over steps, and kept in all the registers that there are.
__device__ __forceinline__ Cut computed_here(Cut cut) {
    asm volatile("" : "+r"(cut.d), "+r"(cut.n_suffixes));
    return cut;
}

__device__ __forceinline__ Place computed_here(Place at) {
    asm volatile("" : "+r"(at.w), "+r"(at.root_tile), "+r"(at.top_tile));
    return at;
}

// gx (paths times steps, n_sums, d): gradients of the increments of every step, in sums to be added. dx: increments,
// `width` numbers each, `dx_path` from path to path. states: rows of `n_words` numbers; g: rows g_stride apart. The
// items of a scan come in n_parts parts, dealt out to n_sums blocks. The other parameters: see Scans.
template <typename T, int D, int S, int P, int T1, int T2, int MG>
__global__ void __launch_bounds__(THREADS) windows_scan_backprop(
    const T* __restrict__ dx, long long dx_path, long long width, const long long* __restrict__ scan_first,
    const long long* __restrict__ scan_side, const long long* __restrict__ scan_steps,
    const long long* __restrict__ scan_rows, const long long* __restrict__ row_steps,
    const long long* __restrict__ g_target, const long long* __restrict__ scan_states,
    const long long* __restrict__ state_steps, const T* __restrict__ states, const T* __restrict__ g,
    T* __restrict__ gx, long long n_virtual, long long n_scans, long long first_row, long long first_state,
    long long path_rows, long long path_states, long long path_steps, long long n_words, long long g_stride,
    long long dimension, long long n_suffixes, long long n_parts, long long n_sums) {
    constexpr int NV = D > 0 ? D : T1 + T2 + S, SUFFIXES = D > 0 ? 0 : S;
    const int d = D > 0 ? D : (int)dimension;
    const int n_roots = (d + T1 - 1) / T1, n_tops = D > 0 ? 1 : (d + T2 - 1) / T2;
    const Cut cut = {d, (int)n_suffixes, n_roots, n_tops, (int)n_suffixes * n_roots * n_tops};
    const int per_row = smaller(cut.n_items, THREADS), per_block = THREADS / per_row;
    const int tid = threadIdx.x, slot = tid / per_row, sum_number = blockIdx.x % (unsigned)n_sums;
    const long long first_scan = (long long)(blockIdx.x / (unsigned)n_sums) * per_block, mine = first_scan + slot;
    const Scans scans = {scan_first,  scan_side, scan_steps, scan_rows,   row_steps, g_target,    scan_states,
                         state_steps, n_scans,   first_row,  first_state, path_rows, path_states, path_steps};
    // Of each scan of the block: where its gradients begin, and how many steps it has.
    long long* const begins = dyn_smem<long long>();
    int* const lengths = reinterpret_cast<int*>(begins + THREADS);
    T* const red = reinterpret_cast<T*>(lengths + THREADS);
    if (tid < per_block) {
        const bool exists = first_scan + tid < n_virtual;
        const Walk walk(scans, exists ? first_scan + tid : 0);
        begins[tid] = walk.gx_first;
        lengths[tid] = exists ? walk.n_steps : 0;
    }
    __syncthreads();
    int end = 0;
    for (int place = 0; place < per_block; place++) end = larger(end, lengths[place]);

    for (int part = sum_number; part < n_parts; part += (int)n_sums) {
        const int first = part * THREADS, last = smaller(cut.n_items, first + THREADS), q = first + tid % per_row;
        const bool live = slot < per_block && mine < n_virtual && q < last;
        const Place at(cut, live ? q : 0);
        Walk walk(scans, live ? mine : 0);
        const int n_steps = live ? walk.n_steps : 0;
        const long long path = quotient(live ? mine : 0, n_scans), scan = (live ? mine : 0) - path * n_scans;
        const T* now = dx + path * dx_path + (scan_first[scan] + (walk.right ? n_steps - 1 : 1 - n_steps)) * width;
        const long long back = walk.right ? -width : width;
        Item<T, D, S, P, T1, T2> item;
        int letters[S > 0 ? S : 1];
        suffix_letters<S>(letters, cut, at, walk.right);
        clear_cotangent(item);
        for (int step = 0; step < end; step += MG) {
#pragma unroll 1
            for (int m = 0; m < MG; m++) {
                const int there = n_steps - step - m;  // increments that are still to be taken off
                if (there <= 0) break;
                if (walk.state >= walk.first_state && state_steps[walk.state] == there) {
                    load_coefficients(item, states + (walk.state_shift + walk.state) * n_words, computed_here(cut),
                                      computed_here(at), true, walk.right);
                    walk.state--;
                }
                if (walk.row >= walk.first_row && row_steps[walk.row] == there) {
                    const long long row = g_target ? g_target[walk.row] : walk.row;
                    add_cotangent(item, g + (walk.g_shift + row) * g_stride, computed_here(cut), computed_here(at),
                                  true, walk.right);
                    walk.row--;
                }
                step_item(item, letters, now, at.root_tile * T1, at.top_tile * T2, walk.right,
                          red + m * NV * (THREADS + 1) + tid);
                now += back;
            }
            __syncthreads();
            sum_items<T, D, SUFFIXES, T1, T2, MG>(
                cut, red, per_row, per_block, first, last, [&](int place, int m) { return step + m < lengths[place]; },
                [&](int place, int m, int letter, T total) {
                    const long long taken = begins[place] + lengths[place] - 1 - step - m;
                    T* result = gx + (taken * n_sums + sum_number) * d + letter;
                    *result = part < n_sums ? total : *result + total;
                });
            __syncthreads();
        }
    }
}

// The same for signatures of degree 1: each increment has the sum of the cotangents of the rows from its step on. A
// thread for each letter of a scan; gx (paths times steps, d).
template <typename T>
__global__ void __launch_bounds__(256) windows_sums_backprop(
    const long long* __restrict__ scan_steps, const long long* __restrict__ scan_rows,
    const long long* __restrict__ row_steps, const long long* __restrict__ g_target, const T* __restrict__ g,
    T* __restrict__ gx, long long n_paths, long long n_scans, long long first_row, long long path_rows,
    long long path_steps, long long g_stride, long long d) {
    const long long virtual_scan = quotient(thread_number(), d), letter = thread_number() - virtual_scan * d;
    const long long path = quotient(virtual_scan, n_scans), scan = virtual_scan - path * n_scans;
    if (path >= n_paths) return;
    const long long begin = path * path_steps + scan_steps[scan] - scan_steps[0];
    long long there = scan_steps[scan + 1] - scan_steps[scan];
    T total = 0;
    for (long long row = scan_rows[scan + 1] - 1; row >= scan_rows[scan]; row--) {
        for (; there > row_steps[row]; there--) gx[(begin + there - 1) * d + letter] = total;
        const long long g_row = path * path_rows + (g_target ? g_target[row] : row - first_row);
        total += g[g_row * g_stride + letter];
    }
    for (; there > 0; there--) gx[(begin + there - 1) * d + letter] = total;
}

// out (n_paths, n_increments, d) = or += what the scans of all blocks have for an increment: that of a block to the
// right of its middle first, then those to the left of theirs, in the order of the blocks. middle, lowest: the
// increment behind each block's middle, and the first one that it or a later block takes; begin, split: where the steps
// of its scans begin, to the left and to the right. gx (paths times steps, n_sums, d), from step begin[0] on.
template <typename T>
__global__ void __launch_bounds__(256) windows_gather(const T* __restrict__ gx, T* __restrict__ out,
                                                      const long long* __restrict__ middle,
                                                      const long long* __restrict__ lowest,
                                                      const long long* __restrict__ begin,
                                                      const long long* __restrict__ split, long long n_paths,
                                                      long long n_increments, long long n_blocks, long long path_steps,
                                                      long long n_sums, long long d, long long is_first) {
    const long long row = quotient(thread_number(), d), letter = thread_number() - row * d;
    const long long path = quotient(row, n_increments), increment = row - path * n_increments;
    if (path >= n_paths) return;
    const long long shift = path * path_steps - begin[0];
    T total = is_first ? (T)0 : out[thread_number()];
    const auto add = [&](long long step) {
        const T* source = gx + (shift + step) * n_sums * d + letter;
        T sum = 0;
        for (long long i = 0; i < n_sums; i++) sum += source[i * d];
        total += sum;
    };
    // The first block whose middle lies behind the increment.
    long long low = 0, high = n_blocks;
    while (low < high) {
        const long long half = (low + high) / 2;
        if (middle[half] > increment)
            high = half;
        else
            low = half + 1;
    }
    if (low > 0) {
        const long long step = split[low - 1] + increment - middle[low - 1];
        if (step < begin[low]) add(step);
    }
    for (long long block = low; block < n_blocks && lowest[block] <= increment; block++) {
        const long long step = begin[block] + middle[block] - 1 - increment;
        if (step < split[block]) add(step);
    }
    out[thread_number()] = total;
}

// One channel: the cotangent of a window's total increment, from those of its powers total^n / n!, `stride` apart.
template <typename T>
__global__ void __launch_bounds__(256) windows_powers_backprop(const T* __restrict__ total,
                                                               const T* __restrict__ derivs, T* __restrict__ out,
                                                               long long n_windows, long long degree,
                                                               long long stride) {
    const long long k = thread_number();
    if (k >= n_windows) return;
    T power = 1, sum = 0;
    for (long long n = 1; n <= degree; n++) {
        sum += power * derivs[k * stride + n - 1];
        power = power * total[k] / (T)n;
    }
    out[k] = sum;
}
