"""One increment at a time: a signature times the exponential of an increment, from the right or from the left, in
lanes, and the adjoint of that.

A signature is stored without its scalar term: levels 1..degree one after another, words in lexicographic order. Both
sides run the same Horner scheme. A node is a word of length q; its children are the words with one letter more, behind
it (from the right) or in front of it (from the left), and with S the signature and x the increment its partial results
b satisfy

    root:    b[0] = 1,  b[i] = 1 / (i + 1)                                   i < degree
    child j: b_j[i - 1] = (x_j b[i] + S_j) / i,    S_j <- S_j + x_j b[0]     1 <= i < degree - q

where S_j is the child's coefficient. Levels are worked off one after another: the top level, by far the largest, takes
one multiplication, one load and one store for each word. A node at level q keeps degree - q partial results.
"""

from libc.string cimport memset

from .lanes cimport vec


cdef inline Py_ssize_t steps_work(Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """How many partial results there are."""
    cdef Py_ssize_t q, nodes = 1, total = 0
    for q in range(degree):
        total += nodes * (degree - q)
        nodes *= d
    return total


cdef inline void _level(const vec* x, const vec* old, vec* new, const vec* b, vec* children, Py_ssize_t n_nodes,
                        const vec* inverse, const Py_ssize_t d, const Py_ssize_t n, const bint left,
                        const bint stores) noexcept nogil:
    """From the `n` partial results of every node of one level to its children; stores: and their coefficients."""
    cdef Py_ssize_t u, i, j, c
    cdef vec t, letter
    cdef const vec* node
    for u in range(n_nodes):
        node = b + u * n
        for j in range(d):
            c = j * n_nodes + u if left else u * d + j
            t = old[c]
            letter = x[j]
            for i in range(1, n):
                if i == 1:
                    children[c * (n - 1)] = letter * node[1] + t
                else:
                    children[c * (n - 1) + i - 1] = (letter * node[i] + t) * inverse[i]
            if stores:
                new[c] = letter * node[0] + t


cdef inline void _levels(const vec* x, const vec* old, vec* new, vec* work, const vec* inverse, const Py_ssize_t d,
                         Py_ssize_t degree, const bint left, const bint stores) noexcept nogil:
    """All levels; without `stores` only the partial results, into `work`."""
    cdef Py_ssize_t i, q, n, n_nodes = 1
    cdef vec* children
    cdef vec letters[6]
    for i in range(degree):
        work[i] = inverse[i + 1]
    if d <= 6:
        # The compiler then knows that stores to the signature leave the increment alone.
        for i in range(d):
            letters[i] = x[i]
        x = letters
    for q in range(degree):
        n = degree - q
        children = work + n_nodes * n
        if n == 1:
            if stores:
                _level(x, old, new, work, children, n_nodes, inverse, d, 1, left, stores)
        elif n == 2:
            _level(x, old, new, work, children, n_nodes, inverse, d, 2, left, stores)
        elif n == 3:
            _level(x, old, new, work, children, n_nodes, inverse, d, 3, left, stores)
        elif n == 4:
            _level(x, old, new, work, children, n_nodes, inverse, d, 4, left, stores)
        else:
            _level(x, old, new, work, children, n_nodes, inverse, d, n, left, stores)
        n_nodes *= d
        old = old + n_nodes
        new = new + n_nodes
        work = children


cdef inline void step(const vec* x, const vec* old, vec* new, vec* work, const vec* inverse, const Py_ssize_t d,
                      Py_ssize_t degree, const bint left) noexcept nogil:
    """new = old (x) exp(x), or exp(x) (x) old from the left; `new` may be `old`. inverse[k] = 1 / k, k = 1..degree."""
    _levels(x, old, new, work, inverse, d, degree, left, True)


cdef inline void _level_backprop(const vec* x, vec* g, vec* gx, vec* b, const vec* g_children, Py_ssize_t n_nodes,
                                 const vec* inverse, const Py_ssize_t d, const Py_ssize_t n,
                                 const bint left, const bint for_x) noexcept nogil:
    """Adjoint of `_level`: from the cotangents of the children's partial results (and of their coefficients, g) to
    those of the nodes, which take the place of the partial results themselves; for_x: and to that of the increment,
    the only one that needs the partial results."""
    cdef Py_ssize_t u, i, j, c
    cdef vec t, z, letter, total
    cdef vec* node
    cdef vec value[4]
    cdef vec acc[4]
    for u in range(n_nodes):
        node = b + u * n
        if n <= 4:
            if for_x:
                for i in range(n):
                    value[i] = node[i]
            for j in range(d):
                c = j * n_nodes + u if left else u * d + j
                letter = x[j]
                t = g[c]
                if for_x:
                    total = gx[j] + t * value[0]
                acc[0] = letter * t if j == 0 else acc[0] + letter * t
                for i in range(1, n):
                    z = g_children[c * (n - 1) + i - 1]
                    if i > 1:
                        z = z * inverse[i]
                    if for_x:
                        total = total + z * value[i]
                    acc[i] = letter * z if j == 0 else acc[i] + letter * z
                    t = t + z
                if n > 1:
                    g[c] = t
                if for_x:
                    gx[j] = total
            for i in range(n):
                node[i] = acc[i]
        else:
            # The cotangents need a second pass: the partial results are still read in the first.
            for j in range(d if for_x else 0):
                c = j * n_nodes + u if left else u * d + j
                t = g[c]
                total = gx[j] + t * node[0]
                for i in range(1, n):
                    z = g_children[c * (n - 1) + i - 1] * inverse[i]
                    total = total + z * node[i]
                gx[j] = total
            for i in range(n):
                c = u if left else u * d
                z = x[0] * (g[c] if i == 0 else g_children[c * (n - 1) + i - 1] * inverse[i])
                for j in range(1, d):
                    c = j * n_nodes + u if left else u * d + j
                    z = z + x[j] * (g[c] if i == 0 else g_children[c * (n - 1) + i - 1] * inverse[i])
                node[i] = z
            for j in range(d):
                c = j * n_nodes + u if left else u * d + j
                t = g[c]
                for i in range(1, n):
                    t = t + g_children[c * (n - 1) + i - 1] * inverse[i]
                g[c] = t


cdef inline void _levels_backprop(const vec* x, vec* g, vec* gx, vec* work, const vec* inverse, const Py_ssize_t d,
                                  Py_ssize_t degree, const bint left, const bint for_x) noexcept nogil:
    """Adjoint of `_levels`, whose partial results are in `work` (if `for_x`)."""
    cdef Py_ssize_t q, n, n_nodes = 1
    cdef vec* b = work
    cdef vec* children
    for q in range(degree - 1):
        b = b + n_nodes * (degree - q)
        n_nodes *= d
        g = g + n_nodes
    children = b
    for q in range(degree - 1, -1, -1):
        n = degree - q
        if n == 1:
            _level_backprop(x, g, gx, b, children, n_nodes, inverse, d, 1, left, for_x)
        elif n == 2:
            _level_backprop(x, g, gx, b, children, n_nodes, inverse, d, 2, left, for_x)
        elif n == 3:
            _level_backprop(x, g, gx, b, children, n_nodes, inverse, d, 3, left, for_x)
        elif n == 4:
            _level_backprop(x, g, gx, b, children, n_nodes, inverse, d, 4, left, for_x)
        else:
            _level_backprop(x, g, gx, b, children, n_nodes, inverse, d, n, left, for_x)
        children = b
        g = g - n_nodes
        n_nodes //= d
        b = b - n_nodes * (n + 1)


cdef inline void step_backprop(const vec* x, const vec* old, vec* g, vec* gx, vec* work, const vec* inverse,
                               const Py_ssize_t d, Py_ssize_t degree, const bint left) noexcept nogil:
    """Adjoint of `step`: g, the cotangent of `new`, becomes that of `old`; gx is the cotangent of the increment."""
    cdef Py_ssize_t i
    cdef vec letters[6]
    cdef vec gradient[6]
    cdef vec* total = gx
    _levels(x, old, <vec*>old, work, inverse, d, degree, left, False)
    if d <= 6:
        for i in range(d):
            letters[i] = x[i]
        x = letters
        total = gradient
    memset(<void*>total, 0, d * sizeof(vec))
    _levels_backprop(x, g, total, work, inverse, d, degree, left, True)
    if d <= 6:
        for i in range(d):
            gx[i] = total[i]


cdef inline void step_cotangent(const vec* x, vec* g, vec* work, const vec* inverse, const Py_ssize_t d,
                                Py_ssize_t degree, const bint left) noexcept nogil:
    """g, the cotangent of `new` in `step`, becomes that of `old`, which need not be known."""
    cdef Py_ssize_t i
    cdef vec letters[6]
    if d <= 6:
        for i in range(d):
            letters[i] = x[i]
        x = letters
    _levels_backprop(x, g, NULL, work, inverse, d, degree, left, False)
