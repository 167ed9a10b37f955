"""Signatures of batches of paths, their gradients, and products of signatures.

Design. Work is cut into items (path, suffix) that need nothing from each other; any 8 doubles or 16 floats of them make a lane group
(`signature_plan.pxd` says which). One `nogil` function takes a unit, a lane group with a range of suffixes, from path to result:

    load_group    increments.pxd            path -> increments in lanes, transformed on the way
    walk          signature_tree.pxd        all increments through the state of one item per lane
    store_item    signature_groups.pxd      lanes -> rows of the result

and one `prange` shares the units. Units, and the order of every sum, depend on the shapes alone: the bits are the same for any number of
threads. Small batches of long paths are cut in time and joined by Chen's identity.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from .increments cimport Transform, make_transform
from .lanes cimport LANES_F32, LANES_F64, aligned_malloc, real, vd, vf
from .signature_groups cimport gather_letters, load_group, make_order, store_item, suffix_letters, suffix_of_lane
from .signature_plan cimport Plan, make_plan, n_copies, n_suffix_sets
from .signature_tree cimport BLOCK, walk
from .tensor_algebra cimport product, product_backprop

cdef enum:
    FORWARD_TREE_BYTES = 24 * 1024


cdef inline int n_lanes(const real* tag) noexcept nogil:
    if real is double:
        return LANES_F64
    else:
        return LANES_F32


cdef struct Scratch:
    # One thread's memory, in numbers: dx | xw | inverse | ending | tree | work.
    size_t xw, inverse, ending, tree, work, size


cdef Scratch forward_scratch(const Plan* plan) noexcept nogil:
    cdef Scratch at
    cdef Py_ssize_t level, nodes = 1, partial = plan.p * BLOCK
    for level in range(plan.p):
        partial += nodes * (plan.p - level) * BLOCK
        nodes *= plan.d
    at.xw = plan.padded_rows * plan.d * plan.width
    at.inverse = at.xw + (plan.padded_rows * plan.s * plan.width if n_copies(plan, plan.n_groups - 1) > 1 else 0)
    at.ending = at.inverse + (plan.degree + 1) * plan.width
    at.tree = at.ending + plan.s * plan.width
    at.work = at.tree + plan.tree_size * plan.width
    at.size = at.work + partial * plan.width
    return at


cdef inline void fill_inverse(const Plan* plan, real* inverse) noexcept nogil:
    cdef Py_ssize_t k
    cdef int lane
    for k in range(1, plan.degree + 1):
        for lane in range(plan.width):
            inverse[k * plan.width + lane] = <real>1 / <real>k


cdef void forward_unit(const real* path, const Py_ssize_t* strides, const Plan* plan, const int32_t* order, Py_ssize_t unit,
                       real* scratch, Py_ssize_t* loaded, Py_ssize_t* letters, void** pointers, real* out,
                       Py_ssize_t out_stride) noexcept nogil:
    """The signatures' coefficients that belong to one unit; `loaded` is the group whose increments the scratch memory holds."""
    cdef Scratch at = forward_scratch(plan)
    cdef Py_ssize_t group = unit // plan.n_blocks, block = unit % plan.n_blocks, n_sets = n_suffix_sets(plan, group)
    cdef Py_ssize_t suffix_set, size, xw_stride = plan.d
    cdef bint gathered = n_copies(plan, group) > 1
    cdef int k
    cdef void** T = pointers + plan.s
    if loaded[0] != group:
        load_group(path, strides, plan, group, True, scratch)
        fill_inverse(plan, scratch + at.inverse)
        loaded[0] = group
    size = 0
    for k in range(plan.p - 1, -1, -1):
        T[k] = scratch + at.tree + size * plan.width
        size = (size + 1) * plan.d
    for suffix_set in range(n_sets * block // plan.n_blocks, n_sets * (block + 1) // plan.n_blocks):
        if gathered:
            xw_stride = plan.s
            gather_letters(plan, group, suffix_set, scratch, letters, scratch + at.xw)
        else:
            suffix_letters(plan, suffix_set, letters)
        for k in range(plan.s):
            pointers[k] = scratch + (at.xw + k * plan.width if gathered else letters[k] * plan.width)
        memset(scratch + at.ending, 0, (at.work - at.ending) * sizeof(real))
        if real is double:
            walk(<const vd*>scratch, plan.padded_rows, <vd**>pointers, xw_stride, <vd*>(scratch + at.ending), <vd**>T,
                 <vd*>(scratch + at.inverse), <vd*>(scratch + at.work), plan.d, plan.p, plan.s)
        else:
            walk(<const vf*>scratch, plan.padded_rows, <vf**>pointers, xw_stride, <vf*>(scratch + at.ending), <vf**>T,
                 <vf*>(scratch + at.inverse), <vf*>(scratch + at.work), plan.d, plan.p, plan.s)
        store_item(plan, group, suffix_set, scratch + at.ending, scratch + at.tree, order, out, out_stride)


cdef int forward(const real* path, const Py_ssize_t* strides, const Plan* plan, real* out, Py_ssize_t out_stride,
                 int n_threads) noexcept nogil:
    """Signatures of all virtual paths into rows of `out`; -1 if memory is short."""
    cdef Scratch at = forward_scratch(plan)
    # Per thread: the numbers, then the pointers, the letters, and the loaded group.
    cdef size_t numbers = (at.size * sizeof(real) + 63) // 64 * 64
    cdef size_t n_pointers = plan.s + plan.p
    cdef size_t per_thread = (numbers + (n_pointers + plan.s + 1) * sizeof(void*) + 63) // 64 * 64
    cdef Py_ssize_t unit, n_units = plan.n_groups * plan.n_blocks
    cdef int thread
    cdef char* mine
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
    for unit in prange(n_units, schedule="dynamic", num_threads=n_threads):
        mine = memory + threadid() * per_thread
        forward_unit(path, strides, plan, order, unit, <real*>mine,
                     <Py_ssize_t*>(mine + numbers) + n_pointers + plan.s, <Py_ssize_t*>(mine + numbers) + n_pointers,
                     <void**>(mine + numbers), out, out_stride)
    free(raw)
    free(order)
    return 0


def sig(const real[:, :, :] path, real[:, ::1] out, Py_ssize_t degree, bint scalar_term, bint time_aug, bint lead_lag,
        double end_time, int n_threads):
    """path (batch, length, dimension); out (batch, scalar_term + D + ... + D^degree)."""
    cdef Transform transform = make_transform(path.shape[1], path.shape[2], time_aug, lead_lag, end_time)
    cdef Plan plan
    cdef Py_ssize_t b, c, n_paths = path.shape[0], n_words = out.shape[1] - scalar_term
    cdef Py_ssize_t[3] strides
    cdef int k, status
    cdef real* virtual
    if scalar_term:
        out[:, 0] = 1
    if n_paths == 0 or n_words == 0:
        return
    if transform.n_rows == 0:
        out[:, scalar_term:] = 0
        return
    for k in range(3):
        strides[k] = path.strides[k] // <Py_ssize_t>sizeof(real)
    with nogil:
        plan = make_plan(&transform, n_paths, degree, n_lanes(<real*>NULL), n_lanes(<real*>NULL) * sizeof(real), FORWARD_TREE_BYTES)
        if plan.n_chunks == 1:
            status = forward(&path[0, 0, 0], strides, &plan, &out[0, scalar_term], out.shape[1], n_threads)
        else:
            status = -1
            virtual = <real*>malloc(plan.n_virtual * n_words * sizeof(real))
            if virtual != NULL:
                status = forward(&path[0, 0, 0], strides, &plan, virtual, n_words, n_threads)
                for b in range(n_paths):
                    # The first product may write to `out` while it reads `virtual`; the others run in place.
                    product(virtual + b * plan.n_chunks * n_words, virtual + (b * plan.n_chunks + 1) * n_words,
                            &out[b, scalar_term], plan.d, degree)
                    for c in range(2, plan.n_chunks):
                        product(&out[b, scalar_term], virtual + (b * plan.n_chunks + c) * n_words, &out[b, scalar_term],
                                plan.d, degree)
                free(virtual)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig")
from libc.stdlib cimport calloc
cdef void expo(const real* x, real sign, real* e, Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    cdef Py_ssize_t n, u, i, size = d, off = 0
    for i in range(d):
        e[i] = sign * x[i]
    for n in range(2, degree + 1):
        for u in range(size):
            for i in range(d):
                e[off + size + u * d + i] = e[off + u] * sign * x[i] / n
        off += size
        size *= d

cdef void incs(const real[:, :, :] path, Py_ssize_t b, real* dx, bint time_aug, bint lead_lag, double end_time) noexcept nogil:
    cdef Py_ssize_t L = path.shape[1], d = path.shape[2], l, i, D = d * (2 if lead_lag else 1) + time_aug
    cdef Py_ssize_t rows = (2 * L - 1 if lead_lag else L) - 1
    for l in range(rows):
        for i in range(d):
            if lead_lag:
                dx[l * D + i] = path[b, (l + 1) // 2, i] - path[b, l // 2, i]
                dx[l * D + d + i] = path[b, (l + 2) // 2, i] - path[b, (l + 1) // 2, i]
            else:
                dx[l * D + i] = path[b, l + 1, i] - path[b, l, i]
        if time_aug:
            dx[l * D + D - 1] = <real>(end_time / rows)

def sig_backprop(const real[:, :, :] path, const real[:, :] sig, const real[:, :] sig_derivs, real[:, :, ::1] out, Py_ssize_t degree, bint scalar_term, bint time_aug, bint lead_lag, double end_time, int n_jobs):
    """path, out (batch, length, dimension); sig, sig_derivs (batch, scalar_term + D + ... + D^degree)."""
    cdef Py_ssize_t b, l, i, j, k, m, L = path.shape[1], d = path.shape[2], D = d * (2 if lead_lag else 1) + time_aug
    cdef Py_ssize_t rows = (2 * L - 1 if lead_lag else L) - 1, n = sig.shape[1] - scalar_term, size, off
    cdef real* dx = <real*>calloc(max(rows, 0) * D + 1, sizeof(real))
    cdef real* e = <real*>calloc(6 * n + 1, sizeof(real))
    cdef real* s = e + n
    cdef real* g = e + 2 * n
    cdef real* ga = e + 3 * n
    cdef real* ge = e + 4 * n
    cdef real* x
    cdef real[64] gx
    for b in range(path.shape[0]):
        for l in range(L):
            for i in range(d):
                out[b, l, i] = 0
        if degree == 0 or rows < 1:
            continue
        for i in range(n):
            s[i] = sig[b, scalar_term + i]
            g[i] = sig_derivs[b, scalar_term + i]
        incs(path, b, dx, time_aug, lead_lag, end_time)
        for l in range(rows - 1, -1, -1):
            x = dx + l * D
            expo(x, <real>-1, e, D, degree)
            product(s, e, s, D, degree)
            expo(x, <real>1, e, D, degree)
            product_backprop(g, s, e, ga, ge, D, degree)
            for i in range(n):
                g[i] = ga[i]
            for i in range(D):
                gx[i] = 0
            # e_k = e_{k-1} (x) x / k
            off = n
            size = 1
            for k in range(degree):
                size *= D
            for k in range(degree, 1, -1):
                off -= size
                size //= D
                for i in range(size):
                    for j in range(D):
                        gx[j] += ge[off + i * D + j] * e[off - size + i] / k
                        ge[off - size + i] += ge[off + i * D + j] * x[j] / k
            for j in range(D):
                gx[j] += ge[j]
            for i in range(d):
                if lead_lag:
                    out[b, (l + 1) // 2, i] += gx[i]
                    out[b, l // 2, i] -= gx[i]
                    out[b, (l + 2) // 2, i] += gx[d + i]
                    out[b, (l + 1) // 2, i] -= gx[d + i]
                else:
                    out[b, l + 1, i] += gx[i]
                    out[b, l, i] -= gx[i]
    free(dx)
    free(e)

def sig_combine(const real[:, ::1] sig1, const real[:, ::1] sig2, real[:, ::1] out, Py_ssize_t dimension, Py_ssize_t degree, bint scalar_term1, bint scalar_term2, int n_jobs):
    """sig1, out (batch, scalar_term1 + length); sig2 (batch, scalar_term2 + length)."""
    cdef Py_ssize_t b
    if out.shape[1] == scalar_term1:
        out[:, :] = 1
        return
    for b in prange(out.shape[0], nogil=True, schedule="static", num_threads=n_jobs):
        if scalar_term1:
            out[b, 0] = 1
        product(&sig1[b, scalar_term1], &sig2[b, scalar_term2], &out[b, scalar_term1], dimension, degree)

def sig_combine_backprop(const real[:, ::1] derivs, const real[:, ::1] sig1, const real[:, ::1] sig2, real[:, ::1] sig1_derivs, real[:, ::1] sig2_derivs, Py_ssize_t dimension, Py_ssize_t degree, bint scalar_term1, bint scalar_term2, int n_jobs):
    """derivs, sig1, sig1_derivs (batch, scalar_term1 + length); sig2, sig2_derivs (batch, scalar_term2 + length)."""
    cdef Py_ssize_t b
    if sig1.shape[1] == scalar_term1:
        sig1_derivs[:, :] = 0
        sig2_derivs[:, :] = 0
        return
    for b in prange(sig1.shape[0], nogil=True, schedule="static", num_threads=n_jobs):
        if scalar_term1:
            sig1_derivs[b, 0] = 0
        if scalar_term2:
            sig2_derivs[b, 0] = 0
        product_backprop(&derivs[b, scalar_term1], &sig1[b, scalar_term1], &sig2[b, scalar_term2], &sig1_derivs[b, scalar_term1], &sig2_derivs[b, scalar_term2], dimension, degree)

