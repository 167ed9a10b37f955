"""Coefficients of one lane group where tries do not branch: increments through *chains*, first to last, and back.

A chain is a word with all its prefixes. With S[k] the coefficient of its first k + 1 letters and x[k] the increment of
letter k, Horner's scheme of coefficients_trie.pxd is, with partial results divided by factorials,

    c_k[r] = S[k] / (r + 1)! + x[k] c_(k-1)[r+1]      r = 0..n - k - 2,       c[r] = 1 / (r + 1)! for no letters
    S[k]  += x[k] c_(k-1)[0].

Lanes hold paths. The number of letters is known at compile time, so that coefficients and partial results stay in
registers for a whole stretch of increments, and no powers of increments are needed.

Gradient: increments are taken off from last to first by the same scheme with -x. With g[k] the cotangent of S[k] after
the increment,

    e_k[0] = g[k],   e_k[r] = x[k+1] e_(k+1)[r-1]      r = 1..n - k - 1
    gx[k] += sum over r of e_k[r] c_(k-1)[r],          g[k] += sum over r > 0 of e_k[r] / r!.
"""

from libc.stdint cimport int64_t

from ._interruption cimport due
from .coefficients_trie cimport Trie
from .lanes cimport vec

cdef enum:
    LONGEST = 8          # letters of a chain, as _MAX_CHAIN in `siglib/_tables/word_trie.py`


cdef inline void chain(const vec* dx, Py_ssize_t n_rows, Py_ssize_t row_size, const Py_ssize_t* places,
                       const vec* factors, vec* S, const int n) noexcept nogil:
    """Take n_rows increments into one chain; letter k at places[k] of a row, factors[r] = 1 / r!."""
    cdef int k, r
    cdef Py_ssize_t _row
    cdef vec x, before
    cdef vec s[8]
    cdef vec c[8]
    for k in range(n):
        s[k] = S[k]
    for _row in range(n_rows):
        for r in range(n):
            c[r] = factors[r + 1]
        for k in range(n):
            x = dx[places[k]]
            before = s[k]
            s[k] = before + x * c[0]
            if k < n - 1:
                c[0] = before + x * c[1]
            for r in range(1, n - k - 1):
                c[r] = before * factors[r + 1] + x * c[r + 1]
        dx = dx + row_size
    for k in range(n):
        S[k] = s[k]


cdef inline void chain_backprop(const vec* dx, vec* gx, Py_ssize_t n_rows, Py_ssize_t row_size,
                                const Py_ssize_t* places, const vec* factors, vec* S, vec* G,
                                const int n) noexcept nogil:
    """Take n_rows increments off one chain, last to first, and add their gradients to gx."""
    cdef int k, r
    cdef Py_ssize_t _row
    cdef vec x, after, before, total, sum_
    cdef vec s[8]
    cdef vec g[8]
    cdef vec d[8]            # partial results of -x
    cdef vec c[72]           # of x: those for letter k from 8 k on
    cdef vec e[8]
    for k in range(n):
        s[k] = S[k]
        g[k] = G[k]
    dx = dx + (n_rows - 1) * row_size
    gx = gx + (n_rows - 1) * row_size
    for _row in range(n_rows):
        for r in range(n):
            d[r] = factors[r + 1]
            c[r] = factors[r + 1]
        for k in range(n):
            x = dx[places[k]]
            after = s[k]
            before = after - x * d[0]
            s[k] = before
            if k < n - 1:
                d[0] = after - x * d[1]
                c[8 * k + 8] = before + x * c[8 * k + 1]
            for r in range(1, n - k - 1):
                d[r] = after * factors[r + 1] - x * d[r + 1]
                c[8 * k + 8 + r] = before * factors[r + 1] + x * c[8 * k + r + 1]
        for k in range(n - 1, -1, -1):
            # The letters behind are done: e[r] is that of letter k + 1.
            if k < n - 1:
                x = dx[places[k + 1]]
                for r in range(n - k - 1, 0, -1):
                    e[r] = x * e[r - 1]
            e[0] = g[k]
            total = e[0] * c[8 * k]
            sum_ = e[0]
            if k < n - 1:
                total = total + e[1] * c[8 * k + 1]
                sum_ = sum_ + e[1]
            for r in range(2, n - k):
                total = total + e[r] * c[8 * k + r]
                sum_ = sum_ + e[r] * factors[r]
            gx[places[k]] = gx[places[k]] + total
            g[k] = sum_
        dx = dx - row_size
        gx = gx - row_size
    for k in range(n):
        S[k] = s[k]
        G[k] = g[k]


cdef inline const int64_t* next_chain(const int64_t* at, const Py_ssize_t* columns, Py_ssize_t* places) noexcept nogil:
    """Where the letters of the chain at `at` have their columns; the chain behind it."""
    cdef Py_ssize_t k
    for k in range(at[0]):
        places[k] = columns[at[1 + k]]
    return at + 1 + at[0]


cdef inline void walk_chains(const vec* dx, Py_ssize_t n_rows, Py_ssize_t row_size, const Trie* trie,
                             const Py_ssize_t* columns, const vec* factors, vec* S) noexcept nogil:
    """`walk` of coefficients_trie.pxd for tries of chains, any n_rows."""
    cdef const int64_t* at = trie.chains
    cdef const int64_t* following
    cdef Py_ssize_t _chain, spent = 0
    cdef Py_ssize_t[8] places
    for _chain in range(trie.n_chains):
        if due(&spent, n_rows * at[0] * at[0]):
            return
        following = next_chain(at, columns, places)
        if at[0] == 1:
            chain(dx, n_rows, row_size, places, factors, S, 1)
        elif at[0] == 2:
            chain(dx, n_rows, row_size, places, factors, S, 2)
        elif at[0] == 3:
            chain(dx, n_rows, row_size, places, factors, S, 3)
        elif at[0] == 4:
            chain(dx, n_rows, row_size, places, factors, S, 4)
        elif at[0] == 5:
            chain(dx, n_rows, row_size, places, factors, S, 5)
        elif at[0] == 6:
            chain(dx, n_rows, row_size, places, factors, S, 6)
        elif at[0] == 7:
            chain(dx, n_rows, row_size, places, factors, S, 7)
        else:
            chain(dx, n_rows, row_size, places, factors, S, LONGEST)
        S = S + at[0]
        at = following


cdef inline void walk_chains_backprop(const vec* dx, vec* gx, Py_ssize_t n_rows, Py_ssize_t row_size, const Trie* trie,
                                      const Py_ssize_t* columns, const vec* factors, vec* S, vec* G) noexcept nogil:
    """`walk_backprop` of coefficients_trie_backprop.pxd for tries of chains, any n_rows; factors[0] is 1."""
    cdef const int64_t* at = trie.chains
    cdef const int64_t* following
    cdef Py_ssize_t _chain, i, spent = 0
    cdef Py_ssize_t[8] places
    for i in range(n_rows * row_size):
        gx[i] = factors[0] - factors[0]
    for _chain in range(trie.n_chains):
        if due(&spent, 4 * n_rows * at[0] * at[0]):
            return
        following = next_chain(at, columns, places)
        if at[0] == 1:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, 1)
        elif at[0] == 2:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, 2)
        elif at[0] == 3:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, 3)
        elif at[0] == 4:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, 4)
        elif at[0] == 5:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, 5)
        elif at[0] == 6:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, 6)
        elif at[0] == 7:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, 7)
        else:
            chain_backprop(dx, gx, n_rows, row_size, places, factors, S, G, LONGEST)
        S = S + at[0]
        G = G + at[0]
        at = following
