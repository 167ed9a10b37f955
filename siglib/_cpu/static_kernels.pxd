"""Static kernels in lanes: from two paths to the coefficients of one tile of cells, and the adjoint.

The coefficient of a cell is `factor` times the double increment of the static kernel over it. For the linear kernel
that is an inner product of increments. The others are evaluated at points: every point once, with the row above and
the column to the left carried from tile to tile. Distances are sums of squared differences, which are right wherever
the paths are and exactly 0 where they meet.
"""

from libc.string cimport memset

from .lane_exponents cimport any_above, larger
from .lane_math cimport exp_lanes, log_lanes, sqrt_lanes
from .lanes cimport vd, vec
from .signature_kernel_plan cimport COLUMNS, ROWS

cdef enum:
    GIVEN = -1
    LINEAR = 0
    RBF = 1
    POLYNOMIAL = 2
    MATERN12 = 3
    MATERN32 = 4
    MATERN52 = 5
    RATIONAL_QUADRATIC = 6


cdef struct StaticKernel:
    int kind
    Py_ssize_t d
    double[3] parameters
    double factor
    bint whole                   # POLYNOMIAL: the degree is a whole number
    long degree
    bint* negative               # if not NULL, becomes True where the base of a broken power is negative


cdef inline StaticKernel make_static_kernel(int kind, Py_ssize_t d, const double* parameters, double factor,
                                            bint* negative) noexcept nogil:
    cdef StaticKernel s
    cdef int i
    s.kind = kind
    s.d = d
    s.factor = factor
    for i in range(3):
        s.parameters[i] = parameters[i]
    s.whole = kind == POLYNOMIAL and parameters[0] < 1e9 and parameters[0] == <double>(<long>parameters[0])
    s.degree = <long>parameters[0] if s.whole else 0
    s.negative = negative if kind == POLYNOMIAL and not s.whole else NULL
    return s


cdef inline vec scaled(vec v, double c) noexcept nogil:
    if vec is vd:
        return v * c
    else:
        return v * <float>c


cdef inline vec plus(vec v, double c) noexcept nogil:
    if vec is vd:
        return v + c
    else:
        return v + <float>c


cdef inline vec power(vec base, long n) noexcept nogil:
    """base^n by repeated squaring."""
    cdef vec result = plus(base * 0, 1)
    while n > 0:
        if n & 1:
            result = result * base
        base = base * base
        n >>= 1
    return result


cdef inline vec positive(vec v) noexcept nogil:
    """max(v, 0); NaN stays NaN."""
    return larger(v * 0, v)


cdef inline vec below_zero(const StaticKernel* s, vec a, vec most) noexcept nogil:
    """The larger of `most` and of how far the base of the power is below 0, for the inner products a."""
    return larger(-plus(a, s.parameters[1]), most)


cdef inline void note_negative(const StaticKernel* s, vec most) noexcept nogil:
    """Note whether some base was below 0."""
    if any_above(most, 0):
        s.negative[0] = True


cdef inline vec kappa_of(const StaticKernel* s, int kind, vec a) noexcept nogil:
    """The kernel's value from <x, y> (POLYNOMIAL) or |x - y|^2 (the others)."""
    cdef double p = s.parameters[0], alpha
    cdef vec u
    if kind == RBF:
        return exp_lanes(scaled(a, -1 / p))
    elif kind == POLYNOMIAL:
        a = plus(a, s.parameters[1])
        if s.whole:
            return scaled(power(a, s.degree), s.parameters[2])
        # A base that is not positive counts as 0.
        u = exp_lanes(scaled(log_lanes(plus(positive(a), 1e-37)), p))
        return scaled(u, s.parameters[2])
    elif kind == MATERN12:
        return exp_lanes(scaled(sqrt_lanes(a), -1 / p))
    elif kind == MATERN32:
        u = scaled(sqrt_lanes(a), 1.7320508075688772 / p)
        return plus(u, 1) * exp_lanes(-u)
    elif kind == MATERN52:
        u = scaled(sqrt_lanes(a), 2.23606797749979 / p)
        return (plus(u, 1) + scaled(u * u, 0.3333333333333333)) * exp_lanes(-u)
    else:
        alpha = s.parameters[1]
        return exp_lanes(scaled(log_lanes(plus(scaled(a, 1 / (2 * alpha * p * p)), 1)), -alpha))


