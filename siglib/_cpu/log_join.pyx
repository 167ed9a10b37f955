"""Log-signatures of paths put together, from coordinates in the Lyndon basis to coordinates, and the gradients.

Design. Everything is computed in float64, whatever the arrays hold: the logarithm cancels, and rounded to float32 the
exponentials would have lost what it is to find. Numbers are converted on the way into lanes and out of them, so neither
copies of the arrays nor signatures are stored. Lanes hold 8 products side by side (with AVX-512); one `nogil` function
takes a lane group from rows to rows (`log_product.pxi`). A few products that remain are computed one by one.

Where one side is zero, the other one is the result, to the last bit.
"""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free

from . cimport tensor_log_single as single
from ._interruption cimport Watch, begin_watch, end_watch, next_unit, share
from .lane_moves cimport load_doubles, store_doubles
from .lanes cimport LANES_F64, aligned_malloc, real, vd, vec
from .log_product cimport Steps, log_product, log_product_backprop, scratch_length, scratch_length_backprop
from .log_product_plan cimport Plan
from .log_product_single cimport Steps as SingleSteps
from .log_product_single cimport log_product as log_product_single
from .log_product_single cimport log_product_backprop as log_product_single_backprop
from .tensor_log cimport (
    horner_length,
    horner_tails,
    horner_tails_backprop,
    level_start,
    multiply_level,
    multiply_level_backprop,
    multiply_rows,
    multiply_rows_backprop,
)

include "tensor_log_parts.pxi"
include "tensor_log_single_parts.pxi"

cdef enum:
    MAX_LANES = 8


cdef struct Job:
    Plan plan
    Py_ssize_t batch
    Py_ssize_t n_groups         # lane groups; then n_singles products one by one
    Py_ssize_t n_singles
    Py_ssize_t n1               # numbers of a row of the first factor, and of the second
    Py_ssize_t n2
    Py_ssize_t scratch_size     # bytes for each thread


cdef inline void read_rows(const real[:, ::1] rows, Py_ssize_t first, Py_ssize_t width, double* out) noexcept nogil:
    """out[i * width + lane] = rows[first + lane, i]; lanes behind the last row repeat it."""
    cdef Py_ssize_t lane, i, n = rows.shape[1]
    cdef const real* row[MAX_LANES]
    if width == 1:
        for i in range(n):
            out[i] = rows[first, i]
    else:
        for lane in range(LANES_F64):
            row[lane] = &rows[min(first + lane, rows.shape[0] - 1), 0]
        load_doubles(<const real* const*>row, n, <vd*>out)


cdef inline void write_rows(const double* numbers, Py_ssize_t width, real[:, ::1] rows,
                            Py_ssize_t first) noexcept nogil:
    """Adjoint of `read_rows`."""
    cdef Py_ssize_t lane, i, n = rows.shape[1]
    cdef int n_live = <int>min(width, rows.shape[0] - first)
    cdef real* row[MAX_LANES]
    if width == 1:
        for i in range(n):
            rows[first, i] = <real>numbers[i]
    else:
        for lane in range(n_live):
            row[lane] = &rows[first + lane, 0]
        store_doubles(<const vd*>numbers, <real* const*>row, n, n_live)


