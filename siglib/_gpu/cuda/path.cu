// Path transforms: lead-lag and time augmentation, and their adjoint.
//
// One thread for each number of the result: a gather, so every write is coalesced, and reads nearly so. Row r of a
// lead-lag path is (x[r / 2], x[(r + 1) / 2]), the lag channels first; time is the last channel.
//
// Paths come with any strides, counted in numbers.
#include "increments.cuh"

// Time in this row, to the last bit that of the loop of the CPU; the row's number times the step is not fused with
// anything.
__device__ __forceinline__ double time_at(long long row, double step, double end_time, long long n_steps) {
    if (row == n_steps) return row > 0 ? end_time : 0.0;
    if (step == 0) return row / (double)n_steps * end_time + 0.0;
    return row * step + 0.0;
}

// paths: see increments.cuh; out (batch, n_rows + 1, paths.d), contiguous.
template <typename T>
__global__ void __launch_bounds__(256) transform_path(const Paths<T> paths, T* __restrict__ out, long long size,
                                                      double end_time) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long row_number = quotient(index, paths.d), j = index - row_number * paths.d;
    const long long b = quotient(row_number, paths.n_rows + 1), row = row_number - b * (paths.n_rows + 1);
    if (paths.time_aug && j == paths.d - 1) {
        out[index] = (T)time_at(row, paths.time_step, end_time, paths.n_rows);
        return;
    }
    const long long d = paths.dimension, k = paths.lead_lag ? (j < d ? row / 2 : (row + 1) / 2) : row;
    out[index] = paths.points[b * paths.path + k * paths.point + (j < d ? j : j - d) * paths.channel];
}

// Adjoint: derivs (batch, rows, width) of strides `derivs_stride`, `row`, `channel`; out (batch, length, d),
// contiguous.
template <typename T>
__global__ void __launch_bounds__(256) transform_path_backprop(const T* __restrict__ derivs, T* __restrict__ out,
                                                               long long size, long long length, long long d,
                                                               long long derivs_stride, long long row,
                                                               long long channel, long long lead_lag) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long point = quotient(index, d), i = index - point * d;
    const long long b = quotient(point, length), k = point - b * length;
    const T* g = derivs + b * derivs_stride + (lead_lag ? 2 * k : k) * row + i * channel;
    T total = g[0];
    if (lead_lag) {
        total += g[d * channel];
        if (k > 0) total += g[d * channel - row];
        if (k < length - 1) total += g[row];
    }
    out[index] = total;
}

// out (batch, 2, d): paths from 0 to the displacements (batch, d).
template <typename S, typename T>
__global__ void __launch_bounds__(256) paths_of_two_points(const S* __restrict__ displacement, T* __restrict__ out,
                                                           long long size, long long d) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long row = quotient(index, d), b = row / 2;
    out[index] = row % 2 ? (T)displacement[b * d + index - row * d] : (T)0;
}
