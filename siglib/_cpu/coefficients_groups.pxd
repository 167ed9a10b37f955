"""Lane groups of coefficients: how a call is cut, increments and values into lanes and out of them.

A *virtual path* is one time chunk of one path; `width` of them share a lane group. Increments come a *stretch* of rows
at a time, so that memory does not grow with the length of paths. Only the letters of the words are loaded, unless it is
faster to transpose whole points in registers.
"""

from libc.stdint cimport int32_t, uintptr_t
from libc.string cimport memset

from .coefficients_trie cimport Trie
from .increments cimport MOST_LANES, Transform, load_letter, load_letter_backprop, load_time
from .lane_moves cimport gather, load_columns, prefetch_line, store_columns
from .lanes cimport ceil_div, real, vd, vf

cdef enum:
    STRETCH = 64         # rows


cdef struct CoefficientPlan:
    Transform transform
    Py_ssize_t n_paths, n_chunks, chunk_rows, n_virtual, n_groups
    Py_ssize_t row_size          # letters of a row: those of the words, or all
    bint whole                   # all
    int width                    # lanes


cdef inline CoefficientPlan make_plan(const Transform* transform, Py_ssize_t n_paths, bint contiguous,
                                      const Trie* direct, const Trie* pieces, Py_ssize_t n_joins,
                                      int width) noexcept nogil:
    """How a call is cut: depends on shapes and words alone. pieces.n_nodes is 0 where words are too long for chunks;
    n_joins: multiply-adds to join one chunk; contiguous: whether points lie one after another."""
    cdef CoefficientPlan plan
    cdef Py_ssize_t chunks
    cdef double cost, best
    plan.transform = transform[0]
    plan.n_paths = n_paths
    plan.width = width
    plan.n_chunks = 1
    if n_paths < width and pieces.n_nodes > 0:
        # Chunks must pay for the sub-words that they need, and for being joined.
        best = 0.85 * direct.n_operations * transform.n_rows
        for chunks in range(2, width // n_paths + 1):
            if transform.n_rows < 16 * chunks:
                break
            cost = <double>pieces.n_operations * ceil_div(transform.n_rows, chunks) + <double>n_joins * chunks * n_paths
            if cost < best:
                best = cost
                plan.n_chunks = chunks
        # A very long path becomes four groups, for four threads.
        if plan.n_chunks == width // n_paths and plan.n_chunks > 1 and transform.n_rows >= 512 * plan.n_chunks:
            plan.n_chunks *= 4
    plan.chunk_rows = ceil_div(transform.n_rows, plan.n_chunks)
    if transform.lead_lag and plan.chunk_rows % 2:
        plan.chunk_rows += 1
    plan.n_virtual = n_paths * plan.n_chunks
    plan.n_groups = ceil_div(plan.n_virtual, width)
    plan.whole = (contiguous and not transform.time_aug and not transform.lead_lag
                  and transform.d <= 4 * direct.n_letters)
    plan.row_size = transform.d if plan.whole else direct.n_letters
    return plan


cdef inline Py_ssize_t virtual_of(const CoefficientPlan* plan, Py_ssize_t group, int lane) noexcept nogil:
    """The virtual path of a lane; lanes that are left over repeat the last one."""
    return min(group * plan.width + lane, plan.n_virtual - 1)


cdef inline int n_live(const CoefficientPlan* plan, Py_ssize_t group) noexcept nogil:
    """Lanes that are not left over."""
    return <int>min(<Py_ssize_t>plan.width, plan.n_virtual - group * plan.width)


cdef inline Py_ssize_t chunk_start(const CoefficientPlan* plan, Py_ssize_t virtual) noexcept nogil:
    return min(virtual % plan.n_chunks * plan.chunk_rows, plan.transform.n_rows)


cdef inline Py_ssize_t chunk_length(const CoefficientPlan* plan, Py_ssize_t virtual) noexcept nogil:
    return min(plan.chunk_rows, plan.transform.n_rows - chunk_start(plan, virtual))


cdef inline void load_whole_stretch(const real* const* points, Py_ssize_t d, Py_ssize_t n, Py_ssize_t ahead, int width,
                                    real* dx) noexcept nogil:
    """`load_stretch` of whole points, which lie one after another, by transposes in registers."""
    cdef Py_ssize_t i, part
    cdef int lane
    for i in range(0, (n + 1) * d, 64):
        part = min(<Py_ssize_t>64, (n + 1) * d - i)
        if ahead != 0:
            for lane in range(width):
                prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real))
                prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real) + 64)
                prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real) + 128)
                prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real) + 192)
                if real is double:
                    prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real) + 256)
                    prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real) + 320)
                    prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real) + 384)
                    prefetch_line(<uintptr_t>points[lane] + (ahead + i) * sizeof(real) + 448)
        if real is double:
            load_columns(<const void* const*>points, i, part, <vd*>dx + i)
        else:
            load_columns(<const void* const*>points, i, part, <vf*>dx + i)
    if real is double:
        for i in range(n * d):
            (<vd*>dx)[i] = (<vd*>dx)[d + i] - (<vd*>dx)[i]
    else:
        for i in range(n * d):
            (<vf*>dx)[i] = (<vf*>dx)[d + i] - (<vf*>dx)[i]


