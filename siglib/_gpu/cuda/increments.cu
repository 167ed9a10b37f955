// The increments of a path as an array, where kernels cannot load them themselves; and the adjoint of loading: from
// gradients of increments to those of points. See increments.cuh. One thread for each number of the result.
#include "increments.cuh"

// out (n_paths * n_chunks, padded, n_padded): the increments of all chunks, from row `margin` on; 0 before them and
// beyond the last row and letter.
template <typename T>
__global__ void __launch_bounds__(256) path_increments(const Paths<T> paths, T* __restrict__ out, long long size,
                                                       long long padded, long long n_padded, long long margin) {
    const long long index = thread_number();
    if (index >= size) return;
    const int letter = (int)(index % n_padded);
    const long long k = index / n_padded % padded - margin, chunk_number = index / n_padded / padded;
    const long long row = chunk_number % paths.n_chunks * paths.chunk + k;
    const T* points = paths.points + chunk_number / paths.n_chunks * paths.path;
    const bool exists = k >= 0 && k < paths.chunk && row < paths.n_rows && letter < paths.d;
    out[index] = exists ? increment_at(paths, points, row, letter) : (T)0;
}

// gx (n_paths * n_chunks, n_sums, margin + chunk + margin, d): gradients of increments, in sums to be added. out
// (n_paths, length, n_channels): point k collects the gradient of the increment that ends there, less that of the one
// that starts there.
//
// Between two chunks one is from either, and errors grow along each: they would not cancel, as they do elsewhere. An
// increment of zero between them has one gradient, and with a margin of 1 both chunks have it, each with the error that
// it has there. So the difference is that of each to its own. With lead-lag chunks of an even
// number of increments end at points.
template <typename T>
__global__ void __launch_bounds__(256) increments_backprop(const T* __restrict__ gx, T* __restrict__ out,
                                                           long long size, long long length, long long n_channels,
                                                           long long d, long long n_sums, long long n_chunks,
                                                           long long chunk, long long margin, long long lead_lag) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long i = index % n_channels, k = index / n_channels % length, b = index / n_channels / length;
    const long long rows = chunk + 2 * margin;
    // Of row `place` of a chunk, with the margin.
    const auto gradient_at = [&](long long chunk_number, long long place, long long letter) {
        T total = 0;
        const T* source = gx + ((b * n_chunks + chunk_number) * n_sums * rows + place) * d + letter;
        for (long long i_sum = 0; i_sum < n_sums; ++i_sum) total += source[i_sum * rows * d];
        return total;
    };
    const auto row_gradient = [&](long long row, long long letter) {
        return gradient_at(row / chunk, row % chunk + margin, letter);
    };
    const auto step_gradient = [&](long long step) {
        return lead_lag ? row_gradient(2 * step, n_channels + i) + row_gradient(2 * step + 1, i)
                        : row_gradient(step, i);
    };
    const auto gradient_of_zero = [&](long long chunk_number, long long place) {
        const T total = gradient_at(chunk_number, place, i);
        return lead_lag ? gradient_at(chunk_number, place, n_channels + i) + total : total;
    };
    T before = 0, behind = 0;
    if (k > 0) before = step_gradient(k - 1);
    if (k + 1 < length) behind = step_gradient(k);
    const long long row = lead_lag ? 2 * k : k;
    if (margin && k > 0 && k + 1 < length && row % chunk == 0) {
        before -= gradient_of_zero(row / chunk - 1, chunk + 1);
        behind -= gradient_of_zero(row / chunk, 0);
    }
    out[index] = before - behind;
}

// The same if all increments of a path have one gradient, g (n_paths, stride): all but the first and last point cancel.
template <typename T>
__global__ void __launch_bounds__(256) equal_increments_backprop(const T* __restrict__ g, T* __restrict__ out,
                                                                 long long size, long long length, long long n_channels,
                                                                 long long stride, long long lead_lag) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long i = index % n_channels, k = index / n_channels % length, b = index / n_channels / length;
    T total = g[b * stride + i];
    if (lead_lag) total += g[b * stride + n_channels + i];
    out[index] = k == 0 ? -total : k == length - 1 ? total : (T)0;
}

// One channel: the signature is x^n / n!, x being the sum of the increments. g (n_paths): the gradient of each of them.
template <typename T>
__global__ void __launch_bounds__(256) powers_backprop(const T* __restrict__ sig, const T* __restrict__ derivs,
                                                       T* __restrict__ g, long long n_paths, long long degree,
                                                       long long stride) {
    const long long b = thread_number();
    if (b >= n_paths) return;
    const T x = sig[b * stride];
    T power = 1, total = 0;
    for (long long n = 1; n <= degree; ++n) {
        total += power * derivs[b * stride + n - 1];
        power *= x / (T)n;
    }
    g[b] = total;
}
