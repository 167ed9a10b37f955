"""The polynomial method for the Goursat problem of the signature kernel: one tile of the grid, forward and backward.

On the left edge of a cell, taken as [0, 1]^2, the solution is the polynomial a_0 + a_1 s + ... + a_N s^N, on its upper
edge b_0 + ... + b_N t^N. With the double increment r of the cell, and all powers above N cut off,

    right_p  = sum_{1 <= q <= p} a_q r^(p-q) q! / ((p-q)! p!) + sum_q b_q r^p q! / (p! (p+q)!)

is the polynomial on its right edge, the left edge of the next cell; the lower edge is the same with a and b exchanged.
The value at the cell's last corner is the mean of the sums of both.

Here the coefficients are multiplied by weights w_q = q! z^q, A_q = w_q a_q and so on, which turns one sum into a
convolution and the other into a product with a constant matrix that depends on p + q only:

    right_p = sum_{1 <= q <= p} A_q e_(p-q) + (z^2 r)^p sum_q h_(p+q) B_q,
    e_n = (z r)^n / n!,    h_n = z^-n / n!.

z is the power of two that keeps all weights within the range of float32 for every order; it changes no rounding.

Both edges are computed together, several powers at a time, so that each constant loaded serves several multiply-adds.
The derivative of an edge with respect to r needs nothing but the two sums: the sweep before the adjoint keeps it, and
the adjoint, which is linear, needs no values.
"""

from .lanes cimport vec
from .signature_kernel_plan cimport COLUMNS, ROWS
from .signature_kernel_sweep cimport SLOPES, VALUES, Kept, times

cdef enum:
    MAX_COEFFICIENTS = 65        # of an edge
    AT_ONCE = 4                  # powers that are computed together

    # Constants, in vectors so that one code serves both types.
    Z = 0                        # z / n
    SLOPE = 65                   # n z^2
    CORNER = 130                 # weights of a corner's value, 1 / (2 w_n)
    HANKEL = 195                 # h_n, n up to twice the order
    N_CONSTANTS = 324


cdef inline void make_constants(int order, vec one, vec* c) noexcept nogil:
    """c (N_CONSTANTS): what the sweeps of this order and all lower ones need, made from a vector of ones."""
    cdef double z = 1, h = 1, weight = 1
    cdef int n
    # About e / N, so that N! z^N is about 1.
    while z * (order + 1) > 3.5:
        z *= 0.5
    for n in range(2 * order + 1):
        c[HANKEL + n] = times(one, h)
        h /= z * (n + 1)
    for n in range(order + 1):
        c[Z + n] = times(one, z / max(n, 1))
        c[SLOPE + n] = times(one, n * z * z)
        c[CORNER + n] = times(one, 0.5 / weight)
        weight *= z * (n + 1)


cdef inline void powers(vec r, const vec* z, vec* e, const int order) noexcept nogil:
    """e[n] = (z r)^n / n!, 1 <= n < order, from z[n] = z / n."""
    cdef int n
    e[1] = r * z[1]
    for n in range(2, order):
        e[n] = e[n - 1] * (r * z[n])


cdef inline void hankel(const vec* A, const vec* B, const vec* h, const int n, vec* a, vec* b,
                        const int width) noexcept nogil:
    """a[i] = sum_q h[i + q] A[q], b[i] = sum_q h[i + q] B[q], q < n, i < width."""
    cdef int i, q
    cdef vec x = A[0], y = B[0]
    for i in range(width):
        a[i] = h[i] * x
        b[i] = h[i] * y
    for q in range(1, n):
        x = A[q]
        y = B[q]
        for i in range(width):
            a[i] = a[i] + h[i + q] * x
            b[i] = b[i] + h[i + q] * y


