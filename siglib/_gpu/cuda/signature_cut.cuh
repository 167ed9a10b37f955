// How the gradient of a signature is cut into the items of a block: where each stands, what it loads, and the sums over
// items of what they have as gradient of an increment.
//
// A block has `THREADS` threads. A row is a signature that increments are taken off from; a block has several of them,
// one, or a part of one. signature_item.cuh says what an item does.
//
// Where increments come from the right, S (x) exp(x), words are read backwards: what is the end of a word elsewhere is
// then its beginning. Items count their suffixes as neighbours in memory, so digits of a suffix are in reverse, too.
#pragma once
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

// The letters of an item's suffix, the outermost one first.
template <int S>
__device__ __forceinline__ void suffix_letters(int* letters, const Cut& cut, const Place& at, bool backwards) {
    int rest = at.w;
#pragma unroll
    for (int n = 0; n < S; ++n) {
        letters[backwards ? S - 1 - n : n] = rest % cut.d;
        rest /= cut.d;
    }
}

// Where the word of the first k letters of a suffix is in its level; -1 if other items have it as well and this is not
// the first one of them.
template <int S>
__device__ __forceinline__ int ending_at(int k, const Cut& cut, const Place& at, bool backwards, bool first) {
    int size = 1;
    for (int n = 0; n < (backwards ? S - k : k); ++n) size *= cut.d;
    const int ending = backwards ? at.w / size : at.w % size;
    const bool is_first = at.root_tile == 0 && at.top_tile == 0 && at.w == ending * (backwards ? size : 1);
    return first && !is_first ? -1 : ending;
}

// The same as `visit_tree`, where place(level, word, reversed) is the place of a word in a signature.
template <typename T, int D, int S, int P, int T1, int T2, typename Find, typename Visit>
__device__ __forceinline__ void visit_places(Item<T, D, S, P, T1, T2>& item, const Place& at, int d, bool live,
                                             Find place, Visit visit) {
    item.template visit<0>(0, 0, 0, 1, at.root_tile * T1, at.top_tile * T2, d, live,
                           [&](int r, int word, int reversed, bool exists, bool cotangent, T old) -> T {
                               return visit(r, place(r, word, reversed), exists, cotangent, old);
                           });
}

// visit(level, place, exists, cotangent, old) for every number of the tree gives the new one; place: in a signature.
template <typename T, int D, int S, int P, int T1, int T2, typename Visit>
__device__ __forceinline__ void visit_tree(Item<T, D, S, P, T1, T2>& item, const Cut& cut, const Place& at, bool live,
                                           bool backwards, Visit visit) {
    const int d = D > 0 ? D : cut.d;
    int starts[P], sizes[P], start = 0, size = 1;
#pragma unroll
    for (int n = 1; n <= S; ++n) {
        size *= d;
        start += size;
    }
    int tree_size = 1;
#pragma unroll
    for (int r = 0; r < P; ++r) {
        starts[r] = start;
        size *= d;
        start += size;
        tree_size *= d;
        sizes[r] = tree_size;
    }
    const auto forward = [&](int r, int word, int reversed) {
        return starts[r - 1] + ((long long)word * (D > 0 && S > 0 ? power<D>(S) : cut.n_suffixes) + at.w);
    };
    const auto backward = [&](int r, int word, int reversed) {
        return starts[r - 1] + ((long long)at.w * sizes[r - 1] + reversed);
    };
    if constexpr (D > 0) {
        // With a suffix each number is a known distance from one of few places: two loops without arithmetic are
        // shorter than one with it. Without one all distances would be known, and everything loaded at once.
        if (backwards)
            visit_places(item, at, d, live, backward, visit);
        else
            visit_places(item, at, d, live, forward, visit);
    } else {
        const auto either = [&](int r, int word, int reversed) {
            return backwards ? backward(r, word, reversed) : forward(r, word, reversed);
        };
        visit_places(item, at, d, live, either, visit);
    }
}

template <typename T, int D, int S, int P, int T1, int T2>
__device__ __forceinline__ void clear_cotangent(Item<T, D, S, P, T1, T2>& item) {
#pragma unroll
    for (int i = 0; i < Item<T, D, S, P, T1, T2>::before(P + 1); ++i) item.g[i] = 0;
#pragma unroll
    for (int k = 0; k < S; ++k) item.g_a[k] = 0;
}

