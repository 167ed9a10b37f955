# One pair, swept back along anti-diagonals: from the kernel's derivative to gradients. Included by
# signature_kernel.pyx; needs the functions of signature_kernel_wavefront.pxi.

from libc.math cimport ldexp
from libc.string cimport memcpy, memset

from ._interruption cimport due
from .lane_windows cimport copies_of, load_at, number_at, set_number, store_at, sum_lanes
from .lanes cimport lanes, n_lanes, real, vd, vec
from .signature_kernel_plan cimport Problem, cell_factor
from .signature_kernel_wavefront cimport (
    CHUNK,
    STRIPS,
    excess_of,
    largest_exponent,
    loses,
    number_is_lost,
    read_row,
    scale_state,
    set_exponents,
    sweep_strips_backprop,
)
from .signature_kernel_wavefront_cells cimport (
    add_first,
    add_second,
    fill_given_backprop,
    fill_products_backprop,
    inner_product,
    spread_backprop,
    straighten,
    sum_rows,
)
from .signature_kernel_wavefront_points cimport fill_point_cells_backprop
from .static_kernels cimport (
    GIVEN,
    LINEAR,
    MATERN12,
    MATERN32,
    MATERN52,
    POLYNOMIAL,
    RATIONAL_QUADRATIC,
    RBF,
    StaticKernel,
)


cdef void wave_steps_backprop(const vec* cells, Py_ssize_t pitch, const vec* bottom, vec factor, vec* state, vec* row,
                              Py_ssize_t place, vec* slopes, int strips) noexcept nogil:
    if strips == 1:
        sweep_strips_backprop(cells, pitch, bottom, factor, state, row, place, slopes, 1)
    elif strips == 2:
        sweep_strips_backprop(cells, pitch, bottom, factor, state, row, place, slopes, 2)
    elif strips == 3:
        sweep_strips_backprop(cells, pitch, bottom, factor, state, row, place, slopes, 3)
    elif strips == 4:
        sweep_strips_backprop(cells, pitch, bottom, factor, state, row, place, slopes, 4)
    elif strips == 5:
        sweep_strips_backprop(cells, pitch, bottom, factor, state, row, place, slopes, 5)
    else:
        sweep_strips_backprop(cells, pitch, bottom, factor, state, row, place, slopes, 6)


cdef void wave_fill_points_backprop(const StaticKernel* s, const vec* d_cells, Py_ssize_t place, Py_ssize_t stride,
                                    const vec* x, Py_ssize_t n_rows, const vec* y, vec* gy, Py_ssize_t first,
                                    Py_ssize_t stride_y, Py_ssize_t n_columns, vec* nodes, Py_ssize_t pitch, vec* gx,
                                    vec* gp) noexcept nogil:
    if s.kind == RBF:
        fill_point_cells_backprop(s, RBF, d_cells, place, stride, x, n_rows, y, gy, first, stride_y, n_columns,
                                  nodes, pitch, gx, gp)
    elif s.kind == POLYNOMIAL:
        fill_point_cells_backprop(s, POLYNOMIAL, d_cells, place, stride, x, n_rows, y, gy, first, stride_y, n_columns,
                                  nodes, pitch, gx, gp)
    elif s.kind == MATERN12:
        fill_point_cells_backprop(s, MATERN12, d_cells, place, stride, x, n_rows, y, gy, first, stride_y, n_columns,
                                  nodes, pitch, gx, gp)
    elif s.kind == MATERN32:
        fill_point_cells_backprop(s, MATERN32, d_cells, place, stride, x, n_rows, y, gy, first, stride_y, n_columns,
                                  nodes, pitch, gx, gp)
    elif s.kind == MATERN52:
        fill_point_cells_backprop(s, MATERN52, d_cells, place, stride, x, n_rows, y, gy, first, stride_y, n_columns,
                                  nodes, pitch, gx, gp)
    else:
        fill_point_cells_backprop(s, RATIONAL_QUADRATIC, d_cells, place, stride, x, n_rows, y, gy, first, stride_y,
                                  n_columns, nodes, pitch, gx, gp)


