// The words of CUDA C++ that siglib's kernels use, for g++: every thread of a block is a fiber.
//
// A fiber runs until it has to wait for others (a barrier, a shuffle); then the next one runs. The run-time
// (cuda_emu.cpp) keeps the fibers, checks that those which have to meet do meet, and fills shared memory with NaN
// before each block. What a `.cu` file does not need is missing here: no textures, no atomics, no inline PTX.
#pragma once
#include <math.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ thread_local  // emulator.py rewrites `extern __shared__`
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)  // emulator.py turns it into a check at the start of the kernel

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
};

#define EMU_VECTOR(T, name, bytes2, bytes4)                                                  \
    struct alignas(bytes2) name##2 {                                                         \
        T x, y;                                                                              \
    };                                                                                       \
    struct name##3 {                                                                         \
        T x, y, z;                                                                           \
    };                                                                                       \
    struct alignas(bytes4) name##4 {                                                         \
        T x, y, z, w;                                                                        \
    };                                                                                       \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                               \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(float, float, 8, 16)
EMU_VECTOR(double, double, 16, 16)
EMU_VECTOR(int, int, 8, 16)
#undef EMU_VECTOR

namespace emu {

enum Meeting { SHUFFLE, SYNC_WARP, SYNC_BLOCK };

struct Fiber {
    uint3 thread;      // threadIdx
    int rank;          // its place in the block
    int lane;
    unsigned n_meetings;  // shuffles so far
    uint64_t (*slots)[32];  // what the lanes of its warp hand each other: two buffers in turn
};

extern Fiber* current;
extern uint3 block;
extern dim3 block_dim, grid_dim;
extern unsigned block_sum, block_and;  // of the predicates at the last barrier

void meet(Meeting kind, const char* word, int line, unsigned predicate = 0);
[[noreturn]] void fail(const char* format, ...);
void* dynamic_shared();
void check_block(long long most, const char* kernel);

inline void check_mask(unsigned mask, int width, const char* word, int line) {
    if (mask != 0xffffffffu || width != 32) fail("%s in line %d: only full warps are emulated", word, line);
}

// Every lane gives a value; afterwards all 32 can be read.
template <typename T>
inline const uint64_t* exchange(T value, const char* word, int line) {
    static_assert(sizeof(T) <= 8, "at most 8 bytes travel in a shuffle");
    uint64_t* slots = current->slots[current->n_meetings++ % 2];
    slots[current->lane] = 0;
    memcpy(&slots[current->lane], &value, sizeof(T));
    meet(SHUFFLE, word, line);
    return slots;
}

template <typename T>
inline T shuffle(unsigned mask, T value, int source, int width, const char* word, int line) {
    check_mask(mask, width, word, line);
    const uint64_t* slots = exchange(value, word, line);
    T result;
    memcpy(&result, &slots[source], sizeof(T));
    return result;
}
template <typename T>
inline T shuffle_up(unsigned mask, T value, unsigned by, const char* word, int line, int width = 32) {
    const int lane = current->lane;
    return shuffle(mask, value, (int)by > lane ? lane : lane - (int)by, width, word, line);
}
template <typename T>
inline T shuffle_down(unsigned mask, T value, unsigned by, const char* word, int line, int width = 32) {
    const int lane = current->lane;
    return shuffle(mask, value, lane + (int)by > 31 ? lane : lane + (int)by, width, word, line);
}
inline unsigned ballot(unsigned mask, bool predicate, const char* word, int line) {
    check_mask(mask, 32, word, line);
    const uint64_t* slots = exchange(unsigned(predicate), word, line);
    unsigned bits = 0;
    for (int lane = 0; lane < 32; lane++) bits |= unsigned(slots[lane]) << lane;
    return bits;
}

// The kernels of a library, their parameters' types as C++ spells them; of a struct, in the compiler's words about it.
template <typename T>
struct TypeName {
    static const char* name() { return __PRETTY_FUNCTION__; }
};
#define EMU_TYPE(T)                                         \
    template <>                                             \
    struct TypeName<T> {                                    \
        static const char* name() { return #T; }            \
    };                                                      \
    template <>                                             \
    struct TypeName<T*> {                                   \
        static const char* name() { return #T "*"; }        \
    };                                                      \
    template <>                                             \
    struct TypeName<const T*> {                             \
        static const char* name() { return "const " #T "*"; } \
    };
EMU_TYPE(float)
EMU_TYPE(double)
EMU_TYPE(int)
EMU_TYPE(unsigned)
EMU_TYPE(long long)
EMU_TYPE(unsigned long long)
EMU_TYPE(unsigned char)
#undef EMU_TYPE

struct Kernel {
    const char* name;
    void (*function)();
    void (*call)(void (*function)(), void** args);
    const char* types[64];
    size_t sizes[64];
    int n_types;
};

template <typename... A, size_t... I>
__attribute__((no_sanitize("thread", "undefined"))) inline void call_with(void (*function)(A...), void** args, std::index_sequence<I...>) {
    function(*static_cast<std::remove_reference_t<A>*>(args[I])...);
}
template <typename... A>
inline void call(void (*function)(), void** args) {
    call_with(reinterpret_cast<void (*)(A...)>(function), args, std::index_sequence_for<A...>());
}
template <typename... A>
inline Kernel entry(const char* name, void (*function)(A...)) {
    return {name, reinterpret_cast<void (*)()>(function), call<A...>, {TypeName<A>::name()...}, {sizeof(A)...}, sizeof...(A)};
}

}  // namespace emu

#define threadIdx (emu::current->thread)
#define blockIdx emu::block
#define blockDim emu::block_dim
#define gridDim emu::grid_dim
#define warpSize 32

#define __syncthreads() emu::meet(emu::SYNC_BLOCK, "__syncthreads", __LINE__)
#define __syncthreads_or(p) (emu::meet(emu::SYNC_BLOCK, "__syncthreads_or", __LINE__, !!(p)), int(emu::block_sum > 0))
#define __syncthreads_and(p) (emu::meet(emu::SYNC_BLOCK, "__syncthreads_and", __LINE__, !!(p)), int(emu::block_and))
#define __syncthreads_count(p) \
    (emu::meet(emu::SYNC_BLOCK, "__syncthreads_count", __LINE__, !!(p)), int(emu::block_sum))
#define __syncwarp(...) emu::meet(emu::SYNC_WARP, "__syncwarp", __LINE__)
#define __shfl_sync(mask, value, source) emu::shuffle(mask, value, (source) & 31, 32, "__shfl_sync", __LINE__)
#define __shfl_xor_sync(mask, value, bits) \
    emu::shuffle(mask, value, emu::current->lane ^ (bits), 32, "__shfl_xor_sync", __LINE__)
#define __shfl_up_sync(mask, value, by) emu::shuffle_up(mask, value, by, "__shfl_up_sync", __LINE__)
#define __shfl_down_sync(mask, value, by) emu::shuffle_down(mask, value, by, "__shfl_down_sync", __LINE__)
#define __ballot_sync(mask, p) emu::ballot(mask, p, "__ballot_sync", __LINE__)
#define __any_sync(mask, p) int(emu::ballot(mask, p, "__any_sync", __LINE__) != 0)
#define __all_sync(mask, p) int(emu::ballot(mask, p, "__all_sync", __LINE__) == 0xffffffffu)

template <typename T>
__forceinline__ T __ldg(const T* p) { return *p; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __float_as_int(float x) { int y; memcpy(&y, &x, 4); return y; }
inline float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
inline long long __double_as_longlong(double x) { long long y; memcpy(&y, &x, 8); return y; }
inline double __longlong_as_double(long long x) { double y; memcpy(&y, &x, 8); return y; }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
