"""Series made paths: gaps filled, values summed up, points and channels added, rows joined; and the adjoints.

Two passes, each with its adjoint below it. `fill_gaps` goes along a path, channel by channel, since what stands in a
gap depends on what is observed around it. `extend_paths` writes rows: each has the numbers of one or two points and a
time. Both take the paths from an array of points, wherever each of them starts there, and write them one behind the
other. Within long paths signals are looked at after every 65536 points.
"""

from cython.parallel cimport parallel
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t

from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .lanes cimport real

# Below this many numbers read and written, starting threads takes longer than the work.
cdef enum:
    PARALLEL_SIZE = 1 << 15
    LOOK = 1 << 16


# Gaps

cdef inline double share_of_next(const double* times, Py_ssize_t before, Py_ssize_t k,
                                 Py_ssize_t behind) noexcept nogil:
    """How far point k is from the point before it to the one behind it; 0 if they have one time."""
    cdef double span
    if times == NULL:
        return (k - before) / <double>(behind - before)
    span = times[behind] - times[before]
    return (times[k] - times[before]) / span if span > 0 else 0.0


cdef inline void fill_channel(const real* x, Py_ssize_t point, real* out, Py_ssize_t d, Py_ssize_t length,
                              const uint8_t* missing, const double* times, bint linear,
                              bint cumulative) noexcept nogil:
    """One channel of one path: x[k * point] to out[k * d]."""
    cdef Py_ssize_t k, before = -1, behind = 0, spent = 0
    cdef double total = 0
    cdef real value
    for k in range(length):
        if k % LOOK == LOOK - 1 and due(&spent, LOOK):
            return
        if missing == NULL or not missing[k * d]:
            value = x[k * point]
            before = k
        else:
            if behind <= k:
                behind = k + 1
                while behind < length and missing[behind * d]:
                    behind += 1
            if before < 0:
                value = x[behind * point] if behind < length else <real>NAN
            elif not linear or behind == length:
                value = x[before * point]
            else:
                value = <real>(x[before * point] + share_of_next(times, before, k, behind)
                               * (<double>x[behind * point] - x[before * point]))
        if cumulative:
            total += value
            value = <real>total
        out[k * d] = value


cdef inline void fill_channel_backprop(const real* g, Py_ssize_t point, real* out, Py_ssize_t d, Py_ssize_t length,
                                       const uint8_t* missing, const double* times, bint linear,
                                       bint cumulative) noexcept nogil:
    """Adjoint: g[k * point] are the derivatives of row k; out[k * d] is added to, from the last point to the first."""
    cdef Py_ssize_t k, behind = -1, before = length, spent = 0
    cdef double total = 0, value, part
    for k in range(length - 1, -1, -1):
        if k % LOOK == LOOK - 1 and due(&spent, LOOK):
            return
        value = g[k * point]
        if cumulative:
            total += value
            value = total
        if missing == NULL or not missing[k * d]:
            out[k * d] += <real>value
            behind = k
            continue
        if before >= k:
            before = k - 1
            while before >= 0 and missing[before * d]:
                before -= 1
        if before < 0:
            if behind >= 0:
                out[behind * d] += <real>value
        elif not linear or behind < 0:
            out[before * d] += <real>value
        else:
            part = share_of_next(times, before, k, behind)
            out[behind * d] += <real>(part * value)
            out[before * d] += <real>(value - part * value)


