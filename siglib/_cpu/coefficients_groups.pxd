"""Lane groups of the kernels of coefficients: how a call is cut, increments and values into lanes and out of them.

A *virtual path* is one time chunk of one path; `width` of them share a lane group. Increments come a *stretch* of rows
at a time, so that memory does not grow with the length of paths. Only the letters of the words are loaded, unless it is
faster to transpose whole points in registers.
"""

from libc.stdint cimport int32_t
from libc.string cimport memset

from .coefficients_trie cimport Trie
from .increments cimport Transform, load_letter, load_letter_backprop
from .lane_moves cimport load_columns, store_columns
from .lanes cimport real, vd, vf

cdef enum:
    STRETCH = 64         # rows


cdef struct Plan:
    Transform transform
    Py_ssize_t n_paths, n_chunks, chunk_rows, n_virtual, n_groups
    Py_ssize_t row_size          # letters of a row: those of the words, or all
    bint whole                   # all
    int width                    # lanes


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline Plan make_plan(const Transform* transform, Py_ssize_t n_paths, bint contiguous, const Trie* direct,
                           const Trie* pieces, Py_ssize_t n_joins, int width) noexcept nogil:
    """How a call is cut: depends on shapes and words alone. pieces.n_nodes is 0 where words are too long for chunks;
    n_joins: multiply-adds to join one chunk; contiguous: whether points lie one after another."""
    cdef Plan plan
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


cdef inline Py_ssize_t virtual_of(const Plan* plan, Py_ssize_t group, int lane) noexcept nogil:
    """The virtual path of a lane; lanes that are left over repeat the last one."""
    return min(group * plan.width + lane, plan.n_virtual - 1)


cdef inline int n_live(const Plan* plan, Py_ssize_t group) noexcept nogil:
    """Lanes that are not left over."""
    return <int>min(<Py_ssize_t>plan.width, plan.n_virtual - group * plan.width)


cdef inline Py_ssize_t chunk_start(const Plan* plan, Py_ssize_t virtual) noexcept nogil:
    return min(virtual % plan.n_chunks * plan.chunk_rows, plan.transform.n_rows)


cdef inline Py_ssize_t chunk_length(const Plan* plan, Py_ssize_t virtual) noexcept nogil:
    return min(plan.chunk_rows, plan.transform.n_rows - chunk_start(plan, virtual))


cdef inline bint load_whole_stretch(const real* path, const Py_ssize_t* strides, const Plan* plan, Py_ssize_t group,
                                    Py_ssize_t first, Py_ssize_t n, real* dx) noexcept nogil:
    """`load_stretch` of whole points, or False if a lane ends before."""
    cdef Py_ssize_t i, virtual, d = plan.transform.d
    cdef const real* points[16]
    cdef int lane
    for lane in range(plan.width):
        virtual = virtual_of(plan, group, lane)
        points[lane] = path + virtual // plan.n_chunks * strides[0] + (chunk_start(plan, virtual) + first) * d
        if chunk_length(plan, virtual) < first + n:
            return False
    if real is double:
        load_columns(<const void* const*>points, 0, (n + 1) * d, <vd*>dx)
        for i in range(n * d):
            (<vd*>dx)[i] = (<vd*>dx)[d + i] - (<vd*>dx)[i]
    else:
        load_columns(<const void* const*>points, 0, (n + 1) * d, <vf*>dx)
        for i in range(n * d):
            (<vf*>dx)[i] = (<vf*>dx)[d + i] - (<vf*>dx)[i]
    return True


