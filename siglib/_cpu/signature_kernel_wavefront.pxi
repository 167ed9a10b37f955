# One pair, swept along anti-diagonals: from two paths to the kernel, and to the gradients. Included by
# signature_kernel.pyx; the primitives are in signature_kernel_wavefront.pxd and signature_kernel_wavefront_cells.pxd.

cdef enum:
    # Passes that are swept again one by one, without rows of passes in between kept a second time.
    SINGLE_PASSES = 256


cdef struct Wave:
    # One thread's memory, in numbers, and the cut of the grid into passes.
    Py_ssize_t x, y, row, exponents, top, state, rows, coarse, cells, slopes, size
    # Backward only.
    Py_ssize_t checkpoints, kept_rows, adjoint, adjoint_exponents, adjoint_state, d_rows, sums, gx, gy, used
    Py_ssize_t x_rows, margin, stride, last, row_size, n_strips, n_passes, n_chunks, segment
    double factor                # of the first path's increments


cdef inline Py_ssize_t rounded(Py_ssize_t n) noexcept nogil:
    """n numbers rounded up to whole vectors of any type."""
    return (n + 15) & ~<Py_ssize_t>15


cdef Wave make_wave(const Problem* p, bint backward, int width) noexcept nogil:
    cdef Wave at
    cdef Py_ssize_t reach = STRIPS * width, strip, n_segments
    cdef bint paths = p.kind != GIVEN
    at.factor = cell_factor(p) * p.parameters[0] * p.parameters[0]
    at.n_strips = (p.rows + width - 1) // width
    at.n_passes = (at.n_strips + STRIPS - 1) // STRIPS
    at.n_chunks = (p.columns + reach - 1 + CHUNK - 1) // CHUNK
    at.x_rows = max((at.n_strips * width) >> p.order1, p.n1) + 2 if paths else 0
    at.margin = reach + CHUNK + 4 * width
    at.stride = rounded(p.n2 + 1 + 2 * at.margin) if paths else 0
    at.last = p.columns - 1 + reach + CHUNK + width
    at.row_size = rounded(p.columns + 2 * (reach + CHUNK + width))
    at.segment = (at.n_passes + SINGLE_PASSES - 1) // SINGLE_PASSES
    n_segments = (at.n_passes + at.segment - 1) // at.segment
    strip = width * (width + CHUNK)
    at.x = 0
    at.y = at.x + rounded(at.x_rows * p.d)
    at.row = at.y + p.d * at.stride
    at.exponents = at.row + at.row_size
    at.top = at.exponents + rounded(p.columns)
    at.state = at.top + 2 * CHUNK
    at.rows = at.state + 3 * reach
    at.coarse = at.rows + STRIPS * strip
    at.cells = at.coarse + width * (CHUNK + 2 * width)
    at.slopes = at.cells + (at.n_chunks if backward else 1) * reach * CHUNK
    at.size = at.slopes
    if backward:
        at.checkpoints = at.slopes + at.n_chunks * reach * CHUNK
        at.kept_rows = at.checkpoints + n_segments * (at.top - at.row)
        at.adjoint = at.kept_rows + (at.segment * (at.top - at.row) if at.segment > 1 else 0)
        at.adjoint_exponents = at.adjoint + at.row_size
        at.adjoint_state = at.adjoint_exponents + rounded(p.columns)
        at.d_rows = at.adjoint_state + 4 * reach
        at.sums = at.d_rows + STRIPS * strip
        at.gx = at.sums + (reach * width * p.d if paths else 0)
        at.gy = at.gx + rounded(at.x_rows * p.d)
        at.used = at.gy + p.d * at.stride
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

cdef void wave_steps(const vec* cells, const vec* top, vec* state, vec* row, Py_ssize_t place,
                     int strips) noexcept nogil:
    if strips == 1:
        sweep_strips(cells, top, state, row, place, state, 1, False)
    elif strips == 2:
        sweep_strips(cells, top, state, row, place, state, 2, False)
    elif strips == 3:
        sweep_strips(cells, top, state, row, place, state, 3, False)
    else:
        sweep_strips(cells, top, state, row, place, state, 4, False)


