"""Which of the instruction sets that the loops are built for can this machine run, and on how many threads?"""

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #define SIGLIB_HAS_AVX2() __builtin_cpu_supports("x86-64-v3")
    #define SIGLIB_HAS_AVX512() __builtin_cpu_supports("x86-64-v4")
    #else
    #define SIGLIB_HAS_AVX2() 0
    #define SIGLIB_HAS_AVX512() 0
    #endif
    #ifdef _OPENMP
    #include <omp.h>
    #else
    #define omp_get_max_threads() 1
    #endif
    """
    int SIGLIB_HAS_AVX2() nogil
    int SIGLIB_HAS_AVX512() nogil
    int omp_get_max_threads() nogil


def supported():
    """Names of the instruction sets that this machine can run, fastest first."""
    names = []
    if SIGLIB_HAS_AVX512():
        names.append("avx512")
    if SIGLIB_HAS_AVX2():
        names.append("avx2")
    names.append("baseline")
    return names


def max_threads():
    """How many threads OpenMP would take for a loop of this thread that does not say: what others have set."""
    return omp_get_max_threads()
