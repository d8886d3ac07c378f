"""Memory in whole cache lines: arenas, the buffers of a batch, and NumPy arrays as the kernels see them."""

import numpy as np

cimport numpy as cnp
from libc.stdlib cimport calloc, free

from fastbp._kernels cimport FB_LINE, fb_rows

cnp.import_array()


cdef class Arena:
    """A zeroed block of memory, handed out in whole cache lines."""

    def __cinit__(self, n_lines):
        self.block = np.zeros((n_lines + 1) * FB_LINE, dtype=np.uint8)
        cdef size_t address = <size_t> cnp.PyArray_DATA(self.block)
        self.next_line = <char *> ((address + FB_LINE - 1) // FB_LINE * FB_LINE)
        self.lines_left = n_lines

    cdef char *take(self, ptrdiff_t n_lines) except NULL:
        if n_lines > self.lines_left:
            raise MemoryError(f"the arena has {self.lines_left} lines left, {n_lines} were asked for.")
        taken = self.next_line
        self.next_line += n_lines * FB_LINE
        self.lines_left -= n_lines
        return taken


cdef ptrdiff_t panels(ptrdiff_t columns, ptrdiff_t itemsize) noexcept nogil:
    """Panels that hold so many columns."""
    return (columns * itemsize + FB_LINE - 1) // FB_LINE


cdef ptrdiff_t loss_scratch_lines(ptrdiff_t n_out) noexcept nogil:
    """Lines of scratch that the kernels of the loss need: two arrays of n_out vectors, rounded up to a panel."""
    return 2 * (n_out + 16)


cdef fb_rows rows_of(object X) except *:
    """X as the kernels see it; X must outlive the result."""
    cdef fb_rows rows
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype not in (np.float32, np.float64) or not X.flags.aligned:
        raise TypeError("expected a 2-D float32 or float64 array in native, aligned memory: "
                        "use numpy.asarray(X, dtype=float).")
    rows.data = <const char *> cnp.PyArray_DATA(X)
    rows.row_stride = X.strides[0]
    rows.column_stride = X.strides[1]
    rows.n_columns = X.shape[1]
    rows.is_float64 = X.dtype == np.float64
    return rows


cdef class Workspace:
    """Buffers of rows: a[l], z[l], delta[l] in panels, and y, w and the losses of the rows."""

    def __cinit__(self, sizes, itemsize, rows, n_y, n_threads=1, backward=True, keep_z=False):
        cdef ptrdiff_t l, L = len(sizes) - 1
        self.a = <char **> calloc(3 * (L + 1), sizeof(char *))
        if self.a == NULL:
            raise MemoryError()
        self.z, self.delta = self.a + (L + 1), self.a + 2 * (L + 1)
        self.rows, self.n_threads = rows, n_threads
        self.ld = rows | 1  # odd, so that the lines of one row in all panels do not share a set of the cache
        self.n_scratch = loss_scratch_lines(sizes[L])
        line_counts = [panels(size, itemsize) * self.ld for size in sizes]
        per_row = (self.ld * 8 + FB_LINE - 1) // FB_LINE
        self.arena = Arena((1 + bool(keep_z) + bool(backward)) * sum(line_counts) + (n_y + 2) * per_row
                           + n_threads * self.n_scratch)
        for l in range(L + 1):
            self.a[l] = self.arena.take(line_counts[l])
            if l > 0:
                self.z[l] = self.arena.take(line_counts[l]) if keep_z else self.a[l]
                self.delta[l] = self.arena.take(line_counts[l]) if backward else NULL
        self.y, self.w = self.arena.take(n_y * per_row), self.arena.take(per_row)
        self.losses = <double *> self.arena.take(per_row)
        self.scratch = self.arena.take(n_threads * self.n_scratch)

    def __dealloc__(self):
        free(self.a)
