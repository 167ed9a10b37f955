"""Neighbouring lanes (lane_windows.h), for either floating type.

Arrays of numbers are passed as pointers to vectors, and addressed by the position of a number.
"""

from .lanes cimport vd, vec, vf


cdef extern from "lane_windows.h" nogil:
    vd load_at_vd(const vd* base, Py_ssize_t i)
    vf load_at_vf(const vf* base, Py_ssize_t i)
    vd held_at_vd(const vd* base, Py_ssize_t i)
    vf held_at_vf(const vf* base, Py_ssize_t i)
    void store_at_vd(vd* base, Py_ssize_t i, vd v)
    void store_at_vf(vf* base, Py_ssize_t i, vf v)
    vd load_part_vd(const vd* base, Py_ssize_t i, Py_ssize_t n)
    vf load_part_vf(const vf* base, Py_ssize_t i, Py_ssize_t n)
    void store_part_vd(vd* base, Py_ssize_t i, Py_ssize_t n, vd v)
    void store_part_vf(vf* base, Py_ssize_t i, Py_ssize_t n, vf v)
    double number_at_vd(const vd* base, Py_ssize_t i)
    float number_at_vf(const vf* base, Py_ssize_t i)
    void set_number_vd(vd* base, Py_ssize_t i, double x)
    void set_number_vf(vf* base, Py_ssize_t i, float x)
    vd shift_up_vd(vd v, vd source)
    vf shift_up_vf(vf v, vf source)
    vd shift_down_vd(vd v, vd source)
    vf shift_down_vf(vf v, vf source)
    vd repeat_lanes_vd(vd v, int order)
    vf repeat_lanes_vf(vf v, int order)
    double sum_lanes_vd(vd v)
    double sum_lanes_vf(vf v)
    double largest_lane_vd(vd v)
    double largest_lane_vf(vf v)
    vd copies_of_vd(double x)
    vf copies_of_vf(float x)


cdef inline vec load_at(const vec* base, Py_ssize_t i) noexcept nogil:
    """The vector that starts at number i."""
    if vec is vd:
        return load_at_vd(base, i)
    else:
        return load_at_vf(base, i)


cdef inline vec held_at(const vec* base, Py_ssize_t i) noexcept nogil:
    """The vector that starts at number i, read once into a register."""
    if vec is vd:
        return held_at_vd(base, i)
    else:
        return held_at_vf(base, i)


cdef inline void store_at(vec* base, Py_ssize_t i, vec v) noexcept nogil:
    """The vector that starts at number i becomes v."""
    if vec is vd:
        store_at_vd(base, i, v)
    else:
        store_at_vf(base, i, v)


cdef inline vec load_part(const vec* base, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """n numbers from number i on, fewer than there are lanes, and zeros; no others are read."""
    if vec is vd:
        return load_part_vd(base, i, n)
    else:
        return load_part_vf(base, i, n)


cdef inline void store_part(vec* base, Py_ssize_t i, Py_ssize_t n, vec v) noexcept nogil:
    """n numbers from number i on become the first of v; no others are written."""
    if vec is vd:
        store_part_vd(base, i, n, v)
    else:
        store_part_vf(base, i, n, v)


cdef inline double number_at(const vec* base, Py_ssize_t i) noexcept nogil:
    """Number i."""
    if vec is vd:
        return number_at_vd(base, i)
    else:
        return number_at_vf(base, i)


cdef inline void set_number(vec* base, Py_ssize_t i, double x) noexcept nogil:
    """Number i becomes x."""
    if vec is vd:
        set_number_vd(base, i, x)
    else:
        set_number_vf(base, i, <float>x)


cdef inline vec shift_up(vec v, vec source) noexcept nogil:
    """Lane q = v[q - 1]; the last lane of `source` enters at lane 0."""
    if vec is vd:
        return shift_up_vd(v, source)
    else:
        return shift_up_vf(v, source)


cdef inline vec shift_down(vec v, vec source) noexcept nogil:
    """Lane q = v[q + 1]; lane 0 of `source` enters at the last lane."""
    if vec is vd:
        return shift_down_vd(v, source)
    else:
        return shift_down_vf(v, source)


cdef inline vec repeat_lanes(vec v, int order) noexcept nogil:
    """Lane q = v[q >> order]."""
    if vec is vd:
        return repeat_lanes_vd(v, order)
    else:
        return repeat_lanes_vf(v, order)


cdef inline double sum_lanes(vec v) noexcept nogil:
    """The sum of all lanes."""
    if vec is vd:
        return sum_lanes_vd(v)
    else:
        return sum_lanes_vf(v)


cdef inline double largest_lane(vec v) noexcept nogil:
    """The largest lane, at least 0; lanes that are NaN are passed over."""
    if vec is vd:
        return largest_lane_vd(v)
    else:
        return largest_lane_vf(v)


cdef inline vec copies_at(const vec* base, Py_ssize_t i) noexcept nogil:
    """Number i in all lanes."""
    if vec is vd:
        return copies_of_vd(number_at_vd(base, i))
    else:
        return copies_of_vf(number_at_vf(base, i))


cdef inline vec copies_of(double x, const vec* tag) noexcept nogil:
    """x in all lanes; `tag` only names the type."""
    if vec is vd:
        return copies_of_vd(x)
    else:
        return copies_of_vf(<float>x)
