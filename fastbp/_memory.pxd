# Memory in cache lines, and arrays as the kernels see them.
from fastbp._kernels cimport fb_rows


cdef class Arena:
    cdef object block
    cdef char *next_line
    cdef ptrdiff_t lines_left
    cdef char *take(self, ptrdiff_t n_lines) except NULL


cdef class Workspace:
    cdef Arena arena
    cdef ptrdiff_t rows, ld, n_threads, n_scratch
    cdef char **a
    cdef char **z
    cdef char **delta
    cdef char *y
    cdef char *w
    cdef char *scratch
    cdef double *losses

cdef ptrdiff_t panels(ptrdiff_t columns, ptrdiff_t itemsize) noexcept nogil
cdef ptrdiff_t loss_scratch_lines(ptrdiff_t n_out) noexcept nogil
cdef fb_rows rows_of(object X) except *
