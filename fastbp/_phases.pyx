"""The two phases of a step (docs/architecture.md), on one shard of rows and on one tile of weights.

Phase 1 takes a shard of the batch's rows forward through all layers and back; its rows are independent. Phase 2 gives
every tile of weights one owner, who sums its gradient over all rows of the batch and applies the update in the same
visit. What is computed does not depend on shards, tiles or threads.
"""

import numpy as np

cimport numpy as cnp
from libc.stdlib cimport calloc, free

from fastbp._kernels cimport FB_LINE, activation_named, fb_dropout, fb_sorted, needs_z, output_of
from fastbp._memory cimport KEEP_F, KEEP_NOTHING, KEEP_Z, SHOW_Z, Inputs, Workspace
from fastbp._optimizer cimport Optimizer
from fastbp._parameters cimport MAX_TILE_PANELS, Tile
from fastbp._signals cimport goes_on

cnp.import_array()


cdef class Phases(Optimizer):
    """A network: its parameters, the activations of its layers, dropout and loss."""

    def __cinit__(self, sizes, activations, output, loss, dtype, n_threads=1, isa=None, by_inputs=False, smoothing=0.0,
                  parameter=0.0, levels=None, class_weights=None):
        self.custom_loss = loss if callable(loss) else None
        loss = "squared_error" if callable(loss) else loss
        y_is_class = loss in ("log_loss", "focal") and self.sizes[self.L] > 1
        self.levels = None if levels is None else np.array(levels, dtype=np.float64)
        self.class_weights = None if class_weights is None else np.array(class_weights, dtype=np.float64)
        self.out = output_of(self.sizes[self.L], output, loss, y_is_class, self.dtype, smoothing, parameter,
                             self.levels, self.class_weights)
        for l in range(1, self.L):
            self.layer[l].activation = activation_named(activations[l - 1])
        self.drops = <fb_dropout *> calloc(self.L, sizeof(fb_dropout))
        if self.drops == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.drops)

    def set_dropout(self, rates, seed):
        """Drop inputs (rates[0]) and units of the hidden layers (rates[l]) in train_epoch; rates None: none."""
        rates = [0.0] * self.L if rates is None else list(rates)
        if len(rates) != self.L or not all(0 <= rate < 1 for rate in rates):
            raise ValueError(f"got dropout rates {rates}, expected {self.L} in [0, 1).")
        for l in range(self.L):
            self.drops[l] = fb_dropout(seed, l, 0, rates[l])
        self.drops_out = any(rates)

    def _layout(self, rows, n_y, n_threads, sparse, n_entries=0, *, first_delta=1, dropout=False, show_z=False):
        """The arguments of Workspace for so many rows: with what each layer must keep besides a[l]."""
        kept = [KEEP_NOTHING] * (self.L + 1)
        for l in range(1, self.L + 1):
            if l < self.L and needs_z(self.layer[l].activation):
                kept[l] = KEEP_Z
            elif dropout and l < self.L and self.drops[l].rate > 0:
                kept[l] = KEEP_F
            elif show_z:
                kept[l] = SHOW_Z
        return rows, n_y, n_threads, tuple(kept), first_delta, bool(sparse), n_entries

    # ---- a batch

    cdef void begin_batch(self, Job *job, ptrdiff_t batch, ptrdiff_t n, int parts) noexcept nogil:
        """The sum of the rows' weights, the penalty before the step, and the constants of the step."""
        cdef ptrdiff_t i, row, first = batch * job.batch_size, l
        cdef double squares
        job.sum_w = n
        if job.w != NULL:
            job.sum_w = 0
            for i in range(first, first + n):
                row = i if job.order == NULL else job.order[i]
                if self.itemsize == sizeof(double):
                    job.sum_w += (<const double *> job.w)[row]
                else:
                    job.sum_w += (<const float *> job.w)[row]
        job.penalty_now = 0
        for l in range(1, self.L + 1):
            squares = 0
            for i in range(self.first_block[l], self.first_block[l + 1]):
                squares += self.squares[i]
            job.penalty_now += 0.5 * job.alpha[l - 1] * squares
        if parts & UPDATE:
            self.begin_step(job.t + batch + 1, job.learning_rate[batch], job.alpha, job.sum_w)

    cdef void add_loss(self, Job *job, Workspace rows, ptrdiff_t n) noexcept nogil:
        """The batch's loss, rows in order."""
        cdef double loss = 0
        cdef ptrdiff_t s
        for s in range(n):
            loss += rows.losses[s]
        if job.sum_w != 0:
            job.data_loss += n * (loss / job.sum_w)
            job.penalty += n * (job.penalty_now / job.sum_w)

    # ---- phase 1: rows s.. of the batch

    cdef void phase_1(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t s, ptrdiff_t n, int thread,
                      int parts) noexcept nogil:
        cdef ptrdiff_t first = batch * job.batch_size + s, L = self.L, at = s * FB_LINE
        cdef char *w = NULL
        if parts & FORWARD:
            self._forward(rows, job, batch, s, n, thread, parts)
        if parts & LOSS:
            self.k.gather_columns(job.y, job.n_y, job.order, first, n, rows.y + s * self.itemsize, rows.ld)
            if job.w != NULL:
                w = rows.w + s * self.itemsize
                self.k.gather_columns(job.w, 1, job.order, first, n, w, rows.ld)
            self.k.loss(&self.out, rows.z[L] + at, rows.y + s * self.itemsize, w, rows.a[L] + at, rows.delta[L] + at,
                        rows.losses + s, rows.scratch + thread * rows.n_scratch * FB_LINE, n, rows.ld)  # BP1
        if parts & BACKWARD:
            self._backward(rows, job, batch, s, n, thread, parts)

    cdef void _forward(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t s, ptrdiff_t n, int thread,
                       int parts) noexcept nogil:
        cdef ptrdiff_t l, at = s * FB_LINE
        cdef fb_dropout drop = self._dropout(job, batch, 0, parts)
        self.first_layer(rows, &job.X, job.order, batch * job.batch_size + s, &drop, s, at, n)
        for l in range(1, self.L):
            if not goes_on(&job.watch, thread):
                return
            drop = self._dropout(job, batch, l, parts)
            if drop.rate > 0:
                self.k.dropout(&drop, s, rows.f[l] + at, rows.a[l] + at, n, self.layer[l].n_out, rows.ld)
            self.k.forward(&self.layer[l + 1], rows.a[l] + at, rows.z[l + 1] + at, rows.f[l + 1] + at, n, rows.ld)  # F

    cdef void first_layer(self, Workspace rows, const Inputs *X, const int64_t *order, ptrdiff_t first,
                          const fb_dropout *drop, ptrdiff_t s, ptrdiff_t at, ptrdiff_t n) noexcept nogil:
        """F of layer 1 for rows first.. of the order, rows s.. of the batch, into the buffers `at` bytes on."""
        if X.sparse:
            self.k.forward_sparse(&self.layer[1], &X.csr, order, first, drop if drop.rate > 0 else NULL, s,
                                  rows.z[1] + at, rows.f[1] + at, n, rows.ld)  # F
            return
        self.k.gather(&X.dense, order, first, n, rows.a[0] + at, rows.ld)
        if drop.rate > 0:
            self.k.dropout(drop, s, rows.a[0] + at, rows.a[0] + at, n, self.layer[1].n_in, rows.ld)
        self.k.forward(&self.layer[1], rows.a[0] + at, rows.z[1] + at, rows.f[1] + at, n, rows.ld)  # F

    cdef void _backward(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t s, ptrdiff_t n, int thread,
                        int parts) noexcept nogil:
        cdef ptrdiff_t l, last = 1 if rows.delta[0] == NULL else 0, at = s * FB_LINE
        cdef fb_dropout drop
        for l in range(self.L, last, -1):
            if not goes_on(&job.watch, thread):
                return
            self.k.delta(&self.layer[l], self.layer[l - 1].activation, rows.delta[l] + at, rows.kept[l - 1] + at,
                         rows.delta[l - 1] + at, n, rows.ld)  # BP2
            drop = self._dropout(job, batch, l - 1, parts)
            if drop.rate > 0:
                self.k.dropout(&drop, s, rows.delta[l - 1] + at, rows.delta[l - 1] + at, n, self.layer[l].n_in,
                               rows.ld)

    cdef fb_dropout _dropout(self, Job *job, ptrdiff_t batch, ptrdiff_t l, int parts) noexcept nogil:
        """Dropout of layer l in the step of this batch; its rate is 0 for none."""
        cdef fb_dropout drop = self.drops[l]
        drop.step = job.t + batch + 1
        if not parts & DROP:
            drop.rate = 0
        return drop

    # ---- phase 2: one tile

    cdef void sort_entries(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t part,
                           ptrdiff_t n_parts, int parts) noexcept nogil:
        """One part of the nonzeros of a sparse X by panels of inputs, for BP4."""
        cdef fb_dropout drop = self._dropout(job, batch, 0, parts)
        cdef fb_sorted entries = rows.batch
        entries.n_parts = n_parts
        self.k.sort_entries(&job.X.csr, job.order, batch * job.batch_size, &drop if drop.rate > 0 else NULL, n, part,
                            &entries)

    cdef void store_gradient(self, Workspace rows, Job *job, Tile *tile, ptrdiff_t n, int n_threads,
                             int parts) noexcept nogil:
        """The gradient of a tile to where the whole of it is kept, and its squares for the norm."""
        cdef ptrdiff_t l = tile.l, p, at, ld = self.W_ld(l)
        self._tile_gradient(rows, job, tile, n, n_threads, self.dW[l] + tile.offset, ld)  # BP4
        for p in range(self._lines_of_biases(tile)):
            at = (tile.j // self.n_panel + p) * FB_LINE
            self.k.bias_gradient(rows.delta[l] + at * rows.ld, n, self._outputs(tile, p), self.db[l] + at)  # BP3
            if parts & UPDATE and self.clip_norm > 0:
                self.norms[self.first_block[self.L + 1] + tile.line + p] = self.k.gradient_squares(
                    <char *> self.layer[l].b + at, self.db[l] + at, 1, False, &self.steps[0])
        if not (parts & UPDATE and self.clip_norm > 0):
            return
        for p in range(tile.n_panels):
            at = tile.offset + p * ld * FB_LINE
            self.norms[tile.block + p * self.block_step(l)] = self.k.gradient_squares(
                self.weights(l) + at, self.dW[l] + at, tile.n_rows, self.by_inputs(l), &self.steps[l])

    cdef void phase_2(self, Workspace rows, Job *job, Tile *tile, ptrdiff_t n, int n_threads) noexcept nogil:
        """One tile: its gradient over all rows of the batch, unless it is stored, then U, and the mirror."""
        cdef char[(MAX_TILE_PANELS * 16 + 2) * 64] block  # at most 16 lines of 64 bytes a panel, one line of biases
        cdef char *db = <char *> ((<size_t> &block[0] + FB_LINE - 1) // FB_LINE * FB_LINE)
        cdef char *dW = db + FB_LINE
        cdef ptrdiff_t dW_ld = self.n_panel, l = tile.l, p, at, ld = self.W_ld(l), stride = self.block_step(l)
        cdef bint by_inputs = self.by_inputs(l)
        cdef char *W = self.weights(l)
        if self.clip_norm > 0:
            dW, dW_ld = self.dW[l] + tile.offset, ld
        else:
            self._tile_gradient(rows, job, tile, n, n_threads, dW, dW_ld)  # BP4
        for p in range(tile.n_panels):
            at = tile.offset + p * ld * FB_LINE
            self.squares[tile.block + p * stride] = self.k.update(
                W + at, dW + p * dW_ld * FB_LINE, self.m[l] + at, self.v[l] + at,
                self.average[l] + at if self.averages else NULL, tile.n_rows, by_inputs, &self.steps[l])  # U
            if not by_inputs:
                self.k.mirror(&self.layer[l], tile.j, tile.k + p * self.n_panel)
        for p in range(self._lines_of_biases(tile)):
            at = (tile.j // self.n_panel + p) * FB_LINE
            if self.clip_norm > 0:
                db = self.db[l] + at
            else:
                self.k.bias_gradient(rows.delta[l] + at * rows.ld, n, self._outputs(tile, p), db)  # BP3
            self.k.update(<char *> self.layer[l].b + at, db, self.mb[l] + at, self.vb[l] + at,
                          self.average_b[l] + at if self.averages else NULL, 1, False, &self.steps[0])  # U

    cdef ptrdiff_t _lines_of_biases(self, Tile *tile) noexcept nogil:
        """The biases that this tile owns: those of its outputs, if its inputs are the first."""
        return 0 if tile.k > 0 else tile.n_panels if self.by_inputs(tile.l) else 1

    cdef ptrdiff_t _outputs(self, Tile *tile, ptrdiff_t p) noexcept nogil:
        """Of a tile, in the panel of outputs that is its p-th."""
        return min(self.n_panel, self.layer[tile.l].n_out - tile.j - p * self.n_panel)

    cdef void _tile_gradient(self, Workspace rows, Job *job, Tile *tile, ptrdiff_t n, int n_threads, char *dW,
                             ptrdiff_t dW_ld) noexcept nogil:
        cdef ptrdiff_t j = tile.j // self.n_panel, k = tile.k // self.n_panel, panel = rows.ld * FB_LINE, p
        cdef char *delta = rows.delta[tile.l] + j * panel
        cdef char *a_prev = rows.a[tile.l - 1] + k * panel
        cdef bint by_inputs = self.by_inputs(tile.l)
        cdef fb_sorted entries
        if tile.l > 1 or not job.X.sparse:
            if by_inputs:
                delta, a_prev = a_prev, delta
            self.k.gradient(delta, a_prev, n, rows.ld, tile.n_rows, tile.n_columns, dW, dW_ld)  # BP4
            return
        entries = rows.batch
        entries.n_parts = n_threads
        for p in range(tile.n_panels):
            if by_inputs:
                self.k.gradient_sparse(delta + p * panel, &entries, k, self._outputs(tile, p), tile.n_rows, True,
                                       dW + p * dW_ld * FB_LINE)  # BP4
            else:
                self.k.gradient_sparse(delta, &entries, k + p, tile.n_rows, self.n_panel, False,
                                       dW + p * dW_ld * FB_LINE)  # BP4
