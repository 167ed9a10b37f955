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
// A thread has V channels of POINTS points, which lie at a multiple of V numbers, so that what it divides to find them,
// and most of what it loads, serves several numbers. n_blocks: of a path. SUMS: n_sums if it is 1, else 0.
template <typename T, int SUMS, int V>
__global__ void __launch_bounds__(256) increments_backprop(const T* __restrict__ gx, T* __restrict__ out,
                                                           long long n_blocks, long long length, long long n_channels,
                                                           long long d, long long n_sums, long long n_chunks,
                                                           long long chunk, long long margin, long long lead_lag) {
    const long long b = quotient(blockIdx.x, n_blocks), thread = (blockIdx.x - b * n_blocks) * 256 + threadIdx.x;
    const long long n_packs = quotient(n_channels, V), group = quotient(thread, n_packs);
    const long long i = (thread - group * n_packs) * V, first = group * POINTS;
    if (first >= length) return;
    using Numbers = Pack<T, V>;
    const long long rows = chunk + 2 * margin, sum_size = rows * d;
    T* result = out + (b * length + first) * n_channels + i;
    const auto add = [&](Numbers& total, const Numbers& numbers, T times) {
#pragma unroll
        for (int j = 0; j < V; j++) total.v[j] += times * numbers.v[j];
    };
    const auto total_at = [&](const T* source) {
        Numbers total = *reinterpret_cast<const Numbers*>(source);
        if constexpr (SUMS == 1) return total;
#pragma unroll 4
        for (long long i_sum = 1; i_sum < n_sums; ++i_sum)
            add(total, *reinterpret_cast<const Numbers*>(source + i_sum * sum_size), 1);
        return total;
    };
    // Of the increment from one point to the next, which lead-lag makes two of; and of one of zero.
    const auto gradient_at = [&](const T* row) {
        if (!lead_lag) return total_at(row);
        Numbers total = total_at(row + n_channels);
        add(total, total_at(row + d), 1);
        return total;
    };
    const auto gradient_of_zero = [&](const T* row) {
        if (!lead_lag) return total_at(row);
        Numbers total = total_at(row + n_channels);
        add(total, total_at(row), 1);
        return total;
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
    Numbers before = {};
#pragma unroll(SUMS == 1 ? POINTS + 1 : 1)
    for (int point = -1; point < POINTS; point++) {
        const long long k = first + point;
        if (k >= length) break;
        Numbers behind = {};
        if (k >= 0 && k + 1 < length) behind = gradient_at(row);
        if (point >= 0) {
            Numbers from = before, to = behind;
            if (margin && place == 0 && k > 0 && k + 1 < length) {
                add(from, gradient_of_zero(row - across), -1);
                add(to, gradient_of_zero(row - d), -1);
            }
            add(from, to, -1);
            *reinterpret_cast<Numbers*>(result) = from;
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
