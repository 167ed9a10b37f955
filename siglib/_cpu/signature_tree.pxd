"""Signature of one lane group: for one suffix per lane, the coefficients of all words that end in it.

Increments are taken from last to first and multiplied from the left, S <- exp(x) (x) S. Words with the same last `s` letters w (the
*suffix*) then form a problem of their own: their coefficients need only those of words that end in w, and the levels 1..s of w's own
endings. So the state of an item (path, suffix) is

    ending[k]       coefficient of the last k letters of w,                     k = 1..s
    T_r[u]          coefficient of the word u w, |u| = r (the tree),            r = 1..p,  p = degree - s

and no item needs another. Horner's scheme for level s + r starts along the suffix (`chains`) and goes on down the tree: at the node u
on level q its partial result is B^(r)[u], and for the letter j put in front of u

    B^(r)[ju] = x_j B^(r)[u] / (r - q) + T_{q+1}[ju]     r > q + 1
    T_{q+1}[ju] += x_j B^(q+1)[u].

Why it is fast. Every lane holds an item, so the arithmetic is full vectors for every dimension. `BLOCK` increments are taken through
the tree together, so that a coefficient is loaded and stored once per BLOCK multiply-adds. The lowest levels of the tree are walked
depth first by inlined functions for a dimension known to the compiler: their partial results never leave the registers.

The tree is stored level by level, the children of a node side by side: the letter added last (the first letter of the word) varies
fastest. Partial results are kept already divided by the (r - q) of their next use.
"""

from .lanes cimport vd, vec, vf

cdef enum:
    BLOCK = 4            # increments taken through the tree together
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


cdef inline void node3(const vec* x, vec* T2, vec* T1, vec* T0, const vec* B, const vec* inverse, const int d) noexcept nogil:
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


cdef inline void node4(const vec* x, vec* T3, vec* T2, vec* T1, vec* T0, const vec* B, const vec* inverse, const int d) noexcept nogil:
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


cdef inline void fused(const vec* x, vec** T, Py_ssize_t u, const vec* B, const vec* inverse, const int d, const int k) noexcept nogil:
    """`k` levels below the node u in registers; T[i] is the level i below the top one."""
    if k == 1:
        leaves(x, T[0] + u * d, B, d)
    elif k == 2:
        node2(x, T[1] + u * d, T[0] + u * d * d, B, d)
    elif k == 3:
        node3(x, T[2] + u * d, T[1] + u * d * d, T[0] + u * d * d * d, B, inverse, d)
    else:
        node4(x, T[3] + u * d, T[2] + u * d * d, T[1] + u * d * d * d, T[0] + u * d * d * d * d, B, inverse, d)


cdef inline int fused_depth(const int d) noexcept nogil:
    """How many levels the register file and the instruction cache carry well (measured)."""
    return 4 if d <= 3 else 3 if d == 4 else 2


cdef inline Py_ssize_t upper_levels(const vec* x, vec** T, const vec** B, const vec* inverse, vec* work, const Py_ssize_t d, int p,
                                    int below) noexcept nogil:
    """All levels but the lowest `below` ones, one after another; the number of nodes on the last, with their partial results in B[0]."""
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
                    work[m] = x[m * d + j] * parent[BLOCK + m] + t
                    for i in range(2, k):
                        work[(i - 1) * BLOCK + m] = (x[m * d + j] * parent[i * BLOCK + m] + t) * inverse[i]
                    t = t + x[m * d + j] * parent[m]
                T[k - 1][u * d + j] = t
                work = work + (k - 1) * BLOCK
            parent = parent + k * BLOCK
        parent = B[0]
        n_nodes *= d
    return n_nodes


cdef inline void tree(const vec* x, vec** T, const vec* B, const vec* inverse, vec* work, const int d, int p) noexcept nogil:
    """One block through the whole tree, for a small d known to the compiler."""
    cdef int i, k = min(p, fused_depth(d))
    cdef Py_ssize_t u, n_nodes = upper_levels(x, T, &B, inverse, work, d, p, k)
    # A copy that the compiler knows to be untouched by the stores to the tree: it stays in registers.
    cdef vec letters[20]
    cdef vec root[16]
    for i in range(4 * d):
        letters[i] = x[i]
    for u in range(n_nodes):
        for i in range(BLOCK * fused_depth(d)):
            root[i] = B[i]
        if k == 1:
            fused(letters, T, u, root, inverse, d, 1)
        elif k == 2:
            fused(letters, T, u, root, inverse, d, 2)
        elif k == 3 and fused_depth(d) >= 3:
            fused(letters, T, u, root, inverse, d, 3)
        elif fused_depth(d) >= 4:
            fused(letters, T, u, root, inverse, d, 4)
        B = B + k * BLOCK


