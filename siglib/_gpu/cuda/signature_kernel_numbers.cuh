// Numbers of the signature kernel: powers of two for rescaling, mathematical functions in the type of the arrays.
#pragma once
#include "common.cuh"

// A kernel far beyond the range of T is carried as stored * 2^exponent. Numbers above bound() are scaled down.
//
// Where cells are very large, an exponent for each thread is not enough: numbers overflow between two looks, or vanish
// beside others of a thread or its neighbours. Mostly that does no harm, but they may still be all that counts further
// down. What may be wrong becomes NaN, unknown(), and with it all that depends on it. Numbers below 2^LEAST beside
// others of about 1 count as lost. 2^ROUNDING, beside 1, is less than rounding.
template <typename T>
struct Range;

template <>
struct Range<float> {
    static constexpr int CELLS = 8, LOOK = 4, SPREAD = 40;
    __device__ static constexpr float bound() { return 4096.0f; }
    __device__ static constexpr float most() { return 3.402823e38f; }
    static constexpr int LEAST = -100, ROUNDING = -29;
    __device__ static float unknown() { return __int_as_float(0x7fc00000); }
};

template <>
struct Range<double> {
    static constexpr int CELLS = 32, LOOK = 8, SPREAD = 400;
    __device__ static constexpr double bound() { return 1.6069380442589903e60; }
    __device__ static constexpr double most() { return 1.7976931348623157e308; }
    static constexpr int LEAST = -900, ROUNDING = -58;
    __device__ static double unknown() { return __longlong_as_double(0x7ff8000000000000LL); }
};

// Lanes of R rows look at their numbers every LOOK steps. In that time a number passes CELLS cells at most, each of
// which may multiply it by hundreds, and LOOK lanes, whose exponents fall by MARGIN at most from one to the next: it
// stays in the range.
template <typename T, int R>
struct Pace {
    static constexpr int LOOK = Range<T>::CELLS / R < Range<T>::LOOK ? Range<T>::CELLS / R : Range<T>::LOOK;
    static constexpr int MARGIN = Range<T>::SPREAD / LOOK;
};

// 2^n, 0 where that is below the range, the largest power where it is above.
template <typename T>
__device__ __forceinline__ T power_of_two(int n);

template <>
__device__ __forceinline__ float power_of_two<float>(int n) {
    return n < -126 ? 0.0f : __int_as_float((smaller(n, 127) + 127) << 23);
}

template <>
__device__ __forceinline__ double power_of_two<double>(int n) {
    return n < -1022 ? 0.0 : __longlong_as_double((long long)(smaller(n, 1023) + 1023) << 52);
}

// v * 2^n in two steps: the power alone may be beyond the range when the result is not.
template <typename T>
__device__ __forceinline__ T scaled(T v, int n) {
    const int half = n / 2;
    return v * power_of_two<T>(half) * power_of_two<T>(n - half);
}

// The n with 2^n <= v < 2^(n + 1), for a normal v > 0.
__device__ __forceinline__ int exponent_of(float v) {
    return (__float_as_int(v) >> 23) - 127;
}
__device__ __forceinline__ int exponent_of(double v) {
    return (int)(__double_as_longlong(v) >> 52) - 1023;
}

// The magnitude of a number, of a double only its first 32 bits, as an integer: larger for larger ones, and for NaN.
__device__ __forceinline__ int size_of(float v) {
    return __float_as_int(v) & 0x7fffffff;
}
__device__ __forceinline__ int size_of(double v) {
    return (int)(__double_as_longlong(v) >> 32) & 0x7fffffff;
}

// `exponent_of` a number of that size.
template <typename T>
__device__ __forceinline__ int exponent_of_size(int size) {
    return sizeof(T) == 4 ? (size >> 23) - 127 : (size >> 20) - 1023;
}

__device__ __forceinline__ float magnitude(float v) {
    return fabsf(v);
}
__device__ __forceinline__ double magnitude(double v) {
    return fabs(v);
}

// The larger of two numbers, or the one that is a number.
__device__ __forceinline__ float larger_number(float a, float b) {
    return fmaxf(a, b);
}
__device__ __forceinline__ double larger_number(double a, double b) {
    return fmax(a, b);
}

// Whether v is lost by the power of two `factor`, 1 at most.
template <typename T>
__device__ __forceinline__ bool is_lost(T v, T factor) {
    const T least = power_of_two<T>(Range<T>::LEAST);
    return factor < 1 && magnitude(v) >= least && magnitude(v * factor) < least;
}

// v * factor as it is added to `sum`; NaN if it is lost and the sum is so small that this may do harm.
template <typename T>
__device__ __forceinline__ T part_of_sum(T v, T factor, T sum) {
    const bool harm = magnitude(sum) < power_of_two<T>(Range<T>::LEAST - Range<T>::ROUNDING);
    return harm && is_lost(v, factor) ? Range<T>::unknown() : v * factor;
}

// A pair is swept once, and a second time if values have been lost: with each as large as it may have been. Results
// that the two sweeps do not agree upon are unknown.
struct Trial {
    bool second = false;
    bool lost = false;  // values, on this lane

    // Whether the pair is to be swept again. All threads of a block come here, and the compiler is told that they
    // agree.
    __device__ __forceinline__ bool again() {
        const bool sweeps = __any_sync(ALL_LANES, __syncthreads_or(lost && !second));
        second = second || sweeps;
        return sweeps;
    }
};

// v * factor; in the second sweep no smaller than it may have been.
template <typename T>
__device__ __forceinline__ T scaled_down(T v, T factor, Trial& trial) {
    if (!is_lost(v, factor)) return v * factor;
    trial.lost = true;
    const T least = power_of_two<T>(Range<T>::LEAST);
    return !trial.second ? v * factor : v < 0 ? -least : least;
}

// v, NaN if it has overflowed.
template <typename T>
__device__ __forceinline__ T known(T v) {
    return magnitude(v) <= Range<T>::most() ? v : Range<T>::unknown();
}

// Whether a * 2^exponent_a and b * 2^exponent_b are equal but for rounding.
template <typename T>
__device__ __forceinline__ bool agree(T a, int exponent_a, T b, int exponent_b) {
    const T difference = magnitude(a * power_of_two<T>(exponent_a - exponent_b) - b);
    return a == b || difference <= magnitude(b) * power_of_two<T>(Range<T>::ROUNDING + 8);
}

__device__ __forceinline__ float exp_of(float v) {
    return expf(v);
}
__device__ __forceinline__ double exp_of(double v) {
    return exp(v);
}
__device__ __forceinline__ float log_of(float v) {
    return logf(v);
}
__device__ __forceinline__ double log_of(double v) {
    return log(v);
}
__device__ __forceinline__ float sqrt_of(float v) {
    return sqrtf(v);
}
__device__ __forceinline__ double sqrt_of(double v) {
    return sqrt(v);
}

// C consecutive numbers from an address that is a multiple of 16 bytes if they are as many bytes.
template <typename T, int C>
__device__ __forceinline__ void load_letters(const T* from, T* to) {
    if constexpr (C * sizeof(T) % 16 == 0) {
        struct alignas(16) Part {
            T v[16 / sizeof(T)];
        };
        constexpr int SIZE = 16 / sizeof(T);
#pragma unroll
        for (int i = 0; i < C / SIZE; i++) {
            const Part part = reinterpret_cast<const Part*>(from)[i];
#pragma unroll
            for (int j = 0; j < SIZE; j++) to[i * SIZE + j] = part.v[j];
        }
    } else {
#pragma unroll
        for (int i = 0; i < C; i++) to[i] = from[i];
    }
}
