// The gradient of signature coefficients: from the cotangents of chains back to the increments of their paths.
//
// Blocks and threads have the same parts, paths and chains as in coefficients.cu. Increments are taken off from last to
// first, S <- S (x) exp(-x), which gives the coefficients before each of them, and the cotangents go along. Nothing is
// stored on the way. A coefficient after the increment is Horner's scheme along the letters of its word,
//
//     q_j = S_j + x_j / (m - j + 1) q_(j-1)      j = 1..m,   q_0 = 1,      S_m <- q_m;
//
// its adjoint runs back through the same q's. One m after the other, so that they need no more registers than letters.
//
// Every thread leaves the gradients of its letters in shared memory, for a group of increments at a time. They are
// summed channel by channel over the list of values that have the channel, in the list's order. Parts have sums of
// their own, which increments.cu adds up.
//
// A path that is cut in time comes with the coefficients of its chains at the end of each chunk, and their cotangents
// (coefficients_join.cu): so chunks are walked back side by side, and need no sub-words here.
#include "coefficients.cuh"
#include "sharing.cuh"

// What does not depend on the length of the chains.
template <typename T>
struct Back {
    Paths<T> paths;
    const int *letters, *channels, *sum_starts, *sums, *state_columns, *starts, *columns;
    const T *states, *derivs;
    long long n_virtual, n_staged, n_states, n_derivs, n_sums, sum, n_rows;
    int n_channels, n_group, margin;
    bool adds;
    T* gx;
};

// One increment x of coefficients s before it, and cotangents g of those after it, which become those before it; writes
// the gradient of x.
template <typename T, int N>
__device__ __forceinline__ void multiply_backprop(const T* s, T* g, const T* x, T* gx) {
#pragma unroll
    for (int j = 0; j < N; j++) gx[j] = 0;
    // The word of m letters: it changes the cotangents of shorter ones only, whose turn has been.
#pragma unroll
    for (int m = 1; m <= N; m++) {
        T q[N];
        q[0] = 1;
#pragma unroll
        for (int j = 1; j < m; j++) q[j] = s[j - 1] + x[j - 1] * (T(1) / T(m - j + 1)) * q[j - 1];
        T b = g[m - 1];
#pragma unroll
        for (int j = m; j > 0; j--) {
            const T h = b * (T(1) / T(m - j + 1));
            gx[j - 1] += h * q[j - 1];
            b = h * x[j - 1];
            if (j > 1) g[j - 2] += b;
        }
    }
}

// The sums of `values`, which the threads have left for n increments, the first of which is number `row` of the chunks.
// To be called by all threads.
template <typename T>
__device__ __noinline__ void add_up(const Back<T>& call, const Part& part, long long v_first, long long row, int n,
                                    const T* values) {
    const int columns = call.n_group * call.paths.d, chain_values = part.length * LINE;
    int lanes = 1;
    while (lanes < 32 && 2 * lanes <= part.n_chains && 2 * lanes * part.n_paths * columns <= THREADS) lanes *= 2;
    const int lane = (int)threadIdx.x % lanes;
    const Sharing sharing(columns, (int)threadIdx.x / lanes, THREADS / lanes);
    const int* const starts = call.sum_starts + (long long)blockIdx.y * (call.n_channels + 1);
    // All threads make the same number of rounds, for the shuffles.
    for (int base = 0; base < columns; base += sharing.column_step) {
        const int c = base + sharing.column, m = c / call.paths.d, channel = c - m * call.paths.d;
        const bool exists = m < n && sharing.place < sharing.place_step;
        const bool used = exists && channel < call.n_channels;
        const int first = used ? starts[channel] : 0, end = used ? starts[channel + 1] : 0;
        for (int slot_base = 0; slot_base < part.n_paths; slot_base += sharing.place_step) {
            const int slot = slot_base + sharing.place;
            const bool wanted = exists && slot < part.n_paths && v_first + slot < call.n_virtual;
            T total = 0;
            if (wanted) {
                const T* const mine = values + m * chain_values + slot * part.n_chains;
                for (int i = first + lane; i < end; i += lanes) total += mine[call.sums[i]];
            }
            for (int by = lanes / 2; by > 0; by /= 2) total += __shfl_xor_sync(0xffffffffu, total, by);
            if (wanted && lane == 0) {
                const long long line = (v_first + slot) * call.n_sums + call.sum;
                T* const result = call.gx + (line * call.n_rows + row + m) * call.paths.d + channel;
                *result = call.adds ? *result + total : total;
            }
        }
    }
}

