"""One segment of a branched signature with corrections, in lanes, and its adjoint.

A step multiplies X by exp(l) from the left, l being an increment and a correction:

    V^(k) = X + 1/k l * V^(k+1),   k = degree, .., 1,

with V^(degree+1) = 1 at nothing; V^(1) is the new X. Of the product l * V only cuts that prune one chain are left, so
that it is linear in the coefficients of trees: `_tables/tree_flow.py` lists its terms. V^(k) is needed for up to
degree - k + 1 nodes. Coefficients are taken downwards, so that V^(k) takes the place of V^(k+1) and V^(1) that of X.
inverse[k] is 1 / k.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from .lanes cimport scaled, vec

cdef enum:
    FEW = 6                     # terms that a coefficient has mostly, at most


cdef struct Flow:
    # The tables of `_tables/tree_flow.py`.
    Py_ssize_t degree
    Py_ssize_t n                # coefficients
    Py_ssize_t n_weights
    Py_ssize_t n_kept           # numbers in V^(2), .., V^(degree), at least 1
    Py_ssize_t cost             # vector operations of one step
    const int64_t* runs
    const int64_t* run_ends
    const int32_t* rows
    const int32_t* sources
    const int32_t* weights
    const int64_t* ends
    const int32_t* weight_terms
    const void* weight_ways
    # For gradients.
    Py_ssize_t m                # nodes of the longest chains
    const int64_t* source_ends
    const int32_t* source_targets
    const int32_t* source_weights
    const int64_t* weight_ends
    const int32_t* weight_targets
    const int32_t* weight_sources


cdef inline void load_weights(const vec* terms, vec* w, const Flow* flow) noexcept nogil:
    """The weights of a step, from increment and correction."""
    cdef Py_ssize_t j
    for j in range(flow.n_weights):
        w[j] = scaled(terms[flow.weight_terms[j]], flow.weight_ways, j)


cdef inline void horner_run(const vec* x, const vec* v, const vec* w, vec factor, vec* out, const int64_t* run,
                            const Flow* flow, const Py_ssize_t count) noexcept nogil:
    """`horner` for a run of coefficients with `count` terms each, up to FEW."""
    cdef Py_ssize_t i, k
    cdef const int32_t* rows = flow.rows
    cdef const int32_t* sources = flow.sources + run[4]
    cdef vec total
    cdef vec weights[FEW]
    for k in range(count):
        weights[k] = w[flow.weights[run[3] + k]] * factor
    for i in range(run[0], run[1]):
        total = x[rows[i]]
        for k in range(count):
            total = total + weights[k] * v[sources[k]]
        out[rows[i]] = total
        sources = sources + count


cdef inline void horner_long_run(const vec* x, const vec* v, const vec* w, vec factor, vec* out, const int64_t* run,
                                 const Flow* flow) noexcept nogil:
    """The same for any number of terms."""
    cdef Py_ssize_t i, k, count = run[2]
    cdef const int32_t* weights = flow.weights + run[3]
    cdef const int32_t* sources = flow.sources + run[4]
    cdef vec total
    for i in range(run[0], run[1]):
        total = w[weights[0]] * v[sources[0]]
        for k in range(1, count):
            total = total + w[weights[k]] * v[sources[k]]
        out[flow.rows[i]] = x[flow.rows[i]] + factor * total
        sources = sources + count


cdef inline void horner(const vec* x, const vec* v, const vec* w, vec factor, vec* out, Py_ssize_t nodes,
                        const Flow* flow) noexcept nogil:
    """Coefficients of up to `nodes` nodes of X + factor l * V to out, which may be x or v; these are 1 at nothing.

    What reads and what is read differ in nodes, so runs are taken downwards, their coefficients in any order.
    """
    cdef Py_ssize_t r
    cdef const int64_t* run
    for r in range(flow.run_ends[nodes] - 1, -1, -1):
        run = flow.runs + 5 * r
        # Weights stay in registers.
        if run[2] == 0:
            horner_run(x, v, w, factor, out, run, flow, 0)
        elif run[2] == 1:
            horner_run(x, v, w, factor, out, run, flow, 1)
        elif run[2] == 2:
            horner_run(x, v, w, factor, out, run, flow, 2)
        elif run[2] == 3:
            horner_run(x, v, w, factor, out, run, flow, 3)
        elif run[2] == 4:
            horner_run(x, v, w, factor, out, run, flow, 4)
        elif run[2] == 5:
            horner_run(x, v, w, factor, out, run, flow, 5)
        elif run[2] == 6:
            horner_run(x, v, w, factor, out, run, flow, 6)
        else:
            horner_long_run(x, v, w, factor, out, run, flow)


cdef inline void add_weight_derivs(const vec* g, const vec* v, vec factor, vec* g_w, Py_ssize_t nodes,
                                   const Flow* flow) noexcept nogil:
    """Adjoint of `horner` for the weights: their cotangents are added to, for coefficients of up to `nodes` nodes."""
    cdef Py_ssize_t j, k, start, stop
    cdef const int32_t* targets = flow.weight_targets
    cdef const int32_t* sources = flow.weight_sources
    cdef vec a, b, c, d
    for j in range(flow.n_weights):
        start, stop = flow.weight_ends[j * (flow.degree + 1)], flow.weight_ends[j * (flow.degree + 1) + nodes]
        # Four sums, so that none waits for the one before.
        a = b = c = d = factor - factor
        for k in range(start, stop - 3, 4):
            a = a + g[targets[k]] * v[sources[k]]
            b = b + g[targets[k + 1]] * v[sources[k + 1]]
            c = c + g[targets[k + 2]] * v[sources[k + 2]]
            d = d + g[targets[k + 3]] * v[sources[k + 3]]
        for k in range(stop - (stop - start) % 4, stop):
            a = a + g[targets[k]] * v[sources[k]]
        g_w[j] = g_w[j] + factor * ((a + b) + (c + d))


cdef inline void horner_backprop(const vec* g, const vec* w, vec factor, vec* g_v, vec* g_x, Py_ssize_t nodes,
                                 const Flow* flow) noexcept nogil:
    """Adjoint of `horner` for V: its cotangent to g_v, and added to g_x, which may both be g.

    Upwards: a cotangent is read before it changes, as targets are larger than sources.
    """
    cdef Py_ssize_t n, e, k, m = flow.m, stop
    cdef const int32_t* targets = flow.source_targets
    cdef const int32_t* weights = flow.source_weights
    cdef vec total, other
    for n in range(1, nodes):
        for e in range(flow.ends[n - 1] + 1, flow.ends[n] + 1):
            stop = flow.source_ends[e * (m + 1) + min(m, nodes - n)]
            total = other = factor - factor
            for k in range(flow.source_ends[e * (m + 1)], stop - 1, 2):
                total = total + w[weights[k]] * g[targets[k]]
                other = other + w[weights[k + 1]] * g[targets[k + 1]]
            if (stop - flow.source_ends[e * (m + 1)]) % 2:
                total = total + w[weights[stop - 1]] * g[targets[stop - 1]]
            total = factor * (total + other)
            g_v[e] = total
            g_x[e] = g_x[e] + total


cdef inline void step(vec* x, vec* v, const vec* w, const vec* inverse, const Flow* flow) noexcept nogil:
    """X <- exp(l) * X; v is scratch memory."""
    cdef Py_ssize_t k, degree = flow.degree
    v[0] = x[0]
    for k in range(degree, 1, -1):
        horner(x, v, w, inverse[k], v, degree - k + 1, flow)
    horner(x, v, w, inverse[1], x, degree, flow)


cdef inline void step_backprop(vec* x, vec* g, vec* v, vec* b, vec* g_w, const vec* w, const vec* inverse,
                               const Flow* flow) noexcept nogil:
    """Adjoint of `step` at the X before it: g becomes the cotangent of that, and g_w is set.

    Scratch: v for V^(degree), .., V^(2), b for a cotangent of V.
    """
    cdef Py_ssize_t k, degree = flow.degree
    cdef const vec* above = x
    cdef const vec* seeds = g
    # V^(k) has the coefficients of up to degree - k + 1 nodes behind the one of nothing; V^(degree+1) has that alone.
    for k in range(degree, 1, -1):
        v[0] = x[0]
        horner(x, above, w, inverse[k], v, degree - k + 1, flow)
        above = v
        v = v + flow.ends[degree - k + 1] + 1
    memset(<void*>g_w, 0, flow.n_weights * sizeof(vec))
    for k in range(1, degree + 1):
        # `above` is V^(k+1), `seeds` the cotangent of V^(k).
        add_weight_derivs(seeds, above, inverse[k], g_w, degree - k + 1, flow)
        horner_backprop(seeds, w, inverse[k], b, g, degree - k + 1, flow)
        seeds = b
        if k + 1 < degree:
            above = above - (flow.ends[degree - k - 1] + 1)
        else:
            above = x