cdef inline vec kappa_derivs_of(const StaticKernel* s, int kind, vec a, vec weight, vec* gp) noexcept nogil:
    """Adjoint of `kappa_of`: derivatives of a, times 2 for distances; adds those of the parameters to gp, if any."""
    cdef double p = s.parameters[0], alpha
    cdef vec u, e, k, root
    if kind == RBF:
        k = weight * exp_lanes(scaled(a, -1 / p))
        if gp != NULL:
            gp[0] = gp[0] + scaled(k * a, 1 / (p * p))
        return scaled(k, -2 / p)
    elif kind == POLYNOMIAL:
        u = plus(a, s.parameters[1])
        if s.whole:
            if s.degree == 0:
                e = u * 0
                k = plus(e, 1)
            else:
                e = power(u, s.degree - 1)
                k = e * u
                e = scaled(e, p)
            root = log_lanes(plus(positive(u), 1e-37))
        else:
            root = log_lanes(plus(positive(u), 1e-37))
            k = exp_lanes(scaled(root, p))
            e = scaled(exp_lanes(scaled(root, p - 1)), p)
            e = e * positive(u) / plus(positive(u), 1e-37)
        if gp != NULL:
            gp[0] = gp[0] + scaled(weight * k * root, s.parameters[2])
            gp[1] = gp[1] + scaled(weight * e, s.parameters[2])
            gp[2] = gp[2] + weight * k
        return scaled(weight * e, s.parameters[2])
    elif kind == MATERN12:
        root = sqrt_lanes(a)
        k = weight * exp_lanes(scaled(root, -1 / p))
        if gp != NULL:
            gp[0] = gp[0] + scaled(k * root, 1 / (p * p))
        # Where the points meet there is no derivative: 0 stands for it. root / a is 1 / root, and 0 there.
        return scaled(k * (root / plus(a, 1e-37)), -1 / p)
    elif kind == MATERN32:
        u = scaled(sqrt_lanes(a), 1.7320508075688772 / p)
        e = weight * exp_lanes(-u)
        if gp != NULL:
            gp[0] = gp[0] + scaled(e * u * u, 1 / p)
        return scaled(e, -3 / (p * p))
    elif kind == MATERN52:
        u = scaled(sqrt_lanes(a), 2.23606797749979 / p)
        e = weight * exp_lanes(-u)
        k = e * plus(u, 1)
        if gp != NULL:
            gp[0] = gp[0] + scaled(k * u * u, 1 / (3 * p))
        return scaled(k, -5 / (3 * p * p))
    else:
        alpha = s.parameters[1]
        u = plus(scaled(a, 1 / (2 * alpha * p * p)), 1)
        root = log_lanes(u)
        k = weight * exp_lanes(scaled(root, -alpha))
        e = k / u
        if gp != NULL:
            gp[0] = gp[0] + scaled(e * a, 1 / (p * p * p))
            gp[1] = gp[1] + k * (plus(u, -1) / u - root)
        return scaled(e, -1 / (p * p))


cdef inline void arguments(bint distance, const vec* x, const vec* y, Py_ssize_t d, vec* a) noexcept nogil:
    """a[q] = <x_q, y> or |x_q - y|^2 for four points x_q, one after the other."""
    cdef vec a0 = x[0] * 0, a1 = a0, a2 = a0, a3 = a0, u, v
    cdef Py_ssize_t c
    for c in range(d):
        v = y[c]
        if distance:
            u = x[c] - v
            a0 = a0 + u * u
            u = x[d + c] - v
            a1 = a1 + u * u
            u = x[2 * d + c] - v
            a2 = a2 + u * u
            u = x[3 * d + c] - v
            a3 = a3 + u * u
        else:
            a0 = a0 + x[c] * v
            a1 = a1 + x[d + c] * v
            a2 = a2 + x[2 * d + c] * v
            a3 = a3 + x[3 * d + c] * v
    a[0], a[1], a[2], a[3] = a0, a1, a2, a3