cdef inline void edges(const vec* A, const vec* B, const vec* e, const vec* c, vec x, vec* carry, const int p,
                       vec* right,
                       vec* lower, vec* slopes, const int order, const int width, const bint keep) noexcept nogil:
    """Powers p .. p + width - 1 of both edges, and if `keep` their derivatives with respect to r: slopes (order, 2).

    x = z^2 r. carry goes from block to block: x^(p-1) (1 for p = 0), and z times the convolutions of power p - 1.
    """
    cdef int i, q, j
    cdef vec a[AT_ONCE]
    cdef vec b[AT_ONCE]
    cdef vec u[AT_ONCE]
    cdef vec v[AT_ONCE]
    cdef vec s, t
    hankel(A, B, c + HANKEL + p, order + 1, a, b, width)
    for i in range(width):
        u[i] = A[p + i]
        v[i] = B[p + i]
    if p == 0:
        # Constants enter through the other edge only.
        u[0] = x - x
        v[0] = u[0]
    for q in range(1, p):
        s = A[q]
        t = B[q]
        for i in range(width):
            u[i] = u[i] + e[p + i - q] * s
            v[i] = v[i] + e[p + i - q] * t
    for j in range(1 if p == 0 else 0, width - 1):
        s = A[p + j]
        t = B[p + j]
        for i in range(j + 1, width):
            u[i] = u[i] + e[i - j] * s
            v[i] = v[i] + e[i - j] * t
    for i in range(width):
        if p + i > 0:
            if keep:
                s = carry[0] * c[SLOPE + p + i]
                slopes[2 * (p + i) - 2] = carry[1] + s * b[i]
                slopes[2 * (p + i) - 1] = carry[2] + s * a[i]
            carry[0] = carry[0] * x
        right[p + i] = u[i] + carry[0] * b[i]
        lower[p + i] = v[i] + carry[0] * a[i]
        if keep:
            carry[1] = u[i] * c[Z + 1]
            carry[2] = v[i] * c[Z + 1]


