"""Branched signatures of paths whose segments have terms at chains, and the gradients with respect to both.

Design. Lanes hold 8 float64 or 16 float32 paths side by side, each with its whole branched signature X. Segments are
taken last to first, and each multiplies X by exp(l) from the left (`branched_step.pxd`), l being its increment and its
correction: what is pruned then is one chain, and no forests are needed beside what is stored.

The gradient takes the segments off again, first to last, with exp(-l), and needs no more memory than one signature, its
cotangent and the partial results of one segment, whatever the length of the path.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .branched_step cimport Flow, load_weights, step, step_backprop
from .increments cimport MOST_LANES, load_rows_backprop
from .lane_moves cimport load_columns, store_columns
from .lane_rows cimport set_rows
from .lanes cimport aligned_malloc, fill_inverse, n_lanes, real, scaled, vd, vec, vf
from .path_groups cimport Paths, fill_increments, make_paths

cdef struct Job:
    # What all lane groups of one call share.
    Paths paths
    Flow flow
    Py_ssize_t n_terms          # numbers of one row of the correction
    Py_ssize_t row_step         # numbers from one segment's row to the next; 0 if all have the same


cdef void walk(vec* x, vec* v, vec* w, vec* terms, const vec* dx, const void* const* correction, const vec* inverse,
               const Job* job) noexcept nogil:
    """All segments of one path per lane, last to first, through X."""
    cdef Py_ssize_t row, u, spent = 0, d = job.paths.transform.d, n_rows = job.paths.transform.n_rows
    for row in range(n_rows - 1, -1, -1):
        if due(&spent, job.flow.cost):
            return
        if row == n_rows - 1 or job.row_step:
            load_columns(correction, row * job.row_step, job.n_terms, terms + d)
        for u in range(d):
            terms[u] = dx[row * d + u]
        load_weights(terms, w, &job.flow)
        step(x, v, w, inverse, &job.flow)


cdef void walk_backprop(vec* x, vec* g, vec* v, vec* b, vec* w, vec* g_w, vec* terms, vec* g_terms, const vec* dx,
                        vec* gx, const void* const* correction, void* const* correction_derivs, int n_live,
                        const vec* inverse, const Job* job) noexcept nogil:
    """Adjoint of `walk`: from X and its cotangent, those of all increments and, if asked for, of the correction."""
    cdef Py_ssize_t row, u, j, spent = 0, d = job.paths.transform.d, n_rows = job.paths.transform.n_rows
    cdef Py_ssize_t n_terms = job.n_terms
    memset(<void*>g_terms, 0, (d + n_terms) * sizeof(vec))
    for row in range(n_rows):
        if due(&spent, 6 * job.flow.cost):
            return
        if row == 0 or job.row_step:
            load_columns(correction, row * job.row_step, n_terms, terms + d)
        for u in range(d):
            terms[u] = dx[row * d + u]
        load_weights(terms, w, &job.flow)
        for j in range(job.flow.n_weights):
            g_w[j] = -w[j]
        step(x, v, g_w, inverse, &job.flow)
        step_backprop(x, g, v, b, g_w, w, inverse, &job.flow)
        for j in range(job.flow.n_weights):
            u = job.flow.weight_terms[j]
            g_terms[u] = g_terms[u] + scaled(g_w[j], job.flow.weight_ways, j)
        for u in range(d):
            gx[row * d + u] = g_terms[u]
        memset(<void*>g_terms, 0, d * sizeof(vec))
        if job.row_step:
            if correction_derivs != NULL:
                store_columns(g_terms + d, correction_derivs, row * n_terms, n_terms, n_live)
            memset(<void*>(g_terms + d), 0, n_terms * sizeof(vec))
    if not job.row_step and correction_derivs != NULL:
        store_columns(g_terms + d, correction_derivs, 0, n_terms, n_live)


cdef void run_group(const real* path, const real[:, :, ::1] correction, real[:, ::1] out, Py_ssize_t group,
                    real* scratch, const Job* job) noexcept nogil:
    """Scratch memory: 1 / k, increments, l, weights, X, V."""
    cdef Py_ssize_t lane, skip = out.shape[1] - job.flow.n, width = n_lanes(scratch), d = job.paths.transform.d
    cdef int n_live
    cdef real* dx = scratch + (job.flow.degree + 1) * width
    cdef real* terms = dx + job.paths.transform.n_rows * d * width
    cdef real* w = terms + (d + job.n_terms) * width
    cdef real* x = w + job.flow.n_weights * width
    cdef real* v = x + (job.flow.n + 1) * width
    cdef void* corrections[MOST_LANES]
    cdef void* outs[MOST_LANES]
    set_rows(&correction[0, 0, 0], correction.shape[1] * correction.shape[2], group, correction.shape[0], corrections)
    n_live = set_rows(<const real*>&out[0, skip], out.shape[1], group, job.paths.batch, outs)
    fill_inverse(scratch, job.flow.degree, n_lanes(scratch))
    fill_increments(path, group, dx, &job.paths)
    memset(x, 0, (job.flow.n + 1) * width * sizeof(real))
    for lane in range(width):
        x[lane] = 1
    if real is double:
        walk(<vd*>x, <vd*>v, <vd*>w, <vd*>terms, <const vd*>dx, <const void* const*>corrections, <const vd*>scratch,
             job)
        store_columns(<const vd*>x + 1, <void* const*>outs, 0, job.flow.n, n_live)
    else:
        walk(<vf*>x, <vf*>v, <vf*>w, <vf*>terms, <const vf*>dx, <const void* const*>corrections, <const vf*>scratch,
             job)
        store_columns(<const vf*>x + 1, <void* const*>outs, 0, job.flow.n, n_live)


cdef void run_group_backprop(const real* path, const real[:, :, ::1] correction, const real[:, ::1] bsig,
                             const real[:, ::1] derivs, real[:, :, ::1] out, real[:, :, ::1] correction_derivs,
                             Py_ssize_t group, real* scratch, real* last, const Job* job) noexcept nogil:
    """Adjoint of `run_group`. Scratch memory: 1 / k, increments, their cotangents, l, its cotangent, weights, their
    cotangents, X, its cotangent, that of V, V^(degree), .., V^(2)."""
    cdef Py_ssize_t lane, row, i, skip = bsig.shape[1] - job.flow.n, width = n_lanes(scratch), d = job.paths.transform.d
    cdef Py_ssize_t n_rows = job.paths.transform.n_rows, dimension = job.paths.transform.dimension
    cdef bint wanted = correction_derivs.shape[0] > 0
    cdef int n_live
    cdef real* dx = scratch + (job.flow.degree + 1) * width
    cdef real* gx = dx + n_rows * d * width
    cdef real* terms = gx + n_rows * d * width
    cdef real* g_terms = terms + (d + job.n_terms) * width
    cdef real* w = g_terms + (d + job.n_terms) * width
    cdef real* g_w = w + job.flow.n_weights * width
    cdef real* x = g_w + job.flow.n_weights * width
    cdef real* g = x + (job.flow.n + 1) * width
    cdef real* b = g + (job.flow.n + 1) * width
    cdef real* v = b + (job.flow.n + 1) * width
    cdef void* corrections[MOST_LANES]
    cdef void* found[MOST_LANES]
    cdef void* bsigs[MOST_LANES]
    cdef void* bsig_derivs[MOST_LANES]
    set_rows(&correction[0, 0, 0], correction.shape[1] * correction.shape[2], group, correction.shape[0], corrections)
    if wanted:
        set_rows(<const real*>&correction_derivs[0, 0, 0], correction.shape[1] * correction.shape[2], group,
                 job.paths.batch, found)
    n_live = set_rows(&bsig[0, skip], bsig.shape[1], group, job.paths.batch, bsigs)
    set_rows(&derivs[0, skip], derivs.shape[1], group, job.paths.batch, bsig_derivs)
    fill_inverse(scratch, job.flow.degree, n_lanes(scratch))
    fill_increments(path, group, dx, &job.paths)
    for lane in range(width):
        x[lane] = 1
    if real is double:
        load_columns(<const void* const*>bsigs, 0, job.flow.n, <vd*>x + 1)
        load_columns(<const void* const*>bsig_derivs, 0, job.flow.n, <vd*>g + 1)
        walk_backprop(<vd*>x, <vd*>g, <vd*>v, <vd*>b, <vd*>w, <vd*>g_w, <vd*>terms, <vd*>g_terms, <const vd*>dx,
                      <vd*>gx, <const void* const*>corrections, <void* const*>found if wanted else NULL, n_live,
                      <const vd*>scratch, job)
    else:
        load_columns(<const void* const*>bsigs, 0, job.flow.n, <vf*>x + 1)
        load_columns(<const void* const*>bsig_derivs, 0, job.flow.n, <vf*>g + 1)
        walk_backprop(<vf*>x, <vf*>g, <vf*>v, <vf*>b, <vf*>w, <vf*>g_w, <vf*>terms, <vf*>g_terms, <const vf*>dx,
                      <vf*>gx, <const void* const*>corrections, <void* const*>found if wanted else NULL, n_live,
                      <const vf*>scratch, job)
    for lane in range(n_live):
        row = group * width + lane
        load_rows_backprop(gx + lane, &job.paths.transform, n_rows, <int>width, &out[row, 0, 0], last)
        for i in range(dimension):
            out[row, n_rows, i] = last[i]


cdef Job make_job(const real[:, :, :] path, const real[:, :, ::1] correction, const int64_t[:, ::1] runs,
                  const int64_t[::1] run_ends, const int32_t[::1] rows, const int32_t[::1] sources,
                  const int32_t[::1] weights, const int64_t[::1] ends, const int32_t[::1] weight_terms,
                  const real[::1] weight_ways, object transform):
    cdef Job job
    cdef Py_ssize_t k, r
    job.paths = make_paths(path, transform)
    job.flow.degree = ends.shape[0] - 1
    job.flow.n = rows.shape[0]
    job.n_terms = correction.shape[2]
    job.row_step = job.n_terms if correction.shape[1] > 1 else 0
    job.flow.n_weights = weight_terms.shape[0]
    job.flow.n_kept = job.flow.cost = 0
    for k in range(1, job.flow.degree + 1):
        job.flow.n_kept += ends[k] + 1
        for r in range(run_ends[k]):
            job.flow.cost += (runs[r, 1] - runs[r, 0]) * (runs[r, 2] + 1)
    job.flow.runs, job.flow.run_ends, job.flow.rows = &runs[0, 0], &run_ends[0], &rows[0]
    job.flow.sources, job.flow.weights, job.flow.ends = &sources[0], &weights[0], &ends[0]
    job.flow.weight_terms, job.flow.weight_ways = &weight_terms[0], &weight_ways[0]
    return job


def branched_sig(const real[:, :, :] path, const real[:, :, ::1] correction, const int64_t[:, ::1] runs,
                 const int64_t[::1] run_ends, const int32_t[::1] rows, const int32_t[::1] sources,
                 const int32_t[::1] weights, const int64_t[::1] ends, const int32_t[::1] weight_terms,
                 const real[::1] weight_ways, real[:, ::1] out, object transform, int n_threads):
    """path (batch, length, dimension); correction (batch or 1, length - 1 or 1, d^2 + .. + d^m), d channels with time;
    out (batch, coefficients, or one more for the scalar term). At least one segment and degree 1. The tables are those
    of m and d."""
    cdef Job job = make_job(path, correction, runs, run_ends, rows, sources, weights, ends, weight_terms, weight_ways,
                            transform)
    cdef Py_ssize_t group, end, width = n_lanes(<const real*>NULL), n_groups = (out.shape[0] + width - 1) // width
    cdef Py_ssize_t d = job.paths.transform.d
    cdef size_t per_thread = (job.flow.degree + 1 + (job.paths.transform.n_rows + 1) * d + job.n_terms
                              + job.flow.n_weights + 2 * (job.flow.n + 1))
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if out.shape[1] > job.flow.n:
        out[:, 0] = 1
    if n_groups == 0:
        return
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    per_thread *= width * sizeof(real)
    memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_groups, <double>job.paths.transform.n_rows * job.flow.cost, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            run_group(&path[0, 0, 0], correction, out, group, <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)


def branched_sig_backprop(const real[:, :, :] path, const real[:, :, ::1] correction, const real[:, ::1] bsig,
                          const real[:, ::1] bsig_derivs, const int64_t[:, ::1] runs,
                          const int64_t[::1] run_ends, const int32_t[::1] rows, const int32_t[::1] sources,
                          const int32_t[::1] weights, const int64_t[::1] ends, const int32_t[::1] weight_terms,
                          const real[::1] weight_ways, const int64_t[:, ::1] source_ends,
                          const int32_t[::1] source_targets, const int32_t[::1] source_weights,
                          const int64_t[:, ::1] weight_ends, const int32_t[::1] weight_targets,
                          const int32_t[::1] weight_sources, real[:, :, ::1] out, real[:, :, ::1] correction_derivs,
                          object transform, int n_threads):
    """Adjoint of `branched_sig`. bsig, bsig_derivs as its result; out like path; correction_derivs (batch, as
    correction), or empty if not wanted."""
    cdef Job job = make_job(path, correction, runs, run_ends, rows, sources, weights, ends, weight_terms, weight_ways,
                            transform)
    cdef Py_ssize_t group, end, width = n_lanes(<const real*>NULL), n_groups = (bsig.shape[0] + width - 1) // width
    cdef Py_ssize_t d = job.paths.transform.d
    cdef size_t numbers = (job.flow.degree + 1 + 2 * (job.paths.transform.n_rows + 1) * d + 2 * job.n_terms
                           + 2 * job.flow.n_weights + 3 * (job.flow.n + 1) + job.flow.n_kept)
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef real* mine
    cdef Watch watch
    cdef Watch* loop
    job.flow.m = source_ends.shape[1] - 1
    job.flow.source_ends, job.flow.weight_ends = &source_ends[0, 0], &weight_ends[0, 0]
    job.flow.source_targets, job.flow.source_weights = &source_targets[0], &source_weights[0]
    job.flow.weight_targets, job.flow.weight_sources = &weight_targets[0], &weight_sources[0]
    if n_groups == 0:
        return
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    per_thread = numbers * width * sizeof(real)
    # Behind the vectors: the gradient of one last point.
    per_thread += (job.paths.transform.dimension * sizeof(real) + 63) // 64 * 64
    memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_groups, 6 * <double>job.paths.transform.n_rows * job.flow.cost, n_threads)
    with nogil, parallel(num_threads=n_threads):
        mine = <real*>(memory + threadid() * per_thread)
        group = end = 0
        while next_unit(loop, &group, &end):
            run_group_backprop(&path[0, 0, 0], correction, bsig, bsig_derivs, out, correction_derivs, group, mine,
                               mine + numbers * width, &job)
    free(raw)
    end_watch(&watch)