cdef inline void load_letter_of_lanes(const real* const* points, Py_ssize_t row_stride, Py_ssize_t n, Py_ssize_t ahead,
                                      int width, real* dx, Py_ssize_t row_size) noexcept nogil:
    """One letter of n rows of all lanes; points are its numbers in their first points."""
    cdef Py_ssize_t k
    cdef int lane
    cdef vd before_f64, after_f64
    cdef vf before_f32, after_f32
    if real is double:
        before_f64 = gather(<const void* const*>points, 0, <vd*>dx)
    else:
        before_f32 = gather(<const void* const*>points, 0, <vf*>dx)
    for k in range(n):
        if ahead != 0:
            for lane in range(width):
                prefetch_line(<uintptr_t>points[lane] + (ahead + k * row_stride) * sizeof(real))
        if real is double:
            after_f64 = gather(<const void* const*>points, (k + 1) * row_stride, <vd*>dx)
            (<vd*>dx)[k * row_size] = after_f64 - before_f64
            before_f64 = after_f64
        else:
            after_f32 = gather(<const void* const*>points, (k + 1) * row_stride, <vf*>dx)
            (<vf*>dx)[k * row_size] = after_f32 - before_f32
            before_f32 = after_f32


cdef inline void load_stretch(const real* path, const Py_ssize_t* strides, const CoefficientPlan* plan,
                              const Trie* trie, const Py_ssize_t* columns, Py_ssize_t group, Py_ssize_t first,
                              Py_ssize_t n, Py_ssize_t padded, Py_ssize_t ahead, real* dx) noexcept nogil:
    """dx (padded, row_size, width): rows first..first + n - 1 of a group's virtual paths, then rows of zeros.

    strides: those of path (n_paths, length, dimension), in numbers; ahead: how many points further the next stretch
    begins, which is asked for, 0 for nothing. dx has one row more, which may be overwritten.
    """
    cdef Py_ssize_t i, k, virtual, length, row = plan.row_size * plan.width
    cdef bint full = not plan.transform.lead_lag
    cdef int lane
    cdef real* target
    cdef const real* points[16]
    cdef const real* numbers[16]
    cdef double start[MOST_LANES]
    cdef double stop[MOST_LANES]
    for lane in range(plan.width):
        virtual = virtual_of(plan, group, lane)
        start[lane] = chunk_start(plan, virtual) + first
        stop[lane] = min(chunk_start(plan, virtual) + chunk_length(plan, virtual), start[lane] + n)
        points[lane] = path + virtual // plan.n_chunks * strides[0] + (chunk_start(plan, virtual) + first) * strides[1]
        full = full and chunk_length(plan, virtual) >= first + n
    ahead = ahead * strides[1]
    if full and plan.whole:
        load_whole_stretch(points, plan.transform.d, n, ahead, plan.width, dx)
        memset(dx + n * row, 0, (padded - n) * row * sizeof(real))
        return
    for i in range(trie.n_letters):
        if plan.transform.time_aug and trie.letters[3 * i] == plan.transform.d - 1:
            load_time(&plan.transform, start, stop, padded, dx + columns[i] * plan.width, row)
            continue
        if full:
            for lane in range(plan.width):
                numbers[lane] = points[lane] + trie.letters[3 * i] * strides[2]
            target = dx + columns[i] * plan.width
            load_letter_of_lanes(numbers, strides[1], n, ahead, plan.width, target, plan.row_size)
            for k in range(n, padded):
                memset(target + k * row, 0, plan.width * sizeof(real))
            continue
        for lane in range(plan.width):
            virtual = virtual_of(plan, group, lane)
            length = max(<Py_ssize_t>0, min(n, chunk_length(plan, virtual) - first))
            target = dx + columns[i] * plan.width + lane
            if length > 0:
                load_letter(path + virtual // plan.n_chunks * strides[0], strides[1], strides[2], &plan.transform,
                            trie.letters[3 * i], chunk_start(plan, virtual) + first, length, target, row)
            for k in range(length, padded):
                target[k * row] = 0


