// The gradient of signatures of few letters in one launch: a block has all time chunks of a path, or of several.
//
// A thread has one chunk, and the whole tree of signature_item.cuh, without a suffix; or two threads have it, half of
// the letters at its root each. A block walks over the increments of its paths twice:
//
// 1. from the last to the first, for the signatures of the chunks (signature_tree.cuh), up to words below the degree:
//    longer ones are never needed. If a path is one chunk, its signature is known.
// 2. In between, the products of all chunks before each and behind each, in shared memory: a scan, in which a chunk's
//    product is that of twice as many chunks after each step. What the signature's cotangent g is for a chunk with A
//    before it and B behind it follows,
//
//        c[w] = sum over u and v of A[u] g[u w v] B[v],
//
//    in two steps, first over v, then over u. For words of full length it is g itself.
// 3. From the first to the last, increments are taken off again. Two threads that share a chunk add up what either has
//    as gradient of the increment. The gradient of a point, that of the increment which ends there less that of the one
//    which starts there, takes the increment's place in shared memory, and goes to the result from there.
//
// Between two chunks each is relative to an increment of zero, as increments.cu explains: there is one behind each
// chunk but the last and one before each but the first. The chunk before adds its share of the point between at the
// end.
//
// Where a path is cut depends on its length alone.
#include "increments.cuh"
#include "signature_item.cuh"
#include "signature_product.cuh"

constexpr int THREADS = 128, WARP = 32;

// What an item's cotangents of words of R letters and more have from words that are L letters longer, and more: with
// what is behind the chunk, from its own if it has all of them, else from g.
template <typename T, int D, int P, int T1, int R, int L, typename Behind>
__device__ __forceinline__ void add_behind(Item<T, D, 0, P, T1, D>& item, const T* g, int first, Behind behind) {
    using MyItem = Item<T, D, 0, P, T1, D>;
    constexpr int BELOW = power<D>(R - 1), ENDS = power<D>(L), OWN = MyItem::before(R), LONGER = MyItem::before(R + L);
#pragma unroll
    for (int u = 0; u < T1 * BELOW; u++) {
        T total = 0;
        if constexpr (T1 == D) {
#pragma unroll
            for (int v = 0; v < ENDS; v++) total += item.g[LONGER + v * (D * BELOW) + u] * behind.template get<L>(v);
        } else {
            constexpr int START = tree_level<D, P, D>(R + L);
            // The place of this word in its level, but for the first letter of the tile.
            const int word = reversed<D, R - 1>(u % BELOW) * D + u / BELOW;
#pragma unroll
            for (int v = 0; v < ENDS; v++)
                total += g[START + first * ENDS + word * ENDS + reversed<D, L>(v)] * behind.template get<L>(v);
        }
        item.g[OWN + u] += total;
    }
    if constexpr (R + L < P)
        add_behind<T, D, P, T1, R, L + 1>(item, g, first, behind);
    else if constexpr (R + 1 < P)
        add_behind<T, D, P, T1, R + 1, 1>(item, g, first, behind);
}

// The same with what is before the chunk.
template <typename T, int D, int P, int T1, int R, int L, typename Before>
__device__ __forceinline__ void add_before(Item<T, D, 0, P, T1, D>& item, Before before) {
    using MyItem = Item<T, D, 0, P, T1, D>;
    constexpr int WORDS = T1 * power<D>(R - 1), STARTS = power<D>(L);
    constexpr int OWN = MyItem::before(R), LONGER = MyItem::before(R + L);
#pragma unroll
    for (int u = 0; u < WORDS; u++) {
        T total = 0;
#pragma unroll
        for (int v = 0; v < STARTS; v++) total += before.template get<L>(v) * item.g[LONGER + u * STARTS + v];
        item.g[OWN + u] += total;
    }
    if constexpr (R + L < P)
        add_before<T, D, P, T1, R, L + 1>(item, before);
    else if constexpr (R + 1 < P)
        add_before<T, D, P, T1, R + 1, 1>(item, before);
}

// Where the gradients of a chunk's points go, and of how many of them.
template <typename T>
struct alignas(16) Target {
    T* out;
    int length;
};

