// The time chunks of paths joined by Chen's identity, and the adjoint.
//
// With s^c the signature of chunk c and P^c = s^0 (x) ... (x) s^c, a word v of level n has
//
//     P^c[v] = P^(c-1)[v] + (s^c[v] + sum over the cuts v = u w of P^(c-1)[u] s^c[w]).
//
// Once the levels below are known for every c, a level is a sum over chunks: each chunk is read once, and nothing of
// the size of a signature is written but the result. Of the levels below the longest words' P^(c-1) is kept for every
// chunk c > 0, for the levels above and for the adjoint: `prefixes`.
//
// The adjoint. G^c, the cotangent of P^c, is that of the whole signature for the longest words, whatever c is. Below,
//
//     G^(c-1)[u] = G^c[u] + sum over v of G^c[u v] s^c[v],
//
// a sum over chunks again, level by level from the top; and chunk c has the cotangent
//
//     G^c[v] + sum over u of P^(c-1)[u] G^c[u v],
//
// which for the longest words is that of the whole signature, too. So neither chunks nor cotangents of chunks need
// words of full length here.
#include "tensor_words.cuh"

// Chunks that a thread takes side by side, so that their numbers are loaded at the same time.
constexpr int TOGETHER = 16;
constexpr int THREADS = 256;  // of a block that joins
// The same in a block for few paths.
constexpr int FEW_TOGETHER = 8;
constexpr int ADJOINT_TOGETHER = 4;

// A word of level n without its first letter: number `tail` of the tail_size = d^(n - 1) tails. `start`: where the
// level begins.
template <typename I>
struct Tail {
    I start, size, number;
};

// Of chunks c..c + C - 1, the last one again where there are no more, and the words of a tail that start with the R
// `letters`: s^c[v] and the sum over the cuts. OWN: prefixes are those of the one first letter alone.
template <int C, int LEVEL, int R, bool OWN = false, typename T, int D, typename I>
__device__ __forceinline__ void chunk_terms(const T* chunks, long long stride, const T* prefixes, long long n_lower,
                                            int n_chunks, int level, const Divisor<D, I>& by_d, const Tail<I>& tail,
                                            const I* letters, int c, T (*terms)[R]) {
    const I d = by_d.d;
    const int n = LEVEL > 0 ? LEVEL : level;
    const T *chunk[C], *prefix_words[C];
#pragma unroll
    for (int i = 0; i < C; i++) {
        const int there = smaller(c + i, n_chunks - 1);
        chunk[i] = chunks + there * stride;
        prefix_words[i] = prefixes + there * n_lower;
    }
#pragma unroll
    for (int i = 0; i < C; i++)
#pragma unroll
        for (int r = 0; r < R; r++) terms[i][r] = chunk[i][tail.start + letters[r] * tail.size + tail.number];
    // The prefix without its first letter, and the suffix: of k - 1 and of n - k letters.
    I prefix = tail.number, prefix_size = tail.size, prefix_start = tail.start, suffix = 0, suffix_size = 1,
      suffix_start = 0;
    // Where a level of the words with one first letter begins, among them.
    I own_start = by_d.of(prefix_start);
#pragma unroll(LEVEL > 0 ? LEVEL : 1)
    for (int k = n - 1; k > 0; k--) {
        const I shorter = by_d.of(prefix);
        suffix += (prefix - shorter * d) * suffix_size;
        prefix = shorter;
        prefix_start -= prefix_size;
        prefix_size = by_d.of(prefix_size);
        own_start -= prefix_size;
#pragma unroll
        for (int i = 0; i < C; i++) {
            const T ending = chunk[i][suffix_start + suffix];
#pragma unroll
            for (int r = 0; r < R; r++)
                terms[i][r] +=
                    prefix_words[i][OWN ? own_start + prefix : prefix_start + letters[r] * prefix_size + prefix] *
                    ending;
        }
        suffix_size *= d;
        suffix_start += suffix_size;
    }
}

