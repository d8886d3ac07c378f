"""The parameters of a network: packed, unpacked, cut into tiles."""

import numpy as np

cimport numpy as cnp
from libc.stdlib cimport calloc, free

from fastbp._kernels cimport FB_IDENTITY, FB_LINE, fb_layer, fb_rows, kernels_for
from fastbp._memory cimport Arena, panels, rows_of

from fastbp._memory import MOST_LINES

cnp.import_array()

# Panels of inputs in a tile: enough to use a panel of delta again, few enough to share a layer out among threads.
cdef ptrdiff_t TILE_PANELS = 2


cdef class Parameters:
    """W, Wt and b of each layer, and the tiles that phase 2 updates."""

    def __cinit__(self, sizes, activations, output, loss, dtype, n_threads=1, isa=None, **_):
        self.dtype = np.dtype(dtype)
        self.k = kernels_for(isa, self.dtype)
        self.sizes = tuple(int(size) for size in sizes)
        self.L = len(self.sizes) - 1
        if self.L < 1 or min(self.sizes) < 1 or len(activations) != self.L - 1:
            raise ValueError(f"got sizes={sizes} and activations={activations}: expected two or more positive sizes "
                             "and an activation for each but the first and the last.")
        self.itemsize = self.dtype.itemsize
        self.n_panel = FB_LINE // self.itemsize
        self._allocate()
        self.cut_tiles(TILE_PANELS)

    def __dealloc__(self):
        free(self.layer)
        free(self.first_block)
        free(self.tiles)

    def _allocate(self):
        """One arena for the weights, their mirror, the biases and the sums of squares."""
        cdef ptrdiff_t l, Wt_lines
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
            self.first_block[l + 1] = self.first_block[l] + self.W_lines(l) // self.n_panel
            n_lines += self.W_lines(l) + rows // self.n_panel * n_in + self.b_lines(l)
        n_blocks = self.first_block[self.L + 1]
        self.arena = Arena(n_lines + n_blocks)
        self.squares = <double *> self.arena.take(n_blocks)
        for l in range(1, self.L + 1):
            Wt_lines = self.b_lines(l) * self.layer[l].n_in
            self.layer[l].W, self.layer[l].Wt = self.arena.take(self.W_lines(l)), self.arena.take(Wt_lines)
            self.layer[l].b = self.arena.take(self.b_lines(l))

    cdef ptrdiff_t W_lines(self, ptrdiff_t l) noexcept nogil:
        """Lines of W[l] or anything like it."""
        return panels(self.layer[l].n_in, self.itemsize) * self.layer[l].rows

    cdef ptrdiff_t b_lines(self, ptrdiff_t l) noexcept nogil:
        return self.layer[l].rows // self.n_panel

    def cut_tiles(self, ptrdiff_t tile_panels):
        """List the tiles of all layers, of at most so many panels of inputs; any number gives the same results.

        Tiles of the same inputs follow one another, so that these stay in the cache while the outputs pass by.
        """
        if not 1 <= tile_panels <= MAX_TILE_PANELS:
            raise ValueError(f"got {tile_panels} panels in a tile, expected 1 to {MAX_TILE_PANELS}.")
        tiles = []
        work = first_line = 0
        for l in range(1, self.L + 1):
            n_in, n_out, rows = self.layer[l].n_in, self.layer[l].n_out, self.layer[l].rows
            n_panels = panels(n_in, self.itemsize)
            for panel in range(0, n_panels, tile_panels):
                width, k = min(tile_panels, n_panels - panel), panel * self.n_panel
                for j in range(0, n_out, self.n_panel):
                    n_rows, n_columns = min(self.n_panel, n_out - j), min(width * self.n_panel, n_in - k)
                    block = self.first_block[l] + j // self.n_panel * n_panels + panel
                    tiles.append((l, j, k, n_rows, n_columns, width, (panel * rows + j) * FB_LINE, block,
                                  first_line + j // self.n_panel, work))
                    work += n_rows * n_columns
            first_line += self.b_lines(l)
        free(self.tiles)
        self.n_tiles = 0
        self.tiles = <Tile *> calloc(len(tiles), sizeof(Tile))
        if self.tiles == NULL:
            raise MemoryError("no memory for the network's tiles.")
        self.n_tiles, self.tile_panels = len(tiles), tile_panels
        for i, (l, j, k, n_rows, n_columns, n_panels, offset, block, line, work) in enumerate(tiles):
            self.tiles[i] = Tile(l, j, k, n_rows, n_columns, n_panels, offset, block, line, work)

    # ---- parameters in scikit-learn's orientation

    def set_parameters(self, coefs, intercepts):
        """Copy in coefs[l-1] (size[l-1], size[l]) and intercepts[l-1] (size[l],)."""
        coefs, intercepts = self.checked(coefs, intercepts)
        for l in range(1, self.L + 1):
            self.pack(l, coefs[l - 1], <char *> self.layer[l].W, intercepts[l - 1], <char *> self.layer[l].b)
        self.mirror()

    def get_parameters(self):
        """New arrays (coefs, intercepts), as set_parameters takes them."""
        pairs = [self.unpack(l, <char *> self.layer[l].W, <char *> self.layer[l].b) for l in range(1, self.L + 1)]
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
        W_array, b_array = coef.T, intercept.reshape(1, -1)
        cdef fb_rows W_rows = rows_of(W_array), b_rows = rows_of(b_array)
        self.k.gather(&W_rows, NULL, 0, self.layer[l].n_out, W, self.layer[l].rows)
        self.k.gather(&b_rows, NULL, 0, 1, b, 1)

    cdef unpack(self, ptrdiff_t l, const char *W, const char *b):
        cdef fb_layer *layer = &self.layer[l]
        W_array, b_array = np.empty((layer.n_out, layer.n_in), self.dtype), np.empty((1, layer.n_out), self.dtype)
        self.k.scatter(W, layer.n_out, layer.n_in, layer.rows, cnp.PyArray_DATA(W_array))
        self.k.scatter(b, 1, layer.n_out, 1, cnp.PyArray_DATA(b_array))
        return np.ascontiguousarray(W_array.T), b_array[0]

    cdef void mirror(self) noexcept nogil:
        """Wt, and the sums of squares, from W."""
        cdef ptrdiff_t i, p
        cdef Tile *tile
        for i in range(self.n_tiles):
            tile = &self.tiles[i]
            for p in range(tile.n_panels):
                self.k.mirror(&self.layer[tile.l], tile.j, tile.k + p * self.n_panel)
                self.squares[tile.block + p] = self.k.squares(
                    <char *> self.layer[tile.l].W + tile.offset + p * self.layer[tile.l].rows * FB_LINE, tile.n_rows)