cdef void go_along(const real[:, :, :] given, const uint8_t[:, ::1] missing, const double[::1] times,
                   const int64_t[::1] starts, const int64_t[::1] lengths, const int64_t[::1] time_starts,
                   const int64_t[::1] given_starts, const int64_t[::1] out_starts, real[:, :, ::1] out,
                   Py_ssize_t n_rows, bint backward, bint linear, bint cumulative, int n_threads):
    """Every channel of every path, forward or backward, from `given` to `out`, of which the filled one has n_rows."""
    cdef Py_ssize_t unit, end, b, p, c, n = starts.shape[0], n_units = given.shape[0] * n, d = given.shape[2]
    cdef Py_ssize_t point = given.strides[1] // <Py_ssize_t>sizeof(real), size = given.shape[0] * n_rows * d
    cdef const uint8_t* gaps = &missing[0, 0] if missing.shape[0] * missing.shape[1] > 0 else NULL
    cdef const double* clock = &times[0] if times.shape[0] > 0 else NULL
    cdef const uint8_t* gap
    cdef const double* time
    cdef Watch watch
    cdef Watch* loop
    if size == 0:
        return
    begin_watch(&watch)
    loop = share(n_units, size // n_units, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1 and size > PARALLEL_SIZE):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            b = unit // n
            p = unit % n
            if lengths[p] > 0:
                time = clock + time_starts[p] if clock != NULL else NULL
                for c in range(d):
                    gap = gaps + starts[p] * d + c if gaps != NULL else NULL
                    if backward:
                        fill_channel_backprop(&given[b, given_starts[p], c], point, &out[b, out_starts[p], c], d,
                                              lengths[p], gap, time, linear, cumulative)
                    else:
                        fill_channel(&given[b, given_starts[p], c], point, &out[b, out_starts[p], c], d, lengths[p],
                                     gap, time, linear, cumulative)
    end_watch(&watch)


def fill_gaps(const real[:, :, :] points, const uint8_t[:, ::1] missing, const double[::1] times,
              const int64_t[::1] starts, const int64_t[::1] lengths, const int64_t[::1] time_starts,
              const int64_t[::1] out_starts, real[:, :, ::1] out, bint linear, bint cumulative, int n_threads):
    """Numbers for gaps, then cumulative sums.

    points (batch, n_points, d); missing (n_points, d), or empty if nothing is; times: empty for an even clock; starts,
    lengths, time_starts, out_starts (paths,); out (batch, sum of lengths, d)."""
    go_along(points, missing, times, starts, lengths, time_starts, starts, out_starts, out, out.shape[1], False, linear,
             cumulative, n_threads)


def fill_gaps_backprop(const real[:, :, :] derivs, const uint8_t[:, ::1] missing, const double[::1] times,
                       const int64_t[::1] starts, const int64_t[::1] lengths, const int64_t[::1] time_starts,
                       const int64_t[::1] out_starts, real[:, :, ::1] out, bint linear, bint cumulative,
                       int n_threads):
    """derivs as `out` of fill_gaps; out as its points, 0 before: derivatives are added."""
    go_along(derivs, missing, times, starts, lengths, time_starts, out_starts, starts, out, derivs.shape[1], True,
             linear, cumulative, n_threads)


# Points, channels and rows

ctypedef struct Rows:
    Py_ssize_t d, width                     # channels of the points that are given, and of rows
    Py_ssize_t point, channel               # strides of points, in numbers
    bint first, sums, reset                 # a point in front, to which all others are relative, two more at the end
    bint lead_lag, rectilinear, clock
    double end_time


cdef inline double even_time(Py_ssize_t k, Py_ssize_t n_steps, double end_time) noexcept nogil:
    """As `time_at` of `path.pyx`."""
    cdef double step = end_time / n_steps if n_steps > 0 else 0.0
    if k == n_steps:
        return end_time if k > 0 else 0.0
    if step == 0:
        return k / <double>n_steps * end_time + 0.0
    return k * step + 0.0


cdef inline Py_ssize_t n_points_of(const Rows* how, Py_ssize_t length) noexcept nogil:
    """Points of a path behind all that is added; what has none has nothing to add two more to."""
    cdef Py_ssize_t n = length + how.first
    return n + 2 * how.reset if n > 0 else 0


cdef inline Py_ssize_t n_rows_of(const Rows* how, Py_ssize_t n_points) noexcept nogil:
    return 2 * n_points - 1 if n_points > 0 and (how.lead_lag or how.rectilinear) else n_points


cdef inline void write_point(const Rows* how, const real* x, const real* base, Py_ssize_t length, Py_ssize_t j,
                             real* to) noexcept nogil:
    """Point j of a path."""
    cdef Py_ssize_t c, k, n = length + how.first, d = how.d
    cdef bint visible = j < n
    if j > n:
        for c in range(d):
            to[c] = 0
    else:
        k = (j if visible else n - 1) - how.first
        if k < 0:
            for c in range(d):
                to[c] = base[c] if base != NULL else <real>0
        elif how.channel == 1:
            for c in range(d):
                to[c] = x[k * how.point + c]
        else:
            for c in range(d):
                to[c] = x[k * how.point + c * how.channel]
        if k >= 0 and how.sums and base != NULL:
            for c in range(d):
                to[c] += base[c]
    if how.reset:
        to[d] = visible


cdef inline double time_of(const Rows* how, const double* times, Py_ssize_t length, Py_ssize_t j,
                           Py_ssize_t n_points) noexcept nogil:
    """The time of point j: added points have that of their neighbour."""
    cdef Py_ssize_t k
    if times == NULL:
        return even_time(j, n_points - 1, how.end_time)
    k = min(j, length) if how.sums else min(max(j - how.first, 0), length - 1)
    return times[k] if k >= 0 else 0.0


cdef inline void write_rows(const Rows* how, const real* x, const real* base, const double* times, Py_ssize_t length,
                            real* out) noexcept nogil:
    """One path."""
    cdef Py_ssize_t j, spent = 0, n_points = n_points_of(how, length), wide = how.d + how.reset, width = how.width
    cdef Py_ssize_t c, t = width - 1
    cdef double now, following = 0
    cdef bint between = how.lead_lag or how.rectilinear
    cdef real* point = out                  # where the point of this row has been written
    if n_points == 0:
        return
    write_point(how, x, base, length, 0, point)
    now = time_of(how, times, length, 0, n_points) if how.clock else 0.0
    for j in range(n_points):
        if j % LOOK == LOOK - 1 and due(&spent, LOOK * wide):
            return
        if how.clock:
            out[t] = <real>now
        if how.lead_lag:
            for c in range(wide):
                out[wide + c] = point[c]
        if j == n_points - 1:
            return
        if how.clock:
            following = time_of(how, times, length, j + 1, n_points)
        if not between:
            out += width
            write_point(how, x, base, length, j + 1, out)
            point = out
        else:
            # The row between two points: both of them, or the first one at the time of the next.
            for c in range(wide):
                out[width + c] = point[c]
            if how.lead_lag:
                write_point(how, x, base, length, j + 1, out + width + wide)
                if how.clock:
                    if times == NULL:
                        out[width + t] = <real>even_time(2 * j + 1, 2 * n_points - 2, how.end_time)
                    else:
                        out[width + t] = <real>(now + 0.5 * (following - now))
                for c in range(wide):
                    out[2 * width + c] = out[width + wide + c]
            else:
                if how.clock:
                    out[width + t] = <real>following
                write_point(how, x, base, length, j + 1, out + 2 * width)
            out += 2 * width
            point = out
        now = following


cdef inline real point_deriv(const Rows* how, const real* g, Py_ssize_t row, Py_ssize_t channel, Py_ssize_t j,
                             Py_ssize_t n_points, Py_ssize_t c) noexcept nogil:
    """The sum of the derivatives of all copies of channel c of point j."""
    cdef Py_ssize_t wide = how.d + how.reset
    cdef const real* at
    cdef real total
    if not (how.lead_lag or how.rectilinear):
        return g[j * row + c * channel]
    at = g + 2 * j * row + c * channel
    total = at[0]
    if j < n_points - 1:
        total += at[row]
    if how.lead_lag:
        total += at[wide * channel]
        if j > 0:
            total += at[wide * channel - row]
    return total


cdef inline void write_rows_backprop(const Rows* how, const real* g, Py_ssize_t row, Py_ssize_t channel, real* out,
                                     real* base, Py_ssize_t length) noexcept nogil:
    """Adjoint of `write_rows`: out (length, d), contiguous; base (d,) or NULL."""
    cdef Py_ssize_t j, c, n_points = n_points_of(how, length), n = length + how.first, spent = 0
    cdef double total
    cdef real value
    for c in range(how.d):
        total = 0
        for j in range(n):
            if j % LOOK == LOOK - 1 and due(&spent, LOOK):
                return
            value = point_deriv(how, g, row, channel, j, n_points, c)
            if how.reset and j == n - 1:
                value += point_deriv(how, g, row, channel, n, n_points, c)
            if j >= how.first:
                out[(j - how.first) * how.d + c] = value
            if j < how.first or how.sums:
                total += value
        if base != NULL:
            base[c] = <real>total


cdef Rows rows_as(const int64_t[::1] flags, double end_time, Py_ssize_t d, Py_ssize_t width) noexcept:
    cdef Rows how
    how.d = d
    how.width = width
    how.point = how.channel = 0
    how.first = flags[0] != 0
    how.sums = flags[1] != 0
    how.reset = flags[2] != 0
    how.lead_lag = flags[3] != 0
    how.rectilinear = flags[4] != 0
    how.clock = flags[5] != 0
    how.end_time = end_time
    return how


def extend_paths(const real[:, :, :] points, const real[:, :, ::1] base, const double[::1] times,
                 const int64_t[::1] starts, const int64_t[::1] lengths, const int64_t[::1] time_starts,
                 const int64_t[::1] out_starts, real[:, :, ::1] out, const int64_t[::1] flags, double end_time,
                 int n_threads):
    """Points in front and at the end, a channel that shows where they are, lead-lag or rectilinear rows, and time.

    points (batch, n_points, d); base (batch, paths, d), empty for 0; times: empty for an even clock; starts, lengths,
    time_starts, out_starts (paths,); flags: first, sums, reset, lead_lag, rectilinear, clock; out (batch, rows,
    width)."""
    cdef Py_ssize_t unit, end, b, p, n = starts.shape[0], n_units = points.shape[0] * n, d = points.shape[2]
    cdef Py_ssize_t size = out.shape[0] * out.shape[1] * out.shape[2]
    cdef const double* clock = &times[0] if times.shape[0] > 0 else NULL
    cdef bint has_base = base.shape[0] * base.shape[1] * base.shape[2] > 0
    cdef const real* origin
    cdef const real* x
    cdef Rows how = rows_as(flags, end_time, d, out.shape[2])
    cdef Watch watch
    cdef Watch* loop
    if size == 0:
        return
    how.point = points.strides[1] // <Py_ssize_t>sizeof(real)
    how.channel = points.strides[2] // <Py_ssize_t>sizeof(real)
    begin_watch(&watch)
    loop = share(n_units, size // n_units, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1 and size > PARALLEL_SIZE):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            b = unit // n
            p = unit % n
            if n_points_of(&how, lengths[p]) > 0:
                origin = &base[b, p, 0] if has_base else NULL
                x = &points[b, starts[p], 0] if lengths[p] > 0 else NULL
                write_rows(&how, x, origin, clock + time_starts[p] if clock != NULL else NULL, lengths[p],
                           &out[b, out_starts[p], 0])
    end_watch(&watch)


def extend_paths_backprop(const real[:, :, :] derivs, const int64_t[::1] starts, const int64_t[::1] lengths,
                          const int64_t[::1] out_starts, real[:, :, ::1] out, real[:, :, ::1] base,
                          const int64_t[::1] flags, int n_threads):
    """derivs as `out` of extend_paths; out as its points, 0 before; base as its base, empty if not wanted."""
    cdef Py_ssize_t unit, end, b, p, n = starts.shape[0], n_units = derivs.shape[0] * n, d = out.shape[2]
    cdef Py_ssize_t row = derivs.strides[1] // <Py_ssize_t>sizeof(real)
    cdef Py_ssize_t channel = derivs.strides[2] // <Py_ssize_t>sizeof(real)
    cdef Py_ssize_t size = derivs.shape[0] * derivs.shape[1] * derivs.shape[2]
    cdef bint has_base = base.shape[0] * base.shape[1] * base.shape[2] > 0
    cdef Rows how = rows_as(flags, 0.0, d, derivs.shape[2])
    cdef real* x
    cdef Watch watch
    cdef Watch* loop
    if size == 0:
        return
    begin_watch(&watch)
    loop = share(n_units, size // n_units, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1 and size > PARALLEL_SIZE):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            b = unit // n
            p = unit % n
            if n_points_of(&how, lengths[p]) > 0:
                x = &out[b, starts[p], 0] if lengths[p] > 0 else NULL
                write_rows_backprop(&how, &derivs[b, out_starts[p], 0], row, channel, x,
                                    &base[b, p, 0] if has_base else NULL, lengths[p])
    end_watch(&watch)
