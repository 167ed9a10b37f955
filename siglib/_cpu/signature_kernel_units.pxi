# All pairs of a call: units of work, shared among threads, and their sums. Included by signature_kernel.pyx.

cdef struct Arrays:
    # What the units of a call read and write; paths are rows of row_bytes1 and row_bytes2 bytes.
    const char* path1
    const char* path2
    Py_ssize_t row_bytes1, row_bytes2
    const char* derivs
    Py_ssize_t row_length        # of derivs: 1, or the nodes of a grid
    char* sums1
    char* sums2
    double* parameters


cdef enum Found:
    # What entry points report, as a sum.
    NEGATIVE_BASE = 1        # the base of a broken power was negative somewhere
    OVERFLOW = 2             # something is not finite, though the inputs are
    NO_MEMORY = 4


cdef struct Group:
    # The pairs of a lane group, one in each of the first n lanes; the other lanes repeat the last.
    int n
    Py_ssize_t[16] a
    Py_ssize_t[16] b
    const void* paths1[16]
    const void* paths2[16]
    void* grids[16]
    const void* derivs[16]
    double[16] seeds             # derivatives by the kernels, if not by whole grids
    void* sums1[16]
    void* sums2[16]


cdef inline void load_pairs(const Arrays* arrays, const Pairs* pairs, Py_ssize_t first, int width,
                            Group* g) noexcept nogil:
    """The group of the pairs from `first` on."""
    cdef int lane
    g.n = <int>min(<Py_ssize_t>width, pairs.n - first)
    for lane in range(width):
        pair_of(pairs, first + min(lane, g.n - 1), g.a + lane, g.b + lane)
        g.paths1[lane] = arrays.path1 + g.a[lane] * arrays.row_bytes1
        g.paths2[lane] = arrays.path2 + g.b[lane] * arrays.row_bytes2


cdef inline void copy_lane(Group* g, int lane, int to) noexcept nogil:
    g.a[to], g.b[to], g.seeds[to] = g.a[lane], g.b[lane], g.seeds[lane]
    g.paths1[to], g.paths2[to], g.grids[to] = g.paths1[lane], g.paths2[lane], g.grids[lane]
    g.derivs[to], g.sums1[to], g.sums2[to] = g.derivs[lane], g.sums1[lane], g.sums2[lane]


cdef void keep_lanes(Group* g, const bint* kept, int width) noexcept nogil:
    """Nothing but the pairs in the lanes that are `kept`."""
    cdef int lane, n = 0
    for lane in range(g.n):
        if kept[lane]:
            copy_lane(g, lane, n)
            n += 1
    g.n = n
    if n > 0:
        for lane in range(n, width):
            copy_lane(g, n - 1, lane)


cdef bint inputs_finite(const Problem* p, const Arrays* arrays, const Group* g, int lane,
                        const real* tag) noexcept nogil:
    """Whether the paths of a lane are finite, and the derivatives if there are any; `tag` only names their type."""
    if p.kind == GIVEN:
        if not all_finite(<const real*>g.paths1[lane], p.n1 * p.n2):
            return False
    elif not (all_finite(<const real*>g.paths1[lane], (p.n1 + 1) * p.d)
              and all_finite(<const real*>g.paths2[lane], (p.n2 + 1) * p.d)):
        return False
    if arrays.derivs == NULL:
        return True
    if arrays.row_length > 1:
        return all_finite(<const real*>g.derivs[lane], arrays.row_length)
    return is_finite(g.seeds[lane])


cdef inline Scaling next_scaling(const Problem* p, Scaling scaling) noexcept nogil:
    """How pairs are swept again."""
    cdef Problem smaller
    if scaling == BY_FRONT:
        return BY_TILE
    if scaling == BY_TILE:
        smaller = scaled_as(p, BY_SMALL_TILE)
        if smaller.tile_columns < p.tile_columns:
            return BY_SMALL_TILE
    return BY_NUMBER


# Forward

cdef inline bint in_doubt(const vec* numbers, const vec* lost) noexcept nogil:
    """Whether some lane of a vector is not finite, or is marked as lost."""
    cdef vec marks = (numbers[0] - numbers[0]) + lost[0]
    return any_differ(marks, copies_of(0, numbers))


