// The polynomial method: one cell, forward and backward; the formulas are those of `signature_kernel_polynomial.pxd`.
//
// On the left edge of a cell the solution is a polynomial with coefficients a_0 ... a_N, on the upper edge b_0 ... b_N.
// With weights w_q = q! z^q, A_q = w_q a_q, and the cell's double increment r,
//
//     right_p = sum_{1 <= q <= p} A_q e_(p-q) + (z^2 r)^p sum_q h_(p+q) B_q,    e_n = (z r)^n / n!,  h_n = z^-n / n!,
//
// is the left edge of the next cell; the lower edge is the same with A and B exchanged. Orders up to 12 are known to
// the compiler (N > 0): all coefficients stay in registers. For others N is 0.
#pragma once
#include "signature_kernel_cells.cuh"

template <int N>
constexpr int COEFFICIENTS = N > 0 ? N + 1 : 65;

// How often loops over coefficients are unrolled: wholly, or not at all where there is nothing to keep in registers.
template <int N>
constexpr int UNROLLED = N > 0 ? 2 * N + 1 : 1;

template <typename T, int N>
struct Constants {
    int order;
    T z;                        // power of two that keeps weights in the range of float for every order
    T over[COEFFICIENTS<N>];    // z / n
    T slope[COEFFICIENTS<N>];   // n z^2
    T corner[COEFFICIENTS<N>];  // 1 / (2 w_n)
    T h[2 * COEFFICIENTS<N>];
};

template <typename T, int N>
__device__ __forceinline__ void make_constants(int order, Constants<T, N>& c) {
    c.order = order;
    const int n_max = N > 0 ? N : order;
    double z = 1, h = 1, weight = 1;
#pragma unroll
    for (int i = 0; i < 5; i++) z *= z * (n_max + 1) > 3.5 ? 0.5 : 1;
    c.z = (T)z;
#pragma unroll(UNROLLED<N>)
    for (int n = 0; n <= 2 * n_max; n++) {
        c.h[n] = (T)h;
        h /= z * (n + 1);
    }
#pragma unroll(UNROLLED<N>)
    for (int n = 0; n <= n_max; n++) {
        c.over[n] = (T)(z / (n > 0 ? n : 1));
        c.slope[n] = (T)(n * z * z);
        c.corner[n] = (T)(0.5 / weight);
        weight *= z * (n + 1);
    }
}

// e[n], 1 <= n < order.
template <typename T, int N>
__device__ __forceinline__ void powers(const Constants<T, N>& c, T r, T* e) {
    const int order = N > 0 ? N : c.order;
    e[1] = r * c.z;
#pragma unroll(UNROLLED<N>)
    for (int n = 2; n < order; n++) e[n] = e[n - 1] * (r * c.over[n]);
}

// Left and upper edge to right and lower edge, in place. KEEP: their derivatives by r, powers 1 ... order, to
// slopes[(2 (p - 1) + 0 or 1) stride], if that is not null.
template <typename T, int N, bool KEEP>
__device__ __forceinline__ void pass_cell(const Constants<T, N>& c, T r, T* A, T* B, T* slopes, int stride) {
    const int order = N > 0 ? N : c.order;
    T a[COEFFICIENTS<N>], b[COEFFICIENTS<N>], e[COEFFICIENTS<N>];
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) a[p] = A[p], b[p] = B[p];
    powers(c, r, e);
    const T x = r * c.slope[1];
    T power = 1, last_u = 0, last_v = 0;
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) {
        T s = c.h[p] * a[0], t = c.h[p] * b[0];
#pragma unroll(UNROLLED<N>)
        for (int q = 1; q <= order; q++) s += c.h[p + q] * a[q], t += c.h[p + q] * b[q];
        // Constants enter through the other edge only.
        T u = p > 0 ? a[p] : (T)0, v = p > 0 ? b[p] : (T)0;
#pragma unroll(UNROLLED<N>)
        for (int q = 1; q < p; q++) u += e[p - q] * a[q], v += e[p - q] * b[q];
        if (p > 0) {
            if (KEEP && slopes) {
                const T factor = power * c.slope[p];
                slopes[(2 * p - 2) * stride] = last_u + factor * t;
                slopes[(2 * p - 1) * stride] = last_v + factor * s;
            }
            power *= x;
        }
        A[p] = u + power * t;
        B[p] = v + power * s;
        last_u = u * c.z;
        last_v = v * c.z;
    }
}

// Value at the last corner, from the right and the lower edge.
template <typename T, int N>
__device__ __forceinline__ T corner_of(const Constants<T, N>& c, const T* A, const T* B) {
    const int order = N > 0 ? N : c.order;
    T value = (A[0] + B[0]) * c.corner[0];
#pragma unroll(UNROLLED<N>)
    for (int p = 1; p <= order; p++) value += (A[p] + B[p]) * c.corner[p];
    return value;
}

