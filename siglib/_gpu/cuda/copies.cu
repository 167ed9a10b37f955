// What plans need besides CUDA functions of their own: numbers copied from array to array, and one number to all of an
// array. One thread for each number that is written. Arrays have four axes at most, of any strides, counted in numbers;
// the last one is that of neighbouring threads.
#include "common.cuh"

// The axes behind the first one.
struct Axes {
    long long n1, n2, n3;
};

__device__ __forceinline__ long long place_of(long long index, const Axes& n, long long by0, long long by1,
                                              long long by2, long long by3) {
    const long long row = quotient(index, n.n3), k = index - row * n.n3;
    const long long plane = quotient(row, n.n2), j = row - plane * n.n2;
    const long long h = quotient(plane, n.n1), i = plane - h * n.n1;
    return h * by0 + i * by1 + j * by2 + k * by3;
}

// to = from, of `size` numbers, of which from may have another type.
template <typename S, typename T>
__global__ void __launch_bounds__(256) copy_numbers(const S* from, T* to, long long size, long long n1, long long n2,
                                                    long long n3, long long from0, long long from1, long long from2,
                                                    long long from3, long long to0, long long to1, long long to2,
                                                    long long to3) {
    const long long index = thread_number();
    if (index >= size) return;
    const Axes n = {n1, n2, n3};
    to[place_of(index, n, to0, to1, to2, to3)] = (T)from[place_of(index, n, from0, from1, from2, from3)];
}

// to = value, everywhere.
template <typename T>
__global__ void __launch_bounds__(256) fill_numbers(T* to, double value, long long size, long long n1, long long n2,
                                                    long long n3, long long to0, long long to1, long long to2,
                                                    long long to3) {
    const long long index = thread_number();
    if (index < size) to[place_of(index, {n1, n2, n3}, to0, to1, to2, to3)] = (T)value;
}
