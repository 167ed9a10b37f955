"""Paths along a direction, and weighted sums of what is computed there: for `siglib/_call/tangent_paths.py`.

All of this is memory traffic, so each function reads its arrays once. Points are short rows, 2 to 20 numbers: loops go
over several of them together, whose numbers are compared with, or moved by, as many numbers side by side.
"""

from libc.math cimport INFINITY, exp2, isfinite, log2, rint
from libc.stdlib cimport free, malloc

from .lanes cimport real

cdef enum:
    ROW = 16                                # points that a loop takes together: whole vectors
    LARGEST_EXPONENT = 100


cdef double range_of(const real* path, Py_ssize_t n, Py_ssize_t width, Py_ssize_t d, real* low,
                     real* high) noexcept nogil:
    """The largest range of a channel that is finite; 0 if there is none. `width` is a multiple of d, at most n."""
    cdef Py_ssize_t i, k
    cdef const real* row = path
    cdef double largest = 0, size
    for i in range(width):
        low[i] = high[i] = path[i]
    for k in range((n + width - 1) // width):
        for i in range(min(width, n - k * width)):
            low[i] = row[i] if row[i] < low[i] else low[i]
            high[i] = row[i] if row[i] > high[i] else high[i]
        row += width
    for k in range(d):
        for i in range(1, width // d):
            low[k] = min(low[k], low[k + i * d])
            high[k] = max(high[k], high[k + i * d])
        size = <double>high[k] - <double>low[k]
        if isfinite(size) and size > largest:
            largest = size
    return largest


cdef void place(const real* path, const real* direction, bint keep, double step, Py_ssize_t n, Py_ssize_t width,
                const real* first, const real* first_step, real* out) noexcept nogil:
    """out = (path - its first point) + step (direction - its first point), or step direction if not `keep`."""
    cdef Py_ssize_t i, k, end, block
    cdef real e = <real>step
    for block in range((n + width - 1) // width):
        k = block * width
        end = min(width, n - k)
        if keep:
            for i in range(end):
                out[k + i] = (path[k + i] - first[i]) + e * (direction[k + i] - first_step[i])
        else:
            for i in range(end):
                out[k + i] = e * direction[k + i]


def along(const real[:, :, ::1] path, const real[:, :, ::1] direction, const double[:, ::1] nodes, double least,
          double fallback, real[:, :, :, ::1] out, double[::1] scales):
    """out[k, i] = path[i] + scales[i] step direction[i], both from zero, (keep, step) = nodes[k]; without path, and
    from where the direction starts, where keep is 0.

    scales[i] is the power of two that makes a direction as large as its path, which counts as at least `least`, or as
    `fallback` if that is 0. Where the direction is a translation, it is infinite: then the derivative is 0, but there
    are differences of rounding. path and direction (batch, length, d), none of them 0; out (nodes, batch, length, d).
    """
    cdef Py_ssize_t i, k, d = path.shape[2], n = path.shape[1] * d
    cdef Py_ssize_t width = min(path.shape[1], <Py_ssize_t>ROW) * d
    cdef double size, step, exponent
    cdef real* low = <real*>malloc(2 * width * sizeof(real))
    cdef real* high = low + width
    if low == NULL:
        raise MemoryError(f"cannot allocate {2 * width * sizeof(real)} bytes of scratch memory")
    with nogil:
        for i in range(path.shape[0]):
            size = max(least, range_of(&path[i, 0, 0], n, width, d, low, high))
            step = range_of(&direction[i, 0, 0], n, width, d, low, high)
            exponent = rint(log2(size if size > 0 else fallback) - log2(step)) if step > 0 else 0
            scales[i] = exp2(max(-<double>LARGEST_EXPONENT, min(<double>LARGEST_EXPONENT, exponent)))
            for k in range(width):
                low[k] = path[i, 0, k] if k < d else low[k - d]
                high[k] = direction[i, 0, k] if k < d else high[k - d]
            for k in range(nodes.shape[0]):
                place(&path[i, 0, 0], &direction[i, 0, 0], nodes[k, 0] != 0, scales[i] * nodes[k, 1], n, width, low,
                      high, &out[k, i, 0, 0])
            if step == 0:
                for k in range(nodes.shape[0]):
                    if nodes[k, 0] != 0:
                        scales[i] = INFINITY
    free(low)


cdef void add_columns(const real* values, Py_ssize_t stride, const real* known, const double* weights, int n_nodes,
                      double scale, Py_ssize_t start, Py_ssize_t end, real* out) noexcept nogil:
    cdef Py_ssize_t i
    cdef int k, begun = 0
    cdef real w
    for k in range(n_nodes + 1):
        if weights[k] == 0 or (k == n_nodes and known == NULL):
            continue
        w = <real>(weights[k] / scale)
        if k == n_nodes:
            for i in range(start, end):
                out[i] = out[i] + w * known[i]
        elif begun:
            for i in range(start, end):
                out[i] = out[i] + w * values[k * stride + i]
        else:
            for i in range(start, end):
                out[i] = w * values[k * stride + i]
        begun = 1


def summed(const real[:, :, ::1] values, const real[:, ::1] known, const double[:, ::1] weights, Py_ssize_t n_first,
           const double[::1] scales, real[:, ::1] out):
    """out[i] = (sum of w[k] values[k, i] + w[-1] known[i]) / scale, w the first row of `weights` for the first entries.

    values (n, rows, entries); known (rows, entries), or without rows; weights (2, n + 1); each scale is that of as many
    rows, one after the other.
    """
    cdef Py_ssize_t i, n_rows = values.shape[1], n = values.shape[2], per_scale
    if n_rows == 0 or n == 0:
        return
    per_scale = n_rows // scales.shape[0]
    with nogil:
        for i in range(n_rows):
            add_columns(&values[0, i, 0], n_rows * n, &known[i, 0] if known.shape[0] else NULL, &weights[0, 0],
                        <int>values.shape[0], scales[i // per_scale], 0, n_first, &out[i, 0])
            add_columns(&values[0, i, 0], n_rows * n, &known[i, 0] if known.shape[0] else NULL, &weights[1, 0],
                        <int>values.shape[0], scales[i // per_scale], n_first, n, &out[i, 0])