cdef inline void add_stretch(const CoefficientPlan* plan, const Trie* trie, const Py_ssize_t* columns, Py_ssize_t group,
                             Py_ssize_t first, Py_ssize_t n, const real* gx, real* out,
                             real* last_derivs) noexcept nogil:
    """`store_stretch` for lead-lag, where several rows belong to one point: adds to `out`, which must be 0 at first."""
    cdef Py_ssize_t i, virtual, length, start, stop
    cdef int lane
    for lane in range(n_live(plan, group)):
        virtual = virtual_of(plan, group, lane)
        start = chunk_start(plan, virtual)
        length = max(<Py_ssize_t>0, min(n, chunk_length(plan, virtual) - first))
        stop = (start + chunk_length(plan, virtual)) // 2
        for i in range(trie.n_letters):
            load_letter_backprop(gx + columns[i] * plan.width + lane, plan.row_size * plan.width, &plan.transform,
                                 trie.letters[3 * i], start + first, length, stop,
                                 out + virtual // plan.n_chunks * plan.transform.length * plan.transform.dimension,
                                 last_derivs + virtual * plan.transform.dimension)


cdef inline void store_lane(const CoefficientPlan* plan, const Trie* trie, const Py_ssize_t* columns, const real* gx,
                            Py_ssize_t row, Py_ssize_t n, real* out) noexcept nogil:
    """Gradients of n points in a row of one lane, `row` numbers apart, to out (n, dimension)."""
    cdef Py_ssize_t i, k, letter, dimension = plan.transform.dimension
    cdef const real* source
    memset(out, 0, n * dimension * sizeof(real))
    for i in range(trie.n_letters):
        letter = trie.letters[3 * i]
        if letter < dimension:  # time has no gradient
            source = gx + columns[i] * plan.width
            for k in range(n):
                out[k * dimension + letter] = source[k * row]


