"""Memory in whole cache lines: arenas, the buffers of a batch, and NumPy arrays as the kernels see them."""

from contextlib import contextmanager

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastbp._kernels cimport FB_LINE, fb_entry, fb_rows, fb_sorted

cdef extern from "Python.h":
    void *PyInterpreterState_Get()
    void *PyInterpreterState_Main()

if PyInterpreterState_Get() != PyInterpreterState_Main():
    raise ImportError("fastbp does not run in a subinterpreter: use the main interpreter, threads or processes.")

cnp.import_array()

# Lines of memory that can be addressed.
MOST_LINES = np.iinfo(np.intp).max // FB_LINE

# The smallest page of memory, and bytes that a machine gives, page by page, within a few milliseconds: a virtual one
# that must ask its host took 22 ms for 8 MB.
PAGE = 4096
TOUCHED_AT_ONCE = 1 << 21

# For tests: whether an arena's stretches are blocks apart, so that a sanitizer or a guard page sees what goes beyond.
APART = False


cdef class Arena:
    """A zeroed block of memory, handed out in whole cache lines."""

    def __cinit__(self, n_lines):
        if n_lines >= MOST_LINES:
            raise MemoryError(f"{n_lines} lines of {FB_LINE} bytes are more than can be addressed.")
        self.blocks, self.apart, self.lines_left = [], APART, n_lines
        if not self.apart:
            self._begin_block(n_lines)

    cdef char *take(self, ptrdiff_t n_lines) except NULL:
        if n_lines > self.lines_left:
            raise MemoryError(f"the arena has {self.lines_left} lines left, {n_lines} were asked for.")
        if self.apart:
            self._begin_block(n_lines)
        taken = self.next_line
        self.next_line += n_lines * FB_LINE
        self.lines_left -= n_lines
        return taken

    cdef _begin_block(self, ptrdiff_t n_lines):
        block = np.zeros(n_lines * FB_LINE + FB_LINE - 1, dtype=np.uint8)
        for start in range(0, len(block), TOUCHED_AT_ONCE):
            block[start:start + TOUCHED_AT_ONCE:PAGE] = 0  # here Ctrl-C interrupts it, in a kernel it waits
            PyErr_CheckSignals()
        cdef size_t address = <size_t> cnp.PyArray_DATA(block)
        self.next_line = <char *> ((address + FB_LINE - 1) // FB_LINE * FB_LINE)
        self.blocks.append(block)


cdef ptrdiff_t panels(ptrdiff_t columns, ptrdiff_t itemsize) noexcept nogil:
    """Panels that hold so many columns."""
    return (columns * itemsize + FB_LINE - 1) // FB_LINE


cdef ptrdiff_t loss_scratch_lines(ptrdiff_t n_out) noexcept nogil:
    """Lines of scratch that the kernels of the loss need: two arrays of n_out vectors, rounded up to a panel."""
    return 2 * (n_out + 16)


cdef fb_rows rows_of(object X) except *:
    """X as the kernels see it; X must outlive the result."""
    cdef fb_rows rows
    if not is_native(X) or cnp.PyArray_NDIM(<cnp.ndarray> X) != 2:
        raise TypeError("expected a 2-D float32 or float64 array in native, aligned memory: "
                        "use numpy.asarray(X, dtype=float).")
    rows.data = <const char *> cnp.PyArray_DATA(<cnp.ndarray> X)
    rows.row_stride = cnp.PyArray_STRIDE(<cnp.ndarray> X, 0)
    rows.column_stride = cnp.PyArray_STRIDE(<cnp.ndarray> X, 1)
    rows.n_columns = cnp.PyArray_DIM(<cnp.ndarray> X, 1)
    rows.is_float64 = cnp.PyArray_TYPE(<cnp.ndarray> X) == cnp.NPY_DOUBLE
    return rows


@contextmanager
def refusing_huge_integers():
    """Make a ValueError of what NumPy raises for an integer of Python's that no float holds."""
    try:
        yield
    except OverflowError as error:
        raise ValueError(f"The data hold an integer beyond {np.finfo(np.float64).max}: {error}.") from error


cdef bint is_native(object X) noexcept:
    """Whether X is an array of float32 or float64 in native, aligned memory."""
    return (cnp.PyArray_Check(X) and cnp.PyArray_TYPE(<cnp.ndarray> X) in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
            and cnp.PyArray_ISALIGNED(<cnp.ndarray> X) and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray> X))


