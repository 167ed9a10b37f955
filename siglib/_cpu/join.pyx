"""Signatures of one straight segment, signatures with a segment put behind or in front of them, and the gradients.

Design. Lanes hold 8 float64 or 16 float32 signatures side by side; one `nogil` function takes a lane group from rows to
rows. With y = x / k for the displacement x, Horner's scheme for level n of S (x) exp(x) is

    B_1 = x / n,   B_(k+1) = (B_k + S_k) (x) x / (n - k),   k = 1, .., n - 1,   S_n <- S_n + B_n,

levels downwards, so that nothing but one B of the second highest level is stored. In front of S the letters of x come
first in every word instead of last; the scheme is the same. Lanes are independent, so no loop has a remainder.
"""

from cython.parallel cimport parallel, threadid
from libc.stdlib cimport free
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, interrupted, next_unit, share
from .lane_moves cimport load_columns, store_columns
from .lane_rows cimport set_rows
from .lanes cimport aligned_malloc, fill_inverse, n_lanes, real, vd, vec, vf
from .tensor_log cimport level_size, level_start

cdef enum:
    MAX_LANES = 16
    # Words to which a letter is put between two looks at signals
    STRETCH = 1 << 12


cdef inline void put_letter(const vec* b, const vec* x, vec factor, vec* out, Py_ssize_t size, Py_ssize_t d,
                            bint prepend, bint add) noexcept nogil:
    """out = b (x) x factor, or x factor (x) b, for b of `size` words; `out` may be b, or is added to."""
    cdef Py_ssize_t i, j, u, first, stop
    cdef vec t, y
    if prepend:
        # The words with the first letter in front are where b may be: they come last.
        for j in range(d - 1, -1, -1):
            y = x[j] * factor
            for u in range(size):
                i = j * size + u
                out[i] = out[i] + b[u] * y if add else b[u] * y
            if size > STRETCH and interrupted():
                return
    else:
        stop = size
        while stop > 0:
            first = max(<Py_ssize_t>0, stop - STRETCH)
            for u in range(stop - 1, first - 1, -1):
                t = b[u] * factor
                for j in range(d - 1, -1, -1):
                    i = u * d + j
                    out[i] = out[i] + t * x[j] if add else t * x[j]
            if first > 0 and interrupted():
                return
            stop = first


cdef inline void put_letter_backprop(const vec* g, const vec* b, const vec* x, vec factor, vec* g_b, vec* g_x,
                                     Py_ssize_t size, Py_ssize_t d, bint prepend) noexcept nogil:
    """Adjoint of `put_letter`: g_b, which may be g, is overwritten; g_x is added to."""
    cdef Py_ssize_t j, u, first, stop, step = size if prepend else 1
    cdef vec t, total
    first = 0
    while first < size:
        stop = min(first + STRETCH, size)
        for u in range(first, stop):
            t = b[u] * factor
            total = g[u if prepend else u * d] * x[0]
            g_x[0] = g_x[0] + t * g[u if prepend else u * d]
            for j in range(1, d):
                total = total + g[(u if prepend else u * d) + j * step] * x[j]
                g_x[j] = g_x[j] + t * g[(u if prepend else u * d) + j * step]
            g_b[u] = total * factor
        if stop < size and interrupted():
            return
        first = stop


cdef void join_group(const void* const* sig, const void* const* displacement, void* const* out, int n_live,
                     vec* scratch, Py_ssize_t d, Py_ssize_t degree, bint prepend) noexcept nogil:
    """One signature per lane; scratch: 1 / k for k = 0..degree, x, S, B."""
    cdef Py_ssize_t n, k, u, start, size, spent = 0, length = level_start(d, degree + 1)
    cdef vec* x = scratch + degree + 1
    cdef vec* s = x + d
    cdef vec* b = s + length
    load_columns(displacement, 0, d, x)
    load_columns(sig, 0, length, s)
    for n in range(degree, 1, -1):
        for u in range(d):
            b[u] = x[u] * scratch[n]
        start = 0
        size = d
        for k in range(1, n):
            if due(&spent, size * d):
                return
            for u in range(size):
                b[u] = b[u] + s[start + u]
            start += size
            if k < n - 1:
                put_letter(b, x, scratch[n - k], b, size, d, prepend, False)
            else:
                put_letter(b, x, scratch[1], s + start, size, d, prepend, True)
            size *= d
    for u in range(d):
        s[u] = s[u] + x[u]
    store_columns(s, out, 0, length, n_live)


