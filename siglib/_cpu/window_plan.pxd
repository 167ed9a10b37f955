"""How windows are cut into blocks, and blocks into lane groups.

A *block* is a run of windows that have a point in common, its *middle*: where the first of them ends. Signatures from
the starts of its windows to the middle, and from the middle to their ends, are two scans; a window is the product of
one of each. Windows come ordered by their ends (`order`), so the second scan gives its results in the order of the
windows. The first scan goes backwards from the middle; what it gives at the start of a window is kept in a *slot*, and
slot 0 is the middle itself. How many slots a block may have is limited by memory, not by the windows.

A lane of a group is an item, (block, path). Where lanes of a group differ in the number of increments that lead to
their next slot or end, shorter ones are filled up with zero increments.
"""

from libc.stdint cimport int64_t

from .lanes cimport real


cdef struct Block:
    Py_ssize_t row              # of starts, lasts and order
    Py_ssize_t first            # its windows are order[row, first], order[row, first + 1], ..
    Py_ssize_t n_windows
    Py_ssize_t middle           # a point
    Py_ssize_t n_slots          # without slot 0


cdef struct WindowPlan:
    Py_ssize_t n_paths
    Py_ssize_t length           # points of a path
    Py_ssize_t d
    Py_ssize_t degree
    Py_ssize_t n_words
    Py_ssize_t n_windows        # of a path
    bint shared                 # the same windows for all paths
    const int64_t* starts       # first point of each window
    const int64_t* lasts        # its last point
    const int64_t* order        # windows by their last points
    int width
    Py_ssize_t max_slots
    Block* blocks
    Py_ssize_t n_blocks
    int64_t* slot               # of each window, in order
    int64_t* slot_start         # of each slot of a block, from its first window on; descending
    Py_ssize_t n_items
    Py_ssize_t n_groups
    # Maxima over all groups
    Py_ssize_t n_ranks          # windows of a lane
    Py_ssize_t n_group_slots
    Py_ssize_t n_left           # increments before the middles
    Py_ssize_t n_right          # increments after them


cdef inline void make_slots(WindowPlan* plan, Block* block) noexcept nogil:
    """Sort the starts of a block's windows that lie before its middle, and tell the windows their slots."""
    cdef Py_ssize_t k, r, low, high, base = block.row * plan.n_windows
    cdef int64_t start
    cdef int64_t* at = plan.slot_start + base + block.first
    cdef const int64_t* order = plan.order + base + block.first
    block.n_slots = 0
    # From the last window to the first: starts usually ascend, and then nothing has to move.
    for k in range(block.n_windows - 1, -1, -1):
        start = plan.starts[base + order[k]]
        if start == block.middle:
            continue
        r = block.n_slots
        while r > 0 and at[r - 1] < start:
            r -= 1
        if r > 0 and at[r - 1] == start:
            continue
        for low in range(block.n_slots, r, -1):
            at[low] = at[low - 1]
        at[r] = start
        block.n_slots += 1
    for k in range(block.n_windows):
        start = plan.starts[base + order[k]]
        low = 0
        high = block.n_slots
        while low < high:
            r = (low + high) // 2
            if at[r] > start:
                low = r + 1
            else:
                high = r
        plan.slot[base + block.first + k] = 0 if start == block.middle else low + 1


cdef inline void make_blocks(WindowPlan* plan) noexcept nogil:
    """Fill `blocks`, which has room for one block for each window."""
    cdef Py_ssize_t row, first, k, n_new, base, n_rows = 1 if plan.shared else plan.n_paths
    cdef int64_t start, before
    cdef Block* block
    plan.n_blocks = 0
    for row in range(n_rows):
        base = row * plan.n_windows
        first = 0
        while first < plan.n_windows:
            block = plan.blocks + plan.n_blocks
            block.row = row
            block.first = first
            block.middle = plan.lasts[base + plan.order[base + first]]
            n_new = 0
            before = -1
            k = first
            while k < plan.n_windows:
                start = plan.starts[base + plan.order[base + k]]
                if start > block.middle:
                    break
                if start != block.middle and start != before:
                    if n_new == plan.max_slots:
                        break
                    n_new += 1
                    before = start
                k += 1
            block.n_windows = k - first
            make_slots(plan, block)
            plan.n_blocks += 1
            first = k


cdef inline const Block* item(const WindowPlan* plan, Py_ssize_t group, int lane, Py_ssize_t* path) noexcept nogil:
    """The block that a lane works on, and its path; NULL for an idle lane, with the path of another."""
    cdef Py_ssize_t i = group * plan.width + lane, live = min(i, plan.n_items - 1)
    cdef const Block* block
    if plan.shared:
        # The same block of different paths side by side: such lanes agree in everything.
        path[0] = live % plan.n_paths
        block = plan.blocks + live // plan.n_paths
    else:
        block = plan.blocks + live
        path[0] = block.row
    return block if i < plan.n_items else NULL


cdef inline int64_t right_end(const WindowPlan* plan, const Block* block, Py_ssize_t rank) noexcept nogil:
    """Where the right scan is before the window of this rank; the middle before the first one."""
    cdef Py_ssize_t base
    if rank == 0:
        return block.middle
    base = block.row * plan.n_windows
    return plan.lasts[base + plan.order[base + block.first + min(rank, block.n_windows) - 1]]


cdef inline int64_t left_start(const WindowPlan* plan, const Block* block, Py_ssize_t slot) noexcept nogil:
    """Where the left scan is when it fills a slot."""
    if slot == 0 or block.n_slots == 0:
        return block.middle
    return plan.slot_start[block.row * plan.n_windows + block.first + min(slot, block.n_slots) - 1]


cdef struct Group:
    Py_ssize_t n_ranks
    Py_ssize_t n_slots
    Py_ssize_t n_left
    Py_ssize_t n_right


cdef inline Group make_group(const WindowPlan* plan, Py_ssize_t group, int64_t* left, int64_t* right) noexcept nogil:
    """The shape of a group. left[slot], slot = 1..n_slots: increments to this slot; right[rank]: to this window.

    NULL for `left` and `right` if they are not wanted.
    """
    cdef Group shape
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
    cdef Group shape
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
                                 const Group* shape, const int64_t* left, const int64_t* right,
                                 real* x) noexcept nogil:
    """x (n_left + n_right, d, width): the increments in the order of the scans; missing ones stay as they are, zero."""
    cdef Py_ssize_t which, k, step, at, i
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
                for i in range(plan.d):
                    row[(step * plan.d + i) * plan.width] = point[strides[1] + i * strides[2]] - point[i * strides[2]]
            row = row + left[k] * plan.d * plan.width
        for k in range(shape.n_ranks):
            at = right_end(plan, block, k)
            for step in range(right_end(plan, block, k + 1) - at):
                point = path + which * strides[0] + (at + step) * strides[1]
                for i in range(plan.d):
                    row[(step * plan.d + i) * plan.width] = point[strides[1] + i * strides[2]] - point[i * strides[2]]
            row = row + right[k] * plan.d * plan.width


cdef inline void add_gradients(const real* gx, const WindowPlan* plan, Py_ssize_t group, const Group* shape,
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
