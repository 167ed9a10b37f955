"""Gradient of one lane group's coefficients: the adjoint of coefficients_trie.pxd, which see for the notation.

Increments are taken off from last to first: S_old = S exp(-x) gives back the state before each, by the same scheme with
-x (partial results d next to c). Cotangents flow the other way through the same trie: with g that of S[v] after the
increment and b^(r) that of c_v^(r), when the subtree of v is left

    gx_a += g c_u^(1),                      b_u^(1)   += x_a g
    gx_a += b^(r) / (r + 1) c_u^(r+1),      b_u^(r+1) += x_a b^(r) / (r + 1)      r = 1..H
    g    += sum over r of b^(r).

The coefficients of leaves are never needed, and their cotangents never change. `PAIR` increments are taken together,
the later one first. Partial results lie on a stack, `WIDE` vectors for each r: d, c and b of both increments.
"""

from libc.stdint cimport int32_t, int64_t

from ._interruption cimport due
from .coefficients_trie cimport Trie, fill_powers
from .lanes cimport vec

cdef enum:
    PAIR = 2             # increments that the backward pass takes together
    WIDE = 6             # d[0:2], c[2:4], b[4:6]


cdef inline void leaves_backprop(const int32_t* node, Py_ssize_t n, const vec* xs, vec* gx, const vec* G, const vec* c,
                                 vec* b) noexcept nogil:
    """`n` leaves below one node, side by side; c and b are its partial results for them and their cotangents."""
    cdef Py_ssize_t i
    cdef const vec* x
    cdef vec* gx_a
    cdef vec g
    cdef vec b0 = b[0]
    cdef vec b1 = b[1]
    cdef vec c0 = c[0]
    cdef vec c1 = c[1]
    for i in range(n):
        x = xs + PAIR * node[3 * i]
        gx_a = gx + PAIR * node[3 * i]
        g = G[i]
        b0 = b0 + x[0] * g
        b1 = b1 + x[1] * g
        gx_a[0] = gx_a[0] + g * c0
        gx_a[1] = gx_a[1] + g * c1
    b[0] = b0
    b[1] = b1


cdef inline void leave(const vec* x, vec* gx, vec* G, const vec* c, vec* b, const vec* own_b, const Py_ssize_t stride,
                       const Py_ssize_t own_stride, const vec* inverse, const int height) noexcept nogil:
    """The last thing about a node: cotangents to its parent's partial results, b, and to gx; strides are those of r."""
    cdef int m, r
    cdef vec e, total, before
    cdef vec g = G[0]
    for m in range(2):
        before = g
        total = gx[m] + g * c[m]
        b[m] = b[m] + x[m] * g
        for r in range(1, height + 1):
            e = own_b[(r - 1) * own_stride + m]
            before = before + e
            e = e * inverse[r + 1]
            total = total + e * c[r * stride + m]
            b[r * stride + m] = b[r * stride + m] + x[m] * e
        gx[m] = total
        g = before
    G[0] = g


cdef inline Py_ssize_t height1_backprop(const int32_t* node, const vec* xs, vec* gx, vec* S, vec* G, const vec* d,
                                        const vec* c, vec* b, const Py_ssize_t stride,
                                        const vec* inverse) noexcept nogil:
    """A subtree of height 1; the number of its nodes."""
    cdef const vec* x = xs + PAIR * node[0]
    cdef vec s = S[0]
    cdef vec own[2]
    cdef vec own_b[2]
    cdef int m
    for m in range(2):
        s = s - x[m] * d[m]
        own[m] = s + x[2 + m] * c[stride + m]
        own_b[m] = inverse[0]
    S[0] = s
    leaves_backprop(node + 3, node[1], xs, gx, G + 1, own, own_b)
    leave(x, gx + PAIR * node[0], G, c, b, own_b, stride, 2, inverse, 1)
    return 1 + node[1]


cdef inline void height2_backprop(const int32_t* node, const vec* xs, vec* gx, vec* S, vec* G, const vec* d,
                                  const vec* c, vec* b, const Py_ssize_t stride, const vec* inverse) noexcept nogil:
    """A subtree of height 2."""
    cdef const vec* x = xs + PAIR * node[0]
    cdef Py_ssize_t _i, at = 1 + node[1]
    cdef vec s = S[0]
    cdef vec own_d[2]
    cdef vec own[4]
    cdef vec own_b[4]
    cdef int m
    for m in range(2):
        own_d[m] = s - x[2 + m] * d[stride + m]
        s = s - x[m] * d[m]
        own[m] = s + x[2 + m] * c[stride + m]
        own[2 + m] = s + x[4 + m] * c[2 * stride + m]
        own_b[m] = inverse[0]
        own_b[2 + m] = inverse[0]
    S[0] = s
    leaves_backprop(node + 3, node[1], xs, gx, G + 1, own, own_b)
    for _i in range(node[2]):
        at += height1_backprop(node + 3 * at, xs, gx, S + at, G + at, own_d, own, own_b, 2, inverse)
    leave(x, gx + PAIR * node[0], G, c, b, own_b, stride, 2, inverse, 2)


