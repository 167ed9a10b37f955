# The gradient where a lane has NaN or infinity. Included by windows.pyx; needs the functions of windows_parts.pxi.
#
# The right scan is walked back by taking increments off again. What is not finite stays so: windows that end before it
# would get it, too. So lanes keep the last finite signature of their scan, and go on from it. And 0 times NaN is NaN: a
# lane that has no window at a rank must not take part in the product of the others.

from libc.string cimport memset

from .lane_exponents cimport any_differ_vd, any_differ_vf
from .lanes cimport LANES_F32, LANES_F64, vd, vec
from .window_groups cimport item
from .window_plan cimport Block, WindowPlan


cdef struct Frozen:
    const void* before           # in each lane the last finite signature
    Py_ssize_t at[16]            # after how many increments of the group's right scan; -1 or less if there is none


cdef inline vec zero_if_finite(const vec* v, Py_ssize_t n) noexcept nogil:
    """In each lane 0 if all of its n numbers are finite, else NaN."""
    cdef Py_ssize_t i
    cdef vec total = v[0] - v[0]
    for i in range(1, n):
        total = total + (v[i] - v[i])
    return total


cdef inline bint all_finite(const vec* v, Py_ssize_t n) noexcept nogil:
    """Whether n vectors are finite in all lanes."""
    cdef vec total = zero_if_finite(v, n)
    if vec is vd:
        return not any_differ_vd(total, total)
    else:
        return not any_differ_vf(total, total)


cdef inline bint is_zero(const vec* v, int lane) noexcept nogil:
    """Whether one lane of a vector is 0."""
    if vec is vd:
        return (<const double*>v)[lane] == 0
    else:
        return (<const float*>v)[lane] == 0


cdef inline void copy_lane(const void* source, void* target, Py_ssize_t n, int lane, vec* tag) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if vec is vd:
            (<double*>target)[i * LANES_F64 + lane] = (<const double*>source)[i * LANES_F64 + lane]
        else:
            (<float*>target)[i * LANES_F32 + lane] = (<const float*>source)[i * LANES_F32 + lane]


cdef void freeze(const vec* x, Py_ssize_t n, vec* P, vec* next_P, vec* before, vec* work, const vec* inverse,
                 const WindowPlan* plan, Frozen* frozen) noexcept nogil:
    """Scan n increments from P on, and keep the last finite signature of each lane in `before`.

    P and next_P are overwritten.
    """
    cdef Py_ssize_t k
    cdef int lane, n_left = 0
    cdef vec* swap
    cdef vec total = zero_if_finite(P, plan.n_words)
    frozen.before = before
    for lane in range(plan.width):
        # A scan that starts where another was not finite has nothing to keep.
        frozen.at[lane] = -1 if is_zero(&total, lane) else -2
        n_left += frozen.at[lane] == -1
    for k in range(n):
        if n_left == 0:
            return
        right_step(x + k * plan.d, P, next_P, work, inverse, plan)
        total = zero_if_finite(next_P, plan.n_words)
        for lane in range(plan.width):
            if frozen.at[lane] == -1 and not is_zero(&total, lane):
                copy_lane(P, before, plan.n_words, lane, P)
                frozen.at[lane] = k
                n_left -= 1
        swap = P
        P = next_P
        next_P = swap


cdef void thaw(const Frozen* frozen, Py_ssize_t k, vec* P, const WindowPlan* plan) noexcept nogil:
    """P, after k increments, in the lanes that were finite there for the last time."""
    cdef int lane
    for lane in range(plan.width):
        if frozen.at[lane] == k:
            copy_lane(frozen.before, P, plan.n_words, lane, P)


cdef void copy_live(const vec* source, const WindowPlan* plan, Py_ssize_t group, Py_ssize_t rank,
                    vec* target) noexcept nogil:
    """The lanes that have a window of this rank; zeros in the others."""
    cdef Py_ssize_t path
    cdef int lane
    cdef const Block* block
    memset(<void*>target, 0, plan.n_words * sizeof(vec))
    for lane in range(plan.width):
        block = item(plan, group, lane, &path)
        if block != NULL and rank < block.n_windows:
            copy_lane(source, target, plan.n_words, lane, target)
