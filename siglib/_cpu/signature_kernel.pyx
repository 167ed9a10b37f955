"""Signature kernels of pairs of paths, and their gradients.

Design. Lanes hold pairs: a lane group is 8 doubles or 16 floats of *any* pairs, so one code path serves Gram matrices,
symmetric ones, and batches of pairs. One `nogil` function takes a group from paths to kernels:

    load                  signature_kernel_groups.pxd   paths -> points or increments in lanes
    fill                  static_kernels.pxd            ... -> coefficients of the cells of one tile of the grid
    enter_tile            signature_kernel_scale.pxd    powers of two
    sweep                 signature_kernel_sweep.pxd    the tile: from its upper and left edges to the others
    leave_tile

block of rows by block of rows, tile by tile. Nothing but one row of the grid is kept. The backward pass keeps one row
of every segment of a few blocks, sweeps the segments again from the last to the first, with coefficients and slopes of
every cell kept for one segment, and walks each back with the adjoints of the functions above.

Gradients of a Gram matrix add up many pairs for every path. The matrix is cut into rectangular units, each with sums of
its own, which are added in a fixed order: the bits are the same for any number of threads.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch
from .lanes cimport real
from .signature_kernel_plan cimport BY_TILE, PAIRWISE, SYMMETRIC, Pairs, Problem, cell_factor, make_pairs, make_problem
from .static_kernels cimport GIVEN, StaticKernel, make_static_kernel

include "signature_kernel_parts.pxi"
include "signature_kernel_lanes.pxi"
include "signature_kernel_wavefront.pxi"
include "signature_kernel_wavefront_backprop.pxi"
include "signature_kernel_pairs.pxi"
include "signature_kernel_again.pxi"
include "signature_kernel_units.pxi"


cdef inline bint can_wave(const Problem* p) noexcept nogil:
    """Whether pairs can be swept along anti-diagonals."""
    return p.order == 0


cdef inline Arrays make_arrays(const real[:, ::1] path1, const real[:, ::1] path2):
    cdef Arrays arrays
    memset(&arrays, 0, sizeof(Arrays))
    arrays.path1 = <const char*>&path1[0, 0]
    arrays.row_bytes1 = path1.shape[1] * sizeof(real)
    # A user's kernel gives the cells in place of the first paths; nothing is read from the second.
    arrays.path2 = <const char*>&path2[0, 0] if path2.shape[0] > 0 else arrays.path1
    arrays.row_bytes2 = path2.shape[1] * sizeof(real)
    return arrays


cdef Py_ssize_t* count_cells(const Problem* p, const Pairs* pairs, Arrays* arrays, const real* tag) noexcept nogil:
    """Lets `arrays` know of paths that repeat their last points, as paths of unequal lengths do that are padded.

    Returns memory to be freed, NULL if there is no such path (or too little memory to care).
    """
    cdef Py_ssize_t i, n, n1 = pairs.batch1, n2 = pairs.batch1 if pairs.layout == PAIRWISE else pairs.batch2
    cdef bint symmetric = pairs.layout == SYMMETRIC, some = False
    cdef Py_ssize_t* cells
    # The polynomial method cuts orders where increments are zero, too.
    if p.order > 0 or p.kind == GIVEN:
        return NULL
    if symmetric:
        n2 = 0
    cells = <Py_ssize_t*>malloc((n1 + n2) * sizeof(Py_ssize_t))
    if cells == NULL:
        return NULL
    for i in range(n1):
        cells[i] = n = cells_of(<const real*>(arrays.path1 + i * arrays.row_bytes1), p.n1, p.d)
        some = some or n < p.n1
    for i in range(n2):
        cells[n1 + i] = n = cells_of(<const real*>(arrays.path2 + i * arrays.row_bytes2), p.n2, p.d)
        some = some or n < p.n2
    if not some:
        free(cells)
        return NULL
    arrays.cells1 = cells
    arrays.cells2 = cells if symmetric else cells + n1
    return cells


cdef Py_ssize_t cells_of(const real* path, Py_ssize_t n, Py_ssize_t d) noexcept nogil:
    """How many of a path's n increments come before the zeros at its end; all count where it ends with NaN or
    infinity."""
    cdef const real* last = path + n * d
    cdef Py_ssize_t i
    for i in range(d):
        if not is_finite(last[i]):
            return n
    while n > 0:
        for i in range(d):
            if path[(n - 1) * d + i] != last[i]:
                return n
        n -= 1
    return n


def sig_kernel(const real[:, ::1] path1, const real[:, ::1] path2, real[::1] out, real[::1] exponent,
               const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension,
               int static_kernel, int layout, int order1, int order2, int order, bint wavefront, int n_threads):
    """path1 (batch1, length1 * dimension), path2 (batch2, length2 * dimension); out, exponent (pairs): out *
    2^exponent.

    For given cells, path1 is (batch1, (length1 - 1) * (length2 - 1)) and path2 (0, 0). Returns the sum of
    what was `Found`.
    """
    cdef Problem p = make_problem(length1 - 1, length2 - 1, dimension, order1, order2, order, static_kernel,
                                  &parameters[0], BY_TILE)
    cdef StaticKernel s
    cdef bint negative = False
    cdef Pairs pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    cdef Arrays arrays
    cdef Watch watch
    cdef int found
    cdef Py_ssize_t* cells
    if pairs.n == 0:
        return 0
    arrays = make_arrays(path1, path2)
    with nogil:
        begin_watch(&watch)
        s = make_static_kernel(static_kernel, dimension, p.parameters, cell_factor(&p), &negative)
        if wavefront and can_wave(&p):
            found = forward_wave(&p, &s, &arrays, &pairs, &out[0], &exponent[0], n_threads)
        else:
            cells = count_cells(&p, &pairs, &arrays, <real*>NULL)
            pairs.snake = cells != NULL
            found = forward(&p, &s, &arrays, &pairs, &out[0], &exponent[0], <real*>NULL, n_threads)
            free(cells)
    end_watch(&watch)
    if found & NO_MEMORY:
        raise MemoryError("not enough memory for the scratch space of sig_kernel")
    return found | NEGATIVE_BASE * negative


def sig_kernel_grid(const real[:, ::1] path1, const real[:, ::1] path2, real[:, :, ::1] out,
                    const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension,
                    int static_kernel, int layout, int order1, int order2, int order, int n_threads):
    """Paths and result as in `sig_kernel`; out (pairs, rows + 1, columns + 1): the kernel at all nodes of the refined
    grid."""
    cdef Problem p = make_problem(length1 - 1, length2 - 1, dimension, order1, order2, order, static_kernel,
                                  &parameters[0], BY_TILE)
    cdef StaticKernel s
    cdef bint negative = False
    cdef Pairs pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    cdef Arrays arrays
    cdef Watch watch
    cdef Py_ssize_t a, b, i, j, spent = 0
    cdef int found
    if pairs.n == 0:
        return 0
    arrays = make_arrays(path1, path2)
    with nogil:
        begin_watch(&watch)
        for a in range(out.shape[0]):
            for i in range(out.shape[1]):
                out[a, i, 0] = 1
            for j in range(out.shape[2]):
                out[a, 0, j] = 1
        s = make_static_kernel(static_kernel, dimension, p.parameters, cell_factor(&p), &negative)
        found = forward(&p, &s, &arrays, &pairs, <real*>NULL, <real*>NULL, &out[0, 0, 0], n_threads)
        if layout == SYMMETRIC:
            for a in range(pairs.batch1):
                for b in range(a):
                    if due(&spent, out.shape[1] * out.shape[2]):
                        break
                    for i in range(out.shape[1]):
                        for j in range(out.shape[2]):
                            out[a * pairs.batch1 + b, i, j] = out[b * pairs.batch1 + a, j, i]
    end_watch(&watch)
    if found & NO_MEMORY:
        raise MemoryError("not enough memory for the scratch space of sig_kernel")
    return found | NEGATIVE_BASE * negative


def sig_kernel_backprop(const real[:, ::1] derivs, const real[:, ::1] path1, const real[:, ::1] path2,
                        real[:, ::1] d_path1, real[:, ::1] d_path2, double[::1] d_parameters,
                        const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension,
                        int static_kernel, int layout, int order1, int order2, int order, bint log_derivs,
                        bint left_deriv, bint right_deriv, bint padded, bint wavefront, int n_threads):
    """derivs (pairs, 1) or (pairs, nodes of the refined grid); d_path1, d_path2 as path1, path2; d_parameters (3).

    What is not wanted is not read: left_deriv, right_deriv, an empty d_parameters. padded: whether derivatives by
    repeats of a last point may all go to the first of them. Returns what `sig_kernel` does.
    """
    cdef Problem p = make_problem(length1 - 1, length2 - 1, dimension, order1, order2, order, static_kernel,
                                  &parameters[0], BY_TILE)
    cdef StaticKernel s
    cdef bint negative = False
    cdef Pairs pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    cdef Arrays arrays
    cdef Watch watch
    cdef int found
    cdef Py_ssize_t* cells = NULL
    cdef real* to_path1
    cdef real* to_path2
    cdef double* for_parameters = &d_parameters[0] if d_parameters.shape[0] > 0 else NULL
    if pairs.n == 0:
        if left_deriv:
            d_path1[:, :] = 0
        if right_deriv:
            d_path2[:, :] = 0
        if for_parameters != NULL:
            d_parameters[:] = 0
        return 0
    arrays = make_arrays(path1, path2)
    arrays.derivs = <const char*>&derivs[0, 0]
    arrays.row_length = derivs.shape[1]
    with nogil:
        begin_watch(&watch)
        s = make_static_kernel(static_kernel, dimension, p.parameters, cell_factor(&p), &negative)
        arrays.finite = (static_kernel != GIVEN and all_finite(&path1[0, 0], path1.shape[0] * path1.shape[1])
                         and all_finite(&path2[0, 0], path2.shape[0] * path2.shape[1])
                         and all_finite(&derivs[0, 0], derivs.shape[0] * derivs.shape[1]))
        wavefront = wavefront and can_wave(&p) and arrays.row_length == 1
        if padded and arrays.row_length == 1 and not wavefront:
            cells = count_cells(&p, &pairs, &arrays, <real*>NULL)
            pairs.snake = cells != NULL
        to_path1 = &d_path1[0, 0] if left_deriv else NULL
        to_path2 = &d_path2[0, 0] if right_deriv and layout != SYMMETRIC else NULL
        found = backward(&p, &s, &arrays, &pairs, to_path1, to_path2, for_parameters, log_derivs, wavefront, n_threads)
        free(cells)
    end_watch(&watch)
    if found & NO_MEMORY:
        raise MemoryError("not enough memory for the scratch space of sig_kernel_backprop")
    return found | NEGATIVE_BASE * negative
