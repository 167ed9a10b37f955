# One lane group of blocks of windows, forward and backward. Included by windows.pyx; needs the functions of
# windows_parts.pxi, windows_finite.pxi and windows_pieces.pxi.

from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from ._interruption cimport due
from .increments cimport set_time_words_of_lanes
from .lane_moves cimport load_columns, store_columns
from .lanes cimport real, vd, vec, vf
from .tensor_steps cimport step, steps_work
from .window_groups cimport WindowGroup, item, load_increments, make_group
from .window_plan cimport Block, WindowPlan


cdef struct WindowScratch:
    # One thread's memory, in vectors: inverse | work | x | gx | P | product | gathered | GP | frozen | slots | g_slots
    size_t work, x, gx, P, product, gathered, GP, frozen, slots, g_slots, size


cdef WindowScratch make_scratch(const WindowPlan* plan, bint backward) noexcept nogil:
    cdef WindowScratch at
    cdef size_t rows = (plan.n_left + plan.n_right) * plan.d
    at.work = plan.degree + 1
    at.x = at.work + steps_work(plan.d, plan.degree)
    at.gx = at.x + rows
    at.P = at.gx + (2 * plan.d if backward else 0)
    at.product = at.P + plan.n_words
    at.gathered = at.product + plan.n_words
    at.GP = at.gathered + (2 * plan.n_words if backward else plan.n_words)
    at.frozen = at.GP + (plan.n_words if backward else 0)
    at.slots = at.frozen + (plan.n_words if backward else 0)
    at.g_slots = at.slots + (plan.n_group_slots + 1) * plan.n_words
    at.size = at.g_slots + ((plan.n_group_slots + 1) * plan.n_words if backward else 0)
    return at


cdef struct WindowMemory:
    # One thread's: numbers of its lanes, a row for what nobody wants, and the schedules at the end.
    Py_ssize_t n_numbers, n_schedule, n_bytes


