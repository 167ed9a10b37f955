"""The increment loader: the one place where a path becomes increments in lanes, and its adjoint, where gradients of
increments become gradients of the path.

Time augmentation, lead-lag and the cutting into time chunks happen here; no loop behind knows of them. The
increments of the transformed path are its *rows*: with lead-lag, row 2k moves the lead block and row 2k + 1 the lag
block from point k to point k + 1.
"""

from libc.math cimport frexp, ldexp

from .lanes cimport real

cdef extern from "lane_time.h" nogil:
    void load_time_vd(const double* first, const double* stop, Py_ssize_t n, const double* step, double grid,
                      double* dx, Py_ssize_t stride)
    void load_time_vf(const double* first, const double* stop, Py_ssize_t n, const double* step, double grid,
                      float* dx, Py_ssize_t stride)
    void set_time_words_of_lanes(const double* durations, Py_ssize_t d, Py_ssize_t degree, float* sig)

cdef enum:
    MOST_LANES = 16
    # So few float32 increments do not add up to an error that is worth setting the words of time alone.
    FEW_ROWS = 32


cdef struct Transform:
    Py_ssize_t length            # points of the path
    Py_ssize_t dimension         # channels of the path
    Py_ssize_t d                 # channels of the transformed path
    Py_ssize_t n_rows            # increments of the transformed path
    bint time_aug
    bint lead_lag
    double end_time
    double time_step             # increment of the time channel in every row
    double time_grid             # what, added and taken off again, rounds time to multiples of one small number


cdef inline Transform make_transform(Py_ssize_t length, Py_ssize_t dimension, object transform):
    """For paths of `length` points and `dimension` channels, from the `Transform` of `siglib/_tables/transform.py`."""
    cdef Transform t
    cdef bint time_aug = transform[0], lead_lag = transform[1]
    cdef double end_time = transform[2]
    t.length = length
    t.dimension = dimension
    t.time_aug = time_aug
    t.lead_lag = lead_lag
    t.d = (2 * dimension if lead_lag else dimension) + time_aug
    t.n_rows = 0 if length < 2 else 2 * (length - 1) if lead_lag else length - 1
    t.end_time = end_time
    t.time_step = end_time / t.n_rows if t.n_rows > 0 else 0
    t.time_grid = time_grid(end_time)
    return t


cdef inline double time_grid(double end_time) noexcept nogil:
    """`Transform.time_grid`: of the multiples that float32 holds, up to |end_time|, without rounding.

    A rounded step, added up a million times, is off by the millionfold of its error, and each sum is rounded, too.
    Differences of times on a grid add up without any rounding, in every order, to end_time itself.
    """
    cdef int exponent = 0
    cdef double fraction = frexp(end_time, &exponent)
    if fraction == 0.5 or fraction == -0.5:
        exponent -= 1                       # a power of two
    # The last bit of 1.5 * 2^52 counts 1: that of the number below counts 2^-24 of the power of two above end_time.
    return ldexp(1.5, 52 + max(exponent - 24, -149)) if exponent < 990 else 0


cdef inline bint sets_time_words(const Transform* t, const real* tag) noexcept nogil:
    """Whether words of time alone are set instead of added up; `tag` only names the type."""
    if real is double:
        return False
    else:
        return t.time_aug and t.n_rows > FEW_ROWS


cdef inline double time_of(const Transform* t, double row) noexcept nogil:
    """Where time is before a row, on the grid."""
    return (row * t.time_step + t.time_grid) - t.time_grid


cdef inline void load_time(const Transform* t, const double* first, const double* stop, Py_ssize_t n_rows, real* dx,
                           Py_ssize_t dx_stride) noexcept nogil:
    """The time of n_rows rows of all lanes: in lane l those from first[l] on, and zeros from row stop[l] on.

    Row k goes to dx + k * dx_stride.
    """
    cdef int lane
    cdef double steps[MOST_LANES]
    for lane in range(MOST_LANES):
        steps[lane] = t.time_step
    load_time_of_lanes(t, first, stop, steps, n_rows, dx, dx_stride)


cdef inline void load_time_of_lanes(const Transform* t, const double* first, const double* stop, const double* steps,
                                    Py_ssize_t n_rows, real* dx, Py_ssize_t dx_stride) noexcept nogil:
    """The same where each lane has its own step of time."""
    if real is double:
        load_time_vd(first, stop, n_rows, steps, t.time_grid, dx, dx_stride)
    else:
        load_time_vf(first, stop, n_rows, steps, t.time_grid, dx, dx_stride)


