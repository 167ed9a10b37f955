"""Coefficients of one lane group at all prefixes of a set of words: increments through their trie, first to last.

`siglib/_tables/word_trie.py` makes the tries and the programs that are followed here. Increments are multiplied from
the right, S <- S (x) exp(x). With u the parent of the node v = u a, on level k and of height H, Horner's scheme is

    c_v^(r) = S[v] + x_a / (r + 1) c_u^(r+1)      r = 1..H,       c^(r) = 1 at the root
    S[v]   += x_a c_u^(1).

Lanes hold paths. `BLOCK` increments go through the trie together, so that a coefficient is loaded and stored once for
all of them. Partial results of the lowest levels never leave the registers; others wait in rows, [r - 1][increment].

Powers: the table `xs` has x_a, x_a / 2, ... of each letter, [place + r - 1][increment].
"""

from libc.stdint cimport int32_t, int64_t

from ._interruption cimport due
from .lanes cimport vec

cdef enum:
    BLOCK = 4            # increments that the forward pass takes together

cdef struct Trie:
    Py_ssize_t n_powers          # of all letters
    Py_ssize_t n_rows            # of partial results in the forward pass
    Py_ssize_t n_places          # on the stack of the backward pass
    Py_ssize_t highest           # the greatest height
    Py_ssize_t n_operations      # multiply-adds for one increment
    Py_ssize_t n_letters, n_steps, n_back_steps, n_nodes
    const int32_t* nodes         # (n_nodes, 3): place of the letter's powers, leaf children, children of height 1
    const int64_t* letters       # (n_letters, 3): channel, place of its powers, their number
    const int64_t* forward       # (n_steps, 4): kind, node, from, to
    const int64_t* backward      # (n_back_steps, 4)
    const int64_t* parents       # (n_nodes, 2): of each node its parent, -1 for the root, and the number of its letter
    Py_ssize_t n_chains          # below the root, if all that is there are chains
    const int64_t* chains        # for each its length, and the number of each letter
    Py_ssize_t n_ways            # from the root to leaves, if there are long words
    Py_ssize_t n_way_vectors     # of 8 letters in all of them
    const int64_t* ways          # for each its length, how many nodes belong to others, its nodes, and its letters


cdef inline Trie make_trie(const int32_t[::1] nodes, const int64_t[::1] program) noexcept nogil:
    """A trie in the two arrays that `siglib/_tables/word_trie.py` makes; there are nodes."""
    cdef Trie trie
    cdef Py_ssize_t _chain
    cdef const int64_t* after
    trie.n_powers = program[0]
    trie.n_rows = program[1]
    trie.n_places = program[2]
    trie.highest = program[3]
    trie.n_operations = program[4]
    trie.n_letters = program[5]
    trie.n_steps = program[6]
    trie.n_back_steps = program[7]
    trie.n_nodes = nodes.shape[0] // 3
    trie.nodes = &nodes[0]
    trie.letters = &program[8]
    trie.forward = trie.letters + 3 * trie.n_letters
    trie.backward = trie.forward + 4 * trie.n_steps
    trie.parents = trie.backward + 4 * trie.n_back_steps
    trie.n_chains = trie.parents[2 * trie.n_nodes]
    trie.chains = trie.parents + 2 * trie.n_nodes + 1
    after = trie.chains
    for _chain in range(trie.n_chains):
        after = after + 1 + after[0]
    trie.n_ways = after[0]
    trie.n_way_vectors = after[1]
    trie.ways = after + 2
    return trie


cdef inline void leaves(const int32_t* node, Py_ssize_t n, const vec* xs, vec* S, const vec* c) noexcept nogil:
    """`n` leaves below one node, side by side; c[0:4] are its partial results for them."""
    cdef Py_ssize_t i
    cdef const vec* x
    for i in range(n):
        x = xs + BLOCK * node[3 * i]
        S[i] = S[i] + x[0] * c[0] + x[1] * c[1] + x[2] * c[2] + x[3] * c[3]


