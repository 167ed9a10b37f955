"""Time chunks of one path, joined: S(w) of two paths, one after the other, is the sum over w = u v of S_1(u) S_2(v).

The second factor is that of a sub-word, so chunks come with the coefficients of all *pieces* of the words. `joins`
lists for each prefix which of them go together; see `_joins` in `siglib/_tables/word_trie.py`.
"""

from libc.stdint cimport int32_t, int64_t

from ._interruption cimport due
from .lanes cimport real


cdef inline void gather_columns(const real* values, const int32_t* columns, Py_ssize_t n_columns,
                                real* out) noexcept nogil:
    """out[p] = values[columns[p]], or 1 where that is -1."""
    cdef Py_ssize_t p
    for p in range(n_columns):
        out[p] = values[columns[p]] if columns[p] >= 0 else 1


cdef inline void join_chunks(const real* chunks, Py_ssize_t n_chunks, Py_ssize_t n_pieces, const int64_t* joins,
                             Py_ssize_t n_joins, Py_ssize_t n_nodes, real* joined) noexcept nogil:
    """joined (n_chunks, n_nodes): the coefficients of one path up to the end of each of its chunks, whose own are
    chunks (n_chunks, n_pieces)."""
    cdef Py_ssize_t c, at, j, n, spent = 0
    cdef real total
    cdef const real* before
    cdef const real* chunk
    for c in range(n_chunks):
        if due(&spent, n_joins):
            return
        chunk = chunks + c * n_pieces
        before = joined + (c - 1) * n_nodes
        at = 0
        while at < n_joins:
            n = joins[at + 1]
            total = chunk[joins[at + 2]]
            if c > 0:
                total += before[joins[at]]
                for j in range(at + 3, at + 2 * n + 1, 2):
                    total += before[joins[j]] * chunk[joins[j + 1]]
            joined[c * n_nodes + joins[at]] = total
            at += 2 * n + 1


cdef inline void join_chunks_backprop(const real* chunks, Py_ssize_t n_chunks, Py_ssize_t n_pieces,
                                      const int64_t* joins, Py_ssize_t n_joins, Py_ssize_t n_nodes,
                                      const real* joined, real* derivs, real* chunk_derivs) noexcept nogil:
    """Adjoint of `join_chunks` for the last row of `joined`, whose derivatives (n_nodes) are overwritten.

    chunk_derivs (n_chunks, n_pieces) must be 0.
    """
    cdef Py_ssize_t c, at, j, n, spent = 0
    cdef real g
    cdef const real* before
    cdef const real* chunk
    for c in range(n_chunks - 1, -1, -1):
        if due(&spent, n_joins):
            return
        chunk = chunks + c * n_pieces
        before = joined + (c - 1) * n_nodes
        at = 0
        # Shorter words come first: what longer ones add to their derivatives is for the chunks before.
        while at < n_joins:
            n = joins[at + 1]
            g = derivs[joins[at]]
            chunk_derivs[c * n_pieces + joins[at + 2]] += g
            if c > 0:
                for j in range(at + 3, at + 2 * n + 1, 2):
                    derivs[joins[j]] += g * chunk[joins[j + 1]]
                    chunk_derivs[c * n_pieces + joins[j + 1]] += g * before[joins[j]]
            at += 2 * n + 1
