"""Static kernels of points for the wavefront sweep: coefficients of a block of cells, and their adjoint.

As `signature_kernel_wavefront_cells.pxd`, with neighbouring columns in the lanes. A block evaluates the kernel at all
its points, those on its edges too, which the next block evaluates again: a few more exponentials, but blocks need
nothing from each other, whatever the refinement. The same holds for the adjoint, where the weight of a point is a
double difference of the derivatives of the block's own cells.
"""

from libc.string cimport memset

from .lane_windows cimport copies_at, load_at, number_at, set_number, store_at
from .lanes cimport lanes, vec
from .static_kernels cimport POLYNOMIAL, StaticKernel, below_zero, kappa_derivs_of, kappa_of, note_negative, scaled


cdef inline vec argument_at(const vec* x, const vec* y, Py_ssize_t place, Py_ssize_t stride, Py_ssize_t d,
                            const bint distance) noexcept nogil:
    """<x, y> or |x - y|^2 of the point x, d numbers, with the points y (d, stride) from `place` on, one a lane."""
    cdef vec u = load_at(y, place), a, w = copies_at(x, 0)
    cdef Py_ssize_t c
    if distance:
        u = w - u
        a = u * u
    else:
        a = w * u
    for c in range(1, d):
        u, w = load_at(y, place + c * stride), copies_at(x, c)
        if distance:
            u = w - u
            a = a + u * u
        else:
            a = a + w * u
    return a


cdef inline const vec* number_pointer(const vec* x, Py_ssize_t i) noexcept nogil:
    return <const vec*>(<const char*>x + i * (<Py_ssize_t>sizeof(vec) // lanes(<vec*>x)))


cdef inline void fill_point_cells(const StaticKernel* s, const int kind, const vec* x, Py_ssize_t n_rows, const vec* y,
                                  Py_ssize_t y_place, Py_ssize_t y_stride, Py_ssize_t n_columns, vec* nodes,
                                  Py_ssize_t nodes_stride, vec* out, Py_ssize_t place,
                                  Py_ssize_t stride) noexcept nogil:
    """Coefficients of n_rows times n_columns cells; row r of `out` starts at place + r * stride.

    x: points (n_rows + 1, d). nodes: memory for (n_rows + 1, nodes_stride) numbers, a vector more than the columns.
    """
    cdef Py_ssize_t width = lanes(out), r, j, i
    cdef bint watched = kind == POLYNOMIAL and s.negative != NULL
    cdef vec a, most
    memset(&most, 0, sizeof(vec))
    for r in range(n_rows + 1):
        j = 0
        while j <= n_columns:
            # Points outside of the paths are copies of their ends.
            a = argument_at(number_pointer(x, r * s.d), y, y_place + j, y_stride, s.d, kind != POLYNOMIAL)
            store_at(nodes, r * nodes_stride + j, kappa_of(s, kind, a))
            if watched:
                most = below_zero(s, a, most)
            j += width
    if watched:
        note_negative(s, most)
    for r in range(n_rows):
        j = 0
        while j < n_columns:
            i = r * nodes_stride + j
            store_at(out, place + r * stride + j,
                     scaled((load_at(nodes, i + nodes_stride + 1) - load_at(nodes, i + nodes_stride))
                            - (load_at(nodes, i + 1) - load_at(nodes, i)), s.factor))
            j += width


cdef inline void fill_point_cells_backprop(const StaticKernel* s, const int kind, const vec* d_cells, Py_ssize_t place,
                                           Py_ssize_t stride, const vec* x, Py_ssize_t n_rows, const vec* y, vec* gy,
                                           Py_ssize_t y_place, Py_ssize_t y_stride, Py_ssize_t n_columns, vec* nodes,
                                           Py_ssize_t nodes_stride, vec* gx, vec* gp) noexcept nogil:
    """Adjoint: gx (n_rows + 1, d), a vector of partial sums each; gy laid out as y; gp (3), the parameters.

    nodes: memory for (n_rows + 2, nodes_stride) numbers, three vectors more than the columns.
    """
    cdef Py_ssize_t width = lanes(gx), r, j, i, c, at, d = s.d
    cdef const vec* point
    cdef vec u, v, w, before, weight
    # The derivatives of the cells with a row and a vector of zeros around them.
    memset(nodes, 0, (n_rows + 2) * nodes_stride // width * sizeof(vec))
    for r in range(n_rows):
        j = 0
        while j + width <= n_columns:
            store_at(nodes, (r + 1) * nodes_stride + width + j,
                     scaled(load_at(d_cells, place + r * stride + j), s.factor))
            j += width
        while j < n_columns:
            set_number(nodes, (r + 1) * nodes_stride + width + j,
                       number_at(d_cells, place + r * stride + j) * s.factor)
            j += 1
    for r in range(n_rows + 1):
        point = number_pointer(x, r * d)
        j = 0
        while j <= n_columns:
            i = r * nodes_stride + width + j
            before = load_at(nodes, i - 1) - load_at(nodes, i)
            weight = before - (load_at(nodes, i + nodes_stride - 1) - load_at(nodes, i + nodes_stride))
            at = y_place + j
            u = kappa_derivs_of(s, kind, argument_at(point, y, at, y_stride, d, kind != POLYNOMIAL), weight, gp)
            for c in range(d):
                v, w = load_at(y, at), copies_at(point, c)
                if kind != POLYNOMIAL:
                    v = u * (w - v)
                    gx[r * d + c] = gx[r * d + c] + v
                    store_at(gy, at, load_at(gy, at) - v)
                else:
                    gx[r * d + c] = gx[r * d + c] + u * v
                    store_at(gy, at, load_at(gy, at) + u * w)
                at += y_stride
            j += width
