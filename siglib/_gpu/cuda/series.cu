// Series made paths: gaps filled, values summed up, points and channels added, rows joined; and the adjoints.
//
// `fill_gaps` has a thread for each channel of each path, which goes along it: neighbouring threads take neighbouring
// channels. Everything else is a gather, with a thread for each number that is written. Which path a row is of, a
// search among their starts tells. Sums are made by one thread, in order.
//
// Paths start anywhere among the points, whose strides are counted in numbers, and come out one behind the other.
#include "common.cuh"

// How far point k is from the point before it to the one behind it; 0 if they have one time.
__device__ __forceinline__ double share_of_next(const double* times, long long before, long long k, long long behind) {
    if (times == nullptr) return (k - before) / (double)(behind - before);
    const double span = times[behind] - times[before];
    return span > 0 ? (times[k] - times[before]) / span : 0.0;
}

// points (batch, n_points, d); missing (n_points, d), or 0 if nothing is; times: 0 for an even clock; starts, lengths,
// time_starts, out_starts (paths,); out (batch, n_out, d), contiguous; size = batch * paths * d.
template <typename T>
__global__ void __launch_bounds__(256) fill_gaps(const T* __restrict__ points, const int* __restrict__ missing,
                                                 const double* __restrict__ times, const long long* __restrict__ starts,
                                                 const long long* __restrict__ lengths,
                                                 const long long* __restrict__ time_starts,
                                                 const long long* __restrict__ out_starts, T* __restrict__ out,
                                                 long long size, long long paths, long long d, long long n_out,
                                                 long long batch_stride, long long point, long long channel,
                                                 long long linear, long long cumulative) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long unit = quotient(index, d), c = index - unit * d;
    const long long b = quotient(unit, paths), p = unit - b * paths;
    const long long length = lengths[p], start = starts[p];
    const T* x = points + b * batch_stride + start * point + c * channel;
    T* y = out + (b * n_out + out_starts[p]) * d + c;
    const int* gap = missing == nullptr ? nullptr : missing + start * d + c;
    const double* clock = times == nullptr ? nullptr : times + time_starts[p];
    long long before = -1, behind = 0;
    double total = 0;
    for (long long k = 0; k < length; k++) {
        T value;
        if (gap == nullptr || !gap[k * d]) {
            value = x[k * point];
            before = k;
        } else {
            if (behind <= k) {
                behind = k + 1;
                while (behind < length && gap[behind * d]) behind++;
            }
            if (before < 0) {
                value = behind < length ? x[behind * point] : (T)__longlong_as_double(0x7ff8000000000000LL);
            } else if (!linear || behind == length) {
                value = x[before * point];
            } else {
                const double first = x[before * point], last = x[behind * point];
                value = (T)(first + share_of_next(clock, before, k, behind) * (last - first));
            }
        }
        if (cumulative) {
            total += value;
            value = (T)total;
        }
        y[k * d] = value;
    }
}

// Adjoint: derivs (batch, n_out, d); out (batch, n_points, d), contiguous, 0 before: derivatives are added.
template <typename T>
__global__ void __launch_bounds__(256) fill_gaps_backprop(
    const T* __restrict__ derivs, const int* __restrict__ missing, const double* __restrict__ times,
    const long long* __restrict__ starts, const long long* __restrict__ lengths,
    const long long* __restrict__ time_starts, const long long* __restrict__ out_starts, T* __restrict__ out,
    long long size, long long paths, long long d, long long n_points, long long batch_stride, long long point,
    long long channel, long long linear, long long cumulative) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long unit = quotient(index, d), c = index - unit * d;
    const long long b = quotient(unit, paths), p = unit - b * paths;
    const long long length = lengths[p], start = starts[p];
    const T* g = derivs + b * batch_stride + out_starts[p] * point + c * channel;
    T* y = out + (b * n_points + start) * d + c;
    const int* gap = missing == nullptr ? nullptr : missing + start * d + c;
    const double* clock = times == nullptr ? nullptr : times + time_starts[p];
    long long behind = -1, before = length;
    double total = 0;
    for (long long k = length - 1; k >= 0; k--) {
        double value = g[k * point];
        if (cumulative) {
            total += value;
            value = total;
        }
        if (gap == nullptr || !gap[k * d]) {
            y[k * d] += (T)value;
            behind = k;
            continue;
        }
        if (before >= k) {
            before = k - 1;
            while (before >= 0 && gap[before * d]) before--;
        }
        if (before < 0) {
            if (behind >= 0) y[behind * d] += (T)value;
        } else if (!linear || behind < 0) {
            y[before * d] += (T)value;
        } else {
            const double part = share_of_next(clock, before, k, behind);
            y[behind * d] += (T)(part * value);
            y[before * d] += (T)(value - part * value);
        }
    }
}