cdef inline bint is_zero(const real* row, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if row[i] != 0:
            return False
    return True


cdef inline void copy_row(const real* row, Py_ssize_t n, real* out, Py_ssize_t n_out) noexcept nogil:
    """A row, with zeros behind."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = row[i]
    for i in range(n, n_out):
        out[i] = 0


cdef inline void fill_constants(double* c_exp, double* c_log, Py_ssize_t width, Py_ssize_t degree) noexcept nogil:
    """1 / k! and (-1)^(k-1) / k in each of `width` lanes, k = 1..degree."""
    cdef Py_ssize_t k, lane
    cdef double factor = 1
    for k in range(1, degree + 1):
        factor /= k
        for lane in range(width):
            c_exp[k * width + lane] = factor
            c_log[k * width + lane] = (1.0 if k % 2 else -1.0) / k


cdef Steps group_steps
group_steps.horner_tails = horner_tails_any
group_steps.horner_tails_backprop = horner_tails_backprop_any
group_steps.multiply_level = multiply_level_any
group_steps.multiply_level_backprop = multiply_level_backprop_any
group_steps.multiply_rows = rows_of_words
group_steps.multiply_rows_backprop = rows_of_words_backprop

cdef SingleSteps single_steps
single_steps.horner_tails = single_horner_tails_any
single_steps.horner_tails_backprop = single_horner_tails_backprop_any
single_steps.multiply_level = single_multiply_level_any
single_steps.multiply_level_backprop = single_multiply_level_backprop_any
single_steps.multiply_rows = single_rows_of_words
single_steps.multiply_rows_backprop = single_rows_of_words_backprop


cdef void run_unit(const real[:, ::1] x, const real[:, ::1] y, real[:, ::1] out, Py_ssize_t unit, char* memory,
                   const Job* job) noexcept nogil:
    """Unit number `unit`: a lane group, or one product."""
    cdef const Plan* plan = &job.plan
    cdef Py_ssize_t n = plan.n_lyndon, row
    cdef bint is_group = unit < job.n_groups
    cdef Py_ssize_t width = LANES_F64 if is_group else 1
    cdef Py_ssize_t first = unit * width if is_group else job.n_groups * LANES_F64 + unit - job.n_groups
    cdef double* c = <double*>(memory + threadid() * job.scratch_size)
    cdef double* words1 = c + 2 * (plan.degree + 1) * width
    cdef double* words2 = words1 + job.n1 * width
    cdef double* words = words2 + job.n2 * width
    cdef double* scratch = words + n * width
    fill_constants(c, c + (plan.degree + 1) * width, width, plan.degree)
    read_rows(x, first, width, words1)
    read_rows(y, first, width, words2)
    if is_group:
        log_product(<const vd*>words1, <const vd*>words2, <vd*>words, <const vd*>c, <vd*>scratch, plan, &group_steps)
    else:
        log_product_single(words1, words2, words, c, scratch, plan, &single_steps)
    write_rows(words, width, out, first)
    for row in range(first, min(first + width, job.batch)):
        if is_zero(&x[row, 0], job.n1):
            copy_row(&y[row, 0], job.n2, &out[row, 0], n)
        elif is_zero(&y[row, 0], job.n2):
            copy_row(&x[row, 0], job.n1, &out[row, 0], n)


cdef void run_unit_backprop(const real[:, ::1] derivs, const real[:, ::1] x, const real[:, ::1] y,
                            real[:, ::1] x_derivs, real[:, ::1] y_derivs, Py_ssize_t unit, char* memory,
                            const Job* job) noexcept nogil:
    """Adjoint of `run_unit`."""
    cdef const Plan* plan = &job.plan
    cdef bint is_group = unit < job.n_groups
    cdef Py_ssize_t width = LANES_F64 if is_group else 1
    cdef Py_ssize_t first = unit * width if is_group else job.n_groups * LANES_F64 + unit - job.n_groups
    cdef double* c = <double*>(memory + threadid() * job.scratch_size)
    cdef double* words1 = c + 2 * (plan.degree + 1) * width
    cdef double* words2 = words1 + job.n1 * width
    cdef double* z = words2 + job.n2 * width
    cdef double* scratch = z + plan.n_lyndon * width
    fill_constants(c, c + (plan.degree + 1) * width, width, plan.degree)
    read_rows(x, first, width, words1)
    read_rows(y, first, width, words2)
    read_rows(derivs, first, width, z)
    if is_group:
        log_product_backprop(<vd*>z, <const vd*>words1, <const vd*>words2, <vd*>scratch, <vd*>scratch + job.n1,
                             <const vd*>c, <vd*>scratch + job.n1 + job.n2, plan, &group_steps)
    else:
        log_product_single_backprop(z, words1, words2, scratch, scratch + job.n1, c, scratch + job.n1 + job.n2, plan,
                                    &single_steps)
    write_rows(scratch, width, x_derivs, first)
    write_rows(scratch + job.n1 * width, width, y_derivs, first)


cdef Job make_job(tuple tables, Py_ssize_t batch, Py_ssize_t n1, Py_ssize_t n2, Py_ssize_t d, Py_ssize_t degree,
                  bint is_segment1, bint is_segment2, bint backward) except *:
    """tables: those of `sig_to_log_sig` for method 2 in float64, then those of `logsig_to_sig`."""
    cdef const int64_t[::1] index = tables[0], p_starts = tables[3], e_starts = tables[6]
    cdef const int64_t[:, ::1] segments = tables[1]
    cdef const int32_t[::1] entries = tables[2], p_columns = tables[4], e_rows = tables[7]
    cdef const double[::1] p_values = tables[5], e_values = tables[8]
    cdef Job job
    cdef Plan* plan = &job.plan
    cdef Py_ssize_t rest = batch % LANES_F64, n_numbers
    plan.d = d
    plan.degree = degree
    plan.length = level_start(d, degree + 1)
    plan.top = level_start(d, degree)
    plan.n_lyndon = plan.n_lower = index.shape[0]
    plan.t_length = horner_length(d, degree)
    plan.n_segments = plan.first_top = segments.shape[0]
    while plan.first_top > 0 and segments[plan.first_top - 1, 0] == degree:
        plan.first_top -= 1
    while plan.n_lower > 0 and index[plan.n_lower - 1] >= plan.top:
        plan.n_lower -= 1
    plan.is_segment1 = is_segment1
    plan.is_segment2 = is_segment2
    plan.index = &index[0]
    plan.segments = &segments[0, 0]
    plan.entries = &entries[0]
    plan.p_starts = &p_starts[0]
    plan.p_columns = &p_columns[0]
    plan.p_values = &p_values[0]
    plan.e_starts = &e_starts[0]
    plan.e_rows = &e_rows[0]
    plan.e_values = &e_values[0]
    job.batch = batch
    job.n1 = n1
    job.n2 = n2
    job.n_groups = batch // LANES_F64
    job.n_singles = 0
    # A product on its own takes about a quarter of the time of a lane group.
    if rest <= LANES_F64 // 4:
        job.n_singles = rest
    else:
        job.n_groups += 1
    n_numbers = 2 * (degree + 1) + n1 + n2 + plan.n_lyndon
    n_numbers += n1 + n2 + scratch_length_backprop(plan) if backward else scratch_length(plan)
    job.scratch_size = ((n_numbers * (LANES_F64 if job.n_groups else 1) * 8) // 64 + 1) * 64
    return job


cdef int run_all(const real[:, ::1] x, const real[:, ::1] y, real[:, ::1] out, const Job* job,
                 int n_threads) except -1:
    """out = log(exp(x) (x) exp(y)), shared among threads."""
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
    loop = share(n_units, <double>job.scratch_size / (LANES_F64 * 8) * job.plan.degree, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            run_unit(x, y, out, unit, memory, job)
    free(raw)
    return end_watch(&watch)


cdef int run_all_backprop(const real[:, ::1] derivs, const real[:, ::1] x, const real[:, ::1] y,
                          real[:, ::1] x_derivs, real[:, ::1] y_derivs, const Job* job, int n_threads) except -1:
    """Adjoint of `run_all`."""
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
    loop = share(n_units, <double>job.scratch_size / (LANES_F64 * 8) * job.plan.degree, n_threads)
    with nogil, parallel(num_threads=n_threads, use_threads_if=n_threads > 1):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            run_unit_backprop(derivs, x, y, x_derivs, y_derivs, unit, memory, job)
    free(raw)
    return end_watch(&watch)


def log_sig_combine(const real[:, ::1] log_sig1, const real[:, ::1] log_sig2, tuple tables, real[:, ::1] out,
                    Py_ssize_t dimension, Py_ssize_t degree, int n_threads):
    """log_sig1, log_sig2, out (batch, number of Lyndon words).

    tables: `lyndon_cache.product_tables`.
    """
    if degree == 0 or out.shape[0] == 0:
        return
    cdef Job job = make_job(tables, out.shape[0], log_sig1.shape[1], log_sig2.shape[1], dimension, degree, False,
                            False, False)
    run_all(log_sig1, log_sig2, out, &job, n_threads)


def log_sig_combine_backprop(const real[:, ::1] derivs, const real[:, ::1] log_sig1, const real[:, ::1] log_sig2,
                             tuple tables, real[:, ::1] out1, real[:, ::1] out2, Py_ssize_t dimension,
                             Py_ssize_t degree, int n_threads):
    """Adjoint of `log_sig_combine`; all arrays are of one shape."""
    if degree == 0 or out1.shape[0] == 0:
        return
    cdef Job job = make_job(tables, out1.shape[0], log_sig1.shape[1], log_sig2.shape[1], dimension, degree, False,
                            False, True)
    run_all_backprop(derivs, log_sig1, log_sig2, out1, out2, &job, n_threads)


def log_sig_join(const real[:, ::1] log_sig, const real[:, ::1] displacement, tuple tables, real[:, ::1] out,
                 Py_ssize_t dimension, Py_ssize_t degree, bint prepend, int n_threads):
    """log_sig, out (batch, number of Lyndon words); displacement (batch, dimension); tables as above."""
    if degree == 0 or out.shape[0] == 0:
        return
    cdef Job job
    if prepend:
        job = make_job(tables, out.shape[0], dimension, log_sig.shape[1], dimension, degree, True, False, False)
        run_all(displacement, log_sig, out, &job, n_threads)
    else:
        job = make_job(tables, out.shape[0], log_sig.shape[1], dimension, dimension, degree, False, True, False)
        run_all(log_sig, displacement, out, &job, n_threads)


def log_sig_join_backprop(const real[:, ::1] derivs, const real[:, ::1] log_sig, const real[:, ::1] displacement,
                          tuple tables, real[:, ::1] out, real[:, ::1] out_displacement, Py_ssize_t dimension,
                          Py_ssize_t degree, bint prepend, int n_threads):
    """Adjoint of `log_sig_join`: out like log_sig, out_displacement like displacement."""
    if degree == 0 or out.shape[0] == 0:
        out_displacement[:, :] = 0
        return
    cdef Job job
    if prepend:
        job = make_job(tables, out.shape[0], dimension, log_sig.shape[1], dimension, degree, True, False, True)
        run_all_backprop(derivs, displacement, log_sig, out_displacement, out, &job, n_threads)
    else:
        job = make_job(tables, out.shape[0], log_sig.shape[1], dimension, dimension, degree, False, True, True)
        run_all_backprop(derivs, log_sig, displacement, out, out_displacement, &job, n_threads)
