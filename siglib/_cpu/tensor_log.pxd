"""The logarithm of truncated tensors, many side by side, one in each lane: see `tensor_log.pxi`."""

from libc.stdint cimport int32_t, int64_t

from ._interruption cimport due, interrupted
from .lane_moves cimport load_words
from .lanes cimport LANES_F64, vd
from .lanes cimport vec as item


cdef inline void subtract_scaled(item* x, const item* y, const void* values, Py_ssize_t i) noexcept nogil:
    """x -= y values[i], the values being single numbers."""
    if item is vd:
        x[0] = x[0] - y[0] * (<const double*>values)[i]
    else:
        x[0] = x[0] - y[0] * (<const float*>values)[i]


include "tensor_log.pxi"
