from .lanes cimport vd, vec
from .signature_kernel_plan cimport COLUMNS, ROWS

cdef enum:
    GIVEN = -1
    LINEAR = 0

cdef struct StaticKernel:
    int kind
    Py_ssize_t d
    double[3] parameters
    double factor

cdef inline StaticKernel make_static_kernel(int kind, Py_ssize_t d, const double* parameters, double factor) noexcept nogil:
    cdef StaticKernel s
    s.kind = kind
    s.d = d
    s.factor = factor
    s.parameters[0] = parameters[0]
    return s

cdef inline void fill_cells(const StaticKernel* s, const vec* x, const vec* y, Py_ssize_t row, Py_ssize_t n_rows,
                            Py_ssize_t col, Py_ssize_t n_cols, vec* above, vec* left, vec* cells) noexcept nogil:
    cdef Py_ssize_t q, t, c, d = s.d
    cdef const vec* x0 = x + row * d
    cdef const vec* y0
    cdef vec a00, a10, a20, a30, a01, a11, a21, a31, u, v, w
    if n_rows < 4:
        for q in range(4):
            for t in range(n_cols):
                y0 = y + (col + t) * d
                a00 = y0[0] * 0
                if q < n_rows:
                    for c in range(d):
                        a00 = a00 + x0[q * d + c] * y0[c]
                cells[q * COLUMNS + t] = a00
        return
    t = 0
    while t + 1 < n_cols:
        y0 = y + (col + t) * d
        u = y0[0]
        v = y0[d]
        w = x0[0]
        a00 = w * u
        a01 = w * v
        w = x0[d]
        a10 = w * u
        a11 = w * v
        w = x0[2 * d]
        a20 = w * u
        a21 = w * v
        w = x0[3 * d]
        a30 = w * u
        a31 = w * v
        for c in range(1, d):
            u = y0[c]
            v = y0[d + c]
            w = x0[c]
            a00 = a00 + w * u
            a01 = a01 + w * v
            w = x0[d + c]
            a10 = a10 + w * u
            a11 = a11 + w * v
            w = x0[2 * d + c]
            a20 = a20 + w * u
            a21 = a21 + w * v
            w = x0[3 * d + c]
            a30 = a30 + w * u
            a31 = a31 + w * v
        cells[t] = a00
        cells[t + 1] = a01
        cells[COLUMNS + t] = a10
        cells[COLUMNS + t + 1] = a11
        cells[2 * COLUMNS + t] = a20
        cells[2 * COLUMNS + t + 1] = a21
        cells[3 * COLUMNS + t] = a30
        cells[3 * COLUMNS + t + 1] = a31
        t += 2
    if t < n_cols:
        y0 = y + (col + t) * d
        for q in range(4):
            a00 = x0[q * d] * y0[0]
            for c in range(1, d):
                a00 = a00 + x0[q * d + c] * y0[c]
            cells[q * COLUMNS + t] = a00

cdef inline void pull_cells(const StaticKernel* s, const vec* x, const vec* y, Py_ssize_t row, Py_ssize_t n_rows,
                            Py_ssize_t col, Py_ssize_t n_cols, vec* d_cells, vec* below, vec* right, vec* gx, vec* gy,
                            vec* gp) noexcept nogil:
    cdef Py_ssize_t q, t, c, d = s.d
    cdef double scale = s.factor * s.parameters[0] * s.parameters[0]
    cdef vec P
    for q in range(n_rows):
        for t in range(n_cols):
            P = d_cells[q * COLUMNS + t]
            for c in range(d):
                gy[(col + t) * d + c] = gy[(col + t) * d + c] + P * x[(row + q) * d + c]
            if vec is vd:
                P = P * scale
            else:
                P = P * <float>scale
            for c in range(d):
                gx[(row + q) * d + c] = gx[(row + q) * d + c] + P * y[(col + t) * d + c]
