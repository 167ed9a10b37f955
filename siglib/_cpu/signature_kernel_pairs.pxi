# The pairs of one lane group: where their paths are, kernels and gradients of all of them, and which are in doubt.
# Included by signature_kernel.pyx; needs the functions of signature_kernel_parts.pxi and signature_kernel_lanes.pxi.

from libc.math cimport INFINITY

from .lane_exponents cimport any_differ
from .lane_windows cimport copies_of
from .lanes cimport n_lanes, real, vd, vec, vf
from .signature_kernel_groups cimport add_lanes
from .signature_kernel_plan cimport PAIRWISE, SYMMETRIC, Pairs, Problem, next_pair, pair_of, shortened
from .static_kernels cimport GIVEN, StaticKernel


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
    bint finite                  # whether paths and derivatives are known to be finite; for gradients
    # How many cells each path has before the repeats of its last point, which change no kernel; NULL if all count.
    const Py_ssize_t* cells1
    const Py_ssize_t* cells2


cdef enum Found:
    # What entry points report, as a sum.
    NEGATIVE_BASE = 1        # the base of a broken power was negative somewhere
    OVERFLOW = 2             # something is not finite, though the inputs are
    NO_MEMORY = 4


cdef struct PairGroup:
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
                            PairGroup* g) noexcept nogil:
    """The group of the pairs from `first` on."""
    cdef int lane
    cdef Py_ssize_t a, b
    g.n = <int>min(<Py_ssize_t>width, pairs.n - first)
    pair_of(pairs, first, &a, &b)
    for lane in range(width):
        if 0 < lane < g.n:
            next_pair(pairs, &a, &b)
        g.a[lane], g.b[lane] = a, b
        g.paths1[lane] = arrays.path1 + g.a[lane] * arrays.row_bytes1
        g.paths2[lane] = arrays.path2 + g.b[lane] * arrays.row_bytes2


cdef inline bint is_shorter(const Problem* p, const Arrays* arrays, const PairGroup* g, int width,
                            Problem* own) noexcept nogil:
    """Whether the paths of a group have fewer cells than those of the call; `own` is then the group's problem."""
    cdef int lane
    cdef Py_ssize_t n1 = 1, n2 = 1
    if arrays.cells1 == NULL:
        return False
    for lane in range(width):
        n1 = max(n1, arrays.cells1[g.a[lane]])
        n2 = max(n2, arrays.cells2[g.b[lane]])
    if n1 == p.n1 and n2 == p.n2:
        return False
    own[0] = shortened(p, n1, n2)
    return True


cdef inline void copy_lane(PairGroup* g, int lane, int to) noexcept nogil:
    g.a[to], g.b[to], g.seeds[to] = g.a[lane], g.b[lane], g.seeds[lane]
    g.paths1[to], g.paths2[to], g.grids[to] = g.paths1[lane], g.paths2[lane], g.grids[lane]
    g.derivs[to], g.sums1[to], g.sums2[to] = g.derivs[lane], g.sums1[lane], g.sums2[lane]


cdef void keep_lanes(PairGroup* g, const bint* kept, int width) noexcept nogil:
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


cdef bint inputs_finite(const Problem* p, const Arrays* arrays, const PairGroup* g, int lane,
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


cdef inline bint in_doubt(const vec* numbers, const vec* lost) noexcept nogil:
    """Whether some lane of a vector is not finite, or is marked as lost."""
    cdef vec marks = (numbers[0] - numbers[0]) + lost[0]
    return any_differ(marks, copies_of(0, numbers))


cdef int judge_lanes(const Problem* p, const Arrays* arrays, PairGroup* g, const real* numbers,
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


cdef int forward_lanes(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, PairGroup* g,
                       const KernelScratch* at, real* memory, real* out, real* exponent, bint grids) noexcept nogil:
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


cdef inline vec sum_of(const vec* numbers, Py_ssize_t n) noexcept nogil:
    """The sum of n vectors."""
    cdef vec a = copies_of(0, numbers), b = a, c = a, d = a
    cdef Py_ssize_t i = 0
    # Four sums, so that none waits for the one before.
    while i + 4 <= n:
        a = a + numbers[i]
        b = b + numbers[i + 1]
        c = c + numbers[i + 2]
        d = d + numbers[i + 3]
        i += 4
    while i < n:
        a = a + numbers[i]
        i += 1
    return (a + b) + (c + d)


cdef inline vec zero_if_finite(const vec* numbers, Py_ssize_t n) noexcept nogil:
    """0 in the lanes of n vectors that are finite in all of them, else NaN."""
    cdef vec total = copies_of(0, numbers)
    cdef Py_ssize_t i
    for i in range(n):
        total = total + (numbers[i] - numbers[i])
    return total


cdef void judge_gradients(const Problem* p, const Arrays* arrays, const KernelScratch* at, vec* memory,
                          bint parameters) noexcept nogil:
    """memory[at.result]: 0 in the lanes whose gradients of paths and parameters are finite, else NaN."""
    cdef vec total = copies_of(0, memory)
    cdef Py_ssize_t n1 = (p.n1 + 1) * p.d if arrays.sums1 != NULL else 0
    cdef Py_ssize_t n2 = (p.n2 + 1) * p.d if arrays.sums2 != NULL else 0
    cdef Py_ssize_t n3 = 3 if parameters else 0
    # Where the sums of all lanes are finite, all numbers are.
    memory[at.result] = sum_of(memory + at.gx, n1) + sum_of(memory + at.gy, n2) + sum_of(memory + at.gp, n3)
    if in_doubt(memory + at.result, &total):
        total = zero_if_finite(memory + at.gx, n1) + zero_if_finite(memory + at.gy, n2)
        total = total + zero_if_finite(memory + at.gp, n3)
    memory[at.result] = total


cdef int backward_lanes(const Problem* p, const StaticKernel* s, const Arrays* arrays, PairGroup* g,
                        const KernelScratch* at, real* memory, bint log_derivs, double* parameters,
                        bint judged) noexcept nogil:
    """Gradients of one group, added to its sums. The group keeps the pairs that are in doubt: these add nothing.

    Unless `judged` all are added, and the group is empty afterwards: its sums show whether all was well. Pairs that
    lost something are then reported as an overflow.
    """
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
        if judged:
            judge_gradients(p, arrays, at, <vd*>memory, parameters != NULL)
    else:
        backward_group(p, s, g.paths1, g.paths2, at, <vf*>memory, g.derivs if grid else NULL, log_derivs, g.sums1,
                       n, parameters != NULL)
        if judged:
            judge_gradients(p, arrays, at, <vf*>memory, parameters != NULL)
    if not judged:
        result = memory + at.lost * width
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
    elif not judged:
        g.n = 0
        return OVERFLOW
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