cdef inline WindowMemory thread_memory(const WindowPlan* plan, const WindowScratch* at, size_t itemsize) noexcept nogil:
    cdef WindowMemory of
    of.n_numbers = at.size * plan.width
    of.n_schedule = plan.n_group_slots + plan.n_ranks + 2
    of.n_bytes = (((of.n_numbers + plan.n_words) * <Py_ssize_t>itemsize + of.n_schedule * 8) // 64 + 1) * 64
    return of


cdef inline int64_t* schedules(char* memory, const WindowMemory* of) noexcept nogil:
    return <int64_t*>(memory + of.n_bytes) - of.n_schedule


cdef inline double group_cost(const WindowPlan* plan) noexcept nogil:
    """About how many vector operations a lane group takes: a step for every increment, a product for every window."""
    return <double>(plan.n_left + plan.n_right + plan.degree * plan.n_ranks) * plan.n_words


cdef inline void gather_slots(const real* slots, const int64_t* slot_of, real* out, Py_ssize_t n_words,
                              int width) noexcept nogil:
    """out: in each lane the slot of this lane."""
    cdef Py_ssize_t w
    cdef int lane
    for w in range(n_words):
        for lane in range(width):
            out[w * width + lane] = slots[(slot_of[lane] * n_words + w) * width + lane]


cdef inline void scatter_slots(const real* g, const int64_t* slot_of, real* g_slots, Py_ssize_t n_words,
                               int width) noexcept nogil:
    """Adjoint of `gather_slots`: adds."""
    cdef Py_ssize_t w
    cdef int lane
    for w in range(n_words):
        for lane in range(width):
            g_slots[(slot_of[lane] * n_words + w) * width + lane] += g[w * width + lane]


cdef inline bint locate_windows(const WindowPlan* plan, Py_ssize_t group, Py_ssize_t rank, int64_t* slot_of,
                                int64_t* row_of, double* durations) noexcept nogil:
    """The slot and the row of the result of every lane's window, -1 for a lane without one; whether all that have one
    share the slot, which is slot_of[0] then. And the windows' durations, if the plan has them."""
    cdef Py_ssize_t path, at, slot = -1
    cdef int lane
    cdef bint same = True
    cdef const Block* block
    for lane in range(plan.width):
        block = item(plan, group, lane, &path)
        slot_of[lane] = 0
        row_of[lane] = -1
        if block == NULL or rank >= block.n_windows:
            continue
        at = block.row * plan.n_windows + block.first + rank
        slot_of[lane] = plan.slot[at]
        row_of[lane] = path * plan.n_windows + plan.order[at]
        if plan.durations != NULL:
            durations[lane] = plan.durations[at]
        if slot < 0:
            slot = slot_of[lane]
        elif slot != slot_of[lane]:
            same = False
    if same:
        slot_of[0] = max(slot, 0)
    return same


cdef void scan_left(const vec* x, vec* slots, vec* work, const vec* inverse, const WindowPlan* plan,
                    const WindowGroup* shape, const int64_t* left) noexcept nogil:
    """Fill slots 0..n_slots from the increments before the middles."""
    cdef Py_ssize_t k, _i, spent = 0
    cdef const vec* before
    memset(<void*>slots, 0, plan.n_words * sizeof(vec))
    for k in range(1, shape.n_slots + 1):
        before = slots
        slots = slots + plan.n_words
        for _i in range(left[k]):
            if due(&spent, plan.n_words):
                return
            left_step(x, before, slots, work, inverse, plan)
            before = slots
            x = x + plan.d
        if left[k] == 0:
            memcpy(<void*>slots, <const void*>before, plan.n_words * sizeof(vec))


cdef void scan_right(const vec* x, Py_ssize_t n, vec* P, vec* work, const vec* inverse,
                     const WindowPlan* plan) noexcept nogil:
    """P = the signature of n increments."""
    cdef Py_ssize_t _i, spent = 0
    memset(<void*>P, 0, plan.n_words * sizeof(vec))
    for _i in range(n):
        if due(&spent, plan.n_words):
            return
        right_step(x, P, P, work, inverse, plan)
        x = x + plan.d


cdef WindowGroup load_group(const void* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                            vec* x, int64_t* left) noexcept nogil:
    """The shape of a group, its schedules (into `left`, and behind it those of the right scan) and its increments."""
    cdef int64_t* right = left + plan.n_group_slots + 1
    cdef WindowGroup shape = make_group(plan, group, left, right)
    memset(<void*>x, 0, (shape.n_left + shape.n_right) * plan.d * sizeof(vec))
    if vec is vd:
        load_increments(<const double*>path, strides, plan, group, &shape, left, right, <double*>x)
    else:
        load_increments(<const float*>path, strides, plan, group, &shape, left, right, <float*>x)
    return shape


cdef void forward_group(const void* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                        vec* scratch, int64_t* left, void* dump, const void* ends, void* out,
                        Py_ssize_t out_stride) noexcept nogil:
    """`ends`: of all pieces, see `windows_pieces.pxi`; NULL if there are none."""
    cdef WindowScratch at = make_scratch(plan, False)
    cdef int64_t* right = left + plan.n_group_slots + 1
    cdef WindowGroup shape = load_group(path, strides, plan, group, scratch + at.x, left)
    cdef Py_ssize_t rank, _i, spent = 0
    cdef bint is_one = ends == NULL
    cdef int64_t slot_of[16]
    cdef int64_t row_of[16]
    cdef double durations[16]
    cdef void* target[16]
    cdef const vec* x = scratch + at.x
    cdef const vec* result
    cdef vec* P = scratch + at.P
    cdef int lane
    cdef bint same
    for lane in range(plan.width):
        durations[lane] = 0
    scan_left(x, scratch + at.slots, scratch + at.work, scratch, plan, &shape, left)
    x = x + shape.n_left * plan.d
    if ends == NULL:
        memset(<void*>P, 0, plan.n_words * sizeof(vec))
    else:
        load_ends(ends, plan, group, False, P)
    for rank in range(shape.n_ranks):
        if due(&spent, plan.degree * plan.n_words):
            return
        for _i in range(right[rank]):
            if due(&spent, plan.n_words):
                return
            right_step(x, P, P, scratch + at.work, scratch, plan)
            x = x + plan.d
            is_one = is_one and right[rank] == 0
        same = locate_windows(plan, group, rank, slot_of, row_of, durations)
        if same and slot_of[0] == 0:
            result = P
        else:
            result = scratch + at.slots + slot_of[0] * plan.n_words
            if not same:
                result = scratch + at.gathered
                if vec is vd:
                    gather_slots(<double*>(scratch + at.slots), slot_of, <double*>result, plan.n_words, plan.width)
                else:
                    gather_slots(<float*>(scratch + at.slots), slot_of, <float*>result, plan.n_words, plan.width)
            if not is_one:
                product(result, P, scratch + at.product, scratch + 1, plan)
                result = scratch + at.product
        if vec is vf and plan.durations != NULL:
            set_time_words_of_lanes(durations, plan.d, plan.degree, <float*>result)
        for lane in range(plan.width):
            if row_of[lane] < 0:
                target[lane] = dump
            elif vec is vd:
                target[lane] = <double*>out + row_of[lane] * out_stride
            else:
                target[lane] = <float*>out + row_of[lane] * out_stride
        store_columns(result, <void* const*>target, 0, plan.n_words, plan.width)


cdef bint load_cotangents(const WindowPlan* plan, Py_ssize_t group, Py_ssize_t rank, const void* zeros,
                          const void* derivs, Py_ssize_t derivs_stride, int64_t* slot_of, vec* g) noexcept nogil:
    """The cotangents of all lanes' windows; see `locate_windows`."""
    cdef int64_t row_of[16]
    cdef double durations[16]
    cdef const void* source[16]
    cdef int lane
    cdef bint same = locate_windows(plan, group, rank, slot_of, row_of, durations)
    for lane in range(plan.width):
        if row_of[lane] < 0:
            source[lane] = zeros
        elif vec is vd:
            source[lane] = <const double*>derivs + row_of[lane] * derivs_stride
        else:
            source[lane] = <const float*>derivs + row_of[lane] * derivs_stride
    load_columns(source, 0, plan.n_words, g)
    return same


cdef void backward_group(const void* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                         vec* scratch, int64_t* left, const void* zeros, const void* ends, const void* g_ends,
                         const void* derivs, Py_ssize_t derivs_stride, vec* gx) noexcept nogil:
    """gx (n_left + n_right, d): the cotangents of the group's increments in the order of the scans.

    `ends` and their cotangents: of all pieces, see `windows_pieces.pxi`; NULL if there are none.
    """
    cdef WindowScratch at = make_scratch(plan, True)
    cdef int64_t* right = left + plan.n_group_slots + 1
    cdef WindowGroup shape = load_group(path, strides, plan, group, scratch + at.x, left)
    cdef Py_ssize_t rank, _i, i, k, spent = 0, step = shape.n_right
    cdef Py_ssize_t n_steps = step if ends == NULL else step + 1
    cdef int64_t slot_of[16]
    cdef const vec* x = scratch + at.x
    cdef vec* minus_x = scratch + at.gx
    cdef vec* work = scratch + at.work
    cdef vec* g = scratch + at.product
    cdef vec* P = scratch + at.P
    cdef vec* GP = scratch + at.GP
    cdef vec* slots = scratch + at.slots
    cdef vec* g_slots = scratch + at.g_slots
    cdef vec* mine = scratch + at.gathered
    cdef vec* g_mine = mine + plan.n_words
    cdef vec* g_slot
    cdef Frozen frozen
    cdef bint same, finite
    scan_left(x, slots, work, scratch, plan, &shape, left)
    x = x + (shape.n_left + shape.n_right) * plan.d
    if ends == NULL:
        scan_right(x - shape.n_right * plan.d, shape.n_right, P, work, scratch, plan)
        memset(<void*>GP, 0, plan.n_words * sizeof(vec))
    else:
        load_ends(ends, plan, group, True, P)
        load_end_cotangents(g_ends, plan, group, GP)
    finite = all_finite(P, plan.n_words) and all_finite(slots + shape.n_slots * plan.n_words, plan.n_words)
    if not finite:
        if ends == NULL:
            memset(<void*>mine, 0, plan.n_words * sizeof(vec))
        else:
            load_ends(ends, plan, group, False, mine)
        freeze(x - shape.n_right * plan.d, shape.n_right, mine, g_mine, scratch + at.frozen, work, scratch, plan,
               &frozen)
    memset(<void*>g_slots, 0, (shape.n_slots + 1) * plan.n_words * sizeof(vec))
    gx = gx + (shape.n_left + shape.n_right) * plan.d
    for rank in range(shape.n_ranks - 1, -1, -1):
        if due(&spent, 2 * plan.degree * plan.n_words):
            return
        same = load_cotangents(plan, group, rank, zeros, derivs, derivs_stride, slot_of, g)
        if same:
            g_slot = g_slots + slot_of[0] * plan.n_words
            if slot_of[0] == 0:
                for i in range(plan.n_words):
                    GP[i] = GP[i] + g[i]
            elif n_steps == 0:
                # P is 1.
                for i in range(plan.n_words):
                    g_slot[i] = g_slot[i] + g[i]
            elif not finite:
                copy_live(slots + slot_of[0] * plan.n_words, plan, group, rank, mine)
                copy_live(P, plan, group, rank, g_mine)
                product_backprop(g, mine, g_mine, g_slot, GP, plan)
            else:
                product_backprop(g, slots + slot_of[0] * plan.n_words, P, g_slot, GP, plan)
        else:
            memset(<void*>g_mine, 0, plan.n_words * sizeof(vec))
            if vec is vd:
                gather_slots(<double*>slots, slot_of, <double*>mine, plan.n_words, plan.width)
            else:
                gather_slots(<float*>slots, slot_of, <float*>mine, plan.n_words, plan.width)
            product_backprop(g, mine, P, g_mine, GP, plan)
            if vec is vd:
                scatter_slots(<double*>g_mine, slot_of, <double*>g_slots, plan.n_words, plan.width)
            else:
                scatter_slots(<float*>g_mine, slot_of, <float*>g_slots, plan.n_words, plan.width)
        for _i in range(right[rank]):
            if due(&spent, 4 * plan.n_words):
                return
            x = x - plan.d
            gx = gx - plan.d
            for i in range(plan.d):
                minus_x[i] = -x[i]
            right_step(minus_x, P, P, work, scratch, plan)
            step -= 1
            if not finite:
                thaw(&frozen, step, P, plan)
            right_step_backprop(x, P, GP, gx, work, scratch, plan)
        n_steps -= right[rank]
    # The left scan, backwards: P and GP are Q and its cotangent now.
    memset(<void*>GP, 0, plan.n_words * sizeof(vec))
    memcpy(<void*>P, <const void*>(slots + shape.n_slots * plan.n_words), plan.n_words * sizeof(vec))
    for k in range(shape.n_slots, 0, -1):
        for i in range(plan.n_words):
            GP[i] = GP[i] + g_slots[k * plan.n_words + i]
        for _i in range(left[k]):
            if due(&spent, 4 * plan.n_words):
                return
            x = x - plan.d
            gx = gx - plan.d
            if _i == left[k] - 1:
                memcpy(<void*>P, <const void*>(slots + (k - 1) * plan.n_words), plan.n_words * sizeof(vec))
            else:
                for i in range(plan.d):
                    minus_x[i] = -x[i]
                left_step(minus_x, P, P, work, scratch, plan)
            left_step_backprop(x, P, GP, gx, work, scratch, plan)