cdef void wave_steps_slopes(const vec* cells, const vec* top, vec* state, vec* row, Py_ssize_t place, vec* slopes,
                            int strips) noexcept nogil:
    if strips == 1:
        sweep_strips(cells, top, state, row, place, slopes, 1, True)
    elif strips == 2:
        sweep_strips(cells, top, state, row, place, slopes, 2, True)
    elif strips == 3:
        sweep_strips(cells, top, state, row, place, slopes, 3, True)
    else:
        sweep_strips(cells, top, state, row, place, slopes, 4, True)


cdef void wave_steps_back(const vec* cells, const vec* bottom, vec factor, vec* state, vec* row, Py_ssize_t place,
                          vec* slopes, int strips) noexcept nogil:
    if strips == 1:
        sweep_strips_adjoint(cells, bottom, factor, state, row, place, slopes, 1)
    elif strips == 2:
        sweep_strips_adjoint(cells, bottom, factor, state, row, place, slopes, 2)
    elif strips == 3:
        sweep_strips_adjoint(cells, bottom, factor, state, row, place, slopes, 3)
    else:
        sweep_strips_adjoint(cells, bottom, factor, state, row, place, slopes, 4)


cdef void wave_fill(const Problem* p, const StaticKernel* s, const void* path1, const Wave* at, vec* memory,
                    Py_ssize_t row, Py_ssize_t n_rows, Py_ssize_t column, Py_ssize_t n_columns, vec* out,
                    Py_ssize_t place, Py_ssize_t stride) noexcept nogil:
    """Rows and columns of cells, not refined; zeros outside."""
    if p.kind == GIVEN:
        fill_given(<const vec*>path1, row, n_rows, p.n1, p.n2, cell_factor(p), column, n_columns, out, place, stride)
    else:
        fill_products(numbers_at(memory, at.x + row * p.d), p.d, n_rows, numbers_at(memory, at.y), at.margin + column,
                      at.stride, n_columns, out, place, stride)


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


