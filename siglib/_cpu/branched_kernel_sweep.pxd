"""Branched signature kernels on a grid, row by row in lanes, and the adjoint.

With K_0 = 1 the kernel of depth m is K_m = exp(I_m), where I_m sums over all cells above and to the left of a node, for
each cell its coefficient times the mean of K_(m-1) at its corners. All depths go along a row together, so that one row
is all that is kept: I and K at node j, j = 0..columns, are the numbers j * depth + m - 1, m = 1..depth. Cells hold a
quarter of their coefficients, in tiles of ROWS x COLUMNS; a dyadic order repeats them.

A row can be taken off again: from I_1 come K_1 of the row above, from these I_2, and so on. So the adjoint needs no
more than a few rows either.
"""

from .lane_math cimport exp_lanes
from .lanes cimport vd, vec
from .signature_kernel_plan cimport COLUMNS, TILE

cdef enum:
    # Depths up to this have functions of their own.
    FEW = 4


cdef struct Row:
    # One refined row of cells.
    Py_ssize_t n_cells
    Py_ssize_t repeat            # columns of a cell
    Py_ssize_t depth
    Py_ssize_t q                 # which row of the tiles


cdef inline vec four(vec g) noexcept nogil:
    return (g + g) + (g + g)


cdef inline void sweep_nodes(const vec* cells, const Row* row, vec* sums, vec* values, vec* total, vec* old, vec* new,
                             vec* now, const Py_ssize_t depth) noexcept nogil:
    """sums (I) and values (K, of depth - 1 but for their place) of the row above become those of this one.

    total, old, new, now: `depth` vectors each.
    """
    cdef Py_ssize_t m, t, _k
    cdef vec g, c
    cdef vec* at = sums + depth
    cdef vec* k = values + depth
    for m in range(depth):
        total[m] = sums[0] - sums[0]
        old[m] = new[m] = values[0]
    for t in range(row.n_cells):
        g = cells[t // COLUMNS * TILE + row.q * COLUMNS + t % COLUMNS]
        for _k in range(row.repeat):
            for m in range(depth):
                c = four(g) if m == 0 else g * ((old[m - 1] + k[m - 1]) + (new[m - 1] + now[m - 1]))
                total[m] = total[m] + c
                at[m] = at[m] + total[m]
                if m < depth - 1:
                    now[m] = exp_lanes(at[m])
            for m in range(depth - 1):
                old[m] = k[m]
                new[m] = now[m]
                k[m] = now[m]
            at = at + depth
            k = k + depth


cdef inline void unsweep_nodes(const vec* cells, const Row* row, vec* sums, const vec* values, vec* above, vec* total,
                               const Py_ssize_t depth) noexcept nogil:
    """The inverse of `sweep_nodes`: sums become those of the row above, whose values go to `above`."""
    cdef Py_ssize_t m, t, _k
    cdef vec g, c
    cdef vec* at = sums + depth
    cdef vec* up = above + depth
    cdef const vec* k = values + depth
    for m in range(depth):
        total[m] = sums[0] - sums[0]
        above[m] = values[m]
    for t in range(row.n_cells):
        g = cells[t // COLUMNS * TILE + row.q * COLUMNS + t % COLUMNS]
        for _k in range(row.repeat):
            for m in range(depth):
                c = four(g) if m == 0 else g * ((up[m - 1 - depth] + up[m - 1]) + (k[m - 1 - depth] + k[m - 1]))
                total[m] = total[m] + c
                at[m] = at[m] - total[m]
                if m < depth - 1:
                    up[m] = exp_lanes(at[m])
            at = at + depth
            up = up + depth
            k = k + depth


cdef inline void sweep_nodes_backprop(const vec* cells, const Row* row, const vec* values, const vec* above,
                                      const vec* seeds, vec* columns, vec* weights, vec* d_cells, vec* total,
                                      vec* right, vec* below, vec* now, const Py_ssize_t depth) noexcept nogil:
    """Adjoint of a row: adds to d_cells.

    seeds: derivatives by I_depth at its nodes. columns: those by all I below in the same column, on return with this
    row. weights: the derivatives by cells' sums times cells of the row below, on return of this one; both like I.
    """
    cdef Py_ssize_t m, t, j = row.n_cells * row.repeat, _k, place
    cdef vec g, by_i, by_cell
    cdef vec* column = columns + j * depth
    cdef vec* w = weights + j * depth
    cdef const vec* k = values + j * depth
    cdef const vec* up = above + j * depth
    for m in range(depth):
        total[m] = right[m] = below[m] = columns[0] - columns[0]
    for t in range(row.n_cells - 1, -1, -1):
        place = t // COLUMNS * TILE + row.q * COLUMNS + t % COLUMNS
        g = cells[place]
        by_cell = d_cells[place]
        for _k in range(row.repeat):
            for m in range(depth - 1, -1, -1):
                if m == depth - 1:
                    by_i = seeds[j]
                else:
                    # A node is a corner of four cells.
                    by_i = k[m] * ((now[m + 1] + right[m + 1]) + (w[m + 1] + below[m + 1]))
                column[m] = column[m] + by_i
                total[m] = total[m] + column[m]
                now[m] = g * total[m]
                if m == 0:
                    by_cell = by_cell + four(total[m])
                else:
                    by_cell = by_cell + total[m] * ((up[m - 1 - depth] + up[m - 1]) + (k[m - 1 - depth] + k[m - 1]))
            for m in range(depth):
                right[m] = now[m]
                below[m] = w[m]
                w[m] = now[m]
            j -= 1
            column = column - depth
            w = w - depth
            k = k - depth
            up = up - depth
        d_cells[place] = by_cell


cdef inline void sweep_few(const vec* cells, const Row* row, vec* sums, vec* values,
                           const Py_ssize_t depth) noexcept nogil:
    cdef vec total[FEW]
    cdef vec old[FEW]
    cdef vec new[FEW]
    cdef vec now[FEW]
    sweep_nodes(cells, row, sums, values, total, old, new, now, depth)


cdef inline void unsweep_few(const vec* cells, const Row* row, vec* sums, const vec* values, vec* above,
                             const Py_ssize_t depth) noexcept nogil:
    cdef vec total[FEW]
    unsweep_nodes(cells, row, sums, values, above, total, depth)


cdef inline void sweep_few_backprop(const vec* cells, const Row* row, const vec* values, const vec* above,
                                    const vec* seeds, vec* columns, vec* weights, vec* d_cells,
                                    const Py_ssize_t depth) noexcept nogil:
    cdef vec total[FEW]
    cdef vec right[FEW]
    cdef vec below[FEW]
    cdef vec now[FEW]
    sweep_nodes_backprop(cells, row, values, above, seeds, columns, weights, d_cells, total, right, below, now, depth)