// The gradients of N points of each of a warp's chunks, from point `first` on, from shared memory to where they go: the
// first CHANNELS of D numbers, V of them together.
template <typename T, int D, int N, int CHANNELS, int V, int PLACES>
__device__ __forceinline__ void store_points(const Target<T>* targets, const T* staged, int row, int first, int lane) {
    // Neighbours have neighbouring numbers; a lane has the same ones of every so many points.
    constexpr int PACKS = CHANNELS / V, AT_A_TIME = WARP / PACKS, BY_PLACE = AT_A_TIME / N, BY_ROW = AT_A_TIME % N;
    const int mine = lane / PACKS, c = lane % PACKS * V;
    if (mine >= AT_A_TIME) return;
    int place = mine / N, k = mine % N;
#pragma unroll 4
    while (place < PLACES) {
        const Target<T> target = targets[place];
        assume_global(target.out);
        const int point = first + k;
        if ((unsigned)point < (unsigned)target.length)
            *reinterpret_cast<Pack<T, V>*>(target.out + (point * CHANNELS + c)) =
                *reinterpret_cast<const Pack<T, V>*>(staged + (place * row + k * D + c));
        place += BY_PLACE;
        k += BY_ROW;
        if (BY_ROW > 0 && k >= N) {
            k -= N;
            place++;
        }
    }
}

