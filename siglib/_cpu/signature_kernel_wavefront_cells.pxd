"""Coefficients of the cells for the wavefront sweep (`signature_kernel_wavefront.pxd`), and their adjoint.

Two ways. For the linear kernel on a grid that is not refined, products are computed where they are needed, with rows in
the lanes (`slanted_products`). In all other cases, and in the adjoint, lanes hold neighbouring columns: a block of rows
is filled as an ordinary matrix, whatever the static kernel (`signature_kernel_wavefront_points.pxd` has those of
points), and then slanted, so that lanes hold rows. Slanting is a transpose of rows that start one number apart each. So
it costs the same for every static kernel and for given coefficients, rows of a refined grid are the same row read
several times, and in the adjoint sums over a column need no sums over lanes.

The first path is kept as it is, row by row; of the second path each channel is an array, with `margin` further columns
on either side. These are zero increments, or for kernels of points copies of the first and of the last point: double
increments vanish there.
"""

from .lane_moves cimport load_columns, store_columns
from .lane_windows cimport copies_at, held_at, load_at, number_at, repeat_lanes, set_number, store_at, sum_lanes
from .lanes cimport lanes, vd, vec
from .signature_kernel_wavefront cimport CHUNK


cdef inline void fill_products(const vec* x, Py_ssize_t d, Py_ssize_t n_rows, const vec* y, Py_ssize_t place,
                               Py_ssize_t stride, Py_ssize_t n_columns, vec* out, Py_ssize_t out_place,
                               Py_ssize_t out_stride) noexcept nogil:
    """Inner products of rows of x (n_rows, d) with the columns of y (d, stride) from `place` on.

    n_columns is rounded up to two vectors. All places and strides count numbers.
    """
    cdef Py_ssize_t width = lanes(out), r = 0, j, c, at
    cdef vec a0, a1, b0, b1, c0, c1, d0, d1, v0, v1, w
    while r + 4 <= n_rows:
        j = 0
        while j < n_columns:
            at = place + j
            v0, v1 = load_at(y, at), load_at(y, at + width)
            w = copies_at(x, r * d)
            a0, a1 = w * v0, w * v1
            w = copies_at(x, (r + 1) * d)
            b0, b1 = w * v0, w * v1
            w = copies_at(x, (r + 2) * d)
            c0, c1 = w * v0, w * v1
            w = copies_at(x, (r + 3) * d)
            d0, d1 = w * v0, w * v1
            for c in range(1, d):
                at += stride
                v0, v1 = load_at(y, at), load_at(y, at + width)
                w = copies_at(x, r * d + c)
                a0, a1 = a0 + w * v0, a1 + w * v1
                w = copies_at(x, (r + 1) * d + c)
                b0, b1 = b0 + w * v0, b1 + w * v1
                w = copies_at(x, (r + 2) * d + c)
                c0, c1 = c0 + w * v0, c1 + w * v1
                w = copies_at(x, (r + 3) * d + c)
                d0, d1 = d0 + w * v0, d1 + w * v1
            at = out_place + r * out_stride + j
            store_at(out, at, a0)
            store_at(out, at + width, a1)
            store_at(out, at + out_stride, b0)
            store_at(out, at + out_stride + width, b1)
            store_at(out, at + 2 * out_stride, c0)
            store_at(out, at + 2 * out_stride + width, c1)
            store_at(out, at + 3 * out_stride, d0)
            store_at(out, at + 3 * out_stride + width, d1)
            j += 2 * width
        r += 4
    while r < n_rows:
        j = 0
        while j < n_columns:
            at = place + j
            w = copies_at(x, r * d)
            a0, a1 = w * load_at(y, at), w * load_at(y, at + width)
            for c in range(1, d):
                at += stride
                w = copies_at(x, r * d + c)
                a0, a1 = a0 + w * load_at(y, at), a1 + w * load_at(y, at + width)
            at = out_place + r * out_stride + j
            store_at(out, at, a0)
            store_at(out, at + width, a1)
            j += 2 * width
        r += 1


