"""Log-signatures from signatures, and the gradient.

DESIGN NOTE TO COME
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memset

from .lane_moves cimport gather, load_columns, store_columns
from .lanes cimport LANES_F32, LANES_F64, aligned_malloc, real, vd, vec, vf
from .tensor_log cimport (
    horner_length,
    horner_tails,
    horner_tails_backprop,
    level_size,
    level_start,
    multiply_level,
    multiply_level_backprop,
    multiply_rows,
    multiply_rows_backprop,
)

cdef enum:
    MAX_LANES = 16


cdef struct Sizes:
    Py_ssize_t degree
    int method
    bint scalar_term
    Py_ssize_t n_lyndon
    Py_ssize_t n_segments
    const int64_t* index
    const int64_t* segments
    const int32_t* entries
    const int64_t* starts
    const int32_t* columns
    const void* values


cdef inline void solve_projection(vec* x, const Sizes* z) noexcept nogil:
    """x <- P^-1 x, P unit lower triangular with the off-diagonal entries given row by row."""
    cdef Py_ssize_t i, e
    cdef vec total
    for i in range(z.n_lyndon):
        total = x[i]
        for e in range(z.starts[i], z.starts[i + 1]):
            if vec is vd:
                total = total - x[z.columns[e]] * (<const double*>z.values)[e]
            else:
                total = total - x[z.columns[e]] * (<const float*>z.values)[e]
        x[i] = total


cdef inline void solve_projection_backprop(vec* g, const Sizes* z) noexcept nogil:
    """Adjoint of `solve_projection`: g <- P^-T g."""
    cdef Py_ssize_t i, e
    cdef vec row
    for i in range(z.n_lyndon - 1, -1, -1):
        row = g[i]
        for e in range(z.starts[i], z.starts[i + 1]):
            if vec is vd:
                g[z.columns[e]] = g[z.columns[e]] - row * (<const double*>z.values)[e]
            else:
                g[z.columns[e]] = g[z.columns[e]] - row * (<const float*>z.values)[e]


cdef inline void log_group(const void* const* sig, void* const* out, int n_live, vec* scratch, const Sizes* z,
                           Py_ssize_t d) noexcept nogil:
    """sig, out: one row per lane, after the scalar term; the first n_live rows of out are written."""
    cdef Py_ssize_t n, i, degree = z.degree, length = level_start(d, degree if z.method else degree + 1)
    cdef Py_ssize_t top = level_start(d, degree)
    cdef vec* c = scratch
    cdef vec* t = scratch + degree + 1
    cdef vec* p = t + horner_length(d, degree)
    cdef vec* words = p + length
    cdef const int64_t* segment = z.segments
    load_columns(sig, 0, length, p)
    horner_tails(p, c, t, d, degree)
    if z.method == 0:
        for n in range(degree, 1, -1):
            multiply_level(p, t, p + level_start(d, n), d, n)
        store_columns(p, out, 0, length, n_live)
        return
    for i in range(z.n_lyndon):
        if z.index[i] < top:
            words[i] = p[z.index[i]]
        else:
            words[i] = gather(sig, z.index[i], words)
    for i in range(z.n_segments):
        multiply_rows(p, t, words, z.entries + segment[3], segment[2], segment[1], segment[0])
        segment += 4
    if z.method == 2:
        solve_projection(words, z)
    store_columns(words, out, 0, z.n_lyndon, n_live)


cdef inline void log_group_backprop(const void* const* sig, const void* const* derivs, void* const* out, int n_live,
                                    vec* scratch, const Sizes* z, Py_ssize_t d) noexcept nogil:
    """Adjoint of `log_group`: derivs, one row per lane, is the cotangent of its output, out that of sig."""
    cdef Py_ssize_t n, i, lane, degree = z.degree, length = level_start(d, degree if z.method else degree + 1)
    cdef Py_ssize_t top = level_start(d, degree), t_length = horner_length(d, degree), n_top = level_size(d, degree)
    cdef vec* c = scratch
    cdef vec* t = scratch + degree + 1
    cdef vec* g_t = t + t_length
    cdef vec* p = g_t + t_length
    cdef vec* g_p = p + level_start(d, degree)
    cdef vec* words = g_p + length
    cdef const int64_t* segment = z.segments
    load_columns(sig, 0, level_start(d, degree), p)
    horner_tails(p, c, t, d, degree)
    memset(<void*>g_t, 0, t_length * sizeof(vec))
    if z.method == 0:
        load_columns(derivs, 0, length, g_p)
        # Upwards: level n is read before longer words add to it.
        for n in range(2, degree + 1):
            multiply_level_backprop(g_p + level_start(d, n), p, t, g_p, g_t, d, n)
        horner_tails_backprop(g_p, g_t, p, c, t, d, degree)
        store_columns(g_p, out, 0, length, n_live)
        return
    load_columns(derivs, 0, z.n_lyndon, words)
    if z.method == 2:
        solve_projection_backprop(words, z)
    memset(<void*>g_p, 0, length * sizeof(vec))
    for i in range(z.n_lyndon):
        if z.index[i] >= top:
            break
        g_p[z.index[i]] = words[i]
    for i in range(z.n_segments):
        multiply_rows_backprop(words, p, t, g_p, g_t, z.entries + segment[3], segment[2], segment[1], segment[0])
        segment += 4
    horner_tails_backprop(g_p, g_t, p, c, t, d, degree)
    store_columns(g_p, out, 0, length, n_live)
    for lane in range(n_live):
        if vec is vd:
            scatter_top(<const double*>words, <double*>out[lane], z, LANES_F64, lane, top, n_top)
        else:
            scatter_top(<const float*>words, <float*>out[lane], z, LANES_F32, lane, top, n_top)


cdef inline void scatter_top(const real* words, real* row, const Sizes* z, Py_ssize_t width, Py_ssize_t lane, Py_ssize_t top,
                             Py_ssize_t n_top) noexcept nogil:
    """The last level of a gradient: zero but at the Lyndon words."""
    cdef Py_ssize_t i
    memset(row + top, 0, n_top * sizeof(real))
    for i in range(z.n_lyndon - 1, -1, -1):
        if z.index[i] < top:
            break
        row[z.index[i]] = words[i * width + lane]


cdef inline void fill_constants(vec* c, Py_ssize_t degree) noexcept nogil:
    """c[k] = (-1)^(k-1) / k in every lane, k = 1..degree."""
    cdef Py_ssize_t k, lane
    for k in range(1, degree + 1):
        if vec is vd:
            for lane in range(LANES_F64):
                (<double*>(c + k))[lane] = (1.0 if k % 2 else -1.0) / k
        else:
            for lane in range(LANES_F32):
                (<float*>(c + k))[lane] = <float>((1.0 if k % 2 else -1.0) / k)


cdef void log_group_any(const void* const* sig, void* const* out, int n_live, vec* scratch, const Sizes* z,
                        Py_ssize_t d) noexcept nogil:
    fill_constants(scratch, z.degree)
    if d == 2:
        log_group(sig, out, n_live, scratch, z, 2)
    elif d == 3:
        log_group(sig, out, n_live, scratch, z, 3)
    elif d == 4:
        log_group(sig, out, n_live, scratch, z, 4)
    elif d == 5:
        log_group(sig, out, n_live, scratch, z, 5)
    else:
        log_group(sig, out, n_live, scratch, z, d)


cdef void log_group_backprop_any(const void* const* sig, const void* const* derivs, void* const* out, int n_live,
                                 vec* scratch, const Sizes* z, Py_ssize_t d) noexcept nogil:
    fill_constants(scratch, z.degree)
    if d == 2:
        log_group_backprop(sig, derivs, out, n_live, scratch, z, 2)
    elif d == 3:
        log_group_backprop(sig, derivs, out, n_live, scratch, z, 3)
    elif d == 4:
        log_group_backprop(sig, derivs, out, n_live, scratch, z, 4)
    elif d == 5:
        log_group_backprop(sig, derivs, out, n_live, scratch, z, 5)
    else:
        log_group_backprop(sig, derivs, out, n_live, scratch, z, d)


cdef void log_at(const char* sig, Py_ssize_t sig_stride, char* out, Py_ssize_t out_stride, Py_ssize_t group, Py_ssize_t batch,
                 void* scratch, const Sizes* z, Py_ssize_t d, const real* tag) noexcept nogil:
    """`log_group` for lane group number `group` of the batch. Strides in bytes; dead lanes repeat the last row."""
    cdef void* sig_rows[MAX_LANES]
    cdef void* out_rows[MAX_LANES]
    cdef Py_ssize_t lane, row, width = LANES_F64 if real is double else LANES_F32
    cdef Py_ssize_t offset = z.scalar_term * sizeof(real), out_offset = offset if z.method == 0 else 0
    cdef int n_live = <int>min(width, batch - group * width)
    for lane in range(width):
        row = min(group * width + lane, batch - 1)
        sig_rows[lane] = <void*>(sig + row * sig_stride + offset)
        out_rows[lane] = out + row * out_stride + out_offset
        if out_offset and lane < n_live:
            (<real*>(out + row * out_stride))[0] = 0
    if real is double:
        log_group_any(<const void* const*>sig_rows, <void* const*>out_rows, n_live, <vd*>scratch, z, d)
    else:
        log_group_any(<const void* const*>sig_rows, <void* const*>out_rows, n_live, <vf*>scratch, z, d)


cdef void log_at_backprop(const char* sig, Py_ssize_t sig_stride, const char* derivs, Py_ssize_t derivs_stride, char* out,
                          Py_ssize_t out_stride, Py_ssize_t group, Py_ssize_t batch, void* scratch, const Sizes* z,
                          Py_ssize_t d, const real* tag) noexcept nogil:
    """Adjoint of `log_at`."""
    cdef void* sig_rows[MAX_LANES]
    cdef void* derivs_rows[MAX_LANES]
    cdef void* out_rows[MAX_LANES]
    cdef Py_ssize_t lane, row, width = LANES_F64 if real is double else LANES_F32
    cdef Py_ssize_t offset = z.scalar_term * sizeof(real), derivs_offset = offset if z.method == 0 else 0
    cdef int n_live = <int>min(width, batch - group * width)
    for lane in range(width):
        row = min(group * width + lane, batch - 1)
        sig_rows[lane] = <void*>(sig + row * sig_stride + offset)
        derivs_rows[lane] = <void*>(derivs + row * derivs_stride + derivs_offset)
        out_rows[lane] = out + row * out_stride + offset
        if offset and lane < n_live:
            (<real*>(out + row * out_stride))[0] = 0
    if real is double:
        log_group_backprop_any(<const void* const*>sig_rows, <const void* const*>derivs_rows, <void* const*>out_rows, n_live, <vd*>scratch, z, d)
    else:
        log_group_backprop_any(<const void* const*>sig_rows, <const void* const*>derivs_rows, <void* const*>out_rows, n_live, <vf*>scratch, z, d)


def sig_to_log_sig(const real[:, :] sig, const int64_t[::1] index, const int64_t[:, ::1] segments, const int32_t[::1] entries,
                   const int64_t[::1] starts, const int32_t[::1] columns, const real[::1] values, real[:, ::1] out,
                   Py_ssize_t dimension, Py_ssize_t degree, int method, bint scalar_term, int n_jobs):
    cdef Py_ssize_t batch = sig.shape[0], g, width = LANES_F64 if real is double else LANES_F32
    cdef Py_ssize_t n_groups = (batch + width - 1) // width, size
    cdef void* raw = NULL
    cdef char* scratch
    cdef Sizes z
    if batch == 0:
        return
    if degree == 0:
        out[:, :] = 0
        return
    z = Sizes(degree, method, scalar_term, index.shape[0], segments.shape[0], &index[0], &segments[0, 0], &entries[0],
              &starts[0], &columns[0], &values[0])
    n_jobs = <int>min(n_jobs, n_groups)
    size = scratch_size(dimension, degree, index.shape[0], method, False, n_jobs)
    scratch = <char*>aligned_malloc(size * n_jobs, &raw)
    if scratch == NULL:
        raise MemoryError(f"cannot allocate {size * n_jobs} bytes of scratch memory")
    try:
        if n_jobs == 1:
            with nogil:
                for g in range(n_groups):
                    log_at(<const char*>&sig[0, 0], sig.strides[0], <char*>&out[0, 0], out.strides[0], g, batch, scratch, &z,
                           dimension, &values[0])
        else:
            for g in prange(n_groups, nogil=True, schedule="static", num_threads=n_jobs):
                log_at(<const char*>&sig[0, 0], sig.strides[0], <char*>&out[0, 0], out.strides[0], g, batch,
                       scratch + threadid() * size, &z, dimension, &values[0])
    finally:
        free(raw)


def sig_to_log_sig_backprop(const real[:, :] sig, const real[:, :] log_sig_derivs, const int64_t[::1] index,
                            const int64_t[:, ::1] segments, const int32_t[::1] entries, const int64_t[::1] starts,
                            const int32_t[::1] columns, const real[::1] values, real[:, ::1] out, Py_ssize_t dimension,
                            Py_ssize_t degree, int method, bint scalar_term, int n_jobs):
    cdef Py_ssize_t batch = sig.shape[0], g, width = LANES_F64 if real is double else LANES_F32
    cdef Py_ssize_t n_groups = (batch + width - 1) // width, size
    cdef void* raw = NULL
    cdef char* scratch
    cdef Sizes z
    if batch == 0:
        return
    if degree == 0:
        out[:, :] = 0
        return
    z = Sizes(degree, method, scalar_term, index.shape[0], segments.shape[0], &index[0], &segments[0, 0], &entries[0],
              &starts[0], &columns[0], &values[0])
    n_jobs = <int>min(n_jobs, n_groups)
    size = scratch_size(dimension, degree, index.shape[0], method, True, n_jobs)
    scratch = <char*>aligned_malloc(size * n_jobs, &raw)
    if scratch == NULL:
        raise MemoryError(f"cannot allocate {size * n_jobs} bytes of scratch memory")
    try:
        if n_jobs == 1:
            with nogil:
                for g in range(n_groups):
                    log_at_backprop(<const char*>&sig[0, 0], sig.strides[0], <const char*>&log_sig_derivs[0, 0],
                                    log_sig_derivs.strides[0], <char*>&out[0, 0], out.strides[0], g, batch, scratch, &z,
                                    dimension, &values[0])
        else:
            for g in prange(n_groups, nogil=True, schedule="static", num_threads=n_jobs):
                log_at_backprop(<const char*>&sig[0, 0], sig.strides[0], <const char*>&log_sig_derivs[0, 0],
                                log_sig_derivs.strides[0], <char*>&out[0, 0], out.strides[0], g, batch,
                                scratch + threadid() * size, &z, dimension, &values[0])
    finally:
        free(raw)


def scratch_size(d, degree, n_lyndon, method, backward, n_threads):
    """Bytes of scratch memory that one thread needs; MemoryError if that, for all threads, cannot be addressed."""
    sizes = [d**n for n in range(1, degree + 1)]
    tails = sum(sum(sizes[:degree - k]) for k in range(1, degree))
    tensor = sum(sizes[:degree - 1]) if method else sum(sizes)
    n_vectors = degree + 1 + tails + tensor + n_lyndon + 32
    if backward:
        n_vectors += tails + sum(sizes[:degree - 1])
    n_bytes = n_vectors * LANES_F64 * sizeof(double)
    if n_bytes * n_threads > <Py_ssize_t>(<size_t>-1 // 4):
        raise MemoryError(f"{n_bytes * n_threads} bytes of scratch memory cannot be addressed")
    return n_bytes
