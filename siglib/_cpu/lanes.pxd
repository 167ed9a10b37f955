"""Lane types, and what all loops share: scratch memory, constants in lanes.

Cython believes that `vd` and `vf` are plain numbers; the C compiler sees vectors (simd.h). So `a + x * b` works on
all lanes at once, but loops neither index lanes nor cast to a lane type: to reach single lanes, view the memory as
`real*` with `lanes(...)` numbers per vector.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc


cdef extern from "simd.h" nogil:
    ctypedef double vd
    ctypedef float vf
    const int LANES_F64
    const int LANES_F32

ctypedef fused vec:
    vd
    vf

ctypedef fused real:
    double
    float

ctypedef fused only_double:
    double


cdef inline int lanes(vec* tag) noexcept nogil:
    """Items per vector of `tag`'s type; the pointer itself is not read."""
    if vec is vd:
        return LANES_F64
    else:
        return LANES_F32


cdef inline int n_lanes(const real* tag) noexcept nogil:
    """Items per vector of `tag`'s type; the pointer itself is not read."""
    if real is double:
        return LANES_F64
    else:
        return LANES_F32


cdef inline void* aligned_malloc(size_t n_bytes, void** raw) noexcept nogil:
    """`n_bytes` of scratch memory aligned for vectors, or NULL; free `raw[0]`."""
    raw[0] = malloc(n_bytes + 64)
    if raw[0] == NULL:
        return NULL
    return <void*>((<uintptr_t>raw[0] + 63) & ~(<uintptr_t>63))


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline void fill_inverse(real* inverse, Py_ssize_t degree, Py_ssize_t width) noexcept nogil:
    """inverse[k] = 1 / k in each of `width` lanes, k = 1..degree, and 0 for k = 0."""
    cdef Py_ssize_t k, lane
    for k in range(degree + 1):
        for lane in range(width):
            inverse[k * width + lane] = <real>1 / <real>k if k > 0 else 0


cdef inline vec scaled(vec x, const void* values, Py_ssize_t i) noexcept nogil:
    """x values[i], the values being single numbers."""
    if vec is vd:
        return x * (<const double*>values)[i]
    else:
        return x * (<const float*>values)[i]
