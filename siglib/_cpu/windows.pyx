"""Signatures of many windows of a path, and their gradient.

Design. Windows that have a point in common, the *middle*, form a block (`window_plan.pxd`). Their signatures are
products of pieces on both sides of it,

    S(start, end) = Q_start (x) P_end,    Q_(i-1) = exp(x_(i-1)) (x) Q_i,    P_(i+1) = P_i (x) exp(x_i),

with two scans per block and one product per window, however wide the windows are, and without inverses: only
increments of the window itself have an effect on it. Prefixes of a path are the case where the middle is the first
point: then Q is 1, and nothing is multiplied. Lanes hold (block, path). One `nogil` function takes a lane group from
the path to the result:

    load_increments  window_plan.pxd   path -> increments in the order of the scans
    step             tensor_steps.pxd  one increment, from the left or from the right
    multiply_level   tensor_log.pxi    Q (x) P
    store_columns    lane_moves.pxd    lanes -> rows of the result

The gradient runs the same scans; then windows from the last to the first, where P and Q are recovered by taking the
increments off again, so that one signature per slot is all that is stored. Groups write the gradients of their
increments into memory of their own, which is added up group by group, a fixed number of groups at a time: the bits do
not depend on the number of threads.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .lane_moves cimport load_columns, store_columns
from .lanes cimport aligned_malloc, n_lanes, real, vd, vec, vf
from .tensor_log cimport multiply_level, multiply_level_backprop
from .tensor_steps cimport step, step_backprop, steps_work
from .window_plan cimport (
    Block,
    Group,
    WindowPlan,
    add_gradients,
    add_groups,
    item,
    load_increments,
    make_blocks,
    make_group,
)

cdef enum:
    # Bytes of the slots of a lane group
    SLOT_BYTES = 1 << 22
    # Bytes of gradients of increments before they are added up
    ROUND_BYTES = 1 << 24


cdef struct Scratch:
    # One thread's memory, in vectors: inverse | work | x | gx | P | product | gathered | GP | slots | g_slots
    size_t work, x, gx, P, product, gathered, GP, slots, g_slots, size


cdef Scratch make_scratch(const WindowPlan* plan, bint backward) noexcept nogil:
    cdef Scratch at
    cdef size_t rows = (plan.n_left + plan.n_right) * plan.d
    at.work = plan.degree + 1
    at.x = at.work + steps_work(plan.d, plan.degree)
    at.gx = at.x + rows
    at.P = at.gx + (2 * plan.d if backward else 0)
    at.product = at.P + plan.n_words
    at.gathered = at.product + plan.n_words
    at.GP = at.gathered + (2 * plan.n_words if backward else plan.n_words)
    at.slots = at.GP + (plan.n_words if backward else 0)
    at.g_slots = at.slots + (plan.n_group_slots + 1) * plan.n_words
    at.size = at.g_slots + ((plan.n_group_slots + 1) * plan.n_words if backward else 0)
    return at


cdef inline void fill_inverse(real* inverse, Py_ssize_t degree, int width) noexcept nogil:
    cdef Py_ssize_t k
    cdef int lane
    for k in range(degree + 1):
        for lane in range(width):
            inverse[k * width + lane] = <real>1 / <real>k if k > 0 else 0


# The primitives as functions of their own, specialised for small dimensions.

cdef void left_step(const vec* x, const vec* old, vec* new, vec* work, const vec* inverse,
                    const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step(x, old, new, work, inverse, 2, plan.degree, True)
    elif plan.d == 3:
        step(x, old, new, work, inverse, 3, plan.degree, True)
    elif plan.d == 4:
        step(x, old, new, work, inverse, 4, plan.degree, True)
    elif plan.d == 5:
        step(x, old, new, work, inverse, 5, plan.degree, True)
    else:
        step(x, old, new, work, inverse, plan.d, plan.degree, True)


cdef void right_step(const vec* x, const vec* old, vec* new, vec* work, const vec* inverse,
                     const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step(x, old, new, work, inverse, 2, plan.degree, False)
    elif plan.d == 3:
        step(x, old, new, work, inverse, 3, plan.degree, False)
    elif plan.d == 4:
        step(x, old, new, work, inverse, 4, plan.degree, False)
    elif plan.d == 5:
        step(x, old, new, work, inverse, 5, plan.degree, False)
    else:
        step(x, old, new, work, inverse, plan.d, plan.degree, False)


cdef void left_step_backprop(const vec* x, const vec* old, vec* g, vec* gx, vec* work, const vec* inverse,
                             const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step_backprop(x, old, g, gx, work, inverse, 2, plan.degree, True)
    elif plan.d == 3:
        step_backprop(x, old, g, gx, work, inverse, 3, plan.degree, True)
    elif plan.d == 4:
        step_backprop(x, old, g, gx, work, inverse, 4, plan.degree, True)
    elif plan.d == 5:
        step_backprop(x, old, g, gx, work, inverse, 5, plan.degree, True)
    else:
        step_backprop(x, old, g, gx, work, inverse, plan.d, plan.degree, True)


cdef void right_step_backprop(const vec* x, const vec* old, vec* g, vec* gx, vec* work, const vec* inverse,
                              const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step_backprop(x, old, g, gx, work, inverse, 2, plan.degree, False)
    elif plan.d == 3:
        step_backprop(x, old, g, gx, work, inverse, 3, plan.degree, False)
    elif plan.d == 4:
        step_backprop(x, old, g, gx, work, inverse, 4, plan.degree, False)
    elif plan.d == 5:
        step_backprop(x, old, g, gx, work, inverse, 5, plan.degree, False)
    else:
        step_backprop(x, old, g, gx, work, inverse, plan.d, plan.degree, False)


cdef inline void product_of(const vec* a, const vec* b, vec* out, const vec* one, Py_ssize_t d,
                            Py_ssize_t degree) noexcept nogil:
    cdef Py_ssize_t n, w, start = 0, size = 1
    for n in range(1, degree + 1):
        size *= d
        multiply_level(a, b, a + start, one, out + start, d, n)
        for w in range(start, start + size):
            out[w] = out[w] + b[w]
        start += size


cdef inline void product_of_backprop(const vec* g, const vec* a, const vec* b, vec* g_a, vec* g_b, Py_ssize_t d,
                                     Py_ssize_t degree) noexcept nogil:
    """Adds to g_a and g_b."""
    cdef Py_ssize_t n, w, start = 0, size = 1
    for n in range(1, degree + 1):
        size *= d
        for w in range(start, start + size):
            g_a[w] = g_a[w] + g[w]
            g_b[w] = g_b[w] + g[w]
        if n > 1:
            multiply_level_backprop(g + start, a, b, g_a, g_b, d, n)
        start += size


cdef void product(const vec* a, const vec* b, vec* out, const vec* one, const WindowPlan* plan) noexcept nogil:
    """out = a (x) b."""
    if plan.d == 2:
        product_of(a, b, out, one, 2, plan.degree)
    elif plan.d == 3:
        product_of(a, b, out, one, 3, plan.degree)
    elif plan.d == 4:
        product_of(a, b, out, one, 4, plan.degree)
    elif plan.d == 5:
        product_of(a, b, out, one, 5, plan.degree)
    else:
        product_of(a, b, out, one, plan.d, plan.degree)


cdef void product_backprop(const vec* g, const vec* a, const vec* b, vec* g_a, vec* g_b,
                           const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        product_of_backprop(g, a, b, g_a, g_b, 2, plan.degree)
    elif plan.d == 3:
        product_of_backprop(g, a, b, g_a, g_b, 3, plan.degree)
    elif plan.d == 4:
        product_of_backprop(g, a, b, g_a, g_b, 4, plan.degree)
    elif plan.d == 5:
        product_of_backprop(g, a, b, g_a, g_b, 5, plan.degree)
    else:
        product_of_backprop(g, a, b, g_a, g_b, plan.d, plan.degree)


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
                                int64_t* row_of) noexcept nogil:
    """The slot and the row of the result of every lane's window, -1 for a lane without one; whether all that have one
    share the slot, which is slot_of[0] then."""
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
        if slot < 0:
            slot = slot_of[lane]
        elif slot != slot_of[lane]:
            same = False
    if same:
        slot_of[0] = max(slot, 0)
    return same


cdef void scan_left(const vec* x, vec* slots, vec* work, const vec* inverse, const WindowPlan* plan,
                    const Group* shape, const int64_t* left) noexcept nogil:
    """Fill slots 0..n_slots from the increments before the middles."""
    cdef Py_ssize_t k, _i
    cdef const vec* before
    memset(<void*>slots, 0, plan.n_words * sizeof(vec))
    for k in range(1, shape.n_slots + 1):
        before = slots
        slots = slots + plan.n_words
        for _i in range(left[k]):
            left_step(x, before, slots, work, inverse, plan)
            before = slots
            x = x + plan.d
        if left[k] == 0:
            memcpy(<void*>slots, <const void*>before, plan.n_words * sizeof(vec))


cdef void forward_group(const void* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                        vec* scratch, int64_t* left, void* dump, void* out, Py_ssize_t out_stride) noexcept nogil:
    cdef Scratch at = make_scratch(plan, False)
    cdef int64_t* right = left + plan.n_group_slots + 1
    cdef Group shape = make_group(plan, group, left, right)
    cdef Py_ssize_t rank, _i, n_steps = 0, rows = shape.n_left + shape.n_right
    cdef int64_t slot_of[16]
    cdef int64_t row_of[16]
    cdef void* target[16]
    cdef const vec* x = scratch + at.x
    cdef const vec* result
    cdef vec* P = scratch + at.P
    cdef int lane
    cdef bint same
    memset(<void*>x, 0, rows * plan.d * sizeof(vec))
    if vec is vd:
        load_increments(<const double*>path, strides, plan, group, &shape, left, right, <double*>x)
    else:
        load_increments(<const float*>path, strides, plan, group, &shape, left, right, <float*>x)
    scan_left(x, scratch + at.slots, scratch + at.work, scratch, plan, &shape, left)
    x = x + shape.n_left * plan.d
    memset(<void*>P, 0, plan.n_words * sizeof(vec))
    for rank in range(shape.n_ranks):
        for _i in range(right[rank]):
            right_step(x, P, P, scratch + at.work, scratch, plan)
            x = x + plan.d
        n_steps += right[rank]
        same = locate_windows(plan, group, rank, slot_of, row_of)
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
            if n_steps > 0:
                product(result, P, scratch + at.product, scratch + 1, plan)
                result = scratch + at.product
        for lane in range(plan.width):
            if row_of[lane] < 0:
                target[lane] = dump
            elif vec is vd:
                target[lane] = <double*>out + row_of[lane] * out_stride
            else:
                target[lane] = <float*>out + row_of[lane] * out_stride
        store_columns(result, <void* const*>target, 0, plan.n_words, plan.width)


cdef void backward_group(const void* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                         vec* scratch, int64_t* left, const void* zeros, const void* derivs,
                         Py_ssize_t derivs_stride, vec* gx) noexcept nogil:
    """gx (n_left + n_right, d): the cotangents of the group's increments in the order of the scans."""
    cdef Scratch at = make_scratch(plan, True)
    cdef int64_t* right = left + plan.n_group_slots + 1
    cdef Group shape = make_group(plan, group, left, right)
    cdef Py_ssize_t rank, _i, i, k, n_steps = shape.n_right, rows = shape.n_left + shape.n_right
    cdef int64_t slot_of[16]
    cdef int64_t row_of[16]
    cdef const void* source[16]
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
    cdef int lane
    cdef bint same
    memset(<void*>x, 0, rows * plan.d * sizeof(vec))
    if vec is vd:
        load_increments(<const double*>path, strides, plan, group, &shape, left, right, <double*>x)
    else:
        load_increments(<const float*>path, strides, plan, group, &shape, left, right, <float*>x)
    scan_left(x, slots, work, scratch, plan, &shape, left)
    x = x + shape.n_left * plan.d
    memset(<void*>P, 0, plan.n_words * sizeof(vec))
    for _i in range(shape.n_right):
        right_step(x, P, P, work, scratch, plan)
        x = x + plan.d
    memset(<void*>GP, 0, plan.n_words * sizeof(vec))
    memset(<void*>g_slots, 0, (shape.n_slots + 1) * plan.n_words * sizeof(vec))
    gx = gx + rows * plan.d
    for rank in range(shape.n_ranks - 1, -1, -1):
        same = locate_windows(plan, group, rank, slot_of, row_of)
        for lane in range(plan.width):
            if row_of[lane] < 0:
                source[lane] = zeros
            elif vec is vd:
                source[lane] = <const double*>derivs + row_of[lane] * derivs_stride
            else:
                source[lane] = <const float*>derivs + row_of[lane] * derivs_stride
        load_columns(source, 0, plan.n_words, g)
        if same:
            g_slot = g_slots + slot_of[0] * plan.n_words
            if slot_of[0] == 0:
                for i in range(plan.n_words):
                    GP[i] = GP[i] + g[i]
            elif n_steps == 0:
                for i in range(plan.n_words):
                    g_slot[i] = g_slot[i] + g[i]
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
            x = x - plan.d
            gx = gx - plan.d
            for i in range(plan.d):
                minus_x[i] = -x[i]
            right_step(minus_x, P, P, work, scratch, plan)
            right_step_backprop(x, P, GP, gx, work, scratch, plan)
        n_steps -= right[rank]
    # The left scan, backwards: P and GP are Q and its cotangent now.
    memset(<void*>GP, 0, plan.n_words * sizeof(vec))
    memcpy(<void*>P, <const void*>(slots + shape.n_slots * plan.n_words), plan.n_words * sizeof(vec))
    for k in range(shape.n_slots, 0, -1):
        for i in range(plan.n_words):
            GP[i] = GP[i] + g_slots[k * plan.n_words + i]
        for _i in range(left[k]):
            x = x - plan.d
            gx = gx - plan.d
            if _i == left[k] - 1:
                memcpy(<void*>P, <const void*>(slots + (k - 1) * plan.n_words), plan.n_words * sizeof(vec))
            else:
                for i in range(plan.d):
                    minus_x[i] = -x[i]
                left_step(minus_x, P, P, work, scratch, plan)
            left_step_backprop(x, P, GP, gx, work, scratch, plan)


