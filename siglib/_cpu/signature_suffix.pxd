"""The suffix's part of a signature kernel: Horner's chains along the letters of the suffix, and their adjoint.

See signature_tree.pxd for the notation. The chain of level n is c <- x_k c / (n - k) + ending[k], k = 0, 1, ..., from
c = 1, where x_k is the increment of the letter k + 1 places from the suffix's end. Level s + r goes on in the tree with
B^(r), the chain's end, which is handed over divided by r. In all lanes inverse[k] is 1 / k, and inverse[0] is 0.
"""

from .lanes cimport vec

cdef enum:
    BLOCK = 4            # increments that the forward pass takes through the tree together
    PAIR = 2             # increments that the backward pass takes together


cdef inline void chains(vec** xw, Py_ssize_t row_stride, vec* ending, vec* roots, const vec* inverse,
                        const int s, int p) noexcept nogil:
    """One block along the suffix: the roots B^(r) / r of its BLOCK increments, r = 1..p, and the levels 1..s of the
    suffix itself.

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


cdef inline void long_chains(vec** xw, Py_ssize_t row_stride, vec* ending, vec* roots, const vec* inverse, int s,
                             int p) noexcept nogil:
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


cdef inline void chains_back(vec** xw, Py_ssize_t row_stride, vec* ending, vec* old_endings, vec* B, vec* C,
                             const vec* inverse, const int s, int p) noexcept nogil:
    """Along the suffix, for one pair: step `ending` back (kept in old_endings (PAIR, s)), and the roots of B (p) and
    C (p - 1)."""
    cdef int k, m, n, r
    cdef vec c
    for m in range(PAIR):
        if s == 0:
            for r in range(1, p + 1):
                B[(r - 1) * PAIR + m] = inverse[r]
            for r in range(1, p):
                C[(r - 1) * PAIR + m] = inverse[r]
            continue
        for r in range(1, p):
            c = ending[0] - xw[0][m * row_stride] * inverse[s + r]
            for k in range(1, s):
                c = ending[k] - xw[k][m * row_stride] * inverse[s + r - k] * c
            C[(r - 1) * PAIR + m] = c * inverse[r]
        for n in range(s, 1, -1):
            c = ending[0] - xw[0][m * row_stride] * inverse[n]
            for k in range(1, n - 1):
                c = ending[k] - xw[k][m * row_stride] * inverse[n - k] * c
            ending[n - 1] = ending[n - 1] - xw[n - 1][m * row_stride] * c
        ending[0] = ending[0] - xw[0][m * row_stride]
        for k in range(s):
            old_endings[m * s + k] = ending[k]
        for r in range(1, p + 1):
            c = xw[0][m * row_stride] * inverse[s + r] + ending[0]
            for k in range(1, s):
                c = xw[k][m * row_stride] * inverse[s + r - k] * c + ending[k]
            B[(r - 1) * PAIR + m] = c * inverse[r]


cdef inline void chains_backprop(vec** xw, vec** gxw, Py_ssize_t row_stride, vec* ending_g, const vec* old_endings,
                                 const vec* b, vec* partial, const vec* inverse, const int s, int p) noexcept nogil:
    """Adjoint of the suffix's chains: cotangents of the roots and of `ending` to gxw and to the cotangent of the old
    ending."""
    cdef int k, m, n, top
    cdef vec c, g
    cdef const vec* ending
    cdef vec y[8]
    cdef vec gy[8]
    for m in range(PAIR):
        ending = old_endings + m * s
        if s <= 8:
            for k in range(s):
                y[k] = xw[k][m * row_stride]
                gy[k] = inverse[0]
        for n in range(1, s + p + 1):
            top = min(n, s)
            if n <= s:
                g = ending_g[n - 1]
            else:
                g = b[(n - s - 1) * PAIR + m] * inverse[n - s]
                ending_g[s - 1] = ending_g[s - 1] + g
            c = inverse[1]
            for k in range(top):
                partial[k] = c
                c = (y[k] if s <= 8 else xw[k][m * row_stride]) * inverse[n - k] * c + ending[k]
            for k in range(top - 1, -1, -1):
                g = g * inverse[n - k]
                if s <= 8:
                    gy[k] = gy[k] + g * partial[k]
                else:
                    gxw[k][m * row_stride] = gxw[k][m * row_stride] + g * partial[k]
                if k > 0:
                    g = g * (y[k] if s <= 8 else xw[k][m * row_stride])
                    ending_g[k - 1] = ending_g[k - 1] + g
        if s <= 8:
            for k in range(s):
                gxw[k][m * row_stride] = gxw[k][m * row_stride] + gy[k]
