"""Signature of one lane group: for one suffix per lane, the coefficients of all words that end in it.

Increments are taken from last to first and multiplied from the left, S <- exp(x) (x) S. Words with the same last `s`
letters w (the *suffix*) then form a problem of their own: their coefficients need only those of words that end in w,
and the levels 1..s of w's own endings. So the state of an item (path, suffix) is

    ending[k]       coefficient of the last k letters of w,                     k = 1..s
    T_r[u]          coefficient of the word u w, |u| = r (the tree),            r = 1..p,  p = degree - s

and no item needs another. Horner's scheme for level s + r starts along the suffix (`chains`) and goes on down the
tree: at the node u on level q its partial result is B^(r)[u], and for the letter j put in front of u

    B^(r)[ju] = x_j B^(r)[u] / (r - q) + T_{q+1}[ju]     r > q + 1
    T_{q+1}[ju] += x_j B^(q+1)[u].

Why it is fast. Every lane holds an item, so the arithmetic is full vectors for every dimension. `BLOCK` increments
are taken through the tree together, so that a coefficient is loaded and stored once per BLOCK multiply-adds. The
lowest levels of the tree are walked depth first by inlined functions for a dimension known to the compiler: their
partial results never leave the registers.

The tree is stored level by level, the children of a node side by side: the letter added last (the first letter of the
word) varies fastest. Partial results are kept already divided by the (r - q) of their next use.
"""

from .lanes cimport vec
from .signature_suffix cimport BLOCK, chains, long_chains

cdef enum:
    MAX_TREE_DEPTH = 8


cdef inline void leaves(const vec* x, vec* T, const vec* B, const int d) noexcept nogil:
    """Top level below one node: T[j] += sum over the block of x_j B."""
    cdef int j
    for j in range(d):
        T[j] = T[j] + x[j] * B[0] + x[d + j] * B[1] + x[2 * d + j] * B[2] + x[3 * d + j] * B[3]


cdef inline void node2(const vec* x, vec* T1, vec* T0, const vec* B, const int d) noexcept nogil:
    """Two levels below one node. B[0:4] belongs to the level of T1, B[4:8] (halved) to the top level T0."""
    cdef int j, m
    cdef vec t
    cdef vec child[4]
    for j in range(d):
        t = T1[j]
        for m in range(4):
            child[m] = x[m * d + j] * B[4 + m] + t
            t = t + x[m * d + j] * B[m]
        T1[j] = t
        leaves(x, T0 + j * d, child, d)


cdef inline void node3(const vec* x, vec* T2, vec* T1, vec* T0, const vec* B, const vec* inverse,
                       const int d) noexcept nogil:
    """Three levels below one node."""
    cdef int j, m
    cdef vec t
    cdef vec child[8]
    for j in range(d):
        t = T2[j]
        for m in range(4):
            child[m] = x[m * d + j] * B[4 + m] + t
            child[4 + m] = (x[m * d + j] * B[8 + m] + t) * inverse[2]
            t = t + x[m * d + j] * B[m]
        T2[j] = t
        node2(x, T1 + j * d, T0 + j * d * d, child, d)


cdef inline void node4(const vec* x, vec* T3, vec* T2, vec* T1, vec* T0, const vec* B, const vec* inverse,
                       const int d) noexcept nogil:
    """Four levels below one node."""
    cdef int j, m
    cdef vec t
    cdef vec child[12]
    for j in range(d):
        t = T3[j]
        for m in range(4):
            child[m] = x[m * d + j] * B[4 + m] + t
            child[4 + m] = (x[m * d + j] * B[8 + m] + t) * inverse[2]
            child[8 + m] = (x[m * d + j] * B[12 + m] + t) * inverse[3]
            t = t + x[m * d + j] * B[m]
        T3[j] = t
        node3(x, T2 + j * d, T1 + j * d * d, T0 + j * d * d * d, child, inverse, d)


cdef inline void fused(const vec* x, vec** T, const vec* B, Py_ssize_t n_nodes, const vec* inverse, const int d,
                       const int k) noexcept nogil:
    """The lowest `k` levels below all nodes in turn, in registers; T[i] is the level i below the top one."""
    cdef Py_ssize_t u
    cdef int i, m
    # Copies that the compiler knows to be untouched by the stores to the tree: they stay in registers.
    cdef vec letters[20]
    cdef vec node[16]
    for m in range(4):
        for i in range(d):
            letters[m * d + i] = x[i - m * d]
    for u in range(n_nodes):
        for i in range(4 * k):
            node[i] = B[i]
        if k == 1:
            leaves(letters, T[0] + u * d, node, d)
        elif k == 2:
            node2(letters, T[1] + u * d, T[0] + u * d * d, node, d)
        elif k == 3:
            node3(letters, T[2] + u * d, T[1] + u * d * d, T[0] + u * d * d * d, node, inverse, d)
        else:
            node4(letters, T[3] + u * d, T[2] + u * d * d, T[1] + u * d * d * d, T[0] + u * d * d * d * d, node,
                  inverse, d)
        B = B + 4 * k


cdef inline int fused_depth(const int d) noexcept nogil:
    """How many levels the register file and the instruction cache carry well (measured)."""
    return 4 if d <= 3 else 3 if d == 4 else 2


