# Memory in cache lines, and arrays as the kernels see them.
from fastbp._kernels cimport fb_csr, fb_rows, fb_sorted


cdef struct Inputs:
    # X as the caller keeps it: dense, or sparse
    bint sparse
    fb_rows dense
    fb_csr csr
    double density  # nonzeros over elements


cdef class Arena:
    cdef list blocks
    cdef bint apart
    cdef char *next_line
    cdef ptrdiff_t lines_left
    cdef char *take(self, ptrdiff_t n_lines) except NULL
    cdef _begin_block(self, ptrdiff_t n_lines)


cdef enum Kept:
    # What is kept of a layer besides a[l], in a buffer of its own
    KEEP_NOTHING  # f' is read from a[l]
    KEEP_Z  # f' is read from z[l]
    KEEP_F  # f' is read from f(z[l]), of which dropout leaves a[l]
    SHOW_Z  # z[l], for the caller


cdef class Workspace:
    cdef Arena arena
    cdef readonly object layout
    cdef ptrdiff_t rows, ld, n_threads, n_scratch, n_entries
    cdef bint sparse
    # Each [0..L]: z, f(z), what dropout leaves of it, what f' is read from; and delta.
    cdef char **z
    cdef char **f
    cdef char **a
    cdef char **kept
    cdef char **delta
    cdef char *y
    cdef char *w
    cdef char *scratch
    cdef double *losses
    cdef fb_sorted batch  # the nonzeros of a sparse X, a part for each thread

cdef ptrdiff_t panels(ptrdiff_t columns, ptrdiff_t itemsize) noexcept nogil
cdef ptrdiff_t loss_scratch_lines(ptrdiff_t n_out) noexcept nogil
cdef fb_rows rows_of(object X) except *
cdef bint is_native(object X) noexcept
cdef Inputs inputs_of(object X) except *
