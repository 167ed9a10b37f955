"""Lane groups of the signature kernels: scratch memory, loading increments and suffix letters into lanes, storing coefficients."""

from libc.stdint cimport int32_t
from libc.string cimport memset

from .increments cimport load_rows
from .lanes cimport real
from .signature_plan cimport Plan, chunk_length, chunk_start, locate, n_copies


cdef inline void load_group(const real* path, const Py_ssize_t* strides, const Plan* plan, Py_ssize_t group, bint reverse,
                            real* dx) noexcept nogil:
    """dx (padded_rows, d, width): the increments of a group's virtual paths, last row first if `reverse`; missing rows are zero.

    strides: those of path (n_paths, length, dimension), in numbers.
    """
    cdef Py_ssize_t first, n, start, stop, length, virtual, copy, row_size = plan.d * plan.width
    cdef int lane
    memset(dx, 0, plan.padded_rows * row_size * sizeof(real))
    # A stretch of rows at a time, so that the cache lines that all lanes write to stay close.
    for first in range(0, plan.chunk_rows, 32):
        for lane in range(plan.width):
            locate(plan, group, lane, &virtual, &copy)
            start = chunk_start(plan, virtual)
            length = chunk_length(plan, virtual)
            stop = min(first + 32, length)
            if stop <= first:
                continue
            load_rows(path + virtual // plan.n_chunks * strides[0], strides[1], strides[2], &plan.transform,
                      start + first, stop - first,
                      dx + (plan.padded_rows - 1 - first if reverse else first) * row_size + lane,
                      -row_size if reverse else row_size, plan.width)


cdef inline Py_ssize_t suffix_of_lane(const Plan* plan, Py_ssize_t group, int lane, Py_ssize_t suffix_set) noexcept nogil:
    """The suffix (index of a word of length s) that a lane takes in this set, or -1 for an idle lane."""
    cdef Py_ssize_t virtual, copy, suffix, copies = n_copies(plan, group)
    locate(plan, group, lane, &virtual, &copy)
    suffix = suffix_set * copies + copy
    return -1 if copy >= copies or suffix >= plan.n_suffixes else suffix


cdef inline void suffix_letters(const Plan* plan, Py_ssize_t suffix, Py_ssize_t* letters) noexcept nogil:
    """letters[k]: the letter k + 1 places from the end of the suffix."""
    cdef int k
    for k in range(plan.s):
        letters[k] = suffix % plan.d
        suffix //= plan.d


cdef inline void gather_letters(const Plan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* dx, Py_ssize_t* letters,
                                real* xw) noexcept nogil:
    """xw (padded_rows, s, width): the increments of each lane's own suffix letters; zero for idle lanes."""
    cdef Py_ssize_t row, suffix
    cdef int k, lane
    for lane in range(plan.width):
        suffix = suffix_of_lane(plan, group, lane, suffix_set)
        suffix_letters(plan, max(suffix, 0), letters)
        for row in range(plan.padded_rows):
            for k in range(plan.s):
                xw[(row * plan.s + k) * plan.width + lane] = (
                    0 if suffix < 0 else dx[(row * plan.d + letters[k]) * plan.width + lane])


cdef inline void make_order(const Plan* plan, int32_t* order) noexcept nogil:
    """order[t] for the words of length 1..p in the tree: their index among the words of that length (the tree stores them reversed)."""
    cdef Py_ssize_t t, size = 1, offset = 0, previous = 0
    cdef int r
    for r in range(1, plan.p + 1):
        size *= plan.d
        for t in range(size):
            # Child t of node t // d: its letter comes first in the word, so it counts d^(r-1).
            order[offset + t] = <int32_t>((t % plan.d) * (size // plan.d)
                                          + (order[previous + t // plan.d] if r > 1 else 0))
        previous = offset
        offset += size


cdef inline void store_item(const Plan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* ending, const real* tree,
                            const int32_t* order, real* out, Py_ssize_t out_stride) noexcept nogil:
    """Write the coefficients of every lane's item to out (n_virtual, n_words), rows out_stride apart.

    A word of length n <= s ends many suffixes: the one with leading zeros writes it.
    """
    cdef Py_ssize_t t, n, size, offset = 0, virtual, copy, n_items = 0
    cdef int lane, r, i
    cdef real* rows[16]
    cdef Py_ssize_t suffixes[16]
    cdef int lane_of[16]
    for lane in range(plan.width):
        suffixes[n_items] = suffix_of_lane(plan, group, lane, suffix_set)
        if suffixes[n_items] >= 0:
            locate(plan, group, lane, &virtual, &copy)
            rows[n_items] = out + virtual * out_stride
            lane_of[n_items] = lane
            n_items += 1
    size = 1
    for n in range(1, plan.s + 1):
        size *= plan.d
        for i in range(n_items):
            if suffixes[i] < size:
                rows[i][offset + suffixes[i]] = ending[(n - 1) * plan.width + lane_of[i]]
        offset += size
    for i in range(n_items):
        rows[i] = rows[i] + offset + suffixes[i]
    n = plan.d
    for r in range(1, plan.p + 1):
        for t in range(n):
            for i in range(n_items):
                rows[i][order[t] * plan.n_suffixes] = tree[t * plan.width + lane_of[i]]
        for i in range(n_items):
            rows[i] = rows[i] + n * plan.n_suffixes
        order = order + n
        tree = tree + n * plan.width
        n *= plan.d


cdef inline void load_item(const Plan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* source, Py_ssize_t source_stride,
                           const int32_t* order, bint shared_once, int depth, real* ending, real* tree) noexcept nogil:
    """Read every lane's item from source (n_virtual, n_words): levels 1..s into `ending`, the first `depth` tree levels into `tree`.

    Adjoint of `store_item` if `shared_once`: a word that ends many suffixes is read by the one that writes it, and zero elsewhere.
    """
    cdef Py_ssize_t t, n, size, offset = 0, virtual, copy, suffix
    cdef int lane, r
    cdef const real* row
    cdef real* target
    cdef const int32_t* position
    for lane in range(plan.width):
        locate(plan, group, lane, &virtual, &copy)
        suffix = suffix_of_lane(plan, group, lane, suffix_set)
        row = source + virtual * source_stride
        target = tree + lane
        position = order
        size = 1
        for n in range(1, plan.s + 1):
            size *= plan.d
            ending[(n - 1) * plan.width + lane] = (
                0 if suffix < 0 or (shared_once and suffix >= size) else row[suffix % size])
            row = row + size
        n = plan.d
        for r in range(1, depth + 1):
            for t in range(n):
                target[t * plan.width] = 0 if suffix < 0 else row[position[t] * plan.n_suffixes + suffix]
            row = row + n * plan.n_suffixes
            position = position + n
            target = target + n * plan.width
            n *= plan.d