cdef inline vec argument(bint distance, const vec* x, const vec* y, Py_ssize_t d) noexcept nogil:
    """<x, y> or |x - y|^2."""
    cdef vec a = x[0] * 0, u
    cdef Py_ssize_t c
    for c in range(d):
        if distance:
            u = x[c] - y[c]
            a = a + u * u
        else:
            a = a + x[c] * y[c]
    return a


cdef inline void fill_points(const StaticKernel* s, int kind, const vec* x, const vec* y, Py_ssize_t row,
                             Py_ssize_t n_rows, Py_ssize_t col, Py_ssize_t n_cols, vec* above, vec* left,
                             vec* cells) noexcept nogil:
    cdef bint distance = kind != POLYNOMIAL
    cdef Py_ssize_t t, q, d = s.d
    cdef bint watched = kind == POLYNOMIAL and s.negative != NULL
    cdef vec a[4]
    cdef vec old0, old1, old2, old3, old4, new0, new1, new2, new3, new4, most
    memset(&most, 0, sizeof(vec))
    if row == 0:
        for t in range(-1 if col == 0 else 0, n_cols):
            new0 = argument(distance, x, y + (col + t + 1) * d, d)
            above[col + t + 1] = kappa_of(s, kind, new0)
            if watched:
                most = below_zero(s, new0, most)
    if col == 0:
        left[0] = above[0]
        for q in range(1, n_rows + 1):
            new0 = argument(distance, x + (row + q) * d, y, d)
            left[q] = kappa_of(s, kind, new0)
            if watched:
                most = below_zero(s, new0, most)
        for q in range(n_rows + 1, ROWS + 1):
            left[q] = left[n_rows]
        above[0] = left[n_rows]
    old0, old1, old2, old3, old4 = left[0], left[1], left[2], left[3], left[4]
    for t in range(n_cols):
        arguments(distance, x + (row + 1) * d, y + (col + t + 1) * d, d, a)
        new0 = above[col + t + 1]
        new1 = kappa_of(s, kind, a[0])
        new2 = kappa_of(s, kind, a[1])
        new3 = kappa_of(s, kind, a[2])
        new4 = kappa_of(s, kind, a[3])
        if watched:
            for q in range(n_rows):
                most = below_zero(s, a[q], most)
        if n_rows < 4:
            new4 = new3 if n_rows == 3 else new2 if n_rows == 2 else new1
            if n_rows < 3:
                new3 = new4
            if n_rows < 2:
                new2 = new4
        cells[t] = scaled((new1 - new0) - (old1 - old0), s.factor)
        cells[COLUMNS + t] = scaled((new2 - new1) - (old2 - old1), s.factor)
        cells[2 * COLUMNS + t] = scaled((new3 - new2) - (old3 - old2), s.factor)
        cells[3 * COLUMNS + t] = scaled((new4 - new3) - (old4 - old3), s.factor)
        above[col + t + 1] = new4
        old0, old1, old2, old3, old4 = new0, new1, new2, new3, new4
    left[0], left[1], left[2], left[3], left[4] = old0, old1, old2, old3, old4
    if watched:
        note_negative(s, most)


cdef inline void fill_increments(const StaticKernel* s, const vec* x, const vec* y, Py_ssize_t row, Py_ssize_t n_rows,
                                 Py_ssize_t col, Py_ssize_t n_cols, vec* cells) noexcept nogil:
    """Inner products of four rows with two columns at a time; rows of x behind the last are zero."""
    cdef Py_ssize_t t = 0, c, d = s.d
    cdef const vec* x0 = x + row * d
    cdef const vec* y0
    cdef vec a00, a10, a20, a30, a01, a11, a21, a31, u, v, w
    cdef vec a[4]
    while t + 1 < n_cols:
        y0 = y + (col + t) * d
        a00 = y0[0] * 0
        a10 = a20 = a30 = a01 = a11 = a21 = a31 = a00
        for c in range(d):
            u = y0[c]
            v = y0[d + c]
            w = x0[c]
            a00 = a00 + w * u
            a01 = a01 + w * v
            w = x0[d + c]
            a10 = a10 + w * u
            a11 = a11 + w * v
            w = x0[2 * d + c]
            a20 = a20 + w * u
            a21 = a21 + w * v
            w = x0[3 * d + c]
            a30 = a30 + w * u
            a31 = a31 + w * v
        cells[t], cells[t + 1] = a00, a01
        cells[COLUMNS + t], cells[COLUMNS + t + 1] = a10, a11
        cells[2 * COLUMNS + t], cells[2 * COLUMNS + t + 1] = a20, a21
        cells[3 * COLUMNS + t], cells[3 * COLUMNS + t + 1] = a30, a31
        t += 2
    if t < n_cols:
        arguments(False, x0, y + (col + t) * d, d, a)
        cells[t], cells[COLUMNS + t], cells[2 * COLUMNS + t], cells[3 * COLUMNS + t] = a[0], a[1], a[2], a[3]


