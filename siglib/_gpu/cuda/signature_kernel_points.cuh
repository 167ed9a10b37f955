// Static kernels at a pair of points, and their adjoint: `kappa_of` and `kappa_derivs_of` of `static_kernels.pxd`.
#pragma once
#include "signature_kernel_numbers.cuh"

// The codes of `static_kernels.py`.
enum { GIVEN = -1, LINEAR, RBF, POLYNOMIAL, MATERN12, MATERN32, MATERN52, RATIONAL_QUADRATIC };

// What cells are made of: given in memory; inner products of increments; double differences of a kernel of inner
// products or of squared distances of points.
enum { FROM_CELLS, FROM_INCREMENTS, FROM_PRODUCTS, FROM_DISTANCES };

// A static kernel with the factors that its loops need.
template <typename T>
struct StaticKernel {
    int kind;
    double p0, p1, p2;  // the parameters
    T a, b;             // factors of the argument, see kappa_of
    T by_point, by_p0;  // factors of derivatives, see kappa_derivs_of
    bool whole;         // POLYNOMIAL: the degree is a whole number
    int degree;
};

template <typename T>
__device__ StaticKernel<T> make_static_kernel(int kind, double p0, double p1, double p2) {
    StaticKernel<T> s;
    s.kind = kind;
    s.p0 = p0, s.p1 = p1, s.p2 = p2;
    s.a = s.b = s.by_point = s.by_p0 = 0;
    s.whole = kind == POLYNOMIAL && p0 < 1e9 && p0 == (double)(int)p0;
    s.degree = s.whole ? (int)p0 : 0;
    if (kind == POLYNOMIAL) {
        s.a = (T)p1, s.b = (T)p2;
        return s;
    }
    const bool quadratic = kind == RATIONAL_QUADRATIC;
    const double root = kind == MATERN32 ? 1.7320508075688772 : kind == MATERN52 ? 2.23606797749979 : -1;
    s.a = (T)((quadratic ? 1 : root) / (quadratic ? 2 * p1 * p0 * p0 : p0));
    s.b = (T)-p1;
    const double parts = kind == MATERN32 ? -3 : kind == MATERN52 ? -5 : -1;
    s.by_point = (T)(parts / (kind == MATERN52 ? 3 * p0 * p0 : p0 * p0));
    s.by_p0 = (T)(1 / (quadratic ? p0 * p0 * p0 : kind == MATERN52 ? 3 * p0 : p0));
    return s;
}

template <typename T>
__device__ __forceinline__ T whole_power(T base, int n) {
    T result = 1;
    for (; n > 0; n >>= 1) {
        if (n & 1) result *= base;
        base *= base;
    }
    return result;
}

// max(v, 0); NaN stays NaN.
template <typename T>
__device__ __forceinline__ T positive(T v) {
    return v < 0 ? (T)0 : v;
}

// The kernel's value from <x, y> (FROM_PRODUCTS) or |x - y|^2 (FROM_DISTANCES).
template <typename T, int SOURCE>
__device__ __forceinline__ T kappa_of(const StaticKernel<T>& s, T v) {
    if constexpr (SOURCE == FROM_PRODUCTS) {
        v += s.a;
        // A base that is not positive counts as 0 unless the degree is a whole number.
        return s.b * (s.whole ? whole_power(v, s.degree) : exp_of((T)s.p0 * log_of(positive(v) + (T)1e-37)));
    } else {
        T exponent, factor = 1;
        if (s.kind == RBF) {
            exponent = v * s.a;
        } else if (s.kind == RATIONAL_QUADRATIC) {
            exponent = s.b * log_of(v * s.a + 1);
        } else {
            const T u = sqrt_of(v) * s.a;
            exponent = s.kind == MATERN12 ? u : -u;
            if (s.kind == MATERN32) factor = u + 1;
            if (s.kind == MATERN52) factor = (u + 1) + u * u * (T)(1.0 / 3);
        }
        return factor * exp_of(exponent);
    }
}

// Adjoint: the derivative with respect to <x, y>, or twice that with respect to |x - y|^2, for a derivative `weight` of
// the value. Those of the parameters are added to gp, if `wants_parameters`.
template <typename T, int SOURCE>
__device__ T kappa_derivs_of(const StaticKernel<T>& s, T v, T weight, bool wants_parameters, double* gp) {
    const double p = s.p0;
    if constexpr (SOURCE == FROM_PRODUCTS) {
        const T u = v + s.a, root = log_of(positive(u) + (T)1e-37);
        T e, k;
        if (s.whole) {
            e = s.degree == 0 ? (T)0 : whole_power(u, s.degree - 1);
            k = s.degree == 0 ? (T)1 : e * u;
            e *= (T)p;
        } else {
            k = exp_of((T)p * root);
            e = (T)p * exp_of((T)(p - 1) * root) * positive(u) / (positive(u) + (T)1e-37);
        }
        if (wants_parameters) {
            gp[0] += (double)(weight * k * root * s.b);
            gp[1] += (double)(weight * e * s.b);
            gp[2] += (double)(weight * k);
        }
        return weight * e * s.b;
    } else {
        const bool quadratic = s.kind == RATIONAL_QUADRATIC, smooth = s.kind == RBF || quadratic;
        T root = 0;  // of v, or a logarithm
        if (!smooth) root = sqrt_of(v);
        if (quadratic) root = log_of(v * s.a + 1);
        const T exponent = s.kind == RBF ? v * s.a : quadratic ? s.b * root : root * s.a;
        const T k = weight * exp_of(s.kind == MATERN32 || s.kind == MATERN52 ? -exponent : exponent);
        if (s.kind == RBF) {
            if (wants_parameters) gp[0] += (double)(k * v * (s.a * s.a));
            return 2 * k * s.a;
        }
        if (s.kind == MATERN12) {
            if (wants_parameters) gp[0] += (double)(k * root * (s.a * s.a));
            // Where the points meet there is no derivative: 0 stands for it. root / v is 1 / root, and 0 there.
            return k * (root / (v + (T)1e-37)) * s.a;
        }
        if (quadratic) {
            const T u = v * s.a + 1, e = k / u;
            if (wants_parameters) {
                gp[0] += (double)(e * v * s.by_p0);
                gp[1] += (double)(k * ((u - 1) / u - root));
            }
            return e * s.by_point;
        }
        const T u = root * s.a;
        if (s.kind == MATERN32) {
            if (wants_parameters) gp[0] += (double)(k * u * u * s.by_p0);
            return k * s.by_point;
        }
        const T e = k * (u + 1);
        if (wants_parameters) gp[0] += (double)(e * u * u * s.by_p0);
        return e * s.by_point;
    }
}