cdef int judge_lanes(const Problem* p, const Arrays* arrays, Group* g, const real* numbers,
                     const real* lost, bint* doubtful) noexcept nogil:
    """Which pairs are in doubt, and can be swept in another way."""
    cdef int lane, found = 0
    for lane in range(g.n):
        doubtful[lane] = (not is_finite(numbers[lane]) or lost[lane] != 0) and inputs_finite(p, arrays, g, lane, lost)
        if doubtful[lane] and p.by_number:
            # There is no better way.
            doubtful[lane] = False
            found = OVERFLOW
    return found


cdef int forward_lanes(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, Group* g,
                       const Scratch* at, real* memory, real* out, real* exponent, bint grids) noexcept nogil:
    """Kernels of one group, to out and exponent, or to its grids. The group keeps the pairs that are in doubt."""
    cdef bint doubtful[16]
    cdef bint settled
    cdef int lane, width = n_lanes(memory), found
    cdef const real* result = memory + at.result * width
    if real is double:
        forward_group(p, s, g.paths1, g.paths2, at, <vd*>memory, g.grids if grids else NULL, g.n)
        settled = not in_doubt(<vd*>result, <vd*>memory + at.lost)
    else:
        forward_group(p, s, g.paths1, g.paths2, at, <vf*>memory, g.grids if grids else NULL, g.n)
        settled = not in_doubt(<vf*>result, <vf*>memory + at.lost)
    if not grids:
        for lane in range(g.n):
            store_kernel(pairs, g.a[lane], g.b[lane], result[lane], result[width + lane], out, exponent)
    if settled:
        g.n = 0
        return 0
    found = judge_lanes(p, arrays, g, result, memory + at.lost * width, doubtful)
    keep_lanes(g, doubtful, width)
    return found


cdef inline void store_kernel(const Pairs* pairs, Py_ssize_t a, Py_ssize_t b, real mantissa, real power, real* out,
                              real* exponent) noexcept nogil:
    cdef Py_ssize_t i = out_index(pairs, a, b)
    out[i], exponent[i] = mantissa, power
    if pairs.layout == SYMMETRIC:
        i = out_index(pairs, b, a)
        out[i], exponent[i] = mantissa, power


cdef inline Py_ssize_t out_index(const Pairs* pairs, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """Where the kernel of paths a and b is in the result."""
    return a if pairs.layout == PAIRWISE else a * pairs.batch2 + b


cdef int forward_again(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, Group* g,
                       Scaling scaling, real* out, real* exponent, bint grids) noexcept nogil:
    """Kernels of a group that are in doubt with these exponents."""
    cdef Problem q
    cdef Scratch at
    cdef real* memory
    cdef void* raw = NULL
    cdef int found = 0
    while g.n > 0 and not interrupted():
        scaling = next_scaling(p, scaling)
        q = scaled_as(p, scaling)
        at = make_scratch(&q, grids, False, False, n_lanes(<real*>NULL))
        memory = <real*>aligned_malloc(at.size * n_lanes(<real*>NULL) * sizeof(real), &raw)
        if memory == NULL:
            return NO_MEMORY
        found |= forward_lanes(&q, s, arrays, pairs, g, &at, memory, out, exponent, grids)
        free(raw)
    return found


cdef int forward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                      Py_ssize_t group, const Scratch* at, real* memory, real* out, real* exponent, real* grids,
                      Py_ssize_t grid_size) noexcept nogil:
    """Kernels of one lane group, to out and exponent, or to the rows of grids."""
    cdef int lane, width = n_lanes(memory)
    cdef Group g
    load_pairs(arrays, pairs, group * width, width, &g)
    if grids != NULL:
        for lane in range(g.n):
            g.grids[lane] = grids + out_index(pairs, g.a[lane], g.b[lane]) * grid_size
    forward_lanes(p, s, arrays, pairs, &g, at, memory, out, exponent, grids != NULL)
    if g.n == 0:
        return 0
    return forward_again(p, s, arrays, pairs, &g, BY_TILE, out, exponent, grids != NULL)


