"""Finite differences along anti-diagonals: the signature kernel of a single pair of long paths.

Few pairs leave most lanes empty if lanes hold pairs. Here the lanes hold rows of one grid: at step `tau`, lane q works
on row `row + q` at column `tau - q`. What a cell needs from the row above was computed one step before, one lane
further down; so each step moves two vectors up by one lane. Recurrences are those of `signature_kernel_sweep.pxd`.

A *strip* is one vector of rows. Up to STRIPS strips, one below the other, form a *pass*: they take their steps
together, which hides that each step has to wait for the one before. A strip receives the last lane of the strip above,
the first strip the row of the grid that the pass before has left in memory; the last strip leaves its own.

Outside the grid coefficients are zero. A cell of coefficient zero copies its neighbour, so lanes that have not started
keep the boundary value 1, and lanes at the end keep the last value of their row: no step needs to know where it is.

Rows in memory (of differences, with an exponent for each column) run backwards, so that the vector whose last lane
belongs to column c (forward), or whose first lane does (backward), can be stored at once: what the other lanes write
lies in columns that are still to come, and has been read before.

Adjoint: the same vectors from the last step to the first, moves go down by one lane, and only one is needed.
"""

from libc.math cimport fabs, ilogb, ldexp

from .lane_exponents cimport any_above, gone, larger, magnitude
from .lane_windows cimport (
    copies_at,
    copies_of,
    largest_lane,
    number_at,
    set_number,
    shift_down,
    shift_up,
    store_at,
)
from .lanes cimport lanes, vd, vec
from .signature_kernel_scale cimport bound_of, least_of
from .signature_kernel_sweep cimport times

cdef enum:
    STRIPS = 6              # more do not fit into the registers; four are a quarter slower
    CHUNK = 32              # steps between two looks at the exponents


cdef inline void sweep_strips(const vec* cells, Py_ssize_t pitch, const vec* top, vec* state, vec* row,
                              Py_ssize_t place, vec* slopes, const int n, const bint keep) noexcept nogil:
    """CHUNK steps of a pass of n strips.

    cells: coefficients q, of step t of strip i at i * pitch + t. top: the CHUNK differences of the row above as
    numbers, then the CHUNK values at their right ends. state (3, STRIPS): k of the column to the left, differences, and
    k of the column to the left in the row above. The differences of step t are stored at number `place - t` of row.
    slopes (n, CHUNK), if `keep`.
    """
    cdef vec k[STRIPS]
    cdef vec D[STRIPS]
    cdef vec corner[STRIPS]
    cdef vec q, g, h, above, change, both
    cdef int i
    cdef Py_ssize_t t
    for i in range(n):
        k[i], D[i], corner[i] = state[i], state[STRIPS + i], state[2 * STRIPS + i]
    for t in range(CHUNK):
        for i in range(n - 1, -1, -1):
            q = cells[i * pitch + t]
            g = q * q
            h = g + times(q, 1.7320508075688772)
            if i > 0:
                above = shift_up(k[i], k[i - 1])
                change = shift_up(D[i], D[i - 1])
            else:
                above = shift_up(k[0], copies_at(top, CHUNK + t))
                change = shift_up(D[0], copies_at(top, t))
            both = k[i] + above
            if keep:
                slopes[i * CHUNK + t] = both + times(q, 1.1547005383792517) * (both + corner[i])
            change = (change + corner[i] * g) + both * h
            k[i] = k[i] + change
            D[i] = change
            corner[i] = above
        store_at(row, place - t, D[n - 1])
    for i in range(n):
        state[i], state[STRIPS + i], state[2 * STRIPS + i] = k[i], D[i], corner[i]


