"""Several increments in a row: a signature times their exponentials, from the right or from the left, in lanes.

The levels below the top one take increments one at a time (`tensor_steps.pxd`). The top level, by far the largest,
takes up to four at once: a word's coefficient is loaded and stored once, and in between it gets one product of a
partial result and a letter for each increment. It is only added to, so two signatures that will be multiplied, where
top levels are added, may share it.
"""

from ._interruption cimport due
from .lanes cimport vec
from .tensor_steps cimport _level

cdef enum:
    # Increments that are added to the top level at once
    RUN = 4


cdef inline void _lower_levels(const vec* x, vec* sig, vec* b, vec* work, const vec* inverse, const Py_ssize_t d,
                               Py_ssize_t degree, const bint left) noexcept nogil:
    """sig <- sig (x) exp(x) up to level degree - 1; b: the partial results that the top level needs, one a word."""
    cdef Py_ssize_t i, q, n, n_nodes = 1
    cdef vec* children
    cdef vec letters[6]
    for i in range(degree):
        work[i] = inverse[i + 1]
    if degree == 1:
        b[0] = work[0]
    if d <= 6:
        # The compiler then knows that stores to the signature leave the increment alone.
        for i in range(d):
            letters[i] = x[i]
        x = letters
    for q in range(degree - 1):
        n = degree - q
        children = work + n_nodes * n
        if n == 2:
            _level(x, sig, sig, work, b, n_nodes, inverse, d, 2, left, True)
        elif n == 3:
            _level(x, sig, sig, work, children, n_nodes, inverse, d, 3, left, True)
        elif n == 4:
            _level(x, sig, sig, work, children, n_nodes, inverse, d, 4, left, True)
        else:
            _level(x, sig, sig, work, children, n_nodes, inverse, d, n, left, True)
        n_nodes *= d
        sig = sig + n_nodes
        work = children


cdef inline void _add_to_top(const vec* x, const vec* b, vec* top, Py_ssize_t n_nodes, const Py_ssize_t d,
                             const Py_ssize_t n, const bint left) noexcept nogil:
    """top[u j] += sum over k < n of b_k[u] x_k[j], or top[j u] from the left."""
    cdef Py_ssize_t u, j, k, c
    cdef vec t
    cdef vec node[4]
    cdef vec letters[24]
    if d <= 6:
        for k in range(n):
            for j in range(d):
                letters[k * d + j] = x[k * d + j]
        x = letters
    for u in range(n_nodes):
        for k in range(n):
            node[k] = b[k * n_nodes + u]
        for j in range(d):
            c = j * n_nodes + u if left else u * d + j
            t = top[c]
            for k in range(n):
                t = t + node[k] * x[k * d + j]
            top[c] = t


cdef inline void add_increments(const vec* x, Py_ssize_t n, vec* sig, vec* top, vec* b, vec* work, const vec* inverse,
                                const Py_ssize_t d, Py_ssize_t degree, Py_ssize_t n_nodes,
                                const bint left) noexcept nogil:
    """sig (x) exp(x_0) (x) .. (x) exp(x_(n-1)), or with the exponentials in front, x_(n-1) first.

    sig: levels 1..degree - 1; top: level `degree`; b: RUN * n_nodes vectors, n_nodes the words of length degree - 1.
    """
    cdef Py_ssize_t k, here, spent = 0
    while n > 0:
        here = RUN if n >= 4 else 2 if n >= 2 else 1
        if due(&spent, 2 * here * n_nodes * d):
            return
        for k in range(here):
            _lower_levels(x + k * d, sig, b + k * n_nodes, work, inverse, d, degree, left)
        if here == 4:
            _add_to_top(x, b, top, n_nodes, d, 4, left)
        elif here == 2:
            _add_to_top(x, b, top, n_nodes, d, 2, left)
        else:
            _add_to_top(x, b, top, n_nodes, d, 1, left)
        x = x + here * d
        n -= here
