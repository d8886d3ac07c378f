# OpenMP's questions, answered for one thread where the compiler has no OpenMP.
cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    enum { fb_has_openmp = 1 };
    #else
    enum { fb_has_openmp = 0 };
    static int omp_get_max_threads(void) { return 1; }
    #endif
    """
    int fb_has_openmp
    int omp_get_max_threads() noexcept nogil
