// What kernels become once they are computed: numbers, logarithms, or normalised kernels, and what is left of the
// gradients of these. A thread for each pair, but for sums over rows and columns of a Gram matrix, which a warp has.
//
// Signature kernels come as mantissas and exponents, both in the type of the arrays; branched ones as logarithms. What
// is not positive and finite has no logarithm, and normalises nothing: NaN.
#include "signature_kernel_numbers.cuh"

// out (n), mantissas, times 2^exponent.
template <typename T>
__global__ void __launch_bounds__(256) apply_exponents(T* out, const T* exponent, long long n) {
    const long long at = thread_number();
    if (at < n) out[at] = ldexp(out[at], (int)exponent[at]);
}

// out (n), mantissas, become logarithms.
template <typename T>
__global__ void __launch_bounds__(256) logarithms(T* out, const T* exponent, long long n) {
    const long long at = thread_number();
    if (at >= n) return;
    const double found = log((double)out[at]) + (double)exponent[at] * 0.6931471805599453;
    out[at] = magnitude(found) <= Range<double>::most() ? (T)found : Range<T>::unknown();
}

// A kernel m 2^e with 0.5 <= m < 1, unless it is 0 or no finite number.
struct Split {
    double m;
    long long e;
};

template <typename T>
__device__ __forceinline__ Split split(const T* mantissa, const T* exponent, long long at) {
    int more = 0;
    const double m = frexp((double)mantissa[at], &more);
    return {m, magnitude(m) < 1 ? (long long)exponent[at] + more : 0};
}

// Of pair `at`, one of n2 in a row of a Gram matrix, or pairwise: the numbers of its paths.
__device__ __forceinline__ void paths_of_pair(long long at, long long n2, bool pairwise, long long* i, long long* j) {
    *i = pairwise ? at : quotient(at, n2);
    *j = pairwise ? at : at - *i * n2;
}

// out (n): k(x, y) / sqrt(k(x, x) k(y, y)). Kernels of a path with itself are own_stride numbers apart.
template <typename T>
__global__ void __launch_bounds__(256) normalised(const T* __restrict__ mantissa, const T* __restrict__ exponent,
                                                  const T* __restrict__ own_mantissa1,
                                                  const T* __restrict__ own_exponent1,
                                                  const T* __restrict__ own_mantissa2,
                                                  const T* __restrict__ own_exponent2, T* __restrict__ out, long long n,
                                                  long long n2, long long pairwise, long long own_stride) {
    const long long at = thread_number();
    if (at >= n) return;
    long long i, j;
    paths_of_pair(at, n2, pairwise, &i, &j);
    const Split k = split(mantissa, exponent, at), own1 = split(own_mantissa1, own_exponent1, i * own_stride),
                own2 = split(own_mantissa2, own_exponent2, j * own_stride);
    // sqrt(m1 m2 2^(e1 + e2)), with an even exponent; the square root of m m is m.
    const long long both = own1.e + own2.e;
    const double product = own1.m * own2.m * (double)(1 + (both & 1));
    const int power = (int)larger(smaller(k.e - (both >> 1), 1LL << 30), -(1LL << 30));
    const bool right = own1.m > 0 && own2.m > 0 && product < 2 && magnitude(k.m) < 1;
    out[at] = right ? (T)ldexp(k.m / sqrt(product), power) : Range<T>::unknown();
}

// out (n), branched kernels from their logarithms: themselves, or if asked for logarithms or normalised kernels.
template <typename T>
__global__ void __launch_bounds__(256) branched(const T* __restrict__ logs, const T* __restrict__ own1,
                                                const T* __restrict__ own2, T* __restrict__ out, long long n,
                                                long long n2, long long pairwise, long long own_stride,
                                                long long normalize, long long log) {
    const long long at = thread_number();
    if (at >= n) return;
    const T value = logs[at];
    const bool finite = magnitude(value) <= Range<T>::most();
    if (normalize) {
        long long i, j;
        paths_of_pair(at, n2, pairwise, &i, &j);
        const double own = (double)own1[i * own_stride] + (double)own2[j * own_stride];
        const bool right = finite && magnitude(own) <= Range<double>::most();
        out[at] = right ? (T)exp((double)value - 0.5 * own) : Range<T>::unknown();
    } else if (log) {
        out[at] = finite ? value : Range<T>::unknown();
    } else {
        out[at] = exp_of(value);
    }
}

// Of normalised kernels N, derivatives by log k(x, y), log k(x, x) and log k(y, y) from those by N: N, -N/2 and -N/2 of
// them. Where there is no derivative, N may be NaN.
template <typename T>
__device__ __forceinline__ double seed_of(const T* derivs, const T* kernels, long long at) {
    return derivs[at] == 0 ? 0.0 : (double)derivs[at] * (double)kernels[at];
}

// Pairwise: seeds (n) and own (n), which serves both paths.
template <typename T>
__global__ void __launch_bounds__(256) seeds_of_pairs(const T* __restrict__ derivs, const T* __restrict__ kernels,
                                                      T* __restrict__ seeds, T* __restrict__ own, long long n) {
    const long long at = thread_number();
    if (at >= n) return;
    const double seed = seed_of(derivs, kernels, at);
    seeds[at] = (T)seed;
    own[at] = (T)(-0.5 * seed);
}

// The sum of what the lanes of a warp have, on all of them.
__device__ __forceinline__ double sum_of_lanes(double sum) {
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, by);
    return sum;
}

// A Gram matrix: seeds (n1, n2), own1 (n1), own2 (n2). A warp has a row and, behind these, a warp has a column. If it
// is symmetric, a warp has both, and hands their sum to the diagonal, which is k(x, x); own1 and own2 are not there.
template <typename T>
__global__ void __launch_bounds__(256) seeds_of_gram(const T* __restrict__ derivs, const T* __restrict__ kernels,
                                                     T* __restrict__ seeds, T* __restrict__ own1, T* __restrict__ own2,
                                                     long long n1, long long n2, long long symmetric) {
    const long long warp = thread_number() / 32, lane = threadIdx.x % 32;
    const bool has_row = warp < n1, has_column = symmetric || !has_row;
    const long long line = has_row ? warp : warp - n1;
    if (warp >= n1 + (symmetric ? 0 : n2)) return;
    double row = 0, column = 0;
    for (long long j = lane; has_row && j < n2; j += 32) {
        const double seed = seed_of(derivs, kernels, line * n2 + j);
        if (!symmetric || j != line) seeds[line * n2 + j] = (T)seed;
        row += seed;
    }
    for (long long i = lane; has_column && i < n1; i += 32) column += seed_of(derivs, kernels, i * n2 + line);
    row = sum_of_lanes(row);
    column = sum_of_lanes(column);
    if (lane > 0) return;
    if (symmetric) {
        const long long diagonal = line * n2 + line;
        seeds[diagonal] = (T)(seed_of(derivs, kernels, diagonal) + (-0.5 * row + -0.5 * column));
    } else if (has_row) {
        own1[line] = (T)(-0.5 * row);
    } else {
        own2[line] = (T)(-0.5 * column);
    }
}

// out (n) = a + (b + c).
template <typename T>
__global__ void __launch_bounds__(256) sum_of_three(const T* __restrict__ a, const T* __restrict__ b,
                                                    const T* __restrict__ c, T* __restrict__ out, long long n) {
    const long long at = thread_number();
    if (at < n) out[at] = a[at] + (b[at] + c[at]);
}