// The R words of a tail that start with the letters first, first + 1, ...: their sums over chunks to result(place,
// sum), and those of all chunks before chunk c > 0 to before(c, place, sum).
template <typename T, int D, int LEVEL, int R, typename I, typename Before, typename Result>
__device__ __forceinline__ void sum_chunks(const T* chunks, long long stride, const T* prefixes, long long n_lower,
                                           int n_chunks, int level, const Divisor<D, I>& by_d, const Tail<I>& tail,
                                           I first, Before before, Result result) {
    constexpr int C = TOGETHER / R;
    // Letters that there are not are the last one once more.
    I letters[R];
    T sums[R];
#pragma unroll
    for (int r = 0; r < R; r++) {
        letters[r] = smaller((I)(first + r), (I)(by_d.d - 1));
        sums[r] = chunks[tail.start + letters[r] * tail.size + tail.number];
    }
    for (int c = 1; c < n_chunks; c += C) {
        T terms[C][R];
        chunk_terms<C, LEVEL, R>(chunks, stride, prefixes, n_lower, n_chunks, level, by_d, tail, letters, c, terms);
#pragma unroll
        for (int i = 0; i < C; i++) {
            if (c + i >= n_chunks) break;
#pragma unroll
            for (int r = 0; r < R; r++) {
                if (first + r < by_d.d) before(c + i, tail.start + letters[r] * tail.size + tail.number, sums[r]);
                sums[r] += terms[i][r];
            }
        }
    }
#pragma unroll
    for (int r = 0; r < R; r++)
        if (first + r < by_d.d) result(tail.start + letters[r] * tail.size + tail.number, sums[r]);
}

// The terms of a word v of n_mine chunks from c on, at most N, to `to`, n_words numbers apart.
template <int N, int LEVEL, bool OWN, typename T, int D, typename I>
__device__ __forceinline__ void store_terms(const T* chunks, long long stride, const T* prefixes, long long n_lower,
                                            int n_chunks, int level, const Divisor<D, I>& by_d, const Tail<I>& tail,
                                            I first, int c, int n_mine, T* to, int n_words) {
    T terms[N][1];
    chunk_terms<N, LEVEL, 1, OWN>(chunks, stride, prefixes, n_lower, n_chunks, level, by_d, tail, &first, c, terms);
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < n_mine) to[i * n_words] = terms[i][0];
}

// The same of one word, by several threads: each adds up the cuts of C chunks, or of FEW if there are no more for it,
// and one of them the terms of all in their order, from `shared` (chunks, n_words): to the bit the same sums, after
// fewer waits for memory. All threads of the block call this: number `part` of `parts` has the word, number `slot` of
// n_words of the block, if it is `live`.
template <typename T, int D, int LEVEL, int C, int FEW, bool OWN, typename I, typename Before, typename Result>
__device__ __forceinline__ void sum_chunks_in_parts(const T* chunks, long long stride, const T* prefixes,
                                                    long long n_lower, int n_chunks, int level,
                                                    const Divisor<D, I>& by_d, const Tail<I>& tail, I first, bool live,
                                                    int part, int parts, int slot, int n_words, T* shared,
                                                    Before before, Result result) {
    const I place = tail.start + first * tail.size + tail.number;
    T sum = live && part == 0 ? chunks[place] : (T)0;
    for (int c = 1; c < n_chunks; c += parts * C) {
        const int here = smaller(parts * C, n_chunks - c), each = (here + parts - 1) / parts;
        const int mine = part * each, n_mine = smaller(each, here - mine);
        if (live && n_mine > 0) {
            T* const to = shared + mine * n_words + slot;
            if (FEW == C || each <= FEW)
                store_terms<FEW, LEVEL, OWN>(chunks, stride, prefixes, n_lower, n_chunks, level, by_d, tail, first,
                                             c + mine, n_mine, to, n_words);
            else
                store_terms<C, LEVEL, OWN>(chunks, stride, prefixes, n_lower, n_chunks, level, by_d, tail, first,
                                           c + mine, n_mine, to, n_words);
        }
        __syncthreads();
        if (live && part == 0) {
#pragma unroll 8
            for (int i = 0; i < here; i++) {
                before(c + i, place, sum);
                sum += shared[i * n_words + slot];
            }
        }
        __syncthreads();
    }
    if (live && part == 0) result(place, sum);
}

