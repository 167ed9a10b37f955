"""Exponential, logarithm and square root of lane vectors (lane_math.h), for either floating type."""

from .lanes cimport vd, vec, vf


cdef extern from "lane_math.h" nogil:
    vd exp_vd(vd x)
    vf exp_vf(vf x)
    vd log_vd(vd x)
    vf log_vf(vf x)
    vd sqrt_vd(vd x)
    vf sqrt_vf(vf x)


cdef inline vec exp_lanes(vec x) noexcept nogil:
    """e^x; 0 and infinity beyond the normal range."""
    if vec is vd:
        return exp_vd(x)
    else:
        return exp_vf(x)


cdef inline vec log_lanes(vec x) noexcept nogil:
    """log x of positive normal numbers."""
    if vec is vd:
        return log_vd(x)
    else:
        return log_vf(x)


cdef inline vec sqrt_lanes(vec x) noexcept nogil:
    """Square root."""
    if vec is vd:
        return sqrt_vd(x)
    else:
        return sqrt_vf(x)
