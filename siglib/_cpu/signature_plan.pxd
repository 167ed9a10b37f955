"""How one call is laid out: depth of the tree, time chunks, lane groups and units of work. Depends on shapes, dtype
and the lanes alone.

A *virtual path* is one time chunk of one path. `width` of them (or fewer: the last group) share a lane group; if at
least two copies of a group's virtual paths fit into the lanes, the copies take different suffixes. A *unit* is a lane
group with a range of its suffix sets: what a thread takes at a time.

Paths of unequal lengths come in falling order of them, so that those of a group have nearly the same. The plan is that
of the longest. Each path is cut into as many chunks, and each group has as many rows as its longest chunk.
"""

from libc.stdint cimport int64_t

from .increments cimport Transform
from .lanes cimport ceil_div
from .signature_suffix cimport BLOCK
from .signature_tree cimport MAX_TREE_DEPTH


cdef struct SignaturePlan:
    Transform transform
    Py_ssize_t d, degree
    Py_ssize_t n_words           # words of length 1..degree
    int p, s                     # depth of the tree, length of the suffixes
    Py_ssize_t n_suffixes        # d^s
    Py_ssize_t tree_size         # words of length 1..p
    Py_ssize_t n_paths, n_chunks, chunk_rows, padded_rows
    Py_ssize_t n_virtual, n_groups, n_blocks
    int width                    # lanes
    # For paths of unequal lengths, or NULL: where they start, in points, how many each has, and their rows in arrays of
    # signatures.
    const int64_t* starts
    const int64_t* lengths
    const int64_t* rows


cdef inline Py_ssize_t power(Py_ssize_t base, Py_ssize_t exponent) noexcept nogil:
    cdef Py_ssize_t _i, result = 1
    for _i in range(exponent):
        result *= base
    return result


cdef inline Py_ssize_t n_copies(const SignaturePlan* plan, Py_ssize_t group) noexcept nogil:
    """How many times the virtual paths of a group fit into the lanes."""
    return plan.width // group_size(plan, group)


cdef inline Py_ssize_t group_size(const SignaturePlan* plan, Py_ssize_t group) noexcept nogil:
    """Virtual paths in a group."""
    return min(<Py_ssize_t>plan.width, plan.n_virtual - group * plan.width)


cdef inline Py_ssize_t n_suffix_sets(const SignaturePlan* plan, Py_ssize_t group) noexcept nogil:
    """How many times a group walks its increments: every lane takes one suffix at a time."""
    return ceil_div(plan.n_suffixes, n_copies(plan, group))


cdef inline Py_ssize_t worthwhile_bytes(Py_ssize_t degree, int depth) noexcept nogil:
    """How large the next level of a tree of this depth may be although it leaves the first-level cache (measured).

    Long suffixes cost more than loads from the second level, and so do trees of one level, which have a suffix to walk
    for every few words. Up to degree 2 suffixes are what fills the lanes.
    """
    if depth == 1 and degree > 2:
        return 1024 * 1024
    return 256 * 1024 if degree - depth > 3 else 0


