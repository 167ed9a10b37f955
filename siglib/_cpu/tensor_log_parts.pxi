# The steps of logarithms and exponentials as functions, each compiled once for small dimensions. Included by
# log_signature.pyx, exponential.pyx and log_join.pyx.

from libc.stdint cimport int32_t, int64_t

from .lanes cimport vec
from .tensor_log cimport (
    horner_tails,
    horner_tails_backprop,
    multiply_level,
    multiply_level_backprop,
    multiply_rows,
    multiply_rows_backprop,
)


cdef void horner_tails_any(const vec* p, const vec* c, vec* t, Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """`horner_tails` with the dimension as a literal where that pays."""
    if d == 2:
        horner_tails(p, c, t, 2, degree)
    elif d == 3:
        horner_tails(p, c, t, 3, degree)
    elif d == 4:
        horner_tails(p, c, t, 4, degree)
    elif d == 5:
        horner_tails(p, c, t, 5, degree)
    else:
        horner_tails(p, c, t, d, degree)


cdef void horner_tails_backprop_any(vec* g_p, vec* g_t, const vec* p, const vec* c, const vec* t, Py_ssize_t d,
                                    Py_ssize_t degree) noexcept nogil:
    """Adjoint of `horner_tails_any`."""
    if d == 2:
        horner_tails_backprop(g_p, g_t, p, c, t, 2, degree)
    elif d == 3:
        horner_tails_backprop(g_p, g_t, p, c, t, 3, degree)
    elif d == 4:
        horner_tails_backprop(g_p, g_t, p, c, t, 4, degree)
    elif d == 5:
        horner_tails_backprop(g_p, g_t, p, c, t, 5, degree)
    else:
        horner_tails_backprop(g_p, g_t, p, c, t, d, degree)


cdef void multiply_level_any(const vec* p, const vec* t, const vec* base, const vec* c, vec* out, Py_ssize_t d,
                             Py_ssize_t n) noexcept nogil:
    """`multiply_level` with the dimension as a literal where that pays."""
    if d == 2:
        multiply_level(p, t, base, c, out, 2, n)
    elif d == 3:
        multiply_level(p, t, base, c, out, 3, n)
    elif d == 4:
        multiply_level(p, t, base, c, out, 4, n)
    elif d == 5:
        multiply_level(p, t, base, c, out, 5, n)
    else:
        multiply_level(p, t, base, c, out, d, n)


cdef void multiply_level_backprop_any(const vec* g, const vec* p, const vec* t, vec* g_p, vec* g_t, Py_ssize_t d,
                                      Py_ssize_t n) noexcept nogil:
    """Adjoint of `multiply_level_any`."""
    if d == 2:
        multiply_level_backprop(g, p, t, g_p, g_t, 2, n)
    elif d == 3:
        multiply_level_backprop(g, p, t, g_p, g_t, 3, n)
    elif d == 4:
        multiply_level_backprop(g, p, t, g_p, g_t, 4, n)
    elif d == 5:
        multiply_level_backprop(g, p, t, g_p, g_t, 5, n)
    else:
        multiply_level_backprop(g, p, t, g_p, g_t, d, n)


# What is inlined everywhere else is a function of its own here: one copy of each is enough.
cdef void rows_of_words(const vec* p, const vec* t, vec* out, const int64_t* index, const int32_t* entries,
                        Py_ssize_t n_rows, Py_ssize_t width, Py_ssize_t n, const void* const* sig,
                        Py_ssize_t sig_length) noexcept nogil:
    multiply_rows(p, t, out, index, entries, n_rows, width, n, sig, sig_length)


cdef void rows_of_words_backprop(const vec* g, const vec* p, const vec* t, vec* g_p, vec* g_t, const int32_t* entries,
                                 Py_ssize_t n_rows, Py_ssize_t width, Py_ssize_t n) noexcept nogil:
    multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, width, n)
