# Pieces: blocks whose right scans go on where others stop. Included by windows.pyx; needs the functions of
# windows_parts.pxi, windows_finite.pxi and windows_lanes.pxi.
#
# First every piece gets the signature of its own increments, its *span*; products of spans, one piece after another,
# are the signatures where the scans of the pieces *end*. Backward, the cotangents of these are found the same way. All
# arrays have a row for each item, behind a row of zeros, which stands for the signature 1 or for no cotangent.

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memset

from ._interruption cimport Watch, due, next_unit, share
from .lane_moves cimport load_columns, store_columns
from .lanes cimport real, vd, vec, vf
from .tensor_algebra cimport product as tensor_product
from .tensor_algebra cimport product_backprop as tensor_product_backprop
from .window_groups cimport WindowGroup, block_of, item_after, item_before
from .window_plan cimport WindowPlan


cdef inline real* pieces_memory(const WindowPlan* plan, Py_ssize_t n_arrays, const real* tag) noexcept nogil:
    """Memory for so many of these arrays; `tag` only names the type."""
    return <real*>malloc(n_arrays * (plan.n_items + 1) * plan.n_words * sizeof(real))


cdef inline real* piece_rows(const WindowPlan* plan, real* memory, Py_ssize_t k) noexcept nogil:
    """Array k."""
    return memory + k * (plan.n_items + 1) * plan.n_words


cdef void load_rows(const void* rows, const Py_ssize_t* which, const WindowPlan* plan, vec* out) noexcept nogil:
    cdef const void* source[16]
    cdef int lane
    for lane in range(plan.width):
        if vec is vd:
            source[lane] = <const double*>rows + which[lane] * plan.n_words
        else:
            source[lane] = <const float*>rows + which[lane] * plan.n_words
    load_columns(source, 0, plan.n_words, out)


cdef void store_rows(const vec* columns, const WindowPlan* plan, Py_ssize_t group, void* rows) noexcept nogil:
    """The lanes of a group into its items' rows."""
    cdef void* target[16]
    cdef int lane, n_live = <int>min(<Py_ssize_t>plan.width, plan.n_items - group * plan.width)
    for lane in range(n_live):
        if vec is vd:
            target[lane] = <double*>rows + (1 + group * plan.width + lane) * plan.n_words
        else:
            target[lane] = <float*>rows + (1 + group * plan.width + lane) * plan.n_words
    store_columns(columns, <void* const*>target, 0, plan.n_words, n_live)


cdef void load_ends(const void* ends, const WindowPlan* plan, Py_ssize_t group, bint own, vec* P) noexcept nogil:
    """Where the scans end (`own`) or begin: where those before them end."""
    cdef Py_ssize_t which[16]
    cdef Py_ssize_t i
    cdef int lane
    for lane in range(plan.width):
        i = group * plan.width + lane
        which[lane] = 0
        if i < plan.n_items and (own or block_of(plan, i).continues):
            which[lane] = 1 + (i if own else item_before(plan, i))
    load_rows(ends, which, plan, P)


cdef void load_end_cotangents(const void* g_begins, const WindowPlan* plan, Py_ssize_t group, vec* GP) noexcept nogil:
    """The cotangents of where the scans end: of where the next ones begin."""
    cdef Py_ssize_t which[16]
    cdef Py_ssize_t i
    cdef int lane
    for lane in range(plan.width):
        i = item_after(plan, group * plan.width + lane)
        which[lane] = 1 + i if i < plan.n_items and block_of(plan, i).continues else 0
    load_rows(g_begins, which, plan, GP)


cdef void span_group(const void* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                     bint backward, vec* scratch, int64_t* left, void* spans) noexcept nogil:
    cdef WindowScratch at = make_scratch(plan, backward)
    cdef WindowGroup shape = load_group(path, strides, plan, group, scratch + at.x, left)
    scan_right(scratch + at.x + shape.n_left * plan.d, shape.n_right, scratch + at.P, scratch + at.work, scratch, plan)
    store_rows(scratch + at.P, plan, group, spans)


cdef void find_ends(const real* path, const Py_ssize_t* strides, const WindowPlan* plan, bint backward, char* memory,
                    const WindowMemory* of, real* spans, real* ends, int n_threads) noexcept nogil:
    """Spans and ends of all pieces."""
    cdef Py_ssize_t group, end, i, spent = 0, n = plan.n_words
    cdef char* mine
    cdef Watch* loop
    memset(ends, 0, n * sizeof(real))
    loop = share(plan.n_groups, (plan.n_right + 1.0) * plan.n_words, n_threads)
    with parallel(num_threads=n_threads):
        mine = memory + threadid() * of.n_bytes
        group = end = 0
        while next_unit(loop, &group, &end):
            if real is double:
                span_group(path, strides, plan, group, backward, <vd*>mine, schedules(mine, of), spans)
            else:
                span_group(path, strides, plan, group, backward, <vf*>mine, schedules(mine, of), spans)
    for i in range(plan.n_items):
        if due(&spent, plan.degree * n):
            return
        if block_of(plan, i).continues:
            tensor_product(ends + (1 + item_before(plan, i)) * n, spans + (1 + i) * n, ends + (1 + i) * n, plan.d,
                           plan.degree)
        else:
            memcpy(ends + (1 + i) * n, spans + (1 + i) * n, n * sizeof(real))


