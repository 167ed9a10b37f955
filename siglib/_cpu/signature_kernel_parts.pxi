# The primitives of signature kernels as functions. Included by signature_kernel.pyx.
#
# What is inlined everywhere else is a function of its own here, so that each part gets the registers to itself.

from libc.string cimport memset

from .lane_moves cimport load_columns
from .lane_windows cimport copies_of
from .lanes cimport real, vd, vec
from .signature_kernel_groups cimport load_increments
from .signature_kernel_numbers cimport set_to, set_zeros, sweep_numbers, sweep_numbers_backprop
from .signature_kernel_plan cimport ROWS, TILE, Problem, cell_factor
from .signature_kernel_polynomial cimport sweep_polynomial, sweep_polynomial_backprop
from .signature_kernel_polynomial_numbers cimport (
    number_corner,
    number_corner_backprop,
    sweep_polynomial_numbers,
    sweep_polynomial_numbers_backprop,
)
from .signature_kernel_sweep cimport NOTHING, SLOPES, VALUES, Kept, sweep_tile, sweep_tile_backprop, times
from .static_kernels cimport GIVEN, LINEAR, StaticKernel, fill_cells


cdef inline bint is_finite(double number) noexcept nogil:
    return number - number == 0


cdef bint all_finite(const real* numbers, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef real marks[8]       # 0, or NaN
    for k in range(8):
        marks[k] = 0
    for i in range(0, n - 7, 8):
        for k in range(8):
            marks[k] += numbers[i + k] - numbers[i + k]
    for i in range(n // 8 * 8, n):
        marks[0] += numbers[i] - numbers[i]
    for k in range(1, 8):
        marks[0] += marks[k]
    return marks[0] == 0


cdef void load(const Problem* p, const StaticKernel* s, const void* const* paths1, const void* const* paths2,
               const KernelScratch* at, vec* memory) noexcept nogil:
    cdef Py_ssize_t n_loaded = 0 if p.kind == GIVEN else (p.n1 + 1) * p.d
    memset(memory + at.x + n_loaded, 0, (at.y - at.x - n_loaded) * sizeof(vec))
    if p.kind == LINEAR:
        load_increments(paths1, p.n1, p.d, cell_factor(p) * p.parameters[0] * p.parameters[0], memory + at.x)
        load_increments(paths2, p.n2, p.d, 1, memory + at.y)
    elif p.kind != GIVEN:
        load_columns(paths1, 0, (p.n1 + 1) * p.d, memory + at.x)
        load_columns(paths2, 0, (p.n2 + 1) * p.d, memory + at.y)


cdef void fill(const Problem* p, const StaticKernel* s, const void* const* paths1, Py_ssize_t start, Py_ssize_t row,
               Py_ssize_t tile, const KernelScratch* at, vec* memory, vec* cells) noexcept nogil:
    """Coefficients of a tile, in the block that starts at row `row` of cells, of a sweep that started at row
    `start`."""
    cdef Py_ssize_t column = tile * p.tile_cells, n_columns = min(p.tile_cells, p.n2 - column)
    cdef Py_ssize_t n_rows = min(p.block_cells, p.n1 - row)
    if p.kind == GIVEN:
        load_given(p, paths1, row, n_rows, column, n_columns, cells)
    else:
        fill_cells(s, memory + at.x + start * p.d, memory + at.y, row - start, n_rows, column, n_columns,
                   memory + at.above, memory + at.left, cells)


cdef void load_given(const Problem* p, const void* const* cells_of_pairs, Py_ssize_t row, Py_ssize_t n_rows,
                     Py_ssize_t column, Py_ssize_t n_columns, vec* cells) noexcept nogil:
    cdef Py_ssize_t q, t
    memset(cells, 0, TILE * sizeof(vec))
    for q in range(n_rows):
        load_columns(cells_of_pairs, (row + q) * p.n2 + column, n_columns, cells + q * (TILE // ROWS))
        for t in range(n_columns):
            cells[q * (TILE // ROWS) + t] = times(cells[q * (TILE // ROWS) + t], cell_factor(p))


cdef void sweep(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vec* columns,
                vec* rows) noexcept nogil:
    if repeat == 1:
        sweep_tile(cells, shift, n_cells, 1, columns, rows, rows, NOTHING)
    else:
        sweep_tile(cells, shift, n_cells, repeat, columns, rows, rows, NOTHING)


cdef void sweep_slopes(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vec* columns, vec* rows,
                       vec* kept) noexcept nogil:
    if repeat == 1:
        sweep_tile(cells, shift, n_cells, 1, columns, rows, kept, SLOPES)
    else:
        sweep_tile(cells, shift, n_cells, repeat, columns, rows, kept, SLOPES)


cdef void sweep_values(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vec* columns, vec* rows,
                       vec* kept) noexcept nogil:
    sweep_tile(cells, shift, n_cells, repeat, columns, rows, kept, VALUES)


cdef void sweep_backprop(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, const vec* slopes,
                         vec factor, vec* columns, vec* rows, vec* d_cells, bint accumulate) noexcept nogil:
    if repeat == 1 and shift == 0:
        sweep_tile_backprop(cells, 0, n_cells, 1, slopes, slopes, False, factor, columns, rows, d_cells, False)
    else:
        sweep_tile_backprop(cells, shift, n_cells, repeat, slopes, slopes, False, factor, columns, rows, d_cells,
                            accumulate)


cdef void sweep_backprop_seeded(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, const vec* slopes,
                                const vec* seeds, vec factor, vec* columns, vec* rows, vec* d_cells,
                                bint accumulate) noexcept nogil:
    sweep_tile_backprop(cells, shift, n_cells, repeat, slopes, seeds, True, factor, columns, rows, d_cells, accumulate)


# With an exponent for each number: float64 only.

cdef inline void set_zero_state(const Problem* p, vec* state, Py_ssize_t n) noexcept nogil:
    """n vectors of a state become zeros."""
    if p.by_number:
        if vec is vd:
            set_zeros(state, n // 2)
    else:
        memset(state, 0, n * sizeof(vec))


cdef void sweep_by_number(const Problem* p, const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_cells, const vec* c,
                          vec* columns, vec* rows, vec* kept, Kept keep) noexcept nogil:
    if vec is vd:
        if p.order > 0:
            sweep_polynomial_numbers(cells, n_rows, n_cells, c, columns, rows, kept, p.state, p.order, keep)
        else:
            sweep_numbers(cells, p.shift, n_cells, <Py_ssize_t>1 << p.order2, columns, rows, kept, keep)


cdef void sweep_by_number_backprop(const Problem* p, const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_cells,
                                   const vec* c, const vec* slopes, const vec* seeds, bint seeded, vec final_exponent,
                                   vec* columns, vec* rows, vec* d_cells, bint accumulate) noexcept nogil:
    if vec is vd:
        if p.order > 0:
            sweep_polynomial_numbers_backprop(cells, n_rows, n_cells, c, slopes, seeds, seeded, final_exponent, columns,
                                              rows, d_cells, p.state, p.order)
        else:
            sweep_numbers_backprop(cells, p.shift, n_cells, <Py_ssize_t>1 << p.order2, slopes, seeds, seeded,
                                   final_exponent, columns, rows, d_cells, accumulate)


cdef void end_by_number(const Problem* p, Py_ssize_t n_rows, const vec* columns, const vec* rows, const vec* c,
                        vec* result) noexcept nogil:
    """The kernel, a mantissa and an exponent, from the last row and the last column."""
    cdef const vec* row = rows + (n_rows - 1) * p.state
    if vec is vd:
        if p.order > 0:
            number_corner(row, columns + (p.columns - 1) * p.state, c, p.order, result)
        else:
            result[0], result[1] = row[0], row[1]


cdef void end_by_number_backprop(const Problem* p, Py_ssize_t n_rows, vec seed, vec* columns, vec* rows,
                                 const vec* c) noexcept nogil:
    """Its adjoint, added to states."""
    cdef vec* column = columns + (p.columns - 1) * p.state
    if vec is vd:
        if p.order > 0:
            number_corner_backprop(seed, rows + (n_rows - 1) * p.state, column, c, p.order)
        else:
            set_to(column, seed, copies_of(0, column))


# Small orders are known to the compiler: then coefficients stay in registers (order 8: 1.8 times as fast, order 4: 3).

cdef void sweep_order(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants, vec* columns,
                      vec* rows, vec* kept, Py_ssize_t stride, int order) noexcept nogil:
    if order == 2:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 2, NOTHING)
    elif order == 3:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 3, NOTHING)
    elif order == 4:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 4, NOTHING)
    elif order == 5:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 5, NOTHING)
    elif order == 6:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 6, NOTHING)
    elif order == 7:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 7, NOTHING)
    elif order == 8:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 8, NOTHING)
    elif order == 9:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 9, NOTHING)
    elif order == 10:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 10, NOTHING)
    elif order == 11:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 11, NOTHING)
    elif order == 12:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 12, NOTHING)
    else:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, order, NOTHING)