cdef void join_group_backprop(const void* const* derivs, const void* const* sig, const void* const* displacement,
                              void* const* sig_derivs, void* const* displacement_derivs, int n_live, vec* scratch,
                              Py_ssize_t d, Py_ssize_t degree, bint prepend) noexcept nogil:
    """Adjoint of `join_group`; scratch: 1 / k, x, its cotangent, S, G, B, the cotangent of B."""
    cdef Py_ssize_t n, k, u, start, size, spent = 0
    cdef Py_ssize_t length = level_start(d, degree + 1), top = level_start(d, degree)
    cdef vec* x = scratch + degree + 1
    cdef vec* g_x = x + d
    cdef vec* s = g_x + d
    cdef vec* g = s + top
    cdef vec* b = g + length
    cdef vec* g_b = b + top
    load_columns(displacement, 0, d, x)
    load_columns(sig, 0, top, s)
    load_columns(derivs, 0, length, g)
    for u in range(d):
        g_x[u] = g[u]
    # Upwards: the cotangent of level n is read before higher levels add to it.
    for n in range(2, degree + 1):
        for u in range(d):
            b[u] = x[u] * scratch[n]
        start = 0
        size = d
        for k in range(1, n):
            for u in range(start, start + size):
                b[u] = b[u] + s[u]
            if k < n - 1:
                put_letter(b + start, x, scratch[n - k], b + start + size, size, d, prepend, False)
            start += size
            size *= d
        for k in range(n - 1, 0, -1):
            if due(&spent, 2 * size):
                return
            size //= d
            start -= size
            put_letter_backprop(g + start + size if k == n - 1 else g_b, b + start, x, scratch[n - k], g_b, g_x, size,
                                d, prepend)
            for u in range(size):
                g[start + u] = g[start + u] + g_b[u]
        for u in range(d):
            g_x[u] = g_x[u] + g_b[u] * scratch[n]
    store_columns(g, sig_derivs, 0, length, n_live)
    store_columns(g_x, displacement_derivs, 0, d, n_live)


cdef void linear_group(const void* const* displacement, void* const* out, int n_live, vec* scratch, Py_ssize_t d,
                       Py_ssize_t degree) noexcept nogil:
    """The powers x^n / n!, one x per lane; scratch: 1 / k, x, S."""
    cdef Py_ssize_t n, u, start = 0, size = d, spent = 0
    cdef vec* x = scratch + degree + 1
    cdef vec* s = x + d
    load_columns(displacement, 0, d, x)
    for u in range(d):
        s[u] = x[u]
    for n in range(2, degree + 1):
        if due(&spent, size * d):
            return
        put_letter(s + start, x, scratch[n], s + start + size, size, d, False, False)
        start += size
        size *= d
    store_columns(s, out, 0, start + size, n_live)


