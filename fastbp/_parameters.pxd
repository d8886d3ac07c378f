# The parameters of a network, packed, and cut into tiles.
from fastbp._kernels cimport fb_kernels, fb_layer
from fastbp._memory cimport Arena


cdef struct Tile:
    ptrdiff_t l  # layer
    ptrdiff_t j, k  # first output and first input
    ptrdiff_t n_rows  # outputs, at most a panel; by inputs, inputs
    ptrdiff_t n_columns  # inputs; by inputs, outputs
    ptrdiff_t n_panels  # panels that hold the columns
    ptrdiff_t offset  # bytes from the start of the weights, or of anything like them, to its first panel
    ptrdiff_t block  # index of its first panel in `squares`
    ptrdiff_t line  # index of its first line of biases, of those of all layers
    ptrdiff_t work  # weights in the tiles before it

cdef enum:
    MAX_TILE_PANELS = 8


cdef class Parameters:
    cdef const fb_kernels *k
    cdef readonly tuple sizes
    cdef readonly object dtype
    cdef ptrdiff_t L, n_panel, itemsize
    cdef bint first_by_inputs
    cdef Arena arena, first_W
    cdef fb_layer *layer  # [1..L]
    cdef Tile *tiles
    cdef readonly ptrdiff_t n_tiles
    cdef ptrdiff_t *first_block  # [1..L + 1]: where a layer's panels begin in `squares`
    cdef double *squares  # sum of W^2 in each block (one panel of outputs, one of inputs)

    cdef bint by_inputs(self, ptrdiff_t l) noexcept nogil
    cdef char *weights(self, ptrdiff_t l) noexcept nogil
    cdef ptrdiff_t W_ld(self, ptrdiff_t l) noexcept nogil
    cdef ptrdiff_t block_step(self, ptrdiff_t l) noexcept nogil
    cdef ptrdiff_t W_lines(self, ptrdiff_t l) noexcept nogil
    cdef ptrdiff_t b_lines(self, ptrdiff_t l) noexcept nogil
    cdef ptrdiff_t _tile_width(self, ptrdiff_t l, ptrdiff_t tile_panels) noexcept nogil
    cdef (ptrdiff_t, ptrdiff_t) _rows_and_columns(self, ptrdiff_t l) noexcept nogil
    cdef pack(self, ptrdiff_t l, coef, char *W, intercept, char *b)
    cdef unpack(self, ptrdiff_t l, const char *W, const char *b)
    cdef fill_first_W(self)
    cdef void mirror(self) noexcept nogil