cdef void wave_fill_backprop(const Problem* p, const StaticKernel* s, const Wave* at, vec* memory, Py_ssize_t row,
                             Py_ssize_t n_rows, Py_ssize_t column, Py_ssize_t n_columns, vec* d_cells, Py_ssize_t place,
                             Py_ssize_t stride, vec* sums, void* given) noexcept nogil:
    """Adjoint of `wave_fill`; sums: those of the channels of the rows, a vector each."""
    if p.kind == GIVEN:
        fill_given_backprop(d_cells, place, stride, row, n_rows, p.n1, p.n2, cell_factor(p), column, n_columns,
                            <vec*>given)
    elif p.kind == LINEAR:
        fill_products_backprop(d_cells, place, stride, numbers_at(memory, at.x + row * p.d), p.d, n_rows,
                               numbers_at(memory, at.y), numbers_at(memory, at.gy), at.margin + column, at.stride,
                               n_columns, sums)
    else:
        wave_fill_points_backprop(s, d_cells, place, stride, numbers_at(memory, at.x + row * p.d), n_rows,
                                  numbers_at(memory, at.y), numbers_at(memory, at.gy), at.margin + column, at.stride,
                                  n_columns, numbers_at(memory, at.nodes), at.nodes_stride, sums,
                                  numbers_at(memory, at.gp))


