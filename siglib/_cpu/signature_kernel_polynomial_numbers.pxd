"""The polynomial method on one tile with an exponent for each coefficient: for cells as large as the format holds.

The powers of a large double increment are so far apart that one exponent for the polynomial on an edge does not serve.
Formulas and constants are those of `signature_kernel_polynomial.pxd`, numbers those of `signature_kernel_numbers.pxd`.
"""

from .lane_windows cimport copies_of
from .lanes cimport vd
from .signature_kernel_numbers cimport add_to, set_to, set_zeros, split, value_of
from .signature_kernel_plan cimport COLUMNS, ROWS
from .signature_kernel_polynomial cimport CORNER, HANKEL, MAX_COEFFICIENTS, SLOPE, Z
from .signature_kernel_sweep cimport SLOPES, VALUES, Kept


cdef inline void number_powers(const vd* r, const vd* c, vd* e, int order) noexcept nogil:
    """e[n] = (z r)^n / n!, 1 <= n < order, numbers."""
    cdef int n
    set_to(e + 2, r[0] * c[Z + 1], r[1])
    for n in range(2, order):
        set_to(e + 2 * n, e[2 * n - 2] * (r[0] * c[Z + n]), e[2 * n - 1] + r[1])


cdef inline void add_hankel(const vd* A, const vd* h, int order, vd* n) noexcept nogil:
    """n += sum_q h[q] A[q]."""
    cdef int q
    for q in range(order + 1):
        add_to(n, h[q] * A[2 * q], A[2 * q + 1])


cdef inline void number_cell(vd* A, vd* B, vd increment, const vd* c, vd* slopes, int order,
                             bint keep) noexcept nogil:
    """`cell` with numbers in A, B and slopes."""
    cdef vd a[2 * MAX_COEFFICIENTS]
    cdef vd b[2 * MAX_COEFFICIENTS]
    cdef vd e[2 * MAX_COEFFICIENTS]
    cdef vd r[2]
    cdef vd power[2]
    cdef vd across[4]           # sums of the other edge, for the right and the lower one
    cdef vd along[4]            # sums of the opposite edge
    cdef vd last[4]
    cdef vd zero = copies_of(0, A), factor
    cdef int p, q, i
    for i in range(2 * (order + 1)):
        a[i] = A[i]
        b[i] = B[i]
    split(increment, r)
    number_powers(r, c, e, order)
    power[0], power[1] = copies_of(1, A), zero
    set_zeros(last, 2)
    for p in range(order + 1):
        set_zeros(across, 2)
        set_zeros(along, 2)
        add_hankel(b, c + HANKEL + p, order, across)
        add_hankel(a, c + HANKEL + p, order, across + 2)
        if p > 0:
            # Constants enter through the other edge only.
            add_to(along, a[2 * p], a[2 * p + 1])
            add_to(along + 2, b[2 * p], b[2 * p + 1])
            for q in range(1, p):
                add_to(along, e[2 * (p - q)] * a[2 * q], e[2 * (p - q) + 1] + a[2 * q + 1])
                add_to(along + 2, e[2 * (p - q)] * b[2 * q], e[2 * (p - q) + 1] + b[2 * q + 1])
            if keep:
                factor = power[0] * c[SLOPE + p]
                for i in range(2):
                    add_to(last + 2 * i, factor * across[2 * i], power[1] + across[2 * i + 1])
                    slopes[2 * (2 * p - 2 + i)], slopes[2 * (2 * p - 2 + i) + 1] = last[2 * i], last[2 * i + 1]
            set_to(power, power[0] * (r[0] * c[SLOPE + 1]), power[1] + r[1])
        for i in range(2):
            set_to(last + 2 * i, along[2 * i] * c[Z + 1], along[2 * i + 1])
            add_to(along + 2 * i, power[0] * across[2 * i], power[1] + across[2 * i + 1])
        A[2 * p], A[2 * p + 1] = along[0], along[1]
        B[2 * p], B[2 * p + 1] = along[2], along[3]


cdef inline void number_corner(const vd* A, const vd* B, const vd* c, int order, vd* n) noexcept nogil:
    """n = `corner` of numbers."""
    set_zeros(n, 1)
    add_hankel(A, c + CORNER, order, n)
    add_hankel(B, c + CORNER, order, n)


