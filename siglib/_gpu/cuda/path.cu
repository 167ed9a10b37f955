// Path transforms: lead-lag and time augmentation, and their adjoint.
//
// One thread for each number of the result: a gather, so every write is coalesced, and reads nearly so. Row r of a
// lead-lag path is (x[r / 2], x[(r + 1) / 2]), the lag channels first; time is the last channel.
//
// Paths come with any strides, counted in numbers.
#include "common.cuh"

// Time in this row, to the last bit that of the CPU kernel; the row's number times the step is not fused with anything.
__device__ __forceinline__ double time_at(long long row, double step, double end_time, long long n_steps) {
    if (row == n_steps) return row > 0 ? end_time : 0.0;
    if (step == 0) return row / (double)n_steps * end_time + 0.0;
    return row * step + 0.0;
}

// path (batch, length, d) of strides `path_stride`, `point`, `channel`; out (batch, rows, width), contiguous.
template <typename T>
__global__ void __launch_bounds__(256) transform_path(const T* __restrict__ path, T* __restrict__ out, long long size,
                                                      long long rows, long long d, long long path_stride,
                                                      long long point, long long channel, long long time_aug,
                                                      long long lead_lag, double end_time) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long width = (lead_lag ? 2 * d : d) + time_aug;
    const long long row_number = quotient(index, width), j = index - row_number * width;
    const long long b = quotient(row_number, rows), row = row_number - b * rows;
    if (time_aug && j == width - 1) {
        const long long n_steps = rows - 1;
        out[index] = (T)time_at(row, n_steps > 0 ? end_time / n_steps : 0.0, end_time, n_steps);
        return;
    }
    const long long k = lead_lag ? (j < d ? row / 2 : (row + 1) / 2) : row;
    out[index] = path[b * path_stride + k * point + (j < d ? j : j - d) * channel];
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
