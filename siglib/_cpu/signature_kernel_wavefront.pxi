# One pair, swept along anti-diagonals: from two paths to the kernel. Included by signature_kernel.pyx; needs the
# functions of signature_kernel_parts.pxi and signature_kernel_lanes.pxi. The primitives are in
# signature_kernel_wavefront.pxd, signature_kernel_wavefront_cells.pxd and signature_kernel_wavefront_points.pxd.

from libc.math cimport ldexp
from libc.string cimport memcpy, memset

from ._interruption cimport due
from .lane_windows cimport copies_of, load_at, number_at, store_at
from .lanes cimport ceil_div, lanes, vec
from .signature_kernel_plan cimport Problem, cell_factor
from .signature_kernel_wavefront cimport (
    CHUNK,
    STRIPS,
    add_up,
    excess_of,
    largest_exponent,
    loses,
    number_is_lost,
    read_row,
    scale_state,
    set_exponents,
    sweep_strips,
)
from .signature_kernel_wavefront_cells cimport (
    fill_given,
    fill_products,
    load_first,
    load_lanes,
    load_second,
    reverse_rows,
    slant,
    slanted_products,
    spread,
)
from .signature_kernel_wavefront_points cimport fill_point_cells
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

cdef enum:
    # Passes that are swept again one by one, without rows of passes in between kept a second time.
    SINGLE_PASSES = 256
    # Chunks of coefficients in memory, where they are not all kept.
    WINDOW = 8


cdef struct Wave:
    # One thread's memory, in numbers, and the cut of the grid into passes.
    Py_ssize_t x, y, x_lanes, y_reversed, row, exponents, top, state, rows, coarse, nodes, cells, slopes, size
    # Backward only.
    Py_ssize_t checkpoints, kept_rows, adjoint, adjoint_exponents, adjoint_state, d_rows, sums, gx, gy, gp, used
    Py_ssize_t x_rows, margin, stride, nodes_stride, pitch, last, row_size, n_strips, n_passes, n_chunks, segment
    bint direct                  # coefficients are computed in slanted lanes: linear kernel, no refinement
    double factor                # of the first path's increments


cdef inline Py_ssize_t rounded(Py_ssize_t n) noexcept nogil:
    """n numbers rounded up to whole vectors of any type."""
    return (n + 15) & ~<Py_ssize_t>15


cdef Wave make_wave(const Problem* p, bint backward, int width) noexcept nogil:
    cdef Wave at
    cdef Py_ssize_t reach = STRIPS * width, strip, n_segments
    cdef bint paths = p.kind != GIVEN
    at.factor = cell_factor(p) * p.parameters[0] * p.parameters[0]
    at.n_strips = ceil_div(p.rows, width)
    at.n_passes = ceil_div(at.n_strips, STRIPS)
    at.n_chunks = ceil_div(p.columns + reach - 1, CHUNK)
    at.x_rows = max((at.n_strips * width) >> p.order1, p.n1) + 2 if paths else 0
    at.direct = p.kind == LINEAR and p.order1 == 0 and p.order2 == 0
    # Where coefficients are computed directly, those of strip i are i * lanes steps ahead.
    at.pitch = (max(at.n_chunks, <Py_ssize_t>WINDOW) if backward else WINDOW) * CHUNK + (STRIPS - 1) * width
    at.margin = reach + CHUNK + 4 * width
    at.stride = rounded(p.n2 + 1 + 2 * at.margin) if paths else 0
    at.last = p.columns - 1 + reach + CHUNK + width
    at.row_size = rounded(p.columns + 2 * (reach + CHUNK + width))
    at.segment = ceil_div(at.n_passes, SINGLE_PASSES)
    n_segments = (at.n_passes + at.segment - 1) // at.segment
    strip = width * (width + CHUNK)
    at.x = 0
    at.y = at.x + rounded(at.x_rows * p.d)
    at.x_lanes = at.y + p.d * at.stride
    at.y_reversed = at.x_lanes + (reach * p.d if at.direct else 0)
    at.row = at.y_reversed + (p.d * at.stride if at.direct else 0)
    at.exponents = at.row + at.row_size
    at.top = at.exponents + rounded(p.columns)
    at.state = at.top + 2 * CHUNK
    at.rows = at.state + 3 * reach
    at.coarse = at.rows + STRIPS * strip
    at.nodes = at.coarse + width * (CHUNK + 2 * width)
    at.nodes_stride = CHUNK + 4 * width
    at.cells = at.nodes + (0 if p.kind == GIVEN or p.kind == LINEAR else (width + 2) * at.nodes_stride)
    at.slopes = at.cells + reach * at.pitch
    at.size = at.slopes
    if backward:
        at.checkpoints = at.slopes + at.n_chunks * reach * CHUNK
        at.kept_rows = at.checkpoints + n_segments * (at.top - at.row)
        at.adjoint = at.kept_rows + (at.segment * (at.top - at.row) if at.segment > 1 else 0)
        at.adjoint_exponents = at.adjoint + at.row_size
        at.adjoint_state = at.adjoint_exponents + rounded(p.columns)
        at.d_rows = at.adjoint_state + 4 * reach
        at.sums = at.d_rows + STRIPS * strip
        at.gx = at.sums + (STRIPS * (width + 1) * width * p.d if paths else 0)
        at.gy = at.gx + rounded(at.x_rows * p.d)
        at.gp = at.gy + p.d * at.stride
        at.used = at.gp + 3 * width
        at.size = at.used + rounded(at.n_chunks)
    return at