cdef inline void fill_cells(const StaticKernel* s, const vec* x, const vec* y, Py_ssize_t row, Py_ssize_t n_rows,
                            Py_ssize_t col, Py_ssize_t n_cols, vec* above, vec* left, vec* cells) noexcept nogil:
    """cells (ROWS, COLUMNS): coefficients of the cells (row + q, col + t), 0 for q >= n_rows.

    x, y: increments for LINEAR, x times `factor` and the kernel's scale squared; else points. above (n2 + 1): the
    kernel at the points of row `row`, on return of row + n_rows. left (ROWS + 1): at the points of column `col` in rows
    row + q, on return of column col + n_cols. Tiles come from left to right, blocks of rows from top to bottom. Three
    points of zeros follow x.
    """
    if s.kind == LINEAR:
        fill_increments(s, x, y, row, n_rows, col, n_cols, cells)
    elif s.kind == RBF:
        fill_points(s, RBF, x, y, row, n_rows, col, n_cols, above, left, cells)
    elif s.kind == POLYNOMIAL:
        fill_points(s, POLYNOMIAL, x, y, row, n_rows, col, n_cols, above, left, cells)
    elif s.kind == MATERN12:
        fill_points(s, MATERN12, x, y, row, n_rows, col, n_cols, above, left, cells)
    elif s.kind == MATERN32:
        fill_points(s, MATERN32, x, y, row, n_rows, col, n_cols, above, left, cells)
    elif s.kind == MATERN52:
        fill_points(s, MATERN52, x, y, row, n_rows, col, n_cols, above, left, cells)
    else:
        fill_points(s, RATIONAL_QUADRATIC, x, y, row, n_rows, col, n_cols, above, left, cells)


cdef inline void point_backprop(const StaticKernel* s, int kind, const vec* x, const vec* y, vec weight, vec* gx,
                                vec* gy, vec* gp) noexcept nogil:
    """Adjoint of the kernel at one pair of points."""
    cdef bint distance = kind != POLYNOMIAL
    cdef Py_ssize_t c, d = s.d
    cdef vec u = kappa_derivs_of(s, kind, argument(distance, x, y, d), weight, gp), v
    for c in range(d):
        if distance:
            v = u * (x[c] - y[c])
            gx[c] = gx[c] + v
            gy[c] = gy[c] - v
        else:
            v = u * y[c]
            gy[c] = gy[c] + u * x[c]
            gx[c] = gx[c] + v


