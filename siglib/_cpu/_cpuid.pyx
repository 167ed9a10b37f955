"""Which of the instruction sets that the loops are built for can this machine run?"""

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #define SIGLIB_HAS_AVX2() __builtin_cpu_supports("x86-64-v3")
    #define SIGLIB_HAS_AVX512() __builtin_cpu_supports("x86-64-v4")
    #else
    #define SIGLIB_HAS_AVX2() 0
    #define SIGLIB_HAS_AVX512() 0
    #endif
    """
    int SIGLIB_HAS_AVX2() nogil
    int SIGLIB_HAS_AVX512() nogil


def supported():
    """Names of the instruction sets that this machine can run, fastest first."""
    names = []
    if SIGLIB_HAS_AVX512():
        names.append("avx512")
    if SIGLIB_HAS_AVX2():
        names.append("avx2")
    names.append("baseline")
    return names