cdef inline int pass_strips(const Wave* at, Py_ssize_t number) noexcept nogil:
    """Strips of a pass: about as many in each."""
    return <int>(at.n_strips // at.n_passes + (number < at.n_strips % at.n_passes))


cdef inline Py_ssize_t pass_row(const Wave* at, Py_ssize_t number, int width) noexcept nogil:
    """First row of a pass."""
    return (number * (at.n_strips // at.n_passes) + min(number, at.n_strips % at.n_passes)) * width


cdef inline Py_ssize_t pass_chunks(const Problem* p, int strips, int width) noexcept nogil:
    return (p.columns + strips * width - 1 + CHUNK - 1) // CHUNK


cdef inline vec* numbers_at(vec* memory, Py_ssize_t i) noexcept nogil:
    """Memory from number i on."""
    return <vec*>(<char*>memory + i * (<Py_ssize_t>sizeof(vec) // lanes(memory)))


# What is inlined everywhere else is a function of its own here, so that each part gets the registers to itself.

cdef void wave_steps(const vec* cells, Py_ssize_t pitch, const vec* top, vec* state, vec* row, Py_ssize_t place,
                     int strips) noexcept nogil:
    if strips == 1:
        sweep_strips(cells, pitch, top, state, row, place, state, 1, False)
    elif strips == 2:
        sweep_strips(cells, pitch, top, state, row, place, state, 2, False)
    elif strips == 3:
        sweep_strips(cells, pitch, top, state, row, place, state, 3, False)
    elif strips == 4:
        sweep_strips(cells, pitch, top, state, row, place, state, 4, False)
    elif strips == 5:
        sweep_strips(cells, pitch, top, state, row, place, state, 5, False)
    else:
        sweep_strips(cells, pitch, top, state, row, place, state, 6, False)


cdef void wave_steps_slopes(const vec* cells, Py_ssize_t pitch, const vec* top, vec* state, vec* row,
                            Py_ssize_t place, vec* slopes, int strips) noexcept nogil:
    if strips == 1:
        sweep_strips(cells, pitch, top, state, row, place, slopes, 1, True)
    elif strips == 2:
        sweep_strips(cells, pitch, top, state, row, place, slopes, 2, True)
    elif strips == 3:
        sweep_strips(cells, pitch, top, state, row, place, slopes, 3, True)
    elif strips == 4:
        sweep_strips(cells, pitch, top, state, row, place, slopes, 4, True)
    elif strips == 5:
        sweep_strips(cells, pitch, top, state, row, place, slopes, 5, True)
    else:
        sweep_strips(cells, pitch, top, state, row, place, slopes, 6, True)


cdef void wave_products(const Problem* p, const Wave* at, vec* memory, Py_ssize_t column, vec* cells,
                        int strips) noexcept nogil:
    """Coefficients from the step on at which lane 0 of the first strip is at `column`."""
    cdef Py_ssize_t place = at.stride - 1 - at.margin - column, pitch = at.pitch + lanes(memory)
    cdef const vec* x = numbers_at(memory, at.x_lanes)
    cdef const vec* y = numbers_at(memory, at.y_reversed)
    cdef int i = 0
    while i + 3 <= strips:
        slanted_products(x + i * p.d, p.d, y, place, at.stride, cells + i * pitch, pitch, 3)
        i += 3
    if strips - i == 2:
        slanted_products(x + i * p.d, p.d, y, place, at.stride, cells + i * pitch, pitch, 2)
    elif strips - i == 1:
        slanted_products(x + i * p.d, p.d, y, place, at.stride, cells + i * pitch, pitch, 1)


cdef void wave_fill_points(const StaticKernel* s, const vec* x, Py_ssize_t n_rows, const vec* y, Py_ssize_t first,
                           Py_ssize_t stride_y, Py_ssize_t n_columns, vec* nodes, Py_ssize_t pitch, vec* out,
                           Py_ssize_t place, Py_ssize_t stride) noexcept nogil:
    if s.kind == RBF:
        fill_point_cells(s, RBF, x, n_rows, y, first, stride_y, n_columns, nodes, pitch, out, place, stride)
    elif s.kind == POLYNOMIAL:
        fill_point_cells(s, POLYNOMIAL, x, n_rows, y, first, stride_y, n_columns, nodes, pitch, out, place, stride)
    elif s.kind == MATERN12:
        fill_point_cells(s, MATERN12, x, n_rows, y, first, stride_y, n_columns, nodes, pitch, out, place, stride)
    elif s.kind == MATERN32:
        fill_point_cells(s, MATERN32, x, n_rows, y, first, stride_y, n_columns, nodes, pitch, out, place, stride)
    elif s.kind == MATERN52:
        fill_point_cells(s, MATERN52, x, n_rows, y, first, stride_y, n_columns, nodes, pitch, out, place, stride)
    else:
        fill_point_cells(s, RATIONAL_QUADRATIC, x, n_rows, y, first, stride_y, n_columns, nodes, pitch, out, place,
                         stride)


cdef void wave_fill(const Problem* p, const StaticKernel* s, const void* path1, const Wave* at, vec* memory,
                    Py_ssize_t row, Py_ssize_t n_rows, Py_ssize_t column, Py_ssize_t n_columns, vec* out,
                    Py_ssize_t place, Py_ssize_t stride) noexcept nogil:
    """Rows and columns of cells, not refined; zeros outside."""
    if p.kind == GIVEN:
        fill_given(<const vec*>path1, row, n_rows, p.n1, p.n2, cell_factor(p), column, n_columns, out, place, stride)
    elif p.kind == LINEAR:
        fill_products(numbers_at(memory, at.x + row * p.d), p.d, n_rows, numbers_at(memory, at.y), at.margin + column,
                      at.stride, n_columns, out, place, stride)
    else:
        wave_fill_points(s, numbers_at(memory, at.x + row * p.d), n_rows, numbers_at(memory, at.y), at.margin + column,
                         at.stride, n_columns, numbers_at(memory, at.nodes), at.nodes_stride, out, place, stride)


cdef void wave_rows(const Problem* p, const StaticKernel* s, const void* path1, const Wave* at, vec* memory,
                    Py_ssize_t row, Py_ssize_t column, vec* rows) noexcept nogil:
    """Coefficients of CHUNK columns, from `column` on, of the strip that starts at `row`."""
    cdef int width = lanes(memory)
    cdef Py_ssize_t stride = width + CHUNK, first = row >> p.order1, r
    cdef Py_ssize_t n_rows = ((row + width - 1) >> p.order1) - first + 1
    for r in range(n_rows):
        store_at(rows, r * stride, load_at(rows, r * stride + CHUNK))
    if p.order2 == 0:
        wave_fill(p, s, path1, at, memory, first, n_rows, column, CHUNK, rows, width, stride)
    else:
        wave_fill(p, s, path1, at, memory, first, n_rows, column >> p.order2,
                  ((column + CHUNK - 1) >> p.order2) - (column >> p.order2) + 1, numbers_at(memory, at.coarse), 0,
                  CHUNK + 2 * width)
        spread(numbers_at(memory, at.coarse), CHUNK + 2 * width, n_rows, column, p.order2, rows, width, stride)


cdef void wave_slant(const vec* rows, Py_ssize_t row, int order1, vec* cells) noexcept nogil:
    slant(rows, row, order1, lanes(cells) + CHUNK, cells)


cdef double wave_raise(vec* state, int strips, double value, Py_ssize_t exponent, bint* lost) noexcept nogil:
    """Multiply the state of a pass by 2^exponent, and the value of the row above, which is returned."""
    cdef double scaled = ldexp(value, <int>exponent)
    lost[0] |= loses(state, strips, exponent) or number_is_lost(value, scaled, state)
    scale_state(state, 3 * STRIPS, exponent)
    return scaled


cdef void wave_pass(const Problem* p, const StaticKernel* s, const void* path1, const Wave* at, vec* memory,
                    Py_ssize_t number, bint keep, double* mantissa, double* exponent, bint* lost) noexcept nogil:
    """One pass; `keep`: coefficients, slopes and their exponents of all chunks.

    lost: becomes True if values vanish beside larger ones.
    """
    cdef int width = lanes(memory), strips = pass_strips(at, number), i
    cdef Py_ssize_t first_row = pass_row(at, number, width), chunk, column, e = 0, raised, spent = 0
    cdef Py_ssize_t strip = width * (width + CHUNK)
    cdef vec* state = numbers_at(memory, at.state)
    cdef vec* top = numbers_at(memory, at.top)
    cdef vec* row = numbers_at(memory, at.row)
    cdef vec* cells = numbers_at(memory, at.cells)
    cdef int* exponents = <int*>numbers_at(memory, at.exponents)
    cdef int* used = <int*>numbers_at(memory, at.used) if keep else exponents
    cdef double value = 1
    cdef vec one = copies_of(1, <const vec*>memory)
    if at.direct:
        load_lanes(numbers_at(memory, at.x), p.d, first_row, strips, numbers_at(memory, at.x_lanes))
        for i in range(1, strips):
            memset(cells + i * at.pitch, 0, i * width * sizeof(vec))
    else:
        memset(numbers_at(memory, at.rows), 0, STRIPS * strip // width * sizeof(vec))
    for i in range(STRIPS):
        state[i] = state[2 * STRIPS + i] = one
        state[STRIPS + i] = one - one
    for chunk in range(pass_chunks(p, strips, width)):
        if due(&spent, STRIPS * CHUNK * (8 + p.d)):
            return
        column = chunk * CHUNK
        raised = largest_exponent(exponents, column, p.columns, e)
        if raised != e:
            value = wave_raise(state, strips, value, e - raised, lost)
            e = raised
        read_row(row, at.last, exponents, column, p.columns, e, top)
        value = add_up(top, value, top)
        if at.direct:
            wave_products(p, at, memory, column, cells, strips)
        else:
            for i in range(strips):
                wave_rows(p, s, path1, at, memory, first_row + i * width, column - i * width,
                          numbers_at(memory, at.rows + i * strip))
            for i in range(strips):
                wave_slant(numbers_at(memory, at.rows + i * strip), first_row + i * width, p.order1,
                           cells + i * at.pitch)
        # The last lane of the last strip is strips * width - 1 columns behind the first; its vector starts
        # width - 1 numbers before its own.
        if keep:
            used[chunk] = <int>e
            wave_steps_slopes(cells, at.pitch, top, state, row, at.last - column + (strips - 1) * width,
                              numbers_at(memory, at.slopes) + chunk * STRIPS * CHUNK, strips)
        else:
            wave_steps(cells, at.pitch, top, state, row, at.last - column + (strips - 1) * width, strips)
        cells += CHUNK
        if not keep and chunk % WINDOW == WINDOW - 1:
            # Back to the start of the window, with what is there already for the steps to come.
            if at.direct:
                for i in range(1, strips):
                    memcpy(cells - WINDOW * CHUNK + i * at.pitch, cells + i * at.pitch, i * width * sizeof(vec))
            cells -= WINDOW * CHUNK
        set_exponents(exponents, column - (strips * width - 1), p.columns, e)
        raised = e + excess_of(state, strips)
        if raised != e:
            value = wave_raise(state, strips, value, e - raised, lost)
            e = raised
    mantissa[0] = number_at(state, strips * width - 1)
    exponent[0] = <double>e


cdef void wave_load(const Problem* p, const void* path1, const void* path2, const Wave* at, vec* memory) noexcept nogil:
    if p.kind != GIVEN:
        load_first(path1, p.n1 + 1, at.x_rows, p.d, p.kind == LINEAR, at.factor, numbers_at(memory, at.x))
        load_second(path2, p.n2 + 1, p.d, p.kind == LINEAR, at.margin, at.stride, numbers_at(memory, at.y))
    if at.direct:
        reverse_rows(numbers_at(memory, at.y), p.d, at.stride, numbers_at(memory, at.y_reversed))


cdef bint sweep_wave(const Problem* p, const StaticKernel* s, const void* path1, const void* path2, const Wave* at,
                     vec* memory, double* mantissa, double* exponent) noexcept nogil:
    """The kernel of one pair of paths, mantissa * 2^exponent. memory: at.size numbers.

    Returns whether it is in doubt, as numbers left their range.
    """
    cdef Py_ssize_t number, spent = 0
    cdef bint lost = False
    wave_load(p, path1, path2, at, memory)
    memset(numbers_at(memory, at.row), 0, (at.top - at.row) * sizeof(vec) // lanes(memory))
    for number in range(at.n_passes):
        if due(&spent, STRIPS * p.columns * (8 + p.d)):
            return False
        wave_pass(p, s, path1, at, memory, number, False, mantissa, exponent, &lost)
    return lost or not is_finite(mantissa[0])
