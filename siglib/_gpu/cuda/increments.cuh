// The increment loader: the one place where a path becomes increments, in shared memory. Time augmentation, lead-lag,
// strides and the cutting into time chunks happen here; no CUDA function behind it knows of them.
//
// The increments of the transformed path are its rows: with lead-lag, row 2k moves the lead block and row 2k + 1 the
// lag block from point k to point k + 1. A virtual path is one time chunk of one path.
#pragma once
#include "common.cuh"

// A batch of paths and what becomes of them. Strides count numbers. It travels to functions by value, as it is: _PATHS
// in siglib/_gpu/increments.py has the same members.
template <typename T>
struct Paths {
    const T* points;
    long long path, point, channel;  // strides
    long long n_rows;                // increments of the transformed path
    long long n_chunks, chunk;       // time chunks of a path; increments in each, fewer in the last one
    int dimension;                   // channels of the path
    int d;                           // channels of the transformed path
    bool time_aug, lead_lag;
    double time_step, time_grid;  // of the time channel; what, added and taken off again, rounds time
};

// Increment `row` of time. In float32 times are rounded to multiples of one small number: their differences add up to
// the end without any rounding, in every order.
template <typename T>
__device__ __forceinline__ T time_increment(const Paths<T>& paths, long long row) {
    if constexpr (sizeof(T) == 8) return paths.time_step;
    const double step = paths.time_step, grid = paths.time_grid;
    return (T)((((double)(row + 1) * step + grid) - grid) - (((double)row * step + grid) - grid));
}

// Whether channel c of increment `row` is the difference of two points, of which the earlier one's number is `at`
// numbers from the start of the path; else it is `constant`: of time, or one of the zeros of lead-lag.
template <typename T>
__device__ __forceinline__ bool is_difference(const Paths<T>& paths, long long row, int c, long long& at, T& constant) {
    constant = 0;
    if (paths.time_aug && c == paths.d - 1) {
        constant = time_increment(paths, row);
        return false;
    }
    if (paths.lead_lag) {
        const bool lead = c >= paths.dimension;
        if (lead == bool(row & 1)) return false;
        row >>= 1;
        c -= lead ? paths.dimension : 0;
    }
    at = row * paths.point + c * paths.channel;
    return true;
}

// Channel c of increment `row` of the path that starts at `points`.
template <typename T>
__device__ __forceinline__ T increment_at(const Paths<T>& paths, const T* points, long long row, int c) {
    long long at;
    T constant;
    return is_difference(paths, row, c, at, constant) ? points[at + paths.point] - points[at] : constant;
}

// A virtual path: without lead-lag, its first point; how many increments it has, 0 if it is not there; the first of
// them; and where its path starts, in numbers from paths.points on. What is asked for most is one load.
template <typename T>
struct alignas(16) Chunk {
    const T* point;
    int length;
    long long start, path;

    Chunk() = default;
    __device__ __forceinline__ Chunk(const Paths<T>& paths, long long v, bool exists) {
        const long long b = exists ? quotient(v, paths.n_chunks) : 0;
        start = exists ? (v - b * paths.n_chunks) * paths.chunk : 0;
        path = b * paths.path;
        point = paths.points + (path + start * paths.point);
        length = exists ? (int)smaller(paths.chunk, paths.n_rows - start) : 0;
    }

    // The increments from number `from` on of that virtual path, `most` of them, as far as there are any.
    __device__ __forceinline__ Chunk(const Paths<T>& paths, long long v, bool exists, long long from, long long most)
        : Chunk(paths, v, exists) {
        const bool some = from < length;
        length = some ? (int)smaller(most, length - from) : 0;
        start += some ? from : 0;
        point += some ? from * paths.point : 0;
    }
};

// Asks for the points of increments first..first + ROWS - 1 of a virtual path without lead-lag: they will be in the
// cache when they are loaded. Threads number `rank` of `n_threads` share the work. Rows are known to be near each
// other.
template <int D, int ROWS, typename T>
__device__ __forceinline__ void expect_increments(const Paths<T>& paths, const Chunk<T>& chunk, int first, int rank = 0,
                                                  int n_threads = 1) {
    constexpr int LINE = 32, EVERY = D * sizeof(T) < LINE ? LINE / (D * (int)sizeof(T)) : 1;
    const T* point = chunk.point + (first + rank * EVERY) * paths.point;
#pragma unroll
    for (int k = 0; k < ROWS; k += EVERY * n_threads) {
        if (first + k + rank * EVERY < chunk.length) prefetch(point);
        point += EVERY * n_threads * paths.point;
    }
}

// How many numbers of points without gaps are loaded and stored together, for WIDTH numbers of an increment, or 0.
template <typename T, int WIDTH>
__device__ constexpr int packed() {
    return WIDTH % (16 / sizeof(T)) == 0 ? 16 / sizeof(T) : WIDTH % 2 == 0 ? 2 : 1;
}

