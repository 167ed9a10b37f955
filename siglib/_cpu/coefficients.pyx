"""Signature coefficients at chosen words, and their gradients.

Lanes hold paths. A lane group goes through its increments stretch by stretch (coefficients_groups.pxd) and keeps one
coefficient for each distinct prefix of the words (coefficients_trie.pxd); the gradient takes the increments off again
(coefficients_trie_backprop.pxd). Tries without branches have faster code (coefficients_chains.pxd). Small batches of
long paths are cut in time. Chunks need the coefficients of all sub-words, and are joined by Chen's identity: S(w) =
sum over w = u v of S_1(u) S_2(v). Long words have their letters in the lanes instead (coefficients_long.pxi).

Cuts and the order of every sum depend on shapes and words alone: the bits are the same for any number of threads.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, interrupted, next_unit, share
from .coefficients_chains cimport LONGEST, walk_chains, walk_chains_backprop
from .coefficients_chunks cimport gather_columns, join_chunks, join_chunks_backprop
from .coefficients_groups cimport (
    STRETCH,
    CoefficientPlan,
    add_gradient_behind,
    add_stretch,
    chunk_length,
    chunk_start,
    load_stretch,
    load_values,
    make_plan,
    n_live,
    store_stretch,
    store_values,
)
from .coefficients_trie cimport BLOCK, Trie, make_trie, walk
from .coefficients_trie_backprop cimport PAIR, WIDE, walk_backprop
from .increments cimport Transform, make_transform
from .lanes cimport aligned_malloc, ceil_div, n_lanes, real, vd, vf

cdef struct Call:
    # What all lane groups of a call share. Pointers to numbers are those of the dtype at hand.
    CoefficientPlan plan
    Trie trie                    # the prefixes, or their pieces if paths are cut
    const Py_ssize_t* columns    # (n_letters): where a row of increments has them
    Py_ssize_t strides[3]        # of path, in numbers


cdef struct CoefficientScratch:
    # One thread's memory, in vectors: dx | xs | rows | inverse | factors | S | gx | next_row | gxs | stack | G.
    size_t xs, rows, inverse, factors, S, gx, next_row, gxs, stack, G, size


cdef CoefficientScratch make_scratch(const Call* call, bint backward) noexcept nogil:
    cdef CoefficientScratch at
    cdef const Trie* trie = &call.trie
    cdef size_t stretch = (STRETCH + 1) * call.plan.row_size
    at.xs = stretch
    at.rows = at.xs + BLOCK * trie.n_powers
    at.inverse = at.rows + trie.n_rows * BLOCK * (trie.highest + 1)
    at.factors = at.inverse + trie.highest + 2
    at.S = at.factors + (LONGEST + 1 if trie.n_chains > 0 else 0)
    at.gx = at.S + trie.n_nodes
    at.next_row = at.gx + (stretch if backward else 0)
    at.gxs = at.next_row + (call.plan.row_size if backward else 0)
    at.stack = at.gxs + (PAIR * trie.n_powers if backward else 0)
    at.G = at.stack + (WIDE * trie.n_places if backward else 0)
    at.size = at.G + (trie.n_nodes if backward else 0)
    return at


cdef double group_cost(const Call* call) noexcept nogil:
    """About how many vector operations a lane group takes."""
    return <double>call.plan.chunk_rows * call.trie.n_operations


cdef void fill_constants(const Call* call, const CoefficientScratch* at, bint backward, real* memory) noexcept nogil:
    """inverse[r] = 1 / r, factors[r] = 1 / r!, and the root's partial results, 1."""
    cdef Py_ssize_t r, i, width = call.plan.width
    cdef double factor = 1
    if call.trie.n_chains > 0:
        for r in range(LONGEST + 1):
            factor = factor / r if r > 0 else 1
            for i in range(width):
                memory[(at.factors + r) * width + i] = <real>factor
    for r in range(call.trie.highest + 2):
        for i in range(width):
            memory[(at.inverse + r) * width + i] = <real>1 / <real>r if r > 0 else 0
    for i in range(BLOCK * (call.trie.highest + 1) * width):
        memory[at.rows * width + i] = 1
    if backward:
        for i in range(WIDE * (call.trie.highest + 1) * width):
            memory[at.stack * width + i] = 1