cdef void wave_pass(const Problem* p, const StaticKernel* s, const void* path1, const Wave* at, vec* memory,
                    Py_ssize_t number, bint keep, double* mantissa, double* exponent) noexcept nogil:
    """One pass; `keep`: coefficients, slopes and their exponents of all chunks."""
    cdef int width = lanes(memory), strips = pass_strips(at, number), i
    cdef Py_ssize_t first_row = pass_row(at, number, width), chunk, column, e = 0, raised
    cdef Py_ssize_t strip = width * (width + CHUNK)
    cdef vec* state = numbers_at(memory, at.state)
    cdef vec* top = numbers_at(memory, at.top)
    cdef vec* row = numbers_at(memory, at.row)
    cdef vec* cells = numbers_at(memory, at.cells)
    cdef int* exponents = <int*>numbers_at(memory, at.exponents)
    cdef int* used = <int*>numbers_at(memory, at.used) if keep else exponents
    cdef double value = 1
    cdef vec one = copies_of(1, <const vec*>memory)
    memset(numbers_at(memory, at.rows), 0, STRIPS * strip // width * sizeof(vec))
    for i in range(STRIPS):
        state[i] = state[2 * STRIPS + i] = one
        state[STRIPS + i] = one - one
    for chunk in range(pass_chunks(p, strips, width)):
        column = chunk * CHUNK
        raised = largest_exponent(exponents, column, p.columns, e)
        if raised != e:
            scale_state(state, 3 * STRIPS, e - raised)
            value = ldexp(value, <int>(e - raised))
            e = raised
        read_row(row, at.last, exponents, column, p.columns, e, top)
        value = add_up(top, value, top)
        for i in range(strips):
            wave_rows(p, s, path1, at, memory, first_row + i * width, column - i * width,
                      numbers_at(memory, at.rows + i * strip))
        for i in range(strips):
            wave_slant(numbers_at(memory, at.rows + i * strip), first_row + i * width, p.order1, cells + i * CHUNK)
        # The last lane of the last strip is strips * width - 1 columns behind the first; its vector starts
        # width - 1 numbers before its own.
        if keep:
            used[chunk] = <int>e
            wave_steps_slopes(cells, top, state, row, at.last - column + (strips - 1) * width,
                              numbers_at(memory, at.slopes) + chunk * STRIPS * CHUNK, strips)
            cells += STRIPS * CHUNK
        else:
            wave_steps(cells, top, state, row, at.last - column + (strips - 1) * width, strips)
        set_exponents(exponents, column - (strips * width - 1), p.columns, e)
        raised = e + excess_of(state, strips)
        if raised != e:
            scale_state(state, 3 * STRIPS, e - raised)
            value = ldexp(value, <int>(e - raised))
            e = raised
    mantissa[0] = number_at(state, strips * width - 1)
    exponent[0] = <double>e


cdef void wave_load(const Problem* p, const void* path1, const void* path2, const Wave* at, vec* memory) noexcept nogil:
    if p.kind != GIVEN:
        load_first(path1, p.n1 + 1, at.x_rows, p.d, p.kind == LINEAR, at.factor, numbers_at(memory, at.x))
        load_second(path2, p.n2 + 1, p.d, p.kind == LINEAR, at.margin, at.stride, numbers_at(memory, at.y))


cdef void wave_forward(const Problem* p, const StaticKernel* s, const void* path1, const void* path2, const Wave* at,
                       vec* memory, double* mantissa, double* exponent) noexcept nogil:
    """The kernel of one pair of paths, mantissa * 2^exponent. memory: at.size numbers."""
    cdef Py_ssize_t number
    wave_load(p, path1, path2, at, memory)
    memset(numbers_at(memory, at.row), 0, (at.top - at.row) * sizeof(vec) // lanes(memory))
    for number in range(at.n_passes):
        wave_pass(p, s, path1, at, memory, number, False, mantissa, exponent)


cdef void wave_pull(const Problem* p, const StaticKernel* s, const Wave* at, vec* memory, Py_ssize_t row,
                    Py_ssize_t n_rows, Py_ssize_t column, Py_ssize_t n_columns, vec* d_cells, Py_ssize_t place,
                    Py_ssize_t stride, vec* sums, void* given) noexcept nogil:
    """Adjoint of `wave_fill`; sums: those of the channels of the rows, a vector each."""
    if p.kind == GIVEN:
        pull_given(d_cells, place, stride, row, n_rows, p.n1, p.n2, cell_factor(p), column, n_columns, <vec*>given)
    else:
        pull_products(d_cells, place, stride, numbers_at(memory, at.x + row * p.d), p.d, n_rows,
                      numbers_at(memory, at.y), numbers_at(memory, at.gy), at.margin + column, at.stride, n_columns, sums)


cdef void wave_rows_back(const Problem* p, const StaticKernel* s, const Wave* at, vec* memory, Py_ssize_t row,
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
        wave_pull(p, s, at, memory, first, n_rows, column, CHUNK, rows, width, stride, sums, given)
    else:
        memset(coarse, 0, width * (CHUNK + 2 * width) // width * sizeof(vec))
        spread_adjoint(rows, width, stride, width, row, column, p.order1, p.order2, coarse, CHUNK + 2 * width)
        n_columns = ((column + CHUNK - 1) >> p.order2) - (column >> p.order2) + 1
        wave_pull(p, s, at, memory, first, n_rows, column >> p.order2, n_columns, coarse, 0, CHUNK + 2 * width, sums,
                  given)


cdef void wave_pass_back(const Problem* p, const StaticKernel* s, const Wave* at, vec* memory, Py_ssize_t number,
                         double final_exponent, void* given) noexcept nogil:
    """Adjoint of `wave_pass`, whose coefficients and slopes are kept."""
    cdef int width = lanes(memory), strips = pass_strips(at, number), i
    cdef Py_ssize_t first_row = pass_row(at, number, width), chunk, column, e = 0, raised
    cdef Py_ssize_t strip = width * (width + CHUNK), behind = strips * width - 1, coarse_row
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
        memset(numbers_at(memory, at.sums), 0, STRIPS * width * p.d * sizeof(vec))
    for chunk in range(pass_chunks(p, strips, width) - 1, -1, -1):
        column = chunk * CHUNK
        slopes = numbers_at(memory, at.slopes) + chunk * STRIPS * CHUNK
        raised = largest_exponent(exponents, column - behind, p.columns, e)
        if raised != e:
            scale_state(state, 4 * STRIPS, e - raised)
            e = raised
        read_row(row, at.last, exponents, column - behind, p.columns, e, bottom)
        factor = copies_of(1.7320508075688772 * ldexp(1.0, <int>(used[chunk] + e - <Py_ssize_t>final_exponent)),
                           <const vec*>memory)
        wave_steps_back(numbers_at(memory, at.cells) + chunk * STRIPS * CHUNK, bottom, factor, state, row,
                        at.last - column, slopes, strips)
        set_exponents(exponents, column, p.columns, e)
        raised = e + excess_of(state, strips)
        if raised != e:
            scale_state(state, 4 * STRIPS, e - raised)
            e = raised
        for i in range(strips):
            wave_rows_back(p, s, at, memory, first_row + i * width, column - i * width, slopes + i * CHUNK,
                           numbers_at(memory, at.d_rows + i * strip),
                           numbers_at(memory, at.sums) + i * width * p.d, given)
    if p.kind != GIVEN:
        for i in range(strips):
            coarse_row = (first_row + i * width) >> p.order1
            sum_rows(numbers_at(memory, at.sums) + i * width * p.d,
                     (((first_row + i * width + width - 1) >> p.order1) - coarse_row + 1) * p.d,
                     numbers_at(memory, at.gx), coarse_row * p.d)


cdef void wave_backward(const Problem* p, const StaticKernel* s, const void* path1, const void* path2, const Wave* at,
                        vec* memory, double seed, bint log_derivs, void* d_path1, void* d_path2) noexcept nogil:
    """Gradients of one pair, times `seed`, added to d_path1 and d_path2 where these are not NULL.

    log_derivs: of log k. For given cells d_path1 is overwritten.
    """
    cdef double mantissa = 1, exponent = 0
    cdef Py_ssize_t number, first, stop, part, row_bytes = (at.top - at.row) * <Py_ssize_t>sizeof(vec) // lanes(memory)
    cdef Py_ssize_t kept = at.top - at.row
    cdef vec* row = numbers_at(memory, at.row)
    wave_load(p, path1, path2, at, memory)
    memset(row, 0, row_bytes)
    for number in range(at.n_passes):
        if number % at.segment == 0:
            memcpy(numbers_at(memory, at.checkpoints + number // at.segment * kept), row, row_bytes)
        wave_pass(p, s, path1, at, memory, number, False, &mantissa, &exponent)
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
            memcpy(numbers_at(memory, at.kept_rows + (number - first) * kept), row, row_bytes)
            wave_pass(p, s, path1, at, memory, number, False, &mantissa, &seed)
        for number in range(stop - 1, first - 1, -1):
            if number < stop - 1:
                memcpy(row, numbers_at(memory, at.kept_rows + (number - first) * kept), row_bytes)
            wave_pass(p, s, path1, at, memory, number, True, &mantissa, &seed)
            wave_pass_back(p, s, at, memory, number, exponent, d_path1)
    if p.kind != GIVEN:
        if d_path1 != NULL:
            add_first(numbers_at(memory, at.gx), p.n1 + 1, p.d, p.kind == LINEAR,
                      at.factor if p.kind == LINEAR else 1, d_path1)
        if d_path2 != NULL:
            add_second(numbers_at(memory, at.gy), p.n2 + 1, p.d, p.kind == LINEAR, at.margin, at.stride, d_path2)
