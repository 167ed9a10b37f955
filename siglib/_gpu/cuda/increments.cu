// The increments of a path as an array, where functions cannot load them themselves; and the adjoint of loading: from
// gradients of increments to those of points. See increments.cuh.
#include "increments.cuh"

// Points of a thread in `increments_backprop`.
constexpr int POINTS = 4;

// out (n_paths * n_chunks, padded, n_padded): the increments of all chunks, from row `margin` on; 0 before them and
// beyond the last row and letter.
template <typename T>
__global__ void __launch_bounds__(256) path_increments(const Paths<T> paths, T* __restrict__ out, long long size,
                                                       long long padded, long long n_padded, long long margin) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long place = quotient(index, n_padded), chunk_number = quotient(place, padded);
    const int letter = (int)(index - place * n_padded);
    const long long k = place - chunk_number * padded - margin, b = quotient(chunk_number, paths.n_chunks);
    const long long row = (chunk_number - b * paths.n_chunks) * paths.chunk + k;
    const T* points = paths.points + b * paths.path;
    const bool exists = k >= 0 && k < paths.chunk && row < paths.n_rows && letter < paths.d;
    out[index] = exists ? increment_at(paths, points, row, letter) : (T)0;
}

// gx (n_paths * n_chunks, n_sums, margin + chunk + margin, d): gradients of increments, in sums to be added. out
// (n_paths, length, n_channels): point k collects the gradient of the increment that ends there, less that of the one
// that starts there.
//
// Between two chunks one is from either, and errors grow along each: they would not cancel, as they do elsewhere. An
// increment of zero between them has one gradient, and with a margin of 1 both chunks have it, each with the error that
// it has there. So the difference is that of each to its own. With lead-lag chunks have an even number of increments,
// and end at points.
//
// A thread has one channel of POINTS points, so that what it divides to find them, and most of what it loads, serves
// several numbers. n_blocks: of a path. SUMS: n_sums if it is 1, else 0.
template <typename T, int SUMS>
__global__ void __launch_bounds__(256) increments_backprop(const T* __restrict__ gx, T* __restrict__ out,
                                                           long long n_blocks, long long length, long long n_channels,
                                                           long long d, long long n_sums, long long n_chunks,
                                                           long long chunk, long long margin, long long lead_lag) {
    const long long b = quotient(blockIdx.x, n_blocks), thread = (blockIdx.x - b * n_blocks) * 256 + threadIdx.x;
    const long long group = quotient(thread, n_channels), i = thread - group * n_channels, first = group * POINTS;
    if (first >= length) return;
    const long long rows = chunk + 2 * margin, sum_size = rows * d;
    T* result = out + (b * length + first) * n_channels + i;
    const auto total_at = [&](const T* source) {
        if constexpr (SUMS == 1) return source[0];
        T total = 0;
#pragma unroll 4
        for (long long i_sum = 0; i_sum < n_sums; ++i_sum) total += source[i_sum * sum_size];
        return total;
    };
    // Of the increment from one point to the next, which lead-lag makes two of; and of one of zero.
    const auto gradient_at = [&](const T* row) {
        return lead_lag ? total_at(row + n_channels) + total_at(row + d) : total_at(row);
    };
    const auto gradient_of_zero = [&](const T* row) {
        const T total = total_at(row);
        return lead_lag ? total_at(row + n_channels) + total : total;
    };
    // The increment from the point before to the first one is at `place` of a chunk; its gradients at `row`.
    const long long step = lead_lag ? 2 : 1;
    long long chunk_number = n_chunks > 1 ? quotient(step * first, chunk) : 0;
    long long place = step * (first - 1) - chunk_number * chunk;
    if (place < 0 && chunk_number > 0) {
        chunk_number--;
        place += chunk;
    }
    const T* row = gx + ((b * n_chunks + chunk_number) * n_sums * rows + place + margin) * d + i;
    const long long next = step * d, across = (n_sums * rows - chunk) * d;
    T before = 0;
#pragma unroll(SUMS == 1 ? POINTS + 1 : 1)
    for (int point = -1; point < POINTS; point++) {
        const long long k = first + point;
        if (k >= length) break;
        T behind = 0;
        if (k >= 0 && k + 1 < length) behind = gradient_at(row);
        if (point >= 0) {
            T from = before, to = behind;
            if (margin && place == 0 && k > 0 && k + 1 < length) {
                from -= gradient_of_zero(row - across);
                to -= gradient_of_zero(row - d);
            }
            *result = from - to;
            result += n_channels;
        }
        before = behind;
        place += step;
        row += next;
        if (place >= chunk) {
            place -= chunk;
            row += across;
        }
    }
}

// The same if all increments of a path have one gradient, g (n_paths, stride): all but the first and last point cancel.
template <typename T>
__global__ void __launch_bounds__(256) equal_increments_backprop(const T* __restrict__ g, T* __restrict__ out,
                                                                 long long size, long long length, long long n_channels,
                                                                 long long stride, long long lead_lag) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long point = quotient(index, n_channels), b = quotient(point, length);
    const long long i = index - point * n_channels, k = point - b * length;
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
