"""Moves between rows, one per work item, and lane vectors (lane_moves.h), for either floating type."""

from libc.stdint cimport uintptr_t

from .lanes cimport lanes, real, vd, vec, vf


cdef extern from "lane_moves.h" nogil:
    void load_columns_vd(const void* const* rows, Py_ssize_t first, vd* out)
    void load_columns_vf(const void* const* rows, Py_ssize_t first, vf* out)
    void store_columns_vd(const vd* columns, void* const* rows, Py_ssize_t first, int n_live)
    void store_columns_vf(const vf* columns, void* const* rows, Py_ssize_t first, int n_live)
    void load_words_vd(const void* const* rows, Py_ssize_t first, int n, vd* out)
    void load_words_vf(const void* const* rows, Py_ssize_t first, int n, vf* out)
    vd gather_vd(const void* const* rows, Py_ssize_t first)
    vf gather_vf(const void* const* rows, Py_ssize_t first)
    void load_singles(const void* const* rows, Py_ssize_t first, vd* out)
    void store_singles(const vd* columns, void* const* rows, Py_ssize_t first, int n_live)
    void prefetch_line "SIGLIB_PREFETCH_LINE"(uintptr_t address)


cdef inline vec gather(const void* const* rows, Py_ssize_t first, const vec* tag) noexcept nogil:
    """Number `first` of every row; `tag` only names the type."""
    if vec is vd:
        return gather_vd(rows, first)
    else:
        return gather_vf(rows, first)


cdef inline void load_words(const void* const* rows, Py_ssize_t first, Py_ssize_t n, Py_ssize_t row_length,
                            vec* out) noexcept nogil:
    """out[0:n] = numbers first..first+n-1 of every row; for short runs, n at most 8 and known at compile time."""
    cdef Py_ssize_t i
    if first + n + 3 <= row_length:
        if vec is vd:
            load_words_vd(rows, first, <int>n, out)
        else:
            load_words_vf(rows, first, <int>n, out)
    else:
        for i in range(n):
            out[i] = gather(rows, first + i, out)


cdef inline void load_columns(const void* const* rows, Py_ssize_t first, Py_ssize_t n, vec* out) noexcept nogil:
    """out[0:n] = numbers first..first+n-1 of every row, one vector each."""
    cdef Py_ssize_t i = 0, width = lanes(out)
    while i + width <= n:
        if vec is vd:
            load_columns_vd(rows, first + i, out + i)
        else:
            load_columns_vf(rows, first + i, out + i)
        i += width
    if n - i > width // 4 and i > 0:
        # The last `width` numbers, of which some are there already: faster than one by one.
        if vec is vd:
            load_columns_vd(rows, first + n - width, out + n - width)
        else:
            load_columns_vf(rows, first + n - width, out + n - width)
        return
    while i < n:
        out[i] = gather(rows, first + i, out)
        i += 1


cdef inline void store_columns(const vec* columns, void* const* rows, Py_ssize_t first, Py_ssize_t n,
                               int n_live) noexcept nogil:
    """Numbers first..first+n-1 of the first n_live rows = columns[0:n]: the inverse of `load_columns`, and its adjoint.
    """
    cdef Py_ssize_t i = 0, lane, width = lanes(<vec*>columns)
    while i + width <= n:
        if vec is vd:
            store_columns_vd(columns + i, rows, first + i, n_live)
        else:
            store_columns_vf(columns + i, rows, first + i, n_live)
        i += width
    if n - i > width // 4 and i > 0:
        if vec is vd:
            store_columns_vd(columns + n - width, rows, first + n - width, n_live)
        else:
            store_columns_vf(columns + n - width, rows, first + n - width, n_live)
        return
    for lane in range(n_live):
        if vec is vd:
            copy_lane(<const double*>columns, <double*>rows[lane] + first, i, n, width, lane)
        else:
            copy_lane(<const float*>columns, <float*>rows[lane] + first, i, n, width, lane)


cdef inline void load_doubles(const real* const* rows, Py_ssize_t n, vd* out) noexcept nogil:
    """out[0:n] = the first n numbers of every row, as doubles."""
    cdef Py_ssize_t i = 0, lane, width = lanes(out)
    cdef double* numbers = <double*>out
    while i + width <= n:
        if real is double:
            load_columns_vd(<const void* const*>rows, i, out + i)
        else:
            load_singles(<const void* const*>rows, i, out + i)
        i += width
    while i < n:
        for lane in range(width):
            numbers[i * width + lane] = rows[lane][i]
        i += 1


cdef inline void store_doubles(const vd* columns, real* const* rows, Py_ssize_t n, int n_live) noexcept nogil:
    """The first n numbers of the first n_live rows = columns[0:n]: the inverse of `load_doubles`, and its adjoint."""
    cdef Py_ssize_t i = 0, lane, width = lanes(<vd*>columns)
    cdef const double* numbers = <const double*>columns
    while i + width <= n:
        if real is double:
            store_columns_vd(columns + i, <void* const*>rows, i, n_live)
        else:
            store_singles(columns + i, <void* const*>rows, i, n_live)
        i += width
    while i < n:
        for lane in range(n_live):
            rows[lane][i] = <real>numbers[i * width + lane]
        i += 1


cdef inline void copy_lane(const real* columns, real* row, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t width,
                           Py_ssize_t lane) noexcept nogil:
    """row[start:stop] = lane `lane` of columns[start:stop], `width` numbers to a vector."""
    cdef Py_ssize_t i
    for i in range(start, stop):
        row[i] = columns[i * width + lane]