// The path that row `row` is of: the last one that starts there or before.
__device__ __forceinline__ long long path_of(const long long* starts, long long n, long long row) {
    long long low = 0, high = n;
    while (high - low > 1) {
        const long long middle = (low + high) / 2;
        if (starts[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// Points of a path behind all that is added.
__device__ __forceinline__ long long n_points_of(long long length, long long first, long long reset) {
    const long long n = length + first;
    return reset && n > 0 ? n + 2 : n;
}

// As `time_at` of path.cu.
__device__ __forceinline__ double even_time(long long k, long long n_steps, double end_time) {
    const double step = n_steps > 0 ? end_time / n_steps : 0.0;
    if (k == n_steps) return k > 0 ? end_time : 0.0;
    if (step == 0) return k / (double)n_steps * end_time + 0.0;
    return k * step + 0.0;
}

// points (batch, n_points, d); base (batch, paths, d), contiguous, 0 for zeros; times: 0 for an even clock; starts,
// lengths, time_starts, out_starts (paths,); out (batch, n_rows, width), contiguous. `sums`: the base is added to all.
template <typename T>
__global__ void __launch_bounds__(256) extend_paths(
    const T* __restrict__ points, const T* __restrict__ base, const double* __restrict__ times,
    const long long* __restrict__ starts, const long long* __restrict__ lengths,
    const long long* __restrict__ time_starts, const long long* __restrict__ out_starts, T* __restrict__ out,
    long long size, long long paths, long long d, long long n_rows, long long width, long long batch_stride,
    long long point, long long channel, long long first, long long sums, long long reset, long long lead_lag,
    long long rectilinear, long long clock, double end_time) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long row_number = quotient(index, width), column = index - row_number * width;
    const long long b = quotient(row_number, n_rows), row = row_number - b * n_rows;
    const long long p = path_of(out_starts, paths, row), r = row - out_starts[p], length = lengths[p];
    const long long n = length + first, n_points = n_points_of(length, first, reset), wide = d + reset;
    const long long twice = lead_lag | rectilinear;
    if (clock && column == width - 1) {
        double time;
        if (times == nullptr) {
            time = rectilinear ? even_time((r + 1) / 2, n_points - 1, end_time)
                               : even_time(r, twice ? 2 * n_points - 2 : n_points - 1, end_time);
        } else {
            // Points that are added have the time of their neighbour.
            const long long lag = twice ? r / 2 : r, lead = twice ? (r + 1) / 2 : r, shift = sums ? 0 : first;
            const long long last = sums ? length : length - 1;
            const long long from = smaller(larger(lag - shift, 0LL), last),
                            to = smaller(larger(lead - shift, 0LL), last);
            const double* now = times + time_starts[p];
            if (last < 0)
                time = 0;
            else
                time = lead_lag ? now[from] + 0.5 * (now[to] - now[from]) : now[to];
        }
        out[index] = (T)time;
        return;
    }
    const long long is_lead = lead_lag && column >= wide;
    const long long c = is_lead ? column - wide : column, j = twice ? (is_lead ? (r + 1) / 2 : r / 2) : r;
    if (c == d) {
        out[index] = j < n ? (T)1 : (T)0;
        return;
    }
    T value = 0;
    if (j <= n) {
        const long long k = (j < n ? j : n - 1) - first;
        const bool moved = base != nullptr && (k < 0 || sums);
        if (k >= 0) value = points[b * batch_stride + (starts[p] + k) * point + c * channel];
        if (moved) value += base[(b * paths + p) * d + c];
    }
    out[index] = value;
}

// The sum of the derivatives of all copies of channel c of point j, of a path whose rows begin at g.
template <typename T>
__device__ __forceinline__ T point_deriv(const T* g, long long row, long long channel, long long j, long long n_points,
                                         long long c, long long wide, long long lead_lag, long long rectilinear) {
    if (!(lead_lag | rectilinear)) return g[j * row + c * channel];
    const T* at = g + 2 * j * row + c * channel;
    T total = at[0];
    if (j < n_points - 1) total += at[row];
    if (lead_lag) {
        total += at[wide * channel];
        if (j > 0) total += at[wide * channel - row];
    }
    return total;
}

// Adjoint: derivs (batch, n_rows, width); starts in ascending order; out (batch, n_points, d), contiguous, 0 before.
template <typename T>
__global__ void __launch_bounds__(256) extend_paths_backprop(
    const T* __restrict__ derivs, const long long* __restrict__ starts, const long long* __restrict__ lengths,
    const long long* __restrict__ out_starts, T* __restrict__ out, long long size, long long paths, long long d,
    long long n_points, long long batch_stride, long long row, long long channel, long long first, long long reset,
    long long lead_lag, long long rectilinear) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long unit = quotient(index, d), c = index - unit * d;
    const long long b = quotient(unit, n_points), at = unit - b * n_points;
    const long long p = path_of(starts, paths, at), k = at - starts[p], length = lengths[p];
    if (k >= length) return;
    const T* g = derivs + b * batch_stride + out_starts[p] * row;
    const long long n = n_points_of(length, first, reset), wide = d + reset;
    T value = point_deriv(g, row, channel, k + first, n, c, wide, lead_lag, rectilinear);
    if (reset && k == length - 1)
        value += point_deriv(g, row, channel, length + first, n, c, wide, lead_lag, rectilinear);
    out[index] = value;
}

// The same for the bases; out (batch, paths, d), contiguous.
template <typename T>
__global__ void __launch_bounds__(256) base_backprop(
    const T* __restrict__ derivs, const long long* __restrict__ lengths, const long long* __restrict__ out_starts,
    T* __restrict__ out, long long size, long long paths, long long d, long long batch_stride, long long row,
    long long channel, long long sums, long long reset, long long lead_lag, long long rectilinear) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long unit = quotient(index, d), c = index - unit * d;
    const long long b = quotient(unit, paths), p = unit - b * paths;
    const T* g = derivs + b * batch_stride + out_starts[p] * row;
    const long long last = lengths[p], n = n_points_of(last, 1, reset), wide = d + reset;
    double total = 0;
#pragma unroll 1
    for (long long j = 0; j <= (sums ? last : 0); j++) {
        T value = point_deriv(g, row, channel, j, n, c, wide, lead_lag, rectilinear);
        if (reset && j == last) value += point_deriv(g, row, channel, j + 1, n, c, wide, lead_lag, rectilinear);
        total += value;
    }
    out[index] = (T)total;
}