cdef inline void fill_points_backprop(const StaticKernel* s, int kind, const vec* x, const vec* y, Py_ssize_t row,
                                      Py_ssize_t n_rows, Py_ssize_t col, Py_ssize_t n_cols, const vec* d_cells,
                                      vec* below, vec* right, vec* gx, vec* gy, vec* gp) noexcept nogil:
    """A point takes part in four cells: its weight is a double difference of their derivatives.

    below (n2 + 1): those of the cells in the row below; right (ROWS + 1): those of the column to the right.
    """
    cdef bint distance = kind != POLYNOMIAL
    cdef Py_ssize_t t, q, c, d = s.d
    cdef const vec* x0 = x + (row + 1) * d
    cdef const vec* y0
    cdef vec* gx0 = gx + (row + 1) * d
    cdef vec* gy0
    cdef vec a[4]
    cdef vec now[5]
    cdef vec after[5]
    cdef vec u0, u1, u2, u3, v, w, total
    for q in range(5):
        after[q] = right[q]
    for t in range(n_cols - 1, -1, -1):
        for q in range(4):
            now[q] = scaled(d_cells[q * COLUMNS + t], s.factor)
        now[4] = now[3] * 0
        now[n_rows] = below[col + t]
        below[col + t] = now[0]
        y0 = y + (col + t + 1) * d
        gy0 = gy + (col + t + 1) * d
        if n_rows == 4:
            arguments(distance, x0, y0, d, a)
            u0 = kappa_derivs_of(s, kind, a[0], (now[0] - after[0]) - (now[1] - after[1]), gp)
            u1 = kappa_derivs_of(s, kind, a[1], (now[1] - after[1]) - (now[2] - after[2]), gp)
            u2 = kappa_derivs_of(s, kind, a[2], (now[2] - after[2]) - (now[3] - after[3]), gp)
            u3 = kappa_derivs_of(s, kind, a[3], (now[3] - after[3]) - (now[4] - after[4]), gp)
            for c in range(d):
                v = y0[c]
                total = gy0[c]
                if distance:
                    w = u0 * (x0[c] - v)
                    gx0[c] = gx0[c] + w
                    total = total - w
                    w = u1 * (x0[d + c] - v)
                    gx0[d + c] = gx0[d + c] + w
                    total = total - w
                    w = u2 * (x0[2 * d + c] - v)
                    gx0[2 * d + c] = gx0[2 * d + c] + w
                    total = total - w
                    w = u3 * (x0[3 * d + c] - v)
                    gx0[3 * d + c] = gx0[3 * d + c] + w
                    total = total - w
                else:
                    gx0[c] = gx0[c] + u0 * v
                    gx0[d + c] = gx0[d + c] + u1 * v
                    gx0[2 * d + c] = gx0[2 * d + c] + u2 * v
                    gx0[3 * d + c] = gx0[3 * d + c] + u3 * v
                    total = (total + u0 * x0[c] + u1 * x0[d + c]) + (u2 * x0[2 * d + c] + u3 * x0[3 * d + c])
                gy0[c] = total
        else:
            for q in range(n_rows):
                point_backprop(s, kind, x0 + q * d, y0, (now[q] - after[q]) - (now[q + 1] - after[q + 1]), gx0 + q * d,
                               gy0, gp)
        if row == 0:
            point_backprop(s, kind, x, y0, after[0] - now[0], gx, gy0, gp)
        for q in range(5):
            after[q] = now[q]
    if col == 0:
        for q in range(n_rows):
            point_backprop(s, kind, x0 + q * d, y, after[q + 1] - after[q], gx0 + q * d, gy, gp)
        if row == 0:
            point_backprop(s, kind, x, y, after[0], gx, gy, gp)
    for q in range(5):
        right[q] = after[q]


