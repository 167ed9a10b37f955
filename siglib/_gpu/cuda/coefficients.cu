// Signature coefficients at chosen words.
//
// A thread has a chain of a virtual path, with its coefficients in registers; coefficients.cuh says what it does for an
// increment. A block has a part, all chains of one length or up to 128 of them, for one path or for as many as there
// are threads for: neighbouring threads read the same increments, or neighbouring rows of them, from shared memory.
//
// Chains that begin alike repeat each other's work. They could share it if a thread took a subtree of their tree of
// prefixes, but then threads of a warp would go different ways; and it takes hundreds of words for more to do than
// waiting for increments.
//
// Long paths are cut in time, where depends on their length only. Chunks need the coefficients of all sub-words: they
// are computed by the same function as those of so many other words, and joined in coefficients_join.cu. Words that are
// too long for registers are computed in coefficients_long.cu.
#include "coefficients.cuh"

// What does not depend on the length of the chains.
template <typename T>
struct Call {
    Paths<T> paths;
    const int *letters, *channels, *starts, *columns;
    long long n_virtual, n_staged, n_columns;
    int n_entries;
    T* out;
};

template <typename T, int N>
__device__ __forceinline__ void compute(const Call<T>& call, const Part& part) {
    const long long v_first = (long long)blockIdx.x * part.n_paths;
    const Place at(part, v_first, call.n_virtual);
    const Stage stage(part, call.n_staged);
    T* const staged = dyn_smem<T>();
    const T* const mine = staged + at.slot * stage.stride;
    const int entry = part.first_entry + at.chain;
    int letters[N];
    T s[N];
#pragma unroll
    for (int k = 0; k < N; k++) {
        letters[k] = call.letters[entry + k * part.n_chains];
        s[k] = 0;
    }
    const long long n_rows = smaller(call.paths.chunk, call.paths.n_rows);
    for (long long first = 0; first < n_rows; first += stage.n) {
        const int n = (int)smaller((long long)stage.n, n_rows - first);
        __syncthreads();
        load_stage(call.paths, part, call.channels, stage, v_first, call.n_virtual, first, n, staged);
        __syncthreads();
        for (int i = 0; i < n; i++) {
            T x[N];
#pragma unroll
            for (int k = 0; k < N; k++) x[k] = mine[i * part.n_channels + letters[k]];
            multiply<T, N>(s, x);
        }
    }
    if (!at.live) return;
    T* const row = call.out + at.v * call.n_columns;
#pragma unroll
    for (int k = 0; k < N; k++) store_entry(call.starts, call.columns, entry + k * part.n_chains, s[k], row);
    if (call.starts && blockIdx.y == 0 && at.chain == 0)
        store_entry(call.starts, call.columns, call.n_entries, T(1), row);
}

template <typename T, int LENGTHS, int N = 1>
__device__ __forceinline__ void compute_part(const Call<T>& call, const Part& part) {
    if constexpr (LENGTHS >> N) {
        if constexpr (LENGTHS >> N & 1)
            if (part.length == N) compute<T, N>(call, part);
        compute_part<T, LENGTHS, N + 1>(call, part);
    }
}

// paths: see increments.cuh. Tables: see siglib/_gpu/word_chains.py; bit n of LENGTHS says whether there are chains of
// n letters. out (n_virtual, n_columns): the columns of all entries that are owners, and of the empty word; without
// `starts`, all entries. Blocks along y are parts. Shared memory: n_staged numbers.
template <typename T, int LENGTHS>
__global__ void __launch_bounds__(THREADS, 1) coefficients(
    const Paths<T> paths, T* __restrict__ out, long long n_virtual, const int* __restrict__ parts,
    const int* __restrict__ letters, const int* __restrict__ channels, const int* __restrict__ starts,
    const int* __restrict__ columns, long long n_entries, long long n_columns, long long n_staged) {
    const Part part(parts, blockIdx.y);
    if ((long long)blockIdx.x * part.n_paths >= n_virtual) return;
    Call<T> call;
    call.paths = paths;
    call.letters = letters;
    call.channels = channels;
    call.starts = starts;
    call.columns = columns;
    call.n_virtual = n_virtual;
    call.n_staged = n_staged;
    call.n_columns = n_columns;
    call.n_entries = (int)n_entries;
    call.out = out;
    compute_part<T, LENGTHS>(call, part);
}
