"""Gradient of one lane group's signatures: the adjoint of signature_tree.pxd, which see for the items, the tree and
its notation.

Nothing of the forward pass is stored but its result. Increments are taken from first to last: S_old = exp(-x) (x)
S_new gives back the state before each, by the same Horner scheme with -x (partial results C next to B). A cotangent
flows the other way through the same tree: per increment, with g the cotangent of S_new at the word ju and b^(r) that
of B^(r),

    top level        gx_j += g B^(p)[u],   b^(p)[u] += x_j g
    level q + 1      b^(q+1)[ju] = g;  g_old = g + sum_{r > q+1} b^(r)[ju]
                     gx_j += sum_{r > q} b^(r)[ju] B^(r)[u],   b^(r)[u] += x_j b^(r)[ju].

The top level of S is never needed, and the cotangents of the top level never change. `PAIR` increments are taken
together. As in the forward pass, inverse[k] is 1 / k (and inverse[0] is 0) in all lanes, partial results are kept
divided by the (r - q) of their next use, and b is the cotangent of what is kept.
"""

from .lanes cimport vec
from .signature_suffix cimport PAIR, chains_back, chains_backprop

cdef inline void leaves_backprop(const vec* x, vec* gx, const vec* G, const vec* B, vec* b, const int d) noexcept nogil:
    """Top level below one node."""
    cdef int j
    cdef vec g
    for j in range(d):
        g = G[j]
        gx[j] = gx[j] + g * B[0]
        gx[d + j] = gx[d + j] + g * B[1]
        b[0] = b[0] + x[j] * g
        b[1] = b[1] + x[d + j] * g


cdef inline void node2_backprop(const vec* x, vec* gx, vec* S1, vec* G1, const vec* G0, const vec* B, const vec* C,
                                vec* b, const vec* inverse, const int d) noexcept nogil:
    """Two levels below one node; B[0:2], b[0:2], C[0:2] belong to the level of S1 and G1, B[2:4] and b[2:4] to the
    top one."""
    cdef int j, m
    cdef vec t, g
    cdef vec child[2]
    cdef vec child_b[2]
    for j in range(d):
        t = S1[j]
        for m in range(2):
            t = t - x[m * d + j] * C[m]
            child[m] = x[m * d + j] * B[2 + m] + t
            child_b[m] = inverse[0]
        S1[j] = t
        leaves_backprop(x, gx, G0 + j * d, child, child_b, d)
        g = G1[j]
        for m in range(2):
            gx[m * d + j] = gx[m * d + j] + g * B[m] + child_b[m] * B[2 + m]
            b[m] = b[m] + x[m * d + j] * g
            b[2 + m] = b[2 + m] + x[m * d + j] * child_b[m]
            g = g + child_b[m]
        G1[j] = g


cdef inline void node3_backprop(const vec* x, vec* gx, vec* S2, vec* S1, vec* G2, vec* G1, const vec* G0, const vec* B,
                                const vec* C, vec* b, const vec* inverse, const int d) noexcept nogil:
    """Three levels below one node."""
    cdef int j, m
    cdef vec t, g, e
    cdef vec child[4]
    cdef vec child_c[2]
    cdef vec child_b[4]
    for j in range(d):
        t = S2[j]
        for m in range(2):
            child_c[m] = t - x[m * d + j] * C[2 + m]
            t = t - x[m * d + j] * C[m]
            child[m] = x[m * d + j] * B[2 + m] + t
            child[2 + m] = (x[m * d + j] * B[4 + m] + t) * inverse[2]
            child_b[m] = inverse[0]
            child_b[2 + m] = inverse[0]
        S2[j] = t
        node2_backprop(x, gx, S1 + j * d, G1 + j * d, G0 + j * d * d, child, child_c, child_b, inverse, d)
        g = G2[j]
        for m in range(2):
            e = child_b[2 + m] * inverse[2]
            gx[m * d + j] = gx[m * d + j] + g * B[m] + child_b[m] * B[2 + m] + e * B[4 + m]
            b[m] = b[m] + x[m * d + j] * g
            b[2 + m] = b[2 + m] + x[m * d + j] * child_b[m]
            b[4 + m] = b[4 + m] + x[m * d + j] * e
            g = g + child_b[m] + e
        G2[j] = g


cdef inline int fused_depth_backprop(const int d) noexcept nogil:
    """How many levels the register file and the instruction cache carry well (measured)."""
    return 3 if d <= 3 else 2