cdef void begin_cotangents_group(const void* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                                 vec* scratch, int64_t* left, const void* zeros, const void* derivs,
                                 Py_ssize_t derivs_stride, void* g_begins) noexcept nogil:
    """The part of a piece's own windows in the cotangents of where its scan begins.

    It is linear in P, so P need not be known.
    """
    cdef WindowScratch at = make_scratch(plan, True)
    cdef int64_t* right = left + plan.n_group_slots + 1
    cdef WindowGroup shape = load_group(path, strides, plan, group, scratch + at.x, left)
    cdef Py_ssize_t rank, i, _i, spent = 0
    cdef int64_t slot_of[16]
    cdef const vec* x = scratch + at.x + (shape.n_left + shape.n_right) * plan.d
    cdef vec* slots = scratch + at.slots
    cdef vec* g = scratch + at.product
    cdef vec* GP = scratch + at.GP
    cdef vec* Q
    cdef bint finite
    scan_left(scratch + at.x, slots, scratch + at.work, scratch, plan, &shape, left)
    finite = all_finite(slots + shape.n_slots * plan.n_words, plan.n_words)
    memset(<void*>GP, 0, plan.n_words * sizeof(vec))
    for rank in range(shape.n_ranks - 1, -1, -1):
        if due(&spent, 2 * plan.degree * plan.n_words):
            return
        if load_cotangents(plan, group, rank, zeros, derivs, derivs_stride, slot_of, g):
            Q = slots + slot_of[0] * plan.n_words
        else:
            slot_of[0] = -1
            Q = scratch + at.gathered
            if vec is vd:
                gather_slots(<double*>slots, slot_of, <double*>Q, plan.n_words, plan.width)
            else:
                gather_slots(<float*>slots, slot_of, <float*>Q, plan.n_words, plan.width)
        if slot_of[0] == 0:
            for i in range(plan.n_words):
                GP[i] = GP[i] + g[i]
        else:
            if not finite:
                copy_live(Q, plan, group, rank, scratch + at.frozen)
                Q = scratch + at.frozen
            product_backprop(g, Q, Q, scratch + at.g_slots, GP, plan)
        for _i in range(right[rank]):
            if due(&spent, plan.n_words):
                return
            x = x - plan.d
            right_step_cotangent(x, GP, scratch + at.work, scratch, plan)
    store_rows(GP, plan, group, g_begins)


cdef void find_begin_cotangents(const real* path, const Py_ssize_t* strides, const WindowPlan* plan, char* memory,
                                const WindowMemory* of, const real* derivs, Py_ssize_t derivs_stride,
                                const real* spans, const real* ends, real* g_begins, int n_threads) noexcept nogil:
    """Cotangents of the signatures where the scans of pieces begin: of windows of this piece and of later ones."""
    cdef Py_ssize_t group, end, i, after, k, spent = 0, n = plan.n_words
    cdef char* mine
    cdef Watch* loop
    cdef real* work
    memset(g_begins, 0, n * sizeof(real))
    loop = share(plan.n_groups, 2 * group_cost(plan), n_threads)
    with parallel(num_threads=n_threads):
        mine = memory + threadid() * of.n_bytes
        group = end = 0
        while next_unit(loop, &group, &end):
            if real is double:
                begin_cotangents_group(path, strides, plan, group, <vd*>mine, schedules(mine, of),
                                       <double*>mine + of.n_numbers, derivs, derivs_stride, g_begins)
            else:
                begin_cotangents_group(path, strides, plan, group, <vf*>mine, schedules(mine, of),
                                       <float*>mine + of.n_numbers, derivs, derivs_stride, g_begins)
    # Behind the constants: what the last group left there is not needed.
    work = <real*>memory + make_scratch(plan, True).product * plan.width
    for i in range(plan.n_items - 1, -1, -1):
        if due(&spent, plan.degree * n):
            return
        after = item_after(plan, i)
        if after < plan.n_items and block_of(plan, after).continues and block_of(plan, i).continues:
            tensor_product_backprop(g_begins + (1 + after) * n, ends + (1 + i) * n, spans + (1 + i) * n, work, work + n,
                                    plan.d, plan.degree)
            for k in range(n):
                g_begins[(1 + i) * n + k] += work[k]