cdef inline void fill_increments_backprop(const StaticKernel* s, const vec* x, const vec* y, Py_ssize_t row,
                                          Py_ssize_t n_rows, Py_ssize_t col, Py_ssize_t n_cols, const vec* d_cells,
                                          vec* gx, vec* gy, vec* gp) noexcept nogil:
    """gx is the gradient of the scaled increments x; `finish_increments` scales it. gp[0] sums d_cells times cells."""
    cdef Py_ssize_t t, c, d = s.d
    cdef const vec* x0 = x + row * d
    cdef const vec* y0
    cdef vec* gx0 = gx + row * d
    cdef vec* gy0
    cdef vec p00, p10, p20, p30, p01, p11, p21, p31, u, v, w0, w1, w2, w3
    t = 0
    while t < n_cols:
        y0 = y + (col + t) * d
        gy0 = gy + (col + t) * d
        p00, p10, p20, p30 = d_cells[t], d_cells[COLUMNS + t], d_cells[2 * COLUMNS + t], d_cells[3 * COLUMNS + t]
        if t + 1 < n_cols:
            p01, p11 = d_cells[t + 1], d_cells[COLUMNS + t + 1]
            p21, p31 = d_cells[2 * COLUMNS + t + 1], d_cells[3 * COLUMNS + t + 1]
            for c in range(d):
                u, v = y0[c], y0[d + c]
                w0, w1, w2, w3 = x0[c], x0[d + c], x0[2 * d + c], x0[3 * d + c]
                gx0[c] = gx0[c] + p00 * u + p01 * v
                gx0[d + c] = gx0[d + c] + p10 * u + p11 * v
                gx0[2 * d + c] = gx0[2 * d + c] + p20 * u + p21 * v
                gx0[3 * d + c] = gx0[3 * d + c] + p30 * u + p31 * v
                gy0[c] = gy0[c] + p00 * w0 + p10 * w1 + p20 * w2 + p30 * w3
                gy0[d + c] = gy0[d + c] + p01 * w0 + p11 * w1 + p21 * w2 + p31 * w3
            t += 2
        else:
            for c in range(d):
                u = y0[c]
                w0, w1, w2, w3 = x0[c], x0[d + c], x0[2 * d + c], x0[3 * d + c]
                gx0[c] = gx0[c] + p00 * u
                gx0[d + c] = gx0[d + c] + p10 * u
                gx0[2 * d + c] = gx0[2 * d + c] + p20 * u
                gx0[3 * d + c] = gx0[3 * d + c] + p30 * u
                gy0[c] = gy0[c] + p00 * w0 + p10 * w1 + p20 * w2 + p30 * w3
            t += 1


cdef inline void fill_cells_backprop(const StaticKernel* s, const vec* x, const vec* y, Py_ssize_t row,
                                     Py_ssize_t n_rows, Py_ssize_t col, Py_ssize_t n_cols, const vec* d_cells,
                                     vec* below, vec* right, vec* gx, vec* gy, vec* gp) noexcept nogil:
    """Adjoint of `fill_cells`: adds to gx, gy and, unless it is NULL, to gp.

    Tiles come from right to left, blocks of rows from bottom to top; `below` starts as zeros, `right` in each block.
    d_cells of rows q >= n_rows are zero. For LINEAR the gradients are those of x and y as they are, x being scaled.
    """
    if s.kind == LINEAR:
        fill_increments_backprop(s, x, y, row, n_rows, col, n_cols, d_cells, gx, gy, gp)
    elif s.kind == RBF:
        fill_points_backprop(s, RBF, x, y, row, n_rows, col, n_cols, d_cells, below, right, gx, gy, gp)
    elif s.kind == POLYNOMIAL:
        fill_points_backprop(s, POLYNOMIAL, x, y, row, n_rows, col, n_cols, d_cells, below, right, gx, gy, gp)
    elif s.kind == MATERN12:
        fill_points_backprop(s, MATERN12, x, y, row, n_rows, col, n_cols, d_cells, below, right, gx, gy, gp)
    elif s.kind == MATERN32:
        fill_points_backprop(s, MATERN32, x, y, row, n_rows, col, n_cols, d_cells, below, right, gx, gy, gp)
    elif s.kind == MATERN52:
        fill_points_backprop(s, MATERN52, x, y, row, n_rows, col, n_cols, d_cells, below, right, gx, gy, gp)
    else:
        fill_points_backprop(s, RATIONAL_QUADRATIC, x, y, row, n_rows, col, n_cols, d_cells, below, right, gx, gy, gp)


cdef inline void finish_increments(const StaticKernel* s, const vec* y, Py_ssize_t n2, vec* gx, vec* gy, Py_ssize_t n1,
                                   vec* gp) noexcept nogil:
    """LINEAR, at the end: gx of the increments themselves, and gp[0] of the scale.

    The kernel is scale^2 <x, y>, so that scale times the derivative of F is 2 sum <y, dF/dy>.
    """
    cdef double scale = s.parameters[0]
    cdef Py_ssize_t i
    cdef vec total = gx[0] * 0
    if gp != NULL and scale != 0:
        for i in range(n2 * s.d):
            total = total + y[i] * gy[i]
        gp[0] = gp[0] + scaled(total, 2 / scale)
    for i in range(n1 * s.d):
        gx[i] = scaled(gx[i], s.factor * scale * scale)
