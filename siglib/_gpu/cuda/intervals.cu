// Signatures of intervals of a path: the points before its whole blocks, a product of two entries of the table of
// blocks, the points behind them.
//
// A block of threads has one interval of one path, a thread some of the words. The signature stands in memory twice,
// before and after a step: a step is a gather, and one barrier. At most 30 steps a query with blocks of 16 increments,
// so there is nothing to be gained from fewer additions per word: the steps wait for the barrier.
//
// The table is that of `siglib/_interval_table.py`: entry (level, b) is the product of the blocks from b to the middle
// of the run of 2^(level + 1) blocks that b is in, or from there to b.
#include "tensor.cuh"

// Which points and which blocks make an interval.
struct Interval {
    long long first, n_head;  // where the increments before the blocks end, a point, and how many they are
    long long last, n_tail;   // where those behind the blocks begin
    long long left, right;    // blocks from left to right, none if left > right

    __device__ __forceinline__ Interval(long long low, long long high, long long block)
        : first(low), n_head(0), last(low), n_tail(high - low), left(1), right(0) {
        if (high - low <= block) return;  // from its points alone
        left = (low + block - 1) / block;
        right = high / block - 1;
        first = left * block;
        last = (right + 1) * block;
        n_head = first - low;
        n_tail = high - last;
    }
};

// Coefficient of the word in exp(x) (x) s if BEFORE, else in s (x) exp(x); inverse[k] is 1 / k.
template <typename T, int D, typename I, bool BEFORE>
__device__ __forceinline__ T step_at(const T* x, const T* inverse, const T* s, const Word<I>& w, int d_given) {
    const I d = D ? D : d_given;
    I rest = (I)w.index, size = (I)w.size, at = (I)w.at;
    T sum = s[at + rest], factor = 1;
    for (int k = 1; k < w.length; ++k) {
        size /= d;
        at -= size;
        const I other = BEFORE ? rest / size : rest / d, letter = BEFORE ? other : rest - other * d;
        rest = BEFORE ? rest - other * size : other;
        factor *= x[letter] * inverse[k];
        sum += factor * s[at + rest];
    }
    return sum + factor * (x[rest] * inverse[w.length]);
}

// points (length, n_paths, d); table (levels, n_blocks, n_paths, n_words); starts, ends (n_queries); reversed
// (n_words): the place of every word read backwards; out: rows of `scalar_term` and n_words numbers, `out_query` and
// `out_path` numbers apart. A block of threads takes query `first_item` + its number, paths fastest; its memory is 1 +
// degree numbers, 2 * block increments and two signatures, shared, or else a row of `scratch`.
template <typename T, int D, typename I, int SHARED>
__global__ void __launch_bounds__(256, 1) interval_sig(const T* __restrict__ points, const T* __restrict__ table,
                                                       const long long* __restrict__ starts,
                                                       const long long* __restrict__ ends,
                                                       const long long* __restrict__ reversed, T* __restrict__ out,
                                                       T* __restrict__ scratch, long long first_item, long long n_paths,
                                                       long long dimension, long long degree, long long n_words,
                                                       long long block, long long n_blocks, long long out_query,
                                                       long long out_path, long long scalar_term) {
    const Divisor<D, I> by_d((I)dimension);
    const int d = (int)by_d.d;
    const long long item = first_item + blockIdx.x, query = quotient(item, n_paths), path = item - query * n_paths;
    const long long start = starts[query], end = ends[query];
    const Interval interval(smaller(start, end), larger(start, end), block);
    T* const inverse = SHARED ? dyn_smem<T>() : scratch + blockIdx.x * (1 + degree + 2 * block * d + 2 * n_words);
    T* const increments = inverse + 1 + degree;
    T* before = increments + 2 * block * d;
    T* after = before + n_words;
    for (int k = threadIdx.x; k <= degree; k += blockDim.x) inverse[k] = k > 0 ? (T)1 / (T)k : (T)0;
    for (long long at = threadIdx.x; at < (interval.n_head + interval.n_tail) * d; at += blockDim.x) {
        const long long step = at / d;
        const long long point =
            step < interval.n_head ? interval.first - interval.n_head + step : interval.last + step - interval.n_head;
        const T* x = points + (point * n_paths + path) * d + (at - step * d);
        increments[at] = x[n_paths * d] - x[0];
    }
    if (interval.left > interval.right) {
        for (long long word = threadIdx.x; word < n_words; word += blockDim.x) before[word] = 0;
    } else {
        const long long differ = interval.left ^ interval.right;
        const int level = differ ? 31 - __clz((int)differ) : 0;
        const T* left = table + ((level * n_blocks + interval.left) * n_paths + path) * n_words;
        const T* right = table + ((level * n_blocks + interval.right) * n_paths + path) * n_words;
        for (long long word = threadIdx.x; word < n_words; word += blockDim.x) {
            before[word] = differ ? product_at<T, D, I>(left, right, (I)word, by_d) : left[word];
        }
    }
    __syncthreads();
    for (int step = 0; step < interval.n_head + interval.n_tail; ++step) {
        // Points in front from the last to the first.
        const bool in_front = step < interval.n_head;
        const T* x = increments + (in_front ? interval.n_head - 1 - step : step) * d;
        for (long long word = threadIdx.x; word < n_words; word += blockDim.x) {
            const Word<I> w = word_at<I>((I)word, (I)d);
            after[word] = in_front ? step_at<T, D, I, true>(x, inverse, before, w, d)
                                   : step_at<T, D, I, false>(x, inverse, before, w, d);
        }
        __syncthreads();
        T* const other = before;
        before = after;
        after = other;
    }
    // Words of odd length change their sign with the direction.
    T* result = out + query * out_query + path * out_path;
    if (scalar_term && threadIdx.x == 0) result[0] = 1;
    for (long long word = threadIdx.x; word < n_words; word += blockDim.x) {
        T value = before[start > end ? reversed[word] : word];
        if (start > end && word_at<I>((I)word, (I)d).length % 2) value = -value;
        result[scalar_term + word] = value;
    }
}