// Adjoint of `corner_of`, added to A and B.
template <typename T, int N>
__device__ __forceinline__ void pull_corner(const Constants<T, N>& c, T seed, T* A, T* B) {
    const int order = N > 0 ? N : c.order;
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) A[p] += seed * c.corner[p], B[p] += seed * c.corner[p];
}

// Adjoint of `pass_cell`, in place: from derivatives by the right and the lower edge to those by the left and the upper
// one. Returns the derivative by r.
template <typename T, int N>
__device__ __forceinline__ T pull_cell(const Constants<T, N>& c, T r, T* A, T* B, const T* slopes, int stride) {
    const int order = N > 0 ? N : c.order;
    T a[COEFFICIENTS<N>], b[COEFFICIENTS<N>], u[COEFFICIENTS<N>], v[COEFFICIENTS<N>], e[COEFFICIENTS<N>];
    const T x = r * c.slope[1];
    T power = 1, d_r = 0, other = 0;
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) {
        a[p] = A[p], b[p] = B[p];
        u[p] = power * a[p], v[p] = power * b[p];
        power *= x;
        if (p > 0) {
            d_r += a[p] * slopes[(2 * p - 2) * stride];
            other += b[p] * slopes[(2 * p - 1) * stride];
        }
    }
    powers(c, r, e);
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) {
        T left = c.h[p] * v[0], upper = c.h[p] * u[0];
#pragma unroll(UNROLLED<N>)
        for (int q = 1; q <= order; q++) left += c.h[p + q] * v[q], upper += c.h[p + q] * u[q];
        if (p > 0) {
            left += a[p];
            upper += b[p];
#pragma unroll(UNROLLED<N>)
            for (int q = p + 1; q <= order; q++) left += e[q - p] * a[q], upper += e[q - p] * b[q];
        }
        A[p] = left;
        B[p] = upper;
    }
    return d_r + other;
}

// The state of a lane: coefficients of the edge along its row, those that go on to the next lane, and their exponents.
template <typename T, int N>
struct Edges {
    T A[COEFFICIENTS<N>], B[COEFFICIENTS<N>];
    int exponent;  // of A
    int exponent_of_B;
    Trial trial;
};

// Both edges with the exponent `to`. What the adjoint loses is unknown, if it is above 2^limit. This is rare, and
// stands in many places: one number after the other, from memory.
template <bool ADJOINT, typename T, int N>
__device__ __forceinline__ void scale_edges(const Constants<T, N>& c, Edges<T, N>& s, int to, int limit) {
    const int order = N > 0 ? N : c.order;
    T numbers[2 * COEFFICIENTS<N>];
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) numbers[2 * p] = s.A[p], numbers[2 * p + 1] = s.B[p];
#pragma unroll 1
    for (int i = 0; i < 2 * order + 2; i++) {
        const int from = i % 2 ? s.exponent_of_B : s.exponent;
        const T v = numbers[i], factor = power_of_two<T>(from - to);
        if constexpr (ADJOINT) {
            const bool harm = is_lost(v, factor) && exponent_of(magnitude(v)) + from > limit;
            numbers[i] = harm ? Range<T>::unknown() : v * factor;
        } else {
            numbers[i] = scaled_down(v, factor, s.trial);
        }
    }
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) s.A[p] = numbers[2 * p], s.B[p] = numbers[2 * p + 1];
    s.exponent = s.exponent_of_B = to;
}

// Both edges to one exponent, the larger of the two.
template <bool ADJOINT, typename T, int N>
__device__ __forceinline__ void meet_edges(const Constants<T, N>& c, Edges<T, N>& s, int limit = 0) {
    if (s.exponent != s.exponent_of_B) scale_edges<ADJOINT>(c, s, larger(s.exponent, s.exponent_of_B), limit);
}

// Scale both down if they have grown.
template <bool ADJOINT, typename T, int N>
__device__ __forceinline__ void shrink_edges(const Constants<T, N>& c, Edges<T, N>& s, int limit = 0) {
    int most = 0;
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= (N > 0 ? N : c.order); p++) most = larger(most, larger(size_of(s.A[p]), size_of(s.B[p])));
    if (most <= size_of(Range<T>::bound()) || most > size_of(Range<T>::most())) return;
    scale_edges<ADJOINT>(c, s, s.exponent + exponent_of_size<T>(most), limit);
}

template <typename T, int N>
__device__ __forceinline__ void set_edge(const Constants<T, N>& c, T first, T* A) {
    A[0] = first;
#pragma unroll(UNROLLED<N>)
    for (int p = 1; p <= (N > 0 ? N : c.order); p++) A[p] = 0;
}

// What a band gives to the next: for every column the coefficients of an edge, and its exponent.
template <typename T, int N>
__device__ __forceinline__ void load_edge(const Constants<T, N>& c, const T* from, T* A, int* exponent) {
    const int order = N > 0 ? N : c.order;
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) A[p] = from[p];
    *exponent = (int)from[order + 1];
}