// N numbers that are loaded together.
template <typename T, int N>
struct alignas(N * sizeof(T)) Pack {
    T v[N];
};

// `columns` numbers of each of `n_places` rows of shared memory, which lie `stride` apart: differences of numbers
// `step` apart. locate(place, column, at, constant) says whether there is one, of points[at], or else which constant it
// is. Each of `n_threads` threads takes every n_threads-th, finds its place without dividing again, and has AT_ONCE
// loads under way before it waits for the first: the latency of memory is what this would take otherwise. So no load
// depends on a condition, which would take registers as well: where there is none it is of a point that is there.
template <typename T, int AT_ONCE, typename Locate>
__device__ __forceinline__ void stage_located(T* x, int n_places, int columns, int stride, const T* points,
                                              long long step, int rank, int n_threads, Locate locate) {
    int place = rank / columns, column = rank - place * columns;
    const int place_step = n_threads / columns, column_step = n_threads - place_step * columns;
    while (place < n_places) {
        T later[AT_ONCE], earlier[AT_ONCE], constant[AT_ONCE];
        bool moves[AT_ONCE];
        int to[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            long long at = 0;
            constant[i] = 0;
            moves[i] = locate(smaller(place, n_places - 1), column, at, constant[i]);
            const T* from = points + (moves[i] ? at : 0ll);
            later[i] = from[step];
            earlier[i] = *from;
            to[i] = place < n_places ? place * stride + column : -1;
            place += place_step;
            column += column_step;
            if (column >= columns) {
                column -= columns;
                place++;
            }
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            if (to[i] >= 0) x[to[i]] = moves[i] ? later[i] - earlier[i] : constant[i];
    }
}

// The increments first..first + n - 1 of virtual paths without lead-lag, but for time: N channels together, which lie
// side by side at a multiple of N numbers. Points are `point` numbers apart. A thread has the same channels of all of
// its increments and, if n of them are a part of what the threads take at a time, the same increment of every so many
// paths: next to nothing is left to be computed for each. Places are known to 32 bits. AT_ONCE as above.
template <typename T, int N, int AT_ONCE, typename Chunks>
__device__ __forceinline__ void stage_points(const Paths<T>& paths, const Chunks& chunks, int n_places, int point,
                                             int first, int n, int width, T* x, int stride, int rank, int n_threads) {
    using Numbers = Pack<T, N>;
    const int packs = width / N, team = smaller(packs, n_threads), at_a_time = n_threads / team, mine = rank / team;
    const int by_place = at_a_time / n, by_row = at_a_time - by_place * n;
    const int rounds = (n_places * n + at_a_time * AT_ONCE - 1) / (at_a_time * AT_ONCE);
    // Where the compiler knows sizes, it need not ask what is never beyond them.
    const int last_row = by_row > 0 ? n - 1 : 0x7fffffff;
    const int last = rounds * at_a_time * AT_ONCE == n_places * n ? 0x7fffffff : n_places - 1;
    const int time = paths.time_aug ? paths.d - 1 : -1;
    if (mine >= at_a_time) return;
#pragma unroll 1
    for (int pack = rank - mine * team; pack < packs; pack += team) {
        const int c = pack * N, channel = c * (int)paths.channel;
        const int from_row = c < paths.dimension ? first : -n;
        T* const to = x + c;
        const int turns = c == time ? 0 : rounds;
        int place = mine / n, k = mine - place * n;
#pragma unroll 1
        for (int round = 0; round < turns; round++) {
            Numbers later[AT_ONCE], earlier[AT_ONCE];
            bool moves[AT_ONCE], there[AT_ONCE];
            int at[AT_ONCE];
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                const auto& chunk = chunks[smaller(place, last)];
                const int row = from_row + k;
                assume_global(chunk.point);
                moves[i] = (unsigned)row < (unsigned)chunk.length;
                const int number = moves[i] ? row * point + channel : 0;
                later[i] = *reinterpret_cast<const Numbers*>(chunk.point + (number + point));
                earlier[i] = *reinterpret_cast<const Numbers*>(chunk.point + number);
                there[i] = place <= last;
                at[i] = place * stride + k * width;
                place += by_place;
                k += by_row;
                if (k > last_row) {
                    k -= n;
                    place++;
                }
            }
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                Numbers difference;
#pragma unroll
                for (int j = 0; j < N; j++) difference.v[j] = moves[i] ? later[i].v[j] - earlier[i].v[j] : T(0);
                if (there[i]) *reinterpret_cast<Numbers*>(to + at[i]) = difference;
            }
        }
    }
}