cdef inline void number_corner_backprop(vd seed, vd* A, vd* B, const vd* c, int order) noexcept nogil:
    """Its adjoint, added to A and B."""
    cdef vd n[2]
    cdef int p
    set_to(n, seed, copies_of(0, A))
    for p in range(order + 1):
        add_to(A + 2 * p, n[0] * c[CORNER + p], n[1])
        add_to(B + 2 * p, n[0] * c[CORNER + p], n[1])


cdef inline void sweep_polynomial_numbers(const vd* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vd* c,
                                          vd* columns, vd* rows, vd* kept, Py_ssize_t stride, int order,
                                          Kept keep) noexcept nogil:
    """`sweep_polynomial` with numbers in columns, rows and, if they are slopes, in kept."""
    cdef vd n[2]
    cdef Py_ssize_t t, q
    for t in range(n_columns):
        for q in range(n_rows):
            number_cell(rows + q * stride, columns + t * stride, cells[q * COLUMNS + t], c,
                        kept + 4 * order * (ROWS * t + q), order, keep == SLOPES)
            if keep == VALUES:
                number_corner(rows + q * stride, columns + t * stride, c, order, n)
                kept[ROWS * t + q] = value_of(n[0], n[1])


cdef inline void number_cell_backprop(vd* A, vd* B, vd increment, const vd* slopes, const vd* c, int order,
                                      vd* d_r) noexcept nogil:
    """`cell_backprop` with numbers; d_r, a number, becomes the derivative with respect to the cell's coefficient."""
    cdef vd a[2 * MAX_COEFFICIENTS]
    cdef vd b[2 * MAX_COEFFICIENTS]
    cdef vd u[2 * MAX_COEFFICIENTS]
    cdef vd v[2 * MAX_COEFFICIENTS]
    cdef vd e[2 * MAX_COEFFICIENTS]
    cdef vd r[2]
    cdef vd power[2]
    cdef int p, q, i
    split(increment, r)
    number_powers(r, c, e, order)
    power[0], power[1] = copies_of(1, A), copies_of(0, A)
    set_zeros(d_r, 1)
    for p in range(order + 1):
        for i in range(2 * p, 2 * p + 2):
            a[i] = A[i]
            b[i] = B[i]
        set_to(u + 2 * p, power[0] * a[2 * p], power[1] + a[2 * p + 1])
        set_to(v + 2 * p, power[0] * b[2 * p], power[1] + b[2 * p + 1])
        set_to(power, power[0] * (r[0] * c[SLOPE + 1]), power[1] + r[1])
        if p > 0:
            i = 2 * (2 * p - 2)
            add_to(d_r, a[2 * p] * slopes[i], a[2 * p + 1] + slopes[i + 1])
            add_to(d_r, b[2 * p] * slopes[i + 2], b[2 * p + 1] + slopes[i + 3])
    set_zeros(A, order + 1)
    set_zeros(B, order + 1)
    for p in range(order + 1):
        add_hankel(v, c + HANKEL + p, order, A + 2 * p)
        add_hankel(u, c + HANKEL + p, order, B + 2 * p)
        if p > 0:
            add_to(A + 2 * p, a[2 * p], a[2 * p + 1])
            add_to(B + 2 * p, b[2 * p], b[2 * p + 1])
            for q in range(p + 1, order + 1):
                add_to(A + 2 * p, e[2 * (q - p)] * a[2 * q], e[2 * (q - p) + 1] + a[2 * q + 1])
                add_to(B + 2 * p, e[2 * (q - p)] * b[2 * q], e[2 * (q - p) + 1] + b[2 * q + 1])


cdef inline void sweep_polynomial_numbers_backprop(const vd* cells, Py_ssize_t n_rows, Py_ssize_t n_columns,
                                                   const vd* c, const vd* slopes, const vd* seeds, bint seeded,
                                                   vd final_exponent, vd* columns, vd* rows, vd* d_cells,
                                                   Py_ssize_t stride, int order) noexcept nogil:
    """`sweep_polynomial_backprop` with numbers in columns, rows and slopes, for derivatives over 2^final_exponent."""
    cdef vd d_r[2]
    cdef Py_ssize_t t, q
    for t in range(n_columns - 1, -1, -1):
        for q in range(n_rows - 1, -1, -1):
            if seeded:
                number_corner_backprop(seeds[ROWS * t + q], rows + q * stride, columns + t * stride, c, order)
            number_cell_backprop(rows + q * stride, columns + t * stride, cells[q * COLUMNS + t],
                                 slopes + 4 * order * (ROWS * t + q), c, order, d_r)
            d_cells[q * COLUMNS + t] = value_of(d_r[0], d_r[1] - final_exponent)
