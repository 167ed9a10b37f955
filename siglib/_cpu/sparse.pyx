"""Sparse matrices times many vectors: what takes signatures to branched ones, and logarithms to their coordinates.

Design. Lanes hold 8 float64 or 16 float32 vectors side by side. A row of the matrix is a sum of its few entries times
vectors of lanes; as many rows as there are lanes are computed before they are stored, as a square can be turned in
registers. The adjoint is the same with the matrix transposed.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free

from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .lane_moves cimport load_columns, store_columns
from .lane_rows cimport set_rows
from .lanes cimport aligned_malloc, lanes, n_lanes, real, scaled, vd, vec, vf

cdef enum:
    MOST_LANES = 16


cdef struct Matrix:
    Py_ssize_t n_rows, n_columns
    const int64_t* starts
    const int32_t* columns
    const void* values


cdef void apply_group(const void* const* vectors, void* const* out, int n_live, vec* x,
                      const Matrix* matrix) noexcept nogil:
    """One vector per lane, read into x."""
    cdef Py_ssize_t row, first, k, n, spent = 0, width = lanes(x)
    cdef const int64_t* starts = matrix.starts
    cdef const int32_t* columns = matrix.columns
    cdef const void* values = matrix.values
    cdef vec total
    cdef vec block[MOST_LANES]
    cdef void* targets[MOST_LANES]
    load_columns(vectors, 0, matrix.n_columns, x)
    first = 0
    while first < matrix.n_rows:
        n = min(width, matrix.n_rows - first)
        if due(&spent, n + starts[first + n] - starts[first]):
            return
        for row in range(first, first + n):
            total = x[0] - x[0]
            if starts[row] < starts[row + 1]:
                total = scaled(x[columns[starts[row]]], values, starts[row])
                for k in range(starts[row] + 1, starts[row + 1]):
                    total = total + scaled(x[columns[k]], values, k)
            block[row - first] = total
        for k in range(width):
            if vec is vd:
                targets[k] = <double*>out[k] + first
            else:
                targets[k] = <float*>out[k] + first
        store_columns(block, <void* const*>targets, 0, n, n_live)
        first += n


cdef void apply_unit(const real* vectors, Py_ssize_t stride, const real* out, Py_ssize_t out_stride, Py_ssize_t group,
                     Py_ssize_t batch, real* scratch, const Matrix* matrix) noexcept nogil:
    cdef void* rows[MOST_LANES]
    cdef void* outs[MOST_LANES]
    cdef int n_live = set_rows(vectors, stride, group, batch, rows)
    set_rows(out, out_stride, group, batch, outs)
    if real is double:
        apply_group(<const void* const*>rows, <void* const*>outs, n_live, <vd*>scratch, matrix)
    else:
        apply_group(<const void* const*>rows, <void* const*>outs, n_live, <vf*>scratch, matrix)


def apply(const real[:, ::1] vectors, const int64_t[::1] starts, const int32_t[::1] columns, const real[::1] values,
          real[:, ::1] out, Py_ssize_t skip, double scalar, int n_threads):
    """out[:, i] = sum of values[k] vectors[:, skip + columns[k]], starts[i] <= k < starts[i + 1].

    vectors (batch, skip + columns of the matrix); out (batch, rows, or one more): the number before them is `scalar`.
    """
    cdef Py_ssize_t group, end, batch = out.shape[0], n_groups, first
    cdef Py_ssize_t width = n_lanes(<const real*>NULL)
    cdef size_t per_thread
    cdef Matrix matrix
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    matrix.n_rows = starts.shape[0] - 1
    matrix.n_columns = vectors.shape[1] - skip
    matrix.starts, matrix.columns, matrix.values = &starts[0], &columns[0], &values[0]
    first = out.shape[1] - matrix.n_rows
    if first:
        out[:, 0] = <real>scalar
    if batch == 0 or matrix.n_rows == 0:
        return
    if values.shape[0] == 0:
        out[:, first:] = 0
        return
    n_groups = (batch + width - 1) // width
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    per_thread = matrix.n_columns * width * sizeof(real)
    memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_groups, matrix.n_columns + matrix.n_rows + values.shape[0], n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            apply_unit(&vectors[0, 0] + skip, vectors.shape[1], &out[0, 0] + first, out.shape[1], group, batch,
                       <real*>(memory + threadid() * per_thread), &matrix)
    free(raw)
    end_watch(&watch)
