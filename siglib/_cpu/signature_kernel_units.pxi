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


cdef inline int load_pairs(const Arrays* arrays, const Pairs* pairs, Py_ssize_t first, int width, const void** paths1,
                           const void** paths2, Py_ssize_t* a, Py_ssize_t* b) noexcept nogil:
    """Point to the paths of the group of pairs from `first` on; lanes without a pair repeat the last one.

    Returns the number of lanes with a pair.
    """
    cdef int lane, n_live = <int>min(<Py_ssize_t>width, pairs.n - first)
    for lane in range(width):
        pair_of(pairs, first + min(lane, n_live - 1), a + lane, b + lane)
        paths1[lane] = arrays.path1 + a[lane] * arrays.row_bytes1
        paths2[lane] = arrays.path2 + b[lane] * arrays.row_bytes2
    return n_live


cdef void forward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                       Py_ssize_t group, const Scratch* at, real* memory, real* out, real* exponent, real* grids,
                       Py_ssize_t grid_size) noexcept nogil:
    """Kernels of one lane group, to out and exponent, or to the rows of grids."""
    cdef const void* paths1[16]
    cdef const void* paths2[16]
    cdef void* grid_rows[16]
    cdef Py_ssize_t a[16]
    cdef Py_ssize_t b[16]
    cdef Py_ssize_t i
    cdef int lane, width = n_lanes(memory), n_live
    n_live = load_pairs(arrays, pairs, group * width, width, paths1, paths2, a, b)
    if grids != NULL:
        for lane in range(n_live):
            grid_rows[lane] = grids + out_index(pairs, a[lane], b[lane]) * grid_size
    if real is double:
        forward_group(p, s, paths1, paths2, at, <vd*>memory, grid_rows if grids != NULL else NULL, n_live)
    else:
        forward_group(p, s, paths1, paths2, at, <vf*>memory, grid_rows if grids != NULL else NULL, n_live)
    if grids != NULL:
        return
    for lane in range(n_live):
        i = out_index(pairs, a[lane], b[lane])
        out[i] = memory[at.result * width + lane]
        exponent[i] = memory[(at.result + 1) * width + lane]
        if pairs.layout == SYMMETRIC:
            i = out_index(pairs, b[lane], a[lane])
            out[i] = memory[at.result * width + lane]
            exponent[i] = memory[(at.result + 1) * width + lane]


cdef inline Py_ssize_t out_index(const Pairs* pairs, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """Where the kernel of paths a and b is in the result."""
    return a if pairs.layout == PAIRWISE else a * pairs.batch2 + b


cdef void forward_pair(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                       Py_ssize_t pair, const Wave* at, real* memory, real* out, real* exponent) noexcept nogil:
    """The kernel of one pair, along anti-diagonals."""
    cdef Py_ssize_t a, b
    cdef double mantissa = 1, power = 0
    pair_of(pairs, pair, &a, &b)
    if real is double:
        wave_forward(p, s, arrays.path1 + a * arrays.row_bytes1, arrays.path2 + b * arrays.row_bytes2, at, <vd*>memory,
                     &mantissa, &power)
    else:
        wave_forward(p, s, arrays.path1 + a * arrays.row_bytes1, arrays.path2 + b * arrays.row_bytes2, at, <vf*>memory,
                     &mantissa, &power)
    out[out_index(pairs, a, b)] = <real>mantissa
    exponent[out_index(pairs, a, b)] = <real>power
    if pairs.layout == SYMMETRIC:
        out[out_index(pairs, b, a)] = <real>mantissa
        exponent[out_index(pairs, b, a)] = <real>power


cdef int forward_wave(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, real* out,
                      real* exponent, int n_threads) noexcept nogil:
    """Kernels of all pairs, each along anti-diagonals; -1 if memory is short."""
    cdef Wave at = make_wave(p, False, n_lanes(<real*>NULL))
    cdef Py_ssize_t pair
    n_threads = <int>min(<Py_ssize_t>n_threads, pairs.n)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * at.size * sizeof(real), &raw)
    if memory == NULL:
        return -1
    for pair in prange(pairs.n, schedule="dynamic", num_threads=n_threads):
        forward_pair(p, s, arrays, pairs, pair, &at, memory + threadid() * at.size, out, exponent)
    free(raw)
    return 0