cdef inline SignaturePlan make_plan(const Transform* transform, Py_ssize_t n_paths, Py_ssize_t degree, int width,
                                    Py_ssize_t lane_bytes, bint backward) noexcept nogil:
    """The plan of a forward pass (one tree per item) or a backward pass (two trees, one without its top level)."""
    cdef SignaturePlan plan
    # What the trees may take of the first-level cache, measured; the rest is for increments and partial results.
    cdef Py_ssize_t tree_bytes = 28 * 1024 if backward else 24 * 1024
    cdef Py_ssize_t _level, size, chunks, lanes_used, best_used, work
    plan.starts = plan.lengths = plan.rows = NULL
    plan.transform = transform[0]
    plan.d = transform.d
    plan.degree = degree
    plan.width = width
    plan.n_paths = n_paths
    plan.p = 1
    plan.tree_size = plan.d
    size = plan.d
    while (plan.p < degree and plan.p < MAX_TREE_DEPTH
           and ((plan.tree_size * (1 + backward) + size * plan.d) * lane_bytes <= tree_bytes
                or size * plan.d * lane_bytes <= worthwhile_bytes(degree, plan.p))):
        size *= plan.d
        plan.tree_size += size
        plan.p += 1
    plan.s = <int>(degree - plan.p)
    plan.n_suffixes = power(plan.d, plan.s)
    plan.n_words = 0
    for _level in range(degree):
        plan.n_words = (plan.n_words + 1) * plan.d

    # A batch that leaves lanes empty is cut in time, if the chunks are long enough to pay for their products.
    # Suffixes side by side fill lanes too, but gather their letters and load the increments several times: they count
    # for two thirds. Where a tree has the whole signature there are no suffixes, and short chunks pay: a product takes
    # the time of about two rows (measured).
    plan.n_chunks = 1
    if n_paths < width:
        best_used = n_paths * min(width // n_paths, plan.n_suffixes)
        if best_used > n_paths:
            best_used = max(n_paths, 2 * best_used // 3)
        best_used *= 64
        for chunks in range(2, 4 * width // n_paths + 1):
            if (transform.n_rows < chunks * 16 * degree
                    and (plan.n_suffixes > 1 or transform.n_rows < 2 * n_paths * (chunks * chunks + 2 * backward))):
                break
            lanes_used = 64 * n_paths * chunks // ceil_div(n_paths * chunks, width)
            if 10 * lanes_used > 11 * best_used:
                best_used = lanes_used
                plan.n_chunks = chunks
        # A tree of the whole signature is one unit a group: a very long path becomes four groups, for four threads.
        chunks = 4 * width // n_paths
        if plan.n_suffixes == 1 and transform.n_rows >= chunks * 32 * degree:
            plan.n_chunks = chunks
    plan.chunk_rows = ceil_div(transform.n_rows, plan.n_chunks)
    if transform.lead_lag and plan.chunk_rows % 2:
        plan.chunk_rows += 1
    plan.padded_rows = ceil_div(plan.chunk_rows, BLOCK) * BLOCK
    plan.n_virtual = n_paths * plan.n_chunks
    plan.n_groups = ceil_div(plan.n_virtual, width)

    # Enough units for many threads, where there is work for them; each costs a gradient buffer in the backward pass.
    work = plan.n_virtual * plan.chunk_rows * plan.n_words
    plan.n_blocks = 1
    if work > 1000000 and plan.n_groups < 16:
        plan.n_blocks = min(ceil_div(16, plan.n_groups), n_suffix_sets(&plan, 0))
    return plan


cdef inline bint fits(const SignaturePlan* plan) noexcept nogil:
    """Whether all sizes of scratch memory can be counted in 64 bits; in floating point, which does not wrap around."""
    cdef double rows = <double>plan.padded_rows * plan.width * (2 * plan.d + 2 * plan.s)
    cdef double words = <double>plan.n_virtual * plan.n_words
    return 8 * rows * plan.n_groups * plan.n_blocks < 4e18 and 8 * words < 4e18


cdef inline void locate(const SignaturePlan* plan, Py_ssize_t group, int lane, Py_ssize_t* virtual,
                        Py_ssize_t* copy) noexcept nogil:
    """The virtual path of a lane and which copy of it: the lane takes suffix set * n_copies + copy."""
    cdef Py_ssize_t size = group_size(plan, group)
    virtual[0] = group * plan.width + lane % size
    copy[0] = lane // size


cdef inline Py_ssize_t n_rows_of(const SignaturePlan* plan, Py_ssize_t path) noexcept nogil:
    """Number of increments of a path."""
    if plan.lengths == NULL:
        return plan.transform.n_rows
    return max(<Py_ssize_t>0, <Py_ssize_t>plan.lengths[path] - 1) * (1 + plan.transform.lead_lag)


cdef inline Py_ssize_t first_point_of(const SignaturePlan* plan, Py_ssize_t path, Py_ssize_t path_stride,
                                      Py_ssize_t point_stride) noexcept nogil:
    """Where a path starts in an array of points, which may have an axis of paths."""
    return path * path_stride if plan.starts == NULL else <Py_ssize_t>plan.starts[path] * point_stride


cdef inline Py_ssize_t row_of(const SignaturePlan* plan, Py_ssize_t virtual) noexcept nogil:
    """The row of a virtual path in arrays of signatures: those of chunks are in the plan's order."""
    return virtual if plan.rows == NULL or plan.n_chunks > 1 else <Py_ssize_t>plan.rows[virtual]


cdef inline Py_ssize_t chunk_rows_of(const SignaturePlan* plan, Py_ssize_t path) noexcept nogil:
    """Number of rows of the chunks of a path, but for the last ones."""
    cdef Py_ssize_t rows
    if plan.lengths == NULL:
        return plan.chunk_rows
    rows = ceil_div(n_rows_of(plan, path), plan.n_chunks)
    return rows + rows % 2 if plan.transform.lead_lag else rows


cdef inline Py_ssize_t chunk_start(const SignaturePlan* plan, Py_ssize_t virtual) noexcept nogil:
    """First row of a virtual path."""
    cdef Py_ssize_t path = virtual // plan.n_chunks
    return min(virtual % plan.n_chunks * chunk_rows_of(plan, path), n_rows_of(plan, path))


cdef inline Py_ssize_t chunk_length(const SignaturePlan* plan, Py_ssize_t virtual) noexcept nogil:
    """Number of rows of a virtual path; the last chunks may be short or empty."""
    cdef Py_ssize_t path = virtual // plan.n_chunks
    return min(chunk_rows_of(plan, path), n_rows_of(plan, path) - chunk_start(plan, virtual))


cdef inline Py_ssize_t padded_rows_of(const SignaturePlan* plan, Py_ssize_t group) noexcept nogil:
    """Number of rows that a group walks."""
    cdef Py_ssize_t lane, longest = 0
    if plan.lengths == NULL:
        return plan.padded_rows
    for lane in range(group_size(plan, group)):
        longest = max(longest, chunk_length(plan, group * plan.width + lane))
    # One more than there are behind each chunk: see `store_group`.
    return min(plan.padded_rows, ceil_div(longest + (plan.n_chunks > 1), BLOCK) * BLOCK)
