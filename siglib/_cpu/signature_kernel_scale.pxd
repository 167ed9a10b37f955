"""Powers of two: how kernels far beyond the range of floating-point numbers are carried through the grid.

Everything that a tile works on is true * 2^-e, with one exponent e for each tile of columns and each lane. The numbers
of the rows take over the exponent of the tile that they enter; a tile that they leave too large is scaled down. One
exponent for a whole row would not do: in one block of rows the kernel can grow from 1 to beyond the range.

Recurrences are linear in their state, so scaling is all there is to it. The powers are exact, and the check costs a
few instructions per tile. A lane is scaled by its own numbers only, whatever pairs are in the others.

Where cells are large, one exponent for a tile does not do either: numbers overflow within it, or what comes in from the
left vanishes beside the rest of the tile, though it may be all that counts some rows further down. The first shows in
the result, which is not finite; the second is noted here, in `lost`. Such pairs are swept again (`Scaling`).
"""

from .lane_exponents cimport any_above, any_differ, exponent_above, gone, larger, magnitude, power_of_two
from .lanes cimport vd, vec


cdef struct Edge:
    # Which numbers of the rows' state stand for values at the edge of a tile.
    Py_ssize_t n, stride


cdef inline double bound_of(const vec* tag) noexcept nogil:
    """Far enough from the end of the range for one more tile, whose products may be as large as squares."""
    return 1.6069380442589903e60 if vec is vd else 4096.0


cdef inline double least_of(const vec* tag) noexcept nogil:
    """Beside numbers of about 1, smaller values than that cannot be carried on with all their digits."""
    return 1e-270 if vec is vd else 1e-30


cdef inline void scale_all(vec* numbers, Py_ssize_t n, vec factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        numbers[i] = numbers[i] * factor


cdef inline void scale_rows(vec* rows, Py_ssize_t n, Edge edge, vec factor, vec* lost) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(edge.n):
        lost[0] = larger(gone(rows[i * edge.stride], rows[i * edge.stride] * factor, least_of(rows)), lost[0])
    scale_all(rows, n, factor)


cdef inline void enter_tile(vec* rows, Py_ssize_t n_rows, Edge edge, vec* rows_exponent, vec* columns,
                            Py_ssize_t n_columns, vec* tile_exponent, vec* lost) noexcept nogil:
    """Bring the state of the rows and that of the tile's columns to one exponent, the larger of the two.

    lost: becomes 1 in lanes that lose values at the edge of the tile.
    """
    cdef vec common
    if not any_differ(rows_exponent[0], tile_exponent[0]):
        return
    common = larger(rows_exponent[0], tile_exponent[0])
    if any_differ(common, tile_exponent[0]):
        scale_all(columns, n_columns, power_of_two(tile_exponent[0] - common))
        tile_exponent[0] = common
    scale_rows(rows, n_rows, edge, power_of_two(rows_exponent[0] - common), lost)
    rows_exponent[0] = common


cdef inline void leave_tile(vec* rows, Py_ssize_t n_rows, Py_ssize_t n_judged, Edge edge, vec* rows_exponent,
                            vec* columns, Py_ssize_t n_columns, vec* tile_exponent, vec* lost) noexcept nogil:
    """Scale down what has grown large, judged by the first `n_judged` numbers of the rows' state."""
    cdef vec largest = magnitude(rows[0]), excess
    cdef Py_ssize_t i
    for i in range(1, n_judged):
        largest = larger(largest, magnitude(rows[i]))
    if not any_above(largest, bound_of(rows)):
        return
    excess = exponent_above(largest, bound_of(rows))
    scale_rows(rows, n_rows, edge, power_of_two(-excess), lost)
    scale_all(columns, n_columns, power_of_two(-excess))
    tile_exponent[0] = tile_exponent[0] + excess
    rows_exponent[0] = tile_exponent[0]
