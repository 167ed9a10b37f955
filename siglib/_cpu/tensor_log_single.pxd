"""The logarithm of one truncated tensor: see `tensor_log.pxi`."""

from libc.stdint cimport int32_t, int64_t

from ._interruption cimport due, interrupted
from .lanes cimport LANES_F64
from .lanes cimport real as item


cdef inline void load_words(const void* const* rows, Py_ssize_t first, Py_ssize_t n, Py_ssize_t row_length,
                            item* out) noexcept nogil:
    """out[0:n] = numbers first..first+n-1 of the row."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = (<const item*>rows[0])[first + i]


cdef inline void subtract_scaled(item* x, const item* y, const void* values, Py_ssize_t i) noexcept nogil:
    """x -= y values[i]."""
    x[0] = x[0] - y[0] * (<const item*>values)[i]


include "tensor_log.pxi"
