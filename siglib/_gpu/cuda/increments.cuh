// The increment loader: the one place where a path becomes increments; its adjoint, where gradients of increments become
// gradients of points, is in increments.cu.
//
// The increments of the transformed path are its rows: with lead-lag, row 2k moves channels d.. and row 2k + 1 channels
// ..d from point k to point k + 1. Time is the last letter. Paths come with any strides, counted in numbers.
#pragma once

#include "common.cuh"

template <typename T>
struct Increments {
    const T* path;
    long long path_stride, point, channel;
    long long n_rows;  // increments of the transformed path
    int n_channels;    // channels of the path as it came
    bool time_aug, lead_lag;
    T time_step;

    __device__ __forceinline__ int n_letters() const { return (lead_lag ? 2 * n_channels : n_channels) + time_aug; }

    // What `letter` moves in `row` of path number b; 0 for rows and letters beyond the last.
    __device__ __forceinline__ T at(long long b, long long row, int letter) const {
        if (row >= n_rows || letter >= n_letters()) return 0;
        if (time_aug && letter == n_letters() - 1) return time_step;
        long long k = row;
        if (lead_lag) {
            k = row / 2;
            const bool moves = (letter < n_channels) == (row % 2 == 1);
            if (!moves) return 0;
            if (letter >= n_channels) letter -= n_channels;
        }
        const T* x = path + b * path_stride + k * point + letter * channel;
        return x[point] - x[0];
    }
};