// Increments first..first + n - 1 of the virtual paths chunks[0..n_places - 1] to x, each `width` numbers wide, those
// of a path `stride` numbers from those of the one before; zeros before and behind a chunk and in channels d..width
// - 1. The `n_threads` threads share the work. WIDTH is the width if it is known when the function is compiled. Each
// thread has UNDER_WAY times 4 bytes of points under way, and twice as many registers for them: fewer where it has many
// others. Points without gaps are loaded in packs, if x and its stride allow it: see `packed`.
//
// Without lead-lag, and where the points of a chunk are near each other: places in it are known to 32 bits.
template <int UNDER_WAY, int WIDTH, typename T, typename Chunks>
__device__ __forceinline__ void load_near_increments(const Paths<T>& paths, const Chunks& chunks, int n_places,
                                                     int first, int n, int width, T* x, int stride, int rank,
                                                     int n_threads) {
    constexpr int N = packed<T, WIDTH>(), AT_ONCE = 2 * (UNDER_WAY < 16 ? UNDER_WAY : 16) / sizeof(T);
    const long long number = (long long)paths.points / (long long)sizeof(T), to = (long long)x / (long long)sizeof(T);
    if (N > 1 && paths.channel == 1 && paths.point == width && width == paths.dimension &&
        (number | paths.path | to | width | stride) % N == 0) {
        stage_points<T, N, 4 * UNDER_WAY / (N * sizeof(T))>(paths, chunks, n_places, width, first, n, width, x, stride,
                                                            rank, n_threads);
        return;
    }
    stage_points<T, 1, AT_ONCE>(paths, chunks, n_places, (int)paths.point, first, n, width, x, stride, rank, n_threads);
    // Time apart: it is no difference, and takes longer.
    if (!paths.time_aug) return;
    const Divisor<0, int> by_n(n);
    for (int i = rank; i < n_places * n; i += n_threads) {
        const int place = by_n.of(i), k = i - place * n, row = first + k;
        const bool there = row >= 0 && row < chunks[place].length;
        x[place * stride + k * width + paths.d - 1] = there ? time_increment(paths, chunks[place].start + row) : T(0);
    }
}

// The same of any paths; with `channels` only these `width` channels.
template <int UNDER_WAY = 16, int WIDTH = 0, typename T, typename Chunks>
__device__ __forceinline__ void load_increments(const Paths<T>& paths, const Chunks& chunks, int n_places, int first,
                                                int n, int width, T* x, int stride, int rank, int n_threads,
                                                const int* channels = nullptr) {
    constexpr int AT_ONCE = (UNDER_WAY < 16 ? UNDER_WAY : 16) / sizeof(T);
    const long long by_point = larger(paths.point, -paths.point), by_channel = larger(paths.channel, -paths.channel);
    const bool far = (((paths.chunk + n + 1) * by_point + paths.d * by_channel) >> 31) > 0;
    if (!channels && !paths.lead_lag && !far) {
        load_near_increments<UNDER_WAY, WIDTH>(paths, chunks, n_places, first, n, width, x, stride, rank, n_threads);
        return;
    }
    const Divisor<0, int> by_width(width);
    stage_located<T, AT_ONCE>(x, n_places, n * width, stride, paths.points, paths.point, rank, n_threads,
                              [&](int place, int column, long long& at, T& constant) {
                                  const int k = by_width.of(column), c = column - k * width, row = first + k;
                                  const int channel = channels ? channels[c] : c;
                                  if (row < 0 || row >= chunks[place].length || channel >= paths.d) return false;
                                  const bool moves =
                                      is_difference(paths, chunks[place].start + row, channel, at, constant);
                                  at += chunks[place].path;
                                  return moves;
                              });
}

// The same of one virtual path, v, if it exists. With a margin rows are counted from that many zeros before the first.
template <typename T>
__device__ __forceinline__ void load_increments(const Paths<T>& paths, long long v, bool exists, long long first, int n,
                                                int width, T* x, int rank, int n_team, const int* channels = nullptr,
                                                int margin = 0) {
    struct One {
        Chunk<T> chunk;
        __device__ __forceinline__ const Chunk<T>& operator[](int) const { return chunk; }
    };
    load_increments<8>(paths, One{Chunk<T>(paths, v, exists)}, 1, (int)first - margin, n, width, x, n * width, rank,
                       n_team, channels);
}

// The N numbers at x, which lies at a multiple of N numbers, in as few loads as that allows.
template <typename T, int N>
__device__ __forceinline__ void load_letters(const T* x, T* letters) {
    if constexpr (sizeof(T) == 4 && N % 4 == 0) {
#pragma unroll
        for (int i = 0; i < N; i += 4) {
            const float4 four = *reinterpret_cast<const float4*>(x + i);
            letters[i] = four.x;
            letters[i + 1] = four.y;
            letters[i + 2] = four.z;
            letters[i + 3] = four.w;
        }
    } else if constexpr (sizeof(T) == 4 && N % 2 == 0) {
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            const float2 two = *reinterpret_cast<const float2*>(x + i);
            letters[i] = two.x;
            letters[i + 1] = two.y;
        }
    } else if constexpr (sizeof(T) == 8 && N % 2 == 0) {
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            const double2 two = *reinterpret_cast<const double2*>(x + i);
            letters[i] = two.x;
            letters[i + 1] = two.y;
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) letters[i] = x[i];
    }
}
