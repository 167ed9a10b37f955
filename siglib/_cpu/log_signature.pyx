"""Log-signatures from signatures, and their gradient.

Design. With S = 1 + p the logarithm is Horner's scheme, t^(k) = c_(k+1) p + p (x) t^(k+1), log S = t^(0)
(`tensor_log.pxi`). One `nogil` function takes a lane group, 8 float64 or 16 float32 signatures side by side, from rows
to rows:

    load_columns      rows -> lanes: levels 1..degree-1 of the signatures, by transposes in registers (lane_moves.h)
    horner_tails      t^(degree-1), ..., t^(1): the part of the scheme that needs all words, but none of full length
    multiply_rows     t^(0) at the Lyndon words only; `lyndon.py` lists their prefixes and suffixes
    solve_projection  method 2: coordinates in the Lyndon basis, by substitution with a sparse integer matrix
    store_columns     lanes -> rows of the result

Why it is fast. The last level is most of a signature: d^degree words, of which one in `degree` is a Lyndon word. It
enters the scheme only in its last step, so only its Lyndon words are read, and computed. What is left runs at about the
speed of reading the signatures. Lanes are independent signatures, so no loop has a remainder, whatever the dimension;
sums over the cuts of a word stay in registers, for a row of words that share their prefixes. For d = 2..5 the functions
are compiled with d as a literal.

The gradient runs the same steps backwards. It needs t^(1), ..., t^(degree-1), which it computes anew; the scheme
multiplies only, so nothing else is stored. From the derivatives z of the Lyndon words (method 2: after the transposed
substitution)

    multiply_rows_backprop   g_p(w_1..w_i) += z(w) t^(1)(w_(i+1)..),  g_t^(1)(w_(i+1)..) += z(w) p(w_1..w_i)
    horner_tails_backprop    the same for t^(1), t^(2), ...: each t^(k) when its cotangent is complete

and the gradient on the last level is z at the Lyndon words and 0 elsewhere, which is written directly, without lanes.
Nothing is approximated, and p may be any tensor: the map is differentiated in all its numbers.

A batch that does not fill its last lane group computes a few remaining signatures one by one (`tensor_log_single`),
more of them in a group with dead lanes. Scratch memory is one lane group per thread. What a unit of work computes
depends on the batch alone, so the bits are the same for every number of threads.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from . cimport tensor_log_single as single
from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .lane_moves cimport gather, load_columns, store_columns
from .lanes cimport LANES_F32, LANES_F64, aligned_malloc, n_lanes, real, vd, vec, vf
from .tensor_log cimport horner_length, level_size, level_start, solve_projection, solve_projection_backprop

include "tensor_log_parts.pxi"
include "tensor_log_single_parts.pxi"

cdef enum:
    MAX_LANES = 16


cdef struct LogarithmJob:
    # What all units of work of one call share; the tables are those of `lyndon.LyndonTables` and
    # `lyndon.SparseMatrix`, which are empty where the method needs none.
    Py_ssize_t d
    Py_ssize_t degree
    int method
    bint scalar_term
    Py_ssize_t batch
    Py_ssize_t n_groups         # lane groups; then n_singles signatures one by one
    Py_ssize_t n_singles
    Py_ssize_t t_length         # numbers in t^(1), t^(2), ..; 0 if no word has two letters
    Py_ssize_t scratch_size     # bytes for each thread
    Py_ssize_t n_lyndon
    Py_ssize_t n_segments
    const int64_t* index
    const int64_t* segments
    const int32_t* entries
    const int64_t* starts
    const int32_t* columns
    const void* values


cdef void log_group(const void* const* sig, void* const* out, int n_live, vec* scratch,
                    const LogarithmJob* job) noexcept nogil:
    """The logarithms of one signature per lane. sig, out: rows without scalar term, one per lane; n_live of `out` are
    written.
    """
    cdef Py_ssize_t n, i, spent = 0, d = job.d, degree = job.degree
    cdef Py_ssize_t top = level_start(d, degree), length = level_start(d, degree + 1)
    cdef Py_ssize_t n_loaded = top if job.method else length
    cdef vec* c = scratch
    cdef vec* t = scratch + degree + 1
    cdef vec* p = t + job.t_length
    cdef vec* words = p + n_loaded
    cdef const int64_t* segment = job.segments
    load_columns(sig, 0, n_loaded, p)
    if job.t_length:
        horner_tails_any(p, c, t, d, degree)
    if job.method == 0:
        # Downwards: the words of length n are replaced when no others need them.
        for n in range(degree, 1, -1):
            multiply_level_any(p, t, p + level_start(d, n), c + 1, p + level_start(d, n), d, n)
        store_columns(p, out, 0, length, n_live)
        return
    for i in range(d):
        words[i] = p[i] if degree > 1 else gather(sig, i, words)
    for _ in range(job.n_segments):
        if due(&spent, segment[2] * segment[1] * segment[0]):
            return
        rows_of_words(p, t, words, job.index, job.entries + segment[3], segment[2], segment[1], segment[0],
                      sig if segment[0] == degree else NULL, length)
        segment += 4
    if job.method == 2:
        solve_projection(words, job.n_lyndon, job.starts, job.columns, job.values)
    store_columns(words, out, 0, job.n_lyndon, n_live)


cdef void log_group_backprop(const void* const* sig, const void* const* derivs, void* const* out, int n_live,
                             vec* scratch, const LogarithmJob* job) noexcept nogil:
    """Adjoint of `log_group`: from `derivs`, the cotangent of its result, the cotangent of `sig`."""
    cdef Py_ssize_t n, i, lane, spent = 0, d = job.d, degree = job.degree
    cdef Py_ssize_t top = level_start(d, degree), length = level_start(d, degree + 1)
    cdef Py_ssize_t n_kept = top if job.method else length
    cdef vec* c = scratch
    cdef vec* t = scratch + degree + 1
    cdef vec* g_t = t + job.t_length
    cdef vec* p = g_t + job.t_length
    cdef vec* g_p = p + top
    cdef vec* words = g_p + n_kept
    cdef const int64_t* segment = job.segments
    if job.t_length:
        load_columns(sig, 0, top, p)
        horner_tails_any(p, c, t, d, degree)
        memset(<void*>g_t, 0, job.t_length * sizeof(vec))
    if job.method == 0:
        load_columns(derivs, 0, length, g_p)
        # Upwards: level n is read before longer words add to it.
        for n in range(2, degree + 1):
            if due(&spent, n * level_size(d, n)):
                return
            multiply_level_backprop_any(g_p + level_start(d, n), p, t, g_p, g_t, d, n)
    else:
        load_columns(derivs, 0, job.n_lyndon, words)
        if job.method == 2:
            solve_projection_backprop(words, job.n_lyndon, job.starts, job.columns, job.values)
        memset(<void*>g_p, 0, top * sizeof(vec))
        for i in range(job.n_lyndon):
            if job.index[i] >= top:
                break
            g_p[job.index[i]] = words[i]
        for _ in range(job.n_segments):
            if due(&spent, segment[2] * segment[1] * segment[0]):
                return
            rows_of_words_backprop(words, p, t, g_p, g_t, job.entries + segment[3], segment[2], segment[1], segment[0])
            segment += 4
    if job.t_length:
        horner_tails_backprop_any(g_p, g_t, p, c, t, d, degree)
    store_columns(g_p, out, 0, n_kept, n_live)
    if job.method:
        for lane in range(n_live):
            if vec is vd:
                scatter_top(<const double*>words + lane, LANES_F64, <double*>out[lane], job, top, length)
            else:
                scatter_top(<const float*>words + lane, LANES_F32, <float*>out[lane], job, top, length)


cdef inline void scatter_top(const real* words, Py_ssize_t stride, real* row, const LogarithmJob* job, Py_ssize_t top,
                             Py_ssize_t length) noexcept nogil:
    """The last level of a gradient, row[top:length]: words[r * stride] at the Lyndon word of rank r, 0 elsewhere."""
    cdef Py_ssize_t i
    memset(row + top, 0, (length - top) * sizeof(real))
    for i in range(job.n_lyndon - 1, -1, -1):
        if job.index[i] < top:
            break
        row[job.index[i]] = words[i * stride]


cdef void log_single(const real* sig, real* out, real* scratch, const LogarithmJob* job) noexcept nogil:
    """The logarithm of one signature: `log_group` without lanes. sig, out: rows without scalar term."""
    cdef Py_ssize_t n, i, start, spent = 0, d = job.d, degree = job.degree
    cdef real* c = scratch
    cdef real* t = scratch + degree + 1
    cdef const int64_t* segment = job.segments
    if job.t_length:
        single_horner_tails_any(sig, c, t, d, degree)
    if job.method == 0:
        for n in range(1, degree + 1):
            start = level_start(d, n)
            single_multiply_level_any(sig, t, sig + start, c + 1, out + start, d, n)
        return
    for i in range(d):
        out[i] = sig[i]
    for _ in range(job.n_segments):
        if due(&spent, segment[2] * segment[1] * segment[0]):
            return
        single_rows_of_words(sig, t, out, job.index, job.entries + segment[3], segment[2], segment[1], segment[0],
                             NULL, 0)
        segment += 4
    if job.method == 2:
        single.solve_projection(out, job.n_lyndon, job.starts, job.columns, job.values)


cdef void log_single_backprop(const real* sig, const real* derivs, real* out, real* scratch,
                              const LogarithmJob* job) noexcept nogil:
    """Adjoint of `log_single`: from `derivs`, the cotangent of its result, the cotangent of `sig`."""
    cdef Py_ssize_t n, i, spent = 0, d = job.d, degree = job.degree, length = level_start(d, degree + 1)
    cdef real* c = scratch
    cdef real* t = scratch + degree + 1
    cdef real* g_t = t + job.t_length
    cdef real* words = g_t + job.t_length
    cdef const int64_t* segment = job.segments
    if job.t_length:
        single_horner_tails_any(sig, c, t, d, degree)
        memset(g_t, 0, job.t_length * sizeof(real))
    if job.method == 0:
        memcpy(out, derivs, length * sizeof(real))
        for n in range(2, degree + 1):
            if due(&spent, n * level_size(d, n)):
                return
            single_multiply_level_backprop_any(out + level_start(d, n), sig, t, out, g_t, d, n)
    else:
        memcpy(words, derivs, job.n_lyndon * sizeof(real))
        if job.method == 2:
            single.solve_projection_backprop(words, job.n_lyndon, job.starts, job.columns, job.values)
        memset(out, 0, length * sizeof(real))
        for i in range(job.n_lyndon):
            out[job.index[i]] = words[i]
        for _ in range(job.n_segments):
            if due(&spent, segment[2] * segment[1] * segment[0]):
                return
            single_rows_of_words_backprop(words, sig, t, out, g_t, job.entries + segment[3], segment[2], segment[1],
                                          segment[0])
            segment += 4
    if job.t_length:
        single_horner_tails_backprop_any(out, g_t, sig, c, t, d, degree)


cdef inline void fill_constants(real* c, Py_ssize_t width, Py_ssize_t degree) noexcept nogil:
    """c[k] = (-1)^(k-1) / k in each of `width` lanes, k = 1..degree."""
    cdef Py_ssize_t k, lane
    for k in range(1, degree + 1):
        for lane in range(width):
            c[k * width + lane] = (<real>1 if k % 2 else <real>-1) / <real>k


cdef void run_unit(const real* sig, Py_ssize_t sig_stride, real* out, Py_ssize_t out_stride, Py_ssize_t unit,
                   char* memory, const LogarithmJob* job) noexcept nogil:
    """Unit number `unit` of `sig_to_log_sig`: a lane group, or one signature. sig, out: the first rows."""
    cdef real* scratch = <real*>(memory + threadid() * job.scratch_size)
    cdef Py_ssize_t width = n_lanes(scratch), first, row, lane
    cdef Py_ssize_t skip = job.scalar_term, out_skip = job.scalar_term and job.method == 0
    cdef int n_live
    cdef void* sig_rows[MAX_LANES]
    cdef void* out_rows[MAX_LANES]
    if unit < job.n_groups:
        first = unit * width
        n_live = <int>min(width, job.batch - first)
        for lane in range(width):
            # Dead lanes repeat the last row.
            row = min(first + lane, job.batch - 1)
            sig_rows[lane] = <void*>(sig + row * sig_stride + skip)
            out_rows[lane] = out + row * out_stride + out_skip
        fill_constants(scratch, width, job.degree)
        if real is double:
            log_group(<const void* const*>sig_rows, <void* const*>out_rows, n_live, <vd*>scratch, job)
        else:
            log_group(<const void* const*>sig_rows, <void* const*>out_rows, n_live, <vf*>scratch, job)
    else:
        first = job.n_groups * width + unit - job.n_groups
        n_live = 1
        fill_constants(scratch, 1, job.degree)
        log_single(sig + first * sig_stride + skip, out + first * out_stride + out_skip, scratch, job)
    if out_skip:
        for lane in range(n_live):
            out[(first + lane) * out_stride] = 0


cdef void run_unit_backprop(const real[:, :] sig, const real[:, :] derivs, real[:, :] out, Py_ssize_t unit,
                            char* memory, const LogarithmJob* job) noexcept nogil:
    """Adjoint of `run_unit`."""
    cdef real* scratch = <real*>(memory + threadid() * job.scratch_size)
    cdef Py_ssize_t width = n_lanes(scratch), first, row, lane
    cdef Py_ssize_t skip = job.scalar_term, derivs_skip = job.scalar_term and job.method == 0
    cdef int n_live
    cdef void* sig_rows[MAX_LANES]
    cdef void* derivs_rows[MAX_LANES]
    cdef void* out_rows[MAX_LANES]
    if unit < job.n_groups:
        first = unit * width
        n_live = <int>min(width, job.batch - first)
        for lane in range(width):
            row = min(first + lane, job.batch - 1)
            sig_rows[lane] = <void*>(&sig[row, 0] + skip)
            derivs_rows[lane] = <void*>(&derivs[row, 0] + derivs_skip)
            out_rows[lane] = &out[row, 0] + skip
        fill_constants(scratch, width, job.degree)
        if real is double:
            log_group_backprop(<const void* const*>sig_rows, <const void* const*>derivs_rows,
                               <void* const*>out_rows, n_live, <vd*>scratch, job)
        else:
            log_group_backprop(<const void* const*>sig_rows, <const void* const*>derivs_rows,
                               <void* const*>out_rows, n_live, <vf*>scratch, job)
    else:
        first = job.n_groups * width + unit - job.n_groups
        n_live = 1
        fill_constants(scratch, 1, job.degree)
        log_single_backprop(&sig[first, 0] + skip, &derivs[first, 0] + derivs_skip, &out[first, 0] + skip, scratch,
                            job)
    if skip:
        for lane in range(n_live):
            out[first + lane, 0] = 0


cdef LogarithmJob make_job(const int64_t[::1] tables, const real* tag, Py_ssize_t batch, Py_ssize_t d,
                           Py_ssize_t degree, int method, bint scalar_term, bint backward) noexcept nogil:
    cdef LogarithmJob job
    cdef Py_ssize_t width = n_lanes(tag), rest = batch % width, top = level_start(d, degree), n_numbers
    job.d = d
    job.degree = degree
    job.method = method
    job.scalar_term = scalar_term
    job.batch = batch
    job.index = &tables[0] + tables[0]
    job.segments = &tables[0] + tables[1]
    job.entries = <const int32_t*>(&tables[0] + tables[2])
    job.starts = &tables[0] + tables[3]
    job.columns = <const int32_t*>(&tables[0] + tables[4])
    job.values = &tables[0] + tables[5]
    job.n_lyndon = tables[1] - tables[0]
    job.n_segments = (tables[2] - tables[1]) // 4
    job.n_groups = batch // width
    job.n_singles = 0
    # A signature on its own takes about a quarter of the time of a lane group.
    if rest <= width // 4:
        job.n_singles = rest
    else:
        job.n_groups += 1
    job.t_length = horner_length(d, degree) if method == 0 or job.n_segments > 0 else 0
    n_numbers = degree + 1 + job.t_length + job.n_lyndon + (top if method else top + level_size(d, degree))
    if backward:
        n_numbers += job.t_length + top
    job.scratch_size = ((n_numbers * (width if job.n_groups else 1) * <Py_ssize_t>sizeof(real)) // 64 + 1) * 64
    return job


cdef int logs(const real* sig, Py_ssize_t sig_stride, real* out, Py_ssize_t out_stride, const LogarithmJob* job,
              int n_threads) except -1:
    """The logarithms of all signatures."""
    cdef Py_ssize_t unit, end, n_units = job.n_groups + job.n_singles
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    n_threads = <int>min(<Py_ssize_t>n_threads, n_units)
    memory = <char*>aligned_malloc(job.scratch_size * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {job.scratch_size * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_units, <double>job.scratch_size // (n_lanes(sig) * sizeof(real)) * job.degree, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            run_unit(sig, sig_stride, out, out_stride, unit, memory, job)
    free(raw)
    return end_watch(&watch)


def sig_to_log_sig(const real[:, :] sig, const int64_t[::1] tables, real[:, :] out, Py_ssize_t dimension,
                   Py_ssize_t degree, int method, bint scalar_term, int n_threads):
    """sig (batch, scalar_term + length); out (batch, number of Lyndon words), for method 0 of the shape of sig.

    The last axes are contiguous. tables: `lyndon_cache.packed_tables`.
    """
    cdef LogarithmJob job
    if degree == 0 or sig.shape[0] == 0:
        out[:, :] = 0
        return
    job = make_job(tables, &sig[0, 0], sig.shape[0], dimension, degree, method, scalar_term, False)
    logs(&sig[0, 0], sig.strides[0] // <Py_ssize_t>sizeof(real), &out[0, 0],
         out.strides[0] // <Py_ssize_t>sizeof(real), &job, n_threads)


def sig_to_log_sig_singles(const real[:, :] sig, const int64_t[::1] tables, float[:, ::1] out, Py_ssize_t dimension,
                           Py_ssize_t degree, int method, bint scalar_term, int n_threads):
    """The same, rounded to float32."""
    cdef LogarithmJob job
    cdef Py_ssize_t i, n = out.shape[0] * out.shape[1]
    cdef real* exact
    cdef float* to
    if degree == 0 or sig.shape[0] == 0:
        out[:, :] = 0
        return
    exact = <real*>malloc(n * sizeof(real))
    if exact == NULL:
        raise MemoryError(f"cannot allocate {n * sizeof(real)} bytes of scratch memory")
    to = &out[0, 0]
    try:
        job = make_job(tables, exact, sig.shape[0], dimension, degree, method, scalar_term, False)
        logs(&sig[0, 0], sig.strides[0] // <Py_ssize_t>sizeof(real), exact, out.shape[1], &job, n_threads)
        with nogil:
            for i in range(n):
                to[i] = <float>exact[i]
    finally:
        free(exact)


def sig_to_log_sig_backprop(const real[:, :] sig, const real[:, :] log_sig_derivs, const int64_t[::1] tables,
                            real[:, :] out, Py_ssize_t dimension, Py_ssize_t degree, int method, bint scalar_term,
                            int n_threads):
    """Adjoint of `sig_to_log_sig`. sig, out (batch, scalar_term + length); log_sig_derivs like `out` there; the rest as
    there.
    """
    cdef Py_ssize_t unit, end, n_units
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if degree == 0 or sig.shape[0] == 0:
        out[:, :] = 0
        return
    cdef LogarithmJob job = make_job(tables, &sig[0, 0], sig.shape[0], dimension, degree, method, scalar_term, True)
    n_units = job.n_groups + job.n_singles
    n_threads = <int>min(<Py_ssize_t>n_threads, n_units)
    memory = <char*>aligned_malloc(job.scratch_size * n_threads, &raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {job.scratch_size * n_threads} bytes of scratch memory")
    begin_watch(&watch)
    loop = share(n_units, <double>job.scratch_size // (n_lanes(&sig[0, 0]) * sizeof(real)) * degree, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            run_unit_backprop(sig, log_sig_derivs, out, unit, memory, &job)
    free(raw)
    end_watch(&watch)


def put_singles(const real[:, ::1] values, float[:, ::1] out):
    """out = values, rounded."""
    cdef Py_ssize_t i, j
    with nogil:
        for i in range(values.shape[0]):
            for j in range(values.shape[1]):
                out[i, j] = <float>values[i, j]
