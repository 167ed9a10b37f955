"""Finite differences for the Goursat problem of the signature kernel: one tile of the grid, forward and backward.

A cell with double increment G, cut into 2^(order1 + order2) equal parts, takes the values at three corners to the
fourth (p is G / 2^(order1 + order2)):

    K11 = (K10 + K01) (1 + p/2 + p^2/12) - K00 (1 - p^2/12).

Here it is written in q = p / sqrt(12), which makes the two coefficients g = q^2 and h = sqrt(3) q + g, and in
differences D = K01 - K00 along a row instead of values:

    D' = D + g K00 + h K10 + h K01,    K11 = K10 + D'.

That is fewer operations, and exact where the textbook form loses digits: increments of k are small, and here they are
never the difference of two large numbers. Memory holds one row of differences; ROWS rows at a time go over it with
their values in registers.

The adjoint has the same form. With L the derivatives with respect to the values K, and E = L[j] - L[j + 1] their
differences along a row,

    E[i][j] = E[i+1][j] + h[i-1][j] L[i][j+1] + h[i][j-1] L[i+1][j] + g[i][j] L[i+1][j+1],
    dF/dq of a cell = L11 ((K10 + K01) sqrt(3) + 2 q (K10 + K01 + K00)) = sqrt(3) L11 * slope.
"""

from .lanes cimport vd, vec
from .signature_kernel_plan cimport COLUMNS, ROWS

cdef enum Kept:
    NOTHING
    SLOPES
    VALUES


cdef inline vec times(vec v, double c) noexcept nogil:
    """v * c, for a constant c."""
    if vec is vd:
        return v * c
    else:
        return v * <float>c


cdef inline void sweep_tile(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vec* D, vec* k,
                            vec* kept,
                            Kept keep) noexcept nogil:
    """ROWS rows over one tile.

    cells (ROWS >> shift, COLUMNS): q of every cell. D (n_cells * repeat): differences of the row above, then of the
    last row. k (ROWS + 1): values at the left edge of the tile, then at the right edge, of the ROWS rows; k[ROWS]
    those of the row above. kept (n_cells * repeat, ROWS): slopes, or the new values.
    """
    cdef const vec* c0 = cells
    cdef const vec* c1 = cells + (1 >> shift) * COLUMNS
    cdef const vec* c2 = cells + (2 >> shift) * COLUMNS
    cdef const vec* c3 = cells + (3 >> shift) * COLUMNS
    cdef vec k0 = k[0], k1 = k[1], k2 = k[2], k3 = k[3], top = k[4]
    cdef vec q0, q1, q2, q3, g0, g1, g2, g3, h0, h1, h2, h3, D0, new0, new1, new2, new3, new_top, s0, s1, s2, s3
    cdef Py_ssize_t t, _s, j = 0
    for t in range(n_cells):
        q0, q1, q2, q3 = c0[t], c1[t], c2[t], c3[t]
        g0, g1, g2, g3 = q0 * q0, q1 * q1, q2 * q2, q3 * q3
        h0 = g0 + times(q0, 1.7320508075688772)
        h1 = g1 + times(q1, 1.7320508075688772)
        h2 = g2 + times(q2, 1.7320508075688772)
        h3 = g3 + times(q3, 1.7320508075688772)
        for _s in range(repeat):
            D0 = D[j]
            new_top = top + D0
            # The value left of the cell comes from the column before, that above it from just now: it comes last.
            D0 = ((D0 + top * g0) + k0 * h0) + new_top * h0
            new0 = k0 + D0
            D0 = ((D0 + k0 * g1) + k1 * h1) + new0 * h1
            new1 = k1 + D0
            D0 = ((D0 + k1 * g2) + k2 * h2) + new1 * h2
            new2 = k2 + D0
            D0 = ((D0 + k2 * g3) + k3 * h3) + new2 * h3
            new3 = k3 + D0
            D[j] = D0
            if keep == SLOPES:
                s0 = k0 + new_top
                s1 = k1 + new0
                s2 = k2 + new1
                s3 = k3 + new2
                kept[ROWS * j] = s0 + times(q0, 1.1547005383792517) * (s0 + top)
                kept[ROWS * j + 1] = s1 + times(q1, 1.1547005383792517) * (s1 + k0)
                kept[ROWS * j + 2] = s2 + times(q2, 1.1547005383792517) * (s2 + k1)
                kept[ROWS * j + 3] = s3 + times(q3, 1.1547005383792517) * (s3 + k2)
            elif keep == VALUES:
                kept[ROWS * j], kept[ROWS * j + 1], kept[ROWS * j + 2], kept[ROWS * j + 3] = new0, new1, new2, new3
            top, k0, k1, k2, k3 = new_top, new0, new1, new2, new3
            j += 1
    k[0], k[1], k[2], k[3], k[4] = k0, k1, k2, k3, top


