"""The rows of an array that a lane group reads or writes."""

from .lanes cimport n_lanes, real


cdef inline int set_rows(const real* first, Py_ssize_t stride, Py_ssize_t group, Py_ssize_t batch,
                         void** rows) noexcept nogil:
    """The rows of a lane group, one for each lane, in an array of `batch` rows; lanes behind the last row repeat it.

    Returns how many are not repeated.
    """
    cdef Py_ssize_t lane, width = n_lanes(first)
    for lane in range(width):
        rows[lane] = <void*>(first + min(group * width + lane, batch - 1) * stride)
    return <int>min(width, batch - group * width)
