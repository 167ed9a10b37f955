"""Lane groups of windows: blocks in lanes, and increments in the order of their scans.

A lane of a group is an item, (block, path). Where lanes of a group differ in the number of increments that lead to
their next slot or end, shorter ones are filled up with zero increments.
"""

from libc.stdint cimport int64_t

from .lanes cimport real
from .window_plan cimport Block, WindowPlan, last_point


cdef inline Py_ssize_t item_before(const WindowPlan* plan, Py_ssize_t i) noexcept nogil:
    """The same path's item of the block before."""
    return i - (plan.n_paths if plan.shared else 1)


cdef inline Py_ssize_t item_after(const WindowPlan* plan, Py_ssize_t i) noexcept nogil:
    return i + (plan.n_paths if plan.shared else 1)


cdef inline const Block* block_of(const WindowPlan* plan, Py_ssize_t i) noexcept nogil:
    return plan.blocks + (i // plan.n_paths if plan.shared else i)


cdef inline const Block* item(const WindowPlan* plan, Py_ssize_t group, int lane, Py_ssize_t* path) noexcept nogil:
    """The block that a lane works on, and its path; NULL for an idle lane, with the path of another."""
    cdef Py_ssize_t i = group * plan.width + lane, live = min(i, plan.n_items - 1)
    cdef const Block* block = block_of(plan, live)
    # The same block of different paths side by side: such lanes agree in everything.
    path[0] = live % plan.n_paths if plan.shared else block.row
    return block if i < plan.n_items else NULL


cdef inline int64_t right_end(const WindowPlan* plan, const Block* block, Py_ssize_t rank) noexcept nogil:
    """Where the right scan is before the window of this rank."""
    if rank == 0:
        return block.begin
    return last_point(plan, block.row, block.first + min(rank, block.n_windows) - 1)


cdef inline int64_t left_start(const WindowPlan* plan, const Block* block, Py_ssize_t slot) noexcept nogil:
    """Where the left scan is when it fills a slot."""
    if slot == 0 or block.n_slots == 0:
        return block.middle
    return plan.slot_start[block.row * plan.n_windows + block.first + min(slot, block.n_slots) - 1]


cdef struct WindowGroup:
    Py_ssize_t n_ranks
    Py_ssize_t n_slots
    Py_ssize_t n_left
    Py_ssize_t n_right


cdef inline WindowGroup make_group(const WindowPlan* plan, Py_ssize_t group, int64_t* left,
                                   int64_t* right) noexcept nogil:
    """The shape of a group. left[slot], slot = 1..n_slots: increments to this slot; right[rank]: to this window.

    NULL for `left` and `right` if they are not wanted.
    """
    cdef WindowGroup shape
    cdef Py_ssize_t path, k
    cdef int64_t n_rows
    cdef int lane
    cdef const Block* block
    cdef const Block* blocks[16]
    cdef int n_live = 0
    shape.n_ranks = shape.n_slots = shape.n_left = shape.n_right = 0
    for lane in range(plan.width):
        block = item(plan, group, lane, &path)
        if block == NULL or (n_live > 0 and block == blocks[n_live - 1]):
            continue
        blocks[n_live] = block
        n_live += 1
        shape.n_ranks = max(shape.n_ranks, block.n_windows)
        shape.n_slots = max(shape.n_slots, block.n_slots)
    for k in range(1, shape.n_slots + 1):
        n_rows = 0
        for lane in range(n_live):
            n_rows = max(n_rows, left_start(plan, blocks[lane], k - 1) - left_start(plan, blocks[lane], k))
        if left != NULL:
            left[k] = n_rows
        shape.n_left += n_rows
    for k in range(shape.n_ranks):
        n_rows = 0
        for lane in range(n_live):
            n_rows = max(n_rows, right_end(plan, blocks[lane], k + 1) - right_end(plan, blocks[lane], k))
        if right != NULL:
            right[k] = n_rows
        shape.n_right += n_rows
    return shape


cdef inline void add_groups(WindowPlan* plan) noexcept nogil:
    """Blocks to lane groups."""
    cdef Py_ssize_t group
    cdef WindowGroup shape
    plan.n_items = plan.n_blocks * plan.n_paths if plan.shared else plan.n_blocks
    plan.n_groups = (plan.n_items + plan.width - 1) // plan.width
    plan.n_ranks = plan.n_group_slots = plan.n_left = plan.n_right = 0
    for group in range(plan.n_groups):
        shape = make_group(plan, group, NULL, NULL)
        plan.n_ranks = max(plan.n_ranks, shape.n_ranks)
        plan.n_group_slots = max(plan.n_group_slots, shape.n_slots)
        plan.n_left = max(plan.n_left, shape.n_left)
        plan.n_right = max(plan.n_right, shape.n_right)


cdef inline void load_increments(const real* path, const Py_ssize_t* strides, const WindowPlan* plan, Py_ssize_t group,
                                 const WindowGroup* shape, const int64_t* left, const int64_t* right,
                                 real* x) noexcept nogil:
    """x (n_left + n_right, d, width): the increments in the order of the scans; missing ones stay as they are, zero."""
    cdef Py_ssize_t which, k, step, at, i, n_letters = plan.d - (plan.time != NULL)
    cdef int lane
    cdef const Block* block
    cdef const real* point
    cdef real* row
    for lane in range(plan.width):
        block = item(plan, group, lane, &which)
        if block == NULL:
            continue
        row = x + lane
        for k in range(1, shape.n_slots + 1):
            at = left_start(plan, block, k - 1)
            for step in range(at - left_start(plan, block, k)):
                point = path + which * strides[0] + (at - step - 1) * strides[1]
                for i in range(n_letters):
                    row[(step * plan.d + i) * plan.width] = point[strides[1] + i * strides[2]] - point[i * strides[2]]
                if n_letters < plan.d:
                    row[(step * plan.d + n_letters) * plan.width] = plan.time[block.middle - at + step]
            row = row + left[k] * plan.d * plan.width
        for k in range(shape.n_ranks):
            at = right_end(plan, block, k)
            for step in range(right_end(plan, block, k + 1) - at):
                point = path + which * strides[0] + (at + step) * strides[1]
                for i in range(n_letters):
                    row[(step * plan.d + i) * plan.width] = point[strides[1] + i * strides[2]] - point[i * strides[2]]
                if n_letters < plan.d:
                    row[(step * plan.d + n_letters) * plan.width] = plan.time[at + step - block.middle]
            row = row + right[k] * plan.d * plan.width


cdef inline void add_gradients(const real* gx, const WindowPlan* plan, Py_ssize_t group, const WindowGroup* shape,
                               const int64_t* left, const int64_t* right, real* out) noexcept nogil:
    """Adjoint of `load_increments`: adds to out (n_paths, length, d), where increment k has the place of point k."""
    cdef Py_ssize_t which, k, step, at, i
    cdef int lane
    cdef const Block* block
    cdef const real* row
    cdef real* target
    for lane in range(plan.width):
        block = item(plan, group, lane, &which)
        if block == NULL:
            continue
        row = gx + lane
        for k in range(1, shape.n_slots + 1):
            at = left_start(plan, block, k - 1)
            for step in range(at - left_start(plan, block, k)):
                target = out + (which * plan.length + at - step - 1) * plan.d
                for i in range(plan.d):
                    target[i] += row[(step * plan.d + i) * plan.width]
            row = row + left[k] * plan.d * plan.width
        for k in range(shape.n_ranks):
            at = right_end(plan, block, k)
            for step in range(right_end(plan, block, k + 1) - at):
                target = out + (which * plan.length + at + step) * plan.d
                for i in range(plan.d):
                    target[i] += row[(step * plan.d + i) * plan.width]
            row = row + right[k] * plan.d * plan.width
