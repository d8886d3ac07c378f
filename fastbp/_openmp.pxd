# OpenMP's questions, answered for one thread where the compiler has no OpenMP.
cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    enum { fb_has_openmp = 1 };
    #else
    enum { fb_has_openmp = 0 };
    #define omp_get_max_threads() 1
    #define omp_get_num_threads() 1
    #endif
    """
    int fb_has_openmp
    int omp_get_max_threads() noexcept nogil
    int omp_get_num_threads() noexcept nogil