cdef inline void sweep_strips_backprop(const vec* cells, Py_ssize_t pitch, const vec* bottom, vec factor, vec* state,
                                       vec* row, Py_ssize_t place, vec* slopes, const int n) noexcept nogil:
    """Adjoint of `sweep_strips`, from the last step to the first.

    bottom: CHUNK numbers, the differences E (with all that the row below adds to them) of that row. state (4, STRIPS):
    L, h L and g L of the column to the right, and E for the row above. E of step t is stored at number `place - t` of
    row. slopes: on exit `factor` L slope, the derivatives of the coefficients.
    """
    cdef vec L[STRIPS]
    cdef vec hL[STRIPS]
    cdef vec gL[STRIPS]
    cdef vec E[STRIPS]
    cdef vec q, g, h, e
    cdef int i
    cdef Py_ssize_t t
    for i in range(n):
        L[i], hL[i] = state[i], state[STRIPS + i]
        gL[i], E[i] = state[2 * STRIPS + i], state[3 * STRIPS + i]
    for t in range(CHUNK - 1, -1, -1):
        for i in range(n):
            q = cells[i * pitch + t]
            g = q * q
            h = g + times(q, 1.7320508075688772)
            if i < n - 1:
                e = shift_down(E[i], E[i + 1])
            else:
                e = shift_down(E[i], copies_at(bottom, t))
            e = e + hL[i]
            L[i] = L[i] + e
            hL[i] = h * L[i]
            E[i] = (e + gL[i]) + hL[i]
            gL[i] = g * L[i]
            slopes[i * CHUNK + t] = (L[i] * slopes[i * CHUNK + t]) * factor
        store_at(row, place - t, E[0])
    for i in range(n):
        state[i], state[STRIPS + i] = L[i], hL[i]
        state[2 * STRIPS + i], state[3 * STRIPS + i] = gL[i], E[i]


cdef inline void scale_state(vec* state, Py_ssize_t n, Py_ssize_t exponent) noexcept nogil:
    """Multiply by 2^exponent."""
    cdef vec factor = copies_of(ldexp(1.0, <int>exponent), <const vec*>state)
    cdef Py_ssize_t i
    for i in range(n):
        state[i] = state[i] * factor


cdef inline bint loses(const vec* values, Py_ssize_t n, Py_ssize_t exponent) noexcept nogil:
    """Whether values times 2^exponent, not more than 1, are too small to be carried on with all their digits."""
    cdef vec factor = copies_of(ldexp(1.0, <int>exponent), values), lost = factor - factor
    cdef Py_ssize_t i
    for i in range(n):
        lost = larger(gone(values[i], values[i] * factor, least_of(values)), lost)
    return any_above(lost, 0)


cdef inline bint number_is_lost(double number, double scaled, const vec* tag) noexcept nogil:
    """The same for one number."""
    return number != 0 and fabs(scaled) < least_of(tag)


cdef inline Py_ssize_t excess_of(const vec* state, int n) noexcept nogil:
    """The exponent of the largest of n vectors if it is too large for one more chunk of steps, else 0."""
    cdef vec largest = magnitude(state[0])
    cdef double number
    cdef int i
    for i in range(1, n):
        largest = larger(largest, magnitude(state[i]))
    number = largest_lane(largest)
    if number > bound_of(state) and number - number == 0:
        return ilogb(number)
    return 0


cdef inline Py_ssize_t largest_exponent(const int* exponents, Py_ssize_t first, Py_ssize_t n_columns,
                                        Py_ssize_t least) noexcept nogil:
    """The largest exponent of the columns first..first+CHUNK-1 that exist, and of `least`."""
    cdef Py_ssize_t c
    cdef int largest = <int>least
    for c in range(max(first, 0), min(first + CHUNK, n_columns)):
        largest = max(largest, exponents[c])
    return largest


cdef inline void read_row(const vec* row, Py_ssize_t last, const int* exponents, Py_ssize_t first,
                          Py_ssize_t n_columns, Py_ssize_t exponent, vec* out) noexcept nogil:
    """Numbers of the columns first..first+CHUNK-1, brought to one exponent; 0 where there is no column.

    Column c is number last - c of row.
    """
    cdef Py_ssize_t t, start = max(-first, 0), stop = max(min(n_columns - first, <Py_ssize_t>CHUNK), start)
    cdef bint differ = False
    for t in range(min(start, <Py_ssize_t>CHUNK)):
        set_number(out, t, 0)
    for t in range(start, stop):
        set_number(out, t, number_at(row, last - first - t))
        differ |= exponents[first + t] != exponent
    for t in range(stop, CHUNK):
        set_number(out, t, 0)
    if differ:
        for t in range(start, stop):
            set_number(out, t, ldexp(number_at(out, t), exponents[first + t] - <int>exponent))


cdef inline void set_exponents(int* exponents, Py_ssize_t first, Py_ssize_t n_columns,
                               Py_ssize_t exponent) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(max(first, 0), min(first + CHUNK, n_columns)):
        exponents[c] = <int>exponent


cdef inline double add_up(const vec* changes, double value, vec* out) noexcept nogil:
    """out[CHUNK + t] = value + the sum of the first t + 1 of CHUNK numbers; returns the last."""
    cdef Py_ssize_t t
    for t in range(CHUNK):
        value += number_at(changes, t)
        set_number(out, CHUNK + t, value)
    return value
