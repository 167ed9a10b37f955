"""Products of matrices, a tile of the result at a time: its sums stay in registers along the inner dimension.

Arrays of numbers are passed as pointers to vectors, and addressed by the position of a number.
"""

from .lane_windows cimport copies_at, copies_of, load_at, number_at, set_number, store_at
from .lanes cimport lanes, vec

cdef enum:
    TILE_VECTORS = 3     # a tile is as wide as so many vectors, or fewer at the right edge
    MOST_TILE_ROWS = 8


cdef inline int tile_rows(const vec* tag) noexcept nogil:
    """Rows of a tile: as many as the registers hold the sums of; `tag` only names the type."""
    return MOST_TILE_ROWS if sizeof(vec) == 64 else 4


cdef inline void put(vec* c, Py_ssize_t at, vec sums, int n_live, bint add) noexcept nogil:
    """The first n_live lanes of `sums` to the numbers from `at`, or added to them."""
    cdef int i
    cdef vec held = sums
    if n_live >= lanes(c):
        store_at(c, at, load_at(c, at) + sums if add else sums)
    else:
        for i in range(n_live):
            set_number(c, at + i, number_at(c, at + i) + number_at(&held, i) if add else number_at(&held, i))


cdef inline void multiply_tile(const vec* a, Py_ssize_t start, Py_ssize_t row_step, Py_ssize_t step, const vec* b,
                               Py_ssize_t n, vec* c, Py_ssize_t at, Py_ssize_t row_length, Py_ssize_t n_rows,
                               Py_ssize_t n_columns, bint add, const int width) noexcept nogil:
    """c[i, j] = sum over k < n of a[i, k] b[k, j], or added to c, for the n_rows rows and n_columns columns of a tile.

    a[i, k] is number start + i * row_step + k * step, readable for all rows that a tile can have; b (n, width) are
    vectors; c[i, j] is number at + i * row_length + j.
    """
    cdef Py_ssize_t _k, i, v
    cdef vec x
    cdef vec y[TILE_VECTORS]
    cdef vec sums[TILE_VECTORS * MOST_TILE_ROWS]
    for i in range(tile_rows(b)):
        for v in range(width):
            sums[i * width + v] = copies_of(0, b)
    for _k in range(n):
        for v in range(width):
            y[v] = b[v]
        for i in range(tile_rows(b)):
            x = copies_at(a, start + i * row_step)
            for v in range(width):
                sums[i * width + v] = sums[i * width + v] + x * y[v]
        start += step
        b = b + width
    for i in range(tile_rows(b)):
        if i < n_rows:
            for v in range(width):
                put(c, at + i * row_length + v * lanes(c), sums[i * width + v],
                    <int>(n_columns - v * lanes(c)), add)