cdef Inputs inputs_of(object X) except *:
    """X, an array or a canonical scipy.sparse CSR matrix, as the kernels see it; X must outlive the result."""
    cdef Inputs inputs
    memset(&inputs, 0, sizeof(inputs))
    inputs.sparse = not isinstance(X, np.ndarray)
    inputs.density = 1
    if not inputs.sparse:
        inputs.dense = rows_of(X)
        return inputs
    if getattr(X, "format", None) != "csr" or X.dtype not in (np.float32, np.float64):
        raise TypeError("expected an array or a CSR matrix of float32 or float64: use X.tocsr().")
    if X.indices.dtype != X.indptr.dtype or X.indices.dtype not in (np.int32, np.int64):
        raise TypeError(f"got indices of {X.indices.dtype} and {X.indptr.dtype}, expected both int32 or both int64.")
    if not all(part.flags.c_contiguous and part.flags.aligned for part in (X.data, X.indices, X.indptr)):
        raise TypeError("expected data, indices and indptr of a CSR matrix to be contiguous: use X.copy().")
    n = X.shape[0]
    if not (len(X.indptr) == n + 1 and X.indptr[0] == 0 and (np.diff(X.indptr) >= 0).all()
            and X.indptr[n] <= min(len(X.indices), len(X.data))):
        raise ValueError("got a CSR matrix whose indptr does not fit its indices and data: build it anew.")
    nnz = X.indptr[n]
    if nnz and (X.indices[:nnz].min() < 0 or X.indices[:nnz].max() >= X.shape[1]):
        raise ValueError(f"got column indices from {X.indices[:nnz].min()} to {X.indices[:nnz].max()}, expected 0 to "
                         f"{X.shape[1] - 1}.")
    if not X.has_canonical_format:
        raise TypeError("expected the columns of each row of a CSR matrix to ascend: use X.sum_duplicates().")
    inputs.csr.values, inputs.csr.is_float64 = cnp.PyArray_DATA(X.data), X.dtype == np.float64
    inputs.csr.columns, inputs.csr.is_int64 = cnp.PyArray_DATA(X.indices), X.indices.dtype == np.int64
    inputs.csr.starts = cnp.PyArray_DATA(X.indptr)
    inputs.density = nnz / max(1., <double> n * X.shape[1])
    return inputs


cdef class Workspace:
    """Buffers of a batch: a[l], z[l], delta[l] in panels, y, w and the losses of the rows, scratch for each thread.

    Parameters
    ----------
    sizes : tuple of int
    itemsize : int
    rows, n_y, n_threads : int
        Rows of the batch, columns of y, threads that work on it.
    kept : tuple of L + 1 Kept
        What is kept of each layer besides a[l].
    first_delta : int
        The first layer that has a delta; L + 1 if none has.
    sparse : bool
        Whether X is, and needs no a[0].
    n_entries : int, default=0
        Nonzeros of a batch of a sparse X, at most, if there is one and its gradient is asked for.
    """

    def __cinit__(self, sizes, itemsize, rows, n_y, n_threads, kept, first_delta, sparse, n_entries=0):
        cdef ptrdiff_t l, L = len(sizes) - 1
        self.layout = (rows, n_y, n_threads, kept, first_delta, sparse, n_entries)
        self.a = <char **> calloc(5 * (L + 1), sizeof(char *))
        if self.a == NULL:
            raise MemoryError(f"got no memory for the pointers to {L + 1} layers.")
        self.z, self.f = self.a + (L + 1), self.a + 2 * (L + 1)
        self.kept, self.delta = self.a + 3 * (L + 1), self.a + 4 * (L + 1)
        self.rows, self.n_threads, self.sparse = rows, n_threads, sparse
        self.ld = rows | 1  # odd, so that the lines of one row in all panels do not share a set of the cache
        self.n_scratch = loss_scratch_lines(sizes[L])
        # Python's integers, which do not overflow: the arena refuses what is too large
        ld = int(self.ld)
        line_counts = [int(panels(size, itemsize)) * ld for size in sizes]
        per_row = (ld * 8 + FB_LINE - 1) // FB_LINE
        n_panels = panels(sizes[0], itemsize)
        entry_lines = (n_entries * sizeof(fb_entry) + FB_LINE - 1) // FB_LINE
        start_lines = (n_threads * (n_panels + 2) * sizeof(int64_t) + FB_LINE - 1) // FB_LINE if n_entries else 0
        a_lines = [0, *line_counts[1:]] if sparse else line_counts
        self.arena = Arena(sum(a_lines) + sum(line_counts[first_delta:])
                           + sum([n for n, what in zip(line_counts, kept) if what != KEEP_NOTHING])
                           + (n_y + 2) * per_row + n_threads * self.n_scratch + entry_lines + start_lines)
        for l in range(L + 1):
            self.a[l] = self.z[l] = self.f[l] = self.kept[l] = self.arena.take(a_lines[l])
            if kept[l] != KEEP_NOTHING:
                self.z[l] = self.arena.take(line_counts[l])
            if kept[l] in (KEEP_Z, KEEP_F):
                self.kept[l] = self.z[l]
            if kept[l] == KEEP_F:
                self.f[l] = self.z[l]
            self.delta[l] = self.arena.take(line_counts[l]) if l >= first_delta else NULL
        self.y, self.w = self.arena.take(n_y * per_row), self.arena.take(per_row)
        self.losses = <double *> self.arena.take(per_row)
        self.scratch = self.arena.take(n_threads * self.n_scratch)
        self.n_entries = n_entries
        self.batch = fb_sorted(<fb_entry *> self.arena.take(entry_lines), <int64_t *> self.arena.take(start_lines),
                               n_threads, n_panels)

    def __dealloc__(self):
        free(self.a)
