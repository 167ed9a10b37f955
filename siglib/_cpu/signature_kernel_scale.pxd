"""Rescaling: how kernels far beyond the range of floating-point numbers are carried through the grid.

Everything that a tile works on is true * 2^-e, with one exponent e for each tile of columns and each lane. The numbers
of the rows take over the exponent of the tile that they enter; a tile that they leave too large is scaled down. One
exponent for a whole row would not do: in one block of rows the kernel can grow from 1 to beyond the range.

Recurrences are linear in their state, so scaling is all there is to it. The powers are exact, and the check costs a
few instructions per tile.
"""

from .lane_exponents cimport any_above, any_differ, exponent_of, larger, magnitude, power_of_two
from .lanes cimport vd, vec


cdef inline void scale_all(vec* numbers, Py_ssize_t n, vec factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        numbers[i] = numbers[i] * factor


cdef inline void enter_tile(vec* rows, Py_ssize_t n_rows, vec* rows_exponent, vec* columns, Py_ssize_t n_columns,
                            vec* tile_exponent) noexcept nogil:
    """Bring the state of the rows and that of the tile's columns to one exponent, the larger of the two."""
    cdef vec common
    if not any_differ(rows_exponent[0], tile_exponent[0]):
        return
    common = larger(rows_exponent[0], tile_exponent[0])
    if any_differ(common, tile_exponent[0]):
        scale_all(columns, n_columns, power_of_two(tile_exponent[0] - common))
        tile_exponent[0] = common
    scale_all(rows, n_rows, power_of_two(rows_exponent[0] - common))
    rows_exponent[0] = common


cdef inline void leave_tile(vec* rows, Py_ssize_t n_rows, Py_ssize_t n_judged, vec* rows_exponent, vec* columns,
                            Py_ssize_t n_columns, vec* tile_exponent) noexcept nogil:
    """Scale down what has grown large, judged by the first `n_judged` numbers of the rows' state."""
    cdef vec largest = magnitude(rows[0]), excess
    cdef Py_ssize_t i
    # Far enough from the end of the range for one more tile, whose products may be as large as squares.
    cdef double bound = 1.6069380442589903e60 if vec is vd else 4096.0
    for i in range(1, n_judged):
        largest = larger(largest, magnitude(rows[i]))
    if not any_above(largest, bound):
        return
    excess = exponent_of(largest)
    excess = larger(excess, excess - excess)
    scale_all(rows, n_rows, power_of_two(-excess))
    scale_all(columns, n_columns, power_of_two(-excess))
    tile_exponent[0] = tile_exponent[0] + excess
    rows_exponent[0] = tile_exponent[0]