cdef inline Py_ssize_t upper_levels_down(const vec* x, vec** S, const vec* B, const vec* C, const vec* inverse,
                                         vec* work, const Py_ssize_t d, int p, int below,
                                         vec** levels) noexcept nogil:
    """All levels but the lowest `below` ones: reconstruct S, keep the partial results of each level.

    levels[k] gets what belongs to the nodes with k levels below them, per node B (k, PAIR), b (k, PAIR, zeroed) and C
    (k - 1, PAIR); returns their number for k = `below`. S[i], like G[i] elsewhere, is the level i below the top one.
    """
    cdef Py_ssize_t u, j, i, n_nodes = 1
    cdef int k, m
    cdef vec t
    cdef vec* node
    cdef vec* child
    levels[p] = work
    for i in range(p * PAIR):
        work[i] = B[i]
        work[p * PAIR + i] = inverse[0]
    for i in range((p - 1) * PAIR):
        work[2 * p * PAIR + i] = C[i]
    work = work + (3 * p - 1) * PAIR
    for k in range(p, below, -1):
        node = levels[k]
        levels[k - 1] = work
        child = work
        for u in range(n_nodes):
            for j in range(d):
                t = S[k - 1][u * d + j]
                for m in range(PAIR):
                    for i in range(1, k - 1):
                        child[(2 * k - 3 + i) * PAIR + m] = (
                            (t - x[m * d + j] * node[(2 * k + i) * PAIR + m]) * inverse[i])
                    t = t - x[m * d + j] * node[2 * k * PAIR + m]
                    for i in range(1, k):
                        child[(i - 1) * PAIR + m] = (x[m * d + j] * node[i * PAIR + m] + t) * inverse[i]
                        child[(k - 2 + i) * PAIR + m] = inverse[0]
                S[k - 1][u * d + j] = t
                child = child + (3 * k - 4) * PAIR
            node = node + (3 * k - 1) * PAIR
        work = child
        n_nodes *= d
    return n_nodes


cdef inline void upper_levels_up(const vec* x, vec* gx, vec** G, const vec* inverse, const Py_ssize_t d, int p,
                                 int below, vec** levels, Py_ssize_t n_nodes) noexcept nogil:
    """Adjoint of `upper_levels_down`: cotangents from the nodes with `below` levels below them back to the root."""
    cdef Py_ssize_t u, j, i
    cdef int k, m
    cdef vec g, e, total
    cdef vec* node
    cdef vec* child
    for k in range(below + 1, p + 1):
        n_nodes //= d
        node = levels[k]
        child = levels[k - 1]
        for u in range(n_nodes):
            for j in range(d):
                g = G[k - 1][u * d + j]
                for m in range(PAIR):
                    total = gx[m * d + j] + g * node[m]
                    node[k * PAIR + m] = node[k * PAIR + m] + x[m * d + j] * g
                    for i in range(1, k):
                        e = child[(k - 2 + i) * PAIR + m] * inverse[i]
                        total = total + e * node[i * PAIR + m]
                        node[(k + i) * PAIR + m] = node[(k + i) * PAIR + m] + x[m * d + j] * e
                        g = g + e
                    gx[m * d + j] = total
                G[k - 1][u * d + j] = g
                child = child + (3 * k - 4) * PAIR
            node = node + (3 * k - 1) * PAIR


cdef inline void fused_backprop(const vec* x, vec* gx, vec** S, vec** G, vec* node, Py_ssize_t n_nodes,
                                const vec* inverse, const int d, const int k) noexcept nogil:
    """The lowest `k` levels below all nodes in turn, in registers; a node is B (k, PAIR), b (k, PAIR), C (k - 1,
    PAIR)."""
    cdef int i
    cdef Py_ssize_t u
    # Copies that the compiler knows to be untouched by the stores to the trees: they stay in registers.
    cdef vec letters[10]
    cdef vec letters_g[10]
    cdef vec B[6]
    cdef vec C[4]
    cdef vec b[6]
    for i in range(2 * d):
        letters[i] = x[i]
        letters_g[i] = gx[i]
    for u in range(n_nodes):
        for i in range(2 * k):
            B[i] = node[i]
            b[i] = inverse[0]
        for i in range(2 * k - 2):
            C[i] = node[4 * k + i]
        if k == 1:
            leaves_backprop(letters, letters_g, G[0] + u * d, B, b, d)
        elif k == 2:
            node2_backprop(letters, letters_g, S[1] + u * d, G[1] + u * d, G[0] + u * d * d, B, C, b, inverse, d)
        else:
            node3_backprop(letters, letters_g, S[2] + u * d, S[1] + u * d * d, G[2] + u * d, G[1] + u * d * d,
                           G[0] + u * d * d * d, B, C, b, inverse, d)
        for i in range(2 * k):
            node[2 * k + i] = b[i]
        node = node + (6 * k - 2)
    for i in range(2 * d):
        gx[i] = letters_g[i]