cdef void sweep_order_slopes(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                             vec* columns, vec* rows, vec* kept, Py_ssize_t stride, int order) noexcept nogil:
    if order == 2:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 2, SLOPES)
    elif order == 3:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 3, SLOPES)
    elif order == 4:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 4, SLOPES)
    elif order == 5:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 5, SLOPES)
    elif order == 6:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 6, SLOPES)
    elif order == 7:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 7, SLOPES)
    elif order == 8:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 8, SLOPES)
    elif order == 9:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 9, SLOPES)
    elif order == 10:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 10, SLOPES)
    elif order == 11:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 11, SLOPES)
    elif order == 12:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 12, SLOPES)
    else:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, order, SLOPES)


cdef void sweep_order_values(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                             vec* columns, vec* rows, vec* kept, Py_ssize_t stride, int order) noexcept nogil:
    sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, order, VALUES)


cdef void sweep_order_backprop(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                               const vec* slopes, vec factor, vec* columns, vec* rows, vec* d_cells, Py_ssize_t stride,
                               int order) noexcept nogil:
    if order == 2:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 2)
    elif order == 3:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 3)
    elif order == 4:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 4)
    elif order == 5:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 5)
    elif order == 6:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 6)
    elif order == 7:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 7)
    elif order == 8:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 8)
    elif order == 9:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 9)
    elif order == 10:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 10)
    elif order == 11:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 11)
    elif order == 12:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, 12)
    else:
        sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                  d_cells, stride, order)


cdef void sweep_order_backprop_seeded(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                                      const vec* slopes, const vec* seeds, vec factor, vec* columns, vec* rows,
                                      vec* d_cells, Py_ssize_t stride, int order) noexcept nogil:
    sweep_polynomial_backprop(cells, n_rows, n_columns, constants, slopes, seeds, True, factor, columns, rows, d_cells,
                              stride, order)
