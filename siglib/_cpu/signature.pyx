"""Signatures of batches of paths, their gradients, and products of signatures.

Design. Work is cut into items (path, suffix) that need nothing from each other; any 8 doubles or 16 floats of them
make a lane group (`signature_plan.pxd` says which). One `nogil` function takes a unit, a lane group with a range of
suffixes, from path to result:

    load_group    increments.pxd            path -> increments in lanes, transformed on the way
    walk          signature_tree.pxd        all increments through the state of one item per lane
                  signature_suffix.pxd      ... the part of it that follows the suffix
    store_item    signature_groups.pxd      lanes -> rows of the result

and threads share the units (`_interruption.pxd`). Units, and the order of every sum, depend on the shapes alone: the
bits are the same for any number of threads. Small batches are cut in time and joined by Chen's identity.

Signatures of degree 1, and of degree 2 where channels are many, take no increments through trees (`two_levels.pxd`).
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, interrupted, next_unit, share
from .increments cimport FEW_ROWS, Transform, make_transform, set_time_words, sets_time_words
from .lanes cimport aligned_malloc, ceil_div, fill_inverse, n_lanes, real, vd, vf
from .signature_groups cimport (
    gather_letters,
    load_group,
    load_item,
    make_order,
    scatter_letters,
    store_group,
    store_item,
    store_last_points,
    suffix_letters,
    suffix_of_lane,
)
from .signature_plan cimport (
    SignaturePlan,
    fits,
    group_size,
    make_plan,
    n_copies,
    n_rows_of,
    n_suffix_sets,
    padded_rows_of,
)
from .signature_suffix cimport BLOCK, PAIR
from .signature_tree cimport walk
from .signature_tree_backprop cimport walk_backprop
from .tensor_algebra cimport product, product_backprop
from .two_levels cimport TwoLevels, make_two_levels, takes_two_levels

include "signature_two_levels.pxi"
include "signature_two_levels_backprop.pxi"

cdef struct SignatureScratch:
    # One thread's memory, in numbers: dx | xw | inverse | ending | tree | work.
    size_t xw, inverse, ending, tree, work, size


cdef SignatureScratch forward_scratch(const SignaturePlan* plan) noexcept nogil:
    cdef SignatureScratch at
    cdef Py_ssize_t level, nodes = 1, partial = plan.p * BLOCK
    for level in range(plan.p):
        partial += nodes * (plan.p - level) * BLOCK
        nodes *= plan.d
    at.xw = (plan.padded_rows + 1) * plan.d * plan.width
    at.inverse = at.xw + (plan.padded_rows * plan.s * plan.width if n_copies(plan, plan.n_groups - 1) > 1 else 0)
    at.ending = at.inverse + (plan.degree + 1) * plan.width
    at.tree = at.ending + plan.s * plan.width
    at.work = at.tree + plan.tree_size * plan.width
    at.size = at.work + partial * plan.width
    return at


cdef inline double unit_cost(const SignaturePlan* plan) noexcept nogil:
    """About how many vector operations a unit takes."""
    return <double>plan.padded_rows * plan.tree_size * n_suffix_sets(plan, 0) / plan.n_blocks


cdef inline Py_ssize_t rows_at_once(const SignaturePlan* plan) noexcept nogil:
    """How many increments are taken between two looks at signals."""
    return max(<Py_ssize_t>BLOCK, (1 << 18) // plan.tree_size // BLOCK * BLOCK)


# What is inlined everywhere else is a function of its own here, so that each part gets the registers to itself.

cdef void load(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan, Py_ssize_t group,
               real* dx) noexcept nogil:
    load_group(path, strides, plan, group, dx)


cdef void gather(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* dx,
                 Py_ssize_t* letters, real* xw) noexcept nogil:
    gather_letters(plan, group, suffix_set, dx, letters, xw)


cdef void store(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* ending,
                const real* tree, const int32_t* order, real* out, Py_ssize_t out_stride) noexcept nogil:
    store_item(plan, group, suffix_set, ending, tree, order, out, out_stride)


cdef void read(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, const real* source,
               Py_ssize_t source_stride, const int32_t* order, bint once, int depth, real* ending,
               real* tree) noexcept nogil:
    load_item(plan, group, suffix_set, source, source_stride, order, once, depth, ending, tree)


cdef void set_time(const SignaturePlan* plan, Py_ssize_t group, Py_ssize_t suffix_set, real* ending,
                   real* tree) noexcept nogil:
    """The words of time alone, as in `set_time_words`, of the items that have them; of paths that are not cut."""
    cdef Py_ssize_t suffix, n, size
    cdef int lane
    cdef double duration, power
    cdef real* word
    for lane in range(plan.width):
        suffix = suffix_of_lane(plan, group, lane, suffix_set)
        n = n_rows_of(plan, group * plan.width + lane % group_size(plan, group))
        if n <= FEW_ROWS:
            continue
        duration = plan.transform.end_time / n * n
        n = 0
        power = 1
        while n < plan.s and suffix >= 0 and suffix % plan.d == plan.d - 1:
            suffix //= plan.d
            n += 1
            power = power * (duration * (1.0 / n))
            ending[(n - 1) * plan.width + lane] = <real>power
        if n < plan.s or suffix < 0:
            continue
        word = tree + lane
        size = 1
        for n in range(plan.s + 1, plan.degree + 1):
            size *= plan.d
            power = power * (duration * (1.0 / n))
            word[(size - 1) * plan.width] = <real>power
            word = word + size * plan.width


cdef void forward_unit(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan, const int32_t* order,
                       Py_ssize_t unit, real* scratch, Py_ssize_t* loaded, Py_ssize_t* letters, void** pointers,
                       real* out, Py_ssize_t out_stride) noexcept nogil:
    """The signatures' coefficients that belong to one unit; `loaded` is the group whose increments the scratch memory
    holds."""
    cdef SignatureScratch at = forward_scratch(plan)
    cdef Py_ssize_t group = unit // plan.n_blocks, block = unit % plan.n_blocks, n_sets = n_suffix_sets(plan, group)
    cdef Py_ssize_t suffix_set, size, first, stop, spent = 0, xw_stride = plan.d
    cdef Py_ssize_t padded_rows = padded_rows_of(plan, group)
    cdef bint gathered = n_copies(plan, group) > 1
    cdef int k
    cdef void** T = pointers + plan.s
    cdef const real* dx
    if loaded[0] != group:
        load(path, strides, plan, group, scratch)
        fill_inverse(scratch + at.inverse, plan.degree, plan.width)
        loaded[0] = group
    size = 0
    for k in range(plan.p - 1, -1, -1):
        T[k] = scratch + at.tree + size * plan.width
        size = (size + 1) * plan.d
    for suffix_set in range(n_sets * block // plan.n_blocks, n_sets * (block + 1) // plan.n_blocks):
        if gathered:
            xw_stride = plan.s
            gather(plan, group, suffix_set, scratch, letters, scratch + at.xw)
        else:
            suffix_letters(plan, suffix_set, letters)
        for k in range(plan.s):
            pointers[k] = scratch + ((padded_rows - 1) * xw_stride * plan.width
                                     + (at.xw + k * plan.width if gathered else letters[k] * plan.width))
        memset(scratch + at.ending, 0, (at.work - at.ending) * sizeof(real))
        stop = padded_rows
        while stop > 0:
            first = max(<Py_ssize_t>0, stop - rows_at_once(plan))
            dx = scratch + first * plan.d * plan.width
            if real is double:
                walk(<const vd*>dx, stop - first, <vd**>pointers, xw_stride, <vd*>(scratch + at.ending), <vd**>T,
                     <vd*>(scratch + at.inverse), <vd*>(scratch + at.work), plan.d, plan.p, plan.s)
            else:
                walk(<const vf*>dx, stop - first, <vf**>pointers, xw_stride, <vf*>(scratch + at.ending), <vf**>T,
                     <vf*>(scratch + at.inverse), <vf*>(scratch + at.work), plan.d, plan.p, plan.s)
            if due(&spent, (stop - first) * plan.tree_size):
                return
            stop = first
        if plan.n_chunks == 1 and sets_time_words(&plan.transform, scratch):
            set_time(plan, group, suffix_set, scratch + at.ending, scratch + at.tree)
        store(plan, group, suffix_set, scratch + at.ending, scratch + at.tree, order, out, out_stride)


cdef int forward(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan, real* out,
                 Py_ssize_t out_stride, int n_threads) noexcept nogil:
    """Signatures of all virtual paths into rows of `out`; -1 if memory is short."""
    cdef SignatureScratch at = forward_scratch(plan)
    # Per thread: the numbers, then the pointers, the letters, and the loaded group.
    cdef size_t numbers = (at.size * sizeof(real) + 63) // 64 * 64
    cdef size_t n_pointers = plan.s + plan.p
    cdef size_t per_thread = (numbers + (n_pointers + plan.s + 1) * sizeof(void*) + 63) // 64 * 64
    cdef Py_ssize_t unit, end, n_units = plan.n_groups * plan.n_blocks
    cdef int thread
    cdef char* mine
    cdef Watch* loop
    n_threads = <int>min(<Py_ssize_t>n_threads, n_units)
    cdef void* raw = NULL
    cdef char* memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    cdef int32_t* order = <int32_t*>malloc(plan.tree_size * sizeof(int32_t))
    if memory == NULL or order == NULL:
        free(raw)
        free(order)
        return -1
    make_order(plan, order)
    for thread in range(n_threads):
        (<Py_ssize_t*>(memory + thread * per_thread + numbers))[n_pointers + plan.s] = -1
    loop = share(n_units, unit_cost(plan), n_threads)
    with parallel(num_threads=n_threads):
        mine = memory + threadid() * per_thread
        unit = end = 0
        while next_unit(loop, &unit, &end):
            forward_unit(path, strides, plan, order, unit, <real*>mine,
                         <Py_ssize_t*>(mine + numbers) + n_pointers + plan.s,
                         <Py_ssize_t*>(mine + numbers) + n_pointers, <void**>(mine + numbers), out, out_stride)
    free(raw)
    free(order)
    return 0


cdef int joined_forward(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan, real* out,
                        Py_ssize_t out_stride, int n_threads) noexcept nogil:
    """Signatures of all paths, those of chunks joined; -1 if memory is short."""
    cdef Py_ssize_t b, c, n = plan.n_words
    cdef int status
    cdef real* virtual
    cdef real* mine
    cdef real* row
    if not fits(plan):
        return -1
    if plan.n_chunks == 1:
        return forward(path, strides, plan, out, out_stride, n_threads)
    virtual = <real*>malloc(plan.n_virtual * n * sizeof(real))
    if virtual == NULL:
        return -1
    status = forward(path, strides, plan, virtual, n, n_threads)
    if status == 0:
        for b in range(plan.n_paths):
            if interrupted():
                break
            mine = virtual + b * plan.n_chunks * n
            row = out + (b if plan.rows == NULL else <Py_ssize_t>plan.rows[b]) * out_stride
            # The first product may write to `out` while it reads `virtual`; the others run in place.
            product(mine, mine + n, row, plan.d, plan.degree)
            for c in range(2, plan.n_chunks):
                product(row, mine + c * n, row, plan.d, plan.degree)
            if sets_time_words(&plan.transform, virtual) and n_rows_of(plan, b) > FEW_ROWS:
                set_time_words(plan.transform.end_time, plan.d, plan.degree, row)
    free(virtual)
    return status


cdef void powers(const real[:, :, :] path, real[:, ::1] out, bint scalar_term) noexcept nogil:
    """Signatures of paths with one channel: the powers X^n / n! of the total increment, whatever the degree."""
    cdef Py_ssize_t b, n, spent = 0
    cdef real total, power
    for b in range(path.shape[0]):
        if due(&spent, path.shape[1] + out.shape[1]):
            return
        total = total_increment(path, b)
        power = 1
        for n in range(1, out.shape[1] - scalar_term + 1):
            power = power * total / <real>n
            out[b, scalar_term + n - 1] = power


cdef void powers_backprop(const real[:, :, :] path, const real[:, ::1] sig_derivs, real[:, :, ::1] out,
                          bint scalar_term) noexcept nogil:
    """Adjoint of `powers`: the derivative of X^n / n! is X^(n-1) / (n-1)!, and X is the last point minus the first."""
    cdef Py_ssize_t b, n, spent = 0
    cdef real total, power, derivative
    for b in range(path.shape[0]):
        if due(&spent, path.shape[1] + sig_derivs.shape[1]):
            return
        total = total_increment(path, b)
        power = 1
        derivative = 0
        for n in range(1, sig_derivs.shape[1] - scalar_term + 1):
            derivative += sig_derivs[b, scalar_term + n - 1] * power
            power = power * total / <real>n
        out[b, :, 0] = 0
        out[b, path.shape[1] - 1, 0] = derivative
        out[b, 0, 0] = -derivative


cdef inline real total_increment(const real[:, :, :] path, Py_ssize_t b) noexcept nogil:
    """Last point minus first, as a sum of increments: NaN and infinity on the way count."""
    cdef Py_ssize_t row
    cdef real total = 0
    for row in range(path.shape[1] - 1):
        total += path[b, row + 1, 0] - path[b, row, 0]
    return total


def sig(const real[:, :, :] path, real[:, ::1] out, Py_ssize_t degree, bint scalar_term, object transform,
        int n_threads):
    """path (batch, length, dimension); out (batch, scalar_term + D + ... + D^degree)."""
    cdef Transform t = make_transform(path.shape[1], path.shape[2], transform)
    cdef SignaturePlan plan
    cdef TwoLevels job
    cdef Watch watch
    cdef Watch* loop
    cdef Py_ssize_t b, end, n_paths = path.shape[0], n_words = out.shape[1] - scalar_term
    cdef Py_ssize_t[3] strides
    cdef int k, status
    if scalar_term:
        out[:, 0] = 1
    if n_paths == 0 or n_words == 0:
        return
    if t.n_rows == 0:
        out[:, scalar_term:] = 0
        return
    for k in range(3):
        strides[k] = path.strides[k] // <Py_ssize_t>sizeof(real)
    if degree == 1:
        begin_watch(&watch)
        loop = share(n_paths, t.d, n_threads)
        with nogil, parallel(num_threads=n_threads):
            b = end = 0
            while next_unit(loop, &b, &end):
                one_level(&path[b, 0, 0], strides, &t, &out[b, scalar_term])
        end_watch(&watch)
        return
    if t.d == 1:
        begin_watch(&watch)
        powers(path, out, scalar_term)
        end_watch(&watch)
        return
    with nogil:
        begin_watch(&watch)
        plan = make_plan(&t, n_paths, degree, n_lanes(<real*>NULL), n_lanes(<real*>NULL) * sizeof(real), False)
        if takes_two_levels(&t, degree):
            job = make_two_levels(&t, n_paths, strides, n_lanes(<real*>NULL))
            status = two_levels(&path[0, 0, 0], &job, &out[0, scalar_term], out.shape[1], n_threads)
        else:
            status = joined_forward(&path[0, 0, 0], strides, &plan, &out[0, scalar_term], out.shape[1], n_threads)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig")


cdef struct SignatureBackpropScratch:
    # One thread's memory, in numbers: dx | gx | xw | gxw | inverse | ending | ending_g | S | G | work.
    size_t gx, xw, gxw, inverse, ending, ending_g, S, G, work, size


cdef SignatureBackpropScratch backprop_scratch(const SignaturePlan* plan) noexcept nogil:
    cdef SignatureBackpropScratch at
    cdef size_t rows = plan.padded_rows * plan.width
    cdef size_t gathered = rows * plan.s if n_copies(plan, plan.n_groups - 1) > 1 else 0
    cdef Py_ssize_t level, nodes = 1, partial = 3 * plan.p * PAIR + plan.s * (PAIR + 1)
    for level in range(plan.p):
        partial += nodes * (3 * (plan.p - level) - 1) * PAIR
        nodes *= plan.d
    at.gx = (plan.padded_rows + 1) * plan.d * plan.width
    # With several blocks each unit has a gradient buffer of its own, outside the scratch memory.
    at.xw = at.gx + (rows * plan.d if plan.n_blocks == 1 else 0)
    at.gxw = at.xw + gathered
    at.inverse = at.gxw + gathered
    at.ending = at.inverse + (plan.degree + 1) * plan.width
    at.ending_g = at.ending + plan.s * plan.width
    at.S = at.ending_g + plan.s * plan.width
    at.G = at.S + plan.tree_size * plan.width
    at.work = at.G + plan.tree_size * plan.width
    at.size = at.work + partial * plan.width
    return at


cdef void backward_unit(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan, const int32_t* order,
                        Py_ssize_t unit, const real* sig, const real* derivs, Py_ssize_t row_stride, real* scratch,
                        real* gx, Py_ssize_t* loaded, Py_ssize_t* letters, void** pointers) noexcept nogil:
    """gx (padded_rows, d, width) = the part of the increments' gradients that comes from one unit."""
    cdef SignatureBackpropScratch at = backprop_scratch(plan)
    cdef Py_ssize_t group = unit // plan.n_blocks, block = unit % plan.n_blocks, n_sets = n_suffix_sets(plan, group)
    cdef Py_ssize_t suffix_set, size, first, stop, spent = 0, xw_stride = plan.d
    cdef Py_ssize_t padded_rows = padded_rows_of(plan, group)
    cdef bint gathered = n_copies(plan, group) > 1
    cdef int k
    cdef void** gxw = pointers + plan.s
    cdef void** S = gxw + plan.s
    cdef void** G = S + plan.p
    if loaded[0] != group:
        load(path, strides, plan, group, scratch)
        fill_inverse(scratch + at.inverse, plan.degree, plan.width)
        loaded[0] = group
    size = 0
    for k in range(plan.p - 1, -1, -1):
        S[k] = scratch + at.S + size * plan.width
        G[k] = scratch + at.G + size * plan.width
        size = (size + 1) * plan.d
    memset(gx, 0, padded_rows * plan.d * plan.width * sizeof(real))
    for suffix_set in range(n_sets * block // plan.n_blocks, n_sets * (block + 1) // plan.n_blocks):
        read(plan, group, suffix_set, sig, row_stride, order, False, plan.p - 1, scratch + at.ending, scratch + at.S)
        read(plan, group, suffix_set, derivs, row_stride, order, True, plan.p, scratch + at.ending_g, scratch + at.G)
        if gathered:
            xw_stride = plan.s
            gather(plan, group, suffix_set, scratch, letters, scratch + at.xw)
            memset(scratch + at.gxw, 0, (at.inverse - at.gxw) * sizeof(real))
        else:
            suffix_letters(plan, suffix_set, letters)
        for k in range(plan.s):
            pointers[k] = scratch + (at.xw + k * plan.width if gathered else letters[k] * plan.width)
            gxw[k] = scratch + at.gxw + k * plan.width if gathered else gx + letters[k] * plan.width
        first = 0
        while first < padded_rows:
            stop = min(first + rows_at_once(plan), padded_rows)
            size = first * plan.d * plan.width
            if real is double:
                walk_backprop(<const vd*>(scratch + size), <vd*>(gx + size), stop - first, <vd**>pointers, <vd**>gxw,
                              xw_stride, <vd*>(scratch + at.ending), <vd*>(scratch + at.ending_g), <vd**>S, <vd**>G,
                              <vd*>(scratch + at.inverse), <vd*>(scratch + at.work), plan.d, plan.p, plan.s)
            else:
                walk_backprop(<const vf*>(scratch + size), <vf*>(gx + size), stop - first, <vf**>pointers, <vf**>gxw,
                              xw_stride, <vf*>(scratch + at.ending), <vf*>(scratch + at.ending_g), <vf**>S, <vf**>G,
                              <vf*>(scratch + at.inverse), <vf*>(scratch + at.work), plan.d, plan.p, plan.s)
            if due(&spent, 4 * (stop - first) * plan.tree_size):
                return
            first = stop
        if gathered:
            scatter_letters(plan, group, suffix_set, scratch + at.gxw, letters, gx)


cdef void reduce_blocks(const SignaturePlan* plan, Py_ssize_t group, real* gx, Py_ssize_t gx_size, real* out,
                        real* last_derivs) noexcept nogil:
    """Sum a group's gradient buffers, in their order, and store them."""
    cdef Py_ssize_t block, i
    cdef real* total = gx + group * plan.n_blocks * gx_size
    for block in range(1, plan.n_blocks):
        if interrupted():
            return
        for i in range(padded_rows_of(plan, group) * plan.d * plan.width):
            total[i] += total[block * gx_size + i]
    store_group(plan, group, total, out, last_derivs)


cdef int backward(const real* path, const Py_ssize_t* strides, const SignaturePlan* plan, const real* sig,
                  const real* derivs, Py_ssize_t row_stride, real* out, int n_threads) noexcept nogil:
    """Gradients of the paths, given the signatures of all virtual paths and their cotangents; -1 if memory is short."""
    cdef SignatureBackpropScratch at = backprop_scratch(plan)
    cdef size_t numbers = (at.size * sizeof(real) + 63) // 64 * 64
    cdef size_t n_pointers = 2 * plan.s + 2 * plan.p
    cdef size_t per_thread = (numbers + (n_pointers + plan.s + 1) * sizeof(void*) + 63) // 64 * 64
    cdef Py_ssize_t unit, end, group, n_units = plan.n_groups * plan.n_blocks
    cdef Py_ssize_t gx_size = plan.padded_rows * plan.d * plan.width
    cdef int thread
    cdef char* mine
    cdef Watch* loop
    n_threads = <int>min(<Py_ssize_t>n_threads, n_units)
    cdef void* raw = NULL
    cdef void* raw_gx = NULL
    cdef char* memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    cdef real* gx = <real*>aligned_malloc(n_units * gx_size * sizeof(real) if plan.n_blocks > 1 else 64, &raw_gx)
    cdef int32_t* order = <int32_t*>malloc(plan.tree_size * sizeof(int32_t))
    cdef real* last_derivs = <real*>malloc(plan.n_virtual * plan.transform.dimension * sizeof(real))
    if memory == NULL or gx == NULL or order == NULL or last_derivs == NULL:
        free(raw)
        free(raw_gx)
        free(order)
        free(last_derivs)
        return -1
    make_order(plan, order)
    for thread in range(n_threads):
        (<Py_ssize_t*>(memory + thread * per_thread + numbers))[n_pointers + plan.s] = -1
    loop = share(n_units, 4 * unit_cost(plan), n_threads)
    with parallel(num_threads=n_threads):
        mine = memory + threadid() * per_thread
        unit = end = 0
        while next_unit(loop, &unit, &end):
            backward_unit(path, strides, plan, order, unit, sig, derivs, row_stride, <real*>mine,
                          gx + unit * gx_size if plan.n_blocks > 1 else <real*>mine + at.gx,
                          <Py_ssize_t*>(mine + numbers) + n_pointers + plan.s,
                          <Py_ssize_t*>(mine + numbers) + n_pointers, <void**>(mine + numbers))
            if plan.n_blocks == 1:
                store_group(plan, unit, <real*>mine + at.gx, out, last_derivs)
    if plan.n_blocks > 1:
        loop = share(plan.n_groups, <double>plan.n_blocks * gx_size, n_threads)
        with parallel(num_threads=n_threads):
            group = end = 0
            while next_unit(loop, &group, &end):
                reduce_blocks(plan, group, gx, gx_size, out, last_derivs)
    store_last_points(plan, sig, derivs, row_stride, last_derivs, out)
    free(raw)
    free(raw_gx)
    free(order)
    free(last_derivs)
    return 0


cdef void chunk_cotangents(const SignaturePlan* plan, const real* virtual, const real* derivs, real* prefixes,
                           real* cotangents) noexcept nogil:
    """Cotangents of one path's chunk signatures S_1, ..., S_K, given that of their product.

    virtual, cotangents (n_chunks, n_words); prefixes (n_chunks + 1, n_words) is scratch memory for S_1 (x) ... (x)
    S_c.
    """
    cdef Py_ssize_t c, i, n = plan.n_words, last = plan.n_chunks - 1
    cdef real* total = prefixes + plan.n_chunks * n
    for i in range(n):
        prefixes[i] = virtual[i]
        total[i] = derivs[i]
    for c in range(1, last):
        product(prefixes + (c - 1) * n, virtual + c * n, prefixes + c * n, plan.d, plan.degree)
    for c in range(last, 0, -1):
        # The cotangent of the prefix takes the place of the next prefix, which is no longer needed.
        product_backprop(total, prefixes + (c - 1) * n, virtual + c * n, prefixes + c * n, cotangents + c * n, plan.d,
                         plan.degree)
        for i in range(n):
            total[i] = prefixes[c * n + i]
    for i in range(n):
        cotangents[i] = total[i]


cdef int joined_backward(const real* path, const Py_ssize_t* strides, SignaturePlan* plan, const real* sig,
                         const real* derivs, Py_ssize_t row_stride, real* out, int n_threads) noexcept nogil:
    """Gradients of all paths, through those of their chunks; -1 if memory is short."""
    cdef Py_ssize_t b, n = plan.n_words
    cdef int status = -1
    cdef real* virtual
    cdef real* cotangents
    cdef real* prefixes
    if not fits(plan):
        return -1
    if plan.n_chunks == 1:
        return backward(path, strides, plan, sig, derivs, row_stride, out, n_threads)
    virtual = <real*>malloc(plan.n_virtual * n * sizeof(real))
    cotangents = <real*>malloc(plan.n_virtual * n * sizeof(real))
    prefixes = <real*>malloc((plan.n_chunks + 1) * n * sizeof(real))
    if virtual != NULL and cotangents != NULL and prefixes != NULL:
        status = forward(path, strides, plan, virtual, n, n_threads)
    if status == 0:
        for b in range(plan.n_paths):
            if interrupted():
                break
            chunk_cotangents(plan, virtual + b * plan.n_chunks * n,
                             derivs + (b if plan.rows == NULL else <Py_ssize_t>plan.rows[b]) * row_stride, prefixes,
                             cotangents + b * plan.n_chunks * n)
        # At least one row of padding behind each chunk: see `store_group`.
        plan.padded_rows = ceil_div(plan.chunk_rows + 1, PAIR) * PAIR
        status = backward(path, strides, plan, virtual, cotangents, n, out, n_threads)
    free(virtual)
    free(cotangents)
    free(prefixes)
    return status


def sig_backprop(const real[:, :, :] path, const real[:, ::1] sig, const real[:, ::1] sig_derivs, real[:, :, ::1] out,
                 Py_ssize_t degree, bint scalar_term, object transform, int n_threads):
    """path, out (batch, length, dimension); sig, sig_derivs (batch, scalar_term + D + ... + D^degree)."""
    cdef Transform t = make_transform(path.shape[1], path.shape[2], transform)
    cdef SignaturePlan plan
    cdef TwoLevels job
    cdef Watch watch
    cdef Watch* loop
    cdef Py_ssize_t b, end, n_paths = path.shape[0], n_words = sig.shape[1] - scalar_term
    cdef Py_ssize_t strides[3]
    cdef int k, status
    if n_paths == 0 or path.shape[1] == 0:
        return
    if n_words == 0 or t.n_rows == 0:
        out[:, :, :] = 0
        return
    if degree == 1:
        begin_watch(&watch)
        loop = share(n_paths, t.length * t.dimension // 8, n_threads)
        with nogil, parallel(num_threads=n_threads):
            b = end = 0
            while next_unit(loop, &b, &end):
                one_level_backprop(&sig_derivs[b, scalar_term], &t, &out[b, 0, 0])
        end_watch(&watch)
        return
    if t.d == 1:
        begin_watch(&watch)
        powers_backprop(path, sig_derivs, out, scalar_term)
        end_watch(&watch)
        return
    for k in range(3):
        strides[k] = path.strides[k] // <Py_ssize_t>sizeof(real)
    with nogil:
        begin_watch(&watch)
        plan = make_plan(&t, n_paths, degree, n_lanes(<real*>NULL), n_lanes(<real*>NULL) * sizeof(real), True)
        if takes_two_levels(&t, degree):
            job = make_two_levels(&t, n_paths, strides, n_lanes(<real*>NULL))
            status = two_levels_backprop(&path[0, 0, 0], &sig_derivs[0, scalar_term], sig_derivs.shape[1], &job,
                                         &out[0, 0, 0], n_threads)
        else:
            status = joined_backward(&path[0, 0, 0], strides, &plan, &sig[0, scalar_term], &sig_derivs[0, scalar_term],
                                     sig.shape[1], &out[0, 0, 0], n_threads)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_backprop")


def ragged_sig(const real[:, :] points, const int64_t[::1] starts, const int64_t[::1] lengths, const int64_t[::1] rows,
               real[:, ::1] out, Py_ssize_t degree, bint scalar_term, object transform, int n_threads):
    """points (n_points, dimension); path i, of falling lengths, starts at starts[i]: its signature is row rows[i] of
    out (batch, scalar_term + D + ... + D^degree). Of degree 2 at least, and of more channels than one."""
    cdef Py_ssize_t strides[3]
    cdef SignaturePlan plan
    cdef Watch watch
    cdef int status = 0
    if scalar_term:
        out[:, 0] = 1
    if starts.shape[0] == 0 or lengths[0] < 2:
        out[:, scalar_term:] = 0
        return
    plan = ragged_plan(points, starts, lengths, rows, degree, transform, False, strides)
    with nogil:
        begin_watch(&watch)
        status = joined_forward(&points[0, 0], strides, &plan, &out[0, scalar_term], out.shape[1], n_threads)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig")


def ragged_sig_backprop(const real[:, :] points, const int64_t[::1] starts, const int64_t[::1] lengths,
                        const int64_t[::1] rows, const real[:, ::1] sig, const real[:, ::1] sig_derivs,
                        real[:, ::1] out, Py_ssize_t degree, bint scalar_term, object transform, int n_threads):
    """As `ragged_sig`; sig, sig_derivs (batch, scalar_term + D + ... + D^degree), out (n_points, dimension)."""
    cdef Py_ssize_t strides[3]
    cdef SignaturePlan plan
    cdef Watch watch
    cdef int status = 0
    out[:, :] = 0
    if starts.shape[0] == 0 or lengths[0] < 2:
        return
    plan = ragged_plan(points, starts, lengths, rows, degree, transform, True, strides)
    with nogil:
        begin_watch(&watch)
        status = joined_backward(&points[0, 0], strides, &plan, &sig[0, scalar_term], &sig_derivs[0, scalar_term],
                                 sig.shape[1], &out[0, 0], n_threads)
    end_watch(&watch)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_backprop")


cdef SignaturePlan ragged_plan(const real[:, :] points, const int64_t[::1] starts, const int64_t[::1] lengths,
                               const int64_t[::1] rows, Py_ssize_t degree, object transform, bint backward,
                               Py_ssize_t* strides):
    """The plan of the longest path, and the strides of the points, in numbers."""
    cdef Transform t = make_transform(lengths[0], points.shape[1], transform)
    cdef int width = n_lanes(<real*>NULL)
    cdef SignaturePlan plan = make_plan(&t, starts.shape[0], degree, width, width * sizeof(real), backward)
    plan.starts, plan.lengths, plan.rows = &starts[0], &lengths[0], &rows[0]
    strides[0] = 0
    strides[1] = points.strides[0] // <Py_ssize_t>sizeof(real)
    strides[2] = points.strides[1] // <Py_ssize_t>sizeof(real)
    return plan


def sig_combine(const real[:, ::1] sig1, const real[:, ::1] sig2, real[:, ::1] out, Py_ssize_t dimension,
                Py_ssize_t degree, bint scalar_term1, bint scalar_term2, int n_threads):
    """sig1, out (batch, scalar_term1 + length); sig2 (batch, scalar_term2 + length)."""
    cdef Py_ssize_t b, end
    cdef Watch watch
    cdef Watch* loop
    if out.shape[1] == scalar_term1:
        out[:, :] = 1
        return
    begin_watch(&watch)
    loop = share(out.shape[0], out.shape[1] * degree // 4, n_threads)
    with nogil, parallel(num_threads=n_threads):
        b = end = 0
        while next_unit(loop, &b, &end):
            if scalar_term1:
                out[b, 0] = 1
            product(&sig1[b, scalar_term1], &sig2[b, scalar_term2], &out[b, scalar_term1], dimension, degree)
    end_watch(&watch)


def sig_combine_backprop(const real[:, ::1] derivs, const real[:, ::1] sig1, const real[:, ::1] sig2, real[:,
                         ::1] sig1_derivs, real[:, ::1] sig2_derivs, Py_ssize_t dimension, Py_ssize_t degree,
                         bint scalar_term1, bint scalar_term2, int n_threads):
    """derivs, sig1, sig1_derivs (batch, scalar_term1 + length); sig2, sig2_derivs (batch, scalar_term2 + length)."""
    cdef Py_ssize_t b, end
    cdef Watch watch
    cdef Watch* loop
    if sig1.shape[1] == scalar_term1:
        sig1_derivs[:, :] = 0
        sig2_derivs[:, :] = 0
        return
    begin_watch(&watch)
    loop = share(sig1.shape[0], sig1.shape[1] * degree // 2, n_threads)
    with nogil, parallel(num_threads=n_threads):
        b = end = 0
        while next_unit(loop, &b, &end):
            if scalar_term1:
                sig1_derivs[b, 0] = 0
            if scalar_term2:
                sig2_derivs[b, 0] = 0
            product_backprop(&derivs[b, scalar_term1], &sig1[b, scalar_term1], &sig2[b, scalar_term2],
                             &sig1_derivs[b, scalar_term1], &sig2_derivs[b, scalar_term2], dimension, degree)
    end_watch(&watch)
