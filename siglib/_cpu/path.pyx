"""Path transforms: lead-lag and time augmentation, and their adjoint.

Row r of a lead-lag path is (x[r // 2], x[(r + 1) // 2]): the lag channels first. So point k of the path is read once
and written as the rows 2k = (x_k, x_k) and 2k + 1 = (x_k, x_{k+1}). Time is the last channel and advances by the same
step in every row.

All of this is memory traffic, and rows are short (2 to 20 numbers): a loop of run-time length would cost more than
the copy itself, and so would a call of memcpy. Where the channels of a point lie side by side (`channel` literal 1),
small dimensions are compiled with their length known, so that a row is a few vector moves, and larger ones are moved
in blocks of 8. Long paths are moved 65536 points at a time, between which a call that is interrupted ends.
"""

from cython.parallel cimport parallel
from libc.string cimport memcpy

from ._interruption cimport Watch, begin_watch, end_watch, interrupted, next_unit, share
from .lanes cimport real

# Below this many numbers read and written, starting threads takes longer than the copy.
cdef enum:
    PARALLEL_SIZE = 1 << 15


cdef inline double time_at(Py_ssize_t row, double step, double end_time, Py_ssize_t n_steps) noexcept nogil:
    """Time in this row, to the last bit that of NumPy's linspace(0, end_time, n_steps + 1); 0 if n_steps is 0."""
    if row == n_steps:
        return end_time if row > 0 else 0.0
    if step == 0:                           # end_time is 0, or so small that one step rounds to 0
        return row / <double>n_steps * end_time + 0.0
    return row * step + 0.0                 # + 0.0: a negative step must not make a negative zero


cdef inline void copy_point(real* to, const real* x, Py_ssize_t channel, Py_ssize_t d) noexcept nogil:
    """to[i] = x[i * channel] for the d channels of a point."""
    cdef Py_ssize_t i
    if channel != 1:
        for i in range(d):
            to[i] = x[i * channel]
    elif d <= 8:                            # only called with d literal
        memcpy(to, x, d * sizeof(real))
    else:
        i = 0
        while i < d - 8:
            memcpy(to + i, x + i, 8 * sizeof(real))
            i += 8
        memcpy(to + d - 8, x + d - 8, 8 * sizeof(real))


cdef inline void transform_rows(const real* path, Py_ssize_t point, Py_ssize_t channel, real* out, Py_ssize_t length,
                                Py_ssize_t d, bint time_aug, bint lead_lag, double end_time) noexcept nogil:
    """One path. path[k * point + i * channel] is channel i of point k; out is contiguous, rows of D numbers."""
    cdef Py_ssize_t k, first, D = 2 * d + time_aug, n_steps = (2 * length - 2 if lead_lag else length - 1)
    cdef double step = end_time / n_steps if n_steps > 0 else 0.0
    cdef const real* x = path
    if not lead_lag:
        for first in range(0, length, 65536):
            if first > 0 and interrupted():
                return
            for k in range(first, min(first + 65536, length)):
                copy_point(out, x, channel, d)
                if time_aug:
                    out[d] = <real>time_at(k, step, end_time, n_steps)
                out += d + time_aug
                x += point
        return
    for first in range(0, length - 1, 65536):
        if first > 0 and interrupted():
            return
        for k in range(first, min(first + 65536, length - 1)):
            copy_point(out, x, channel, d)
            copy_point(out + d, x, channel, d)
            copy_point(out + D, x, channel, d)
            copy_point(out + D + d, x + point, channel, d)
            if time_aug:
                out[2 * d] = <real>time_at(2 * k, step, end_time, n_steps)
                out[D + 2 * d] = <real>time_at(2 * k + 1, step, end_time, n_steps)
            out += 2 * D
            x += point
    copy_point(out, x, channel, d)
    copy_point(out + d, x, channel, d)
    if time_aug:
        out[2 * d] = <real>time_at(n_steps, step, end_time, n_steps)


cdef inline void transform_rows_backprop(const real* derivs, Py_ssize_t row, Py_ssize_t channel, real* out,
                                         Py_ssize_t length, Py_ssize_t d, bint lead_lag) noexcept nogil:
    """Adjoint of `transform_rows`. derivs[r * row + j * channel] is that of channel j in row r; out is contiguous."""
    cdef Py_ssize_t i, k, _k, first
    cdef const real* g = derivs             # row 2k, or row k without lead-lag
    cdef const real* lead = derivs + d * channel
    cdef real total
    if not lead_lag:
        for first in range(0, length, 65536):
            if first > 0 and interrupted():
                return
            for _k in range(first, min(first + 65536, length)):
                copy_point(out, g, channel, d)
                out += d
                g += row
        return
    for first in range(0, length, 65536):
        if first > 0 and interrupted():
            return
        for k in range(first, min(first + 65536, length)):
            for i in range(d):
                total = g[i * channel] + lead[i * channel]
                if k > 0:
                    total += lead[i * channel - row]
                if k < length - 1:
                    total += g[i * channel + row]
                out[i] = total
            out += d
            g += 2 * row
            lead += 2 * row


