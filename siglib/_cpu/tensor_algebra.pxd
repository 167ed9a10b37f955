"""The truncated tensor algebra on flat arrays, one element at a time.

An element is stored as levels 1..degree one after another, level k as d^k words in lexicographic order; its empty
word is 1 and not stored. Each primitive is followed by its adjoint.
"""

from .lanes cimport real


cdef inline void product(const real* a, const real* b, real* out, Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """out = a (x) b. Level n from n = degree down reads only lower levels of a and b, so `out` may be `a`."""
    cdef Py_ssize_t n, _n, _k, u, v, n_u, n_v, offset_n = 0, offset_u, offset_v, size
    cdef real factor
    cdef real* row
    cdef const real* suffix
    size = 1
    for _n in range(degree):
        offset_n += size
        size *= d
    offset_n -= 1                     # where level `degree` starts; `size` is its length
    for n in range(degree, 0, -1):
        for u in range(size):
            out[offset_n + u] = a[offset_n + u] + b[offset_n + u]
        # The inner loop runs along words of b: contiguous, and long where most of the work is.
        n_u = d
        n_v = size // d
        offset_u = 0
        offset_v = offset_n - n_v
        for _k in range(1, n):
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
    cdef Py_ssize_t n, _n, _k, u, v, n_u, n_v, offset_n, offset_u, offset_v, size, length
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