cdef inline void sweep_tile_backprop(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat,
                                     const vec* slopes,
                                     const vec* seeds, bint seeded, vec factor, vec* E, vec* rows, vec* d_cells,
                                     bint accumulate) noexcept nogil:
    """Adjoint of `sweep_tile`, from the last column to the first.

    E (n_cells * repeat): differences of derivatives in the row below the tile, then in its top row. rows (3, ROWS): L,
    h L and g L of the column to the right, then of the first column. seeds (n_cells * repeat, ROWS): what is added to
    L, if `seeded`. d_cells (ROWS >> shift, COLUMNS): `factor` times L11 * slope, summed over the parts of a cell; it is
    added to what is there with `accumulate`.
    """
    cdef const vec* c0 = cells
    cdef const vec* c1 = cells + (1 >> shift) * COLUMNS
    cdef const vec* c2 = cells + (2 >> shift) * COLUMNS
    cdef const vec* c3 = cells + (3 >> shift) * COLUMNS
    cdef vec L0 = rows[0], L1 = rows[1], L2 = rows[2], L3 = rows[3]
    cdef vec hL0 = rows[4], hL1 = rows[5], hL2 = rows[6], hL3 = rows[7]
    cdef vec gL0 = rows[8], gL1 = rows[9], gL2 = rows[10], gL3 = rows[11]
    cdef vec q, g0, g1, g2, g3, h0, h1, h2, h3, below, e, d0, d1, d2, d3
    cdef Py_ssize_t t, part, j = n_cells * repeat
    for t in range(n_cells - 1, -1, -1):
        q = c0[t]
        g0 = q * q
        h0 = g0 + times(q, 1.7320508075688772)
        q = c1[t]
        g1 = q * q
        h1 = g1 + times(q, 1.7320508075688772)
        q = c2[t]
        g2 = q * q
        h2 = g2 + times(q, 1.7320508075688772)
        q = c3[t]
        g3 = q * q
        h3 = g3 + times(q, 1.7320508075688772)
        for part in range(repeat - 1, -1, -1):
            j -= 1
            e = E[j] + hL3
            if seeded:
                e = e + seeds[ROWS * j + 3]
            L3 = L3 + e
            hL3 = h3 * L3
            below = (e + gL3) + hL3
            gL3 = g3 * L3
            d3 = L3 * slopes[ROWS * j + 3] if part == repeat - 1 else d3 + L3 * slopes[ROWS * j + 3]

            e = below + hL2
            if seeded:
                e = e + seeds[ROWS * j + 2]
            L2 = L2 + e
            hL2 = h2 * L2
            below = (e + gL2) + hL2
            gL2 = g2 * L2
            d2 = L2 * slopes[ROWS * j + 2] if part == repeat - 1 else d2 + L2 * slopes[ROWS * j + 2]

            e = below + hL1
            if seeded:
                e = e + seeds[ROWS * j + 1]
            L1 = L1 + e
            hL1 = h1 * L1
            below = (e + gL1) + hL1
            gL1 = g1 * L1
            d1 = L1 * slopes[ROWS * j + 1] if part == repeat - 1 else d1 + L1 * slopes[ROWS * j + 1]

            e = below + hL0
            if seeded:
                e = e + seeds[ROWS * j]
            L0 = L0 + e
            hL0 = h0 * L0
            below = (e + gL0) + hL0
            gL0 = g0 * L0
            d0 = L0 * slopes[ROWS * j] if part == repeat - 1 else d0 + L0 * slopes[ROWS * j]
            E[j] = below
        if shift == 2:
            d0 = (d0 + d1) + (d2 + d3)
        elif shift == 1:
            d0 = d0 + d1
            d1 = d2 + d3
        if accumulate:
            d_cells[t] = d_cells[t] + d0 * factor
        else:
            d_cells[t] = d0 * factor
        if shift < 2:
            d_cells[COLUMNS + t] = d1 * factor
        if shift == 0:
            d_cells[2 * COLUMNS + t] = d2 * factor
            d_cells[3 * COLUMNS + t] = d3 * factor
    rows[0], rows[1], rows[2], rows[3] = L0, L1, L2, L3
    rows[4], rows[5], rows[6], rows[7] = hL0, hL1, hL2, hL3
    rows[8], rows[9], rows[10], rows[11] = gL0, gL1, gL2, gL3