cdef inline Py_ssize_t height1(const int32_t* node, const vec* xs, vec* S, const vec* c) noexcept nogil:
    """A subtree of height 1; the number of its nodes."""
    cdef const vec* x = xs + BLOCK * node[0]
    cdef vec s = S[0]
    cdef vec own[4]
    cdef int m
    for m in range(4):
        own[m] = s + x[4 + m] * c[4 + m]
        s = s + x[m] * c[m]
    S[0] = s
    leaves(node + 3, node[1], xs, S + 1, own)
    return 1 + node[1]


cdef inline void height2(const int32_t* node, const vec* xs, vec* S, const vec* c) noexcept nogil:
    """A subtree of height 2."""
    cdef const vec* x = xs + BLOCK * node[0]
    cdef Py_ssize_t _i, at = 1 + node[1]
    cdef vec s = S[0]
    cdef vec own[8]
    cdef int m
    for m in range(4):
        own[m] = s + x[4 + m] * c[4 + m]
        own[4 + m] = s + x[8 + m] * c[8 + m]
        s = s + x[m] * c[m]
    S[0] = s
    leaves(node + 3, node[1], xs, S + 1, own)
    for _i in range(node[2]):
        at += height1(node + 3 * at, xs, S + at, own)


cdef inline void enter(const vec* x, vec* S, const vec* c, vec* own, const int height) noexcept nogil:
    """The top node of a subtree; its partial results may take the place of its parent's."""
    cdef int m, r
    cdef vec s = S[0]
    cdef vec before[4]
    for m in range(4):
        before[m] = s
        s = s + x[m] * c[m]
    S[0] = s
    for r in range(1, height + 1):
        for m in range(4):
            own[4 * r - 4 + m] = before[m] + x[4 * r + m] * c[4 * r + m]


cdef inline void fill_powers(const vec* dx, Py_ssize_t row_size, const int block, const Trie* trie,
                             const Py_ssize_t* columns, const vec* inverse, vec* xs) noexcept nogil:
    """The powers of `block` increments, row_size apart; inverse[r] is 1 / r."""
    cdef Py_ssize_t i, r
    cdef int m
    cdef vec x
    cdef vec* target
    for i in range(trie.n_letters):
        target = xs + block * trie.letters[3 * i + 1]
        for m in range(block):
            x = dx[m * row_size + columns[i]]
            target[m] = x
            for r in range(1, trie.letters[3 * i + 2]):
                target[r * block + m] = x * inverse[r + 1]


cdef inline void walk(const vec* dx, Py_ssize_t n_rows, Py_ssize_t row_size, const Trie* trie,
                      const Py_ssize_t* columns, const vec* inverse, vec* xs, vec* rows, vec* S) noexcept nogil:
    """Take n_rows increments, a multiple of BLOCK, into the coefficients S (n_nodes).

    dx: increments, row_size vectors apart, the letter i at columns[i]; rows (n_rows, BLOCK * (highest + 1)): the first
    one is 1, the root's.
    """
    cdef Py_ssize_t _block, _step, v, spent = 0, row = BLOCK * (trie.highest + 1)
    cdef int64_t kind
    cdef const int64_t* step
    cdef const int32_t* node
    cdef const vec* c
    cdef vec* own
    for _block in range(n_rows // BLOCK):
        if due(&spent, BLOCK * trie.n_operations):
            return
        fill_powers(dx, row_size, BLOCK, trie, columns, inverse, xs)
        step = trie.forward
        for _step in range(trie.n_steps):
            kind = step[0]
            v = step[1]
            node = trie.nodes + 3 * v
            c = rows + step[2] * row
            if kind == 0:
                leaves(node, step[3], xs, S + v, c)
            elif kind == 1:
                height1(node, xs, S + v, c)
            elif kind == 2:
                height2(node, xs, S + v, c)
            else:
                own = rows + step[3] * row
                if kind == 3:
                    enter(xs + BLOCK * node[0], S + v, c, own, 3)
                elif kind == 4:
                    enter(xs + BLOCK * node[0], S + v, c, own, 4)
                elif kind == 5:
                    enter(xs + BLOCK * node[0], S + v, c, own, 5)
                else:
                    enter(xs + BLOCK * node[0], S + v, c, own, <int>kind)
            step = step + 4
        dx = dx + BLOCK * row_size