// paths: see increments.cuh, without lead-lag; sig, derivs: signatures and their cotangents, without scalar term,
// `sig_stride` and `stride` apart; out (n_paths, length, channels). A path has n_columns chunks, of which the last ones
// may be empty. N increments of each are in shared memory at a time, those of a chunk `row` numbers behind those of the
// one before.
template <typename T, int D, int P, int T1, int N>
__global__ void __launch_bounds__(THREADS, 1) sig_backward_block(const Paths<T> paths, const T* __restrict__ sig,
                                                                 const T* __restrict__ derivs, T* out,
                                                                 long long sig_stride, long long stride,
                                                                 long long n_paths, long long n_columns,
                                                                 long long row) {
    constexpr int ITEMS = D / T1, PLACES = THREADS / ITEMS, OF_WARP = WARP / ITEMS, LEVELS = P - 1;
    constexpr int OWN = tree_level<D, LEVELS, T1>(P), ALL = tree_level<D, LEVELS, D>(P);
    // Loads under way on both walks, as the loader counts them: on the second one registers hold much more.
    constexpr int THERE = 4 * packed<T, D>() * sizeof(T), BACK = larger(THERE / 2, 16);
    static_assert(ITEMS * T1 == D && ITEMS <= 2);
    const int tid = threadIdx.x, place = tid / ITEMS, first = tid % ITEMS * T1, stride_x = (int)row;
    const int columns = (int)n_columns, c = place % columns, n_chunks = (int)paths.n_chunks;
    const int length = (int)paths.chunk, margin = n_chunks > 1;
    const long long first_path = (long long)blockIdx.x * (PLACES / columns), path = first_path + place / columns;
    const bool exists = path < n_paths && c < n_chunks;

    Chunk<T>* const chunks = dyn_smem<Chunk<T>>();
    Target<T>* const targets = reinterpret_cast<Target<T>*>(chunks + PLACES);
    T* const staged = reinterpret_cast<T*>(targets + PLACES);
    const int n_channels = D - paths.time_aug;
    if (first == 0) {
        const Chunk<T> chunk(paths, path * n_chunks + c, exists);
        chunks[place] = chunk;
        targets[place] = {out + (path * (paths.n_rows + 1) + chunk.start) * n_channels, chunk.length};
    }
    __syncthreads();

    // The signature of the chunk.
    const int lane = tid % WARP, first_place = place - lane / ITEMS;
    T* const mine = staged + place * stride_x;
    T* const of_warp = staged + first_place * stride_x;
    // Memory takes longest: what is staged next is on its way meanwhile.
    const auto expect = [&](int step) {
        if (step >= 0) expect_increments<D, N>(paths, chunks[place], step, tid % ITEMS, ITEMS);
    };
    Item<T, D, 0, P, T1, D> item;
#pragma unroll
    for (int i = 0; i < OWN; i++) item.s[i] = 0;
    const int last_step = n_chunks > 1 ? (length - 1) / N * N : -1;
    expect(last_step);
    for (int step = last_step; step >= 0; step -= N) {
        load_near_increments<THERE, D>(paths, chunks + first_place, OF_WARP, step, N, D, of_warp, stride_x, lane, WARP);
        __syncwarp();
        expect(step - N);
#pragma unroll 1
        for (int k = smaller(N, length - step) - 1; k >= 0; k--) {
            T letters[D * P], root[T1], ones[P];
            load_letters<T, D>(mine + k * D, letters);
            scale_letters<T, D, LEVELS>(letters);
#pragma unroll
            for (int i = 0; i < LEVELS; i++) ones[i] = 1;
            if constexpr (ITEMS > 1) load_letters<T, T1>(mine + k * D + first, root);
            advance_below<T, D, LEVELS, T1, D, 0>(item.s, 0, ones, ITEMS > 1 ? root : letters, letters, letters);
        }
        __syncwarp();
    }
    __syncthreads();

    // The products of chunks before and behind, those of this one included until the end. The last column is one of
    // zeros, for chunks that are not there.
    using Tree = Column<T, D, LEVELS, PLACES + 1>;
    T* const before = staged;
    T* const behind = staged + ALL * (PLACES + 1);
    for (int i = tid; i < 2 * ALL; i += THREADS) staged[i * (PLACES + 1) + PLACES] = 0;
    T left[OWN], right[OWN];
#pragma unroll
    for (int i = 0; i < OWN; i++) left[i] = right[i] = item.s[i];
#pragma unroll 1
    for (int step = 1;; step *= 2) {
        Tree{before + place, first}.template write<T1>(left);
        Tree{behind + place, first}.template write<T1>(right);
        __syncthreads();
        if (step >= columns) break;
        T* const l = before + (c >= step ? place - step : PLACES);
        T* const r = behind + (c + step < columns ? place + step : PLACES);
        multiply_tree<T, D, LEVELS, T1>(left, Tree{l, first}, Tree{l, 0}, Registers<T, D, LEVELS, T1>{left});
        multiply_tree<T, D, LEVELS, T1>(right, Tree{r, first}, Tree{behind + place, 0}, Tree{r, first});
        __syncthreads();
    }

    // The cotangent; and of a path that is not cut, the signature.
    const long long place_of_path = path < n_paths ? path : 0;
    const T* const s = sig + place_of_path * sig_stride;
    const T* const g = derivs + place_of_path * stride;
    int levels[P + 1] = {};
#pragma unroll
    for (int level = 1, size = D; level < P; level++, size *= D) levels[level + 1] = levels[level] + size;
    item.template visit<0>(0, 0, 0, 1, first, 0, D, true, [&](int r, int word, int, bool, bool cotangent, T old) {
        return cotangent ? g[levels[r] + word] : n_chunks > 1 ? old : s[levels[r] + word];
    });
    if (n_chunks > 1) {
        add_behind<T, D, P, T1, 1, 1>(item, g, first, Tree{behind + (c + 1 < columns ? place + 1 : PLACES), 0});
        add_before<T, D, P, T1, 1, 1>(item, Tree{before + (c > 0 ? place - 1 : PLACES), 0});
    }
    __syncthreads();

    // Back, from the increment of zero before the chunk to that behind it: where they are not there, all that counts is
    // that nothing was before.
    const int walked = length + 2 * margin, begin = c == 0 ? margin : 0, end = targets[place].length + margin;
    const bool is_last = c == n_chunks - 1;
    T gradient[T1], change[T1];
#pragma unroll
    for (int j = 0; j < T1; j++) gradient[j] = change[j] = 0;
    for (int step = 0; step < walked; step += N) {
        load_near_increments<BACK, D>(paths, chunks + first_place, OF_WARP, step - margin, N, D, of_warp, stride_x,
                                      lane, WARP);
        __syncwarp();
        expect(step + N - margin);
        const int n_steps = smaller(N, walked - step);
#pragma unroll 1
        for (int k = 0; k < n_steps; k++) {
            T* const x = mine + k * D;
            load_letters<T, D>(x, item.inner);
            load_letters<T, T1>(x + first, item.root);
            item.step();
            const bool counts = step + k >= begin && step + k < end;
#pragma unroll
            for (int j = 0; j < T1; j++) {
                T total = item.g_inner[j];
                if constexpr (ITEMS > 1) {
                    const T other = item.g_inner[j + T1];
                    total = item.g_root[j] + (first ? other : total) +
                            __shfl_xor_sync(0xffffffffu, first ? item.g_inner[j] : other, 1);
                }
                change[j] = gradient[j] - total;
                gradient[j] = counts ? total : gradient[j];
            }
            if constexpr (ITEMS > 1) __syncwarp();
#pragma unroll
            for (int j = 0; j < T1; j++) x[first + j] = change[j];
        }
        __syncwarp();
        constexpr int V = packed<T, D>();
        if (paths.time_aug)
            store_points<T, D, N, D - 1, 1, OF_WARP>(targets + first_place, of_warp, stride_x, step - margin, lane);
        else if ((long long)out / (long long)sizeof(T) % V == 0)
            store_points<T, D, N, D, V, OF_WARP>(targets + first_place, of_warp, stride_x, step - margin, lane);
        else
            store_points<T, D, N, D, 1, OF_WARP>(targets + first_place, of_warp, stride_x, step - margin, lane);
        __syncwarp();
    }
    __syncthreads();
    if (!exists) return;
    T* const to = targets[place].out + targets[place].length * n_channels;
#pragma unroll
    for (int j = 0; j < T1; j++) {
        if (first + j >= n_channels) break;
        to[first + j] = is_last ? gradient[j] : to[first + j] + change[j];
    }
}
