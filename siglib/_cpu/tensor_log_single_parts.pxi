# The steps of the logarithm of a single signature as functions, each compiled once for small dimensions. Included by
# log_signature.pyx and log_join.pyx.

from libc.stdint cimport int32_t, int64_t

from . cimport tensor_log_single as single
from .lanes cimport real


cdef void single_horner_tails_any(const real* p, const real* c, real* t, Py_ssize_t d,
                                  Py_ssize_t degree) noexcept nogil:
    """`single.horner_tails` with the dimension as a literal where that pays."""
    if d == 2:
        single.horner_tails(p, c, t, 2, degree)
    elif d == 3:
        single.horner_tails(p, c, t, 3, degree)
    elif d == 4:
        single.horner_tails(p, c, t, 4, degree)
    elif d == 5:
        single.horner_tails(p, c, t, 5, degree)
    else:
        single.horner_tails(p, c, t, d, degree)


cdef void single_horner_tails_backprop_any(real* g_p, real* g_t, const real* p, const real* c, const real* t,
                                           Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """Adjoint of `single_horner_tails_any`."""
    if d == 2:
        single.horner_tails_backprop(g_p, g_t, p, c, t, 2, degree)
    elif d == 3:
        single.horner_tails_backprop(g_p, g_t, p, c, t, 3, degree)
    elif d == 4:
        single.horner_tails_backprop(g_p, g_t, p, c, t, 4, degree)
    elif d == 5:
        single.horner_tails_backprop(g_p, g_t, p, c, t, 5, degree)
    else:
        single.horner_tails_backprop(g_p, g_t, p, c, t, d, degree)


cdef void single_multiply_level_any(const real* p, const real* t, const real* base, const real* c, real* out,
                                    Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    """`single.multiply_level` with the dimension as a literal where that pays."""
    if d == 2:
        single.multiply_level(p, t, base, c, out, 2, n)
    elif d == 3:
        single.multiply_level(p, t, base, c, out, 3, n)
    elif d == 4:
        single.multiply_level(p, t, base, c, out, 4, n)
    elif d == 5:
        single.multiply_level(p, t, base, c, out, 5, n)
    else:
        single.multiply_level(p, t, base, c, out, d, n)


cdef void single_multiply_level_backprop_any(const real* g, const real* p, const real* t, real* g_p, real* g_t,
                                             Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    """Adjoint of `single_multiply_level_any`."""
    if d == 2:
        single.multiply_level_backprop(g, p, t, g_p, g_t, 2, n)
    elif d == 3:
        single.multiply_level_backprop(g, p, t, g_p, g_t, 3, n)
    elif d == 4:
        single.multiply_level_backprop(g, p, t, g_p, g_t, 4, n)
    elif d == 5:
        single.multiply_level_backprop(g, p, t, g_p, g_t, 5, n)
    else:
        single.multiply_level_backprop(g, p, t, g_p, g_t, d, n)


# What is inlined everywhere else is a function of its own here: one copy of each is enough.
cdef void single_rows_of_words(const real* p, const real* t, real* out, const int64_t* index, const int32_t* entries,
                               Py_ssize_t n_rows, Py_ssize_t width, Py_ssize_t n, const void* const* sig,
                               Py_ssize_t sig_length) noexcept nogil:
    single.multiply_rows(p, t, out, index, entries, n_rows, width, n, sig, sig_length)


cdef void single_rows_of_words_backprop(const real* g, const real* p, const real* t, real* g_p, real* g_t,
                                        const int32_t* entries, Py_ssize_t n_rows, Py_ssize_t width,
                                        Py_ssize_t n) noexcept nogil:
    single.multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, width, n)
