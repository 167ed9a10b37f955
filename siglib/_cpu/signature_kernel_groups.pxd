"""Lane groups of the signature kernel: from pairs of paths to lanes, and from lanes to gradients of paths."""

from libc.string cimport memset

from .lane_exponents cimport power_of_two, rounded_half
from .lane_moves cimport load_columns, store_columns
from .lanes cimport LANES_F32, LANES_F64, lanes, real, vd, vec
from .signature_kernel_plan cimport ROWS
from .signature_kernel_sweep cimport times


cdef inline void load_increments(const void* const* paths, Py_ssize_t n, Py_ssize_t d, double factor,
                                 vec* x) noexcept nogil:
    """x (n, d) = `factor` times the increments of paths of n + 1 points; x has room for the points."""
    cdef Py_ssize_t i
    load_columns(paths, 0, (n + 1) * d, x)
    for i in range(n * d):
        x[i] = times(x[i + d] - x[i], factor)
    for i in range(n * d, (n + 1) * d):
        x[i] = times(x[i], 0)


cdef inline void increments_adjoint(vec* gx, Py_ssize_t n, Py_ssize_t d) noexcept nogil:
    """gx: derivatives with respect to n increments, then, in place, with respect to the n + 1 points."""
    cdef Py_ssize_t i
    for i in range(d):
        gx[n * d + i] = gx[(n - 1) * d + i]
    for i in range(n * d - 1, d - 1, -1):
        gx[i] = gx[i - d] - gx[i]
    for i in range(d):
        gx[i] = -gx[i]


cdef inline void add_lanes(const vec* numbers, Py_ssize_t n, void** rows, int n_live, vec* scratch) noexcept nogil:
    """rows[lane][0:n] += lane `lane` of numbers, one lane after the other: rows may be the same for several lanes.

    scratch: as many vectors as there are lanes, squared.
    """
    cdef void* buffers[16]
    cdef Py_ssize_t start, width = lanes(scratch), size = width * width, count
    cdef int lane
    for lane in range(<int>width):
        if vec is vd:
            buffers[lane] = <double*>scratch + lane * size
        else:
            buffers[lane] = <float*>scratch + lane * size
    start = 0
    while start < n:
        count = min(size, n - start)
        store_columns(numbers + start, buffers, 0, count, n_live)
        for lane in range(n_live):
            if vec is vd:
                add_row(<double*>buffers[lane], count, <double*>rows[lane] + start)
            else:
                add_row(<float*>buffers[lane], count, <float*>rows[lane] + start)
        start += size


cdef inline void add_row(const real* numbers, Py_ssize_t n, real* row) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        row[i] += numbers[i]


cdef inline void store_values(vec* values, vec exponent, void** grids, Py_ssize_t row, Py_ssize_t n_rows,
                              Py_ssize_t column, Py_ssize_t n_columns, Py_ssize_t grid_columns,
                              int n_live) noexcept nogil:
    """Values (n_columns, ROWS) times 2^exponent to the grids' nodes (row + q, column + j), q < n_rows, j <
    n_columns."""
    cdef Py_ssize_t i
    cdef int lane
    # In two steps: the power alone may be beyond the range when the value is not.
    cdef vec half = rounded_half(exponent)
    cdef vec factor1 = power_of_two(half), factor2 = power_of_two(exponent - half)
    for i in range(n_columns * ROWS):
        values[i] = values[i] * factor1 * factor2
    for lane in range(n_live):
        if vec is vd:
            copy_values(<double*>values + lane, LANES_F64, <double*>grids[lane] + row * grid_columns + column, n_rows,
                        n_columns, grid_columns)
        else:
            copy_values(<float*>values + lane, LANES_F32, <float*>grids[lane] + row * grid_columns + column, n_rows,
                        n_columns, grid_columns)


cdef inline void copy_values(const real* values, int width, real* grid, Py_ssize_t n_rows, Py_ssize_t n_columns,
                             Py_ssize_t grid_columns) noexcept nogil:
    cdef Py_ssize_t q, j
    for q in range(n_rows):
        for j in range(n_columns):
            grid[q * grid_columns + j] = values[(j * ROWS + q) * width]


cdef inline void load_seeds(const void* const* grids, Py_ssize_t row, Py_ssize_t n_rows, Py_ssize_t column,
                            Py_ssize_t n_columns, Py_ssize_t grid_columns, vec factor, vec* seeds) noexcept nogil:
    """seeds (n_columns, ROWS) = the grids' nodes (row + q, column + j) times `factor`, 0 for q >= n_rows.

    Behind the seeds there is room for n_columns vectors of scratch memory.
    """
    cdef Py_ssize_t q, j
    cdef vec* one_row = seeds + ROWS * n_columns
    memset(seeds, 0, ROWS * n_columns * sizeof(vec))
    for q in range(n_rows):
        load_columns(grids, (row + q) * grid_columns + column, n_columns, one_row)
        for j in range(n_columns):
            seeds[j * ROWS + q] = one_row[j] * factor
