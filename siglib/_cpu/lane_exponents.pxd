"""Powers of two of lane vectors (lane_exponents.h), for either floating type."""

from .lanes cimport vd, vec, vf


cdef extern from "lane_exponents.h" nogil:
    vd exponent_of_vd(vd v)
    vf exponent_of_vf(vf v)
    vd power_of_two_vd(vd e)
    vf power_of_two_vf(vf e)
    vd rounded_half_vd(vd e)
    vf rounded_half_vf(vf e)
    vd magnitude_vd(vd v)
    vf magnitude_vf(vf v)
    vd larger_vd(vd a, vd b)
    vf larger_vf(vf a, vf b)
    bint any_above_vd(vd v, double bound)
    bint any_above_vf(vf v, float bound)
    bint any_differ_vd(vd a, vd b)
    bint any_differ_vf(vf a, vf b)
    vd exponent_above_vd(vd v, double bound)
    vf exponent_above_vf(vf v, float bound)
    vd gone_vd(vd before, vd after, double least)
    vf gone_vf(vf before, vf after, float least)
    vd unless_zero_vd(vd v, vd a, vd b)
    vf unless_zero_vf(vf v, vf a, vf b)


cdef inline vec exponent_of(vec v) noexcept nogil:
    """floor(log2 |v|) of lanes that are finite and normal, else 0."""
    if vec is vd:
        return exponent_of_vd(v)
    else:
        return exponent_of_vf(v)


cdef inline vec power_of_two(vec e) noexcept nogil:
    """2^e for integer-valued e; 0 below the normal range, infinity above it."""
    if vec is vd:
        return power_of_two_vd(e)
    else:
        return power_of_two_vf(e)


cdef inline vec rounded_half(vec e) noexcept nogil:
    """An integer near e / 2, for integer-valued e."""
    if vec is vd:
        return rounded_half_vd(e)
    else:
        return rounded_half_vf(e)


cdef inline vec magnitude(vec v) noexcept nogil:
    """|v|."""
    if vec is vd:
        return magnitude_vd(v)
    else:
        return magnitude_vf(v)


cdef inline vec larger(vec a, vec b) noexcept nogil:
    """max(a, b); b where one of them is NaN."""
    if vec is vd:
        return larger_vd(a, b)
    else:
        return larger_vf(a, b)


cdef inline bint any_above(vec v, double bound) noexcept nogil:
    """Whether some lane of v is above the bound."""
    if vec is vd:
        return any_above_vd(v, bound)
    else:
        return any_above_vf(v, <float>bound)


cdef inline bint any_differ(vec a, vec b) noexcept nogil:
    """Whether some lane of a is not equal to that of b."""
    if vec is vd:
        return any_differ_vd(a, b)
    else:
        return any_differ_vf(a, b)


cdef inline vec exponent_above(vec v, double bound) noexcept nogil:
    """`exponent_of` lanes above the bound, 0 of the others."""
    if vec is vd:
        return exponent_above_vd(v, bound)
    else:
        return exponent_above_vf(v, <float>bound)


cdef inline vec gone(vec before, vec after, double least) noexcept nogil:
    """1 for lanes in which `before` is not 0 and |after| is below `least`, else 0."""
    if vec is vd:
        return gone_vd(before, after, least)
    else:
        return gone_vf(before, after, <float>least)


cdef inline vec unless_zero(vec v, vec a, vec b) noexcept nogil:
    """a, and b in the lanes in which v is 0."""
    if vec is vd:
        return unless_zero_vd(v, a, b)
    else:
        return unless_zero_vf(v, a, b)
