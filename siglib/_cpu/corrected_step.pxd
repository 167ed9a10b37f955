"""One increment of a corrected signature, in lanes: the product with exp(x + c), and its adjoint.

x is the increment and c = c_2 + .. + c_m a tensor of higher levels. With V^(N+1) = 1, l_1 = x and l_q = c_q, Horner's
scheme for S (x) exp(x + c) up to level N is

    V^(k)_n = S_n + 1/k sum_q V^(k+1)_(n-q) (x) l_q,   n = 1, .., N - k + 1,   k = N, .., 1,

and V^(1) is the result: m multiplications for each word where without correction there is one. Levels are taken
downwards, so that V^(k) takes the place of V^(k+1) and V^(1) that of S. Level 0 of every V is 1 and not stored.

Tensors are stored as in signatures, levels 1, 2, .. one after another; c without its missing level 1. inverse[k] is
1 / k.
"""

from .lanes cimport vec
from .tensor_log cimport level_size, level_start


cdef inline void add_level(const vec* base, const vec* v1, const vec* v2, const vec* x, const vec* c, vec factor,
                           vec* out, Py_ssize_t size, const Py_ssize_t d) noexcept nogil:
    """out = base + factor (v1 (x) x + v2 (x) c), level by level; v2 has `size` words. For d up to 5."""
    cdef Py_ssize_t u, i, j
    cdef vec a, b
    cdef vec y[5]
    cdef vec z[25]
    for i in range(d):
        y[i] = x[i]
    for i in range(d * d):
        z[i] = c[i]
    for u in range(size):
        b = v2[u] * factor
        for i in range(d):
            a = v1[u * d + i] * factor
            for j in range(d):
                out[(u * d + i) * d + j] = base[(u * d + i) * d + j] + a * y[j] + b * z[i * d + j]


cdef inline void add_level_any(const vec* base, const vec* v1, const vec* v2, const vec* x, const vec* c, vec factor,
                               vec* out, Py_ssize_t size, Py_ssize_t d) noexcept nogil:
    """`add_level` for any d, two rows of words at a time: these share what is read of x."""
    cdef Py_ssize_t u, i, j, at
    cdef vec a0, a1, b, y
    for u in range(size):
        b = v2[u] * factor
        for i in range(0, d - 1, 2):
            a0 = v1[u * d + i] * factor
            a1 = v1[u * d + i + 1] * factor
            at = (u * d + i) * d
            for j in range(d):
                y = x[j]
                out[at + j] = base[at + j] + a0 * y + b * c[i * d + j]
                out[at + d + j] = base[at + d + j] + a1 * y + b * c[i * d + d + j]
        if d % 2:
            a0 = v1[u * d + d - 1] * factor
            at = (u * d + d - 1) * d
            for j in range(d):
                out[at + j] = base[at + j] + a0 * x[j] + b * c[d * d - d + j]


cdef inline void add_product(const vec* base, const vec* v, const vec* x, vec factor, vec* out, Py_ssize_t size,
                             Py_ssize_t n) noexcept nogil:
    """out = base + factor v (x) x, for v of `size` words and x of n."""
    cdef Py_ssize_t u, j
    cdef vec a
    for u in range(size):
        a = v[u] * factor
        for j in range(n):
            out[u * n + j] = base[u * n + j] + a * x[j]