template <typename T, int N>
__device__ __forceinline__ void store_edge(const Constants<T, N>& c, T* to, const T* A, int exponent) {
    const int order = N > 0 ? N : c.order;
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) to[p] = A[p];
    to[order + 1] = (T)exponent;
}

// 32 steps of one band, forward: in step `tau` lane l takes column tau - l of its row. above, below: what the bands
// give to each other, (n2, order + 2), or null. `slopes` (32 steps, 2 order, 32) and `used` (32 steps, 32) if KEEP; the
// values at nodes to `nodes` if that is not null, and transposed to `mirrored`. Returns the lane's last value.
template <typename T, int N, bool KEEP>
__device__ T pass_tile(const Problem& p, const Constants<T, N>& c, Edges<T, N>& s, const T* window, const T* above,
                       T* below, int row, int tile, int lane, T value, T* slopes, T* used, T* nodes, T* mirrored) {
    const int order = N > 0 ? N : c.order;
    for (int i = 0; i < 32; i++) {
        const int column = 32 * tile + i - lane;
        const bool active = column >= 0 && column < p.n2 && row < p.n1;
#pragma unroll(UNROLLED<N>)
        for (int q = 0; q <= order; q++) s.B[q] = __shfl_up_sync(ALL_LANES, s.B[q], 1);
        s.exponent_of_B = __shfl_up_sync(ALL_LANES, s.exponent_of_B, 1);
        if (!active) continue;
        if (lane == 0 && above) load_edge(c, above + (long long)column * (order + 2), s.B, &s.exponent_of_B);
        if (lane == 0 && !above) {
            set_edge(c, (T)1, s.B);
            s.exponent_of_B = 0;
        }
        meet_edges<false>(c, s);
        if (KEEP && slopes) used[i * 32 + lane] = (T)s.exponent;
        pass_cell<T, N, KEEP>(c, window[lane * STRIDE + (column & (WINDOW - 1))], s.A, s.B,
                              KEEP && slopes ? slopes + i * 2 * order * 32 + lane : nullptr, 32);
        shrink_edges<false>(c, s);
        if (nodes || column == p.n2 - 1) value = corner_of(c, s.A, s.B);
        if (nodes) {
            T v = scaled(known(value), s.exponent);
            T* const node = nodes + (long long)(row + 1) * (p.n2 + 1) + column + 1;
            if (s.trial.second) v = agree(v, 0, *node, 0) ? *node : Range<T>::unknown();
            *node = v;
            if (mirrored) mirrored[(long long)(column + 1) * (p.n1 + 1) + row + 1] = v;
        }
        if (lane == 31 && below) store_edge(c, below + (long long)column * (order + 2), s.B, s.exponent_of_B);
    }
    return value;
}

// The adjoint of these steps: derivatives take the place of the cells' double increments in the window. seed: by the
// last value; seeds: by the values at all nodes, or null.
template <typename T, int N>
__device__ void pull_tile(const Problem& p, const Constants<T, N>& c, Edges<T, N>& s, T* window, T* above,
                          const T* below, int row, int tile, int lane, const T* slopes, const T* used,
                          int final_exponent, int limit, T seed, const T* seeds) {
    const int order = N > 0 ? N : c.order;
    for (int i = 31; i >= 0; i--) {
        const int column = 32 * tile + i - lane;
        const bool active = column >= 0 && column < p.n2 && row < p.n1;
#pragma unroll(UNROLLED<N>)
        for (int q = 0; q <= order; q++) s.B[q] = __shfl_down_sync(ALL_LANES, s.B[q], 1);
        s.exponent_of_B = __shfl_down_sync(ALL_LANES, s.exponent_of_B, 1);
        if (!active) continue;
        if (row == p.n1 - 1) {
            set_edge(c, (T)0, s.B);
            s.exponent_of_B = s.exponent;
        } else if (lane == 31) {
            load_edge(c, below + (long long)column * (order + 2), s.B, &s.exponent_of_B);
        }
        const int exponent_of_value = (int)used[i * 32 + lane];
        const int harmful = limit - exponent_of_value - exponent_of(Range<T>::bound());
        meet_edges<true>(c, s, harmful);
        T by_value = seed;
        if (seeds)
            by_value = part_of_sum(seeds[(long long)(row + 1) * (p.n2 + 1) + column + 1], power_of_two<T>(-s.exponent),
                                   larger(magnitude(s.A[0]), magnitude(s.B[0])));
        if (seeds || (row == p.n1 - 1 && column == p.n2 - 1)) pull_corner(c, by_value, s.A, s.B);
        T* cell = window + lane * STRIDE + (column & (WINDOW - 1));
        const int exponent = exponent_of_value + s.exponent - final_exponent;
        *cell = scaled(pull_cell(c, *cell, s.A, s.B, slopes + i * 2 * order * 32 + lane, 32), exponent);
        shrink_edges<true>(c, s, harmful);
        if (lane == 0 && above) store_edge(c, above + (long long)column * (order + 2), s.B, s.exponent_of_B);
    }
}
