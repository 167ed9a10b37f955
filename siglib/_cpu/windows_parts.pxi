# The primitives of windows as functions, specialised for small dimensions. Included by windows.pyx.

from .lanes cimport vec
from .tensor_log cimport multiply_level, multiply_level_backprop
from .tensor_steps cimport step, step_backprop, step_cotangent
from .window_plan cimport WindowPlan


cdef void left_step(const vec* x, const vec* old, vec* new, vec* work, const vec* inverse,
                    const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step(x, old, new, work, inverse, 2, plan.degree, True)
    elif plan.d == 3:
        step(x, old, new, work, inverse, 3, plan.degree, True)
    elif plan.d == 4:
        step(x, old, new, work, inverse, 4, plan.degree, True)
    elif plan.d == 5:
        step(x, old, new, work, inverse, 5, plan.degree, True)
    else:
        step(x, old, new, work, inverse, plan.d, plan.degree, True)


cdef void right_step(const vec* x, const vec* old, vec* new, vec* work, const vec* inverse,
                     const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step(x, old, new, work, inverse, 2, plan.degree, False)
    elif plan.d == 3:
        step(x, old, new, work, inverse, 3, plan.degree, False)
    elif plan.d == 4:
        step(x, old, new, work, inverse, 4, plan.degree, False)
    elif plan.d == 5:
        step(x, old, new, work, inverse, 5, plan.degree, False)
    else:
        step(x, old, new, work, inverse, plan.d, plan.degree, False)


cdef void left_step_backprop(const vec* x, const vec* old, vec* g, vec* gx, vec* work, const vec* inverse,
                             const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step_backprop(x, old, g, gx, work, inverse, 2, plan.degree, True)
    elif plan.d == 3:
        step_backprop(x, old, g, gx, work, inverse, 3, plan.degree, True)
    elif plan.d == 4:
        step_backprop(x, old, g, gx, work, inverse, 4, plan.degree, True)
    elif plan.d == 5:
        step_backprop(x, old, g, gx, work, inverse, 5, plan.degree, True)
    else:
        step_backprop(x, old, g, gx, work, inverse, plan.d, plan.degree, True)


cdef void right_step_backprop(const vec* x, const vec* old, vec* g, vec* gx, vec* work, const vec* inverse,
                              const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step_backprop(x, old, g, gx, work, inverse, 2, plan.degree, False)
    elif plan.d == 3:
        step_backprop(x, old, g, gx, work, inverse, 3, plan.degree, False)
    elif plan.d == 4:
        step_backprop(x, old, g, gx, work, inverse, 4, plan.degree, False)
    elif plan.d == 5:
        step_backprop(x, old, g, gx, work, inverse, 5, plan.degree, False)
    else:
        step_backprop(x, old, g, gx, work, inverse, plan.d, plan.degree, False)


cdef void right_step_cotangent(const vec* x, vec* g, vec* work, const vec* inverse,
                               const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        step_cotangent(x, g, work, inverse, 2, plan.degree, False)
    elif plan.d == 3:
        step_cotangent(x, g, work, inverse, 3, plan.degree, False)
    elif plan.d == 4:
        step_cotangent(x, g, work, inverse, 4, plan.degree, False)
    elif plan.d == 5:
        step_cotangent(x, g, work, inverse, 5, plan.degree, False)
    else:
        step_cotangent(x, g, work, inverse, plan.d, plan.degree, False)


cdef inline void product_of(const vec* a, const vec* b, vec* out, const vec* one, Py_ssize_t d,
                            Py_ssize_t degree) noexcept nogil:
    cdef Py_ssize_t n, w, start = 0, size = 1
    for n in range(1, degree + 1):
        size *= d
        multiply_level(a, b, a + start, one, out + start, d, n)
        for w in range(start, start + size):
            out[w] = out[w] + b[w]
        start += size


cdef inline void product_of_backprop(const vec* g, const vec* a, const vec* b, vec* g_a, vec* g_b, Py_ssize_t d,
                                     Py_ssize_t degree) noexcept nogil:
    """Adds to g_a and g_b."""
    cdef Py_ssize_t n, w, start = 0, size = 1
    for n in range(1, degree + 1):
        size *= d
        for w in range(start, start + size):
            g_a[w] = g_a[w] + g[w]
            g_b[w] = g_b[w] + g[w]
        if n > 1:
            multiply_level_backprop(g + start, a, b, g_a, g_b, d, n)
        start += size


cdef void product(const vec* a, const vec* b, vec* out, const vec* one, const WindowPlan* plan) noexcept nogil:
    """out = a (x) b."""
    if plan.d == 2:
        product_of(a, b, out, one, 2, plan.degree)
    elif plan.d == 3:
        product_of(a, b, out, one, 3, plan.degree)
    elif plan.d == 4:
        product_of(a, b, out, one, 4, plan.degree)
    elif plan.d == 5:
        product_of(a, b, out, one, 5, plan.degree)
    else:
        product_of(a, b, out, one, plan.d, plan.degree)


cdef void product_backprop(const vec* g, const vec* a, const vec* b, vec* g_a, vec* g_b,
                           const WindowPlan* plan) noexcept nogil:
    if plan.d == 2:
        product_of_backprop(g, a, b, g_a, g_b, 2, plan.degree)
    elif plan.d == 3:
        product_of_backprop(g, a, b, g_a, g_b, 3, plan.degree)
    elif plan.d == 4:
        product_of_backprop(g, a, b, g_a, g_b, 4, plan.degree)
    elif plan.d == 5:
        product_of_backprop(g, a, b, g_a, g_b, 5, plan.degree)
    else:
        product_of_backprop(g, a, b, g_a, g_b, plan.d, plan.degree)