# What is inlined everywhere else is a function of its own here, so that each part gets the registers to itself.

cdef void load(const real* path, const Call* call, Py_ssize_t group, Py_ssize_t first, Py_ssize_t n, Py_ssize_t padded,
               Py_ssize_t ahead, real* dx) noexcept nogil:
    load_stretch(path, call.strides, &call.plan, &call.trie, call.columns, group, first, n, padded, ahead, dx)


cdef void store(const Call* call, Py_ssize_t group, Py_ssize_t first, Py_ssize_t n, real* gx, real* next_row, real* out,
                real* last_derivs) noexcept nogil:
    if call.plan.transform.lead_lag:
        add_stretch(&call.plan, &call.trie, call.columns, group, first, n, gx, out, last_derivs)
    else:
        store_stretch(&call.plan, &call.trie, call.columns, group, first, n, gx, next_row, out, last_derivs)


cdef void forward_stretch(const Call* call, const CoefficientScratch* at, Py_ssize_t n_rows,
                          real* memory) noexcept nogil:
    cdef Py_ssize_t w = call.plan.width
    if call.trie.n_chains > 0:
        if real is double:
            walk_chains(<const vd*>memory, n_rows, call.plan.row_size, &call.trie, call.columns,
                        <const vd*>(memory + at.factors * w), <vd*>(memory + at.S * w))
        else:
            walk_chains(<const vf*>memory, n_rows, call.plan.row_size, &call.trie, call.columns,
                        <const vf*>(memory + at.factors * w), <vf*>(memory + at.S * w))
    elif real is double:
        walk(<const vd*>memory, n_rows, call.plan.row_size, &call.trie, call.columns,
             <const vd*>(memory + at.inverse * w), <vd*>(memory + at.xs * w), <vd*>(memory + at.rows * w),
             <vd*>(memory + at.S * w))
    else:
        walk(<const vf*>memory, n_rows, call.plan.row_size, &call.trie, call.columns,
             <const vf*>(memory + at.inverse * w), <vf*>(memory + at.xs * w), <vf*>(memory + at.rows * w),
             <vf*>(memory + at.S * w))


cdef void backward_stretch(const Call* call, const CoefficientScratch* at, Py_ssize_t n_rows,
                           real* memory) noexcept nogil:
    cdef Py_ssize_t w = call.plan.width
    if call.trie.n_chains > 0:
        if real is double:
            walk_chains_backprop(<const vd*>memory, <vd*>(memory + at.gx * w), n_rows, call.plan.row_size, &call.trie,
                                 call.columns, <const vd*>(memory + at.factors * w), <vd*>(memory + at.S * w),
                                 <vd*>(memory + at.G * w))
        else:
            walk_chains_backprop(<const vf*>memory, <vf*>(memory + at.gx * w), n_rows, call.plan.row_size, &call.trie,
                                 call.columns, <const vf*>(memory + at.factors * w), <vf*>(memory + at.S * w),
                                 <vf*>(memory + at.G * w))
    elif real is double:
        walk_backprop(<const vd*>memory, <vd*>(memory + at.gx * w), n_rows, call.plan.row_size, &call.trie,
                      call.columns, <const vd*>(memory + at.inverse * w), <vd*>(memory + at.xs * w),
                      <vd*>(memory + at.gxs * w), <vd*>(memory + at.stack * w), <vd*>(memory + at.S * w),
                      <vd*>(memory + at.G * w))
    else:
        walk_backprop(<const vf*>memory, <vf*>(memory + at.gx * w), n_rows, call.plan.row_size, &call.trie,
                      call.columns, <const vf*>(memory + at.inverse * w), <vf*>(memory + at.xs * w),
                      <vf*>(memory + at.gxs * w), <vf*>(memory + at.stack * w), <vf*>(memory + at.S * w),
                      <vf*>(memory + at.G * w))