// chunks (n_paths, n_chunks) signatures, `stride` numbers apart; to prefixes (n_paths, n_chunks, n_lower) the products
// of all chunks before, for words of up to `levels` letters, as far as it has them; and those of all chunks to out,
// unless it is null: rows of `out_stride` numbers, the words after one more number if `scalar_term`. A block for each
// path. Shared memory: THREADS * TOGETHER numbers.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) join_lower(const T* __restrict__ chunks, T* prefixes, T* __restrict__ out,
                                                  long long stride, long long n_chunks, long long n_lower, long long d,
                                                  long long levels, long long out_stride, long long scalar_term) {
    const Divisor<D, I> by_d((I)d);
    const T* mine = chunks + blockIdx.x * n_chunks * stride;
    T* const found = prefixes + blockIdx.x * n_chunks * n_lower;
    T* const row = out ? out + blockIdx.x * out_stride + scalar_term : nullptr;
    if (row && scalar_term && threadIdx.x == 0) row[-1] = 1;
    const auto before = [&](int c, I place, T sum) {
        if (place < n_lower) found[c * n_lower + place] = sum;
    };
    const auto result = [&](I place, T sum) {
        if (row) row[place] = sum;
    };
    // Wide indices leave no registers for both.
    constexpr int FEW = sizeof(I) > 4 ? TOGETHER : TOGETHER / 4;
    I start = 0, tail_size = 1;
    for (int n = 1; n <= (int)levels; n++) {
        const I size = tail_size * by_d.d;
        if (2 * size <= THREADS) {
            const int parts = THREADS / (int)size, part = (int)threadIdx.x / (int)size;
            const I word = (I)threadIdx.x - part * size, first = word / tail_size;
            sum_chunks_in_parts<T, D, 0, TOGETHER, FEW, false, I>(mine, stride, found, n_lower, (int)n_chunks, n, by_d,
                                                                  Tail<I>{start, tail_size, word - first * tail_size},
                                                                  first, true, part, parts, (int)word, (int)size,
                                                                  dyn_smem<T>(), before, result);
        } else {
            for (I word = threadIdx.x; word < size; word += THREADS) {
                const I first = word / tail_size;
                sum_chunks<T, D, 0, 1, I>(mine, stride, found, n_lower, (int)n_chunks, n, by_d,
                                          Tail<I>{start, tail_size, word - first * tail_size}, first, before, result);
            }
        }
        __syncthreads();
        start += size;
        tail_size = size;
    }
}

// One level for all paths, once those below it are in `prefixes`; a thread has R first letters of a tail, or PARTS
// threads share a word. What is before each chunk goes to `kept`, the prefixes again, unless it is null; the whole to
// `out` as above. LEVEL is the level if the function is compiled for it, else 0. n_blocks: of a path. Shared memory: as
// above, if PARTS is not 1.
template <typename T, int D, int LEVEL, int R, int PARTS, typename I>
__global__ void __launch_bounds__(256) join_level(const T* __restrict__ chunks, const T* __restrict__ prefixes,
                                                  T* __restrict__ kept, T* __restrict__ out, long long stride,
                                                  long long n_chunks, long long n_lower, long long d, long long level,
                                                  long long start, long long tail_size, long long n_blocks,
                                                  long long out_stride, long long scalar_term) {
    constexpr int ITEMS = THREADS / PARTS;
    const Divisor<D, I> by_d((I)d);
    const I tails = (I)tail_size;
    const long long b = quotient(blockIdx.x, n_blocks);
    const int slot = (int)threadIdx.x % ITEMS;
    const I item = (I)(blockIdx.x - b * n_blocks) * ITEMS + slot, group = item / tails;
    const Tail<I> tail = {(I)start, tails, item - group * tails};
    T* const row = out ? out + b * out_stride + scalar_term : nullptr;
    if (row && scalar_term && item == 0 && threadIdx.x == 0) row[-1] = 1;
    const auto before = [&](int c, I place, T sum) {
        if (kept) kept[(b * n_chunks + c) * n_lower + place] = sum;
    };
    const auto result = [&](I place, T sum) {
        if (row) row[place] = sum;
    };
    const T *mine = chunks + b * n_chunks * stride, *before_mine = prefixes + b * n_chunks * n_lower;
    if constexpr (PARTS > 1) {
        sum_chunks_in_parts<T, D, LEVEL, TOGETHER, TOGETHER, false, I>(
            mine, stride, before_mine, n_lower, (int)n_chunks, (int)level, by_d, tail, group, group < by_d.d,
            (int)threadIdx.x / ITEMS, PARTS, slot, ITEMS, dyn_smem<T>(), before, result);
    } else if (group * R < by_d.d) {
        sum_chunks<T, D, LEVEL, R, I>(mine, stride, before_mine, n_lower, (int)n_chunks, (int)level, by_d, tail,
                                      group * R, before, result);
    }
}