cdef inline void horner(const vec* s, const vec* v, const vec* x, const vec* c, vec factor, vec* out, Py_ssize_t top,
                        const Py_ssize_t d, Py_ssize_t m) noexcept nogil:
    """Levels 1..top of out = s + factor v (x) (x + c), v having 1 as level 0; `out` may be s or v."""
    cdef Py_ssize_t n, q, u, size, start
    cdef const vec* term
    for n in range(top, 0, -1):
        start = level_start(d, n)
        term = c + d * d
        if n == 1:
            for u in range(d):
                out[u] = s[u] + factor * x[u]
            continue
        if n == 2:
            for u in range(d * d):
                out[start + u] = s[start + u] + factor * c[u]
            add_product(out + start, v, x, factor, out + start, d, d)
        elif d <= 5:
            add_level(s + start, v + level_start(d, n - 1), v + level_start(d, n - 2), x, c, factor, out + start,
                      level_size(d, n - 2), d)
        else:
            add_level_any(s + start, v + level_start(d, n - 1), v + level_start(d, n - 2), x, c, factor, out + start,
                          level_size(d, n - 2), d)
        size = d * d
        for q in range(3, min(m, n) + 1):
            size *= d
            if q == n:
                for u in range(size):
                    out[start + u] = out[start + u] + factor * term[u]
            else:
                add_product(out + start, v + level_start(d, n - q), term, factor, out + start, level_size(d, n - q),
                            size)
            term = term + size


cdef inline void step(vec* s, vec* v, const vec* x, const vec* c, const vec* inverse, const Py_ssize_t d,
                      Py_ssize_t degree, Py_ssize_t m) noexcept nogil:
    """S <- S (x) exp(x + c); v is scratch memory for levels 1..degree-1."""
    cdef Py_ssize_t k
    for k in range(degree, 1, -1):
        horner(s, v, x, c, inverse[k], v, degree - k + 1, d, m)
    horner(s, v, x, c, inverse[1], s, degree, d, m)


cdef inline void add_level_backprop(const vec* g1, const vec* g2, const vec* v, const vec* x, const vec* c, vec factor,
                                    vec* out, vec* g_x, vec* g_c, Py_ssize_t size, const Py_ssize_t d) noexcept nogil:
    """Adjoint of `add_level` for one level of v, of `size` words, that both terms multiply: its cotangent to out, those
    of x and c added to theirs. g1, g2: the cotangents of the levels one and two above. For d up to 5."""
    cdef Py_ssize_t u, j
    cdef vec total, a, g
    cdef vec y[5]
    cdef vec g_y[5]
    cdef vec z[25]
    cdef vec g_z[25]
    for j in range(d):
        y[j] = x[j]
        g_y[j] = g_x[j]
    for j in range(d * d):
        z[j] = c[j]
        g_z[j] = g_c[j]
    for u in range(size):
        a = v[u] * factor
        g = g1[u * d]
        total = g * y[0]
        g_y[0] = g_y[0] + g * a
        for j in range(1, d):
            g = g1[u * d + j]
            total = total + g * y[j]
            g_y[j] = g_y[j] + g * a
        for j in range(d * d):
            g = g2[u * d * d + j]
            total = total + g * z[j]
            g_z[j] = g_z[j] + g * a
        out[u] = total * factor
    for j in range(d):
        g_x[j] = g_y[j]
    for j in range(d * d):
        g_c[j] = g_z[j]


cdef inline void add_product_backprop(const vec* g, const vec* v, const vec* x, vec factor, vec* out, vec* g_x,
                                      Py_ssize_t size, Py_ssize_t n, bint add) noexcept nogil:
    """Adjoint of `add_product`: the cotangent of v to out, or added to it, that of x added to g_x."""
    cdef Py_ssize_t u, j
    cdef vec total, a, total1, a1, g0, g1
    # Two words of v at a time, which share x and its cotangent.
    for u in range(0, size - 1, 2):
        a = v[u] * factor
        a1 = v[u + 1] * factor
        g0 = g[u * n]
        g1 = g[u * n + n]
        total = g0 * x[0]
        total1 = g1 * x[0]
        g_x[0] = g_x[0] + g0 * a + g1 * a1
        for j in range(1, n):
            g0 = g[u * n + j]
            g1 = g[u * n + n + j]
            total = total + g0 * x[j]
            total1 = total1 + g1 * x[j]
            g_x[j] = g_x[j] + g0 * a + g1 * a1
        out[u] = out[u] + total * factor if add else total * factor
        out[u + 1] = out[u + 1] + total1 * factor if add else total1 * factor
    for u in range(size - size % 2, size):
        a = v[u] * factor
        total = g[u * n] * x[0]
        g_x[0] = g_x[0] + g[u * n] * a
        for j in range(1, n):
            total = total + g[u * n + j] * x[j]
            g_x[j] = g_x[j] + g[u * n + j] * a
        out[u] = out[u] + total * factor if add else total * factor