cdef inline void load_rows(const real* path, Py_ssize_t row_stride, Py_ssize_t channel_stride, const Transform* t,
                           Py_ssize_t first, Py_ssize_t n_rows, real* dx, Py_ssize_t dx_stride,
                           int width) noexcept nogil:
    """Rows first..first + n_rows - 1 of one path into one lane, but for their time: see `load_time`.

    Strides count numbers. Row first + k goes to dx + k * dx_stride, its letters `width` apart.
    """
    cdef Py_ssize_t _k, k, i, row
    cdef real before, after
    cdef const real* point
    cdef real* target
    for i in range(t.dimension):
        if t.lead_lag:
            for k in range(n_rows):
                row = first + k
                point = path + row // 2 * row_stride + i * channel_stride
                target = dx + k * dx_stride
                target[(i if row % 2 else t.dimension + i) * width] = point[row_stride] - point[0]
                target[(t.dimension + i if row % 2 else i) * width] = 0
        else:
            point = path + first * row_stride + i * channel_stride
            target = dx + i * width
            before = point[0]
            for _k in range(n_rows):
                point = point + row_stride
                after = point[0]
                target[0] = after - before
                target = target + dx_stride
                before = after


cdef inline void set_time_words(double duration, Py_ssize_t d, Py_ssize_t degree, real* sig) noexcept nogil:
    """The words of time alone, T^n / n!, in a float32 signature.

    The increments of time add up without rounding, but their products do not: n of them are off by about the root of n.
    """
    cdef Py_ssize_t n, size = 1
    cdef double power = 1
    for n in range(1, degree + 1):
        size *= d
        power = power * (duration * (1.0 / n))
        sig[size - 1] = <real>power         # time is the last letter
        sig = sig + size


cdef inline real row_gradient(const real* gx, Py_ssize_t step, const Transform* t, Py_ssize_t i,
                              int width) noexcept nogil:
    """Gradient of the increment that channel i makes in `step`, the move from point first + step to the next."""
    if t.lead_lag:
        return gx[(2 * step * t.d + t.dimension + i) * width] + gx[((2 * step + 1) * t.d + i) * width]
    return gx[(step * t.d + i) * width]


cdef inline void load_rows_backprop(const real* gx, const Transform* t, Py_ssize_t n_rows, int width,
                                    real* path_derivs, real* last_derivs) noexcept nogil:
    """Adjoint of `load_rows` for rows in natural order: writes the gradients of all points but the last that the rows
    touch.

    path_derivs (n_steps, dimension) starts at the first point of the rows; the last point may belong to the next
    chunk as well, so its gradient goes to last_derivs (dimension) and is added by the caller. With lead-lag the rows
    must start and end with whole steps.
    """
    cdef Py_ssize_t step, i, n_steps = n_rows // 2 if t.lead_lag else n_rows
    cdef real before, after
    for i in range(t.dimension):
        before = 0
        for step in range(n_steps):
            after = row_gradient(gx, step, t, i, width)
            path_derivs[step * t.dimension + i] = before - after
            before = after
        last_derivs[i] = before


cdef inline void load_letter(const real* path, Py_ssize_t row_stride, Py_ssize_t channel_stride, const Transform* t,
                             Py_ssize_t letter, Py_ssize_t first, Py_ssize_t n_rows, real* dx,
                             Py_ssize_t dx_stride) noexcept nogil:
    """One letter of rows first..first + n_rows - 1 of one path: row first + k goes to dx[k * dx_stride]."""
    cdef Py_ssize_t k, row
    cdef const real* point
    if t.time_aug and letter == t.d - 1:
        for k in range(n_rows):
            if real is double:
                dx[k * dx_stride] = t.time_step
            else:
                dx[k * dx_stride] = <real>(time_of(t, first + k + 1) - time_of(t, first + k))
    elif t.lead_lag:
        for k in range(n_rows):
            row = first + k
            point = path + row // 2 * row_stride + letter % t.dimension * channel_stride
            dx[k * dx_stride] = point[row_stride] - point[0] if (letter < t.dimension) == row % 2 else 0
    else:
        point = path + first * row_stride + letter * channel_stride
        for k in range(n_rows):
            dx[k * dx_stride] = point[row_stride] - point[0]
            point = point + row_stride


cdef inline void load_letter_backprop(const real* gx, Py_ssize_t gx_stride, const Transform* t, Py_ssize_t letter,
                                      Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t last_point, real* path_derivs,
                                      real* last_derivs) noexcept nogil:
    """Adjoint of `load_letter`: adds to the gradients of the path's points, path_derivs (length, dimension).

    That of `last_point`, which may belong to the next chunk as well, goes to last_derivs (dimension) instead.
    """
    cdef Py_ssize_t k, row, point, i = letter % t.dimension
    if t.time_aug and letter == t.d - 1:
        return
    for k in range(n_rows):
        row = first + k
        point = row // 2 if t.lead_lag else row
        if t.lead_lag and (letter < t.dimension) != row % 2:
            continue
        path_derivs[point * t.dimension + i] -= gx[k * gx_stride]
        if point + 1 == last_point:
            last_derivs[i] += gx[k * gx_stride]
        else:
            path_derivs[(point + 1) * t.dimension + i] += gx[k * gx_stride]