cdef int forward_pair(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                      Py_ssize_t pair, const Wave* at, real* memory, real* out, real* exponent) noexcept nogil:
    """The kernel of one pair, along anti-diagonals."""
    cdef double mantissa = 1, power = 0
    cdef bint doubtful
    cdef int width = n_lanes(memory)
    cdef Group g
    load_pairs(arrays, pairs, pair, 1, &g)
    g.n = 1
    if real is double:
        doubtful = wave_forward(p, s, g.paths1[0], g.paths2[0], at, <vd*>memory, &mantissa, &power)
    else:
        doubtful = wave_forward(p, s, g.paths1[0], g.paths2[0], at, <vf*>memory, &mantissa, &power)
    store_kernel(pairs, g.a[0], g.b[0], <real>mantissa, <real>power, out, exponent)
    doubtful = doubtful and inputs_finite(p, arrays, &g, 0, memory)
    keep_lanes(&g, &doubtful, width)
    return forward_again(p, s, arrays, pairs, &g, BY_FRONT, out, exponent, False)


cdef int forward_wave(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, real* out,
                      real* exponent, int n_threads) noexcept nogil:
    """Kernels of all pairs, each along anti-diagonals. Like all functions here it returns what was `Found`."""
    cdef Wave at = make_wave(p, False, n_lanes(<real*>NULL))
    cdef Py_ssize_t pair, end
    cdef Watch* loop
    cdef int found = 0
    cdef int* to_found = &found
    n_threads = <int>min(<Py_ssize_t>n_threads, pairs.n)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * at.size * sizeof(real), &raw)
    if memory == NULL:
        return NO_MEMORY
    loop = share(pairs.n, group_cost(p) / n_lanes(<real*>NULL), n_threads)
    with parallel(num_threads=n_threads):
        pair = end = 0
        while next_unit(loop, &pair, &end):
            add_bits(to_found, forward_pair(p, s, arrays, pairs, pair, &at, memory + threadid() * at.size, out,
                                            exponent))
    free(raw)
    return found


cdef int forward(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, real* out,
                 real* exponent, real* grids, int n_threads) noexcept nogil:
    """Kernels of all pairs."""
    cdef int width = n_lanes(<real*>NULL), found = 0
    cdef Scratch at = make_scratch(p, grids != NULL, False, False, width)
    cdef Py_ssize_t group, end, n_groups = (pairs.n + width - 1) // width, size = at.size * width
    cdef Watch* loop
    cdef int* to_found = &found
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * size * sizeof(real), &raw)
    if memory == NULL:
        return NO_MEMORY
    loop = share(n_groups, group_cost(p), n_threads)
    with parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            add_bits(to_found, forward_unit(p, s, arrays, pairs, group, &at, memory + threadid() * size, out,
                                            exponent, grids, (p.rows + 1) * (p.columns + 1)))
    free(raw)
    return found


# Backward

cdef inline void load_unit(const Arrays* arrays, const Units* units, const Pairs* pairs, Py_ssize_t first,
                           Py_ssize_t block1, Py_ssize_t block2, int width, const real* derivs,
                           Group* g) noexcept nogil:
    """The group of the pairs from `first` on of a unit with its two blocks, with derivatives and sums."""
    cdef Py_ssize_t i
    cdef int lane
    load_pairs(arrays, pairs, first, width, g)
    for lane in range(width):
        i = out_index(&units.pairs, g.a[lane], g.b[lane])
        g.derivs[lane] = derivs + i * arrays.row_length
        g.seeds[lane] = derivs[i * arrays.row_length]
        if units.pairs.layout == SYMMETRIC and g.a[lane] != g.b[lane]:
            g.seeds[lane] += derivs[out_index(&units.pairs, g.b[lane], g.a[lane]) * arrays.row_length]
        # The sums of a path, one for each block of other paths.
        g.sums1[lane] = g.sums2[lane] = NULL
        if arrays.sums1 != NULL:
            g.sums1[lane] = arrays.sums1 + (block2 * units.pairs.batch1 + g.a[lane]) * arrays.row_bytes1
        if arrays.sums2 != NULL:
            g.sums2[lane] = arrays.sums2 + (block1 * units.pairs.batch2 + g.b[lane]) * arrays.row_bytes2


