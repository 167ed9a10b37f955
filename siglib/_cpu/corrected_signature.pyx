"""Signatures of paths whose segments have terms of higher levels, and the gradients with respect to both.

Design. Lanes hold 8 float64 or 16 float32 paths side by side, each with its whole signature; increments are multiplied
from the right, first to last (`corrected_step.pxd`). The gradient takes them off again, last to first, and needs no
more memory than one signature, its cotangent and the partial results of one step, whatever the length of the path.

    fill       path -> increments in lanes (increments.pxd)
    walk       the correction to lanes, a segment at a time (lanes that share it read the same row of memory), and
    step       signature_after = signature_before (x) exp(increment + correction)

A unit of work is a lane group. What it computes depends on the shapes alone.
"""

from cython.parallel cimport parallel, threadid
from libc.stdlib cimport free
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .corrected_step cimport step, step_backprop
from .increments cimport (
    MOST_LANES,
    Transform,
    load_rows,
    load_rows_backprop,
    load_time,
    make_transform,
    set_time_words_of_lanes,
    sets_time_words,
)
from .lane_moves cimport load_columns, store_columns
from .lanes cimport aligned_malloc, ceil_div, fill_inverse, n_lanes, real, vd, vec, vf
from .tensor_log cimport level_start

cdef struct CorrectedJob:
    # What all lane groups of one call share. Strides count numbers.
    Transform transform
    Py_ssize_t degree
    Py_ssize_t m                # highest level of the correction
    Py_ssize_t n_terms          # numbers of one row of it, levels 2..m
    Py_ssize_t row_step         # numbers from one segment's row to the next; 0 if all have the same
    Py_ssize_t n_words
    Py_ssize_t n_partial        # numbers of V^(2), V^(3), ..
    Py_ssize_t batch
    Py_ssize_t path_stride, point_stride, channel_stride
    bint scalar_term


cdef void walk(vec* s, vec* v, const vec* dx, vec* c, const void* const* terms, const vec* inverse,
               const CorrectedJob* job) noexcept nogil:
    """All segments of one path per lane, through S."""
    cdef Py_ssize_t row, spent = 0, d = job.transform.d, degree = job.degree, m = job.m
    for row in range(job.transform.n_rows):
        if due(&spent, m * job.n_words):
            return
        if row == 0 or job.row_step:
            load_columns(terms, row * job.row_step, job.n_terms, c)
        if d == 2 and m == 2:
            step(s, v, dx, c, inverse, 2, degree, 2)
        elif d == 3 and m == 2:
            step(s, v, dx, c, inverse, 3, degree, 2)
        elif d == 4 and m == 2:
            step(s, v, dx, c, inverse, 4, degree, 2)
        elif d == 5 and m == 2:
            step(s, v, dx, c, inverse, 5, degree, 2)
        else:
            step(s, v, dx, c, inverse, d, degree, m)
        dx = dx + d


cdef inline void store_border(const vec* s, const vec* g, vec* sums, void* const* borders, Py_ssize_t side,
                              int n_live, const CorrectedJob* job) noexcept nogil:
    """The gradient of an increment of zero behind S, without time, to the rows of `borders`: side 0 or 1 of them."""
    cdef Py_ssize_t u, i, d = job.transform.d, dimension = job.transform.dimension
    for i in range(dimension):
        sums[i] = g[i]
    for u in range(level_start(d, job.degree)):
        for i in range(dimension):
            sums[i] = sums[i] + s[u] * g[d + u * d + i]
    store_columns(sums, borders, side * dimension, dimension, n_live)


