"""Lane groups of the signature kernel: from pairs of paths to lanes, and from lanes to gradients of paths."""

from libc.string cimport memset

from .lane_exponents cimport power_of_two, rounded_half
from .lane_moves cimport load_columns, store_columns
from .lane_windows cimport load_at, load_part, store_at, store_part
from .lanes cimport LANES_F32, LANES_F64, ceil_div, lanes, real, vd, vec
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


cdef inline void increments_backprop(vec* gx, Py_ssize_t n, Py_ssize_t d) noexcept nogil:
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

    scratch: as many vectors as there are lanes, squared. Some numbers behind the n vectors are read: they must exist.
    """
    cdef void* buffers[16]
    cdef Py_ssize_t start, width = lanes(scratch), size = width * width, count
    # Many numbers at the end take a transpose of their own, with what is behind them.
    cdef Py_ssize_t n_few = n % width if n % width <= width // 2 else 0
    cdef Py_ssize_t n_padded = n if n_few else ceil_div(n, width) * width
    cdef int lane, first
    for lane in range(<int>width):
        buffers[lane] = scratch + lane * width
    start = 0
    while start < n:
        store_columns(numbers + start, buffers, 0, min(size, n_padded - start), <int>width)
        count = min(size, n - start)
        first = 0
        while first < n_live:
            lane = first + 1
            while lane < n_live and rows[lane] == rows[first]:
                lane += 1
            if vec is vd:
                add_run(<const double*>numbers + start * width, <const double*>buffers[first], scratch + first * width,
                        first, lane, count, n_few if start + size >= n else 0, <double*>rows[first] + start)
            else:
                add_run(<const float*>numbers + start * width, <const float*>buffers[first], scratch + first * width,
                        first, lane, count, n_few if start + size >= n else 0, <float*>rows[first] + start)
            first = lane
        start += size


cdef inline void add_run(const real* numbers, const real* buffer, const vec* vectors, int first, int stop,
                         Py_ssize_t n, Py_ssize_t n_few, real* row) noexcept nogil:
    """Adds the lanes first..stop-1 of n vectors to a row, one after the other; buffer and vectors: what they are
    transposed, where the last n_few numbers of a row are no vectors."""
    cdef Py_ssize_t i
    if stop - first == 1:
        for i in range(n):
            row[i] += buffer[i]
    else:
        # They share a walk along the row.
        add_rows(vectors, lanes(vectors), stop - first, n - n_few, <vec*>row)
        add_last(numbers + (n - n_few) * lanes(vectors), n_few, lanes(vectors), first, stop, row + n - n_few)


cdef inline void add_rows(const vec* numbers, Py_ssize_t step, Py_ssize_t n_rows, Py_ssize_t n,
                          vec* row) noexcept nogil:
    """Adds n_rows rows of n numbers, `step` vectors apart, to a row, one after the other."""
    cdef Py_ssize_t i, k, width = lanes(numbers)
    cdef vec total
    for i in range(n // width):
        total = load_at(row, i * width)
        for k in range(n_rows):
            total = total + numbers[k * step + i]
        store_at(row, i * width, total)
    i = n // width
    if i * width < n:
        total = load_part(row, i * width, n - i * width)
        for k in range(n_rows):
            total = total + numbers[k * step + i]
        store_part(row, i * width, n - i * width, total)


cdef inline void add_last(const real* numbers, Py_ssize_t n, Py_ssize_t width, int first, int stop,
                          real* row) noexcept nogil:
    """Adds the lanes first..stop-1 of n vectors to a row, one after the other."""
    cdef Py_ssize_t i
    cdef int lane
    cdef real total
    for i in range(n):
        total = row[i]
        for lane in range(first, stop):
            total += numbers[i * width + lane]
        row[i] = total


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
