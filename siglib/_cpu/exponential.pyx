"""Signatures from log-signatures, and the gradient.

Design. exp(p) - 1 is the sum of p^k / k!, so it is Horner's scheme of `tensor_log.pxi` with the constants c_k = 1 / k!,
and its adjoint is the one of the logarithm. Lanes hold 8 float64 or 16 float32 tensors side by side; one `nogil`
function takes a lane group from rows to rows. Log-signatures of methods 1 and 2 are expanded to all words on the way,
by a sparse integer matrix with one row for each word.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .lane_moves cimport load_columns, store_columns
from .lane_rows cimport set_rows
from .lanes cimport aligned_malloc, ceil_div, n_lanes, real, scaled, vd, vec, vf
from .tensor_log cimport horner_length, level_size, level_start

include "tensor_log_parts.pxi"

cdef enum:
    MAX_LANES = 16


cdef struct ExponentialJob:
    # What all lane groups of one call share; the matrix is `lyndon_cache.expansion_tables`.
    Py_ssize_t d
    Py_ssize_t degree
    Py_ssize_t batch
    Py_ssize_t skip             # numbers before the first word in a row of the log-signature
    Py_ssize_t out_skip         # and of the signature
    Py_ssize_t length           # words
    Py_ssize_t n_in             # numbers in a row of the log-signature, without the scalar term
    Py_ssize_t t_length         # numbers in t^(1), t^(2), ..
    bint expands
    const int64_t* starts
    const int32_t* rows
    const void* values


cdef void expand(const vec* words, vec* p, const ExponentialJob* job) noexcept nogil:
    """p = E words, column by column: no addition waits for the one before, as all are to different words."""
    cdef Py_ssize_t i, e, n_in = job.n_in, spent = 0
    cdef const int64_t* starts = job.starts
    cdef const int32_t* rows = job.rows
    cdef const void* values = job.values
    cdef vec x
    memset(<void*>p, 0, job.length * sizeof(vec))
    for i in range(n_in):
        if due(&spent, starts[i + 1] - starts[i]):
            return
        x = words[i]
        for e in range(starts[i], starts[i + 1]):
            p[rows[e]] = p[rows[e]] + scaled(x, values, e)


cdef void expand_backprop(const vec* g, vec* g_words, const ExponentialJob* job) noexcept nogil:
    """Adjoint of `expand`."""
    cdef Py_ssize_t i, e, n_in = job.n_in, spent = 0
    cdef const int64_t* starts = job.starts
    cdef const int32_t* rows = job.rows
    cdef const void* values = job.values
    cdef vec total
    for i in range(n_in):
        if due(&spent, starts[i + 1] - starts[i]):
            return
        # Every bracket has a word.
        total = scaled(g[rows[starts[i]]], values, starts[i])
        for e in range(starts[i] + 1, starts[i + 1]):
            total = total + scaled(g[rows[e]], values, e)
        g_words[i] = total


cdef void exp_group(const void* const* log_sig, void* const* out, int n_live, vec* scratch,
                    const ExponentialJob* job) noexcept nogil:
    """The exponentials of one log-signature per lane; scratch: c, t, p, words."""
    cdef Py_ssize_t n, start, d = job.d, degree = job.degree
    cdef vec* c = scratch
    cdef vec* t = scratch + degree + 1
    cdef vec* p = t + job.t_length
    cdef vec* words = p + job.length
    if job.expands:
        load_columns(log_sig, 0, job.n_in, words)
        expand(words, p, job)
    else:
        load_columns(log_sig, 0, job.length, p)
    horner_tails_any(p, c, t, d, degree)
    # Downwards: the words of length n are replaced when no others need them.
    for n in range(degree, 1, -1):
        start = level_start(d, n)
        multiply_level_any(p, t, p + start, c + 1, p + start, d, n)
    store_columns(p, out, 0, job.length, n_live)


cdef void exp_group_backprop(const void* const* log_sig, const void* const* derivs, void* const* out, int n_live,
                             vec* scratch, const ExponentialJob* job) noexcept nogil:
    """Adjoint of `exp_group`; scratch: c, t, its cotangent, p, its cotangent, words."""
    cdef Py_ssize_t n, spent = 0, d = job.d, degree = job.degree
    cdef vec* c = scratch
    cdef vec* t = scratch + degree + 1
    cdef vec* g_t = t + job.t_length
    cdef vec* p = g_t + job.t_length
    cdef vec* g_p = p + job.length
    cdef vec* words = g_p + job.length
    if job.expands:
        load_columns(log_sig, 0, job.n_in, words)
        expand(words, p, job)
    else:
        load_columns(log_sig, 0, job.length, p)
    horner_tails_any(p, c, t, d, degree)
    memset(<void*>g_t, 0, job.t_length * sizeof(vec))
    load_columns(derivs, 0, job.length, g_p)
    # Upwards: level n is read before longer words add to it.
    for n in range(2, degree + 1):
        if due(&spent, n * level_size(d, n)):
            return
        multiply_level_backprop_any(g_p + level_start(d, n), p, t, g_p, g_t, d, n)
    horner_tails_backprop_any(g_p, g_t, p, c, t, d, degree)
    if job.expands:
        expand_backprop(g_p, words, job)
        store_columns(words, out, 0, job.n_in, n_live)
    else:
        store_columns(g_p, out, 0, job.length, n_live)


cdef inline void fill_constants(real* c, Py_ssize_t width, Py_ssize_t degree) noexcept nogil:
    """c[k] = 1 / k! in each of `width` lanes, k = 1..degree."""
    cdef Py_ssize_t k, lane
    cdef double factor = 1
    for k in range(1, degree + 1):
        factor /= k
        for lane in range(width):
            c[k * width + lane] = <real>factor


cdef void run_group(const real[:, ::1] log_sig, real[:, ::1] out, Py_ssize_t group, real* scratch,
                    const ExponentialJob* job) noexcept nogil:
    cdef Py_ssize_t width = n_lanes(scratch), lane
    cdef int n_live = <int>min(width, job.batch - group * width)
    cdef void* rows[MAX_LANES]
    cdef void* outs[MAX_LANES]
    set_rows(&log_sig[0, 0] + job.skip, log_sig.shape[1], group, job.batch, rows)
    set_rows(<const real*>&out[0, 0] + job.out_skip, out.shape[1], group, job.batch, outs)
    fill_constants(scratch, width, job.degree)
    if real is double:
        exp_group(<const void* const*>rows, <void* const*>outs, n_live, <vd*>scratch, job)
    else:
        exp_group(<const void* const*>rows, <void* const*>outs, n_live, <vf*>scratch, job)
    if job.out_skip:
        for lane in range(n_live):
            out[group * width + lane, 0] = 1


cdef void run_group_backprop(const real[:, ::1] log_sig, const real[:, ::1] derivs, real[:, ::1] out, Py_ssize_t group,
                             real* scratch, const ExponentialJob* job) noexcept nogil:
    """Adjoint of `run_group`."""
    cdef Py_ssize_t width = n_lanes(scratch), lane
    cdef int n_live = <int>min(width, job.batch - group * width)
    cdef void* rows[MAX_LANES]
    cdef void* g[MAX_LANES]
    cdef void* outs[MAX_LANES]
    set_rows(&log_sig[0, 0] + job.skip, log_sig.shape[1], group, job.batch, rows)
    set_rows(&derivs[0, 0] + job.out_skip, derivs.shape[1], group, job.batch, g)
    set_rows(<const real*>&out[0, 0] + job.skip, out.shape[1], group, job.batch, outs)
    fill_constants(scratch, width, job.degree)
    if real is double:
        exp_group_backprop(<const void* const*>rows, <const void* const*>g, <void* const*>outs, n_live,
                           <vd*>scratch, job)
    else:
        exp_group_backprop(<const void* const*>rows, <const void* const*>g, <void* const*>outs, n_live,
                           <vf*>scratch, job)
    if job.skip:
        for lane in range(n_live):
            out[group * width + lane, 0] = 0


cdef ExponentialJob make_job(tuple tables, const real* like, Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t d,
                             Py_ssize_t degree, bint scalar_term) except *:
    """like: of the type of the tables' values, not read."""
    cdef const int64_t[::1] starts = tables[0]
    cdef const int32_t[::1] rows = tables[1]
    cdef const real[::1] values = tables[2]
    cdef ExponentialJob job
    job.d = d
    job.degree = degree
    job.batch = batch
    job.expands = starts.shape[0] > 0
    job.skip = 0 if job.expands else scalar_term
    job.out_skip = scalar_term
    job.length = level_start(d, degree + 1)
    job.n_in = n_in - job.skip
    job.t_length = horner_length(d, degree)
    job.starts = &starts[0]
    job.rows = &rows[0]
    job.values = &values[0]
    return job