cdef inline void fill_products_backprop(vec* d_cells, Py_ssize_t cells_place, Py_ssize_t cells_stride, const vec* x,
                                        Py_ssize_t d, Py_ssize_t n_rows, const vec* y, vec* gy, Py_ssize_t place,
                                        Py_ssize_t stride, Py_ssize_t n_columns, vec* gx) noexcept nogil:
    """Adjoint of `fill_products`: gx (n_rows, d), a vector of partial sums each; gy laid out as y."""
    cdef Py_ssize_t width = lanes(gx), r = 0, j, c, at
    cdef vec a0, a1, b0, b1, c0, c1, d0, d1, v0, v1, u0, u1, w
    while r + 4 <= n_rows:
        j = 0
        while j < n_columns:
            at = cells_place + r * cells_stride + j
            a0, a1 = load_at(d_cells, at), load_at(d_cells, at + width)
            at += cells_stride
            b0, b1 = load_at(d_cells, at), load_at(d_cells, at + width)
            at += cells_stride
            c0, c1 = load_at(d_cells, at), load_at(d_cells, at + width)
            at += cells_stride
            d0, d1 = load_at(d_cells, at), load_at(d_cells, at + width)
            at = place + j
            for c in range(d):
                v0, v1 = load_at(y, at), load_at(y, at + width)
                u0, u1 = load_at(gy, at), load_at(gy, at + width)
                w = copies_at(x, r * d + c)
                u0, u1 = u0 + w * a0, u1 + w * a1
                gx[r * d + c] = (gx[r * d + c] + v0 * a0) + v1 * a1
                w = copies_at(x, (r + 1) * d + c)
                u0, u1 = u0 + w * b0, u1 + w * b1
                gx[(r + 1) * d + c] = (gx[(r + 1) * d + c] + v0 * b0) + v1 * b1
                w = copies_at(x, (r + 2) * d + c)
                u0, u1 = u0 + w * c0, u1 + w * c1
                gx[(r + 2) * d + c] = (gx[(r + 2) * d + c] + v0 * c0) + v1 * c1
                w = copies_at(x, (r + 3) * d + c)
                u0, u1 = u0 + w * d0, u1 + w * d1
                gx[(r + 3) * d + c] = (gx[(r + 3) * d + c] + v0 * d0) + v1 * d1
                store_at(gy, at, u0)
                store_at(gy, at + width, u1)
                at += stride
            j += 2 * width
        r += 4
    while r < n_rows:
        j = 0
        while j < n_columns:
            at = cells_place + r * cells_stride + j
            a0, a1 = load_at(d_cells, at), load_at(d_cells, at + width)
            at = place + j
            for c in range(d):
                w = copies_at(x, r * d + c)
                gx[r * d + c] = (gx[r * d + c] + load_at(y, at) * a0) + load_at(y, at + width) * a1
                store_at(gy, at, load_at(gy, at) + w * a0)
                store_at(gy, at + width, load_at(gy, at + width) + w * a1)
                at += stride
            j += 2 * width
        r += 1


cdef inline void load_lanes(const vec* x, Py_ssize_t d, Py_ssize_t first_row, Py_ssize_t n_strips,
                            vec* out) noexcept nogil:
    """out (n_strips, d): lane q of strip i has row first_row + i * lanes + q of x."""
    cdef Py_ssize_t width = lanes(out), i, c, q
    for i in range(n_strips):
        for q in range(width):
            for c in range(d):
                set_number(out, (i * d + c) * width + q, number_at(x, (first_row + i * width + q) * d + c))


cdef inline void slanted_products(const vec* x, Py_ssize_t d, const vec* y, Py_ssize_t place, Py_ssize_t stride,
                                  vec* out, Py_ssize_t pitch, const int n) noexcept nogil:
    """Inner products, slanted already, of n strips in lanes with one vector of columns after the other.

    Needs no transposes and loads every vector of columns once for all strips: what strip i takes at one step is what
    strip 0 took `lanes` steps before. x (n, d). y (d, stride) runs backwards; the vector of the first step is at
    `place`. Strip i goes to out[i * pitch + t], for CHUNK steps t.
    """
    cdef vec sums0[3]
    cdef vec sums1[3]
    cdef vec sums2[3]
    cdef vec sums3[3]
    cdef vec v0, v1, v2, v3, w
    cdef Py_ssize_t t = 0, c, at
    cdef int i
    while t < CHUNK:
        at = place - t
        v0, v1, v2, v3 = held_at(y, at), held_at(y, at - 1), held_at(y, at - 2), held_at(y, at - 3)
        for i in range(n):
            w = x[i * d]
            sums0[i], sums1[i], sums2[i], sums3[i] = w * v0, w * v1, w * v2, w * v3
        for c in range(1, d):
            at += stride
            v0, v1, v2, v3 = held_at(y, at), held_at(y, at - 1), held_at(y, at - 2), held_at(y, at - 3)
            for i in range(n):
                w = x[i * d + c]
                sums0[i], sums1[i] = sums0[i] + w * v0, sums1[i] + w * v1
                sums2[i], sums3[i] = sums2[i] + w * v2, sums3[i] + w * v3
        for i in range(n):
            at = i * pitch + t
            out[at], out[at + 1], out[at + 2], out[at + 3] = sums0[i], sums1[i], sums2[i], sums3[i]
        t += 4