cdef inline void enter_back(const vec* x, vec* S, const vec* above, vec* own, const vec* inverse,
                            const int height) noexcept nogil:
    """The top node of a subtree: its coefficient before each increment, and its partial results."""
    cdef int m, r
    cdef vec after, s = S[0]
    for m in range(2):
        after = s
        s = s - x[m] * above[m]
        for r in range(1, height + 1):
            own[WIDE * (r - 1) + m] = after - x[2 * r + m] * above[WIDE * r + m]
            own[WIDE * (r - 1) + 2 + m] = s + x[2 * r + m] * above[WIDE * r + 2 + m]
            own[WIDE * (r - 1) + 4 + m] = inverse[0]
    S[0] = s


cdef inline void pair_backprop(const Trie* trie, const vec* xs, vec* gx, vec* stack, vec* S, vec* G,
                               const vec* inverse) noexcept nogil:
    """One pair of increments; the program of the backward pass."""
    cdef Py_ssize_t _step, v
    cdef int64_t kind
    cdef const int64_t* step = trie.backward
    cdef const int32_t* node
    cdef const vec* x
    cdef vec* above
    cdef vec* own
    for _step in range(trie.n_back_steps):
        kind = step[0]
        v = step[1]
        node = trie.nodes + 3 * v
        above = stack + WIDE * step[2]
        if kind == 0:
            leaves_backprop(node, step[3], xs, gx, G + v, above + 2, above + 4)
        elif kind == 1:
            height1_backprop(node, xs, gx, S + v, G + v, above, above + 2, above + 4, WIDE, inverse)
        elif kind == 2:
            height2_backprop(node, xs, gx, S + v, G + v, above, above + 2, above + 4, WIDE, inverse)
        else:
            own = stack + WIDE * step[3]
            x = xs + PAIR * node[0]
            if kind == 3:
                enter_back(x, S + v, above, own, inverse, 3)
            elif kind == 4:
                enter_back(x, S + v, above, own, inverse, 4)
            elif kind > 0:
                enter_back(x, S + v, above, own, inverse, <int>kind)
            elif kind == -3:
                leave(x, gx + PAIR * node[0], G + v, above + 2, above + 4, own + 4, WIDE, WIDE, inverse, 3)
            elif kind == -4:
                leave(x, gx + PAIR * node[0], G + v, above + 2, above + 4, own + 4, WIDE, WIDE, inverse, 4)
            else:
                leave(x, gx + PAIR * node[0], G + v, above + 2, above + 4, own + 4, WIDE, WIDE, inverse, <int>-kind)
        step = step + 4


cdef inline void walk_backprop(const vec* dx, vec* gx, Py_ssize_t n_rows, Py_ssize_t row_size, const Trie* trie,
                               const Py_ssize_t* columns, const vec* inverse, vec* xs, vec* gxs, vec* stack, vec* S,
                               vec* G) noexcept nogil:
    """Take n_rows increments, an even number of them, off the coefficients S, last to first; writes their gradients to
    gx.

    dx, gx (n_rows, row_size): the letter i at columns[i]. xs holds them with their powers, last first, and gxs
    (n_powers, PAIR) the gradients. stack: the root's partial results, 1, come first. inverse[0] is 0.
    """
    cdef Py_ssize_t _pair, i, r, spent = 0
    cdef const vec* last = dx + (n_rows - 1) * row_size
    cdef vec* target = gx + (n_rows - 1) * row_size
    cdef vec* found
    for _pair in range(n_rows // PAIR):
        if due(&spent, 4 * PAIR * trie.n_operations):
            return
        fill_powers(last, -row_size, PAIR, trie, columns, inverse, xs)
        for i in range(trie.n_letters):
            found = gxs + PAIR * trie.letters[3 * i + 1]
            found[0] = inverse[0]
            found[1] = inverse[0]
        for r in range(trie.highest + 1):
            stack[WIDE * r + 4] = inverse[0]
            stack[WIDE * r + 5] = inverse[0]
        pair_backprop(trie, xs, gxs, stack, S, G, inverse)
        for i in range(trie.n_letters):
            found = gxs + PAIR * trie.letters[3 * i + 1]
            target[columns[i]] = found[0]
            target[columns[i] - row_size] = found[1]
        last = last - PAIR * row_size
        target = target - PAIR * row_size
