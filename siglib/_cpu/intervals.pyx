"""Signatures of many intervals of a long path, from its points and a table of products of its blocks.

Design. An interval is points in front of its first whole block, blocks, and points behind the last one. Its blocks are
a product A (x) B of two entries of the table, or one entry, or none. So

    S = [exp(x_1) (x) .. (x) exp(x_h) (x) A] (x) [B (x) exp(y_1) (x) .. (x) exp(y_t)],

with the increments x in front of the blocks and y behind them. Lanes hold (interval, path). One `nogil` function takes
a lane group from the points to the result:

    cut, sort        interval_plan.pxd  intervals with as many increments side by side
    load_increments                     points -> x and y, in lanes
    load_columns     lane_moves.pxd     rows of the table -> A and B, in lanes
    add_increments   tensor_runs.pxd    x from the left on A, y from the right on B
    multiply_level   tensor_log.pxi     the product
    store_columns    lane_moves.pxd     lanes -> rows of the result

Top levels, nearly all of the numbers, are only ever added to, so both factors share one: what the table gives is added
up on the way in, and increments and the product are added to it. An interval that is run through backwards is stored
with its words reversed, odd ones with the other sign.

Lanes with less to do than others of their group take zero increments and identities, which change no number: the value
of an interval depends on its points and on nothing else.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, end_watch, next_unit, share
from .interval_plan cimport Interval, IntervalPlan, cut, n_kinds, sort
from .lane_moves cimport load_columns, store_columns
from .lanes cimport aligned_malloc, fill_inverse, lanes, n_lanes, real, vd, vec, vf
from .tensor_log cimport level_size, level_start, multiply_level
from .tensor_runs cimport RUN, add_increments
from .tensor_steps cimport steps_work

cdef enum:
    # Numbers of a row that are taken at a time where two entries are added
    PIECE = 64


cdef struct IntervalScratch:
    # One thread's memory, in vectors: inverse | increments | work | partial results | B | A | top, or reversed | ..
    size_t x, work, b, right, left, top, reversed, size


cdef IntervalScratch make_scratch(const IntervalPlan* plan) noexcept nogil:
    cdef IntervalScratch at
    at.x = plan.degree + 1
    at.work = at.x + 2 * plan.block * plan.d
    at.b = at.work + steps_work(plan.d, plan.degree)
    at.right = at.b + max(<Py_ssize_t>PIECE, RUN * plan.n_nodes)
    at.left = at.right + plan.n_low
    # A and the top level are one after another: the result is stored from there.
    at.top = at.left + plan.n_low
    at.reversed = at.left + plan.n_words
    at.size = at.reversed + plan.n_words
    return at


# The primitives as functions of their own, specialised for small dimensions.

cdef void add_in_front(const vec* x, Py_ssize_t n, vec* sig, vec* top, vec* b, vec* work, const vec* inverse,
                       const IntervalPlan* plan) noexcept nogil:
    if plan.d == 2:
        add_increments(x, n, sig, top, b, work, inverse, 2, plan.degree, plan.n_nodes, True)
    elif plan.d == 3:
        add_increments(x, n, sig, top, b, work, inverse, 3, plan.degree, plan.n_nodes, True)
    elif plan.d == 4:
        add_increments(x, n, sig, top, b, work, inverse, 4, plan.degree, plan.n_nodes, True)
    elif plan.d == 5:
        add_increments(x, n, sig, top, b, work, inverse, 5, plan.degree, plan.n_nodes, True)
    else:
        add_increments(x, n, sig, top, b, work, inverse, plan.d, plan.degree, plan.n_nodes, True)


cdef void add_behind(const vec* x, Py_ssize_t n, vec* sig, vec* top, vec* b, vec* work, const vec* inverse,
                     const IntervalPlan* plan) noexcept nogil:
    if plan.d == 2:
        add_increments(x, n, sig, top, b, work, inverse, 2, plan.degree, plan.n_nodes, False)
    elif plan.d == 3:
        add_increments(x, n, sig, top, b, work, inverse, 3, plan.degree, plan.n_nodes, False)
    elif plan.d == 4:
        add_increments(x, n, sig, top, b, work, inverse, 4, plan.degree, plan.n_nodes, False)
    elif plan.d == 5:
        add_increments(x, n, sig, top, b, work, inverse, 5, plan.degree, plan.n_nodes, False)
    else:
        add_increments(x, n, sig, top, b, work, inverse, plan.d, plan.degree, plan.n_nodes, False)


cdef inline void product_of(vec* a, const vec* b, vec* top, const vec* one, const Py_ssize_t d,
                            Py_ssize_t degree) noexcept nogil:
    cdef Py_ssize_t n, w, start = level_start(d, degree), size = level_size(d, degree)
    if degree > 1:
        multiply_level(a, b, top, one, top, d, degree)
    # Downwards: a level is read by higher ones only.
    for n in range(degree - 1, 0, -1):
        size //= d
        start -= size
        multiply_level(a, b, a + start, one, a + start, d, n)
        for w in range(start, start + size):
            a[w] = a[w] + b[w]


cdef void multiply(vec* a, const vec* b, vec* top, const vec* one, const IntervalPlan* plan) noexcept nogil:
    """a <- a (x) b, where `top` holds the sum of both top levels before and the product's afterwards."""
    if plan.d == 2:
        product_of(a, b, top, one, 2, plan.degree)
    elif plan.d == 3:
        product_of(a, b, top, one, 3, plan.degree)
    elif plan.d == 4:
        product_of(a, b, top, one, 4, plan.degree)
    elif plan.d == 5:
        product_of(a, b, top, one, 5, plan.degree)
    else:
        product_of(a, b, top, one, plan.d, plan.degree)