cdef inline void fill_given(const vec* given, Py_ssize_t row, Py_ssize_t n_rows, Py_ssize_t n1, Py_ssize_t n2,
                            double factor, Py_ssize_t column, Py_ssize_t n_columns, vec* out, Py_ssize_t place,
                            Py_ssize_t stride) noexcept nogil:
    """Given double increments (n1, n2), times `factor`; 0 outside."""
    cdef Py_ssize_t r, c
    for r in range(n_rows):
        for c in range(n_columns):
            set_number(out, place + r * stride + c,
                       number_at(given, (row + r) * n2 + column + c) * factor
                       if row + r < n1 and 0 <= column + c < n2 else 0)


cdef inline void fill_given_backprop(vec* d_cells, Py_ssize_t place, Py_ssize_t stride, Py_ssize_t row,
                                     Py_ssize_t n_rows, Py_ssize_t n1, Py_ssize_t n2, double factor, Py_ssize_t column,
                                     Py_ssize_t n_columns, vec* given) noexcept nogil:
    """Adjoint of `fill_given`, added to `given` (n1, n2)."""
    cdef Py_ssize_t r, c, i
    for r in range(min(n_rows, n1 - row)):
        for c in range(max(-column, 0), min(n_columns, n2 - column)):
            i = (row + r) * n2 + column + c
            set_number(given, i, number_at(given, i) + number_at(d_cells, place + r * stride + c) * factor)


cdef inline void slant(const vec* rows, Py_ssize_t row, int order, Py_ssize_t stride, vec* out) noexcept nogil:
    """out[t] = the cells of CHUNK steps: lane q has that of row q, q columns before the column of lane 0.

    rows: numbers, row r (of coarse rows, the first of which has fine row `row`) at r * stride; the first vector of each
    holds the columns before those of the first step.
    """
    cdef const void* starts[16]
    cdef Py_ssize_t width = lanes(out), q, size = <Py_ssize_t>sizeof(vec) // width
    for q in range(width):
        starts[q] = <const char*>rows + (((row + q) >> order) - (row >> order)) * stride * size + (width - q) * size
    load_columns(starts, 0, CHUNK, out)


cdef inline void straighten(const vec* slanted, Py_ssize_t stride, vec* rows) noexcept nogil:
    """Adjoint of `slant` for rows that are not repeated: `rows` as there, one for every lane."""
    cdef void* starts[16]
    cdef Py_ssize_t width = lanes(rows), q, size = <Py_ssize_t>sizeof(vec) // width
    for q in range(width):
        starts[q] = <char*>rows + q * stride * size + (width - q) * size
    store_columns(slanted, starts, 0, CHUNK, <int>width)


cdef inline void spread(const vec* coarse, Py_ssize_t coarse_stride, Py_ssize_t n_rows, Py_ssize_t column, int order,
                        vec* out, Py_ssize_t place, Py_ssize_t stride) noexcept nogil:
    """CHUNK refined columns from `column` (a multiple of the lanes) on; coarse starts at the cell of the first."""
    cdef Py_ssize_t width = lanes(out), r, j
    for r in range(n_rows):
        j = 0
        while j < CHUNK:
            store_at(out, place + r * stride + j,
                     repeat_lanes(load_at(coarse, r * coarse_stride + ((column + j) >> order) - (column >> order)),
                                  order))
            j += width


