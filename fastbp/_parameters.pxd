# The parameters of a network and the state of its optimizer, packed.
from libc.stdint cimport int64_t

from fastbp._kernels cimport fb_kernels, fb_layer, fb_step
from fastbp._memory cimport Arena


cdef struct Tile:
    ptrdiff_t l  # layer
    ptrdiff_t j, k  # first output (of one panel of them) and first input
    ptrdiff_t n_rows  # outputs, at most a panel
    ptrdiff_t n_columns  # inputs
    ptrdiff_t n_panels  # panels that hold them
    ptrdiff_t offset  # bytes from the start of W, or of a moment of W, to its first panel
    ptrdiff_t block  # index of its first panel in `squares`
    ptrdiff_t work  # weights in the tiles before it

cdef enum:
    MAX_TILE_PANELS = 8


cdef class Parameters:
    cdef const fb_kernels *k
    cdef readonly tuple sizes
    cdef readonly object dtype
    cdef ptrdiff_t L, n_panel, itemsize
    cdef Arena arena
    cdef fb_layer *layer  # [1..L]
    cdef char **m  # [1..L]: first moments (velocities) of W
    cdef char **v  # second moments of W
    cdef char **mb  # the same of b
    cdef char **vb
    cdef fb_step settings  # the optimizer's constants
    cdef readonly int64_t t  # steps done
    cdef Tile *tiles
    cdef ptrdiff_t n_tiles, n_blocks
    cdef double *squares  # sum of W^2 in each block (one panel of outputs, one of inputs)

    cdef pack(self, ptrdiff_t l, coef, char *W, intercept, char *b)
    cdef unpack(self, ptrdiff_t l, const char *W, const char *b)