cdef void walk_backprop(vec* s, vec* g, vec* v, vec* b, vec* minus, const vec* dx, vec* gx, vec* c, vec* gc,
                        const void* const* terms, void* const* term_derivs, void* const* borders, int n_live,
                        const vec* inverse, const CorrectedJob* job) noexcept nogil:
    """Adjoint of `walk`: from S and its cotangent, those of all increments and, if asked for, of the correction and of
    increments of zero at both ends."""
    cdef Py_ssize_t row, spent = 0, d = job.transform.d, degree = job.degree, m = job.m, n_terms = job.n_terms
    memset(<void*>gx, 0, job.transform.n_rows * d * sizeof(vec))
    memset(<void*>gc, 0, n_terms * sizeof(vec))
    if borders != NULL:
        store_border(s, g, minus, borders, 1, n_live, job)
    for row in range(job.transform.n_rows - 1, -1, -1):
        if due(&spent, 4 * m * job.n_words):
            return
        if row == job.transform.n_rows - 1 or job.row_step:
            load_columns(terms, row * job.row_step, n_terms, c)
        if d == 2 and m == 2:
            step_backprop(s, g, v, b, minus, dx + row * d, c, gx + row * d, gc, inverse, 2, degree, 2, 4)
        elif d == 3 and m == 2:
            step_backprop(s, g, v, b, minus, dx + row * d, c, gx + row * d, gc, inverse, 3, degree, 2, 9)
        elif d == 4 and m == 2:
            step_backprop(s, g, v, b, minus, dx + row * d, c, gx + row * d, gc, inverse, 4, degree, 2, 16)
        elif d == 5 and m == 2:
            step_backprop(s, g, v, b, minus, dx + row * d, c, gx + row * d, gc, inverse, 5, degree, 2, 25)
        else:
            step_backprop(s, g, v, b, minus, dx + row * d, c, gx + row * d, gc, inverse, d, degree, m, n_terms)
        if job.row_step:
            if term_derivs != NULL:
                store_columns(gc, term_derivs, row * n_terms, n_terms, n_live)
            memset(<void*>gc, 0, n_terms * sizeof(vec))
    if not job.row_step and term_derivs != NULL:
        store_columns(gc, term_derivs, 0, n_terms, n_live)
    if borders != NULL:
        store_border(s, g, minus, borders, 0, n_live, job)


cdef void fill(const real* path, Py_ssize_t group, real* inverse, real* dx, const CorrectedJob* job) noexcept nogil:
    """1 / k for k = 1..degree, and the increments of a lane group; lanes behind the last path repeat it."""
    cdef Py_ssize_t lane, d = job.transform.d, width = n_lanes(dx)
    cdef double start[MOST_LANES]
    cdef double stop[MOST_LANES]
    fill_inverse(inverse, job.degree, width)
    for lane in range(width):
        load_rows(path + min(group * width + lane, job.batch - 1) * job.path_stride, job.point_stride,
                  job.channel_stride, &job.transform, 0, job.transform.n_rows, dx + lane, d * width, <int>width)
        start[lane] = 0
        stop[lane] = job.transform.n_rows
    if job.transform.time_aug:
        load_time(&job.transform, start, stop, job.transform.n_rows, dx + (d - 1) * width, d * width)


cdef void run_group(const real* path, const real[:, :, ::1] correction, real[:, ::1] out, Py_ssize_t group,
                    real* scratch, const CorrectedJob* job) noexcept nogil:
    """Scratch memory: 1 / k, increments, correction, S, V."""
    cdef Py_ssize_t lane, row, width = n_lanes(scratch), d = job.transform.d
    cdef int n_live = <int>min(width, job.batch - group * width)
    cdef real* dx = scratch + (job.degree + 1) * width
    cdef real* c = dx + job.transform.n_rows * d * width
    cdef real* s = c + job.n_terms * width
    cdef real* v = s + job.n_words * width
    cdef void* terms[MOST_LANES]
    cdef void* outs[MOST_LANES]
    cdef double durations[MOST_LANES]
    for lane in range(width):
        row = min(group * width + lane, job.batch - 1)
        terms[lane] = <void*>&correction[row if correction.shape[0] > 1 else 0, 0, 0]
        outs[lane] = &out[row, 0] + job.scalar_term
    fill(path, group, scratch, dx, job)
    memset(s, 0, job.n_words * width * sizeof(real))
    if real is double:
        walk(<vd*>s, <vd*>v, <const vd*>dx, <vd*>c, <const void* const*>terms, <const vd*>scratch, job)
        store_columns(<const vd*>s, <void* const*>outs, 0, job.n_words, n_live)
    else:
        walk(<vf*>s, <vf*>v, <const vf*>dx, <vf*>c, <const void* const*>terms, <const vf*>scratch, job)
        if sets_time_words(&job.transform, s):
            for lane in range(width):
                durations[lane] = job.transform.time_step * job.transform.n_rows
            set_time_words_of_lanes(durations, d, job.degree, <float*>s)
        store_columns(<const vf*>s, <void* const*>outs, 0, job.n_words, n_live)
    if job.scalar_term:
        for lane in range(n_live):
            out[group * width + lane, 0] = 1