cdef inline void load_stretch(const real* path, const Py_ssize_t* strides, const Plan* plan, const Trie* trie,
                              const Py_ssize_t* columns, Py_ssize_t group, Py_ssize_t first, Py_ssize_t n,
                              Py_ssize_t padded, real* dx) noexcept nogil:
    """dx (padded, row_size, width): rows first..first + n - 1 of a group's virtual paths, then rows of zeros.

    strides: those of path (n_paths, length, dimension), in numbers. dx has one row more, which may be overwritten.
    """
    cdef Py_ssize_t i, k, virtual, length, row = plan.row_size * plan.width
    cdef int lane
    cdef real* target
    if plan.whole and load_whole_stretch(path, strides, plan, group, first, n, dx):
        memset(dx + n * row, 0, (padded - n) * row * sizeof(real))
        return
    for lane in range(plan.width):
        virtual = virtual_of(plan, group, lane)
        length = max(<Py_ssize_t>0, min(n, chunk_length(plan, virtual) - first))
        for i in range(trie.n_letters):
            target = dx + columns[i] * plan.width + lane
            if length > 0:
                load_letter(path + virtual // plan.n_chunks * strides[0], strides[1], strides[2], &plan.transform,
                            trie.letters[3 * i], chunk_start(plan, virtual) + first, length, target, row)
            for k in range(length, padded):
                target[k * row] = 0


cdef inline void store_stretch(const Plan* plan, const Trie* trie, const Py_ssize_t* columns, Py_ssize_t group,
                               Py_ssize_t first, Py_ssize_t n, const real* gx, real* out,
                               real* last_derivs) noexcept nogil:
    """Adjoint of `load_stretch`: adds gx (n, row_size, width) to the gradients of points, out (n_paths, length,
    dimension). Those of the last point of each virtual path go to last_derivs (n_virtual, dimension)."""
    cdef Py_ssize_t i, virtual, length, start, stop
    cdef int lane
    for lane in range(n_live(plan, group)):
        virtual = virtual_of(plan, group, lane)
        start = chunk_start(plan, virtual)
        length = max(<Py_ssize_t>0, min(n, chunk_length(plan, virtual) - first))
        stop = start + chunk_length(plan, virtual)
        for i in range(trie.n_letters):
            load_letter_backprop(gx + columns[i] * plan.width + lane, plan.row_size * plan.width, &plan.transform,
                                 trie.letters[3 * i], start + first, length,
                                 stop // 2 if plan.transform.lead_lag else stop,
                                 out + virtual // plan.n_chunks * plan.transform.length * plan.transform.dimension,
                                 last_derivs + virtual * plan.transform.dimension)


cdef inline void store_whole_stretch(const Plan* plan, Py_ssize_t group, Py_ssize_t first, Py_ssize_t n, real* gx,
                                     real* next_row, real* out) noexcept nogil:
    """The same for whole points of uncut paths: writes the gradients of the points first + 1..first + n, and if first
    is 0 of point 0.

    next_row: the gradient of row first + n, which becomes that of row `first`. gx has one row more, and is overwritten.
    """
    cdef Py_ssize_t i, d = plan.transform.d, path_size = plan.transform.length * d
    cdef int lane
    cdef real* points[16]
    for lane in range(n_live(plan, group)):
        points[lane] = out + (group * plan.width + lane) * path_size
    for i in range(d * plan.width):
        gx[n * d * plan.width + i] = next_row[i]
        next_row[i] = gx[i]
    if real is double:
        for i in range(n * d):
            (<vd*>gx)[i] = (<vd*>gx)[i] - (<vd*>gx)[d + i]
        store_columns(<const vd*>gx, <void* const*>points, (first + 1) * d, n * d, n_live(plan, group))
    else:
        for i in range(n * d):
            (<vf*>gx)[i] = (<vf*>gx)[i] - (<vf*>gx)[d + i]
        store_columns(<const vf*>gx, <void* const*>points, (first + 1) * d, n * d, n_live(plan, group))
    if first == 0:
        for lane in range(n_live(plan, group)):
            for i in range(d):
                points[lane][i] = 0 - next_row[i * plan.width + lane]


cdef inline void store_values(const Plan* plan, Py_ssize_t group, const real* S, const real* one,
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


cdef inline void load_values(const Plan* plan, Py_ssize_t group, const real* source, Py_ssize_t source_stride,
                             const int32_t* columns, Py_ssize_t n_columns, bint add, real* S) noexcept nogil:
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
