"""Signatures of many windows of a path, and their gradient.

Design. Windows that have a point in common, the *middle*, form a block (`window_plan.pxd`). Their signatures are
products of pieces on both sides of it,

    S(start, end) = Q_start (x) P_end,    Q_(i-1) = exp(x_(i-1)) (x) Q_i,    P_(i+1) = P_i (x) exp(x_i),

with two scans per block and one product per window, however wide the windows are, and without inverses: only
increments of the window itself have an effect on it. Prefixes of a path are the case where the middle is the first
point: then Q is 1, and nothing is multiplied. Lanes hold (block, path); where there are fewer blocks than lanes, they
are cut into pieces (`windows_pieces.pxi`). One `nogil` function takes a lane group from the path to the result:

    load_increments  window_groups.pxd  path -> increments in the order of the scans
    step             tensor_steps.pxd   one increment, from the left or from the right
    multiply_level   tensor_log.pxi     Q (x) P
    store_columns    lane_moves.pxd     lanes -> rows of the result

The gradient runs the same scans; then windows from the last to the first, where P and Q are recovered by taking the
increments off again, so that one signature per slot is all that is stored. Groups write the gradients of their
increments into memory of their own, which is added up group by group, a fixed number of groups at a time: the bits do
not depend on the number of threads.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .increments cimport FEW_ROWS
from .lanes cimport aligned_malloc, ceil_div, fill_inverse, n_lanes, real, vd, vf
from .window_groups cimport WindowGroup, add_gradients, add_groups, make_group
from .window_plan cimport Block, WindowPlan, make_blocks

cdef enum:
    # Bytes of the slots of a lane group
    SLOT_BYTES = 1 << 22
    # Bytes of gradients of increments before they are added up
    ROUND_BYTES = 1 << 24

include "windows_parts.pxi"
include "windows_finite.pxi"
include "windows_lanes.pxi"
include "windows_pieces.pxi"


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
    return make_time(plan, n) if plan.time_step != 0 else 0


cdef int make_time(WindowPlan* plan, Py_ssize_t n) noexcept nogil:
    """What float32 loops know of time, for n windows; -1 if memory is short.

    Increments are differences of rounded times: such a difference is exact, and so is each sum of them that a scan
    makes.
    """
    cdef Py_ssize_t row, i, k, longest = 0
    for k in range(n):
        longest = max(longest, plan.lasts[k] - plan.starts[k])
    plan.time = <float*>malloc((longest + 1) * sizeof(float))
    if plan.time == NULL:
        return -1
    for k in range(longest + 1):
        plan.time[k] = <float>((k + 1) * plan.time_step) - <float>(k * plan.time_step)
    if longest <= FEW_ROWS:
        return 0
    plan.durations = <double*>malloc(n * sizeof(double))
    if plan.durations == NULL:
        return -1
    for row in range(n // plan.n_windows):
        for i in range(plan.n_windows):
            k = row * plan.n_windows + plan.order[row * plan.n_windows + i]
            plan.durations[row * plan.n_windows + i] = (plan.lasts[k] - plan.starts[k]) * plan.time_step
    return 0


cdef void free_plan(WindowPlan* plan) noexcept nogil:
    free(plan.blocks)
    free(plan.slot)
    free(plan.slot_start)
    free(plan.time)
    free(plan.durations)


cdef WindowPlan plan_for(const real[:, :, :] path, Py_ssize_t degree, Py_ssize_t n_words, double time_step,
                         Py_ssize_t* strides):
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
    plan.time_step = 0 if real is double else time_step
    plan.time = NULL
    plan.durations = NULL
    plan.width = n_lanes(<real*>NULL)
    return plan


def sig_windows(const real[:, :, :] path, const int64_t[:, ::1] starts, const int64_t[:, ::1] lasts,
                const int64_t[:, ::1] order, real[:, ::1] out, Py_ssize_t degree, bint scalar_term, double time_step,
                int n_threads):
    """path (batch, length, dimension); starts, lasts, order (batch or 1, n_windows); out (batch * n_windows,
    scalar_term + n_words). Window k is of points starts[k]..lasts[k]; lasts[order] ascends. time_step: if not 0, the
    last channel is time, which advances by it; float64 paths have time as any other channel.
    """
    cdef WindowPlan plan
    cdef WindowScratch at
    cdef Py_ssize_t[3] strides
    cdef Py_ssize_t group, end
    cdef Watch watch
    cdef Watch* loop
    cdef WindowMemory of
    cdef int thread, status
    cdef void* raw = NULL
    cdef char* memory
    cdef char* mine
    cdef real* ends = NULL
    if scalar_term:
        out[:, 0] = 1
    if out.shape[0] == 0 or out.shape[1] == scalar_term:
        return
    plan = plan_for(path, degree, out.shape[1] - scalar_term, time_step, strides)
    with nogil:
        begin_watch(&watch)
        status = make_plan(&plan, starts, lasts, order, sizeof(real))
        if status == 0:
            at = make_scratch(&plan, False)
            of = thread_memory(&plan, &at, sizeof(real))
            n_threads = <int>min(<Py_ssize_t>n_threads, plan.n_groups)
            memory = <char*>aligned_malloc(of.n_bytes * n_threads, &raw)
            if plan.in_pieces:
                ends = pieces_memory(&plan, 2, ends)
            if memory == NULL or (plan.in_pieces and ends == NULL):
                status = -1
        if status == 0:
            for thread in range(n_threads):
                fill_inverse(<real*>(memory + thread * of.n_bytes), degree, plan.width)
            if plan.in_pieces:
                find_ends(&path[0, 0, 0], strides, &plan, False, memory, &of, piece_rows(&plan, ends, 1), ends,
                          n_threads)
            loop = share(plan.n_groups, group_cost(&plan), n_threads)
            with parallel(num_threads=n_threads):
                mine = memory + threadid() * of.n_bytes
                group = end = 0
                while next_unit(loop, &group, &end):
                    if real is double:
                        forward_group(&path[0, 0, 0], strides, &plan, group, <vd*>mine,
                                      schedules(mine, &of), <double*>mine + of.n_numbers, ends, &out[0, scalar_term],
                                      out.shape[1])
                    else:
                        forward_group(&path[0, 0, 0], strides, &plan, group, <vf*>mine,
                                      schedules(mine, &of), <float*>mine + of.n_numbers, ends, &out[0, scalar_term],
                                      out.shape[1])
        free(raw)
        free(ends)
        free_plan(&plan)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_windows")


def sig_windows_backprop(const real[:, :, :] path, const int64_t[:, ::1] starts, const int64_t[:, ::1] lasts,
                         const int64_t[:, ::1] order, const real[:, ::1] derivs, real[:, :, ::1] out,
                         Py_ssize_t degree, bint scalar_term, double time_step, int n_threads):
    """Adjoint of `sig_windows`. derivs (batch * n_windows, scalar_term + n_words); out of the shape of path."""
    cdef WindowPlan plan
    cdef WindowScratch at
    cdef Py_ssize_t[3] strides
    cdef Py_ssize_t group, n_round, first, stop, end, size, b, p, i, spent = 0
    cdef Watch watch
    cdef Watch* loop
    cdef WindowMemory of
    cdef int thread, k, status
    cdef void* raw = NULL
    cdef void* raw_gradients = NULL
    cdef char* memory
    cdef char* mine
    cdef real* gradients
    cdef real* point
    cdef real* ends = NULL
    cdef real* g_begins = NULL
    cdef int64_t* left
    cdef WindowGroup shape
    out[:, :, :] = 0
    if derivs.shape[0] == 0 or derivs.shape[1] == scalar_term:
        return
    plan = plan_for(path, degree, derivs.shape[1] - scalar_term, time_step, strides)
    with nogil:
        begin_watch(&watch)
        status = make_plan(&plan, starts, lasts, order, sizeof(real))
        if status == 0:
            at = make_scratch(&plan, True)
            of = thread_memory(&plan, &at, sizeof(real))
            size = (plan.n_left + plan.n_right) * plan.d * plan.width
            n_round = min(plan.n_groups, max(<Py_ssize_t>16, ROUND_BYTES // max(1, size * <Py_ssize_t>sizeof(real))))
            n_threads = <int>min(<Py_ssize_t>n_threads, plan.n_groups)
            memory = <char*>aligned_malloc(of.n_bytes * n_threads, &raw)
            gradients = <real*>aligned_malloc(n_round * size * sizeof(real), &raw_gradients)
            if plan.in_pieces:
                ends = pieces_memory(&plan, 3, ends)
            if memory == NULL or gradients == NULL or (plan.in_pieces and ends == NULL):
                status = -1
        if status == 0:
            for thread in range(n_threads):
                fill_inverse(<real*>(memory + thread * of.n_bytes), degree, plan.width)
                memset(<real*>(memory + thread * of.n_bytes) + of.n_numbers, 0, plan.n_words * sizeof(real))
            if plan.in_pieces:
                g_begins = piece_rows(&plan, ends, 2)
                find_ends(&path[0, 0, 0], strides, &plan, True, memory, &of, piece_rows(&plan, ends, 1), ends,
                          n_threads)
                find_begin_cotangents(&path[0, 0, 0], strides, &plan, memory, &of, &derivs[0, scalar_term],
                                      derivs.shape[1], piece_rows(&plan, ends, 1), ends, g_begins, n_threads)
            for k in range(<int>ceil_div(plan.n_groups, n_round)):
                first = k * n_round
                stop = min(first + n_round, plan.n_groups)
                loop = share(stop - first, 4 * group_cost(&plan), n_threads)
                with parallel(num_threads=n_threads):
                    mine = memory + threadid() * of.n_bytes
                    i = end = 0
                    while next_unit(loop, &i, &end):
                        if real is double:
                            backward_group(&path[0, 0, 0], strides, &plan, first + i, <vd*>mine,
                                           schedules(mine, &of), <double*>mine + of.n_numbers, ends, g_begins,
                                           &derivs[0, scalar_term], derivs.shape[1], <vd*>(gradients + i * size))
                        else:
                            backward_group(&path[0, 0, 0], strides, &plan, first + i, <vf*>mine,
                                           schedules(mine, &of), <float*>mine + of.n_numbers, ends, g_begins,
                                           &derivs[0, scalar_term], derivs.shape[1], <vf*>(gradients + i * size))
                left = schedules(memory, &of)
                for group in range(first, stop):
                    if due(&spent, size):
                        break
                    shape = make_group(&plan, group, left, left + plan.n_group_slots + 1)
                    add_gradients(gradients + (group - first) * size, &plan, group, &shape, left,
                                  left + plan.n_group_slots + 1, &out[0, 0, 0])
            # From increments to points: increment p is point p + 1 minus point p.
            for b in range(plan.n_paths):
                if due(&spent, plan.length * plan.d):
                    break
                for p in range(plan.length - 1, -1, -1):
                    point = &out[b, p, 0]
                    for i in range(plan.d):
                        point[i] = (point[i - plan.d] if p > 0 else 0) - point[i]
        free(raw)
        free(raw_gradients)
        free(ends)
        free_plan(&plan)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_windows_backprop")
