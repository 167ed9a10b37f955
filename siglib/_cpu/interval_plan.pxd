"""How an interval is cut: points before the first whole block, blocks, points behind the last one; and the order in
which intervals are taken, those with as many points in front and behind side by side."""

from libc.stdint cimport int64_t
from libc.string cimport memset


cdef struct IntervalPlan:
    Py_ssize_t n_paths
    Py_ssize_t d
    Py_ssize_t degree
    Py_ssize_t n_words
    Py_ssize_t n_low            # words below the top level
    Py_ssize_t n_nodes          # words of the level below the top one
    Py_ssize_t n_queries
    Py_ssize_t block            # increments of a block
    Py_ssize_t n_blocks         # of the table
    const int64_t* starts
    const int64_t* ends
    int64_t* order
    int width
    Py_ssize_t n_groups


cdef struct Interval:
    int64_t first               # where the increments before the blocks end, a point
    int64_t n_head              # how many they are
    int64_t last                # where the increments behind the blocks begin
    int64_t n_tail
    int64_t left                # entries of the table whose product the blocks are; -1: none
    int64_t right
    bint backward


cdef inline Interval cut(const IntervalPlan* plan, Py_ssize_t query) noexcept nogil:
    cdef Interval interval
    cdef int64_t low = plan.starts[query], high = plan.ends[query], first, stop
    cdef int64_t level = 0
    interval.backward = low > high
    if interval.backward:
        low, high = high, low
    interval.left = interval.right = -1
    if high - low <= plan.block:
        # From the points alone.
        interval.first = interval.last = low
        interval.n_head = 0
        interval.n_tail = high - low
        return interval
    first = (low + plan.block - 1) // plan.block
    stop = high // plan.block
    interval.first = first * plan.block
    interval.last = stop * plan.block
    interval.n_head = interval.first - low
    interval.n_tail = high - interval.last
    if stop - first == 1:
        interval.left = first
    elif stop > first:
        # The highest bit in which the first and the last block differ: the middle of that run lies between them.
        stop -= 1
        while (first ^ stop) >> (level + 1) != 0:
            level += 1
        interval.left = level * plan.n_blocks + first
        interval.right = level * plan.n_blocks + stop
    return interval


cdef inline Py_ssize_t n_kinds(const IntervalPlan* plan) noexcept nogil:
    return 2 * (plan.block * plan.block + plan.block + 1)


cdef inline Py_ssize_t kind(const IntervalPlan* plan, const Interval* interval) noexcept nogil:
    """0..n_kinds - 1: equal for intervals that take as many increments in front and behind, in the same direction."""
    cdef Py_ssize_t at = interval.n_tail
    if interval.left >= 0 or interval.n_head > 0:
        at += plan.block + 1 + interval.n_head * plan.block
    return at + interval.backward * (n_kinds(plan) // 2)


cdef inline void sort(IntervalPlan* plan, int64_t* counts) noexcept nogil:
    """Fill `order`; counts: room for n_kinds numbers."""
    cdef Py_ssize_t query, k, before = 0, here
    cdef Interval interval
    memset(counts, 0, n_kinds(plan) * sizeof(int64_t))
    for query in range(plan.n_queries):
        interval = cut(plan, query)
        counts[kind(plan, &interval)] += 1
    for k in range(n_kinds(plan)):
        here = counts[k]
        counts[k] = before
        before += here
    for query in range(plan.n_queries):
        interval = cut(plan, query)
        k = kind(plan, &interval)
        plan.order[counts[k]] = query
        counts[k] += 1
