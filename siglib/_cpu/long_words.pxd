"""Coefficients of one path at all prefixes of one long word: increments through it, first to last, and back.

Lanes hold letters of the word. Horner's scheme takes as many steps for a letter as there are letters before it, and
its memory in the gradient grows with their square. The exponential's series takes few, whatever the length:

    v_0 = S,      v_m[k] = v_(m-1)[k-1] x[k] / m,      S exp(x) = sum over m of v_m,

until |v_m[k]| is below the rounding error of the sum for all k of a vector. What is neglected of v_m[k] is, further on
in the word, less than the same part of the terms that S[k] itself gives there, so it is below rounding everywhere.

The word is taken vector by vector, all m for each: what goes over the border of two vectors are the last lanes of
v_0, v_1, ..., and in the adjoint, from the end of the word, the first lanes of the cotangents times x / m.
"""

from libc.stdint cimport int32_t

from .lane_windows cimport copies_at, copies_of, number_at, set_number, shift_down, shift_up
from .lanes cimport lanes, vd, vec, vf

cdef enum:
    MOST_TERMS = 1024    # of the series in the gradient; see `halvings`

cdef extern from "long_words.h" nogil:
    vd collect_vd(const double* row, const int32_t* index)
    vf collect_vf(const float* row, const int32_t* index)
    void scatter_vd(vd v, double* sums, const int32_t* index)
    void scatter_vf(vf v, float* sums, const int32_t* index)
    double last_lane_vd(vd v)
    float last_lane_vf(vf v)
    double first_lane_vd(vd v)
    float first_lane_vf(vf v)
    int negligible_vd(vd v, vd total, vd epsilon)
    int negligible_vf(vf v, vf total, vf epsilon)


cdef inline vec collect(const vec* row, const int32_t* index) noexcept nogil:
    """Lane q = number index[q] of row."""
    if vec is vd:
        return collect_vd(<const double*>row, index)
    else:
        return collect_vf(<const float*>row, index)


cdef inline void scatter(vec v, vec* sums, const int32_t* index) noexcept nogil:
    """Adds lane q of v to lane q of sums[index[q]]."""
    if vec is vd:
        scatter_vd(v, <double*>sums, index)
    else:
        scatter_vf(v, <float*>sums, index)


cdef inline double last_lane(vec v) noexcept nogil:
    if vec is vd:
        return last_lane_vd(v)
    else:
        return last_lane_vf(v)


cdef inline double first_lane(vec v) noexcept nogil:
    if vec is vd:
        return first_lane_vd(v)
    else:
        return first_lane_vf(v)


cdef inline bint negligible(vec v, vec total, vec epsilon) noexcept nogil:
    """Whether |v| <= epsilon |total| in all lanes, and all is finite."""
    if vec is vd:
        return negligible_vd(v, total, epsilon)
    else:
        return negligible_vf(v, total, epsilon)


cdef inline vec rounding(const vec* tag) noexcept nogil:
    """A quarter of a unit in the last place of 1; `tag` only names the type."""
    if vec is vd:
        return copies_of(2.0**-54, tag)
    else:
        return copies_of(2.0**-25, tag)


cdef inline void series(const vec* x, Py_ssize_t n_vectors, const vec* inverse, vec* border, vec* S) noexcept nogil:
    """S <- S exp(x): n_vectors of letters; inverse: the numbers 1 / m, from number 0 on; border (lanes * n_vectors +
    2): scratch."""
    cdef Py_ssize_t b, m, n_terms = 1, width = lanes(S)
    cdef vec v, total, before, x_b
    cdef vec epsilon = rounding(S)
    # What comes from the empty word: 1, then nothing.
    border[0] = copies_of(1, S)
    for b in range(n_vectors):
        v = S[b]
        x_b = x[b]
        total = v
        m = 0
        # All letters before a letter can move at once; one term more is 0.
        while m <= (b + 1) * width:
            before = border[m] if m < n_terms else epsilon - epsilon
            border[m] = v
            m += 1
            v = shift_up(v, before) * (x_b * copies_at(inverse, m))
            total = total + v
            if m >= n_terms and negligible(v, total, epsilon):
                break
        n_terms = m
        S[b] = total


cdef inline Py_ssize_t halvings(const vec* row, Py_ssize_t n_letters, Py_ssize_t length) noexcept nogil:
    """How often an increment is halved, so that MOST_TERMS terms are enough for words of this length: 128^m / m! is
    far below the smallest number then. Words that are not longer have no more terms."""
    cdef Py_ssize_t i, times = 0
    cdef double largest = 0
    if length <= MOST_TERMS:
        return 0
    for i in range(n_letters):
        largest = max(largest, abs(number_at(row, i)))
    # Beyond this the coefficients of such words are infinite.
    while largest > 128 and times < 8:
        largest = largest / 2
        times += 1
    return times


cdef inline void series_backprop(const vec* x, Py_ssize_t n_vectors, const vec* inverse, const vec* S, vec* G, vec* v,
                                 vec* borders, Py_ssize_t most, vec* back, Py_ssize_t* n_terms, vec* gx) noexcept nogil:
    """The cotangent G of S exp(x) becomes that of S, and the gradients of x are written.

    borders: `most` numbers for each vector, the last lanes of its v_m. Scratch: v (most), back (2 most numbers),
    n_terms (n_vectors).
    """
    cdef Py_ssize_t b, m, n, before_terms = 1, width = lanes(G)
    cdef vec term, total, x_b, u, z, g, found
    cdef vec epsilon = rounding(G)
    cdef vec zero = epsilon - epsilon
    cdef Py_ssize_t this = 0, other = most
    # First the series again, of which only borders are kept.
    for b in range(n_vectors):
        term = S[b]
        x_b = x[b]
        total = term
        m = 0
        while m < min((b + 1) * width + 1, most - 1):
            set_number(borders, (b + 1) * most + m, last_lane(term))
            g = copies_at(borders, b * most + m) if m < before_terms else zero
            m += 1
            term = shift_up(term, g) * (x_b * copies_at(inverse, m))
            total = total + term
            if m >= before_terms and negligible(term, total, epsilon):
                break
        n_terms[b] = m
        before_terms = m
    for b in range(n_vectors - 1, -1, -1):
        x_b = x[b]
        g = G[b]
        n = n_terms[b]
        before_terms = n_terms[b - 1] if b > 0 else 1
        # v[m]: v_m before it is multiplied by x / m.
        term = S[b]
        for m in range(1, n + 1):
            term = shift_up(term, copies_at(borders, b * most + m - 1) if m - 1 < before_terms else zero)
            v[m] = term
            term = term * (x_b * copies_at(inverse, m))
        found = zero
        u = g
        for m in range(n, 0, -1):
            u = u * copies_at(inverse, m)
            found = found + u * v[m]
            z = u * x_b
            set_number(back, this + m, first_lane(z))
            u = g + shift_down(z, copies_at(back, other + m) if b < n_vectors - 1 else zero)
        gx[b] = found
        G[b] = u
        this, other = other, this
