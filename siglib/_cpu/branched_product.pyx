"""Products of branched signatures, power series in them, which are logarithms and exponentials, and the gradients.

Design. Lanes hold 8 float64 or 16 float32 items side by side; one `nogil` function takes a lane group from rows to
rows. Sums over the cuts of trees are in `branched_cuts.pxd`. A power series without constant term is Horner's scheme
with the same sums,

    c_1 X + c_2 X * X + .. = X * (c_1 + X * (c_2 + .. X * c_N)),

where X is 0 at nothing, and every step has one node less to reach. Rows are taken downwards: trunks are smaller than
what they are cut from, so each step takes the place of the one before.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, end_watch, next_unit, share
from .branched_cuts cimport Cuts, expand, expand_backprop, multiply, multiply_backprop
from .lane_moves cimport load_columns, store_columns
from .lane_rows cimport set_rows
from .lanes cimport aligned_malloc, n_lanes, real, vd, vec, vf

cdef enum:
    MOST_LANES = 16


cdef struct Job:
    # What all lane groups of one call share.
    Cuts cuts
    Py_ssize_t batch
    Py_ssize_t skip              # 1 if rows begin with a scalar term
    Py_ssize_t n_kept            # numbers in all steps of Horner's scheme


cdef void combine_group(const void* const* bsig1, const void* const* bsig2, void* const* out, int n_live, vec one,
                        vec* scratch, const Job* job) noexcept nogil:
    """Scratch: X, Y."""
    cdef vec* x = scratch
    cdef vec* y = x + job.cuts.n_elements
    load_columns(bsig1, 0, job.cuts.n, x + 1)
    load_columns(bsig2, 0, job.cuts.n, y + 1)
    x[0] = y[0] = one
    expand(x, &job.cuts)
    multiply(x, y, y, job.cuts.n, True, &job.cuts)
    store_columns(y + 1, out, 0, job.cuts.n, n_live)


cdef void combine_group_backprop(const void* const* derivs, const void* const* bsig1, const void* const* bsig2,
                                 void* const* out1, void* const* out2, int n_live, vec one, vec* scratch,
                                 const Job* job) noexcept nogil:
    """Adjoint of `combine_group`; scratch: X, its cotangent, Y, its cotangent, that of the product."""
    cdef vec* x = scratch
    cdef vec* g_x = x + job.cuts.n_elements
    cdef vec* y = g_x + job.cuts.n_elements
    cdef vec* g_y = y + job.cuts.n + 1
    cdef vec* g = g_y + job.cuts.n + 1
    load_columns(bsig1, 0, job.cuts.n, x + 1)
    load_columns(bsig2, 0, job.cuts.n, y + 1)
    load_columns(derivs, 0, job.cuts.n, g + 1)
    x[0] = y[0] = one
    expand(x, &job.cuts)
    memset(<void*>g_x, 0, job.cuts.n_elements * sizeof(vec))
    memset(<void*>g_y, 0, (job.cuts.n + 1) * sizeof(vec))
    multiply_backprop(g, x, y, g_x, g_y, job.cuts.n, True, &job.cuts)
    expand_backprop(x, g_x, &job.cuts)
    store_columns(g_x + 1, out1, 0, job.cuts.n, n_live)
    store_columns(g_y + 1, out2, 0, job.cuts.n, n_live)


cdef void series_group(const void* const* vectors, void* const* out, int n_live, vec* scratch,
                       const Job* job) noexcept nogil:
    """Scratch: c_0, .., c_degree, X, V."""
    cdef Py_ssize_t k, degree = job.cuts.degree
    cdef vec* x = scratch + degree + 1
    cdef vec* v = x + job.cuts.n_elements
    load_columns(vectors, 0, job.cuts.n, x + 1)
    x[0] = scratch[0]
    expand(x, &job.cuts)
    for k in range(degree, 0, -1):
        v[0] = scratch[k]
        multiply(x, v, v, job.cuts.ends[degree - k + 1], False, &job.cuts)
    store_columns(v + 1, out, 0, job.cuts.n, n_live)


cdef void series_group_backprop(const void* const* vectors, const void* const* derivs, void* const* out, int n_live,
                                vec* scratch, const Job* job) noexcept nogil:
    """Adjoint of `series_group`; scratch: c_0, .., c_degree, X, its cotangent, two of V, V^(degree), .., V^(1)."""
    cdef Py_ssize_t k, n, degree = job.cuts.degree
    cdef vec* x = scratch + degree + 1
    cdef vec* g_x = x + job.cuts.n_elements
    cdef vec* g = g_x + job.cuts.n_elements
    cdef vec* g_v = g + job.cuts.n + 1
    cdef vec* v = g_v + job.cuts.n + 1
    cdef vec* above
    cdef vec* swap
    load_columns(vectors, 0, job.cuts.n, x + 1)
    load_columns(derivs, 0, job.cuts.n, g + 1)
    x[0] = scratch[0]
    expand(x, &job.cuts)
    memset(<void*>g_x, 0, job.cuts.n_elements * sizeof(vec))
    # V^(k) has the coefficients of up to degree - k nodes behind c_k.
    v[0] = scratch[degree]
    for k in range(degree, 1, -1):
        above = v + job.cuts.ends[degree - k] + 1
        above[0] = scratch[k - 1]
        multiply(x, v, above, job.cuts.ends[degree - k + 1], False, &job.cuts)
        v = above
    for k in range(1, degree + 1):
        n = job.cuts.ends[degree - k + 1]
        memset(<void*>g_v, 0, (n + 1) * sizeof(vec))
        multiply_backprop(g, x, v, g_x, g_v, n, False, &job.cuts)
        swap = g
        g = g_v
        g_v = swap
        if k < degree:
            v = v - (job.cuts.ends[degree - k - 1] + 1)
    expand_backprop(x, g_x, &job.cuts)
    store_columns(g_x + 1, out, 0, job.cuts.n, n_live)


cdef inline void fill(real* out, const real* numbers, Py_ssize_t n) noexcept nogil:
    """Each of n numbers in all lanes of a vector."""
    cdef Py_ssize_t i, lane, width = n_lanes(numbers)
    for i in range(n):
        for lane in range(width):
            out[i * width + lane] = numbers[i]


cdef void combine_unit(const real* bsig1, const real* bsig2, const real* out, Py_ssize_t stride, Py_ssize_t group,
                       real* scratch, const Job* job) noexcept nogil:
    cdef real one = 1
    cdef void* rows1[MOST_LANES]
    cdef void* rows2[MOST_LANES]
    cdef void* outs[MOST_LANES]
    cdef int n_live = set_rows(bsig1, stride, group, job.batch, rows1)
    set_rows(bsig2, stride, group, job.batch, rows2)
    set_rows(out, stride, group, job.batch, outs)
    fill(scratch, &one, 1)
    if real is double:
        combine_group(<const void* const*>rows1, <const void* const*>rows2, <void* const*>outs, n_live,
                      (<vd*>scratch)[0], <vd*>scratch, job)
    else:
        combine_group(<const void* const*>rows1, <const void* const*>rows2, <void* const*>outs, n_live,
                      (<vf*>scratch)[0], <vf*>scratch, job)


cdef void combine_unit_backprop(const real* derivs, const real* bsig1, const real* bsig2, const real* out1,
                                const real* out2, Py_ssize_t stride, Py_ssize_t group, real* scratch,
                                const Job* job) noexcept nogil:
    cdef real one = 1
    cdef void* g[MOST_LANES]
    cdef void* rows1[MOST_LANES]
    cdef void* rows2[MOST_LANES]
    cdef void* outs1[MOST_LANES]
    cdef void* outs2[MOST_LANES]
    cdef int n_live = set_rows(derivs, stride, group, job.batch, g)
    set_rows(bsig1, stride, group, job.batch, rows1)
    set_rows(bsig2, stride, group, job.batch, rows2)
    set_rows(out1, stride, group, job.batch, outs1)
    set_rows(out2, stride, group, job.batch, outs2)
    fill(scratch, &one, 1)
    if real is double:
        combine_group_backprop(<const void* const*>g, <const void* const*>rows1, <const void* const*>rows2,
                               <void* const*>outs1, <void* const*>outs2, n_live, (<vd*>scratch)[0], <vd*>scratch, job)
    else:
        combine_group_backprop(<const void* const*>g, <const void* const*>rows1, <const void* const*>rows2,
                               <void* const*>outs1, <void* const*>outs2, n_live, (<vf*>scratch)[0], <vf*>scratch, job)


cdef void series_unit(const real* vectors, const real* constants, const real* out, Py_ssize_t stride, Py_ssize_t group,
                      real* scratch, const Job* job) noexcept nogil:
    cdef void* rows[MOST_LANES]
    cdef void* outs[MOST_LANES]
    cdef int n_live = set_rows(vectors, stride, group, job.batch, rows)
    set_rows(out, stride, group, job.batch, outs)
    fill(scratch, constants, job.cuts.degree + 1)
    if real is double:
        series_group(<const void* const*>rows, <void* const*>outs, n_live, <vd*>scratch, job)
    else:
        series_group(<const void* const*>rows, <void* const*>outs, n_live, <vf*>scratch, job)


cdef void series_unit_backprop(const real* vectors, const real* derivs, const real* constants, const real* out,
                               Py_ssize_t stride, Py_ssize_t group, real* scratch, const Job* job) noexcept nogil:
    cdef void* rows[MOST_LANES]
    cdef void* g[MOST_LANES]
    cdef void* outs[MOST_LANES]
    cdef int n_live = set_rows(vectors, stride, group, job.batch, rows)
    set_rows(derivs, stride, group, job.batch, g)
    set_rows(out, stride, group, job.batch, outs)
    fill(scratch, constants, job.cuts.degree + 1)
    if real is double:
        series_group_backprop(<const void* const*>rows, <const void* const*>g, <void* const*>outs, n_live,
                              <vd*>scratch, job)
    else:
        series_group_backprop(<const void* const*>rows, <const void* const*>g, <void* const*>outs, n_live,
                              <vf*>scratch, job)


cdef Job make_job(const int64_t[::1] starts, const int32_t[::1] pruned, const int32_t[::1] trunks,
                  const real[::1] ways, const int64_t[::1] ends, const int32_t[:, ::1] products, Py_ssize_t batch,
                  Py_ssize_t length, bint extended) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t k
    job.batch = batch
    job.cuts.n = starts.shape[0] - 1
    job.skip = length - job.cuts.n
    job.cuts.n_elements = 1 + job.cuts.n + products.shape[0]
    job.cuts.n_products = products.shape[0] if extended else 0
    job.cuts.degree = ends.shape[0] - 1
    job.n_kept = 0
    for k in range(job.cuts.degree):
        job.n_kept += ends[k] + 1
    job.cuts.starts, job.cuts.pruned, job.cuts.trunks, job.cuts.ways = &starts[0], &pruned[0], &trunks[0], &ways[0]
    job.cuts.ends, job.cuts.products = &ends[0], &products[0, 0]
    return job


cdef char* make_scratch(size_t numbers, const real* tag, int n_threads, size_t* per_thread, void** raw) except NULL:
    """Memory of `numbers` vectors for each thread; `tag` only names the type."""
    per_thread[0] = numbers * n_lanes(tag) * sizeof(real)
    cdef char* memory = <char*>aligned_malloc(per_thread[0] * n_threads, raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread[0] * n_threads} bytes of scratch memory")
    return memory


def combine(const real[:, ::1] bsig1, const real[:, ::1] bsig2, const int64_t[::1] starts, const int32_t[::1] pruned,
            const int32_t[::1] trunks, const real[::1] ways, const int64_t[::1] ends, const int32_t[:, ::1] products,
            real[:, ::1] out, int n_threads):
    """out = bsig1 * bsig2, all (batch, coefficients, or one more for the scalar term, which is taken and set to be 1).
    """
    cdef Py_ssize_t group, end, n_groups
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    cdef Job job = make_job(starts, pruned, trunks, ways, ends, products, out.shape[0], out.shape[1], True)
    if job.skip:
        out[:, 0] = 1
    if job.cuts.n == 0 or job.batch == 0:
        return
    n_groups = (job.batch + n_lanes(&ways[0]) - 1) // n_lanes(&ways[0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    memory = make_scratch(job.cuts.n_elements + job.cuts.n + 1, &ways[0], n_threads, &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, pruned.shape[0], n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            combine_unit(&bsig1[0, job.skip], &bsig2[0, job.skip], &out[0, job.skip], out.shape[1], group,
                         <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)


def combine_backprop(const real[:, ::1] derivs, const real[:, ::1] bsig1, const real[:, ::1] bsig2,
                     const int64_t[::1] starts, const int32_t[::1] pruned, const int32_t[::1] trunks,
                     const real[::1] ways, const int64_t[::1] ends, const int32_t[:, ::1] products,
                     real[:, ::1] bsig1_derivs, real[:, ::1] bsig2_derivs, int n_threads):
    """Adjoint of `combine`; all arrays of its shape. The scalar terms have derivatives 0."""
    cdef Py_ssize_t group, end, n_groups
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    cdef Job job = make_job(starts, pruned, trunks, ways, ends, products, derivs.shape[0], derivs.shape[1], True)
    if job.skip:
        bsig1_derivs[:, 0] = 0
        bsig2_derivs[:, 0] = 0
    if job.cuts.n == 0 or job.batch == 0:
        return
    n_groups = (job.batch + n_lanes(&ways[0]) - 1) // n_lanes(&ways[0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    memory = make_scratch(2 * job.cuts.n_elements + 3 * (job.cuts.n + 1), &ways[0], n_threads, &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, 2 * pruned.shape[0], n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            combine_unit_backprop(&derivs[0, job.skip], &bsig1[0, job.skip], &bsig2[0, job.skip],
                                  &bsig1_derivs[0, job.skip], &bsig2_derivs[0, job.skip], derivs.shape[1], group,
                                  <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)


def series(const real[:, ::1] vectors, const int64_t[::1] starts, const int32_t[::1] pruned,
           const int32_t[::1] trunks, const real[::1] ways, const int64_t[::1] ends, const int32_t[:, ::1] products,
           const real[::1] constants, real[:, ::1] out, double scalar, bint extended, int n_threads):
    """out = c_1 X + c_2 X * X + .. of vectors (batch, coefficients, or one more, which is not read); out like them, the
    number before the coefficients being `scalar`. constants (degree + 1): 0, c_1, c_2, ...

    extended: whether X on forests of several trees is the product of its values on the trees, as for signatures, or 0,
    as for logarithms; for planar forests nothing depends on it.
    """
    cdef Py_ssize_t group, end, n_groups
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    cdef Job job = make_job(starts, pruned, trunks, ways, ends, products, out.shape[0], out.shape[1], extended)
    if job.skip:
        out[:, 0] = <real>scalar
    if job.cuts.n == 0 or job.batch == 0:
        return
    n_groups = (job.batch + n_lanes(&ways[0]) - 1) // n_lanes(&ways[0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    memory = make_scratch(job.cuts.degree + 1 + job.cuts.n_elements + job.cuts.n + 1, &ways[0], n_threads,
                          &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, 2 * pruned.shape[0], n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            series_unit(&vectors[0, job.skip], &constants[0], &out[0, job.skip], out.shape[1], group,
                        <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)


def series_backprop(const real[:, ::1] vectors, const real[:, ::1] derivs, const int64_t[::1] starts,
                    const int32_t[::1] pruned, const int32_t[::1] trunks, const real[::1] ways,
                    const int64_t[::1] ends, const int32_t[:, ::1] products, const real[::1] constants,
                    real[:, ::1] out, bint extended, int n_threads):
    """Adjoint of `series`; all arrays of its shape. The scalar terms have derivatives 0."""
    cdef Py_ssize_t group, end, n_groups
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    cdef Job job = make_job(starts, pruned, trunks, ways, ends, products, out.shape[0], out.shape[1], extended)
    if job.skip:
        out[:, 0] = 0
    if job.cuts.n == 0 or job.batch == 0:
        return
    n_groups = (job.batch + n_lanes(&ways[0]) - 1) // n_lanes(&ways[0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    memory = make_scratch(job.cuts.degree + 1 + 2 * (job.cuts.n_elements + job.cuts.n + 1) + job.n_kept, &ways[0],
                          n_threads, &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, 4 * pruned.shape[0], n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            series_unit_backprop(&vectors[0, job.skip], &derivs[0, job.skip], &constants[0], &out[0, job.skip],
                                 out.shape[1], group, <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)