// All levels of few paths in one launch. Prefixes of a word begin with its own first letter: a block has one first
// letter of a path, all words below `degree` that begin with it, and each `n_shares`-th part of those of full length.
// It keeps what is before each chunk in shared memory: (n_chunks, n_own), n_own = 1 + d + ... + d^(degree - 2), behind
// THREADS * FEW_TOGETHER numbers. chunks and out as above.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256, 2) join_few(const T* __restrict__ chunks, T* __restrict__ out, long long stride,
                                                   long long n_chunks, long long n_own, long long d, long long degree,
                                                   long long n_shares, long long out_stride, long long scalar_term) {
    const Divisor<D, I> by_d((I)d);
    const int block = (int)(blockIdx.x / (unsigned)n_shares), share = (int)(blockIdx.x - block * (unsigned)n_shares);
    const long long b = block / (int)by_d.d;
    const I first = (I)(block - b * by_d.d);
    const T* const mine = chunks + b * n_chunks * stride;
    T *const shared = dyn_smem<T>(), *const own = shared + THREADS * FEW_TOGETHER;
    T* const row = out + b * out_stride + scalar_term;
    if (scalar_term && first == 0 && share == 0 && threadIdx.x == 0) row[-1] = 1;
    I start = 0, own_start = 0, tail_size = 1;
    for (int n = 1; n <= (int)degree; n++) {
        const bool longest = n == (int)degree;
        const I each = longest ? (tail_size + (I)n_shares - 1) / (I)n_shares : tail_size;
        const I begin = longest ? share * each : 0, end = smaller((I)(begin + each), tail_size);
        const int n_words = (int)smaller(each, (I)THREADS), parts = THREADS / n_words;
        const int part = (int)threadIdx.x / n_words, slot = (int)threadIdx.x - part * n_words;
        const I shift = own_start - start - first * tail_size;
        const auto before = [&](int c, I place, T sum) {
            if (!longest) own[c * (int)n_own + (int)(place + shift)] = sum;
        };
        const auto result = [&](I place, T sum) {
            if (longest || share == 0) row[place] = sum;
        };
        for (I at = begin; at < end; at += n_words) {
            const Tail<I> tail = {start, tail_size, at + slot};
            const bool live = part < parts && at + slot < end;
#define SUM_LEVEL(LEVEL)                                                                                               \
    sum_chunks_in_parts<T, D, LEVEL, FEW_TOGETHER, FEW_TOGETHER / 4, true, I>(mine, stride, own, n_own, (int)n_chunks, \
                                                                              n, by_d, tail, first, live, part, parts, \
                                                                              slot, n_words, shared, before, result)
            if (n == 2)
                SUM_LEVEL(2);
            else if (n == 3)
                SUM_LEVEL(3);
            else if (n == 4)
                SUM_LEVEL(4);
            else
                SUM_LEVEL(0);
#undef SUM_LEVEL
        }
        start += tail_size * by_d.d;
        own_start += tail_size;
        tail_size *= by_d.d;
    }
}

