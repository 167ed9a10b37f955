"""Numbers with an exponent each: the finite differences of one tile for cells as large as the format holds.

A *number* is two vectors, m and e, and stands for m * 2^e, with |m| in [1, 2) or 0 and any whole e, lane by lane.
Everything that the sweep carries on is such a number, so nothing overflows and nothing vanishes beside what is larger,
whatever the cells are. That takes about ten times as long as one exponent for a whole tile: it serves pairs for which
that has failed (`signature_kernel_scale.pxd`), in float64 only, as pairs of float32 are taken there before.

The recurrences are those of `signature_kernel_sweep.pxd`.
"""

from .lane_exponents cimport exponent_of, larger, power_of_two, rounded_half, unless_zero
from .lane_windows cimport copies_of
from .lanes cimport vd
from .signature_kernel_plan cimport COLUMNS, ROWS
from .signature_kernel_sweep cimport SLOPES, VALUES, Kept, times


cdef inline void settle(vd* n) noexcept nogil:
    """Bring m to [1, 2). The exponent of 0 is below all others."""
    cdef vd shift = exponent_of(n[0])
    n[1] = unless_zero(n[0], n[1] + shift, copies_of(-1e12, n))
    n[0] = n[0] * power_of_two(-shift)


cdef inline void set_to(vd* n, vd m, vd e) noexcept nogil:
    """n = m * 2^e."""
    n[0], n[1] = m, e
    settle(n)


cdef inline void add_to(vd* n, vd m, vd e) noexcept nogil:
    """n += m * 2^e."""
    cdef vd common = larger(n[1], e)
    set_to(n, n[0] * power_of_two(n[1] - common) + m * power_of_two(e - common), common)


cdef inline void set_zeros(vd* numbers, Py_ssize_t n) noexcept nogil:
    cdef vd zero = copies_of(0, numbers)
    cdef Py_ssize_t i
    for i in range(n):
        set_to(numbers + 2 * i, zero, zero)


cdef inline vd value_of(vd m, vd e) noexcept nogil:
    """m * 2^e as an ordinary number. In two steps: the power alone may be beyond the range when the value is not."""
    cdef vd half = rounded_half(e)
    return m * power_of_two(half) * power_of_two(e - half)


cdef inline void split(vd q, vd* n) noexcept nogil:
    """n = q, |m| in [1, 2) where |q| >= 1, and e = 0 elsewhere."""
    cdef vd e = exponent_of(q)
    n[1] = larger(e, e - e)
    # 2^-1023 is below the range, so a factor of two comes first.
    n[0] = times(q, 0.5) * power_of_two(1 - n[1])


cdef inline void sweep_numbers(const vd* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vd* D, vd* k,
                               vd* kept, Kept keep) noexcept nogil:
    """`sweep_tile` with numbers in D, k and, if they are slopes, in kept."""
    cdef vd top[2]
    cdef vd corner[2]
    cdef vd left[2]
    cdef vd change[2]
    cdef vd q[2]
    cdef vd g, h, common, over, both
    cdef Py_ssize_t t, r, _s, j = 0
    for t in range(n_cells):
        for _s in range(repeat):
            change[0], change[1] = D[2 * j], D[2 * j + 1]
            corner[0], corner[1] = k[2 * ROWS], k[2 * ROWS + 1]
            top[0], top[1] = corner[0], corner[1]
            add_to(top, change[0], change[1])
            k[2 * ROWS], k[2 * ROWS + 1] = top[0], top[1]
            for r in range(ROWS):
                split(cells[(r >> shift) * COLUMNS + t], q)
                left[0], left[1] = k[2 * r], k[2 * r + 1]
                common = larger(larger(corner[1], left[1]), top[1])
                over = corner[0] * power_of_two(corner[1] - common)
                both = left[0] * power_of_two(left[1] - common) + top[0] * power_of_two(top[1] - common)
                if keep == SLOPES:
                    set_to(kept + 2 * (ROWS * j + r),
                           power_of_two(-q[1]) * both + times(q[0], 1.1547005383792517) * (both + over), q[1] + common)
                # Both over 2^(2 e), of the cell's e.
                g = q[0] * q[0]
                h = g + times(q[0], 1.7320508075688772) * power_of_two(-q[1])
                add_to(change, over * g + both * h, q[1] + q[1] + common)
                corner[0], corner[1] = left[0], left[1]
                add_to(left, change[0], change[1])
                k[2 * r], k[2 * r + 1] = left[0], left[1]
                top[0], top[1] = left[0], left[1]
                if keep == VALUES:
                    kept[ROWS * j + r] = value_of(left[0], left[1])
            D[2 * j], D[2 * j + 1] = change[0], change[1]
            j += 1


cdef inline void sweep_numbers_backprop(const vd* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat,
                                        const vd* slopes, const vd* seeds, bint seeded, vd final_exponent, vd* E,
                                        vd* rows, vd* d_cells, bint accumulate) noexcept nogil:
    """`sweep_tile_backprop` with numbers in E, rows and slopes, for derivatives over 2^final_exponent."""
    cdef vd* L = rows
    cdef vd* hL = rows + 2 * ROWS
    cdef vd* gL = rows + 4 * ROWS
    cdef vd e[2]
    cdef vd q[2]
    cdef vd d[ROWS]
    cdef vd g, h, zero = copies_of(0, rows)
    cdef Py_ssize_t t, r, _s, j = n_cells * repeat
    for t in range(n_cells - 1, -1, -1):
        d[0] = d[1] = d[2] = d[3] = zero
        for _s in range(repeat):
            j -= 1
            e[0], e[1] = E[2 * j], E[2 * j + 1]
            for r in range(ROWS - 1, -1, -1):
                split(cells[(r >> shift) * COLUMNS + t], q)
                g = q[0] * q[0]
                h = g + times(q[0], 1.7320508075688772) * power_of_two(-q[1])
                add_to(e, hL[2 * r], hL[2 * r + 1])
                if seeded:
                    add_to(e, seeds[ROWS * j + r], zero)
                add_to(L + 2 * r, e[0], e[1])
                set_to(hL + 2 * r, h * L[2 * r], q[1] + q[1] + L[2 * r + 1])
                add_to(e, gL[2 * r], gL[2 * r + 1])
                add_to(e, hL[2 * r], hL[2 * r + 1])
                set_to(gL + 2 * r, g * L[2 * r], q[1] + q[1] + L[2 * r + 1])
                d[r >> shift] = d[r >> shift] + value_of(
                    times(L[2 * r] * slopes[2 * (ROWS * j + r)], 1.7320508075688772),
                    L[2 * r + 1] + slopes[2 * (ROWS * j + r) + 1] - final_exponent)
            E[2 * j], E[2 * j + 1] = e[0], e[1]
        for r in range(ROWS >> shift):
            d_cells[r * COLUMNS + t] = d_cells[r * COLUMNS + t] + d[r] if accumulate else d[r]
