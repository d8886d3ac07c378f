# What a caller asks of rows that go forward, and the form of the answer.
from fastbp._kernels cimport fb_kernels


cdef enum Form:
    PLAIN  # a[l]
    TWO_COLUMNS  # of one probability p: 1 - p and p
    SHARES  # of several, none of which knows of the others: divided by their sum
    CLASSES  # the number of the greatest; of one probability: 1 above one half, else 0


cdef struct Answer:
    ptrdiff_t l  # the layer
    bint raw  # z[L] in place of a[L]
    Form form
    bint checks  # rows of a dense X must be finite,
    bint refused  # and are not
    bint overflowed  # the rows were finite, a number of the answer is not
    char *rows  # (n, columns_of) of the network's precision; of CLASSES (n,) of int64


cdef Form form_named(object name, ptrdiff_t n_out) except *
cdef ptrdiff_t columns_of(Form form, ptrdiff_t n_out) noexcept nogil
cdef bint is_finite(const char *a, ptrdiff_t ld, ptrdiff_t n, ptrdiff_t n_columns, ptrdiff_t itemsize) noexcept nogil
cdef void write_answer(const fb_kernels *k, const Answer *answer, const char *a, ptrdiff_t ld, ptrdiff_t first,
                       ptrdiff_t n, ptrdiff_t n_out, ptrdiff_t itemsize) noexcept nogil
