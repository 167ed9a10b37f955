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


include "windows_parts.pxi"
include "windows_lanes.pxi"


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
