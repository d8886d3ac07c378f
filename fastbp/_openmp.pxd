# OpenMP's questions, its barrier and its clock, answered for one thread where the compiler has no OpenMP.
cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    enum { fb_has_openmp = 1 };
    #else
    enum { fb_has_openmp = 0 };
    #define omp_get_max_threads() 1
    #define omp_get_num_threads() 1
    #include <time.h>
    static inline double omp_get_wtime(void)
    {
        struct timespec now;
        timespec_get(&now, TIME_UTC);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    #endif
    static inline void omp_barrier(void)
    {
    #ifdef _OPENMP
        if (omp_get_num_threads() > 1) { /* alone, libgomp asks the kernel to wake nobody: some 0.3 microseconds */
    #pragma omp barrier
        }
    #endif
    }
    static inline ptrdiff_t omp_take(ptrdiff_t *next) /* *next, which no other thread takes */
    {
        ptrdiff_t taken;
    #ifdef _OPENMP
    #pragma omp atomic capture
    #endif
        taken = (*next)++;
        return taken;
    }
    """
    int fb_has_openmp
    int omp_get_max_threads() noexcept nogil
    int omp_get_num_threads() noexcept nogil
    double omp_get_wtime() noexcept nogil
    void omp_barrier() noexcept nogil
    ptrdiff_t omp_take(ptrdiff_t *next) noexcept nogil