cdef void linear_group_backprop(const void* const* derivs, const void* const* displacement, void* const* out,
                                int n_live, vec* scratch, Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """Adjoint of `linear_group`; scratch: 1 / k, x, its cotangent, S, G, the cotangent of a level."""
    cdef Py_ssize_t n, u, start = 0, size = d, spent = 0
    cdef Py_ssize_t length = level_start(d, degree + 1), top = level_start(d, degree)
    cdef vec* x = scratch + degree + 1
    cdef vec* g_x = x + d
    cdef vec* s = g_x + d
    cdef vec* g = s + top
    cdef vec* g_s = g + length
    load_columns(displacement, 0, d, x)
    load_columns(derivs, 0, length, g)
    memset(<void*>g_x, 0, d * sizeof(vec))
    if degree > 1:
        for u in range(d):
            s[u] = x[u]
    for n in range(2, degree):
        put_letter(s + start, x, scratch[n], s + start + size, size, d, False, False)
        start += size
        size *= d
    for n in range(degree, 1, -1):
        if due(&spent, size * d):
            return
        put_letter_backprop(g + start + size, s + start, x, scratch[n], g_s, g_x, size, d, False)
        for u in range(size):
            g[start + u] = g[start + u] + g_s[u]
        size //= d
        start -= size
    for u in range(d):
        g_x[u] = g_x[u] + g[u]
    store_columns(g_x, out, 0, d, n_live)


cdef char* make_scratch(Py_ssize_t n_numbers, const real* tag, int n_threads, size_t* per_thread, void** raw):
    per_thread[0] = n_numbers * n_lanes(tag) * sizeof(real)
    per_thread[0] = (per_thread[0] + 63) // 64 * 64
    cdef char* memory = <char*>aligned_malloc(per_thread[0] * n_threads, raw)
    if memory == NULL:
        raise MemoryError(f"cannot allocate {per_thread[0] * n_threads} bytes of scratch memory")
    return memory


cdef void join_unit(const real[:, ::1] sig, const real[:, ::1] displacement, real[:, ::1] out, Py_ssize_t group,
                    real* scratch, Py_ssize_t degree, bint scalar_term, bint prepend) noexcept nogil:
    cdef Py_ssize_t d = displacement.shape[1], batch = out.shape[0], width = n_lanes(scratch), lane
    cdef int n_live = <int>min(width, batch - group * width)
    cdef void* sigs[MAX_LANES]
    cdef void* displacements[MAX_LANES]
    cdef void* outs[MAX_LANES]
    set_rows(&sig[0, 0] + scalar_term, sig.shape[1], group, batch, sigs)
    set_rows(&displacement[0, 0], d, group, batch, displacements)
    set_rows(<const real*>&out[0, 0] + scalar_term, out.shape[1], group, batch, outs)
    fill_inverse(scratch, degree, width)
    if real is double:
        join_group(<const void* const*>sigs, <const void* const*>displacements, <void* const*>outs, n_live,
                   <vd*>scratch, d, degree, prepend)
    else:
        join_group(<const void* const*>sigs, <const void* const*>displacements, <void* const*>outs, n_live,
                   <vf*>scratch, d, degree, prepend)
    if scalar_term:
        for lane in range(n_live):
            out[group * width + lane, 0] = 1


cdef void join_unit_backprop(const real[:, ::1] derivs, const real[:, ::1] sig, const real[:, ::1] displacement,
                             real[:, ::1] sig_derivs, real[:, ::1] displacement_derivs, Py_ssize_t group, real* scratch,
                             Py_ssize_t degree, bint scalar_term, bint prepend) noexcept nogil:
    cdef Py_ssize_t d = displacement.shape[1], batch = sig.shape[0], width = n_lanes(scratch), lane
    cdef int n_live = <int>min(width, batch - group * width)
    cdef void* g[MAX_LANES]
    cdef void* sigs[MAX_LANES]
    cdef void* displacements[MAX_LANES]
    cdef void* g_sigs[MAX_LANES]
    cdef void* g_displacements[MAX_LANES]
    set_rows(&derivs[0, 0] + scalar_term, sig.shape[1], group, batch, g)
    set_rows(&sig[0, 0] + scalar_term, sig.shape[1], group, batch, sigs)
    set_rows(&displacement[0, 0], d, group, batch, displacements)
    set_rows(<const real*>&sig_derivs[0, 0] + scalar_term, sig.shape[1], group, batch, g_sigs)
    set_rows(<const real*>&displacement_derivs[0, 0], d, group, batch, g_displacements)
    fill_inverse(scratch, degree, width)
    if real is double:
        join_group_backprop(<const void* const*>g, <const void* const*>sigs, <const void* const*>displacements,
                            <void* const*>g_sigs, <void* const*>g_displacements, n_live, <vd*>scratch, d, degree,
                            prepend)
    else:
        join_group_backprop(<const void* const*>g, <const void* const*>sigs, <const void* const*>displacements,
                            <void* const*>g_sigs, <void* const*>g_displacements, n_live, <vf*>scratch, d, degree,
                            prepend)
    if scalar_term:
        for lane in range(n_live):
            sig_derivs[group * width + lane, 0] = 0


cdef void linear_unit(const real[:, ::1] displacement, real[:, ::1] out, Py_ssize_t group, real* scratch,
                      Py_ssize_t degree, bint scalar_term) noexcept nogil:
    cdef Py_ssize_t d = displacement.shape[1], batch = out.shape[0], width = n_lanes(scratch), lane
    cdef int n_live = <int>min(width, batch - group * width)
    cdef void* displacements[MAX_LANES]
    cdef void* outs[MAX_LANES]
    set_rows(&displacement[0, 0], d, group, batch, displacements)
    set_rows(<const real*>&out[0, 0] + scalar_term, out.shape[1], group, batch, outs)
    fill_inverse(scratch, degree, width)
    if real is double:
        linear_group(<const void* const*>displacements, <void* const*>outs, n_live, <vd*>scratch, d, degree)
    else:
        linear_group(<const void* const*>displacements, <void* const*>outs, n_live, <vf*>scratch, d, degree)
    if scalar_term:
        for lane in range(n_live):
            out[group * width + lane, 0] = 1


cdef void linear_unit_backprop(const real[:, ::1] derivs, const real[:, ::1] displacement, real[:, ::1] out,
                               Py_ssize_t group, real* scratch, Py_ssize_t degree, bint scalar_term) noexcept nogil:
    cdef Py_ssize_t d = displacement.shape[1], batch = out.shape[0], width = n_lanes(scratch)
    cdef int n_live = <int>min(width, batch - group * width)
    cdef void* g[MAX_LANES]
    cdef void* displacements[MAX_LANES]
    cdef void* outs[MAX_LANES]
    set_rows(&derivs[0, 0] + scalar_term, derivs.shape[1], group, batch, g)
    set_rows(&displacement[0, 0], d, group, batch, displacements)
    set_rows(<const real*>&out[0, 0], d, group, batch, outs)
    fill_inverse(scratch, degree, width)
    if real is double:
        linear_group_backprop(<const void* const*>g, <const void* const*>displacements, <void* const*>outs, n_live,
                              <vd*>scratch, d, degree)
    else:
        linear_group_backprop(<const void* const*>g, <const void* const*>displacements, <void* const*>outs, n_live,
                              <vf*>scratch, d, degree)


def sig_join(const real[:, ::1] sig, const real[:, ::1] displacement, real[:, ::1] out, Py_ssize_t degree,
             bint scalar_term, bint prepend, int n_threads):
    """sig, out (batch, scalar_term + length); displacement (batch, dimension)."""
    cdef Py_ssize_t group, end, d = displacement.shape[1], n_groups, size
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if out.shape[0] == 0 or degree == 0:
        out[:, :] = 1
        return
    n_groups = (out.shape[0] + n_lanes(&out[0, 0]) - 1) // n_lanes(&out[0, 0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    size = degree + 1 + 2 * d + level_start(d, degree + 1) + level_size(d, degree - 1)
    memory = make_scratch(size, <const real*>&out[0, 0], n_threads, &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, size * degree, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            join_unit(sig, displacement, out, group, <real*>(memory + threadid() * per_thread), degree, scalar_term,
                      prepend)
    free(raw)
    end_watch(&watch)


def sig_join_backprop(const real[:, ::1] derivs, const real[:, ::1] sig, const real[:, ::1] displacement,
                      real[:, ::1] sig_derivs, real[:, ::1] displacement_derivs, Py_ssize_t degree, bint scalar_term,
                      bint prepend, int n_threads):
    """derivs, sig, sig_derivs (batch, scalar_term + length); displacement, displacement_derivs (batch, dimension)."""
    cdef Py_ssize_t group, end, d = displacement.shape[1], n_groups, size
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if sig.shape[0] == 0 or degree == 0:
        sig_derivs[:, :] = 0
        displacement_derivs[:, :] = 0
        return
    n_groups = (sig.shape[0] + n_lanes(&sig[0, 0]) - 1) // n_lanes(&sig[0, 0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    size = degree + 1 + 3 * d + level_start(d, degree + 1) + 2 * level_start(d, degree) + level_size(d, degree - 1)
    memory = make_scratch(size, &sig[0, 0], n_threads, &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, size * degree, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            join_unit_backprop(derivs, sig, displacement, sig_derivs, displacement_derivs, group,
                               <real*>(memory + threadid() * per_thread), degree, scalar_term, prepend)
    free(raw)
    end_watch(&watch)


def linear_sig(const real[:, ::1] displacement, real[:, ::1] out, Py_ssize_t degree, bint scalar_term, int n_threads):
    """displacement (batch, dimension); out (batch, scalar_term + length)."""
    cdef Py_ssize_t group, end, d = displacement.shape[1], n_groups, size
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if out.shape[0] == 0 or degree == 0:
        out[:, :] = 1
        return
    n_groups = (out.shape[0] + n_lanes(&out[0, 0]) - 1) // n_lanes(&out[0, 0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    size = degree + 1 + d + level_start(d, degree + 1)
    memory = make_scratch(size, <const real*>&out[0, 0], n_threads, &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, size * degree, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            linear_unit(displacement, out, group, <real*>(memory + threadid() * per_thread), degree, scalar_term)
    free(raw)
    end_watch(&watch)


def linear_sig_backprop(const real[:, ::1] derivs, const real[:, ::1] displacement, real[:, ::1] out, Py_ssize_t degree,
                        bint scalar_term, int n_threads):
    """derivs (batch, scalar_term + length); displacement, out (batch, dimension)."""
    cdef Py_ssize_t group, end, d = displacement.shape[1], n_groups, size
    cdef size_t per_thread
    cdef void* raw = NULL
    cdef char* memory
    cdef Watch watch
    cdef Watch* loop
    if out.shape[0] == 0 or degree == 0:
        out[:, :] = 0
        return
    n_groups = (out.shape[0] + n_lanes(&out[0, 0]) - 1) // n_lanes(&out[0, 0])
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    size = degree + 1 + 3 * d + level_start(d, degree + 1) + level_start(d, degree) + level_size(d, degree - 1)
    memory = make_scratch(size, <const real*>&out[0, 0], n_threads, &per_thread, &raw)
    begin_watch(&watch)
    loop = share(n_groups, size * degree, n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            linear_unit_backprop(derivs, displacement, out, group, <real*>(memory + threadid() * per_thread), degree,
                                 scalar_term)
    free(raw)
    end_watch(&watch)