cdef void run_group_backprop(const real* path, const real[:, :, ::1] correction, const real[:, ::1] sig,
                             const real[:, ::1] derivs, real[:, :, ::1] out, real[:, :, ::1] correction_derivs,
                             real* borders, Py_ssize_t group, real* scratch, real* last,
                             const CorrectedJob* job) noexcept nogil:
    """Adjoint of `run_group`. Scratch memory: 1 / k, increments, their cotangents, correction, its cotangent, minus
    both, S, G, b, V."""
    cdef Py_ssize_t lane, row, i, width = n_lanes(scratch), d = job.transform.d
    cdef Py_ssize_t dimension = job.transform.dimension, length = job.transform.length
    cdef int n_live = <int>min(width, job.batch - group * width)
    cdef real* dx = scratch + (job.degree + 1) * width
    cdef real* gx = dx + job.transform.n_rows * d * width
    cdef real* c = gx + job.transform.n_rows * d * width
    cdef real* gc = c + job.n_terms * width
    cdef real* minus = gc + job.n_terms * width
    cdef real* s = minus + (job.n_terms + d) * width
    cdef real* g = s + job.n_words * width
    cdef real* b = g + job.n_words * width
    cdef real* v = b + job.n_words * width
    cdef void* terms[MOST_LANES]
    cdef void* term_derivs[MOST_LANES]
    cdef void* sigs[MOST_LANES]
    cdef void* sig_derivs[MOST_LANES]
    cdef void* border_rows[MOST_LANES]
    cdef bint wanted = correction_derivs.shape[0] > 0
    for lane in range(width):
        row = min(group * width + lane, job.batch - 1)
        terms[lane] = <void*>&correction[row if correction.shape[0] > 1 else 0, 0, 0]
        term_derivs[lane] = &correction_derivs[row, 0, 0] if wanted else NULL
        sigs[lane] = <void*>(&sig[row, 0] + job.scalar_term)
        sig_derivs[lane] = <void*>(&derivs[row, 0] + job.scalar_term)
        border_rows[lane] = borders + row * 2 * dimension if borders != NULL else NULL
    fill(path, group, scratch, dx, job)
    if real is double:
        load_columns(<const void* const*>sigs, 0, job.n_words, <vd*>s)
        load_columns(<const void* const*>sig_derivs, 0, job.n_words, <vd*>g)
        walk_backprop(<vd*>s, <vd*>g, <vd*>v, <vd*>b, <vd*>minus, <const vd*>dx, <vd*>gx, <vd*>c, <vd*>gc,
                      <const void* const*>terms, <void* const*>term_derivs if wanted else NULL,
                      <void* const*>border_rows if borders != NULL else NULL, n_live, <const vd*>scratch, job)
    else:
        load_columns(<const void* const*>sigs, 0, job.n_words, <vf*>s)
        load_columns(<const void* const*>sig_derivs, 0, job.n_words, <vf*>g)
        walk_backprop(<vf*>s, <vf*>g, <vf*>v, <vf*>b, <vf*>minus, <const vf*>dx, <vf*>gx, <vf*>c, <vf*>gc,
                      <const void* const*>terms, <void* const*>term_derivs if wanted else NULL,
                      <void* const*>border_rows if borders != NULL else NULL, n_live, <const vf*>scratch, job)
    for lane in range(n_live):
        row = group * width + lane
        load_rows_backprop(gx + lane, &job.transform, job.transform.n_rows, <int>width, &out[row, 0, 0], last)
        for i in range(dimension):
            out[row, length - 1, i] = last[i]


cdef CorrectedJob make_job(const real[:, :, :] path, const real[:, :, ::1] correction, Py_ssize_t degree, Py_ssize_t m,
                           bint scalar_term, object transform):
    cdef CorrectedJob job
    cdef Py_ssize_t k
    job.transform = make_transform(path.shape[1], path.shape[2], transform)
    job.degree = degree
    job.m = m
    job.n_terms = correction.shape[2]
    job.row_step = job.n_terms if correction.shape[1] > 1 else 0
    job.n_words = level_start(job.transform.d, degree + 1)
    job.n_partial = 0
    for k in range(2, degree + 1):
        job.n_partial += level_start(job.transform.d, degree - k + 2)
    job.batch = path.shape[0]
    job.path_stride = path.strides[0] // <Py_ssize_t>sizeof(real)
    job.point_stride = path.strides[1] // <Py_ssize_t>sizeof(real)
    job.channel_stride = path.strides[2] // <Py_ssize_t>sizeof(real)
    job.scalar_term = scalar_term
    return job