template <typename T, int N>
__device__ __forceinline__ void walk_back(const Back<T>& call, const Part& part) {
    const long long v_first = (long long)blockIdx.x * part.n_paths;
    const Place at(part, v_first, call.n_virtual);
    const Stage stage(part, call.n_staged);
    T* const staged = dyn_smem<T>();
    T* const values = staged + call.n_staged;
    const T* const mine = staged + at.slot * stage.stride;
    int letters[N];
    T s[N], g[N];
#pragma unroll
    for (int k = 0; k < N; k++) {
        const int entry = part.first_entry + at.chain + k * part.n_chains;
        const int column = call.state_columns ? call.state_columns[entry] : entry;
        letters[k] = call.letters[entry];
        s[k] = at.live ? call.states[at.v * call.n_states + column] : T(0);
        g[k] = at.live ? load_entry(call.starts, call.columns, entry, call.derivs + at.v * call.n_derivs) : T(0);
    }
    for (long long first = (call.n_rows - 1) / stage.n * stage.n; first >= 0; first -= stage.n) {
        const int n = (int)smaller((long long)stage.n, call.n_rows - first);
        load_stage(call.paths, part, call.channels, stage, v_first, call.n_virtual, first, n, staged, call.margin);
        __syncthreads();
        for (int group = (n - 1) / call.n_group * call.n_group; group >= 0; group -= call.n_group) {
            const int n_there = smaller(call.n_group, n - group);
#pragma unroll 1
            for (int m = n_there - 1; m >= 0; m--) {
                T x[N], back[N], gx[N];
#pragma unroll
                for (int k = 0; k < N; k++) {
                    x[k] = mine[(group + m) * part.n_channels + letters[k]];
                    back[k] = -x[k];
                }
                multiply<T, N>(s, back);
                multiply_backprop<T, N>(s, g, x, gx);
#pragma unroll
                for (int k = 0; k < N; k++) values[(m * N + k) * LINE + (int)threadIdx.x] = gx[k];
            }
            __syncthreads();
            add_up(call, part, v_first, first + group, n_there, values);
            __syncthreads();
        }
    }
}

template <typename T, int LENGTHS, int N = 1>
__device__ __forceinline__ void walk_part_back(const Back<T>& call, const Part& part) {
    if constexpr (LENGTHS >> N) {
        if constexpr (LENGTHS >> N & 1)
            if (part.length == N) walk_back<T, N>(call, part);
        walk_part_back<T, LENGTHS, N + 1>(call, part);
    }
}

// paths: see increments.cuh. Tables: see siglib/_gpu/word_chains.py; blocks along y are parts, from `parts` on. states
// (n_virtual, n_states): coefficients of the paths at the ends of their chunks, those of entry e in column
// state_columns[e], or without state_columns in column e. derivs (n_virtual, n_derivs): cotangents, those of entry e in
// the columns columns[starts[e]..], or without `starts` in column e. Before and behind the increments of a chunk are
// `margin` increments of zero. gx (n_virtual, n_sums, margin + chunk + margin, n_letters): each
// part's sums, from number first_sum on, added to what is there if `adds`. Shared memory: n_staged numbers, and n_group
// lines for each letter of the longest chain.
template <typename T, int LENGTHS>
__global__ void __launch_bounds__(THREADS, 1) coefficients_backprop(
    const Paths<T> paths, long long n_virtual, const int* __restrict__ parts, const int* __restrict__ letters,
    const int* __restrict__ channels, const int* __restrict__ sum_starts, const int* __restrict__ sums,
    long long n_channels, const T* __restrict__ states, const int* __restrict__ state_columns, long long n_states,
    const T* __restrict__ derivs, const int* __restrict__ starts, const int* __restrict__ columns, long long n_derivs,
    T* __restrict__ gx, long long n_sums, long long first_sum, long long adds, long long n_staged, long long n_group,
    long long margin) {
    const Part part(parts, blockIdx.y);
    if ((long long)blockIdx.x * part.n_paths >= n_virtual) return;
    Back<T> call;
    call.paths = paths;
    call.letters = letters;
    call.channels = channels;
    call.sum_starts = sum_starts;
    call.sums = sums;
    call.state_columns = state_columns;
    call.starts = starts;
    call.columns = columns;
    call.states = states;
    call.derivs = derivs;
    call.n_virtual = n_virtual;
    call.n_staged = n_staged;
    call.n_states = n_states;
    call.n_derivs = n_derivs;
    call.n_sums = n_sums;
    call.sum = first_sum + blockIdx.y;
    call.n_rows = paths.chunk + 2 * margin;
    call.n_channels = (int)n_channels;
    call.margin = (int)margin;
    call.n_group = (int)n_group;
    call.adds = adds != 0;
    call.gx = gx;
    walk_part_back<T, LENGTHS>(call, part);
}
