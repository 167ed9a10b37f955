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

// A virtual path, in numbers from paths.points on: where its path starts and, without lead-lag, its first point; its
// first increment, and how many it has, 0 if it is not there.
template <typename T>
struct alignas(16) Chunk {
    long long path, point, start;
    int length;

    Chunk() = default;
    __device__ __forceinline__ Chunk(const Paths<T>& paths, long long v, bool exists) {
        const long long b = exists ? quotient(v, paths.n_chunks) : 0;
        start = exists ? (v - b * paths.n_chunks) * paths.chunk : 0;
        path = b * paths.path;
        point = path + start * paths.point;
        length = exists ? (int)smaller(paths.chunk, paths.n_rows - start) : 0;
    }
};

// N numbers that are loaded together.
template <typename T, int N>
struct alignas(N * sizeof(T)) Pack {
    T v[N];
};

// `columns` numbers of each of `n_places` rows of shared memory, which lie `stride` apart: differences of numbers
// `step` apart, N of them together. locate(place, column, at, to, constant) says whether there is one, of points[at],
// or else which constant it is; it may change where it goes, `to`. Each of `n_threads` threads takes every
// n_threads-th, finds its place without dividing again, and has AT_ONCE loads under way before it waits for the first:
// the latency of memory is what this would take otherwise. So no load depends on a condition: where there is none it is
// of the first point, which is always there.
template <typename T, int N, int AT_ONCE, typename Locate>
__device__ __forceinline__ void stage_differences(T* x, int n_places, int columns, int stride, const T* points,
                                                  long long step, int rank, int n_threads, Locate locate) {
    using Numbers = Pack<T, N>;
    int place = rank * N / columns, column = rank * N - place * columns;
    const int place_step = n_threads * N / columns, column_step = n_threads * N - place_step * columns;
    while (place < n_places) {
        Numbers later[AT_ONCE], earlier[AT_ONCE];
        T constant[AT_ONCE];
        bool moves[AT_ONCE];
        int to[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            long long at = 0;
            constant[i] = 0;
            to[i] = column;
            moves[i] = locate(smaller(place, n_places - 1), column, at, to[i], constant[i]);
            const T* from = points + (moves[i] ? at : 0ll);
            later[i] = *reinterpret_cast<const Numbers*>(from + step);
            earlier[i] = *reinterpret_cast<const Numbers*>(from);
            to[i] = place < n_places ? place * stride + to[i] : -1;
            place += place_step;
            column += column_step;
            if (column >= columns) {
                column -= columns;
                place++;
            }
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
#pragma unroll
            for (int n = 0; n < N; n++)
                if (to[i] >= 0) x[to[i] + n] = moves[i] ? later[i].v[n] - earlier[i].v[n] : constant[i];
    }
}

// Increments first..first + n - 1 of the virtual paths chunks[0..n_places - 1] to x, each `width` numbers wide, those
// of a path `stride` numbers from those of the one before; zeros before and behind a chunk and in channels d..width
// - 1. The `n_threads` threads share the work. With `channels` only these `width` channels. Each has
// 16 / SHARE loads of one float under way, and as many registers for them: fewer where a thread has many others.
template <int SHARE = 1, typename T, typename Chunks>
__device__ __forceinline__ void load_increments(const Paths<T>& paths, const Chunks& chunks, int n_places, int first,
                                                int n, int width, T* x, int stride, int rank, int n_threads,
                                                const int* channels = nullptr) {
    constexpr int N = 16 / sizeof(T), AT_ONCE = 2 * N / SHARE;
    const T* points = paths.points;
    const long long point = paths.point, number = (long long)points / (long long)sizeof(T);
    const int by_point = (int)point, by_channel = (int)paths.channel;
    if (channels || paths.lead_lag || by_point != point || by_channel != paths.channel) {
        const Divisor<0, int> by_width(width);
        stage_differences<T, 1, AT_ONCE / 2>(
            x, n_places, n * width, stride, points, point, rank, n_threads,
            [&](int place, int column, long long& at, int&, T& constant) {
                const int k = by_width.of(column), c = column - k * width, row = first + k;
                const int channel = channels ? channels[c] : c;
                if (row < 0 || row >= chunks[place].length || channel >= paths.d) return false;
                const bool moves = is_difference(paths, chunks[place].start + row, channel, at, constant);
                at += chunks[place].path;
                return moves;
            });
        return;
    }
    if (paths.channel == 1 && point == width && width == paths.d && (width | number | paths.path) % N == 0) {
        // Points without gaps: number i of the increments is the difference of numbers i + width and i.
        const int start = first * width, before = larger(-start, 0);
        stage_differences<T, N, AT_ONCE / 2>(x, n_places, n * width, stride, points, point, rank, n_threads,
                                             [&](int place, int column, long long& at, int&, T&) {
                                                 at = chunks[place].point + (start + column);
                                                 return (column >= before) &
                                                        (column < smaller(chunks[place].length - first, n) * width);
                                             });
        return;
    }
    // Time apart: it is no difference, and takes longer.
    const int time = paths.time_aug ? paths.d - 1 : width, others = width - paths.time_aug;
    const Divisor<0, int> by_others(others);
    stage_differences<T, 1, AT_ONCE>(x, n_places, n * others, stride, points, point, rank, n_threads,
                                     [&](int place, int column, long long& at, int& to, T&) {
                                         const int k = by_others.of(column), c = column - k * others, row = first + k;
                                         at = chunks[place].point + (long long)row * by_point +
                                              (long long)c * by_channel;
                                         to = k * width + c + (c >= time);
                                         return (row >= 0) & (row < chunks[place].length) & (c < paths.dimension);
                                     });
    if (!paths.time_aug) return;
    const Divisor<0, int> by_n(n);
    for (int i = rank; i < n_places * n; i += n_threads) {
        const int place = by_n.of(i), k = i - place * n, row = first + k;
        const bool there = row >= 0 && row < chunks[place].length;
        x[place * stride + k * width + time] = there ? time_increment(paths, chunks[place].start + row) : T(0);
    }
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
    load_increments<2>(paths, One{Chunk<T>(paths, v, exists)}, 1, (int)first - margin, n, width, x, n * width, rank,
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
