"""The parameters of a network: packed, unpacked, cut into tiles."""

import numpy as np

cimport numpy as cnp
from libc.stdlib cimport calloc, free

from fastbp._kernels cimport FB_IDENTITY, FB_LINE, fb_layer, fb_rows, kernels_for
from fastbp._memory cimport Arena, panels, rows_of

from fastbp._memory import MOST_LINES

cnp.import_array()

# Panels in a tile: enough to use its one panel of delta again, few enough to share a layer out among threads; and how
# many times as many by inputs, where the nonzeros of its one panel of a_prev stay in the cache for all of them.
cdef ptrdiff_t TILE_PANELS = 2, BY_INPUTS = 4


cdef class Parameters:
    """W, Wt and b of each layer, and the tiles that phase 2 updates."""

    def __cinit__(self, sizes, activations, output, loss, dtype, n_threads=1, isa=None, by_inputs=False, **_):
        self.dtype = np.dtype(dtype)
        self.k = kernels_for(isa, self.dtype)
        self.sizes = tuple(int(size) for size in sizes)
        self.L = len(self.sizes) - 1
        if self.L < 1 or min(self.sizes) < 1 or len(activations) != self.L - 1:
            raise ValueError(f"got sizes={sizes} and activations={activations}: expected two or more positive sizes "
                             "and an activation for each but the first and the last.")
        self.itemsize = self.dtype.itemsize
        self.n_panel = FB_LINE // self.itemsize
        # not where the panels over the outputs would be mostly padding
        self.first_by_inputs = by_inputs and self.sizes[1] > self.n_panel // 2
        self._allocate()
        self.cut_tiles(TILE_PANELS)

    def __dealloc__(self):
        free(self.layer)
        free(self.first_block)
        free(self.tiles)

    def _allocate(self):
        """One arena for the weights, their mirror, the biases and the sums of squares."""
        cdef ptrdiff_t l
        if sum(n_in * n_out for n_in, n_out in zip(self.sizes, self.sizes[1:])) > MOST_LINES:
            raise MemoryError(f"got sizes={self.sizes}: more weights than can be addressed.")
        n_lines = 0
        self.layer = <fb_layer *> calloc(self.L + 1, sizeof(fb_layer))
        self.first_block = <ptrdiff_t *> calloc(self.L + 2, sizeof(ptrdiff_t))
        if self.layer == NULL or self.first_block == NULL:
            raise MemoryError("no memory for the network's layers.")
        for l in range(1, self.L + 1):
            n_in, n_out = self.sizes[l - 1], self.sizes[l]
            rows = panels(n_out, self.itemsize) * self.n_panel
            self.layer[l] = fb_layer(n_in, n_out, rows, NULL, NULL, NULL, FB_IDENTITY)
            self.first_block[l + 1] = self.first_block[l] + panels(n_in, self.itemsize) * self.b_lines(l)
            n_lines += self.W_lines(l) + (0 if self.by_inputs(l) else self.b_lines(l) * n_in) + self.b_lines(l)
        n_blocks = self.first_block[self.L + 1]
        self.arena = Arena(n_lines + n_blocks)
        self.squares = <double *> self.arena.take(n_blocks)
        for l in range(1, self.L + 1):
            if not self.by_inputs(l):
                self.layer[l].W = self.arena.take(self.W_lines(l))
            self.layer[l].Wt = self.arena.take(self.b_lines(l) * self.layer[l].n_in)
            self.layer[l].b = self.arena.take(self.b_lines(l))

    # ---- how a layer is stored: the kernels of phase 2 take W[l] in panels over its inputs, or Wt in its place

    cdef bint by_inputs(self, ptrdiff_t l) noexcept nogil:
        """Whether Wt is all there is of W[l]."""
        return l == 1 and self.first_by_inputs

    cdef char *weights(self, ptrdiff_t l) noexcept nogil:
        return <char *> self.layer[l].Wt if self.by_inputs(l) else <char *> self.layer[l].W

    cdef ptrdiff_t W_ld(self, ptrdiff_t l) noexcept nogil:
        """Lines of a panel of the weights."""
        return self.layer[l].n_in if self.by_inputs(l) else self.layer[l].rows

    cdef ptrdiff_t block_step(self, ptrdiff_t l) noexcept nogil:
        """From a panel of the weights to the next, in `squares`: there they go by outputs, then inputs."""
        return panels(self.layer[l].n_in, self.itemsize) if self.by_inputs(l) else 1

    cdef ptrdiff_t W_lines(self, ptrdiff_t l) noexcept nogil:
        """Lines of the weights of a layer, or of anything like them."""
        return panels(self.layer[l].n_out if self.by_inputs(l) else self.layer[l].n_in, self.itemsize) * self.W_ld(l)

    cdef ptrdiff_t b_lines(self, ptrdiff_t l) noexcept nogil:
        return self.layer[l].rows // self.n_panel

    def cut_tiles(self, ptrdiff_t tile_panels):
        """List the tiles of all layers, of at most so many panels (by inputs, more); any number gives the same results.

        Tiles of the same panels follow one another, so that these stay in the cache while the rows pass by.
        """
        cdef ptrdiff_t l, n_rows, n_columns, row, column, width, n_tiles = 0, work = 0, line = 0, j, k, step
        cdef Tile *tile
        if not 1 <= tile_panels <= MAX_TILE_PANELS:
            raise ValueError(f"got {tile_panels} panels in a tile, expected 1 to {MAX_TILE_PANELS}.")
        for l in range(1, self.L + 1):
            n_rows, n_columns = self._rows_and_columns(l)
            width = self._tile_width(l, tile_panels)
            n_tiles += (n_rows + self.n_panel - 1) // self.n_panel * ((n_columns + width - 1) // width)
        free(self.tiles)
        self.n_tiles = 0
        self.tiles = tile = <Tile *> calloc(n_tiles, sizeof(Tile))
        if self.tiles == NULL:
            raise MemoryError("no memory for the network's tiles.")
        self.n_tiles = n_tiles
        for l in range(1, self.L + 1):
            n_rows, n_columns = self._rows_and_columns(l)
            width = self._tile_width(l, tile_panels)
            step = panels(self.layer[l].n_in, self.itemsize)
            for column in range(0, n_columns, width):
                for row in range(0, n_rows, self.n_panel):
                    j, k = (column, row) if self.by_inputs(l) else (row, column)
                    tile.l, tile.j, tile.k, tile.work = l, j, k, work
                    tile.n_rows, tile.n_columns = min(self.n_panel, n_rows - row), min(width, n_columns - column)
                    tile.n_panels = panels(tile.n_columns, self.itemsize)
                    tile.offset = (column // self.n_panel * self.W_ld(l) + row) * FB_LINE
                    tile.block = self.first_block[l] + j // self.n_panel * step + k // self.n_panel
                    tile.line = line + j // self.n_panel
                    work += tile.n_rows * tile.n_columns
                    tile += 1
            line += self.b_lines(l)

    cdef ptrdiff_t _tile_width(self, ptrdiff_t l, ptrdiff_t tile_panels) noexcept nogil:
        """Columns of a tile."""
        return self.n_panel * (min(BY_INPUTS * tile_panels, <ptrdiff_t> MAX_TILE_PANELS) if self.by_inputs(l)
                               else tile_panels)

    cdef (ptrdiff_t, ptrdiff_t) _rows_and_columns(self, ptrdiff_t l) noexcept nogil:
        """Of the weights as they are stored."""
        cdef fb_layer *layer = &self.layer[l]
        return (layer.n_in, layer.n_out) if self.by_inputs(l) else (layer.n_out, layer.n_in)

    # ---- parameters in scikit-learn's orientation

    def set_parameters(self, coefs, intercepts):
        """Copy in coefs[l-1] (size[l-1], size[l]) and intercepts[l-1] (size[l],)."""
        coefs, intercepts = self.checked(coefs, intercepts)
        for l in range(1, self.L + 1):
            self.pack(l, coefs[l - 1], self.weights(l), intercepts[l - 1], <char *> self.layer[l].b)
        self.mirror()

    def get_parameters(self):
        """New arrays (coefs, intercepts), as set_parameters takes them."""
        pairs = [self.unpack(l, self.weights(l), <char *> self.layer[l].b) for l in range(1, self.L + 1)]
        return [W for W, _ in pairs], [b for _, b in pairs]

    def checked(self, coefs, intercepts):
        """The arrays in the network's precision, all of the right shapes: nothing is copied in before all are."""
        coefs, intercepts = ([np.asarray(p, dtype=self.dtype) for p in params] for params in (coefs, intercepts))
        shapes = list(zip(self.sizes, self.sizes[1:]))
        got = [W.shape for W in coefs], [b.shape for b in intercepts]
        if got != (shapes, [shape[1:] for shape in shapes]):
            raise ValueError(f"got weights of shapes {got[0]} and biases of shapes {got[1]}, expected {shapes} and "
                             "a bias for each column.")
        return coefs, intercepts

    cdef pack(self, ptrdiff_t l, coef, char *W, intercept, char *b):
        """Copy in a layer of `checked` parameters."""
        W_array, b_array = coef if self.by_inputs(l) else coef.T, intercept.reshape(1, -1)
        cdef fb_rows W_rows = rows_of(W_array), b_rows = rows_of(b_array)
        self.k.gather(&W_rows, NULL, 0, W_array.shape[0], W, self.W_ld(l))
        self.k.gather(&b_rows, NULL, 0, 1, b, 1)

    cdef unpack(self, ptrdiff_t l, const char *W, const char *b):
        cdef ptrdiff_t n_rows, n_columns
        n_rows, n_columns = self._rows_and_columns(l)
        W_array, b_array = np.empty((n_rows, n_columns), self.dtype), np.empty((1, self.layer[l].n_out), self.dtype)
        self.k.scatter(W, n_rows, n_columns, self.W_ld(l), cnp.PyArray_DATA(W_array))
        self.k.scatter(b, 1, self.layer[l].n_out, 1, cnp.PyArray_DATA(b_array))
        return W_array if self.by_inputs(l) else np.ascontiguousarray(W_array.T), b_array[0]

    cdef fill_first_W(self):
        """W[1] for BP2 to the inputs, where only Wt is kept."""
        cdef fb_layer *layer = &self.layer[1]
        cdef fb_rows W_rows
        if not self.by_inputs(1):
            return
        if self.first_W is None:
            self.first_W = Arena(panels(layer.n_in, self.itemsize) * layer.rows)
            layer.W = self.first_W.take(self.first_W.lines_left)
        W = self.unpack(1, <char *> layer.Wt, <char *> layer.b)[0].T
        W_rows = rows_of(W)
        self.k.gather(&W_rows, NULL, 0, layer.n_out, layer.W, layer.rows)

    cdef void mirror(self) noexcept nogil:
        """Wt where W has one, and the sums of squares."""
        cdef ptrdiff_t i, p, l
        cdef Tile *tile
        for i in range(self.n_tiles):
            tile = &self.tiles[i]
            l = tile.l
            for p in range(tile.n_panels):
                if not self.by_inputs(l):
                    self.k.mirror(&self.layer[l], tile.j, tile.k + p * self.n_panel)
                self.squares[tile.block + p * self.block_step(l)] = self.k.squares(
                    self.weights(l) + tile.offset + p * self.W_ld(l) * FB_LINE, tile.n_rows, self.by_inputs(l))