cdef int make_plan(WindowPlan* plan, const int64_t[:, ::1] starts, const int64_t[:, ::1] lasts,
                   const int64_t[:, ::1] order, Py_ssize_t item_size) noexcept nogil:
    """The rest of a plan that has sizes; -1 if memory is short."""
    cdef Py_ssize_t n = starts.shape[0] * starts.shape[1]
    plan.n_windows = starts.shape[1]
    plan.shared = starts.shape[0] == 1
    plan.starts = &starts[0, 0]
    plan.lasts = &lasts[0, 0]
    plan.order = &order[0, 0]
    plan.max_slots = max(<Py_ssize_t>16, SLOT_BYTES // (plan.n_words * item_size * plan.width))
    plan.blocks = <Block*>malloc(n * sizeof(Block))
    plan.slot = <int64_t*>malloc(n * sizeof(int64_t))
    plan.slot_start = <int64_t*>malloc(n * sizeof(int64_t))
    if plan.blocks == NULL or plan.slot == NULL or plan.slot_start == NULL:
        return -1
    make_blocks(plan)
    add_groups(plan)
    return 0


cdef void free_plan(WindowPlan* plan) noexcept nogil:
    free(plan.blocks)
    free(plan.slot)
    free(plan.slot_start)


cdef struct ThreadMemory:
    # One thread's: numbers of its lanes, a row for what nobody wants, and the schedules at the end.
    Py_ssize_t n_numbers, n_schedule, n_bytes


cdef inline ThreadMemory thread_memory(const WindowPlan* plan, const Scratch* at, size_t itemsize) noexcept nogil:
    cdef ThreadMemory of
    of.n_numbers = at.size * plan.width
    of.n_schedule = plan.n_group_slots + plan.n_ranks + 2
    of.n_bytes = (((of.n_numbers + plan.n_words) * <Py_ssize_t>itemsize + of.n_schedule * 8) // 64 + 1) * 64
    return of


cdef inline int64_t* schedules(char* memory, const ThreadMemory* of) noexcept nogil:
    return <int64_t*>(memory + of.n_bytes) - of.n_schedule


cdef WindowPlan plan_for(const real[:, :, :] path, Py_ssize_t degree, Py_ssize_t n_words, Py_ssize_t* strides):
    """The sizes, which `make_plan` starts from, and the strides of the path in numbers."""
    cdef WindowPlan plan
    cdef int k
    for k in range(3):
        strides[k] = path.strides[k] // <Py_ssize_t>sizeof(real)
    plan.n_paths = path.shape[0]
    plan.length = path.shape[1]
    plan.d = path.shape[2]
    plan.degree = degree
    plan.n_words = n_words
    plan.width = n_lanes(<real*>NULL)
    return plan


def sig_windows(const real[:, :, :] path, const int64_t[:, ::1] starts, const int64_t[:, ::1] lasts,
                const int64_t[:, ::1] order, real[:, ::1] out, Py_ssize_t degree, bint scalar_term, int n_jobs):
    """path (batch, length, dimension); starts, lasts, order (batch or 1, n_windows); out (batch * n_windows,
    scalar_term + n_words). Window k is of points starts[k]..lasts[k]; lasts[order] ascends.
    """
    cdef WindowPlan plan
    cdef Scratch at
    cdef Py_ssize_t[3] strides
    cdef Py_ssize_t group
    cdef ThreadMemory of
    cdef int thread, status
    cdef void* raw = NULL
    cdef char* memory
    cdef char* mine
    if scalar_term:
        out[:, 0] = 1
    if out.shape[0] == 0 or out.shape[1] == scalar_term:
        return
    plan = plan_for(path, degree, out.shape[1] - scalar_term, strides)
    with nogil:
        status = make_plan(&plan, starts, lasts, order, sizeof(real))
        if status == 0:
            at = make_scratch(&plan, False)
            of = thread_memory(&plan, &at, sizeof(real))
            n_jobs = <int>min(<Py_ssize_t>n_jobs, plan.n_groups)
            memory = <char*>aligned_malloc(of.n_bytes * n_jobs, &raw)
            if memory == NULL:
                status = -1
        if status == 0:
            for thread in range(n_jobs):
                fill_inverse(<real*>(memory + thread * of.n_bytes), degree, plan.width)
            for group in prange(plan.n_groups, schedule="dynamic", num_threads=n_jobs):
                mine = memory + threadid() * of.n_bytes
                if real is double:
                    forward_group(&path[0, 0, 0], strides, &plan, group, <vd*>mine,
                                  schedules(mine, &of),
                                  <double*>mine + of.n_numbers, &out[0, scalar_term], out.shape[1])
                else:
                    forward_group(&path[0, 0, 0], strides, &plan, group, <vf*>mine,
                                  schedules(mine, &of),
                                  <float*>mine + of.n_numbers, &out[0, scalar_term], out.shape[1])
        free(raw)
        free_plan(&plan)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_windows")


def sig_windows_backprop(const real[:, :, :] path, const int64_t[:, ::1] starts, const int64_t[:, ::1] lasts,
                         const int64_t[:, ::1] order, const real[:, ::1] derivs, real[:, :, ::1] out,
                         Py_ssize_t degree, bint scalar_term, int n_jobs):
    """Adjoint of `sig_windows`. derivs (batch * n_windows, scalar_term + n_words); out of the shape of path."""
    cdef WindowPlan plan
    cdef Scratch at
    cdef Py_ssize_t[3] strides
    cdef Py_ssize_t group, n_round, first, stop, size, b, p, i
    cdef ThreadMemory of
    cdef int thread, k, status
    cdef void* raw = NULL
    cdef void* raw_gradients = NULL
    cdef char* memory
    cdef char* mine
    cdef real* gradients
    cdef real* point
    cdef int64_t* left
    cdef Group shape
    out[:, :, :] = 0
    if derivs.shape[0] == 0 or derivs.shape[1] == scalar_term:
        return
    plan = plan_for(path, degree, derivs.shape[1] - scalar_term, strides)
    with nogil:
        status = make_plan(&plan, starts, lasts, order, sizeof(real))
        if status == 0:
            at = make_scratch(&plan, True)
            of = thread_memory(&plan, &at, sizeof(real))
            size = (plan.n_left + plan.n_right) * plan.d * plan.width
            n_round = min(plan.n_groups, max(<Py_ssize_t>16, ROUND_BYTES // max(1, size * <Py_ssize_t>sizeof(real))))
            n_jobs = <int>min(<Py_ssize_t>n_jobs, plan.n_groups)
            memory = <char*>aligned_malloc(of.n_bytes * n_jobs, &raw)
            gradients = <real*>aligned_malloc(n_round * size * sizeof(real), &raw_gradients)
            if memory == NULL or gradients == NULL:
                status = -1
        if status == 0:
            for thread in range(n_jobs):
                fill_inverse(<real*>(memory + thread * of.n_bytes), degree, plan.width)
                memset(<real*>(memory + thread * of.n_bytes) + of.n_numbers, 0, plan.n_words * sizeof(real))
            for k in range(<int>((plan.n_groups + n_round - 1) // n_round)):
                first = k * n_round
                stop = min(first + n_round, plan.n_groups)
                for group in prange(first, stop, schedule="dynamic", num_threads=n_jobs):
                    mine = memory + threadid() * of.n_bytes
                    if real is double:
                        backward_group(&path[0, 0, 0], strides, &plan, group, <vd*>mine,
                                       schedules(mine, &of),
                                       <double*>mine + of.n_numbers, &derivs[0, scalar_term], derivs.shape[1],
                                       <vd*>(gradients + (group - first) * size))
                    else:
                        backward_group(&path[0, 0, 0], strides, &plan, group, <vf*>mine,
                                       schedules(mine, &of),
                                       <float*>mine + of.n_numbers, &derivs[0, scalar_term], derivs.shape[1],
                                       <vf*>(gradients + (group - first) * size))
                left = schedules(memory, &of)
                for group in range(first, stop):
                    shape = make_group(&plan, group, left, left + plan.n_group_slots + 1)
                    add_gradients(gradients + (group - first) * size, &plan, group, &shape, left,
                                  left + plan.n_group_slots + 1, &out[0, 0, 0])
            # From increments to points: increment p is point p + 1 minus point p.
            for b in range(plan.n_paths):
                for p in range(plan.length - 1, -1, -1):
                    point = &out[b, p, 0]
                    for i in range(plan.d):
                        point[i] = (point[i - plan.d] if p > 0 else 0) - point[i]
        free(raw)
        free(raw_gradients)
        free_plan(&plan)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_windows_backprop")
