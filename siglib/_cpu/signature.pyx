# v0: slow and right, to be replaced
from cython.parallel import prange
from libc.stdlib cimport malloc, free, calloc
from .lanes cimport real
from .tensor_algebra cimport product, product_backprop

cdef void expo(const real* x, real sign, real* e, Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    cdef Py_ssize_t n, u, i, size = d, off = 0
    for i in range(d):
        e[i] = sign * x[i]
    for n in range(2, degree + 1):
        for u in range(size):
            for i in range(d):
                e[off + size + u * d + i] = e[off + u] * sign * x[i] / n
        off += size
        size *= d

cdef void incs(const real[:, :, :] path, Py_ssize_t b, real* dx, bint time_aug, bint lead_lag, double end_time) noexcept nogil:
    cdef Py_ssize_t L = path.shape[1], d = path.shape[2], l, i, D = d * (2 if lead_lag else 1) + time_aug
    cdef Py_ssize_t rows = (2 * L - 1 if lead_lag else L) - 1
    for l in range(rows):
        for i in range(d):
            if lead_lag:
                dx[l * D + i] = path[b, (l + 1) // 2, i] - path[b, l // 2, i]
                dx[l * D + d + i] = path[b, (l + 2) // 2, i] - path[b, (l + 1) // 2, i]
            else:
                dx[l * D + i] = path[b, l + 1, i] - path[b, l, i]
        if time_aug:
            dx[l * D + D - 1] = <real>(end_time / rows)

def sig(const real[:, :, :] path, real[:, ::1] out, Py_ssize_t degree, bint scalar_term, bint time_aug, bint lead_lag, double end_time, int n_jobs):
    """path (batch, length, dimension); out (batch, scalar_term + D + ... + D^degree)."""
    cdef Py_ssize_t b, l, i, L = path.shape[1], d = path.shape[2], D = d * (2 if lead_lag else 1) + time_aug
    cdef Py_ssize_t rows = (2 * L - 1 if lead_lag else L) - 1, n = out.shape[1] - scalar_term
    cdef real* dx = <real*>calloc(max(rows, 0) * D + 1, sizeof(real))
    cdef real* e = <real*>calloc(n + 1, sizeof(real))
    for b in range(path.shape[0]):
        for i in range(n + scalar_term):
            out[b, i] = 0
        if scalar_term:
            out[b, 0] = 1
        if degree == 0 or rows < 1:
            continue
        incs(path, b, dx, time_aug, lead_lag, end_time)
        for l in range(rows):
            expo(dx + l * D, <real>1, e, D, degree)
            product(&out[b, scalar_term], e, &out[b, scalar_term], D, degree)
    free(dx)
    free(e)

def sig_backprop(const real[:, :, :] path, const real[:, :] sig, const real[:, :] sig_derivs, real[:, :, ::1] out, Py_ssize_t degree, bint scalar_term, bint time_aug, bint lead_lag, double end_time, int n_jobs):
    """path, out (batch, length, dimension); sig, sig_derivs (batch, scalar_term + D + ... + D^degree)."""
    cdef Py_ssize_t b, l, i, j, k, m, L = path.shape[1], d = path.shape[2], D = d * (2 if lead_lag else 1) + time_aug
    cdef Py_ssize_t rows = (2 * L - 1 if lead_lag else L) - 1, n = sig.shape[1] - scalar_term, size, off
    cdef real* dx = <real*>calloc(max(rows, 0) * D + 1, sizeof(real))
    cdef real* e = <real*>calloc(6 * n + 1, sizeof(real))
    cdef real* s = e + n
    cdef real* g = e + 2 * n
    cdef real* ga = e + 3 * n
    cdef real* ge = e + 4 * n
    cdef real* x
    cdef real[64] gx
    for b in range(path.shape[0]):
        for l in range(L):
            for i in range(d):
                out[b, l, i] = 0
        if degree == 0 or rows < 1:
            continue
        for i in range(n):
            s[i] = sig[b, scalar_term + i]
            g[i] = sig_derivs[b, scalar_term + i]
        incs(path, b, dx, time_aug, lead_lag, end_time)
        for l in range(rows - 1, -1, -1):
            x = dx + l * D
            expo(x, <real>-1, e, D, degree)
            product(s, e, s, D, degree)
            expo(x, <real>1, e, D, degree)
            product_backprop(g, s, e, ga, ge, D, degree)
            for i in range(n):
                g[i] = ga[i]
            for i in range(D):
                gx[i] = 0
            # e_k = e_{k-1} (x) x / k
            off = n
            size = 1
            for k in range(degree):
                size *= D
            for k in range(degree, 1, -1):
                off -= size
                size //= D
                for i in range(size):
                    for j in range(D):
                        gx[j] += ge[off + i * D + j] * e[off - size + i] / k
                        ge[off - size + i] += ge[off + i * D + j] * x[j] / k
            for j in range(D):
                gx[j] += ge[j]
            for i in range(d):
                if lead_lag:
                    out[b, (l + 1) // 2, i] += gx[i]
                    out[b, l // 2, i] -= gx[i]
                    out[b, (l + 2) // 2, i] += gx[d + i]
                    out[b, (l + 1) // 2, i] -= gx[d + i]
                else:
                    out[b, l + 1, i] += gx[i]
                    out[b, l, i] -= gx[i]
    free(dx)
    free(e)

def sig_combine(const real[:, ::1] sig1, const real[:, ::1] sig2, real[:, ::1] out, Py_ssize_t dimension, Py_ssize_t degree, bint scalar_term1, bint scalar_term2, int n_jobs):
    """sig1, out (batch, scalar_term1 + length); sig2 (batch, scalar_term2 + length)."""
    cdef Py_ssize_t b
    if out.shape[1] == scalar_term1:
        out[:, :] = 1
        return
    for b in prange(out.shape[0], nogil=True, schedule="static", num_threads=n_jobs):
        if scalar_term1:
            out[b, 0] = 1
        product(&sig1[b, scalar_term1], &sig2[b, scalar_term2], &out[b, scalar_term1], dimension, degree)

def sig_combine_backprop(const real[:, ::1] derivs, const real[:, ::1] sig1, const real[:, ::1] sig2, real[:, ::1] sig1_derivs, real[:, ::1] sig2_derivs, Py_ssize_t dimension, Py_ssize_t degree, bint scalar_term1, bint scalar_term2, int n_jobs):
    """derivs, sig1, sig1_derivs (batch, scalar_term1 + length); sig2, sig2_derivs (batch, scalar_term2 + length)."""
    cdef Py_ssize_t b
    if sig1.shape[1] == scalar_term1:
        sig1_derivs[:, :] = 0
        sig2_derivs[:, :] = 0
        return
    for b in prange(sig1.shape[0], nogil=True, schedule="static", num_threads=n_jobs):
        if scalar_term1:
            sig1_derivs[b, 0] = 0
        if scalar_term2:
            sig2_derivs[b, 0] = 0
        product_backprop(&derivs[b, scalar_term1], &sig1[b, scalar_term1], &sig2[b, scalar_term2], &sig1_derivs[b, scalar_term1], &sig2_derivs[b, scalar_term2], dimension, degree)
