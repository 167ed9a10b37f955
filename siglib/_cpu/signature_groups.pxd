"""Lane groups of the signature kernels: scratch memory, loading increments and suffix letters into lanes, storing
coefficients."""

from libc.stdint cimport int32_t
from libc.string cimport memset

from ._interruption cimport due
from .increments cimport MOST_LANES, load_rows, load_rows_backprop, load_time_of_lanes
from .lane_moves cimport load_columns, store_columns
from .lane_windows cimport load_at, store_at
from .lanes cimport n_lanes, real, vd, vf
from .signature_plan cimport (
    SignaturePlan,
    chunk_length,
    chunk_start,
    first_point_of,
    group_size,
    locate,
    n_copies,
    n_rows_of,
    padded_rows_of,
    row_of,
)


cdef inline bint transpose_group(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan,
                                 Py_ssize_t group, real* dx) noexcept nogil:
    """`load_group` by transposes in registers, or False where it takes more than that."""
    cdef Py_ssize_t first, n, i, virtual, spent = 0, d = plan.d, length = chunk_length(plan, group * plan.width)
    cdef Py_ssize_t row, padded_rows = padded_rows_of(plan, group)
    cdef const real* points[16]
    cdef int lane
    if (plan.transform.lead_lag or plan.transform.time_aug or n_copies(plan, group) > 1
            or group_size(plan, group) < plan.width or strides[2] != 1 or strides[1] != d):
        return False
    for lane in range(plan.width):
        virtual = group * plan.width + lane
        points[lane] = (path + first_point_of(plan, virtual // plan.n_chunks, strides[0], d)
                        + chunk_start(plan, virtual) * d)
        length = min(length, chunk_length(plan, virtual))
    # A stretch of points at a time, and the one after it, in place of their increments.
    for first in range(0, length, 64):
        if due(&spent, 128 * d):
            return True
        n = min(<Py_ssize_t>64, length - first)
        if real is double:
            load_columns(<const void* const*>points, first * d, (n + 1) * d, <vd*>dx)
            for i in range(n * d):
                (<vd*>dx)[i] = (<vd*>dx)[d + i] - (<vd*>dx)[i]
        else:
            load_columns(<const void* const*>points, first * d, (n + 1) * d, <vf*>dx)
            for i in range(n * d):
                (<vf*>dx)[i] = (<vf*>dx)[d + i] - (<vf*>dx)[i]
        dx = dx + n * d * plan.width
    memset(dx, 0, (padded_rows - length) * d * plan.width * sizeof(real))
    # The rows that only some of them have.
    for lane in range(plan.width):
        for row in range(length, chunk_length(plan, group * plan.width + lane)):
            for i in range(row * d, (row + 1) * d):
                dx[(i - length * d) * plan.width + lane] = points[lane][d + i] - points[lane][i]
    return True


cdef inline void load_group(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan, Py_ssize_t group,
                            real* dx) noexcept nogil:
    """dx (padded_rows + 1, d, width): the increments of a group's virtual paths; missing rows are zero.

    strides: those of path (n_paths, length, dimension), in numbers. The last row of dx is overwritten by anything.
    """
    cdef Py_ssize_t first, row, i, n_rows, length, virtual, copy, spent = 0, row_size = plan.d * plan.width
    cdef Py_ssize_t padded_rows = padded_rows_of(plan, group)
    cdef Py_ssize_t n_letters = plan.d - plan.transform.time_aug
    cdef Py_ssize_t size = group_size(plan, group)
    cdef double start[MOST_LANES]
    cdef double stop[MOST_LANES]
    cdef double steps[MOST_LANES]
    cdef int lane
    if transpose_group(path, strides, plan, group, dx):
        return
    # A stretch of rows at a time, so that the cache lines that all lanes write to stay close.
    for lane in range(plan.width):
        locate(plan, group, lane, &virtual, &copy)
        n_rows = n_rows_of(plan, virtual // plan.n_chunks)
        steps[lane] = plan.transform.end_time / n_rows if n_rows > 0 else 0
    for first in range(0, padded_rows, 32):
        if due(&spent, 32 * row_size):
            return
        for lane in range(plan.width):
            if lane >= size:
                # A copy of a virtual path.
                start[lane], stop[lane] = start[lane - size], stop[lane - size]
                continue
            locate(plan, group, lane, &virtual, &copy)
            length = max(0, min(<Py_ssize_t>32, chunk_length(plan, virtual) - first))
            start[lane] = chunk_start(plan, virtual) + first
            stop[lane] = chunk_start(plan, virtual) + chunk_length(plan, virtual)
            if length > 0:
                load_rows(path + first_point_of(plan, virtual // plan.n_chunks, strides[0], strides[1]), strides[1],
                          strides[2], &plan.transform, chunk_start(plan, virtual) + first, length,
                          dx + first * row_size + lane, row_size, plan.width)
            for row in range(first + length, min(first + 32, padded_rows)):
                for i in range(n_letters):
                    dx[row * row_size + i * plan.width + lane] = 0
        if size < plan.width:
            for row in range(first, min(first + 32, padded_rows)):
                for i in range(n_letters):
                    copy_lanes(dx + row * row_size + i * plan.width, size)
        if plan.transform.time_aug:
            load_time_of_lanes(&plan.transform, start, stop, steps, min(<Py_ssize_t>32, padded_rows - first),
                               dx + first * row_size + n_letters * plan.width, row_size)


cdef inline void copy_lanes(real* numbers, Py_ssize_t size) noexcept nogil:
    """The first `size` lanes of a vector again and again in the others."""
    cdef Py_ssize_t lane, width = n_lanes(numbers)
    cdef real first = numbers[0]
    if size == 1:
        for lane in range(width):
            numbers[lane] = first
    else:
        for lane in range(size, width):
            numbers[lane] = numbers[lane - size]


cdef inline Py_ssize_t suffix_of_lane(const SignaturePlan* plan, Py_ssize_t group, int lane,
                                      Py_ssize_t suffix_set) noexcept nogil:
    """The suffix (index of a word of length s) that a lane takes in this set, or -1 for an idle lane."""
    cdef Py_ssize_t virtual, copy, suffix, copies = n_copies(plan, group)
    locate(plan, group, lane, &virtual, &copy)
    suffix = suffix_set * copies + copy
    return -1 if copy >= copies or suffix >= plan.n_suffixes else suffix


cdef inline void suffix_letters(const SignaturePlan* plan, Py_ssize_t suffix, Py_ssize_t* letters) noexcept nogil:
    """letters[k]: the letter k + 1 places from the end of the suffix."""
    cdef int k
    for k in range(plan.s):
        letters[k] = suffix % plan.d
        suffix //= plan.d


cdef inline void gather_letters(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* dx,
                                Py_ssize_t* letters, real* xw) noexcept nogil:
    """xw (padded_rows, s, width): the increments of each lane's own suffix letters; zero for idle lanes."""
    cdef Py_ssize_t row, suffix
    cdef int k, lane
    for lane in range(plan.width):
        suffix = suffix_of_lane(plan, group, lane, suffix_set)
        suffix_letters(plan, max(suffix, 0), letters)
        for row in range(padded_rows_of(plan, group)):
            for k in range(plan.s):
                xw[(row * plan.s + k) * plan.width + lane] = (
                    0 if suffix < 0 else dx[(row * plan.d + letters[k]) * plan.width + lane])


cdef inline void make_order(const SignaturePlan* plan, int32_t* order) noexcept nogil:
    """order[t] for the words of length 1..p in the tree: their index among the words of that length (the tree stores
    them reversed)."""
    cdef Py_ssize_t node, letter, size = 1, offset = 0, previous = 0
    cdef int32_t rest = 0
    cdef int r
    for r in range(1, plan.p + 1):
        for node in range(size):
            # The children of a node: their letter comes first in the word, so it counts d^(r-1).
            if r > 1:
                rest = order[previous + node]
            for letter in range(plan.d):
                order[offset + node * plan.d + letter] = <int32_t>(letter * size) + rest
        size *= plan.d
        previous = offset
        offset += size


cdef inline void store_words(const real* tree, Py_ssize_t width, const int32_t* position, Py_ssize_t n, real** rows,
                             const int* lane_of, int n_items, const Py_ssize_t step, bint neighbours) noexcept nogil:
    """rows[i][t * step] = coefficient position[t] of the tree in lane lane_of[i], t < n.

    `neighbours`: item i is in lane i, and row i begins i numbers behind row 0.
    """
    cdef Py_ssize_t t, first
    cdef int i, k
    cdef const real* source[8]
    cdef real* row
    cdef vd columns_f64[16]
    cdef vf columns_f32[16]
    if neighbours:
        for t in range(n):
            if real is double:
                store_at(<vd*>rows[0], t * step, (<const vd*>tree)[position[t]])
            else:
                store_at(<vf*>rows[0], t * step, (<const vf*>tree)[position[t]])
        return
    if step == 1:
        # One suffix for all: the live lanes come first, and the words of a level stand side by side.
        for first in range(0, n, 16):
            for k in range(<int>min(<Py_ssize_t>16, n - first)):
                if real is double:
                    columns_f64[k] = (<const vd*>tree)[position[first + k]]
                else:
                    columns_f32[k] = (<const vf*>tree)[position[first + k]]
            if real is double:
                store_columns(columns_f64, <void* const*>rows, first, k + 1, n_items)
            else:
                store_columns(columns_f32, <void* const*>rows, first, k + 1, n_items)
        return
    # Eight words at a time: they are read from eight cache lines that all lanes share.
    for first in range(0, n - 7, 8):
        for k in range(8):
            source[k] = tree + position[first + k] * width
        for i in range(n_items):
            row = rows[i] + first * step
            for k in range(8):
                row[k * step] = source[k][lane_of[i]]
    for i in range(n_items):
        for t in range(n // 8 * 8, n):
            rows[i][t * step] = tree[position[t] * width + lane_of[i]]


cdef inline void store_item(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* ending,
                            const real* tree, const int32_t* order, real* out, Py_ssize_t out_stride) noexcept nogil:
    """Write the coefficients of every lane's item to out (n_virtual, n_words), rows out_stride apart.

    A word of length n <= s ends many suffixes: the one with leading zeros writes it.
    """
    cdef Py_ssize_t n, size, virtual, copy, suffix
    cdef int i, lane, _r, n_items = 0
    cdef real* rows[16]
    cdef int lane_of[16]
    for lane in range(plan.width):
        suffix = suffix_of_lane(plan, group, lane, suffix_set)
        if suffix < 0:
            continue
        locate(plan, group, lane, &virtual, &copy)
        rows[n_items] = out + row_of(plan, virtual) * out_stride
        lane_of[n_items] = lane
        size = 1
        for n in range(1, plan.s + 1):
            size *= plan.d
            if suffix < size:
                rows[n_items][suffix] = ending[(n - 1) * plan.width + lane]
            rows[n_items] = rows[n_items] + size
        rows[n_items] = rows[n_items] + suffix
        n_items += 1
    n = plan.d
    for _r in range(1, plan.p + 1):
        # Reversing a word twice gives it back: `order` leads from the result to the tree as well.
        if plan.n_suffixes == 1:
            store_words(tree, plan.width, order, n, rows, lane_of, n_items, 1, False)
        else:
            store_words(tree, plan.width, order, n, rows, lane_of, n_items, plan.n_suffixes,
                        n_items == plan.width and group_size(plan, group) == 1)
        for i in range(n_items):
            rows[i] = rows[i] + n * plan.n_suffixes
        order = order + n
        tree = tree + n * plan.width
        n *= plan.d


cdef inline void load_words(const real* const* rows, const Py_ssize_t step, const int32_t* position, Py_ssize_t n,
                            int width, real* tree, bint neighbours) noexcept nogil:
    """Coefficient position[t] of the tree in each lane = rows[lane][t * step], t < n; zero in lanes without a row.

    `neighbours`: row i begins i numbers behind row 0.
    """
    cdef Py_ssize_t t, first
    cdef int lane, k
    cdef real* target[8]
    cdef const real* row
    if neighbours:
        for t in range(n):
            if real is double:
                (<vd*>tree)[position[t]] = load_at(<const vd*>rows[0], t * step)
            else:
                (<vf*>tree)[position[t]] = load_at(<const vf*>rows[0], t * step)
        return
    for first in range(0, n - 7, 8):
        for k in range(8):
            target[k] = tree + position[first + k] * width
        for lane in range(width):
            if rows[lane] == NULL:
                for k in range(8):
                    target[k][lane] = 0
            else:
                row = rows[lane] + first * step
                for k in range(8):
                    target[k][lane] = row[k * step]
    for lane in range(width):
        for t in range(n // 8 * 8, n):
            tree[position[t] * width + lane] = 0 if rows[lane] == NULL else rows[lane][t * step]


cdef inline void load_item(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* source,
                           Py_ssize_t source_stride, const int32_t* order, bint once, int depth, real* ending,
                           real* tree) noexcept nogil:
    """Read every lane's item from source (n_virtual, n_words): levels 1..s into `ending`, the first `depth` tree
    levels into `tree`.

    `once`: a word that ends many suffixes is read by the one that writes it in `store_item`, and zero elsewhere. That
    makes the cotangents of the items add up to those of the signature.
    """
    cdef Py_ssize_t n, size, virtual, copy, suffix
    cdef int lane, _r
    cdef const real* rows[16]
    for lane in range(plan.width):
        locate(plan, group, lane, &virtual, &copy)
        suffix = suffix_of_lane(plan, group, lane, suffix_set)
        rows[lane] = NULL
        if suffix >= 0:
            rows[lane] = source + row_of(plan, virtual) * source_stride
        size = 1
        for n in range(1, plan.s + 1):
            size *= plan.d
            ending[(n - 1) * plan.width + lane] = 0
            if suffix >= 0:
                if not once or suffix < size:
                    ending[(n - 1) * plan.width + lane] = rows[lane][suffix % size]
                rows[lane] = rows[lane] + size
        if suffix >= 0:
            rows[lane] = rows[lane] + suffix
    n = plan.d
    for _r in range(1, depth + 1):
        load_words(rows, plan.n_suffixes, order, n, plan.width, tree,
                   rows[plan.width - 1] != NULL and group_size(plan, group) == 1)
        for lane in range(plan.width):
            if rows[lane] != NULL:
                rows[lane] = rows[lane] + n * plan.n_suffixes
        order = order + n
        tree = tree + n * plan.width
        n *= plan.d


cdef inline void scatter_letters(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* gxw,
                                 Py_ssize_t* letters, real* gx) noexcept nogil:
    """Adjoint of `gather_letters`: adds gxw (padded_rows, s, width) to gx."""
    cdef Py_ssize_t row, suffix
    cdef int k, lane
    for lane in range(plan.width):
        suffix = suffix_of_lane(plan, group, lane, suffix_set)
        if suffix < 0:
            continue
        suffix_letters(plan, suffix, letters)
        for row in range(padded_rows_of(plan, group)):
            for k in range(plan.s):
                gx[(row * plan.d + letters[k]) * plan.width + lane] += gxw[(row * plan.s + k) * plan.width + lane]


cdef inline void store_group(const SignaturePlan* plan, Py_ssize_t group, real* gx, real* out,
                             real* last_derivs) noexcept nogil:
    """Adjoint of `load_group`: gx (padded_rows, d, width) to the gradients of points, out (n_paths, length,
    dimension).

    The last point of each virtual path goes to last_derivs (n_virtual, dimension): the next chunk touches it as well.
    Where one does, the gradient of an increment of zero behind the chunk, which is the first row of padding, is taken
    off: see `store_last_points`.
    """
    cdef Py_ssize_t i, virtual, copy, point, n_points = plan.transform.length, dimension = plan.transform.dimension
    cdef const real* behind
    cdef Py_ssize_t size = group_size(plan, group), copies = n_copies(plan, group)
    cdef int lane
    if copies > 1:
        for i in range(padded_rows_of(plan, group) * plan.d):
            for lane in range(<int>size, <int>(size * copies)):
                gx[i * plan.width + lane % size] += gx[i * plan.width + lane]
    for lane in range(<int>size):
        locate(plan, group, lane, &virtual, &copy)
        point = chunk_start(plan, virtual)
        if plan.transform.lead_lag:
            point //= 2
        load_rows_backprop(gx + lane, &plan.transform, chunk_length(plan, virtual), plan.width,
                           out + (first_point_of(plan, virtual // plan.n_chunks, n_points, 1) + point) * dimension,
                           last_derivs + virtual * dimension)
        if chunk_start(plan, virtual) + chunk_length(plan, virtual) < n_rows_of(plan, virtual // plan.n_chunks):
            behind = gx + chunk_length(plan, virtual) * plan.d * plan.width + lane
            for i in range(dimension):
                last_derivs[virtual * dimension + i] -= behind[i * plan.width]
                if plan.transform.lead_lag:
                    last_derivs[virtual * dimension + i] -= behind[(dimension + i) * plan.width]


cdef inline real gradient_in_front(const real* sig, const real* derivs, Py_ssize_t letter, Py_ssize_t d,
                                   Py_ssize_t degree) noexcept nogil:
    """The gradient of an increment of zero in front of a signature: what is left of the words that begin with the
    letter."""
    cdef Py_ssize_t _n, v, size = 1
    cdef int i
    cdef real total = derivs[letter]
    cdef real sums[8]
    for i in range(8):
        sums[i] = 0
    for _n in range(1, degree):
        derivs = derivs + size * d
        size *= d
        for v in range(0, size - 7, 8):
            for i in range(8):
                sums[i] += derivs[letter * size + v + i] * sig[v + i]
        for v in range(size // 8 * 8, size):
            total += derivs[letter * size + v] * sig[v]
        sig = sig + size
    for i in range(8):
        total += sums[i]
    return total


cdef inline Py_ssize_t last_point_of(const SignaturePlan* plan, Py_ssize_t path) noexcept nogil:
    return (plan.transform.length if plan.lengths == NULL else <Py_ssize_t>plan.lengths[path]) - 1


cdef inline void store_last_points(const SignaturePlan* plan, const real* sig, const real* derivs,
                                   Py_ssize_t row_stride, const real* last_derivs, real* out) noexcept nogil:
    """Add what `store_group` left: every virtual path's gradient at its last point.

    Between two chunks that is a difference of the gradients of two increments, one from either chunk, and errors grow
    along each: they would not cancel, as they do elsewhere. An increment of zero between them has one gradient, and
    both chunks know it with the error that they have there. So the difference is that of each chunk to its own. sig,
    derivs (n_virtual, n_words), rows row_stride apart: signatures of virtual paths and their cotangents.
    """
    cdef Py_ssize_t virtual, path, point, i, n_points = plan.transform.length, dimension = plan.transform.dimension
    cdef real* target
    for path in range(plan.n_paths):
        if plan.lengths == NULL or plan.lengths[path] > 0:
            target = out + (first_point_of(plan, path, n_points, 1) + last_point_of(plan, path)) * dimension
            for i in range(dimension):
                target[i] = 0
    for virtual in range(plan.n_virtual):
        path = virtual // plan.n_chunks
        if plan.lengths != NULL and plan.lengths[path] == 0:
            continue
        point = chunk_start(plan, virtual) + chunk_length(plan, virtual)
        if plan.transform.lead_lag:
            point //= 2
        target = out + (first_point_of(plan, path, n_points, 1) + point) * dimension
        if chunk_start(plan, virtual) + chunk_length(plan, virtual) < n_rows_of(plan, path):
            for i in range(plan.d - plan.transform.time_aug):
                target[i % dimension] += gradient_in_front(sig + (virtual + 1) * row_stride,
                                                           derivs + (virtual + 1) * row_stride, i, plan.d, plan.degree)
        for i in range(dimension):
            target[i] += last_derivs[virtual * dimension + i]
