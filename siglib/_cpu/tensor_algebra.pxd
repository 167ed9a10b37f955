"""The truncated tensor algebra on flat arrays, one element at a time.

An element is stored as levels 1..degree one after another, level k as d^k words in lexicographic order; its empty
word is 1 and not stored. Each primitive is followed by its adjoint.
"""

from ._interruption cimport due
from .lanes cimport real


cdef inline void last_letters(const real* a_n, const real* b_n, const real* a_n1, const real* a_n2, const real* b,
                              real* out, Py_ssize_t size, const int d) noexcept nogil:
    """What of level n does not need more than two letters of b: out_n = a_n + b_n + a_{n-1} (x) b_1 + a_{n-2} (x) b_2.

    `size` is the length of level n. One pass instead of three, for rows too short for a loop of their own.
    """
    cdef Py_ssize_t u, at
    cdef int i, j
    cdef real one, two
    cdef real b1[5]
    cdef real b2[25]
    for i in range(d):
        b1[i] = b[i]
    for i in range(d * d):
        b2[i] = b[d + i]
    for u in range(size // (d * d)):
        two = a_n2[u]
        for i in range(d):
            one = a_n1[u * d + i]
            at = (u * d + i) * d
            for j in range(d):
                out[at + j] = a_n[at + j] + b_n[at + j] + two * b2[i * d + j] + one * b1[j]


cdef inline void product(const real* a, const real* b, real* out, Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """out = a (x) b. Level n from n = degree down reads only lower levels of a and b, so `out` may be `a`."""
    cdef Py_ssize_t n, _n, _k, u, v, n_u, n_v, offset_n = 0, offset_u, offset_v, size, at_1, at_2, spent = 0
    cdef real factor
    cdef real* row
    cdef const real* suffix
    size = 1
    for _n in range(degree):
        offset_n += size
        size *= d
    offset_n -= 1                     # where level `degree` starts; `size` is its length
    for n in range(degree, 0, -1):
        at_1 = offset_n - size // d
        at_2 = at_1 - size // d // d
        if n < 3 or d > 5 or d < 2:
            for u in range(size):
                out[offset_n + u] = a[offset_n + u] + b[offset_n + u]
        elif d == 2:
            last_letters(a + offset_n, b + offset_n, a + at_1, a + at_2, b, out + offset_n, size, 2)
        elif d == 3:
            last_letters(a + offset_n, b + offset_n, a + at_1, a + at_2, b, out + offset_n, size, 3)
        elif d == 4:
            last_letters(a + offset_n, b + offset_n, a + at_1, a + at_2, b, out + offset_n, size, 4)
        else:
            last_letters(a + offset_n, b + offset_n, a + at_1, a + at_2, b, out + offset_n, size, 5)
        # The inner loop runs along words of b: contiguous, and long where most of the work is.
        n_u = d
        n_v = size // d
        offset_u = 0
        offset_v = offset_n - n_v
        for _k in range(1, n if n < 3 or d > 5 or d < 2 else n - 2):
            if due(&spent, size):
                return
            suffix = b + offset_v
            for u in range(n_u):
                factor = a[offset_u + u]
                row = out + offset_n + u * n_v
                for v in range(n_v):
                    row[v] += factor * suffix[v]
            offset_u += n_u
            n_u *= d
            n_v //= d
            offset_v -= n_v
        size //= d
        offset_n -= size


cdef inline void product_backprop(const real* derivs, const real* a, const real* b, real* a_derivs, real* b_derivs,
                                  Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """a_derivs, b_derivs = cotangents of a and b in `product`, given that of its result; neither may alias an input."""
    cdef Py_ssize_t n, _n, _k, u, v, n_u, n_v, offset_n, offset_u, offset_v, size, length, spent = 0
    cdef real factor, total
    cdef const real* row
    cdef const real* suffix
    cdef real* suffix_derivs
    length = 0
    size = 1
    for _n in range(degree):
        size *= d
        length += size
    for u in range(length):
        a_derivs[u] = derivs[u]
        b_derivs[u] = derivs[u]
    offset_n = length - size
    for n in range(degree, 1, -1):
        n_u = d
        n_v = size // d
        offset_u = 0
        offset_v = offset_n - n_v
        for _k in range(1, n):
            if due(&spent, size):
                return
            suffix = b + offset_v
            suffix_derivs = b_derivs + offset_v
            for u in range(n_u):
                factor = a[offset_u + u]
                row = derivs + offset_n + u * n_v
                total = 0
                for v in range(n_v):
                    total += row[v] * suffix[v]
                    suffix_derivs[v] += factor * row[v]
                a_derivs[offset_u + u] += total
            offset_u += n_u
            n_u *= d
            n_v //= d
            offset_v -= n_v
        size //= d
        offset_n -= size
