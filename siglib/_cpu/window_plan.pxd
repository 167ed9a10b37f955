"""How windows are cut into blocks.

A *block* is a run of windows that have a point in common, its *middle*: where the first of them ends. Signatures from
the starts of its windows to the middle, and from the middle to their ends, are two scans; a window is the product of
one of each. Windows come ordered by their ends (`order`), so the second scan gives its results in the order of the
windows. The first scan goes backwards from the middle; what it gives at the start of a window is kept in a *slot*, and
slot 0 is the middle itself. How many slots a block may have is limited by memory, not by the windows.

Few blocks with many windows (the prefixes of one path are a single one) would leave lanes empty. They are cut into
*pieces*, blocks with the same middle whose right scans go on where the one before stops; from which signature it does
is found first.
"""

from libc.stdint cimport int64_t

from .lanes cimport real


cdef enum:
    # Windows and increments of a piece: of the smallest that pay, and of pieces that are enough for several groups
    FEW = 32
    MANY = 256


cdef struct Block:
    Py_ssize_t row              # of starts, lasts and order
    Py_ssize_t first            # its windows are order[row, first], order[row, first + 1], ..
    Py_ssize_t n_windows
    Py_ssize_t middle           # a point
    Py_ssize_t begin            # where its right scan begins: the middle, but in later pieces
    bint continues              # the right scan of the block before
    Py_ssize_t n_slots          # without slot 0


cdef struct WindowPlan:
    Py_ssize_t n_paths
    Py_ssize_t length           # points of a path
    Py_ssize_t d
    Py_ssize_t degree
    Py_ssize_t n_words
    double time_step            # if not 0, the last channel is time, which advances by it
    float* time                 # its increments, from any middle on to either side; NULL if it is a channel like others
    double* durations           # of the windows, in order, if their words of time alone are set instead of added up
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
    bint in_pieces              # some blocks continue others
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


cdef inline int64_t last_point(const WindowPlan* plan, Py_ssize_t row, Py_ssize_t rank) noexcept nogil:
    """The last point of a window of a row; windows come by their last points."""
    return plan.lasts[row * plan.n_windows + plan.order[row * plan.n_windows + rank]]


cdef inline Py_ssize_t block_end(const WindowPlan* plan, Py_ssize_t row, Py_ssize_t first) noexcept nogil:
    """Where the block that starts with window `first` of a row ends."""
    cdef Py_ssize_t k, n_new = 0
    cdef int64_t start, before = -1, middle = last_point(plan, row, first)
    for k in range(first, plan.n_windows):
        start = plan.starts[row * plan.n_windows + plan.order[row * plan.n_windows + k]]
        if start > middle:
            return k
        if start != middle and start != before:
            if n_new == plan.max_slots:
                return k
            n_new += 1
            before = start
    return plan.n_windows


cdef inline Py_ssize_t scan_work(const WindowPlan* plan, Py_ssize_t row, Py_ssize_t first,
                                 Py_ssize_t stop) noexcept nogil:
    """Windows and increments of the right scan of windows first..stop-1."""
    return stop - first + last_point(plan, row, stop - 1) - last_point(plan, row, first)


cdef inline void add_pieces(WindowPlan* plan, Py_ssize_t row, Py_ssize_t first, Py_ssize_t stop,
                            Py_ssize_t n_pieces) noexcept nogil:
    """Windows first..stop-1, which have a middle in common, as blocks of about the same work."""
    cdef Py_ssize_t piece, at = first, work = scan_work(plan, row, first, stop)
    cdef Block* block
    for piece in range(1, n_pieces + 1):
        if at == stop:
            return
        block = plan.blocks + plan.n_blocks
        block.row = row
        block.first = at
        block.middle = last_point(plan, row, first)
        block.begin = last_point(plan, row, max(at - 1, first))
        block.continues = at > first
        at += 1
        while at < stop and (piece == n_pieces or scan_work(plan, row, first, at + 1) * n_pieces <= work * piece):
            at += 1
        block.n_windows = at - block.first
        make_slots(plan, block)
        plan.in_pieces = plan.in_pieces or block.continues
        plan.n_blocks += 1


cdef inline void make_blocks(WindowPlan* plan) noexcept nogil:
    """Fill `blocks`, which has room for one block for each window."""
    cdef Py_ssize_t row, first, stop, n_rows = 1 if plan.shared else plan.n_paths
    cdef Py_ssize_t n_items = 0, work = 0, piece_work, copies = plan.n_paths if plan.shared else 1
    for row in range(n_rows):
        first = 0
        while first < plan.n_windows:
            stop = block_end(plan, row, first)
            work += copies * scan_work(plan, row, first, stop)
            n_items += copies
            first = stop
    # Pieces take each increment about half as often again: they pay if no more than half of the lanes are full. Then
    # enough of them for all lanes of up to four groups, for four threads.
    piece_work = work + 1
    if 2 * n_items <= plan.width:
        n_items = 4 * plan.width
        while n_items > plan.width and work < n_items * MANY:
            n_items //= 2
        piece_work = max(work // n_items, <Py_ssize_t>FEW)
    plan.n_blocks = 0
    plan.in_pieces = False
    for row in range(n_rows):
        first = 0
        while first < plan.n_windows:
            stop = block_end(plan, row, first)
            add_pieces(plan, row, first, stop, max(<Py_ssize_t>1, scan_work(plan, row, first, stop) // piece_work))
            first = stop