cdef void forward_group(const real* path, const Call* call, const CoefficientScratch* at, Py_ssize_t group,
                        real* memory) noexcept nogil:
    """The coefficients of one lane group, left in the scratch memory."""
    cdef Py_ssize_t stretch, first, n, padded, spent = 0, n_rows = call.plan.chunk_rows
    memset(memory + at.S * call.plan.width, 0, call.trie.n_nodes * call.plan.width * sizeof(real))
    for stretch in range(ceil_div(n_rows, STRETCH)):
        if due(&spent, STRETCH * call.trie.n_operations):
            return
        first = stretch * STRETCH
        n = min(<Py_ssize_t>STRETCH, n_rows - first)
        padded = ceil_div(n, BLOCK) * BLOCK
        load(path, call, group, first, n, padded, STRETCH if first + STRETCH < n_rows else 0, memory)
        forward_stretch(call, at, padded, memory)


cdef void backward_group(const real* path, const Call* call, const CoefficientScratch* at, Py_ssize_t group,
                         real* memory, real* out, real* last_derivs) noexcept nogil:
    """The gradients of one lane group, whose coefficients and their derivatives are in the scratch memory."""
    cdef Py_ssize_t stretch, first, n, padded, spent = 0, n_rows = call.plan.chunk_rows
    cdef Py_ssize_t w = call.plan.width
    memset(memory + at.gx * w, 0, (at.gxs - at.gx) * w * sizeof(real))
    for stretch in range((n_rows - 1) // STRETCH, -1, -1):
        if due(&spent, 4 * STRETCH * call.trie.n_operations):
            return
        first = stretch * STRETCH
        n = min(<Py_ssize_t>STRETCH, n_rows - first)
        padded = ceil_div(n, PAIR) * PAIR
        load(path, call, group, first, n, padded, -STRETCH if first > 0 else 0, memory)
        backward_stretch(call, at, padded, memory)
        store(call, group, first, n, memory + at.gx * w, memory + at.next_row * w, out, last_derivs)


cdef int forward(const real* path, const Call* call, const int32_t* columns, Py_ssize_t n_columns, real* out,
                 int n_threads) noexcept nogil:
    """Coefficients of all virtual paths at `columns` (NULL: at all nodes) to rows of `out`; -1 if memory is short."""
    cdef CoefficientScratch at = make_scratch(call, False)
    cdef Py_ssize_t group, end, w = call.plan.width
    cdef Watch* loop
    cdef size_t per_thread = at.size * w
    n_threads = <int>min(<Py_ssize_t>n_threads, call.plan.n_groups)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(per_thread * n_threads * sizeof(real), &raw)
    cdef real* mine
    cdef int thread
    if memory == NULL:
        return -1
    for thread in range(n_threads):
        fill_constants(call, &at, False, memory + thread * per_thread)
    loop = share(call.plan.n_groups, group_cost(call), n_threads)
    with parallel(num_threads=n_threads):
        mine = memory + threadid() * per_thread
        group = end = 0
        while next_unit(loop, &group, &end):
            forward_group(path, call, &at, group, mine)
            store_values(&call.plan, group, mine + at.S * w, mine + at.rows * w, columns, n_columns, out, n_columns)
    free(raw)
    return 0


cdef int backward(const real* path, const Call* call, const real* values, const int32_t* value_columns,
                  Py_ssize_t n_values, const real* derivs, const int32_t* deriv_columns, Py_ssize_t n_derivs, real* out,
                  int n_threads) noexcept nogil:
    """Gradients of the paths, given the coefficients of all virtual paths at their columns (NULL: to be computed) and
    their derivatives; -1 if memory is short. Of time chunks, these are those of all nodes.

    Between two chunks the gradient is a difference of what both have. Each is taken relative to an increment of zero
    between them, which both know with the same error: see `store_last_points` in signature_groups.pxd.
    """
    cdef CoefficientScratch at = make_scratch(call, True)
    cdef const CoefficientPlan* plan = &call.plan
    cdef Py_ssize_t group, end, virtual, i, w = plan.width, dimension = plan.transform.dimension
    cdef Watch* loop
    cdef size_t per_thread = at.size * w
    cdef bint shared = plan.transform.lead_lag or plan.n_chunks > 1  # points, by several rows or chunks
    n_threads = <int>min(<Py_ssize_t>n_threads, plan.n_groups)
    cdef void* raw = NULL
    cdef real* memory = NULL
    cdef real* last_derivs = NULL
    cdef real* fronts           # the gradient of an increment of zero in front of each virtual path
    cdef real* target
    cdef real* mine
    cdef int thread, lane
    # Partial results of the gradient grow with the square of the length of words: a GiB or more is taken for too much.
    if at.size < (1 << 24):
        memory = <real*>aligned_malloc(per_thread * n_threads * sizeof(real), &raw)
    if shared:
        last_derivs = <real*>calloc(2 * plan.n_virtual * dimension, sizeof(real))
    if memory == NULL or (shared and last_derivs == NULL):
        free(raw)
        free(last_derivs)
        return -1
    fronts = last_derivs + plan.n_virtual * dimension
    if plan.transform.lead_lag:
        memset(out, 0, plan.n_paths * plan.transform.length * dimension * sizeof(real))
    elif shared:
        for i in range(plan.n_paths):
            memset(out + ((i + 1) * plan.transform.length - 1) * dimension, 0, dimension * sizeof(real))
    for thread in range(n_threads):
        fill_constants(call, &at, True, memory + thread * per_thread)
    loop = share(plan.n_groups, 4 * group_cost(call), n_threads)
    with parallel(num_threads=n_threads):
        mine = memory + threadid() * per_thread
        group = end = 0
        while next_unit(loop, &group, &end):
            if values == NULL:
                forward_group(path, call, &at, group, mine)
            else:
                load_values(plan, group, values, n_values, value_columns, n_values, False, mine + at.S * w)
            memset(mine + at.G * w, 0, call.trie.n_nodes * w * sizeof(real))
            load_values(plan, group, derivs, n_derivs, deriv_columns, n_derivs, True, mine + at.G * w)
            backward_group(path, call, &at, group, mine, out, last_derivs)
            for lane in range(n_live(plan, group) if plan.n_chunks > 1 else 0):
                add_gradient_behind(plan, &call.trie, mine + at.S * w + lane, w, mine + at.G * w + lane, w, 1,
                                    fronts + (group * w + lane) * dimension)
    if shared:
        for virtual in range(plan.n_virtual):
            i = chunk_start(plan, virtual) + chunk_length(plan, virtual)
            target = out + (virtual // plan.n_chunks * plan.transform.length
                            + (i // 2 if plan.transform.lead_lag else i)) * dimension
            if i < plan.transform.n_rows:
                add_gradient_behind(plan, &call.trie, values + virtual * n_values, 1, derivs + virtual * n_derivs, 1,
                                    -1, last_derivs + virtual * dimension)
                for i in range(dimension):
                    target[i] += fronts[(virtual + 1) * dimension + i]
            for i in range(dimension):
                target[i] += last_derivs[virtual * dimension + i]
    free(raw)
    free(last_derivs)
    return 0


cdef Call make_call(const Transform* transform, Py_ssize_t n_paths, const Py_ssize_t* strides, const Trie* direct,
                    const Trie* pieces, Py_ssize_t n_joins, Py_ssize_t* columns, int width) noexcept nogil:
    cdef Call call
    cdef Py_ssize_t i
    call.plan = make_plan(transform, n_paths, strides[2] == 1 and strides[1] == transform.dimension, direct, pieces,
                          n_joins // 2, width)
    call.trie = direct[0] if call.plan.n_chunks == 1 else pieces[0]
    call.columns = columns
    for i in range(3):
        call.strides[i] = strides[i]
    for i in range(direct.n_letters):
        columns[i] = direct.letters[3 * i] if call.plan.whole else i
    return call


cdef int forward_in_chunks(const real* path, const Call* call, Py_ssize_t n_nodes, const int64_t* joins,
                           Py_ssize_t n_joins, const int32_t* columns, Py_ssize_t n_columns, real* out,
                           int n_threads) noexcept nogil:
    """The coefficients of paths that are cut in time; n_nodes is that of the prefixes. -1 if memory is short."""
    cdef Py_ssize_t b, n_chunks = call.plan.n_chunks, n_pieces = call.trie.n_nodes
    cdef real* chunks = <real*>malloc(call.plan.n_virtual * n_pieces * sizeof(real))
    cdef real* joined = <real*>malloc(n_chunks * n_nodes * sizeof(real))
    cdef int status = -1
    if chunks != NULL and joined != NULL:
        status = forward(path, call, NULL, n_pieces, chunks, n_threads)
    if status == 0:
        for b in range(call.plan.n_paths):
            if interrupted():
                break
            join_chunks(chunks + b * n_chunks * n_pieces, n_chunks, n_pieces, joins, n_joins, n_nodes, joined)
            gather_columns(joined + (n_chunks - 1) * n_nodes, columns, n_columns, out + b * n_columns)
    free(chunks)
    free(joined)
    return status


cdef int backward_in_chunks(const real* path, const Call* call, Py_ssize_t n_nodes, const int64_t* joins,
                            Py_ssize_t n_joins, const real* derivs, const int32_t* columns, Py_ssize_t n_columns,
                            real* out, int n_threads) noexcept nogil:
    """The gradients of paths that are cut in time; -1 if memory is short."""
    cdef Py_ssize_t b, p, n_chunks = call.plan.n_chunks, n_pieces = call.trie.n_nodes
    cdef real* chunks = <real*>malloc(call.plan.n_virtual * n_pieces * sizeof(real))
    cdef real* chunk_derivs = <real*>calloc(call.plan.n_virtual * n_pieces, sizeof(real))
    cdef real* joined = <real*>malloc((n_chunks + 1) * n_nodes * sizeof(real))
    cdef real* total = joined + n_chunks * n_nodes
    cdef int status = -1
    if chunks != NULL and chunk_derivs != NULL and joined != NULL:
        status = forward(path, call, NULL, n_pieces, chunks, n_threads)
    if status == 0:
        for b in range(call.plan.n_paths):
            if interrupted():
                break
            join_chunks(chunks + b * n_chunks * n_pieces, n_chunks, n_pieces, joins, n_joins, n_nodes, joined)
            memset(total, 0, n_nodes * sizeof(real))
            for p in range(n_columns):
                if columns[p] >= 0:
                    total[columns[p]] += derivs[b * n_columns + p]
            join_chunks_backprop(chunks + b * n_chunks * n_pieces, n_chunks, n_pieces, joins, n_joins, n_nodes, joined,
                                 total, chunk_derivs + b * n_chunks * n_pieces)
        status = backward(path, call, chunks, NULL, n_pieces, chunk_derivs, NULL, n_pieces, out, n_threads)
    free(chunks)
    free(chunk_derivs)
    free(joined)
    return status

include "coefficients_long.pxi"


def sig_coef(const real[:, :, :] path, const int32_t[::1] columns, const int32_t[::1] direct_nodes,
             const int64_t[::1] direct_program, const int32_t[::1] piece_nodes, const int64_t[::1] piece_program,
             const int64_t[::1] joins, real[:, ::1] out, object transform, int n_threads):
    """path (batch, length, dimension); columns (m): nodes, -1 for the empty word; tries and joins as
    `siglib/_tables/word_trie.py` makes them; out (batch, m)."""
    cdef Transform t = make_transform(path.shape[1], path.shape[2], transform)
    cdef Py_ssize_t p, n_paths = path.shape[0], n_columns = columns.shape[0]
    cdef Py_ssize_t[3] strides
    cdef Py_ssize_t* places
    cdef Trie direct, pieces
    cdef Call call
    cdef Watch watch
    cdef int status = -1
    if n_paths == 0 or n_columns == 0:
        return
    if direct_nodes.shape[0] == 0 or t.n_rows == 0:
        for p in range(n_columns):
            out[:, p] = 1 if columns[p] < 0 else 0
        return
    for p in range(3):
        strides[p] = path.strides[p] // <Py_ssize_t>sizeof(real)
    with nogil:
        begin_watch(&watch)
        direct = make_trie(direct_nodes, direct_program)
        pieces = make_trie(piece_nodes, piece_program)
        places = <Py_ssize_t*>malloc(direct.n_letters * sizeof(Py_ssize_t))
        if places != NULL:
            call = make_call(&t, n_paths, strides, &direct, &pieces, joins.shape[0], places,
                             n_lanes(<real*>NULL))
            if takes_long_words(&t, n_paths, &direct, n_lanes(<real*>NULL), False):
                status = forward_long(&path[0, 0, 0], strides, &t, n_paths, &direct, &columns[0], n_columns,
                                      &out[0, 0], n_lanes(<real*>NULL), n_threads)
            elif call.plan.n_chunks == 1:
                status = forward(&path[0, 0, 0], &call, &columns[0], n_columns, &out[0, 0], n_threads)
            else:
                status = forward_in_chunks(&path[0, 0, 0], &call, direct.n_nodes, &joins[0], joins.shape[0],
                                           &columns[0], n_columns, &out[0, 0], n_threads)
        free(places)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_coef")


def sig_coef_backprop(const real[:, :, :] path, const real[:, ::1] coefs, const int32_t[::1] coef_columns,
                      const real[:, ::1] derivs, const int32_t[::1] deriv_columns, const int32_t[::1] direct_nodes,
                      const int64_t[::1] direct_program, const int32_t[::1] piece_nodes,
                      const int64_t[::1] piece_program, const int64_t[::1] joins, real[:, :, ::1] out, object transform,
                      int n_threads):
    """path, out (batch, length, dimension); coefs (batch, m'): the coefficients of all prefixes, of the nodes in
    coef_columns, or (batch, 0): they are computed; derivs (batch, m): derivatives, of the nodes in deriv_columns."""
    cdef Transform t = make_transform(path.shape[1], path.shape[2], transform)
    cdef Py_ssize_t p, n_paths = path.shape[0], n_columns = deriv_columns.shape[0], n_coefs = coef_columns.shape[0]
    cdef Py_ssize_t[3] strides
    cdef Py_ssize_t* places
    cdef Trie direct, pieces
    cdef Call call
    cdef Watch watch
    cdef int status = -1
    if n_paths == 0 or path.shape[1] == 0:
        return
    if direct_nodes.shape[0] == 0 or t.n_rows == 0 or n_columns == 0:
        out[:, :, :] = 0
        return
    for p in range(3):
        strides[p] = path.strides[p] // <Py_ssize_t>sizeof(real)
    with nogil:
        begin_watch(&watch)
        direct = make_trie(direct_nodes, direct_program)
        pieces = make_trie(piece_nodes, piece_program)
        places = <Py_ssize_t*>malloc(direct.n_letters * sizeof(Py_ssize_t))
        if places != NULL:
            call = make_call(&t, n_paths, strides, &direct, &pieces, joins.shape[0], places,
                             n_lanes(<real*>NULL))
            if takes_long_words(&t, n_paths, &direct, n_lanes(<real*>NULL), True):
                status = backward_long(&path[0, 0, 0], strides, &t, n_paths, &direct, &derivs[0, 0],
                                       &deriv_columns[0], n_columns, &out[0, 0, 0], n_lanes(<real*>NULL), n_threads)
            elif call.plan.n_chunks > 1:
                status = backward_in_chunks(&path[0, 0, 0], &call, direct.n_nodes, &joins[0], joins.shape[0],
                                            &derivs[0, 0], &deriv_columns[0], n_columns, &out[0, 0, 0], n_threads)
            elif n_coefs == 0:
                status = backward(&path[0, 0, 0], &call, <const real*>NULL, NULL, 0, &derivs[0, 0], &deriv_columns[0],
                                  n_columns, &out[0, 0, 0], n_threads)
            else:
                status = backward(&path[0, 0, 0], &call, &coefs[0, 0], &coef_columns[0], n_coefs, &derivs[0, 0],
                                  &deriv_columns[0], n_columns, &out[0, 0, 0], n_threads)
        free(places)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_coef_backprop")
