# OpenMP's questions, its barrier and its clock, answered for one thread where the compiler has no OpenMP.
cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    enum { fb_has_openmp = 1 };
    #else
    enum { fb_has_openmp = 0 };
    #define omp_get_max_threads() 1
    #define omp_get_wtime() 0.0 /* one thread waits for nobody: its stretches need no end but their last batch */
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
    double omp_get_wtime() noexcept nogil
    void omp_barrier() noexcept nogil