cdef inline void load_increment(const real* point, Py_ssize_t to_next, Py_ssize_t d, int width,
                                real* x) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(d):
        x[i * width] = point[to_next + i] - point[i]


cdef inline void load_increments(const real* points, const IntervalPlan* plan, const Interval* intervals,
                                 const Py_ssize_t* paths, Py_ssize_t n_head, real* x) noexcept nogil:
    """x (n_head + n_tail, d, width): those in front of the blocks from the last one on, then those behind; missing ones
    stay as they are, zero."""
    cdef Py_ssize_t k, to_next = plan.n_paths * plan.d, row = plan.d * plan.width
    cdef int lane
    cdef const Interval* interval
    for lane in range(plan.width):
        interval = intervals + lane
        for k in range(interval.n_head):
            load_increment(points + (interval.first - k - 1) * to_next + paths[lane] * plan.d, to_next, plan.d,
                           plan.width, x + k * row + lane)
        for k in range(interval.n_tail):
            load_increment(points + (interval.last + k) * to_next + paths[lane] * plan.d, to_next, plan.d,
                           plan.width, x + (n_head + k) * row + lane)


cdef inline void add_columns(const void* const* rows, Py_ssize_t first, Py_ssize_t n, vec* piece,
                             vec* out) noexcept nogil:
    """out += numbers first..first + n - 1 of every row."""
    cdef Py_ssize_t i, w, here
    for i in range(0, n, 64):
        here = min(n - i, <Py_ssize_t>PIECE)
        load_columns(rows, first + i, here, piece)
        for w in range(here):
            out[i + w] = out[i + w] + piece[w]


cdef inline void reverse_words(const vec* sig, vec* out, const int64_t* words, const IntervalPlan* plan) noexcept nogil:
    """The signature of the reversed path."""
    cdef Py_ssize_t n, w, start = 0, size = 1
    for n in range(1, plan.degree + 1):
        size *= plan.d
        for w in range(start, start + size):
            if n % 2 == 1:
                out[w] = -sig[words[w]]
            else:
                out[w] = sig[words[w]]
        start += size