cdef inline void tree_backprop(const vec* x, vec* gx, vec** S, vec** G, const vec* B, const vec* C, vec* b,
                               const vec* inverse, vec* work, const int d, int p) noexcept nogil:
    """One pair of increments through the whole tree, for a small d known to the compiler; b (p, PAIR) are the roots'
    cotangents."""
    cdef int i, k = min(p, fused_depth_backprop(d))
    cdef vec* levels[16]
    cdef Py_ssize_t n_nodes
    # The upper levels cost little, but only if the compiler knows how many partial results they carry.
    if p == 3:
        n_nodes = upper_levels_down(x, S, B, C, inverse, work, d, 3, min(3, fused_depth_backprop(d)), levels)
    elif p == 4:
        n_nodes = upper_levels_down(x, S, B, C, inverse, work, d, 4, fused_depth_backprop(d), levels)
    else:
        n_nodes = upper_levels_down(x, S, B, C, inverse, work, d, p, k, levels)
    if k == 1:
        fused_backprop(x, gx, S, G, levels[1], n_nodes, inverse, d, 1)
    elif k == 2:
        fused_backprop(x, gx, S, G, levels[2], n_nodes, inverse, d, 2)
    elif fused_depth_backprop(d) >= 3:
        fused_backprop(x, gx, S, G, levels[3], n_nodes, inverse, d, 3)
    if p == 3:
        upper_levels_up(x, gx, G, inverse, d, 3, min(3, fused_depth_backprop(d)), levels, n_nodes)
    elif p == 4:
        upper_levels_up(x, gx, G, inverse, d, 4, fused_depth_backprop(d), levels, n_nodes)
    else:
        upper_levels_up(x, gx, G, inverse, d, p, k, levels, n_nodes)
    for i in range(p * PAIR):
        b[i] = levels[p][p * PAIR + i]


cdef inline void tile_backprop(const vec* x, vec* gx, const vec* G, vec* node, Py_ssize_t n_nodes, Py_ssize_t d,
                               const int width) noexcept nogil:
    """Top level for `width` neighbouring letters below all nodes in turn; a node is B (1, PAIR), b (1, PAIR)."""
    cdef Py_ssize_t _u
    cdef int j, m
    cdef vec g, B0, B1, b0, b1
    cdef vec letters[8]
    cdef vec letters_g[8]
    for m in range(2):
        for j in range(width):
            letters[m * width + j] = x[m * d + j]
            letters_g[m * width + j] = gx[m * d + j]
    for _u in range(n_nodes):
        B0 = node[0]
        B1 = node[1]
        b0 = node[2]
        b1 = node[3]
        for j in range(width):
            g = G[j]
            letters_g[j] = letters_g[j] + g * B0
            letters_g[width + j] = letters_g[width + j] + g * B1
            b0 = b0 + letters[j] * g
            b1 = b1 + letters[width + j] * g
        node[2] = b0
        node[3] = b1
        G = G + d
        node = node + 2 * PAIR
    for m in range(2):
        for j in range(width):
            gx[m * d + j] = letters_g[m * width + j]


cdef inline void top_level_backprop(const vec* x, vec* gx, const vec* G, vec* nodes, Py_ssize_t n_nodes,
                                    Py_ssize_t d) noexcept nogil:
    """Top level in tiles of letters."""
    cdef Py_ssize_t j = 0
    while j + 4 <= d:
        tile_backprop(x + j, gx + j, G + j, nodes, n_nodes, d, 4)
        j += 4
    if d - j == 3:
        tile_backprop(x + j, gx + j, G + j, nodes, n_nodes, d, 3)
    elif d - j == 2:
        tile_backprop(x + j, gx + j, G + j, nodes, n_nodes, d, 2)
    elif d - j == 1:
        tile_backprop(x + j, gx + j, G + j, nodes, n_nodes, d, 1)