cdef int forward(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, real* out,
                 real* exponent, real* grids, int n_threads) noexcept nogil:
    """Kernels of all pairs; -1 if memory is short."""
    cdef int width = n_lanes(<real*>NULL)
    cdef Scratch at = make_scratch(p, grids != NULL, False, False, width)
    cdef Py_ssize_t group, n_groups = (pairs.n + width - 1) // width, size = at.size * width
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * size * sizeof(real), &raw)
    if memory == NULL:
        return -1
    for group in prange(n_groups, schedule="dynamic", num_threads=n_threads):
        forward_unit(p, s, arrays, pairs, group, &at, memory + threadid() * size, out, exponent, grids,
                     (p.rows + 1) * (p.columns + 1))
    free(raw)
    return 0


cdef void backward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                        Py_ssize_t unit, const Scratch* at, real* memory, bint log_derivs) noexcept nogil:
    """Gradients of the pairs of one unit, added to its sums."""
    cdef const void* paths1[16]
    cdef const void* paths2[16]
    cdef const void* derivs[16]
    cdef void* sums1[16]
    cdef void* sums2[16]
    cdef Py_ssize_t a[16]
    cdef Py_ssize_t b[16]
    cdef Py_ssize_t block1, block2, first, i
    cdef int lane, k, width = n_lanes(memory), n_live
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef bint grid = arrays.row_length > 1
    cdef const real* numbers = <const real*>arrays.derivs
    for k in range(3):
        if arrays.parameters != NULL:
            arrays.parameters[3 * unit + k] = 0
    for first in range((pairs.n + width - 1) // width):
        n_live = load_pairs(arrays, &pairs, first * width, width, paths1, paths2, a, b)
        for lane in range(width):
            i = out_index(&units.pairs, a[lane], b[lane])
            derivs[lane] = numbers + i * arrays.row_length
            memory[at.seed * width + lane] = 0
            if lane < n_live and not grid:
                memory[at.seed * width + lane] = numbers[i]
                if units.pairs.layout == SYMMETRIC and a[lane] != b[lane]:
                    memory[at.seed * width + lane] += numbers[out_index(&units.pairs, b[lane], a[lane])]
            # The sums of a path, one for each block of other paths.
            sums1[lane] = arrays.sums1 + (block2 * units.pairs.batch1 + a[lane]) * arrays.row_bytes1
            sums2[lane] = arrays.sums2 + (block1 * units.pairs.batch2 + b[lane]) * arrays.row_bytes2
        if real is double:
            backward_group(p, s, paths1, paths2, at, <vd*>memory, derivs if grid else NULL, log_derivs, sums1, n_live,
                           arrays.parameters != NULL)
        else:
            backward_group(p, s, paths1, paths2, at, <vf*>memory, derivs if grid else NULL, log_derivs, sums1, n_live,
                           arrays.parameters != NULL)
        if p.kind != GIVEN:
            if real is double:
                if arrays.sums1 != NULL:
                    add_lanes(<vd*>memory + at.gx, (p.n1 + 1) * p.d, sums1, n_live, <vd*>memory + at.buffer)
                if arrays.sums2 != NULL:
                    add_lanes(<vd*>memory + at.gy, (p.n2 + 1) * p.d, sums2, n_live, <vd*>memory + at.buffer)
            else:
                if arrays.sums1 != NULL:
                    add_lanes(<vf*>memory + at.gx, (p.n1 + 1) * p.d, sums1, n_live, <vf*>memory + at.buffer)
                if arrays.sums2 != NULL:
                    add_lanes(<vf*>memory + at.gy, (p.n2 + 1) * p.d, sums2, n_live, <vf*>memory + at.buffer)
        if arrays.parameters != NULL:
            for k in range(3):
                for lane in range(n_live):
                    arrays.parameters[3 * unit + k] += memory[(at.gp + k) * width + lane]


cdef void backward_unit_wave(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                             Py_ssize_t unit, const Wave* at, real* memory, bint log_derivs) noexcept nogil:
    """The same, one pair after the other along anti-diagonals."""
    cdef Py_ssize_t a, b, pair, block1, block2
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef const real* numbers = <const real*>arrays.derivs
    cdef const char* path1
    cdef const char* path2
    cdef char* sums1
    cdef char* sums2
    cdef double* parameters = NULL
    cdef double seed
    if arrays.parameters != NULL:
        parameters = arrays.parameters + 3 * unit
        parameters[0] = parameters[1] = parameters[2] = 0
    for pair in range(pairs.n):
        pair_of(&pairs, pair, &a, &b)
        seed = numbers[out_index(&units.pairs, a, b)]
        if units.pairs.layout == SYMMETRIC and a != b:
            seed += numbers[out_index(&units.pairs, b, a)]
        path1 = arrays.path1 + a * arrays.row_bytes1
        path2 = arrays.path2 + b * arrays.row_bytes2
        sums1 = NULL
        if arrays.sums1 != NULL:
            sums1 = arrays.sums1 + (block2 * units.pairs.batch1 + a) * arrays.row_bytes1
        sums2 = NULL
        if arrays.sums2 != NULL:
            sums2 = arrays.sums2 + (block1 * units.pairs.batch2 + b) * arrays.row_bytes2
        if real is double:
            wave_backward(p, s, path1, path2, at, <vd*>memory, seed, log_derivs, sums1, sums2, parameters)
        else:
            wave_backward(p, s, path1, path2, at, <vf*>memory, seed, log_derivs, sums1, sums2, parameters)


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
    """Gradients of all pairs; d_path1, d_path2, d_parameters may be NULL. -1 if memory is short."""
    cdef int width = n_lanes(<real*>NULL), k
    cdef Scratch at = make_scratch(p, False, True, arrays.row_length > 1, width)
    cdef Wave wave = make_wave(p, True, width)
    cdef Units units = make_units(pairs, arrays.row_bytes1, arrays.row_bytes2, 1 if wavefront else width)
    cdef Py_ssize_t unit, row, size = wave.size if wavefront else at.size * width
    cdef Py_ssize_t bytes1 = units.pairs.batch1 * arrays.row_bytes1, bytes2 = units.pairs.batch2 * arrays.row_bytes2
    cdef bint symmetric = pairs.layout == SYMMETRIC
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
        return -1
    if arrays.sums1 != NULL and p.kind != GIVEN:
        memset(arrays.sums1, 0, (units.blocks2 if own1 != NULL else 1) * bytes1)
    if arrays.sums2 != NULL and not symmetric:
        memset(arrays.sums2, 0, (units.blocks1 if own2 != NULL else 1) * bytes2)
    for unit in prange(units.n, schedule="dynamic", num_threads=n_threads):
        if wavefront:
            backward_unit_wave(p, s, arrays, &units, unit, &wave, memory + threadid() * size, log_derivs)
        else:
            backward_unit(p, s, arrays, &units, unit, &at, memory + threadid() * size, log_derivs)
    if own1 != NULL:
        for row in prange(units.pairs.batch1, num_threads=n_threads):
            add_sums(<real*>own1, units.blocks2, row, units.pairs.batch1, arrays.row_bytes1 // <Py_ssize_t>sizeof(real),
                     d_path1)
    if own2 != NULL:
        for row in prange(units.pairs.batch2, num_threads=n_threads):
            add_sums(<real*>own2, units.blocks1, row, units.pairs.batch2, arrays.row_bytes2 // <Py_ssize_t>sizeof(real),
                     d_path2)
    if d_parameters != NULL:
        for k in range(3):
            d_parameters[k] = 0
            for unit in range(units.n):
                d_parameters[k] += arrays.parameters[3 * unit + k]
    free(raw)
    free(own1)
    free(own2)
    free(own3)
    return 0
