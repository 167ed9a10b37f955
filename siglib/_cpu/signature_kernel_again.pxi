# Pairs whose cells were too large for the way in which they were swept. Included by signature_kernel.pyx; needs the
# functions of signature_kernel_pairs.pxi and signature_kernel_units.pxi.
#
# Those of float32 are swept in float64, whose range is wide enough for nearly all of them. Those of float64 go on to
# finer exponents (`Scaling`).

from libc.math cimport frexp
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ._interruption cimport interrupted
from .lanes cimport LANES_F64, aligned_malloc, ceil_div, n_lanes, real
from .signature_kernel_plan cimport (
    BY_FRONT,
    BY_NUMBER,
    BY_SMALL_TILE,
    BY_TILE,
    PAIRWISE,
    Pairs,
    Problem,
    Scaling,
    Units,
    make_pairs,
    make_units,
    scaled_as,
)
from .static_kernels cimport GIVEN, StaticKernel


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


# From float32 to float64

cdef struct Widened:
    # Some pairs of a group, with rows in float64 of their own.
    Arrays arrays
    int n
    double* extra                # further numbers for each pair
    void* memory                 # to be freed


cdef bint widen(const Problem* p, const Arrays* arrays, const PairGroup* g, int first, Py_ssize_t n_extra,
                Py_ssize_t n_derivs, Widened* w) noexcept nogil:
    """Rows of as many pairs from `first` on as 64 MiB hold, and of one in any case; False if memory is short.

    n_extra: further numbers for each pair. n_derivs: derivatives of each, 0 if there are none.
    """
    cdef Py_ssize_t size1 = arrays.row_bytes1 // <Py_ssize_t>sizeof(float)
    cdef Py_ssize_t size2 = 0 if p.kind == GIVEN else arrays.row_bytes2 // <Py_ssize_t>sizeof(float)
    cdef Py_ssize_t size = size1 + size2 + n_extra + n_derivs
    cdef int lane
    cdef double* numbers
    w.n = <int>min(<Py_ssize_t>(g.n - first), max((<Py_ssize_t>1 << 23) // size, <Py_ssize_t>1))
    w.memory = malloc(w.n * size * sizeof(double))
    if w.memory == NULL:
        return False
    numbers = <double*>w.memory
    memset(&w.arrays, 0, sizeof(Arrays))
    w.arrays.row_bytes1, w.arrays.row_bytes2 = 2 * arrays.row_bytes1, 2 * arrays.row_bytes2
    w.arrays.row_length = arrays.row_length
    w.arrays.path1 = <const char*>numbers
    w.arrays.path2 = <const char*>(numbers + w.n * size1)
    w.extra = numbers + w.n * (size1 + size2)
    if n_derivs > 0:
        w.arrays.derivs = <const char*>(w.extra + w.n * n_extra)
    for lane in range(w.n):
        widen_row(<const float*>g.paths1[first + lane], size1, numbers + lane * size1)
        widen_row(<const float*>g.paths2[first + lane], size2, numbers + w.n * size1 + lane * size2)
        if n_derivs > 1:
            widen_row(<const float*>g.derivs[first + lane], n_derivs, w.extra + w.n * n_extra + lane * n_derivs)
        elif n_derivs == 1:
            w.extra[w.n * n_extra + lane] = g.seeds[first + lane]
    return True


cdef void widen_row(const float* row, Py_ssize_t n, double* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = row[i]


# Forward

cdef int forward_again(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, PairGroup* g,
                       Scaling scaling, real* out, real* exponent, bint grids) noexcept nogil:
    """Kernels of a group that are in doubt with these exponents."""
    cdef Problem q
    cdef KernelScratch at
    cdef real* memory
    cdef void* raw = NULL
    cdef int found = 0
    if real is float:
        return forward_in_double(p, s, arrays, pairs, g, scaling, out, exponent, grids)
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


cdef int forward_in_double(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                           PairGroup* g, Scaling scaling, float* out, float* exponent, bint grids) noexcept nogil:
    """Kernels of a group of float32 paths, computed in float64; the group is empty afterwards."""
    cdef Widened w
    cdef KernelScratch at
    cdef Wave wave
    cdef Pairs some
    cdef Py_ssize_t grid_size = (p.rows + 1) * (p.columns + 1) if grids else 0, size, i
    cdef int lane, width = LANES_F64, found = 0, first = 0
    cdef double mantissas[16]
    cdef double exponents[16]
    cdef double* memory
    cdef double* values
    cdef void* raw = NULL
    if scaling == BY_FRONT:
        wave = make_wave(p, False, width)
        size = wave.size
    else:
        at = make_scratch(p, grids, False, False, width)
        size = at.size * width
    while first < g.n and not interrupted():
        if not widen(p, arrays, g, first, grid_size, 0, &w):
            return NO_MEMORY
        memory = <double*>aligned_malloc(size * sizeof(double), &raw)
        if memory == NULL:
            free(w.memory)
            return NO_MEMORY
        some = make_pairs(PAIRWISE, 0, w.n, 0, w.n)
        values = w.extra if grids else NULL
        if scaling == BY_FRONT:
            for lane in range(w.n):
                found |= forward_pair(p, s, &w.arrays, &some, lane, &wave, memory, &mantissas[0], &exponents[0])
        else:
            for lane in range(ceil_div(w.n, width)):
                found |= forward_unit(p, s, &w.arrays, &some, lane, &at, memory, &mantissas[0], &exponents[0], values,
                                      grid_size)
        for lane in range(w.n):
            if grids:
                for i in range(p.columns + 2, grid_size):
                    if i % (p.columns + 1) > 0:
                        (<float*>g.grids[first + lane])[i] = <float>values[lane * grid_size + i]
            else:
                store_double(pairs, g.a[first + lane], g.b[first + lane], mantissas[lane], exponents[lane], out,
                             exponent)
        free(raw)
        free(w.memory)
        first += w.n
    g.n = 0
    return found


cdef inline void store_double(const Pairs* pairs, Py_ssize_t a, Py_ssize_t b, double mantissa, double power, float* out,
                              float* exponent) noexcept nogil:
    """`store_kernel`, with a mantissa that float32 holds."""
    cdef int more = 0
    mantissa = frexp(mantissa, &more)
    store_kernel(pairs, a, b, <float>mantissa, <float>(power + more), out, exponent)


# Backward

cdef int backward_again(const Problem* p, const StaticKernel* s, const Arrays* arrays, PairGroup* g, Scaling scaling,
                        bint log_derivs, double* parameters, const real* tag) noexcept nogil:
    """Gradients of a group that are in doubt with these exponents."""
    cdef Problem q
    cdef KernelScratch at
    cdef real* memory
    cdef void* raw = NULL
    cdef int found = 0
    if real is float:
        return backward_in_double(p, s, arrays, g, scaling, log_derivs, parameters)
    while g.n > 0 and not interrupted():
        scaling = next_scaling(p, scaling)
        q = scaled_as(p, scaling)
        at = make_scratch(&q, False, True, arrays.row_length > 1, n_lanes(tag))
        memory = <real*>aligned_malloc(at.size * n_lanes(tag) * sizeof(real), &raw)
        if memory == NULL:
            return NO_MEMORY
        found |= backward_lanes(&q, s, arrays, g, &at, memory, log_derivs, parameters, True)
        free(raw)
    return found


cdef int backward_in_double(const Problem* p, const StaticKernel* s, const Arrays* arrays, PairGroup* g,
                            Scaling scaling, bint log_derivs, double* parameters) noexcept nogil:
    """Gradients of a group of float32 paths, computed in float64; the group is empty afterwards."""
    cdef Widened w
    cdef KernelScratch at
    cdef Wave wave
    cdef Pairs some
    cdef Units units
    cdef Py_ssize_t size, unit, i, size1 = arrays.row_bytes1 // <Py_ssize_t>sizeof(float)
    cdef Py_ssize_t size2 = arrays.row_bytes2 // <Py_ssize_t>sizeof(float)
    cdef int lane, k, width = LANES_F64, found = 0, first = 0
    cdef double numbers[48]
    cdef double* memory
    cdef void* raw = NULL
    if scaling == BY_FRONT:
        wave = make_wave(p, True, width)
        size = wave.size
    else:
        at = make_scratch(p, False, True, arrays.row_length > 1, width)
        size = at.size * width
    while first < g.n and not interrupted():
        if not widen(p, arrays, g, first, size1 + size2, arrays.row_length, &w):
            return NO_MEMORY
        memory = <double*>aligned_malloc(size * sizeof(double), &raw)
        if memory == NULL:
            free(w.memory)
            return NO_MEMORY
        some = make_pairs(PAIRWISE, 0, w.n, 0, w.n)
        units = make_units(&some, w.arrays.row_bytes1, w.arrays.row_bytes2, 1 if scaling == BY_FRONT else width)
        memset(w.extra, 0, w.n * (size1 + size2) * sizeof(double))
        if arrays.sums1 != NULL:
            w.arrays.sums1 = <char*>w.extra
        if arrays.sums2 != NULL:
            w.arrays.sums2 = <char*>(w.extra + w.n * size1)
        if parameters != NULL:
            w.arrays.parameters = numbers
        for unit in range(units.n):
            if scaling == BY_FRONT:
                found |= backward_unit_wave(p, s, &w.arrays, &units, unit, &wave, memory, log_derivs)
            else:
                found |= backward_unit(p, s, &w.arrays, &units, unit, &at, memory, log_derivs)
            if parameters != NULL:
                for k in range(3):
                    parameters[k] += numbers[3 * unit + k]
        for lane in range(w.n):
            if arrays.sums1 != NULL:
                add_narrowed(w.extra + lane * size1, size1, p.kind == GIVEN, <float*>g.sums1[first + lane])
            if arrays.sums2 != NULL and p.kind != GIVEN:
                add_narrowed(w.extra + w.n * size1 + lane * size2, size2, False, <float*>g.sums2[first + lane])
        free(raw)
        free(w.memory)
        first += w.n
    g.n = 0
    return found


cdef void add_narrowed(const double* numbers, Py_ssize_t n, bint replaces, float* row) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        row[i] = <float>numbers[i] if replaces else row[i] + <float>numbers[i]