cdef inline vec zero_if_finite(const vec* numbers, Py_ssize_t n) noexcept nogil:
    """0 in the lanes of n vectors that are finite in all of them, else NaN."""
    cdef vec a = copies_of(0, numbers), b = a, c = a, d = a
    cdef Py_ssize_t i = 0
    # Four sums, so that none waits for the one before.
    while i + 4 <= n:
        a = a + (numbers[i] - numbers[i])
        b = b + (numbers[i + 1] - numbers[i + 1])
        c = c + (numbers[i + 2] - numbers[i + 2])
        d = d + (numbers[i + 3] - numbers[i + 3])
        i += 4
    while i < n:
        a = a + (numbers[i] - numbers[i])
        i += 1
    return (a + b) + (c + d)


cdef void judge_gradients(const Problem* p, const Arrays* arrays, const Scratch* at, vec* memory,
                          bint parameters) noexcept nogil:
    """memory[at.result]: 0 in the lanes whose gradients of paths and parameters are finite, else NaN."""
    cdef vec total = copies_of(0, memory)
    if arrays.sums1 != NULL:
        total = total + zero_if_finite(memory + at.gx, (p.n1 + 1) * p.d)
    if arrays.sums2 != NULL:
        total = total + zero_if_finite(memory + at.gy, (p.n2 + 1) * p.d)
    if parameters:
        total = total + zero_if_finite(memory + at.gp, 3)
    memory[at.result] = total


cdef int backward_lanes(const Problem* p, const StaticKernel* s, const Arrays* arrays, Group* g, const Scratch* at,
                        real* memory, bint log_derivs, double* parameters) noexcept nogil:
    """Gradients of one group, added to its sums. The group keeps the pairs that are in doubt: these add nothing."""
    cdef bint doubtful[16]
    cdef bint settled, grid = arrays.row_length > 1
    cdef int lane, k, width = n_lanes(memory), found = 0, n = g.n
    cdef Py_ssize_t i
    cdef real* result = memory + at.result * width
    for lane in range(width):
        memory[at.seed * width + lane] = <real>g.seeds[lane] if lane < n and not grid else 0
    if real is double:
        backward_group(p, s, g.paths1, g.paths2, at, <vd*>memory, g.derivs if grid else NULL, log_derivs, g.sums1,
                       n, parameters != NULL)
        judge_gradients(p, arrays, at, <vd*>memory, parameters != NULL)
    else:
        backward_group(p, s, g.paths1, g.paths2, at, <vf*>memory, g.derivs if grid else NULL, log_derivs, g.sums1,
                       n, parameters != NULL)
        judge_gradients(p, arrays, at, <vf*>memory, parameters != NULL)
    if p.kind == GIVEN:
        for lane in range(n):
            if not all_finite(<const real*>g.sums1[lane], p.n1 * p.n2):
                result[lane] = INFINITY
    if real is double:
        settled = not in_doubt(<vd*>result, <vd*>memory + at.lost)
    else:
        settled = not in_doubt(<vf*>result, <vf*>memory + at.lost)
    if settled:
        g.n = 0
    else:
        found = judge_lanes(p, arrays, g, result, memory + at.lost * width, doubtful)
        for lane in range(n):
            if doubtful[lane]:
                for i in range(at.gx, at.seed):
                    memory[i * width + lane] = 0
    if p.kind != GIVEN:
        if real is double:
            if arrays.sums1 != NULL:
                add_lanes(<vd*>memory + at.gx, (p.n1 + 1) * p.d, g.sums1, n, <vd*>memory + at.buffer)
            if arrays.sums2 != NULL:
                add_lanes(<vd*>memory + at.gy, (p.n2 + 1) * p.d, g.sums2, n, <vd*>memory + at.buffer)
        else:
            if arrays.sums1 != NULL:
                add_lanes(<vf*>memory + at.gx, (p.n1 + 1) * p.d, g.sums1, n, <vf*>memory + at.buffer)
            if arrays.sums2 != NULL:
                add_lanes(<vf*>memory + at.gy, (p.n2 + 1) * p.d, g.sums2, n, <vf*>memory + at.buffer)
    if parameters != NULL:
        for k in range(3):
            for lane in range(n):
                parameters[k] += memory[(at.gp + k) * width + lane]
    if not settled:
        keep_lanes(g, doubtful, width)
    return found