cdef inline Py_ssize_t upper_levels(const vec* x, vec** T, const vec** B, const vec* inverse, vec* work,
                                    const Py_ssize_t d, int p, int below) noexcept nogil:
    """All levels but the lowest `below` ones, one after another; the number of nodes on the last, with their partial
    results in B[0]."""
    cdef Py_ssize_t u, j, n_nodes = 1
    cdef int i, k, m
    cdef vec t
    cdef const vec* parent = B[0]
    for k in range(p, below, -1):
        B[0] = work
        for u in range(n_nodes):
            for j in range(d):
                t = T[k - 1][u * d + j]
                for m in range(BLOCK):
                    work[m] = x[j - m * d] * parent[BLOCK + m] + t
                    for i in range(2, k):
                        work[(i - 1) * BLOCK + m] = (x[j - m * d] * parent[i * BLOCK + m] + t) * inverse[i]
                    t = t + x[j - m * d] * parent[m]
                T[k - 1][u * d + j] = t
                work = work + (k - 1) * BLOCK
            parent = parent + k * BLOCK
        parent = B[0]
        n_nodes *= d
    return n_nodes


cdef inline void tree(const vec* x, vec** T, const vec* B, const vec* inverse, vec* work, const int d,
                      int p) noexcept nogil:
    """One block through the whole tree, for a small d known to the compiler."""
    cdef int k = min(p, fused_depth(d))
    cdef Py_ssize_t n_nodes = upper_levels(x, T, &B, inverse, work, d, p, k)
    if k == 1:
        fused(x, T, B, n_nodes, inverse, d, 1)
    elif k == 2:
        fused(x, T, B, n_nodes, inverse, d, 2)
    elif k == 3 and fused_depth(d) >= 3:
        fused(x, T, B, n_nodes, inverse, d, 3)
    elif fused_depth(d) >= 4:
        fused(x, T, B, n_nodes, inverse, d, 4)


cdef inline void tile(const vec* x, vec* T, const vec* B, Py_ssize_t n_nodes, Py_ssize_t d,
                      const int width) noexcept nogil:
    """Top level for `width` neighbouring letters, whose increments stay in registers, below all nodes in turn."""
    cdef Py_ssize_t _u
    cdef int j, m
    cdef vec b0, b1, b2, b3
    cdef vec letters[16]
    for m in range(4):
        for j in range(width):
            letters[m * width + j] = x[j - m * d]
    for _u in range(n_nodes):
        b0 = B[0]
        b1 = B[1]
        b2 = B[2]
        b3 = B[3]
        for j in range(width):
            T[j] = (T[j] + letters[j] * b0 + letters[width + j] * b1
                    + letters[2 * width + j] * b2 + letters[3 * width + j] * b3)
        T = T + d
        B = B + BLOCK


cdef inline void tiled_tree(const vec* x, vec** T, const vec* B, const vec* inverse, vec* work, Py_ssize_t d,
                            int p) noexcept nogil:
    """One block through the whole tree, for any d: the top level in tiles of letters."""
    cdef Py_ssize_t i, j = 0, n_nodes
    cdef vec t
    cdef vec root[8]
    if p == 2:
        # By far the most frequent depth here, and simple enough to stay in registers.
        for i in range(8):
            root[i] = B[i]
        B = work
        for j in range(d):
            t = T[1][j]
            for i in range(4):
                work[i] = x[j - i * d] * root[4 + i] + t
                t = t + x[j - i * d] * root[i]
            T[1][j] = t
            work = work + BLOCK
        j = 0
        n_nodes = d
    else:
        n_nodes = upper_levels(x, T, &B, inverse, work, d, p, 1)
    while j + 4 <= d:
        tile(x + j, T[0] + j, B, n_nodes, d, 4)
        j += 4
    if d - j == 3:
        tile(x + j, T[0] + j, B, n_nodes, d, 3)
    elif d - j == 2:
        tile(x + j, T[0] + j, B, n_nodes, d, 2)
    elif d - j == 1:
        tile(x + j, T[0] + j, B, n_nodes, d, 1)


cdef inline void walk(const vec* x, Py_ssize_t n_rows, vec** xw, Py_ssize_t xw_stride, vec* ending, vec** T,
                      const vec* inverse, vec* work, Py_ssize_t d, int p, int s) noexcept nogil:
    """Take all increments, last first, through the state of one item per lane.

    x (n_rows, d): increments, n_rows a multiple of BLOCK; xw[k] points to the last increment of the letter k + 1
    places from the suffix's end, and they are xw_stride apart (the pointers are moved); T[p - r] is level r of the
    tree. Everything below gets x at the last increment of the block, the one before it d earlier.
    """
    cdef Py_ssize_t _block
    cdef int k
    cdef vec* roots = work
    work = work + p * BLOCK
    x = x + (n_rows - 1) * d
    for _block in range(n_rows // BLOCK):
        if s == 0:
            chains(xw, -xw_stride, ending, roots, inverse, 0, p)
        elif s == 1:
            chains(xw, -xw_stride, ending, roots, inverse, 1, p)
        elif s == 2:
            chains(xw, -xw_stride, ending, roots, inverse, 2, p)
        elif s == 3:
            chains(xw, -xw_stride, ending, roots, inverse, 3, p)
        elif s == 4:
            chains(xw, -xw_stride, ending, roots, inverse, 4, p)
        else:
            long_chains(xw, -xw_stride, ending, roots, inverse, s, p)
        for k in range(s):
            xw[k] = xw[k] - BLOCK * xw_stride
        if d == 2:
            tree(x, T, roots, inverse, work, 2, p)
        elif d == 3:
            tree(x, T, roots, inverse, work, 3, p)
        elif d == 4:
            tree(x, T, roots, inverse, work, 4, p)
        elif d == 5:
            tree(x, T, roots, inverse, work, 5, p)
        else:
            tiled_tree(x, T, roots, inverse, work, d, p)
        x = x - BLOCK * d
