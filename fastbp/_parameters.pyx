"""The parameters of a network and the state of its optimizer: packed, unpacked, cut into tiles."""

import numpy as np

cimport numpy as cnp
from libc.stdlib cimport calloc, free

from fastbp._kernels cimport FB_ADAM, FB_IDENTITY, FB_LINE, FB_SGD, fb_layer, fb_rows, kernels_for
from fastbp._memory cimport Arena, panels, rows_of

cnp.import_array()

# Panels of inputs in a tile: enough to use a panel of delta again, few enough to share a layer out among threads.
cdef ptrdiff_t TILE_PANELS = 2


cdef class Parameters:
    """W, Wt and b of each layer, the two moments of W and b, and the tiles that phase 2 updates."""

    def __cinit__(self, sizes, activations, output, loss, dtype, n_threads=1, isa=None):
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
        self.set_optimizer("sgd", momentum=0.0)

    def __dealloc__(self):
        free(self.layer)
        free(self.m)
        free(self.tiles)

    def _allocate(self):
        """One arena for all; n_lines of W is n_panels * rows, of Wt rows // n_panel * n_in."""
        self.layer = <fb_layer *> calloc(self.L + 1, sizeof(fb_layer))
        self.m = <char **> calloc(4 * (self.L + 1), sizeof(char *))
        if self.layer == NULL or self.m == NULL:
            raise MemoryError("no memory for the network's layers.")
        self.v, self.mb, self.vb = self.m + (self.L + 1), self.m + 2 * (self.L + 1), self.m + 3 * (self.L + 1)
        shapes = []
        for n_in, n_out in zip(self.sizes, self.sizes[1:]):
            rows = panels(n_out, self.itemsize) * self.n_panel
            shapes.append((n_in, n_out, rows, panels(n_in, self.itemsize) * rows, rows // self.n_panel * n_in,
                           rows // self.n_panel))
        self.n_blocks = sum(W_lines // self.n_panel for _, _, _, W_lines, _, _ in shapes)
        self.arena = Arena(sum(3 * W_lines + Wt_lines + 3 * b_lines for *_, W_lines, Wt_lines, b_lines in shapes)
                           + self.n_blocks)
        self.squares = <double *> self.arena.take(self.n_blocks)
        for l, (n_in, n_out, rows, W_lines, Wt_lines, b_lines) in enumerate(shapes, start=1):
            self.layer[l] = fb_layer(n_in, n_out, rows, self.arena.take(W_lines), self.arena.take(Wt_lines),
                                     self.arena.take(b_lines), FB_IDENTITY)
            self.m[l], self.v[l] = self.arena.take(W_lines), self.arena.take(W_lines)
            self.mb[l], self.vb[l] = self.arena.take(b_lines), self.arena.take(b_lines)

    def cut_tiles(self, ptrdiff_t tile_panels):
        """List the tiles of all layers, of at most so many panels of inputs; any number gives the same results.

        Tiles of the same inputs follow one another, so that these stay in the cache while the outputs pass by.
        """
        if not 1 <= tile_panels <= MAX_TILE_PANELS:
            raise ValueError(f"got {tile_panels} panels in a tile, expected 1 to {MAX_TILE_PANELS}.")
        tiles = []
        work = first_block = 0
        for l in range(1, self.L + 1):
            n_in, n_out, rows = self.layer[l].n_in, self.layer[l].n_out, self.layer[l].rows
            n_panels = panels(n_in, self.itemsize)
            for panel in range(0, n_panels, tile_panels):
                width, k = min(tile_panels, n_panels - panel), panel * self.n_panel
                for j in range(0, n_out, self.n_panel):
                    n_rows, n_columns = min(self.n_panel, n_out - j), min(width * self.n_panel, n_in - k)
                    block = first_block + j // self.n_panel * n_panels + panel
                    tiles.append((l, j, k, n_rows, n_columns, width, (panel * rows + j) * FB_LINE, block, work))
                    work += n_rows * n_columns
            first_block += rows // self.n_panel * n_panels
        free(self.tiles)
        self.n_tiles = 0
        self.tiles = <Tile *> calloc(len(tiles), sizeof(Tile))
        if self.tiles == NULL:
            raise MemoryError("no memory for the network's tiles.")
        self.n_tiles = len(tiles)
        for i, (l, j, k, n_rows, n_columns, n_panels, offset, block, work) in enumerate(tiles):
            self.tiles[i] = Tile(l, j, k, n_rows, n_columns, n_panels, offset, block, work)

    # ---- parameters in scikit-learn's orientation

    def set_parameters(self, coefs, intercepts):
        """Copy in coefs[l-1] (size[l-1], size[l]) and intercepts[l-1] (size[l],)."""
        cdef fb_rows coef_rows
        for l in range(1, self.L + 1):
            self.pack(l, coefs[l - 1], <char *> self.layer[l].W, intercepts[l - 1], <char *> self.layer[l].b)
            coef = np.asarray(coefs[l - 1], dtype=self.dtype)
            coef_rows = rows_of(coef)
            self.k.gather(&coef_rows, NULL, 0, self.layer[l].n_in, self.layer[l].Wt, self.layer[l].n_in)
        self._sum_squares()

    def get_parameters(self):
        """New arrays (coefs, intercepts), as set_parameters takes them."""
        pairs = [self.unpack(l, <char *> self.layer[l].W, <char *> self.layer[l].b) for l in range(1, self.L + 1)]
        return [W for W, _ in pairs], [b for _, b in pairs]

    cdef pack(self, ptrdiff_t l, coef, char *W, intercept, char *b):
        coef, intercept = np.asarray(coef, dtype=self.dtype), np.asarray(intercept, dtype=self.dtype)
        expected = self.sizes[l - 1], self.sizes[l]
        if coef.shape != expected or intercept.shape != expected[1:]:
            raise ValueError(f"got weights of shape {coef.shape} and biases of shape {intercept.shape} for layer {l}, "
                             f"expected {expected} and {expected[1:]}.")
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

    def _sum_squares(self):
        cdef ptrdiff_t i, p
        cdef Tile *tile
        for i in range(self.n_tiles):
            tile = &self.tiles[i]
            for p in range(tile.n_panels):
                W = <char *> self.layer[tile.l].W + tile.offset + p * self.layer[tile.l].rows * FB_LINE
                self.squares[tile.block + p] = self.k.squares(W, tile.n_rows)

    # ---- the optimizer

    def set_optimizer(self, solver, momentum=0.9, nesterov=True, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        """Choose "sgd" or "adam" and its constants; its state starts from zero."""
        if solver not in ("sgd", "adam"):
            raise ValueError(f"got solver {solver!r}, expected 'sgd' or 'adam'.")
        self.settings.solver = FB_ADAM if solver == "adam" else FB_SGD
        self.settings.momentum, self.settings.nesterov = momentum, nesterov
        self.settings.beta_1, self.settings.beta_2, self.settings.epsilon = beta_1, beta_2, epsilon
        shapes = list(zip(self.sizes, self.sizes[1:]))
        zeros = [np.zeros(shape, self.dtype) for shape in shapes], [np.zeros(n_out, self.dtype) for _, n_out in shapes]
        self.set_optimizer_state({"t": 0, "moments": [zeros, zeros]})

    def get_optimizer_state(self):
        """{"t": steps done, "moments": [first, second]}, each moment a pair like get_parameters()."""
        first = [self.unpack(l, self.m[l], self.mb[l]) for l in range(1, self.L + 1)]
        second = [self.unpack(l, self.v[l], self.vb[l]) for l in range(1, self.L + 1)]
        return {"t": self.t, "moments": [([W for W, _ in pairs], [b for _, b in pairs]) for pairs in (first, second)]}

    def set_optimizer_state(self, state):
        """Copy in what get_optimizer_state() returned."""
        first, second = state["moments"]
        for l in range(1, self.L + 1):
            self.pack(l, first[0][l - 1], self.m[l], first[1][l - 1], self.mb[l])
            self.pack(l, second[0][l - 1], self.v[l], second[1][l - 1], self.vb[l])
        self.t = state["t"]