cdef void interval_group(const void* points, const void* table, const IntervalPlan* plan, Py_ssize_t group,
                         vec* scratch, const IntervalScratch* at, const int64_t* words, const void* zeros, void* dump,
                         void* out, const Py_ssize_t* strides) noexcept nogil:
    cdef Interval intervals[16]
    cdef Py_ssize_t paths[16]
    cdef const void* lefts[16]
    cdef const void* rights[16]
    cdef void* forwards[16]
    cdef void* backwards[16]
    cdef Py_ssize_t item, query, n_head = 0, n_tail = 0, n_items = plan.n_queries * plan.n_paths
    cdef int lane, n_lefts = 0, n_rights = 0, n_backwards = 0, width = lanes(scratch)
    cdef size_t item_size = sizeof(double) if vec is vd else sizeof(float)
    cdef Interval* interval
    cdef char* row
    cdef vec* left = scratch + at.left
    cdef vec* right = scratch + at.right
    cdef vec* top = scratch + at.top
    for lane in range(width):
        item = min(group * width + lane, n_items - 1)
        query = plan.order[item // plan.n_paths]
        paths[lane] = item % plan.n_paths
        interval = intervals + lane
        interval[0] = cut(plan, query)
        n_head = max(n_head, interval.n_head)
        n_tail = max(n_tail, interval.n_tail)
        lefts[lane] = rights[lane] = zeros
        if interval.left >= 0:
            n_lefts += 1
            lefts[lane] = (<const char*>table
                           + (interval.left * plan.n_paths + paths[lane]) * plan.n_words * item_size)
        if interval.right >= 0:
            n_rights += 1
            rights[lane] = (<const char*>table
                            + (interval.right * plan.n_paths + paths[lane]) * plan.n_words * item_size)
        n_backwards += interval.backward
        row = <char*>out + (query * strides[0] + paths[lane] * strides[1]) * item_size
        forwards[lane] = dump if interval.backward else row
        backwards[lane] = row if interval.backward else dump
    memset(<void*>(scratch + at.x), 0, (n_head + n_tail) * plan.d * sizeof(vec))
    if vec is vd:
        load_increments(<const double*>points, plan, intervals, paths, n_head, <double*>(scratch + at.x))
    else:
        load_increments(<const float*>points, plan, intervals, paths, n_head, <float*>(scratch + at.x))
    if n_lefts > 0:
        load_columns(lefts, 0, plan.n_words, left)
    else:
        memset(<void*>left, 0, plan.n_words * sizeof(vec))
    if n_rights > 0:
        load_columns(rights, 0, plan.n_low, right)
        add_columns(rights, plan.n_low, plan.n_words - plan.n_low, scratch + at.b, top)
    elif n_lefts + n_head > 0:
        memset(<void*>right, 0, plan.n_low * sizeof(vec))
    else:
        # Nothing to multiply with.
        right = left
    add_in_front(scratch + at.x, n_head, left, top, scratch + at.b, scratch + at.work, scratch, plan)
    add_behind(scratch + at.x + n_head * plan.d, n_tail, right, top, scratch + at.b, scratch + at.work, scratch, plan)
    if right != left:
        multiply(left, right, top, scratch + 1, plan)
    lane = <int>min(<Py_ssize_t>width, n_items - group * width)
    if n_backwards < width:
        store_columns(left, <void* const*>forwards, 0, plan.n_words, lane)
    if n_backwards > 0:
        reverse_words(left, scratch + at.reversed, words, plan)
        store_columns(scratch + at.reversed, <void* const*>backwards, 0, plan.n_words, lane)


def interval_sig(const real[:, :, ::1] points, const real[:, :, :, ::1] table, const int64_t[::1] starts,
                 const int64_t[::1] ends, const int64_t[::1] reversed_words, real[:, :, :] out, Py_ssize_t degree,
                 Py_ssize_t block, bint scalar_term, int n_threads):
    """points (length, batch, dimension); table (levels, blocks, batch, n_words), a disjoint sparse table of blocks of
    `block` increments; starts, ends (n_queries); reversed_words (n_words): the place of every word read backwards; out
    (n_queries, batch, scalar_term + n_words).
    """
    cdef IntervalPlan plan
    cdef IntervalScratch at
    cdef Py_ssize_t[2] strides
    cdef Py_ssize_t group, end, n_bytes, n_numbers
    cdef Watch watch
    cdef Watch* loop
    cdef int thread, status = 0
    cdef void* raw = NULL
    cdef char* memory = NULL
    cdef char* mine
    cdef int64_t* counts
    cdef const real* entries = NULL
    if scalar_term:
        out[:, :, 0] = 1
    if out.shape[0] == 0 or out.shape[1] == 0 or out.shape[2] == scalar_term:
        return
    if table.shape[1] > 0:
        entries = &table[0, 0, 0, 0]
    plan.n_paths = points.shape[1]
    plan.d = points.shape[2]
    plan.degree = degree
    plan.n_words = out.shape[2] - scalar_term
    plan.n_low = level_start(plan.d, degree)
    plan.n_nodes = level_size(plan.d, degree - 1)
    plan.n_queries = starts.shape[0]
    plan.block = block
    plan.n_blocks = table.shape[1]
    plan.starts = &starts[0]
    plan.ends = &ends[0]
    plan.width = n_lanes(<real*>NULL)
    plan.n_groups = (plan.n_queries * plan.n_paths + plan.width - 1) // plan.width
    strides[0] = out.strides[0] // <Py_ssize_t>sizeof(real)
    strides[1] = out.strides[1] // <Py_ssize_t>sizeof(real)
    at = make_scratch(&plan)
    n_numbers = at.size * plan.width
    # Behind the lanes a row of zeros and one for what nobody wants.
    n_bytes = ((n_numbers + 2 * plan.n_words) * <Py_ssize_t>sizeof(real) + 63) // 64 * 64
    n_threads = <int>min(<Py_ssize_t>n_threads, plan.n_groups)
    with nogil:
        begin_watch(&watch)
        plan.order = <int64_t*>malloc(plan.n_queries * sizeof(int64_t))
        counts = <int64_t*>malloc(n_kinds(&plan) * sizeof(int64_t))
        memory = <char*>aligned_malloc(n_bytes * n_threads, &raw)
        if plan.order == NULL or counts == NULL or memory == NULL:
            status = -1
        if status == 0:
            sort(&plan, counts)
            for thread in range(n_threads):
                mine = memory + thread * n_bytes
                fill_inverse(<real*>mine, degree, plan.width)
                memset(<real*>mine + n_numbers, 0, plan.n_words * sizeof(real))
            loop = share(plan.n_groups, <double>(2 * block + degree) * plan.n_words, n_threads)
            with parallel(num_threads=n_threads):
                mine = memory + threadid() * n_bytes
                group = end = 0
                while next_unit(loop, &group, &end):
                    if real is double:
                        interval_group(&points[0, 0, 0], entries, &plan, group, <vd*>mine, &at, &reversed_words[0],
                                       <double*>mine + n_numbers, <double*>mine + n_numbers + plan.n_words,
                                       &out[0, 0, scalar_term], strides)
                    else:
                        interval_group(&points[0, 0, 0], entries, &plan, group, <vf*>mine, &at, &reversed_words[0],
                                       <float*>mine + n_numbers, <float*>mine + n_numbers + plan.n_words,
                                       &out[0, 0, scalar_term], strides)
        free(plan.order)
        free(counts)
        free(raw)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of intervals")
