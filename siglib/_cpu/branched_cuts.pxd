"""Sums over the cuts of trees, in lanes: products of branched signatures, and the adjoint.

A coefficient of the product is a sum over the cuts of its tree,

    (X * Y)_i = sum_k ways[k] X[pruned[k]] Y[trunks[k]],   starts[i] <= k < starts[i + 1],

where element 0 is nothing, 1 + i the i-th coefficient, and then come forests of several trees, on which X is a product
of earlier elements: see `_tables/coproducts.py`.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from ._interruption cimport due
from .lanes cimport scaled, vec


cdef struct Cuts:
    Py_ssize_t n                 # coefficients
    Py_ssize_t n_elements
    Py_ssize_t n_products        # forests of several trees on which X is a product; on others it is 0
    Py_ssize_t degree
    const int64_t* starts
    const int32_t* pruned
    const int32_t* trunks
    const void* ways
    const int64_t* ends          # the first ends[n] coefficients have up to n nodes
    const int32_t* products


cdef inline void expand(vec* x, const Cuts* cuts) noexcept nogil:
    """X on forests of several trees, from X on trees."""
    cdef Py_ssize_t j, first = cuts.n + 1
    cdef const int32_t* products = cuts.products
    for j in range(cuts.n_products):
        x[first + j] = x[products[2 * j]] * x[products[2 * j + 1]]
    if cuts.n_products == 0:
        memset(<void*>(x + first), 0, (cuts.n_elements - first) * sizeof(vec))


cdef inline void expand_backprop(const vec* x, vec* g, const Cuts* cuts) noexcept nogil:
    """Adjoint of `expand`: the cotangents of forests to those of trees."""
    cdef Py_ssize_t j, a, b, first = cuts.n + 1
    cdef const int32_t* products = cuts.products
    for j in range(cuts.n_products - 1, -1, -1):
        a, b = products[2 * j], products[2 * j + 1]
        g[a] = g[a] + g[first + j] * x[b]
        g[b] = g[b] + g[first + j] * x[a]


cdef inline void multiply(const vec* x, const vec* y, vec* out, Py_ssize_t n, bint whole,
                          const Cuts* cuts) noexcept nogil:
    """out[1..n] = the first n coefficients of X * Y, or of (X - X_0) * Y if not `whole`; out may be y."""
    cdef Py_ssize_t i, k, stop, spent = 0
    cdef const int64_t* starts = cuts.starts
    cdef const int32_t* pruned = cuts.pruned
    cdef const int32_t* trunks = cuts.trunks
    cdef const void* ways = cuts.ways
    cdef vec total, term
    for i in range(n - 1, -1, -1):
        stop = starts[i + 1] - 1
        if due(&spent, stop - starts[i]):
            return
        # The last term is (0, the whole), the one before it has the whole pruned, or is the only one.
        total = x[0] * y[i + 1] if whole else x[0] - x[0]
        for k in range(starts[i], stop):
            term = x[pruned[k]] * y[trunks[k]]
            total = total + scaled(term, ways, k)
        out[i + 1] = total


cdef inline void multiply_backprop(const vec* g, const vec* x, const vec* y, vec* g_x, vec* g_y, Py_ssize_t n,
                                   bint whole, const Cuts* cuts) noexcept nogil:
    """Adjoint of `multiply`: g[1..n] to the cotangents of X and Y, which are added to."""
    cdef Py_ssize_t i, k, stop, a, b, spent = 0
    cdef const int64_t* starts = cuts.starts
    cdef const int32_t* pruned = cuts.pruned
    cdef const int32_t* trunks = cuts.trunks
    cdef const void* ways = cuts.ways
    cdef vec part
    for i in range(n):
        stop = starts[i + 1] - 1
        if due(&spent, 2 * (stop - starts[i])):
            return
        if whole:
            g_y[i + 1] = g_y[i + 1] + g[i + 1] * x[0]
        for k in range(starts[i], stop):
            a, b = pruned[k], trunks[k]
            part = scaled(g[i + 1], ways, k)
            g_x[a] = g_x[a] + part * y[b]
            g_y[b] = g_y[b] + part * x[a]
