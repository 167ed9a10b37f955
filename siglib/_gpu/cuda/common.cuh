// Small things that every CUDA function needs. No header of CUDA or of C++ is included: NVRTC has the words built in.
#pragma once

template <typename T>
__device__ __forceinline__ constexpr T smaller(T a, T b) {
    return b < a ? b : a;
}

template <typename T>
__device__ __forceinline__ constexpr T larger(T a, T b) {
    return a < b ? b : a;
}

// The block's dynamic shared memory.
template <typename T>
__device__ __forceinline__ T* dyn_smem() {
    extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];
    return reinterpret_cast<T*>(dynamic_shared_bytes);
}

// For the compiler, which does not see it: a pointer that has been in shared memory points to global memory.
template <typename T>
__device__ __forceinline__ void assume_global(const T* pointer) {
#ifdef __CUDA_ARCH__
    __builtin_assume(__isGlobal(pointer));
#endif
}

// Asks for a piece of memory that is needed soon.
__device__ __forceinline__ void prefetch(const void* address) {
#ifdef __CUDA_ARCH__
    asm volatile("prefetch.L2 [%0];" ::"l"(address));
#endif
}

// This thread's number in the grid, of blocks of one dimension.
__device__ __forceinline__ long long thread_number() {
    return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}

#define ALL_LANES 0xffffffffu

// The number of this warp in its block. It comes from the first lane: so the compiler knows that it is one number for
// all of them, and what is decided by it parts no lanes. Otherwise each shuffle behind would be there twice, the second
// time for lanes that have parted, with a jump to it.
__device__ __forceinline__ int warp_number() {
    return __shfl_sync(ALL_LANES, (int)threadIdx.x >> 5, 0);
}

// a / b for a >= 0, b > 0: nearly always both are small, and dividing 32 bits takes a quarter of the time.
__device__ __forceinline__ long long quotient(long long a, long long b) {
    return (a | b) >> 31 ? a / b : (long long)((unsigned)a / (unsigned)b);
}

// Division of n >= 0 by the number of letters, as an I: D where it is known when the function is compiled, else one of
// run time, whose reciprocal is computed once. Five instructions instead of a score.
template <int D, typename I>
struct Divisor {
    I d;
    unsigned reciprocal;  // 2^32 / d, rounded down, or 1 less

    __device__ __forceinline__ explicit Divisor(I given)
        : d(D > 0 ? (I)D : given), reciprocal(0xffffffffu / (unsigned)d) {}

    __device__ __forceinline__ I of(I n) const {
        if constexpr (D > 0 && sizeof(I) == 4) return (I)((unsigned)n / (unsigned)D);
        if constexpr (D > 0 || sizeof(I) > 4) return n / (D > 0 ? (I)D : d);
        const unsigned quotient = (unsigned)((unsigned long long)(unsigned)n * reciprocal >> 32);
        return (I)(quotient + ((unsigned)n - quotient * (unsigned)d >= (unsigned)d));
    }
};

// D^n: the words of n letters.
template <int D>
__device__ constexpr int power(int n) {
    int result = 1;
    for (int i = 0; i < n; i++) result *= D;
    return result;
}