def sig(const real[:, :, :] path, const real[:, :, ::1] correction, real[:, ::1] out, Py_ssize_t degree, Py_ssize_t m,
        bint scalar_term, object transform, int n_threads):
    """path (batch, length, dimension); correction (batch or 1, length - 1 or 1, d^2 + .. + d^m), d channels with time;
    out (batch, scalar_term + length). At least one segment; degree and m at least 2."""
    cdef CorrectedJob job = make_job(path, correction, degree, m, scalar_term, transform)
    cdef Py_ssize_t group, end, width = n_lanes(<const real*>NULL), n_groups = ceil_div(job.batch, width)
    cdef size_t per_thread = job.degree + 1 + job.transform.n_rows * job.transform.d + job.n_terms + 2 * job.n_words
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if n_groups == 0:
        return
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    per_thread *= width * sizeof(real)
    memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_groups, <double>job.transform.n_rows * job.m * job.n_words, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            run_group(&path[0, 0, 0], correction, out, group, <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)


cdef int backprop(const real[:, :, :] path, const real[:, :, ::1] correction, const real[:, ::1] sig,
                  const real[:, ::1] sig_derivs, real[:, :, ::1] out, real[:, :, ::1] correction_derivs, real* borders,
                  Py_ssize_t degree, Py_ssize_t m, bint scalar_term, object transform,
                  int n_threads) except -1:
    """`sig_backprop`, and the gradients of increments of zero at both ends to borders (batch, 2, dimension), or
    NULL."""
    cdef CorrectedJob job = make_job(path, correction, degree, m, scalar_term, transform)
    cdef Py_ssize_t group, end, width = n_lanes(<const real*>NULL), n_groups = ceil_div(job.batch, width)
    cdef Py_ssize_t rows = job.transform.n_rows * job.transform.d
    cdef size_t numbers = (job.degree + 1 + 2 * rows + 3 * job.n_terms + job.transform.d + 3 * job.n_words
                           + job.n_partial)
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef real* mine
    cdef Watch watch
    cdef Watch* loop
    if n_groups == 0:
        return 0
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    per_thread = numbers * width * sizeof(real)
    # Behind the vectors: the gradient of one last point.
    per_thread += (job.transform.dimension * sizeof(real) + 63) // 64 * 64
    memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_groups, 4 * <double>job.transform.n_rows * job.m * job.n_words, n_threads)
    with nogil, parallel(num_threads=n_threads):
        mine = <real*>(memory + threadid() * per_thread)
        group = end = 0
        while next_unit(loop, &group, &end):
            run_group_backprop(&path[0, 0, 0], correction, sig, sig_derivs, out, correction_derivs, borders, group,
                               mine, mine + numbers * width, &job)
    free(raw)
    end_watch(&watch)
    return 0


def sig_backprop(const real[:, :, :] path, const real[:, :, ::1] correction, const real[:, ::1] sig,
                 const real[:, ::1] sig_derivs, real[:, :, ::1] out, real[:, :, ::1] correction_derivs,
                 Py_ssize_t degree, Py_ssize_t m, bint scalar_term, object transform, int n_threads):
    """Adjoint of `sig`. sig, sig_derivs (batch, scalar_term + length); out like path; correction_derivs (batch, as
    correction), or empty if not wanted."""
    backprop(path, correction, sig, sig_derivs, out, correction_derivs, <real*>NULL, degree, m, scalar_term, transform,
             n_threads)


def sig_of_chunks_backprop(const real[:, :, :] path, const real[:, :, ::1] correction, const real[:, ::1] sig,
                           const real[:, ::1] sig_derivs, real[:, :, ::1] out, real[:, :, ::1] correction_derivs,
                           real[:, :, ::1] borders, Py_ssize_t degree, Py_ssize_t m, bint scalar_term, object transform,
                           int n_threads):
    """`sig_backprop` of chunks of paths; borders (batch, 2, dimension): the gradients of increments of zero in front
    of each and behind it, with the errors that its other gradients have there."""
    backprop(path, correction, sig, sig_derivs, out, correction_derivs, &borders[0, 0, 0] if path.shape[0] else NULL,
             degree, m, scalar_term, transform, n_threads)
