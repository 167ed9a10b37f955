# All pairs of a call: units of work, shared among threads, and their sums. Included by signature_kernel.pyx; needs
# the functions of signature_kernel_pairs.pxi, signature_kernel_again.pxi and of the wavefront.

from cython.parallel cimport parallel, threadid
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ._interruption cimport Watch, add_bits, next_unit, share
from .lanes cimport aligned_malloc, ceil_div, n_lanes, real, vd, vf
from .signature_kernel_plan cimport (
    BY_FRONT,
    BY_TILE,
    PAIRWISE,
    SYMMETRIC,
    Pairs,
    Problem,
    Units,
    make_units,
    unit_pairs,
)
from .static_kernels cimport GIVEN, StaticKernel


# Forward

cdef int forward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                      Py_ssize_t group, const KernelScratch* at, real* memory, real* out, real* exponent, real* grids,
                      Py_ssize_t grid_size) noexcept nogil:
    """Kernels of one lane group, to out and exponent, or to the rows of grids."""
    cdef int lane, width = n_lanes(memory)
    cdef PairGroup g
    cdef Problem own
    cdef KernelScratch own_at
    load_pairs(arrays, pairs, group * width, width, &g)
    if is_shorter(p, arrays, &g, width, &own):
        own_at = make_scratch(&own, False, False, False, width)
        p, at = &own, &own_at
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
    cdef PairGroup g
    load_pairs(arrays, pairs, pair, 1, &g)
    g.n = 1
    if real is double:
        doubtful = sweep_wave(p, s, g.paths1[0], g.paths2[0], at, <vd*>memory, &mantissa, &power)
    else:
        doubtful = sweep_wave(p, s, g.paths1[0], g.paths2[0], at, <vf*>memory, &mantissa, &power)
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
    cdef KernelScratch at = make_scratch(p, grids != NULL, False, False, width)
    cdef Py_ssize_t group, end, n_groups = ceil_div(pairs.n, width), size = at.size * width
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
                           PairGroup* g) noexcept nogil:
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


cdef int backward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                       Py_ssize_t unit, const KernelScratch* at, real* memory, bint log_derivs) noexcept nogil:
    """Gradients of the pairs of one unit, added to its sums."""
    cdef Py_ssize_t block1, block2
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef double* parameters
    cdef real* sums1 = NULL
    cdef real* sums2 = NULL
    cdef Py_ssize_t n1 = 0, n2 = 0
    if arrays.finite:
        # Mostly no pair is in doubt, and that is seen fastest in the sums, which are this unit's own.
        if arrays.sums1 != NULL:
            sums1 = <real*>(arrays.sums1 + (block2 * units.pairs.batch1 + pairs.first1) * arrays.row_bytes1)
            n1 = pairs.batch1 * arrays.row_bytes1 // <Py_ssize_t>sizeof(real)
        if arrays.sums2 != NULL:
            sums2 = <real*>(arrays.sums2 + (block1 * units.pairs.batch2 + pairs.first2) * arrays.row_bytes2)
            n2 = pairs.batch2 * arrays.row_bytes2 // <Py_ssize_t>sizeof(real)
        parameters = unit_parameters(arrays, unit)
        if (backward_groups(p, s, arrays, units, &pairs, block1, block2, at, memory, log_derivs, parameters, False) == 0
                and all_finite(sums1, n1) and all_finite(sums2, n2)
                and (parameters == NULL or all_finite(parameters, 3))):
            return 0
        if sums1 != NULL:
            memset(sums1, 0, n1 * sizeof(real))
        if sums2 != NULL:
            memset(sums2, 0, n2 * sizeof(real))
    parameters = unit_parameters(arrays, unit)
    return backward_groups(p, s, arrays, units, &pairs, block1, block2, at, memory, log_derivs, parameters, True)


cdef int backward_groups(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                         const Pairs* pairs, Py_ssize_t block1, Py_ssize_t block2, const KernelScratch* at,
                         real* memory, bint log_derivs, double* parameters, bint judged) noexcept nogil:
    """The groups of a unit; `judged` as in `backward_lanes`."""
    cdef Py_ssize_t first
    cdef int width = n_lanes(memory), found = 0
    cdef PairGroup g
    cdef Problem own
    cdef KernelScratch own_at
    cdef const Problem* q
    cdef const KernelScratch* its
    for first in range(ceil_div(pairs.n, width)):
        load_unit(arrays, units, pairs, first * width, block1, block2, width, <const real*>arrays.derivs, &g)
        q, its = p, at
        if is_shorter(p, arrays, &g, width, &own):
            own_at = make_scratch(&own, False, True, False, width)
            q, its = &own, &own_at
        found |= backward_lanes(q, s, arrays, &g, its, memory, log_derivs, parameters, judged)
        if found and not judged:
            return found
        if g.n > 0:
            found |= backward_again(q, s, arrays, &g, BY_TILE, log_derivs, parameters, memory)
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
    cdef PairGroup g
    cdef double* parameters = unit_parameters(arrays, unit)
    cdef bint doubtful, trusted
    for pair in range(pairs.n):
        load_unit(arrays, units, &pairs, pair, block1, block2, 1, <const real*>arrays.derivs, &g)
        g.n = 1
        trusted = not inputs_finite(p, arrays, &g, 0, memory)
        if real is double:
            doubtful = sweep_wave_backprop(p, s, g.paths1[0], g.paths2[0], at, <vd*>memory, g.seeds[0], log_derivs,
                                           g.sums1[0], g.sums2[0], parameters, trusted)
        else:
            doubtful = sweep_wave_backprop(p, s, g.paths1[0], g.paths2[0], at, <vf*>memory, g.seeds[0], log_derivs,
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
    cdef KernelScratch at = make_scratch(p, False, True, arrays.row_length > 1, width)
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