cdef inline void store_stretch(const CoefficientPlan* plan, const Trie* trie, const Py_ssize_t* columns,
                               Py_ssize_t group, Py_ssize_t first, Py_ssize_t n, real* gx, real* next_row, real* out,
                               real* last_derivs) noexcept nogil:
    """Adjoint of `load_stretch`: of gx (n, row_size, width), gradients of rows, writes those of the points first + 1 to
    first + n of each virtual path, and if first is 0 of point 0, to out (n_paths, length, dimension).

    The last point of a chunk belongs to the next one as well: its gradient goes to last_derivs (n_virtual, dimension).
    next_row: the gradient of row first + n, which becomes that of row `first`. gx has one row more, and is overwritten.
    """
    cdef Py_ssize_t i, k, length, virtual, row = plan.row_size * plan.width, dimension = plan.transform.dimension
    cdef bint full = plan.whole
    cdef int lane
    cdef real* points[16]
    for lane in range(n_live(plan, group)):
        virtual = virtual_of(plan, group, lane)
        points[lane] = (out + (virtual // plan.n_chunks * plan.transform.length + chunk_start(plan, virtual) + first)
                        * dimension)
        length = chunk_length(plan, virtual) - first
        full = full and length >= n + (plan.n_chunks > 1)
        # What came of rows behind the end of a chunk counts for nothing.
        for k in range(max(<Py_ssize_t>0, length), n):
            for i in range(plan.row_size):
                gx[k * row + i * plan.width + lane] = 0
    for i in range(row):
        gx[n * row + i] = next_row[i]
        next_row[i] = gx[i]
    # From here on row k belongs to point first + k + 1.
    if real is double:
        for i in range(n * plan.row_size):
            (<vd*>gx)[i] = (<vd*>gx)[i] - (<vd*>gx)[plan.row_size + i]
    else:
        for i in range(n * plan.row_size):
            (<vf*>gx)[i] = (<vf*>gx)[i] - (<vf*>gx)[plan.row_size + i]
    if full and real is double:
        store_columns(<const vd*>gx, <void* const*>points, dimension, n * dimension, n_live(plan, group))
    elif full:
        store_columns(<const vf*>gx, <void* const*>points, dimension, n * dimension, n_live(plan, group))
    for lane in range(n_live(plan, group)):
        virtual = virtual_of(plan, group, lane)
        length = min(n, chunk_length(plan, virtual) - first)
        if length <= 0:
            continue
        if not full:
            k = length
            if plan.n_chunks > 1 and first + length == chunk_length(plan, virtual):
                k = length - 1
                store_lane(plan, trie, columns, gx + k * row + lane, row, 1, last_derivs + virtual * dimension)
            store_lane(plan, trie, columns, gx + lane, row, k, points[lane] + dimension)
        if first == 0:
            store_lane(plan, trie, columns, next_row + lane, row, 1, points[lane])
            for i in range(dimension):
                points[lane][i] = 0 - points[lane][i]


cdef inline void add_gradient_behind(const CoefficientPlan* plan, const Trie* trie, const real* values,
                                     Py_ssize_t value_step, const real* derivs, Py_ssize_t deriv_step, real factor,
                                     real* out) noexcept nogil:
    """Adds `factor` times the gradient of an increment of zero behind a path, of its coefficients (n_nodes) and their
    derivatives, to out (dimension)."""
    cdef Py_ssize_t v, parent, letter
    for v in range(trie.n_nodes):
        parent = trie.parents[2 * v]
        letter = trie.letters[3 * trie.parents[2 * v + 1]]
        if letter < plan.transform.d - plan.transform.time_aug:
            out[letter % plan.transform.dimension] += (
                factor * derivs[v * deriv_step] * (1 if parent < 0 else values[parent * value_step]))


cdef inline void store_values(const CoefficientPlan* plan, Py_ssize_t group, const real* S, const real* one,
                              const int32_t* columns, Py_ssize_t n_columns, real* out,
                              Py_ssize_t out_stride) noexcept nogil:
    """out[virtual][p] = S[columns[p]], or one where that is -1; without columns, S itself."""
    cdef Py_ssize_t p, k, n, node
    cdef int lane
    cdef real* rows[16]
    cdef vd values_f64[16]
    cdef vf values_f32[16]
    for lane in range(n_live(plan, group)):
        rows[lane] = out + (group * plan.width + lane) * out_stride
    for p in range(0, n_columns, 16):
        n = min(<Py_ssize_t>16, n_columns - p)
        for k in range(n):
            node = p + k if columns == NULL else columns[p + k]
            if real is double:
                values_f64[k] = (<const vd*>one)[0] if node < 0 else (<const vd*>S)[node]
            else:
                values_f32[k] = (<const vf*>one)[0] if node < 0 else (<const vf*>S)[node]
        if real is double:
            store_columns(values_f64, <void* const*>rows, p, n, n_live(plan, group))
        else:
            store_columns(values_f32, <void* const*>rows, p, n, n_live(plan, group))


cdef inline void load_values(const CoefficientPlan* plan, Py_ssize_t group, const real* source,
                             Py_ssize_t source_stride, const int32_t* columns, Py_ssize_t n_columns, bint add,
                             real* S) noexcept nogil:
    """S[columns[p]] = source[virtual][p], or its sum over all such p if `add`; without columns, S = source[virtual]."""
    cdef Py_ssize_t p, k, n, node
    cdef int lane
    cdef const real* rows[16]
    cdef vd values_f64[16]
    cdef vf values_f32[16]
    for lane in range(plan.width):
        rows[lane] = source + virtual_of(plan, group, lane) * source_stride
    for p in range(0, n_columns, 16):
        n = min(<Py_ssize_t>16, n_columns - p)
        if real is double:
            load_columns(<const void* const*>rows, p, n, values_f64)
        else:
            load_columns(<const void* const*>rows, p, n, values_f32)
        for k in range(n):
            node = p + k if columns == NULL else columns[p + k]
            if node < 0:
                continue
            if real is double:
                (<vd*>S)[node] = (<vd*>S)[node] + values_f64[k] if add else values_f64[k]
            else:
                (<vf*>S)[node] = (<vf*>S)[node] + values_f32[k] if add else values_f32[k]