cdef void wave_rows_backprop(const Problem* p, const StaticKernel* s, const Wave* at, vec* memory, Py_ssize_t row,
                             Py_ssize_t column, const vec* slanted, vec* rows, vec* sums, void* given) noexcept nogil:
    """Adjoint of `wave_rows` and `wave_slant`, chunk after chunk from the last to the first."""
    cdef int width = lanes(memory)
    cdef Py_ssize_t stride = width + CHUNK, first = row >> p.order1, q, c, outside
    cdef Py_ssize_t n_rows = ((row + width - 1) >> p.order1) - first + 1, n_columns
    cdef vec* coarse = numbers_at(memory, at.coarse)
    for q in range(width):
        store_at(rows, q * stride + CHUNK, load_at(rows, q * stride))
    straighten(slanted, stride, rows)
    # Outside the grid derivatives are of no use, and those of rows may be large.
    for q in range(width):
        outside = <Py_ssize_t>CHUNK if row + q >= p.rows else min(-column, <Py_ssize_t>CHUNK)
        for c in range(outside):
            set_number(rows, q * stride + width + c, 0)
    if p.order1 == 0 and p.order2 == 0:
        wave_fill_backprop(p, s, at, memory, first, n_rows, column, CHUNK, rows, width, stride, sums, given)
    else:
        memset(coarse, 0, width * (CHUNK + 2 * width) // width * sizeof(vec))
        spread_backprop(rows, width, stride, width, row, column, p.order1, p.order2, coarse, CHUNK + 2 * width)
        n_columns = ((column + CHUNK - 1) >> p.order2) - (column >> p.order2) + 1
        wave_fill_backprop(p, s, at, memory, first, n_rows, column >> p.order2, n_columns, coarse, 0, CHUNK + 2 * width,
                           sums, given)


cdef void wave_pass_backprop(const Problem* p, const StaticKernel* s, const Wave* at, vec* memory, Py_ssize_t number,
                             double final_exponent, void* given, bint* lost) noexcept nogil:
    """Adjoint of `wave_pass`, whose coefficients and slopes are kept."""
    cdef int width = lanes(memory), strips = pass_strips(at, number), i
    cdef Py_ssize_t first_row = pass_row(at, number, width), chunk, column, e = 0, raised, spent = 0
    cdef Py_ssize_t strip = width * (width + CHUNK), behind = strips * width - 1, coarse_row, n_rows
    cdef vec* state = numbers_at(memory, at.adjoint_state)
    cdef vec* bottom = numbers_at(memory, at.top)
    cdef vec* row = numbers_at(memory, at.adjoint)
    cdef vec* slopes
    cdef vec* sums
    cdef int* exponents = <int*>numbers_at(memory, at.adjoint_exponents)
    cdef int* used = <int*>numbers_at(memory, at.used)
    cdef vec factor
    memset(numbers_at(memory, at.d_rows), 0, STRIPS * strip // width * sizeof(vec))
    memset(state, 0, 4 * STRIPS * sizeof(vec))
    if p.kind != GIVEN:
        memset(numbers_at(memory, at.sums), 0, STRIPS * (width + 1) * p.d * sizeof(vec))
    for chunk in range(pass_chunks(p, strips, width) - 1, -1, -1):
        if due(&spent, 2 * STRIPS * CHUNK * (8 + p.d)):
            return
        column = chunk * CHUNK
        slopes = numbers_at(memory, at.slopes) + chunk * STRIPS * CHUNK
        raised = largest_exponent(exponents, column - behind, p.columns, e)
        if raised != e:
            lost[0] |= loses(state, strips, e - raised)
            scale_state(state, 4 * STRIPS, e - raised)
            e = raised
        read_row(row, at.last, exponents, column - behind, p.columns, e, bottom)
        # What the last column carries up is all that comes in from the right.
        i = <int>(p.columns - 1 - (column - behind))
        if 0 <= i < CHUNK:
            lost[0] |= number_is_lost(number_at(row, at.last - (p.columns - 1)), number_at(bottom, i), state)
        factor = copies_of(1.7320508075688772 * ldexp(1.0, <int>(used[chunk] + e - <Py_ssize_t>final_exponent)),
                           <const vec*>memory)
        wave_steps_backprop(numbers_at(memory, at.cells) + column, at.pitch, bottom, factor, state, row,
                            at.last - column, slopes, strips)
        set_exponents(exponents, column, p.columns, e)
        raised = e + excess_of(state, strips)
        if raised != e:
            lost[0] |= loses(state, strips, e - raised)
            scale_state(state, 4 * STRIPS, e - raised)
            e = raised
        for i in range(strips):
            wave_rows_backprop(p, s, at, memory, first_row + i * width, column - i * width, slopes + i * CHUNK,
                               numbers_at(memory, at.d_rows + i * strip),
                               numbers_at(memory, at.sums) + i * (width + 1) * p.d, given)
    if p.kind != GIVEN:
        for i in range(strips):
            coarse_row = (first_row + i * width) >> p.order1
            n_rows = ((first_row + i * width + width - 1) >> p.order1) - coarse_row + 1
            # Points are one more than rows of cells.
            sum_rows(numbers_at(memory, at.sums) + i * (width + 1) * p.d, (n_rows + (p.kind != LINEAR)) * p.d,
                     numbers_at(memory, at.gx), coarse_row * p.d)


cdef bint wave_finite(const Problem* p, const Wave* at, const real* memory, const real* given) noexcept nogil:
    """Whether the gradients of one pair are finite."""
    cdef Py_ssize_t c, points = p.kind != LINEAR
    if p.kind == GIVEN:
        return all_finite(given, p.n1 * p.n2)
    for c in range(p.d):
        if not all_finite(memory + at.gy + c * at.stride + at.margin, p.n2 + points):
            return False
    return all_finite(memory + at.gx, (p.n1 + points) * p.d) and all_finite(memory + at.gp, 3 * n_lanes(memory))


cdef bint sweep_wave_backprop(const Problem* p, const StaticKernel* s, const void* path1, const void* path2,
                              const Wave* at, vec* memory, double seed, bint log_derivs, void* d_path1, void* d_path2,
                              double* d_parameters, bint trusted) noexcept nogil:
    """Gradients of one pair, times `seed`, added to d_path1, d_path2 and d_parameters where these are not NULL.

    log_derivs: of log k. For given cells d_path1 is overwritten. Where numbers have left their range, nothing is added,
    and the result is True; unless `trusted`, which says that the inputs are not finite themselves.
    """
    cdef double mantissa = 1, exponent = 0
    cdef bint lost = False
    cdef Py_ssize_t number, first, stop, part, row_bytes = (at.top - at.row) * <Py_ssize_t>sizeof(vec) // lanes(memory)
    cdef Py_ssize_t kept = at.top - at.row, spent = 0, cost = STRIPS * p.columns * (8 + p.d)
    cdef vec* row = numbers_at(memory, at.row)
    wave_load(p, path1, path2, at, memory)
    memset(row, 0, row_bytes)
    for number in range(at.n_passes):
        if due(&spent, cost):
            return False
        if number % at.segment == 0:
            memcpy(numbers_at(memory, at.checkpoints + number // at.segment * kept), row, row_bytes)
        wave_pass(p, s, path1, at, memory, number, False, &mantissa, &exponent, &lost)
    if log_derivs:
        seed = seed / mantissa
    else:
        exponent = 0
    memset(numbers_at(memory, at.adjoint), 0, row_bytes)
    set_number(numbers_at(memory, at.adjoint), at.last - (p.columns - 1), seed)
    if p.kind == GIVEN:
        memset(d_path1, 0, p.n1 * p.n2 * sizeof(vec) // lanes(memory))
    else:
        memset(numbers_at(memory, at.gx), 0, (at.used - at.gx) * sizeof(vec) // lanes(memory))
    for part in range((at.n_passes - 1) // at.segment, -1, -1):
        first = part * at.segment
        stop = min(first + at.segment, at.n_passes)
        memcpy(row, numbers_at(memory, at.checkpoints + part * kept), row_bytes)
        for number in range(first, stop - 1):
            if due(&spent, cost):
                return False
            memcpy(numbers_at(memory, at.kept_rows + (number - first) * kept), row, row_bytes)
            wave_pass(p, s, path1, at, memory, number, False, &mantissa, &seed, &lost)
        for number in range(stop - 1, first - 1, -1):
            if due(&spent, 3 * cost):
                return False
            if number < stop - 1:
                memcpy(row, numbers_at(memory, at.kept_rows + (number - first) * kept), row_bytes)
            wave_pass(p, s, path1, at, memory, number, True, &mantissa, &seed, &lost)
            wave_pass_backprop(p, s, at, memory, number, exponent, d_path1, &lost)
    if vec is vd:
        lost = lost or not wave_finite(p, at, <const double*>memory, <const double*>d_path1)
    else:
        lost = lost or not wave_finite(p, at, <const float*>memory, <const float*>d_path1)
    if lost and not trusted:
        return True
    if p.kind != GIVEN:
        if d_path1 != NULL:
            add_first(numbers_at(memory, at.gx), p.n1 + 1, p.d, p.kind == LINEAR,
                      at.factor if p.kind == LINEAR else 1, d_path1)
        if d_path2 != NULL:
            add_second(numbers_at(memory, at.gy), p.n2 + 1, p.d, p.kind == LINEAR, at.margin, at.stride, d_path2)
        if d_parameters != NULL:
            if p.kind == LINEAR and p.parameters[0] != 0:
                # The kernel is scale^2 <x, y>: scale times the derivative of F is 2 sum <y, dF/dy>.
                d_parameters[0] += 2 / p.parameters[0] * inner_product(numbers_at(memory, at.y),
                                                                       numbers_at(memory, at.gy), p.d * at.stride)
            elif p.kind != LINEAR:
                for part in range(3):
                    d_parameters[part] += sum_lanes(numbers_at(memory, at.gp)[part])
    return False
