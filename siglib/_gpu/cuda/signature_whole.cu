// Signatures of few letters and low degree: a thread has a whole one in its registers (signature_tree.cuh), and there
// is no suffix.
//
// A path is cut in time. Its parts, a power of two, go side by side through the threads of one block, and the block
// multiplies their signatures in pairs (Chen's identity), through shared memory: nothing but the result is written. Of
// n parts thread h has the one whose number are the digits of h backwards: then the first n / 2 threads have the even
// parts, and thread h + n / 2 the part behind that of thread h; and so on with those that are left.
#include "increments.cuh"
#include "signature_product.cuh"

constexpr int THREADS = 128;
// Signatures that are handed over at a time.
constexpr int HANDED = THREADS / 2;

// The words number R * q, ..., R * q + R - 1 of level N of a (x) b. Words as above, of both.
template <typename T, int D, int P, int N, int R>
__device__ __forceinline__ void product_words(const T* a, const T* b, int q, T* words) {
    constexpr int AT = level_at<D, P, D, D>(N), SIZE = level_at<D, P, D, D>(N + 1) - AT;
#pragma unroll
    for (int j = 0; j < R; j++) words[j] = a[(AT + q * R + j) * HANDED] + b[(AT + q * R + j) * HANDED];
    int rest = SIZE / R, at = AT, ends = 1, ends_at = 0;
#pragma unroll
    for (int k = 1; k < N; k++) {
        rest /= D;
        at -= rest * R;
        const T ending = b[(ends_at + q / rest) * HANDED];
#pragma unroll
        for (int j = 0; j < R; j++) words[j] += a[(at + q % rest * R + j) * HANDED] * ending;
        ends *= D;
        ends_at += ends;
    }
}

// Each of the first `left` of twice as many signatures in shared memory times the one that is `left` places behind, by
// teams of TEAM threads: a thread has D of the longest words and one of each level below. All threads call this.
template <typename T, int D, int P, int TEAM, int N = P>
__device__ __forceinline__ void multiply_shared(T* signatures, int left) {
    const int pair = (int)threadIdx.x / TEAM, q = (int)threadIdx.x % TEAM;
    constexpr int R = N == P ? D : 1, AT = level_at<D, P, D, D>(N), SIZE = level_at<D, P, D, D>(N + 1) - AT;
    const bool mine = pair < left && q * R < SIZE;
    T words[R] = {};
    if (mine) product_words<T, D, P, N, R>(signatures + pair, signatures + pair + left, q, words);
    if constexpr (N > 1)
        multiply_shared<T, D, P, TEAM, N - 1>(signatures, left);
    else
        __syncthreads();
    if (mine)
#pragma unroll
        for (int j = 0; j < R; j++) signatures[(AT + q * R + j) * HANDED + pair] = words[j];
    if constexpr (N == P) __syncthreads();
}

// paths: see increments.cuh, their time chunks are the virtual paths; out: a row of `out_stride` numbers for each of
// the n_virtual of them, after one number for the empty word if `scalar_term`. Each is cut into n_parts parts of `part`
// increments, fewer in the last ones. Shared memory: what the block knows of its parts, and ROWS increments of each, or
// signatures that are handed over.
template <typename T, int D, int P, int ROWS>
__global__ void __launch_bounds__(128, 1) sig_whole(const Paths<T> paths, T* __restrict__ out, long long n_virtual,
                                                    long long n_parts, long long part, long long out_stride,
                                                    long long scalar_term) {
    constexpr int TREE = level_at<D, P, D, D>(P + 1), PACK = packed<T, D>(), STRIDE = (ROWS * D / PACK | 1) * PACK;
    Chunk<T>* const chunks = dyn_smem<Chunk<T>>();
    T* const staged = reinterpret_cast<T*>(chunks + THREADS);
    const int t = (int)threadIdx.x, n_paths = THREADS / (int)n_parts, turn = t / n_paths;
    const long long v = (long long)blockIdx.x * n_paths + (t - turn * n_paths);
    int number = 0;
    for (int bit = 1; bit < (int)n_parts; bit *= 2) number = 2 * number + (turn / bit & 1);
    const Chunk<T> mine(paths, v, v < n_virtual, number * part, part);
    chunks[t] = mine;

    T tree[TREE];
#pragma unroll
    for (int i = 0; i < TREE; i++) tree[i] = 0;
    // Memory takes longest: what is loaded next is on its way while increments are multiplied.
    const auto expect = [&](int first) {
        if (!paths.lead_lag && first >= 0) expect_increments<D, ROWS>(paths, mine, first);
    };
    int first = ((int)part - 1) / ROWS * ROWS;
    expect(first);
    for (; first >= 0; first -= ROWS) {
        __syncthreads();
        load_increments<128 / sizeof(T), D>(paths, chunks, THREADS, first, ROWS, D, staged, STRIDE, t, THREADS);
        __syncthreads();
        expect(first - ROWS);
        for (int k = smaller(ROWS, (int)part - first) - 1; k >= 0; k--) {
            T letters[D * P], ending[1], B[P];
            const T* const now = staged + t * STRIDE + k * D;
#pragma unroll
            for (int i = 0; i < D; i += PACK) load_letters<T, PACK>(now + i, letters + i);
            scale_letters<T, D, P>(letters);
            advance_ending<T, 0, P>(ending, letters, B);
            advance_below<T, D, P, D, D, 0>(tree, 0, B, letters, letters, letters);
        }
    }
    // While there are many pairs, a thread multiplies one; then several do.
    constexpr int TEAM = (TREE - level_at<D, P, D, D>(P)) / D, FEW = THREADS / (TEAM < 4 ? 4 : TEAM);
    using Handed = Column<T, D, P, HANDED>;
    int left = THREADS / 2;
#pragma unroll 1
    for (; left >= n_paths && left > FEW; left /= 2) {
        __syncthreads();
        if (left <= t && t < 2 * left) Handed{staged + t - left, 0}.template write<D>(tree);
        __syncthreads();
        const Handed later{staged + t, 0};
        if (t < left) multiply_tree<T, D, P, D>(tree, later, Registers<T, D, P, D>{tree}, later);
    }
    if (left >= n_paths) {
        // There has been one such step at least: where a thread writes nobody else has read.
        if (t < 2 * left) Handed{staged + t, 0}.template write<D>(tree);
        __syncthreads();
#pragma unroll 1
        for (; left >= n_paths; left /= 2) multiply_shared<T, D, P, TEAM>(staged, left);
        if (t < n_paths)
#pragma unroll
            for (int i = 0; i < TREE; i++) tree[i] = staged[i * HANDED + t];
    }
    if (t >= n_paths || v >= n_virtual) return;
    T* row = out + v * out_stride;
    if (scalar_term) *row++ = 1;
    store_item<T, D, 0, P, D, D>(tree, tree, row, 0, 1, true, 0, 0, D);
}