cdef inline void horner_backprop(const vec* g, const vec* v, const vec* x, const vec* c, vec factor, vec* out, vec* g_x,
                                 vec* g_c, Py_ssize_t top, const Py_ssize_t d, Py_ssize_t m) noexcept nogil:
    """Adjoint of `horner` for v, x and c; g is the cotangent of its result. `out`, that of v on levels 1..top-1, may
    be g."""
    cdef Py_ssize_t n, q, u, size, start
    cdef Py_ssize_t at
    # Level 0 of v is 1.
    size = d
    at = 0
    for q in range(1, min(m, top) + 1):
        for u in range(size):
            if q == 1:
                g_x[u] = g_x[u] + factor * g[u]
            else:
                g_c[at - d + u] = g_c[at - d + u] + factor * g[at + u]
        at += size
        size *= d
    for n in range(1, top):
        start = level_start(d, n)
        size = level_size(d, n)
        if d <= 5 and n + 2 <= top:
            add_level_backprop(g + level_start(d, n + 1), g + level_start(d, n + 2), v + start, x, c, factor,
                               out + start, g_x, g_c, size, d)
        else:
            add_product_backprop(g + level_start(d, n + 1), v + start, x, factor, out + start, g_x, size, d, False)
            if n + 2 <= top:
                add_product_backprop(g + level_start(d, n + 2), v + start, c, factor, out + start, g_c, size, d * d,
                                     True)
        at = d * d
        for q in range(3, min(m, top - n) + 1):
            add_product_backprop(g + level_start(d, n + q), v + start, c + at, factor, out + start, g_c + at, size,
                                 level_size(d, q), True)
            at += level_size(d, q)


cdef inline void step_backprop(vec* s, vec* g, vec* v, vec* b, vec* minus, const vec* x, const vec* c, vec* g_x,
                               vec* g_c, const vec* inverse, const Py_ssize_t d, Py_ssize_t degree, Py_ssize_t m,
                               Py_ssize_t n_terms) noexcept nogil:
    """Take S <- S (x) exp(x + c) back: S and its cotangent g become those before the step; g_x, g_c are added to.

    v is scratch memory for V^(2), .., V^(degree) one after another, b for levels 1..degree-1, minus for x and c.
    """
    cdef Py_ssize_t k, u, n_words
    cdef vec* target
    cdef const vec* source
    for u in range(d):
        minus[u] = -x[u]
    for u in range(n_terms):
        minus[d + u] = -c[u]
    step(s, b, minus, minus + d, inverse, d, degree, m)
    if degree == 1:
        for u in range(d):
            g_x[u] = g_x[u] + g[u]
        return
    # From V^(degree), the shortest and last one, down to V^(2).
    target = v
    for k in range(2, degree):
        target = target + level_start(d, degree - k + 2)
    source = target
    for k in range(degree, 1, -1):
        horner(s, source, x, c, inverse[k], target, degree - k + 1, d, m)
        source = target
        if k > 2:
            target = target - level_start(d, degree - k + 3)
    horner_backprop(g, v, x, c, inverse[1], b, g_x, g_c, degree, d, m)
    for k in range(2, degree + 1):
        n_words = level_start(d, degree - k + 2)
        for u in range(n_words):
            g[u] = g[u] + b[u]
        v = v + n_words
        horner_backprop(b, v, x, c, inverse[k], b, g_x, g_c, degree - k + 1, d, m)
