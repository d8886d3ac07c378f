"""The form of an answer, block by block while its rows are in the cache: no second pass over it, and no copy of it."""

from libc.float cimport DBL_MIN, FLT_MIN
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastbp._kernels cimport FB_LINE, fb_kernels

FORMS = {"plain": PLAIN, "two_columns": TWO_COLUMNS, "shares": SHARES, "classes": CLASSES}

ctypedef fused real:
    float
    double


cdef Form form_named(object name, ptrdiff_t n_out) except *:
    if name not in FORMS:
        raise ValueError(f"got form {name!r}, expected one of {', '.join(FORMS)}.")
    if FORMS[name] == TWO_COLUMNS and n_out != 1:
        raise ValueError(f"got {n_out} outputs, expected one, whose probability p gives the two columns 1 - p and p.")
    return FORMS[name]


cdef ptrdiff_t columns_of(Form form, ptrdiff_t n_out) noexcept nogil:
    return 2 if form == TWO_COLUMNS else 1 if form == CLASSES else n_out


cdef bint is_finite(const char *a, ptrdiff_t ld, ptrdiff_t n, ptrdiff_t n_columns, ptrdiff_t itemsize) noexcept nogil:
    """Whether n rows of panels are: NaN and infinity have all exponent bits set, and one more carries into the sign.

    A last panel that is not full is read column by column: what follows the columns may be anything.
    """
    cdef ptrdiff_t P = FB_LINE // itemsize, p, i, s, width, n_stretches
    cdef uint32_t carry32 = 0
    cdef uint64_t carry64 = 0
    cdef const uint32_t *x32
    cdef const uint64_t *x64
    for p in range((n_columns + P - 1) // P):
        width, n_stretches = min(P, n_columns - p * P), n
        if width == P:
            width, n_stretches = n * P, 1
        x32 = <const uint32_t *> (a + p * ld * FB_LINE)
        x64 = <const uint64_t *> x32
        if itemsize == sizeof(float):
            for s in range(n_stretches):
                for i in range(s * P, s * P + width):
                    carry32 |= (x32[i] & 0x7f800000u) + 0x00800000u
        else:
            for s in range(n_stretches):
                for i in range(s * P, s * P + width):
                    carry64 |= (x64[i] & 0x7ff0000000000000u) + 0x0010000000000000u
    return (carry32 >> 31) == 0 and (carry64 >> 63) == 0


cdef void write_answer(const fb_kernels *k, const Answer *answer, const char *a, ptrdiff_t ld, ptrdiff_t first,
                       ptrdiff_t n, ptrdiff_t n_out, ptrdiff_t itemsize) noexcept nogil:
    """Rows first.. of the answer, from n rows of a[l]."""
    if itemsize == sizeof(float):
        _write(k, answer, <const float *> a, ld, first, n, n_out)
    else:
        _write(k, answer, <const double *> a, ld, first, n, n_out)


cdef void _write(const fb_kernels *k, const Answer *answer, const real *a, ptrdiff_t ld, ptrdiff_t first, ptrdiff_t n,
                 ptrdiff_t n_out) noexcept nogil:
    cdef ptrdiff_t n_columns = columns_of(answer.form, n_out)
    cdef real *rows = <real *> answer.rows + first * n_columns
    if answer.form == CLASSES:
        _classes(a, ld, n, n_out, <int64_t *> answer.rows + first)
        return
    k.scatter(a, n, n_out, ld, rows + n * (n_columns - n_out))
    if answer.form == TWO_COLUMNS:
        _two_columns(rows, n)
    elif answer.form == SHARES:
        _shares(rows, n, n_out)


cdef void _classes(const real *a, ptrdiff_t ld, ptrdiff_t n, ptrdiff_t n_out, int64_t *numbers) noexcept nogil:
    """The first of the greatest in each row of panels, as numpy.argmax; NaN counts as the greatest."""
    cdef ptrdiff_t n_panel = FB_LINE // <ptrdiff_t> sizeof(real), s, j, greatest
    cdef real x, most
    for s in range(n):
        most, greatest = a[s * n_panel], 0
        for j in range(1, n_out):
            x = a[(j // n_panel * ld + s) * n_panel + j % n_panel]
            if x > most or (x != x and most == most):
                most, greatest = x, j
        numbers[s] = greatest if n_out > 1 else most > 0.5


cdef void _two_columns(real *rows, ptrdiff_t n) noexcept nogil:
    """1 - p and p of each row, from the p in the second half: none is overwritten before it is read."""
    cdef real p
    cdef ptrdiff_t s
    for s in range(n):
        p = rows[n + s]
        rows[2 * s] = 1 - p
        rows[2 * s + 1] = p


cdef void _shares(real *rows, ptrdiff_t n, ptrdiff_t n_out) noexcept nogil:
    """a_j / sum_i a_i, the sum in the order of the columns; all of a row may have vanished."""
    cdef real least = FLT_MIN if real is float else DBL_MIN
    cdef real total
    cdef real *a
    cdef ptrdiff_t s, j
    for s in range(n):
        a = rows + s * n_out
        total = 0
        for j in range(n_out):
            a[j] = least if a[j] < least else a[j]
            total += a[j]
        for j in range(n_out):
            a[j] /= total