cdef inline void two_levels_backprop(const vec* x, vec* gx, vec* S, vec* G1, const vec* G0, const vec* B, const vec* C,
                                     vec* b, const vec* inverse, vec* work, Py_ssize_t d) noexcept nogil:
    """A tree of depth 2: `upper_levels_down`, the top level, `upper_levels_up`, with the root in registers."""
    cdef Py_ssize_t i, j, m
    cdef vec t, g, e
    cdef vec root[4]
    cdef vec root_c[2]
    cdef vec root_b[4]
    cdef vec* node = work
    for i in range(4):
        root[i] = B[i]
        root_b[i] = inverse[0]
    for i in range(2):
        root_c[i] = C[i]
    for j in range(d):
        t = S[j]
        for m in range(2):
            t = t - x[m * d + j] * root_c[m]
            node[m] = x[m * d + j] * root[2 + m] + t
            node[2 + m] = inverse[0]
        S[j] = t
        node = node + 4
    top_level_backprop(x, gx, G0, work, d, d)
    node = work
    for j in range(d):
        g = G1[j]
        for m in range(2):
            e = node[2 + m]
            gx[m * d + j] = gx[m * d + j] + g * root[m] + e * root[2 + m]
            root_b[m] = root_b[m] + x[m * d + j] * g
            root_b[2 + m] = root_b[2 + m] + x[m * d + j] * e
            g = g + e
        G1[j] = g
        node = node + 4
    for i in range(4):
        b[i] = root_b[i]


cdef inline void tiled_tree_backprop(const vec* x, vec* gx, vec** S, vec** G, const vec* B, const vec* C, vec* b,
                                     const vec* inverse, vec* work, Py_ssize_t d, int p) noexcept nogil:
    """One pair of increments through the whole tree, for any d."""
    cdef Py_ssize_t i, n_nodes
    cdef vec* levels[16]
    if p == 2:
        # By far the most frequent depth here, and simple enough to stay in registers.
        two_levels_backprop(x, gx, S[1], G[1], G[0], B, C, b, inverse, work, d)
        return
    n_nodes = upper_levels_down(x, S, B, C, inverse, work, d, p, 1, levels)
    top_level_backprop(x, gx, G[0], levels[1], n_nodes, d)
    upper_levels_up(x, gx, G, inverse, d, p, 1, levels, n_nodes)
    for i in range(p * PAIR):
        b[i] = levels[p][p * PAIR + i]


cdef inline void walk_backprop(const vec* x, vec* gx, Py_ssize_t n_rows, vec** xw, vec** gxw, Py_ssize_t xw_stride,
                               vec* ending, vec* ending_g, vec** S, vec** G, const vec* inverse, vec* work,
                               Py_ssize_t d, int p, int s) noexcept nogil:
    """Take all increments, first to last, back through the state of one item per lane, adding the gradients of
    increments to gx.

    x, gx (n_rows, d) in natural order, n_rows even; xw[k], gxw[k] point to the increments, and their gradients, of
    the letter k + 1 places from the suffix's end, xw_stride apart (the pointers are moved). ending, S: the signature;
    ending_g, G: its cotangent.
    """
    cdef Py_ssize_t _pair
    cdef int k
    cdef vec* B = work
    cdef vec* C = B + p * PAIR
    cdef vec* b = C + p * PAIR
    cdef vec* old_endings = b + p * PAIR
    cdef vec* partial = old_endings + s * PAIR
    work = partial + s
    for _pair in range(n_rows // PAIR):
        if s == 0:
            chains_back(xw, xw_stride, ending, old_endings, B, C, inverse, 0, p)
        elif s == 1:
            chains_back(xw, xw_stride, ending, old_endings, B, C, inverse, 1, p)
        elif s == 2:
            chains_back(xw, xw_stride, ending, old_endings, B, C, inverse, 2, p)
        elif s == 3:
            chains_back(xw, xw_stride, ending, old_endings, B, C, inverse, 3, p)
        else:
            chains_back(xw, xw_stride, ending, old_endings, B, C, inverse, s, p)
        if d == 2:
            tree_backprop(x, gx, S, G, B, C, b, inverse, work, 2, p)
        elif d == 3:
            tree_backprop(x, gx, S, G, B, C, b, inverse, work, 3, p)
        elif d == 4:
            tree_backprop(x, gx, S, G, B, C, b, inverse, work, 4, p)
        elif d == 5:
            tree_backprop(x, gx, S, G, B, C, b, inverse, work, 5, p)
        else:
            tiled_tree_backprop(x, gx, S, G, B, C, b, inverse, work, d, p)
        if s == 1:
            chains_backprop(xw, gxw, xw_stride, ending_g, old_endings, b, partial, inverse, 1, p)
        elif s == 2:
            chains_backprop(xw, gxw, xw_stride, ending_g, old_endings, b, partial, inverse, 2, p)
        elif s == 3:
            chains_backprop(xw, gxw, xw_stride, ending_g, old_endings, b, partial, inverse, 3, p)
        elif s > 3:
            chains_backprop(xw, gxw, xw_stride, ending_g, old_endings, b, partial, inverse, s, p)
        for k in range(s):
            xw[k] = xw[k] + PAIR * xw_stride
            gxw[k] = gxw[k] + PAIR * xw_stride
        x = x + PAIR * d
        gx = gx + PAIR * d