cdef inline void tile(const vec* x, vec* T, const vec* B, Py_ssize_t n_nodes, Py_ssize_t d, const int width) noexcept nogil:
    """Top level for `width` neighbouring letters, whose increments stay in registers, below all nodes in turn."""
    cdef Py_ssize_t u
    cdef int j, m
    cdef vec b0, b1, b2, b3
    cdef vec letters[16]
    for m in range(4):
        for j in range(width):
            letters[m * width + j] = x[m * d + j]
    for u in range(n_nodes):
        b0 = B[0]
        b1 = B[1]
        b2 = B[2]
        b3 = B[3]
        for j in range(width):
            T[j] = T[j] + letters[j] * b0 + letters[width + j] * b1 + letters[2 * width + j] * b2 + letters[3 * width + j] * b3
        T = T + d
        B = B + BLOCK


cdef inline void tiled_tree(const vec* x, vec** T, const vec* B, const vec* inverse, vec* work, Py_ssize_t d, int p) noexcept nogil:
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
                work[i] = x[i * d + j] * root[4 + i] + t
                t = t + x[i * d + j] * root[i]
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


cdef inline void chains(vec** xw, Py_ssize_t row_stride, vec* ending, vec* roots, const vec* inverse,
                        const int s, int p) noexcept nogil:
    """One block along the suffix: the roots B^(r) / r of its BLOCK increments, r = 1..p, and the levels 1..s of the suffix itself.

    xw[k] points to the increments of the letter k + 1 places from the suffix's end; level n's Horner chain is
    c <- x_k c / (n - k) + ending[k], k = 0, 1, ...
    """
    cdef int k, m, n, r
    cdef vec c
    cdef vec y[8]
    for m in range(BLOCK):
        for k in range(s):
            y[k] = xw[k][m * row_stride]
        for r in range(1, p + 1):
            if s == 0:
                roots[(r - 1) * BLOCK + m] = inverse[r]
                continue
            c = y[0] * inverse[s + r] + ending[0]
            for k in range(1, s):
                c = y[k] * inverse[s + r - k] * c + ending[k]
            roots[(r - 1) * BLOCK + m] = c * inverse[r]
        for n in range(s, 1, -1):
            c = y[0] * inverse[n] + ending[0]
            for k in range(1, n - 1):
                c = y[k] * inverse[n - k] * c + ending[k]
            ending[n - 1] = y[n - 1] * c + ending[n - 1]
        if s > 0:
            ending[0] = y[0] + ending[0]


cdef inline void long_chains(vec** xw, Py_ssize_t row_stride, vec* ending, vec* roots, const vec* inverse, int s, int p) noexcept nogil:
    """`chains` for a suffix of any length."""
    cdef int k, m, n, r
    cdef vec c
    for m in range(BLOCK):
        for r in range(1, p + 1):
            c = inverse[1]
            for k in range(s):
                c = xw[k][m * row_stride] * inverse[s + r - k] * c + ending[k]
            roots[(r - 1) * BLOCK + m] = c * inverse[r]
        for n in range(s, 0, -1):
            c = inverse[1]
            for k in range(n):
                c = xw[k][m * row_stride] * inverse[n - k] * c + ending[k]
            ending[n - 1] = c


cdef inline void walk(const vec* x, Py_ssize_t n_rows, vec** xw, Py_ssize_t xw_stride, vec* ending, vec** T,
                      const vec* inverse, vec* work, Py_ssize_t d, int p, int s) noexcept nogil:
    """Take all increments, last first, through the state of one item per lane.

    x (n_rows, d): increments in the order of the walk, n_rows a multiple of BLOCK; xw[k] points into increments of the letter k + 1 places
    from the suffix's end, xw_stride apart (the pointers are moved); T[p - r] is level r of the tree.
    """
    cdef Py_ssize_t block
    cdef int k
    cdef vec* roots = work
    work = work + p * BLOCK
    for block in range(n_rows // BLOCK):
        if s == 0:
            chains(xw, xw_stride, ending, roots, inverse, 0, p)
        elif s == 1:
            chains(xw, xw_stride, ending, roots, inverse, 1, p)
        elif s == 2:
            chains(xw, xw_stride, ending, roots, inverse, 2, p)
        elif s == 3:
            chains(xw, xw_stride, ending, roots, inverse, 3, p)
        elif s == 4:
            chains(xw, xw_stride, ending, roots, inverse, 4, p)
        else:
            long_chains(xw, xw_stride, ending, roots, inverse, s, p)
        for k in range(s):
            xw[k] = xw[k] + BLOCK * xw_stride
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
        x = x + BLOCK * d