def logsig_to_sig(const real[:, ::1] log_sig, tuple tables, real[:, ::1] out, Py_ssize_t dimension, Py_ssize_t degree,
                  bint scalar_term, int n_threads):
    """log_sig (batch, number of Lyndon words), or of the shape of out; out (batch, scalar_term + length).

    tables: `lyndon_cache.expansion_tables`, the expansion of brackets, a column for each: starts, rows, values; empty
    where log_sig has all words.
    """
    cdef Py_ssize_t group, end, n_groups, per_thread
    cdef int width = n_lanes(<const real*>NULL)
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if degree == 0 or out.shape[0] == 0:
        out[:, :] = 1
        return
    cdef ExponentialJob job = make_job(tables, &log_sig[0, 0], out.shape[0], log_sig.shape[1], dimension, degree,
                                       scalar_term)
    n_groups = ceil_div(job.batch, width)
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    per_thread = (degree + 1 + job.t_length + job.length + job.n_in) * width * <Py_ssize_t>sizeof(real)
    memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_groups, per_thread // sizeof(real) // width * degree, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            run_group(log_sig, out, group, <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)


def logsig_to_sig_backprop(const real[:, ::1] log_sig, const real[:, ::1] sig_derivs, tuple tables, real[:, ::1] out,
                           Py_ssize_t dimension, Py_ssize_t degree, bint scalar_term, int n_threads):
    """Adjoint of `logsig_to_sig`. log_sig, out as log_sig there; sig_derivs (batch, scalar_term + length)."""
    cdef Py_ssize_t group, end, n_groups, per_thread
    cdef int width = n_lanes(<const real*>NULL)
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if degree == 0 or out.shape[0] == 0:
        out[:, :] = 0
        return
    cdef ExponentialJob job = make_job(tables, &log_sig[0, 0], out.shape[0], log_sig.shape[1], dimension, degree,
                                       scalar_term)
    n_groups = ceil_div(job.batch, width)
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    per_thread = (degree + 1 + 2 * job.t_length + 2 * job.length + job.n_in) * width * <Py_ssize_t>sizeof(real)
    memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_groups, per_thread // sizeof(real) // width * degree, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            run_group_backprop(log_sig, sig_derivs, out, group, <real*>(memory + threadid() * per_thread), &job)
    free(raw)
    end_watch(&watch)
