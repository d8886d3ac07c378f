# OpenMP's questions and its barrier, answered for one thread where the compiler has no OpenMP.
cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    enum { fb_has_openmp = 1 };
    #else
    enum { fb_has_openmp = 0 };
    #define omp_get_max_threads() 1
    #endif
    static inline void omp_barrier(void)
    {
    #ifdef _OPENMP
    #pragma omp barrier
    #endif
    }
    """
    int fb_has_openmp
    int omp_get_max_threads() noexcept nogil
    void omp_barrier() noexcept nogil