// Of the chunks first..first + n - 1, at most ADJOINT_TOGETHER of them, which share what is loaded of the cotangent.
template <typename T>
struct Together {
    const T* rows[ADJOINT_TOGETHER];

    // Rows number first, ... of an array, `stride` apart; the last one again where there are no more.
    __device__ __forceinline__ Together(const T* array, long long first, int n, long long stride) {
#pragma unroll
        for (int i = 0; i < ADJOINT_TOGETHER; i++) rows[i] = array + (first + smaller(i, n - 1)) * stride;
    }
};

// The adjoint from the longest words, derivs (n_paths) of which the level begins at n_lower: to slot c of cotangents
// (n_paths, n_chunks, n_lower) what G^c has more than G^(c+1) because of them. A block has a few chunks c > 0 of one
// path; n_blocks: of a path.
template <typename T>
__global__ void __launch_bounds__(256) join_backprop_top(const T* __restrict__ chunks, const T* __restrict__ derivs,
                                                         T* __restrict__ cotangents, long long stride,
                                                         long long derivs_stride, long long n_chunks, long long n_lower,
                                                         long long n_blocks, long long dimension, long long degree) {
    const unsigned d = (unsigned)dimension, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const long long b = quotient(blockIdx.x, n_blocks);
    const int first = 1 + (int)(blockIdx.x - b * n_blocks) * ADJOINT_TOGETHER;
    const int n_there = smaller(ADJOINT_TOGETHER, (int)n_chunks - first);
    const T* g = derivs + b * derivs_stride + n_lower;
    const Together<T> s(chunks, b * n_chunks + first, n_there, stride);
    T* found = cotangents + (b * n_chunks + first - 1) * n_lower;
    // Words u of a level, and v, as many more letters as are missing.
    unsigned start = 0, size = d, end_start = (unsigned)n_lower, end_size = 1;
    for (int n = (int)degree - 1; n > 0; n--) end_size *= d;
    for (int n = 1; n < (int)degree; n++) {
        end_start -= end_size;
        const Share share = share_suffixes(end_size, warp, 8, lane);
        for (unsigned base = share.first; base < size; base += share.stride) {
            const unsigned u = base + share.word_lane;
            T sums[ADJOINT_TOGETHER] = {};
            for (unsigned v = share.part; v < end_size && u < size; v += share.parts) {
                const T cotangent = g[u * end_size + v];
#pragma unroll
                for (int i = 0; i < ADJOINT_TOGETHER; i++) sums[i] += cotangent * s.rows[i][end_start + v];
            }
#pragma unroll
            for (int i = 0; i < ADJOINT_TOGETHER; i++) {
                sums[i] = sum_of_parts(sums[i], share.parts, 1);
                if (i < n_there && u < size && share.part == 0) found[i * n_lower + start + u] = sums[i];
            }
        }
        start += size;
        size *= d;
        end_size /= d;
    }
}

