# Ctrl-C and other signals while the threads work: what a handler, which is Python, raises ends the work within moments.
from libc.math cimport INFINITY

from fastbp._openmp cimport omp_get_wtime

cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept  # what a handler raises stays set while the threads come to their end
    void *PyErr_Occurred() noexcept

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__) /* thread 0 raises the flag while the others look at it */
    #define fb_raise_flag(flag) __atomic_store_n(flag, 1, __ATOMIC_RELAXED)
    #define fb_is_raised(flag) __atomic_load_n(flag, __ATOMIC_RELAXED)
    #else
    #define fb_raise_flag(flag) (*(volatile int *)(flag) = 1)
    #define fb_is_raised(flag) (*(const volatile int *)(flag))
    #endif
    """
    void fb_raise_flag(int *flag) noexcept nogil
    bint fb_is_raised(const int *flag) noexcept nogil


cdef struct Watch:
    # Over the work of one call
    double next  # the time of omp_get_wtime() at which thread 0 looks for signals again
    int cut  # whether a handler has raised: what is left of the work is not done


cdef inline void watch_over(Watch *watch, bint is_long) noexcept nogil:
    """Look for signals every 20 ms of work that is long; in brief work never."""
    watch.next = omp_get_wtime() + 0.02 if is_long else INFINITY
    watch.cut = 0


cdef inline bint goes_on(Watch *watch, int thread) noexcept nogil:
    """Whether the work does; thread 0 is the caller's own, which alone can run handlers."""
    if thread == 0 and watch.next < INFINITY and omp_get_wtime() > watch.next:
        watch.next = INFINITY
        with gil:
            if PyErr_CheckSignals():
                fb_raise_flag(&watch.cut)
        if not fb_is_raised(&watch.cut):
            watch.next = omp_get_wtime() + 0.02
    return not fb_is_raised(&watch.cut)


cdef inline int raise_what_was_raised() except -1:
    """After the work: the exception of a handler, now that the threads are done."""
    return -1 if PyErr_Occurred() != NULL or PyErr_CheckSignals() else 0