cdef inline void cell(vec* A, vec* B, vec r, const vec* c, vec* slopes, const int order,
                      const bint keep) noexcept nogil:
    """From the left and the upper edge of a cell to the right and the lower one, in place."""
    cdef vec a[MAX_COEFFICIENTS]
    cdef vec b[MAX_COEFFICIENTS]
    cdef vec e[MAX_COEFFICIENTS]
    cdef vec carry[3]
    cdef vec x = r * c[SLOPE + 1]
    cdef int p
    for p in range(order + 1):
        a[p] = A[p]
        b[p] = B[p]
    powers(r, c + Z, e, order)
    carry[0] = c[HANKEL]
    # One by one, so that each is compiled for its place when the order is known.
    if order >= 3:
        edges(a, b, e, c, x, carry, 0, A, B, slopes, order, AT_ONCE, keep)
    if order >= 7:
        edges(a, b, e, c, x, carry, 4, A, B, slopes, order, AT_ONCE, keep)
    if order >= 11:
        edges(a, b, e, c, x, carry, 8, A, B, slopes, order, AT_ONCE, keep)
    for p in range(3, (order + 1) // AT_ONCE):
        edges(a, b, e, c, x, carry, p * AT_ONCE, A, B, slopes, order, AT_ONCE, keep)
    p = (order + 1) // AT_ONCE * AT_ONCE
    if order % AT_ONCE == 0:
        edges(a, b, e, c, x, carry, p, A, B, slopes, order, 1, keep)
    elif order % AT_ONCE == 1:
        edges(a, b, e, c, x, carry, p, A, B, slopes, order, 2, keep)
    elif order % AT_ONCE == 2:
        edges(a, b, e, c, x, carry, p, A, B, slopes, order, 3, keep)


cdef inline vec corner(const vec* A, const vec* B, const vec* c, const int order) noexcept nogil:
    """Value at the last corner, from the right and the lower edge of a cell."""
    cdef const vec* weights = c + CORNER
    cdef vec value = (A[0] + B[0]) * weights[0]
    cdef int p
    for p in range(1, order + 1):
        value = value + (A[p] + B[p]) * weights[p]
    return value


cdef inline void sweep_polynomial(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* c, vec* columns,
                                  vec* rows, vec* kept, Py_ssize_t stride, const int order,
                                  const Kept keep) noexcept nogil:
    """`n_rows` rows over one tile.

    cells (ROWS, COLUMNS). c: `make_constants`. columns (n_columns, stride): upper edges of the tile, then the lower
    ones. rows (ROWS, stride): left edges, then right ones. kept: slopes (n_columns, ROWS, order, 2) or values
    (n_columns, ROWS).
    """
    cdef Py_ssize_t t, q
    for t in range(n_columns):
        for q in range(n_rows):
            cell(rows + q * stride, columns + t * stride, cells[q * COLUMNS + t], c,
                 kept + 2 * order * (ROWS * t + q), order, keep == SLOPES)
            if keep == VALUES:
                kept[ROWS * t + q] = corner(rows + q * stride, columns + t * stride, c, order)


cdef inline void edges_backprop(const vec* A, const vec* B, const vec* U, const vec* V, const vec* e, const vec* c,
                                const int p, vec* left, vec* upper, const int order, const int width) noexcept nogil:
    """Adjoint of `edges`: coefficients p .. p + width - 1 of both.

    A, B: derivatives with respect to the right and the lower edge; U, V: with factors x^n.
    """
    cdef int i, q, j
    cdef vec a[AT_ONCE]
    cdef vec b[AT_ONCE]
    cdef vec s, t
    hankel(U, V, c + HANKEL + p, order + 1, b, a, width)
    for i in range(width):
        if p + i > 0:
            a[i] = a[i] + A[p + i]
            b[i] = b[i] + B[p + i]
    for j in range(1, width):
        s = A[p + j]
        t = B[p + j]
        for i in range(1 if p == 0 else 0, j):
            a[i] = a[i] + e[j - i] * s
            b[i] = b[i] + e[j - i] * t
    for q in range(p + width, order + 1):
        s = A[q]
        t = B[q]
        for i in range(1 if p == 0 else 0, width):
            a[i] = a[i] + e[q - p - i] * s
            b[i] = b[i] + e[q - p - i] * t
    for i in range(width):
        left[p + i] = a[i]
        upper[p + i] = b[i]


cdef inline vec cell_backprop(vec* A, vec* B, vec r, const vec* slopes, const vec* c, const int order) noexcept nogil:
    """Adjoint of `cell`, in place; returns the derivative with respect to r."""
    cdef vec a[MAX_COEFFICIENTS]
    cdef vec b[MAX_COEFFICIENTS]
    cdef vec u[MAX_COEFFICIENTS]
    cdef vec v[MAX_COEFFICIENTS]
    cdef vec e[MAX_COEFFICIENTS]
    cdef vec x = r * c[SLOPE + 1], power = c[HANKEL], d_r = A[1] * slopes[0], other = B[1] * slopes[1]
    cdef int p
    for p in range(order + 1):
        a[p] = A[p]
        b[p] = B[p]
        u[p] = power * a[p]
        v[p] = power * b[p]
        power = power * x
    for p in range(2, order + 1):
        d_r = d_r + a[p] * slopes[2 * p - 2]
        other = other + b[p] * slopes[2 * p - 1]
    powers(r, c + Z, e, order)
    if order >= 3:
        edges_backprop(a, b, u, v, e, c, 0, A, B, order, AT_ONCE)
    if order >= 7:
        edges_backprop(a, b, u, v, e, c, 4, A, B, order, AT_ONCE)
    if order >= 11:
        edges_backprop(a, b, u, v, e, c, 8, A, B, order, AT_ONCE)
    for p in range(3, (order + 1) // AT_ONCE):
        edges_backprop(a, b, u, v, e, c, p * AT_ONCE, A, B, order, AT_ONCE)
    p = (order + 1) // AT_ONCE * AT_ONCE
    if order % AT_ONCE == 0:
        edges_backprop(a, b, u, v, e, c, p, A, B, order, 1)
    elif order % AT_ONCE == 1:
        edges_backprop(a, b, u, v, e, c, p, A, B, order, 2)
    elif order % AT_ONCE == 2:
        edges_backprop(a, b, u, v, e, c, p, A, B, order, 3)
    return d_r + other


cdef inline void corner_backprop(vec seed, vec* A, vec* B, const vec* c, const int order) noexcept nogil:
    """Adjoint of `corner`, added to A and B."""
    cdef const vec* weights = c + CORNER
    cdef int p
    for p in range(order + 1):
        A[p] = A[p] + seed * weights[p]
        B[p] = B[p] + seed * weights[p]


cdef inline void sweep_polynomial_backprop(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* c,
                                           const vec* slopes, const vec* seeds, const bint seeded, vec factor,
                                           vec* columns, vec* rows, vec* d_cells, Py_ssize_t stride,
                                           const int order) noexcept nogil:
    """Adjoint of `sweep_polynomial`, from the last cell to the first.

    columns, rows: derivatives with respect to lower and right edges, then upper and left ones. seeds (n_columns, ROWS):
    derivatives with respect to values, if `seeded`. d_cells (ROWS, COLUMNS): `factor` times those with respect to r.
    """
    cdef Py_ssize_t t, q
    for t in range(n_columns - 1, -1, -1):
        for q in range(n_rows - 1, -1, -1):
            if seeded:
                corner_backprop(seeds[ROWS * t + q], rows + q * stride, columns + t * stride, c, order)
            d_cells[q * COLUMNS + t] = factor * cell_backprop(
                rows + q * stride, columns + t * stride, cells[q * COLUMNS + t],
                slopes + 2 * order * (ROWS * t + q), c, order)