def transform_path(const real[:, :, :] path, real[:, :, ::1] out, object transform, int n_threads):
    """Lead-lag, time, both or neither.

    path (batch, length, d); out (batch, length or 2 length - 1, d or 2 d, + 1 with time)."""
    cdef Py_ssize_t b, end, batch = path.shape[0], length = path.shape[1], d = path.shape[2]
    cdef Py_ssize_t point, channel, size = out.shape[1] * out.shape[2]
    cdef bint time_aug = transform[0], lead_lag = transform[1], dense
    cdef double end_time = transform[2]
    cdef const real* x
    cdef real* y
    cdef Watch watch
    cdef Watch* loop
    if batch == 0 or size == 0:
        return
    point = path.strides[1] // <Py_ssize_t>sizeof(real)
    channel = path.strides[2] // <Py_ssize_t>sizeof(real)
    dense = channel == 1 or d == 1
    begin_watch(&watch)
    loop = share(batch, size // 4, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1 and batch * size > PARALLEL_SIZE):
        b = end = 0
        while next_unit(loop, &b, &end):
            x = &path[b, 0, 0]
            y = &out[b, 0, 0]
            if not dense:
                transform_rows(x, point, channel, y, length, d, time_aug, lead_lag, end_time)
            elif d > 8:
                transform_rows(x, point, 1, y, length, d, time_aug, lead_lag, end_time)
            elif d == 1:
                transform_rows(x, point, 1, y, length, 1, time_aug, lead_lag, end_time)
            elif d == 2:
                transform_rows(x, point, 1, y, length, 2, time_aug, lead_lag, end_time)
            elif d == 3:
                transform_rows(x, point, 1, y, length, 3, time_aug, lead_lag, end_time)
            elif d == 4:
                transform_rows(x, point, 1, y, length, 4, time_aug, lead_lag, end_time)
            elif d == 5:
                transform_rows(x, point, 1, y, length, 5, time_aug, lead_lag, end_time)
            elif d == 6:
                transform_rows(x, point, 1, y, length, 6, time_aug, lead_lag, end_time)
            elif d == 7:
                transform_rows(x, point, 1, y, length, 7, time_aug, lead_lag, end_time)
            else:
                transform_rows(x, point, 1, y, length, 8, time_aug, lead_lag, end_time)
    end_watch(&watch)


def transform_path_backprop(const real[:, :, :] derivs, real[:, :, ::1] out, bint lead_lag, int n_threads):
    """derivs as `out` of transform_path, its time channel (if any) last and not read; out (batch, length, d)."""
    cdef Py_ssize_t b, end, batch = out.shape[0], length = out.shape[1], d = out.shape[2]
    cdef Py_ssize_t row, channel, size = derivs.shape[1] * derivs.shape[2]
    cdef bint dense
    cdef const real* g
    cdef real* y
    cdef Watch watch
    cdef Watch* loop
    if batch == 0 or length == 0:
        return
    row = derivs.strides[1] // <Py_ssize_t>sizeof(real)
    channel = derivs.strides[2] // <Py_ssize_t>sizeof(real)
    dense = channel == 1
    begin_watch(&watch)
    loop = share(batch, size // 4, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1 and batch * size > PARALLEL_SIZE):
        b = end = 0
        while next_unit(loop, &b, &end):
            g = &derivs[b, 0, 0]
            y = &out[b, 0, 0]
            if not dense:
                transform_rows_backprop(g, row, channel, y, length, d, lead_lag)
            elif d > 8:
                transform_rows_backprop(g, row, 1, y, length, d, lead_lag)
            elif d == 1:
                transform_rows_backprop(g, row, 1, y, length, 1, lead_lag)
            elif d == 2:
                transform_rows_backprop(g, row, 1, y, length, 2, lead_lag)
            elif d == 3:
                transform_rows_backprop(g, row, 1, y, length, 3, lead_lag)
            elif d == 4:
                transform_rows_backprop(g, row, 1, y, length, 4, lead_lag)
            elif d == 5:
                transform_rows_backprop(g, row, 1, y, length, 5, lead_lag)
            elif d == 6:
                transform_rows_backprop(g, row, 1, y, length, 6, lead_lag)
            elif d == 7:
                transform_rows_backprop(g, row, 1, y, length, 7, lead_lag)
            else:
                transform_rows_backprop(g, row, 1, y, length, 8, lead_lag)
    end_watch(&watch)