cdef inline void spread_backprop(const vec* fine, Py_ssize_t place, Py_ssize_t stride, Py_ssize_t n_rows,
                                 Py_ssize_t row, Py_ssize_t column, int order1, int order2, vec* out,
                                 Py_ssize_t out_stride) noexcept nogil:
    """Sum the refined rows (n_rows, from `row` on) and columns (CHUNK) of every cell, added to `out`."""
    cdef Py_ssize_t r, c, i
    for r in range(n_rows):
        for c in range(CHUNK):
            i = (((row + r) >> order1) - (row >> order1)) * out_stride + ((column + c) >> order2) - (column >> order2)
            set_number(out, i, number_at(out, i) + number_at(fine, place + r * stride + c))


cdef inline void load_first(const void* path, Py_ssize_t n_points, Py_ssize_t n_rows, Py_ssize_t d, bint increments,
                            double factor, vec* x) noexcept nogil:
    """x (n_rows, d): the points of a path, then copies of the last, or its increments times `factor`, then zeros."""
    cdef const vec* p = <const vec*>path
    cdef Py_ssize_t i, n = (n_points - increments) * d
    for i in range(n_rows * d):
        if increments:
            set_number(x, i, (number_at(p, i + d) - number_at(p, i)) * factor if i < n else 0)
        else:
            set_number(x, i, number_at(p, i if i < n else n - d + i % d))


cdef inline void load_second(const void* path, Py_ssize_t n_points, Py_ssize_t d, bint increments, Py_ssize_t margin,
                             Py_ssize_t stride, vec* y) noexcept nogil:
    """y (d, stride): the same for the second path, a channel each, its first column at number `margin`."""
    cdef const vec* p = <const vec*>path
    cdef Py_ssize_t c, j, i, n = n_points - increments
    for c in range(d):
        for j in range(stride):
            i = j - margin
            if increments:
                set_number(y, c * stride + j,
                           number_at(p, (i + 1) * d + c) - number_at(p, i * d + c) if 0 <= i < n else 0)
            else:
                set_number(y, c * stride + j, number_at(p, min(max(i, 0), n - 1) * d + c))


cdef inline void reverse_rows(const vec* y, Py_ssize_t n_rows, Py_ssize_t stride, vec* out) noexcept nogil:
    cdef Py_ssize_t r, i
    for r in range(n_rows):
        for i in range(stride):
            set_number(out, r * stride + i, number_at(y, (r + 1) * stride - 1 - i))


cdef inline void add_first(const vec* gx, Py_ssize_t n_points, Py_ssize_t d, bint increments, double factor,
                           void* to) noexcept nogil:
    """Adjoint of `load_first` without its margin, added to `to`."""
    cdef Py_ssize_t i, n = n_points * d
    cdef double total
    for i in range(n):
        if increments:
            total = ((number_at(gx, i - d) if i >= d else 0) - (number_at(gx, i) if i < n - d else 0)) * factor
        else:
            total = number_at(gx, i)
        set_number(<vec*>to, i, number_at(<vec*>to, i) + total)


cdef inline void add_second(const vec* gy, Py_ssize_t n_points, Py_ssize_t d, bint increments, Py_ssize_t margin,
                            Py_ssize_t stride, void* to) noexcept nogil:
    """Adjoint of `load_second` without its margin, added to `to`."""
    cdef Py_ssize_t c, j, at
    cdef double total
    for c in range(d):
        for j in range(n_points):
            at = c * stride + margin + j
            if increments:
                total = (number_at(gy, at - 1) if j > 0 else 0) - (number_at(gy, at) if j < n_points - 1 else 0)
            else:
                total = number_at(gy, at)
            set_number(<vec*>to, j * d + c, number_at(<vec*>to, j * d + c) + total)


cdef inline void sum_rows(const vec* sums, Py_ssize_t n, vec* out, Py_ssize_t place) noexcept nogil:
    """Number place + i of out grows by the sum of the lanes of sums[i]."""
    cdef Py_ssize_t i
    for i in range(n):
        set_number(out, place + i, number_at(out, place + i) + sum_lanes(sums[i]))


cdef inline double inner_product(const vec* a, const vec* b, Py_ssize_t n) noexcept nogil:
    """Of n numbers each."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(n):
        total += number_at(a, i) * number_at(b, i)
    return total