// G^c itself in slot c, from what `join_backprop_top` has left there. A block for each path.
template <typename T>
__global__ void __launch_bounds__(512) join_backprop_lower(const T* __restrict__ chunks, const T* __restrict__ derivs,
                                                           T* cotangents, long long stride, long long derivs_stride,
                                                           long long n_chunks, long long n_lower, long long dimension,
                                                           long long degree) {
    const unsigned d = (unsigned)dimension, warp = threadIdx.x / 32, n_warps = blockDim.x / 32, lane = threadIdx.x % 32;
    const long long b = blockIdx.x;
    const T *s = chunks + b * n_chunks * stride, *g = derivs + b * derivs_stride;
    T* const found = cotangents + b * n_chunks * n_lower;
    unsigned size = 1, end = (unsigned)n_lower, terms = 0;
    for (int n = 1; n < (int)degree; n++) size *= d;
    for (int n = (int)degree - 1; n > 0; n--) {
        const unsigned start = end - size;
        // Longer words, of the chunk behind.
        if (terms > 0) {
            const Share share = share_suffixes(terms, 0, 1, lane);
            for (int c = 1 + (int)warp; c < (int)n_chunks; c += (int)n_warps) {
                T* const before = found + (c - 1) * n_lower;
                for (unsigned base = share.first; base < size; base += share.stride) {
                    const unsigned u = base + share.word_lane;
                    T sum = u < size ? sum_suffixes(before + n_lower, s + c * stride, start + u, (unsigned)n_lower, d,
                                                    share.part, share.parts)
                                     : (T)0;
                    sum = sum_of_parts(sum, share.parts, 1);
                    if (u < size && share.part == 0) before[start + u] += sum;
                }
            }
            __syncthreads();
        }
        for (unsigned word = start + threadIdx.x; word < end; word += blockDim.x) {
            T sum = g[word];
            found[(n_chunks - 1) * n_lower + word] = sum;
            for (int c = (int)n_chunks - 2; c >= 0; c -= TOGETHER) {
                T more[TOGETHER];
#pragma unroll
                for (int i = 0; i < TOGETHER; i++) more[i] = found[larger(c - i, 0) * n_lower + word];
#pragma unroll
                for (int i = 0; i < TOGETHER; i++) {
                    if (c - i < 0) break;
                    sum += more[i];
                    found[(c - i) * n_lower + word] = sum;
                }
            }
        }
        __syncthreads();
        end = start;
        size /= d;
        terms = (terms + 1) * d;
    }
}

// out (n_paths, n_chunks), rows `out_stride` apart: the cotangents of the chunks but for the longest words, from G^c in
// slot c of `cotangents`. A block has a few chunks of one path; n_blocks: of a path.
template <typename T>
__global__ void __launch_bounds__(256) join_backprop_chunks(const T* __restrict__ prefixes,
                                                            const T* __restrict__ derivs,
                                                            const T* __restrict__ cotangents, T* __restrict__ out,
                                                            long long derivs_stride, long long n_chunks,
                                                            long long n_lower, long long n_blocks, long long out_stride,
                                                            long long dimension, long long degree) {
    const unsigned d = (unsigned)dimension, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const long long b = quotient(blockIdx.x, n_blocks);
    const int first = (int)(blockIdx.x - b * n_blocks) * ADJOINT_TOGETHER;
    const int n_there = smaller(ADJOINT_TOGETHER, (int)n_chunks - first);
    const long long row = b * n_chunks + first;
    const T* g = derivs + b * derivs_stride + n_lower;
    const Together<T> p(prefixes, row, n_there, n_lower), lower(cotangents, row, n_there, n_lower);
    // Words v of a level, and u, as many letters before them as are missing.
    unsigned start = 0, size = d, first_start = (unsigned)n_lower, first_size = 1;
    for (int n = (int)degree - 1; n > 0; n--) first_size *= d;
    for (int n = 1; n < (int)degree; n++) {
        first_start -= first_size;
        const Share share = share_prefixes(first_size, warp, 8, lane);
        for (unsigned base = share.first; base < size; base += share.stride) {
            const unsigned v = base + share.word_lane;
            T sums[ADJOINT_TOGETHER] = {};
            for (unsigned u = share.part; u < first_size && v < size; u += share.parts) {
                const T cotangent = g[u * size + v];
#pragma unroll
                for (int i = 0; i < ADJOINT_TOGETHER; i++)
                    if (first + i > 0) sums[i] += p.rows[i][first_start + u] * cotangent;
            }
            for (unsigned u = share.part; u < first_start && v < size; u += share.parts) {
#pragma unroll
                for (int i = 0; i < ADJOINT_TOGETHER; i++)
                    if (first + i > 0) sums[i] += p.rows[i][u] * lower.rows[i][start + v + (u + 1) * size];
            }
#pragma unroll
            for (int i = 0; i < ADJOINT_TOGETHER; i++) {
                sums[i] = sum_of_parts(sums[i], share.parts, 32 / share.parts);
                if (i < n_there && v < size && share.part == 0)
                    out[(row + i) * out_stride + start + v] = lower.rows[i][start + v] + sums[i];
            }
        }
        start += size;
        size *= d;
        first_size /= d;
    }
}
