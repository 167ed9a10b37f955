// Numbers of the signature kernel: powers of two for rescaling, mathematical functions in the type of the arrays.
#pragma once
#include "common.cuh"

// A kernel far beyond the range of T is carried as stored * 2^exponent. Numbers above bound() are scaled down.
template <typename T>
struct Range;

template <>
struct Range<float> {
    static constexpr int CELLS = 8, LOOK = 4, SPREAD = 40;
    __device__ static constexpr float bound() { return 4096.0f; }
    __device__ static constexpr float most() { return 3.402823e38f; }
};

template <>
struct Range<double> {
    static constexpr int CELLS = 32, LOOK = 8, SPREAD = 400;
    __device__ static constexpr double bound() { return 1.6069380442589903e60; }
    __device__ static constexpr double most() { return 1.7976931348623157e308; }
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

__device__ __forceinline__ float magnitude(float v) {
    return fabsf(v);
}
__device__ __forceinline__ double magnitude(double v) {
    return fabs(v);
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
