// The increment loader: the one place where a path becomes increments, in shared memory. Time augmentation, lead-lag,
// strides and the cutting into time chunks happen here; no kernel behind it knows of them.
//
// The increments of the transformed path are its rows: with lead-lag, row 2k moves the lead block and row 2k + 1 the
// lag block from point k to point k + 1. A virtual path is one time chunk of one path.
#pragma once
#include "common.cuh"

// A batch of paths and what becomes of them. Strides count numbers. It travels to kernels by value, as it is: _PATHS in
// siglib/_gpu/increments.py has the same members.
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

// Channel c of increment `row` of the path that starts at `points`.
template <typename T>
__device__ __forceinline__ T increment_at(const Paths<T>& paths, const T* points, long long row, int c) {
    if (paths.time_aug && c == paths.d - 1) return time_increment(paths, row);
    if (paths.lead_lag) {
        const bool lead = c >= paths.dimension;
        if (lead == bool(row & 1)) return T(0);
        row >>= 1;
        c -= lead ? paths.dimension : 0;
    }
    const T* x = points + row * paths.point + c * paths.channel;
    return x[paths.point] - x[0];
}

// Increments first..first + n - 1 of virtual path v to x, each `width` numbers wide; zeros behind the chunk's end, in
// channels d..width - 1, and everywhere if `exists` is false. The `n_team` threads of a team share the work: thread
// `rank` takes every n_team-th number, and finds its place without dividing again. With `channels` only these `width`
// channels. With a margin they are counted from that many zeros before the first on.
template <typename T>
__device__ __forceinline__ void load_increments(const Paths<T>& paths, long long v, bool exists, long long first, int n,
                                                int width, T* x, int rank, int n_team, const int* channels = nullptr,
                                                int margin = 0) {
    first -= margin;
    const long long b = exists ? quotient(v, paths.n_chunks) : 0,
                    start = exists ? (v - b * paths.n_chunks) * paths.chunk : 0;
    const long long rest = smaller(paths.chunk, paths.n_rows - start) - first;
    const T* points = paths.points + b * paths.path;
    const int n_zeros = margin > 0 && first < 0 ? (int)-first : 0;
    const int n_there = exists ? (int)smaller((long long)n, larger(rest, 0LL)) : 0;
    if (!channels && !paths.time_aug && !paths.lead_lag && paths.channel == 1 && paths.point == width) {
        // Points without gaps: number i of the increments is the difference of numbers i + width and i.
        const T* from = points + (start + first) * width;
        for (int i = rank; i < n * width; i += n_team)
            x[i] = i >= n_zeros * width && i < n_there * width ? from[i + width] - from[i] : T(0);
        return;
    }
    int k = rank / width, c = rank - k * width;
    const int k_step = n_team / width, c_step = n_team - k_step * width;
    for (int i = rank; i < n * width; i += n_team) {
        const int channel = channels ? channels[c] : c;
        x[i] = k >= n_zeros && k < n_there && channel < paths.d
                   ? increment_at(paths, points, start + first + k, channel)
                   : T(0);
        k += k_step;
        c += c_step;
        if (c >= width) {
            c -= width;
            k++;
        }
    }
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