// The item's part of the signature s, zeros if it is not live.
template <typename T, int D, int S, int P, int T1, int T2>
__device__ __forceinline__ void load_coefficients(Item<T, D, S, P, T1, T2>& item, const T* s, const Cut& cut,
                                                  const Place& at, bool live, bool backwards) {
    int start = 0, size = 1;
#pragma unroll
    for (int k = 1; k <= S; ++k) {
        item.a[k - 1] = live ? s[start + ending_at<S>(k, cut, at, backwards, false)] : (T)0;
        size *= cut.d;
        start += size;
    }
    visit_tree(item, cut, at, live, backwards, [&](int, long long place, bool exists, bool cotangent, T old) -> T {
        return cotangent ? old : exists ? s[place] : (T)0;
    });
}

// Adds the item's part of the cotangent g, if it is live. What several items have is for one of them only.
template <typename T, int D, int S, int P, int T1, int T2>
__device__ __forceinline__ void add_cotangent(Item<T, D, S, P, T1, T2>& item, const T* g, const Cut& cut,
                                              const Place& at, bool live, bool backwards) {
    int start = 0, size = 1;
#pragma unroll
    for (int k = 1; k <= S; ++k) {
        const int ending = ending_at<S>(k, cut, at, backwards, true);
        if (live && ending >= 0) item.g_a[k - 1] += g[start + ending];
        size *= cut.d;
        start += size;
    }
    visit_tree(item, cut, at, live, backwards, [&](int r, long long place, bool exists, bool cotangent, T old) -> T {
        return cotangent && exists && (r == P || at.top_tile == 0) ? old + g[place] : old;
    });
}

// Takes the increment x off, and writes its gradient, as far as this item is concerned, to values THREADS + 1 apart: of
// each letter if they are known, else of the root's letters, the top's, and the suffix's.
template <typename T, int D, int S, int P, int T1, int T2>
__device__ __forceinline__ void step_item(Item<T, D, S, P, T1, T2>& item, const int* letters, const T* x,
                                          int first_root, int first_top, bool backwards, T* values) {
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
        for (int i = 0; i < S; ++i) values[(T1 + T2 + (backwards ? S - 1 - i : i)) * (THREADS + 1)] = item.g_suffix[i];
    }
}

// put(place, m, letter, total) with the sum over the items first..last-1 of each of the block's rows, for MG
// increments; wanted(place, m) says for which. All threads of the block call this.
template <typename T, int D, int SUFFIXES, int T1, int T2, int MG, typename Wanted, typename Put>
__device__ __forceinline__ void sum_items(const Cut& cut, const T* red, int per_row, int per_block, int first, int last,
                                          Wanted wanted, Put put) {
    constexpr int NV = D > 0 ? D : T1 + T2 + SUFFIXES;
    const int d = D > 0 ? D : cut.d, columns = MG * d, tid = threadIdx.x;
    int lanes = 1;
    while (lanes < 32 && 2 * lanes <= per_row && 2 * lanes * per_block * columns <= THREADS) lanes *= 2;
    const int lane = tid % lanes;
    // Neighbours write neighbours.
    const Sharing sharing(columns, tid / lanes, THREADS / lanes);
    // All threads make the same number of rounds, for the shuffles.
    for (int base = 0; base < columns; base += sharing.column_step) {
        const int c = base + sharing.column, m = c / d, letter = c % d;
        const bool exists = c < columns && sharing.place < sharing.place_step;
        const LetterSum<T, SUFFIXES, T1, T2> sum(cut, letter, first, last);
        const T* column = red + (m * NV + (D > 0 ? letter : 0)) * (THREADS + 1);
        for (int row_base = 0; row_base < per_block; row_base += sharing.place_step) {
            const int place = row_base + sharing.place;
            const bool there = exists && place < per_block && wanted(place, m);
            T total = 0;
            if (there) {
                if constexpr (D > 0) {
#pragma unroll 4
                    for (int i = lane; i < last - first; i += lanes) total += column[place * per_row + i];
                } else {
                    total = sum(column + place * per_row, cut, lane, lanes);
                }
            }
            for (int mask = lanes / 2; mask > 0; mask /= 2) total += __shfl_xor_sync(0xffffffffu, total, mask);
            if (there && lane == 0) put(place, m, letter, total);
        }
    }
}