cdef int backward_again(const Problem* p, const StaticKernel* s, const Arrays* arrays, Group* g, Scaling scaling,
                        bint log_derivs, double* parameters, const real* tag) noexcept nogil:
    """Gradients of a group that are in doubt with these exponents."""
    cdef Problem q
    cdef Scratch at
    cdef real* memory
    cdef void* raw = NULL
    cdef int found = 0
    while g.n > 0 and not interrupted():
        scaling = next_scaling(p, scaling)
        q = scaled_as(p, scaling)
        at = make_scratch(&q, False, True, arrays.row_length > 1, n_lanes(tag))
        memory = <real*>aligned_malloc(at.size * n_lanes(tag) * sizeof(real), &raw)
        if memory == NULL:
            return NO_MEMORY
        found |= backward_lanes(&q, s, arrays, g, &at, memory, log_derivs, parameters)
        free(raw)
    return found


cdef int backward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                       Py_ssize_t unit, const Scratch* at, real* memory, bint log_derivs) noexcept nogil:
    """Gradients of the pairs of one unit, added to its sums."""
    cdef Py_ssize_t block1, block2, first
    cdef int width = n_lanes(memory), found = 0
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef Group g
    cdef double* parameters = unit_parameters(arrays, unit)
    for first in range((pairs.n + width - 1) // width):
        load_unit(arrays, units, &pairs, first * width, block1, block2, width, <const real*>arrays.derivs, &g)
        found |= backward_lanes(p, s, arrays, &g, at, memory, log_derivs, parameters)
        if g.n > 0:
            found |= backward_again(p, s, arrays, &g, BY_TILE, log_derivs, parameters, memory)
    return found


cdef inline double* unit_parameters(const Arrays* arrays, Py_ssize_t unit) noexcept nogil:
    """A unit's derivatives by the parameters, which become zeros; NULL if nobody wants them."""
    cdef double* parameters = NULL
    if arrays.parameters != NULL:
        parameters = arrays.parameters + 3 * unit
        parameters[0] = parameters[1] = parameters[2] = 0
    return parameters


cdef int backward_unit_wave(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                            Py_ssize_t unit, const Wave* at, real* memory, bint log_derivs) noexcept nogil:
    """The same, one pair after the other along anti-diagonals."""
    cdef Py_ssize_t pair, block1, block2
    cdef int width = n_lanes(memory), found = 0
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef Group g
    cdef double* parameters = unit_parameters(arrays, unit)
    cdef bint doubtful, trusted
    for pair in range(pairs.n):
        load_unit(arrays, units, &pairs, pair, block1, block2, 1, <const real*>arrays.derivs, &g)
        g.n = 1
        trusted = not inputs_finite(p, arrays, &g, 0, memory)
        if real is double:
            doubtful = wave_backward(p, s, g.paths1[0], g.paths2[0], at, <vd*>memory, g.seeds[0], log_derivs,
                                     g.sums1[0], g.sums2[0], parameters, trusted)
        else:
            doubtful = wave_backward(p, s, g.paths1[0], g.paths2[0], at, <vf*>memory, g.seeds[0], log_derivs,
                                     g.sums1[0], g.sums2[0], parameters, trusted)
        keep_lanes(&g, &doubtful, width)
        found |= backward_again(p, s, arrays, &g, BY_FRONT, log_derivs, parameters, memory)
    return found


cdef void add_sums(const real* sums, Py_ssize_t n_sums, Py_ssize_t row, Py_ssize_t n_rows, Py_ssize_t length,
                   real* out) noexcept nogil:
    """Row `row` of out = the sum of that row of all sums (n_sums, n_rows, length), in their order."""
    cdef Py_ssize_t i, k
    for i in range(length):
        out[row * length + i] = sums[row * length + i]
    for k in range(1, n_sums):
        for i in range(length):
            out[row * length + i] += sums[(k * n_rows + row) * length + i]


cdef int backward(const Problem* p, const StaticKernel* s, Arrays* arrays, const Pairs* pairs, real* d_path1,
                  real* d_path2, double* d_parameters, bint log_derivs, bint wavefront, int n_threads) noexcept nogil:
    """Gradients of all pairs; d_path1, d_path2, d_parameters may be NULL."""
    cdef int width = n_lanes(<real*>NULL), k, found = 0
    cdef Scratch at = make_scratch(p, False, True, arrays.row_length > 1, width)
    cdef Wave wave = make_wave(p, True, width)
    cdef Units units = make_units(pairs, arrays.row_bytes1, arrays.row_bytes2, 1 if wavefront else width)
    cdef Py_ssize_t unit, row, end, size = wave.size if wavefront else at.size * width
    cdef Py_ssize_t bytes1 = units.pairs.batch1 * arrays.row_bytes1, bytes2 = units.pairs.batch2 * arrays.row_bytes2
    cdef bint symmetric = pairs.layout == SYMMETRIC
    cdef Watch* loop
    cdef int* to_found = &found
    n_threads = <int>min(<Py_ssize_t>n_threads, units.n)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * size * sizeof(real), &raw)
    cdef void* own1 = NULL
    cdef void* own2 = NULL
    cdef void* own3 = NULL
    arrays.sums1 = <char*>d_path1
    arrays.sums2 = <char*>d_path1 if symmetric else <char*>d_path2
    arrays.parameters = NULL
    if d_path1 != NULL and units.blocks2 > 1:
        own1 = malloc(units.blocks2 * bytes1)
        arrays.sums1 = <char*>own1
        if symmetric:
            arrays.sums2 = <char*>own1
    if d_path2 != NULL and units.blocks1 > 1 and pairs.layout != PAIRWISE:
        own2 = malloc(units.blocks1 * bytes2)
        arrays.sums2 = <char*>own2
    if d_parameters != NULL:
        own3 = malloc(3 * units.n * sizeof(double))
        arrays.parameters = <double*>own3
    if (memory == NULL or (d_path1 != NULL and arrays.sums1 == NULL) or (d_path2 != NULL and arrays.sums2 == NULL)
            or (d_parameters != NULL and own3 == NULL)):
        free(raw)
        free(own1)
        free(own2)
        free(own3)
        return NO_MEMORY
    if arrays.sums1 != NULL and p.kind != GIVEN:
        memset(arrays.sums1, 0, (units.blocks2 if own1 != NULL else 1) * bytes1)
    if arrays.sums2 != NULL and not symmetric:
        memset(arrays.sums2, 0, (units.blocks1 if own2 != NULL else 1) * bytes2)
    loop = share(units.n, 4 * group_cost(p) * pairs.n / units.n / width, n_threads)
    with parallel(num_threads=n_threads):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            if wavefront:
                add_bits(to_found, backward_unit_wave(p, s, arrays, &units, unit, &wave, memory + threadid() * size,
                                                      log_derivs))
            else:
                add_bits(to_found, backward_unit(p, s, arrays, &units, unit, &at, memory + threadid() * size,
                                                 log_derivs))
    if own1 != NULL:
        loop = share(units.pairs.batch1, <double>units.blocks2 * arrays.row_bytes1 // 64, n_threads)
        with parallel(num_threads=n_threads):
            row = end = 0
            while next_unit(loop, &row, &end):
                add_sums(<real*>own1, units.blocks2, row, units.pairs.batch1,
                         arrays.row_bytes1 // <Py_ssize_t>sizeof(real), d_path1)
    if own2 != NULL:
        loop = share(units.pairs.batch2, <double>units.blocks1 * arrays.row_bytes2 // 64, n_threads)
        with parallel(num_threads=n_threads):
            row = end = 0
            while next_unit(loop, &row, &end):
                add_sums(<real*>own2, units.blocks1, row, units.pairs.batch2,
                         arrays.row_bytes2 // <Py_ssize_t>sizeof(real), d_path2)
    if d_parameters != NULL:
        for k in range(3):
            d_parameters[k] = 0
            for unit in range(units.n):
                d_parameters[k] += arrays.parameters[3 * unit + k]
    free(raw)
    free(own1)
    free(own2)
    free(own3)
    return found
