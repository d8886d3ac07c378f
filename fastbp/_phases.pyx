"""The two phases of a step (docs/architecture.md): the only OpenMP in the engine.

Phase 1 takes a shard of the batch's rows forward through all layers and back; its rows are independent. Phase 2 gives
every tile of weights one owner, who sums its gradient over all rows of the batch and applies the update in the same
visit. Two barriers a step, no reduction, nothing allocated; what is computed does not depend on shards, tiles, threads.
"""

import numpy as np

cimport numpy as cnp
from cython.parallel cimport parallel, prange, threadid
from libc.math cimport sqrt
from libc.stdint cimport int64_t

from fastbp._kernels cimport FB_ADAM, FB_LINE, activation_named, fb_layer, fb_rows, fb_step, output_of
from fastbp._memory cimport Arena, Workspace, panels
from fastbp._openmp cimport omp_barrier
from fastbp._parameters cimport MAX_TILE_PANELS, Parameters, Tile

cnp.import_array()

# Rows of a shard at most: its activations stay in L2 through all layers.
cdef ptrdiff_t SHARD_ROWS = 96
# Shards begin on multiples of so many rows: few, so that the threads' shares are nearly equal.
cdef ptrdiff_t SHARD_UNIT = 4
# Floating-point operations that pay for one more thread's part in two barriers.
cdef double WORK_PER_THREAD = 1e6


cdef double integer_power(double x, int64_t n) noexcept nogil:
    """x^n by squaring: the same bits everywhere, as libm's pow is not."""
    cdef double y = 1
    while n > 0:
        if n & 1:
            y *= x
        x *= x
        n >>= 1
    return y


cdef class Phases(Parameters):
    """A network's parameters, and how the threads work on them."""

    def __init__(self, sizes, activations, output, loss, dtype, n_threads=1, isa=None):
        self.n_threads = n_threads
        y_is_class = loss == "log_loss" and self.sizes[self.L] > 1
        self.out = output_of(self.sizes[self.L], output, loss, y_is_class, self.dtype)
        for l in range(1, self.L):
            self.layer[l].activation = activation_named(activations[l - 1])

    # ---- how the work is shared

    cdef double flops(self, ptrdiff_t rows, bint backward) noexcept nogil:
        """Floating-point operations of one pass: forward, and backward twice that but for the first layer's BP2."""
        cdef double weights = 0
        cdef ptrdiff_t l
        for l in range(1, self.L + 1):
            weights += (1 if not backward else 2 if l == 1 else 3) * <double> self.layer[l].n_in * self.layer[l].n_out
        return 2 * rows * weights

    cdef int worthwhile_threads(self, double flops) noexcept nogil:
        return max(1, <int> min(flops / WORK_PER_THREAD, <double> self.n_threads))

    cdef ptrdiff_t _count_shards(self, ptrdiff_t n, int n_threads) noexcept nogil:
        """Shards of a batch: a multiple of the threads, of SHARD_ROWS at most."""
        cdef ptrdiff_t n_shards = n_threads * ((n + n_threads * SHARD_ROWS - 1) // (n_threads * SHARD_ROWS))
        return min(n_shards, (n + SHARD_UNIT - 1) // SHARD_UNIT)

    cdef ptrdiff_t _first_tile(self, ptrdiff_t part, ptrdiff_t n_parts) noexcept nogil:
        """Where one of n_parts stretches of tiles of equal work begins."""
        cdef Tile *tile = &self.tiles[self.n_tiles - 1]
        cdef ptrdiff_t work = (tile.work + tile.n_rows * tile.n_columns) * part // n_parts
        cdef ptrdiff_t low = 0, high = self.n_tiles, middle
        while low < high:  # the first tile whose middle is at `work` or after
            middle = (low + high) // 2
            tile = &self.tiles[middle]
            if tile.work + tile.n_rows * tile.n_columns // 2 < work:
                low = middle + 1
            else:
                high = middle
        return low

    # ---- the two phases

    cdef void train(self, Job *job, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads) noexcept:
        """Batches first..last in one parallel region. Beside each phase, thread 0 does what needs one thread.

        A prange in a parallel block does not wait at its end: the barriers are explicit.
        """
        cdef ptrdiff_t batch, shard, part, tile, n, n_shards
        with nogil, parallel(num_threads=n_threads):
            for batch in range(first, last):
                n = min(job.batch_size, job.n - batch * job.batch_size)
                n_shards = self._count_shards(n, n_threads)
                if threadid() == 0:
                    self._begin_step(job, batch, n)
                for shard in prange(n_shards, schedule="static"):
                    self._phase_1(rows, job, batch * job.batch_size, n, shard, n_shards, threadid())
                omp_barrier()
                if threadid() == 0:
                    self._add_loss(job, rows, n)
                for part in prange(n_threads, schedule="static", chunksize=1):
                    for tile in range(self._first_tile(part, n_threads), self._first_tile(part + 1, n_threads)):
                        self._phase_2(rows, &self.tiles[tile], n, &job.step)
                omp_barrier()

    cdef void predict_rows(self, Workspace rows, const fb_rows *X, ptrdiff_t n, ptrdiff_t block, int n_threads,
                           char *out) noexcept:
        """a[L] of n rows of X into `out`, each thread `block` of them at a time in its part of the workspace."""
        cdef ptrdiff_t i, n_blocks = (n + block - 1) // block
        with nogil, parallel(num_threads=n_threads):
            for i in prange(n_blocks, schedule="static"):
                self._predict_block(rows, X, i * block, min(block, n - i * block), block, threadid(), out)

    cdef object gradient_pass(self, Job *job, Workspace rows):
        """The phases on all rows, but with the gradient stored: the list of (dW in scikit-learn's orientation, db)."""
        cdef int n_threads = self.worthwhile_threads(self.flops(job.n, True))
        cdef ptrdiff_t l, i, shard, n_shards = self._count_shards(job.n, n_threads)
        rows_of_layers = [self.layer[l].rows for l in range(1, self.L + 1)]
        lines = [panels(self.layer[l].n_in, self.itemsize) * self.layer[l].rows for l in range(1, self.L + 1)]
        cdef Arena arena = Arena(sum(lines) + sum(rows_of_layers))
        cdef char *dW = arena.take(sum(lines))
        cdef char *db = arena.take(arena.lines_left)
        cdef const int64_t[::1] dW_at = np.cumsum([0] + lines) * FB_LINE
        cdef const int64_t[::1] db_at = np.cumsum([0] + rows_of_layers) * self.itemsize
        self._sum_weights(job, 0, job.n)
        with nogil, parallel(num_threads=n_threads):
            for shard in prange(n_shards, schedule="static"):
                self._phase_1(rows, job, 0, job.n, shard, n_shards, threadid())
            omp_barrier()
            for i in prange(self.n_tiles, schedule="static", chunksize=1):
                self._store_gradient(rows, &self.tiles[i], job.n, dW + dW_at[self.tiles[i].l - 1],
                                     db + db_at[self.tiles[i].l - 1])
        self._add_loss(job, rows, job.n)
        return [self.unpack(l, dW + dW_at[l - 1], db + db_at[l - 1]) for l in range(1, self.L + 1)]

    cdef void _begin_step(self, Job *job, ptrdiff_t batch, ptrdiff_t n) noexcept nogil:
        """What all tiles of the step share."""
        cdef fb_step *step = &job.step
        cdef int64_t t = job.t + batch + 1
        self._sum_weights(job, batch * job.batch_size, n)
        step.alpha, step.learning_rate = job.alpha, job.learning_rate[batch]
        step.scale = 1 / job.sum_w if job.sum_w > 0 else 0  # rows of no weight teach nothing
        if step.solver == FB_ADAM:  # Kingma and Ba (2015), section 2: both bias corrections in the rate
            step.learning_rate *= sqrt(1 - integer_power(step.beta_2, t)) / (1 - integer_power(step.beta_1, t))

    cdef void _sum_weights(self, Job *job, ptrdiff_t first, ptrdiff_t n) noexcept nogil:
        """The sum of the rows' weights, and |W|^2 as it is before the step."""
        cdef ptrdiff_t i, row
        job.sum_w = n
        if job.w != NULL:
            job.sum_w = 0
            for i in range(first, first + n):
                row = i if job.order == NULL else job.order[i]
                if self.itemsize == sizeof(double):
                    job.sum_w += (<const double *> job.w)[row]
                else:
                    job.sum_w += (<const float *> job.w)[row]
        job.squares = 0
        for i in range(self.n_blocks):
            job.squares += self.squares[i]

    cdef void _add_loss(self, Job *job, Workspace rows, ptrdiff_t n) noexcept nogil:
        """The batch's loss, rows in order."""
        cdef double loss = 0
        cdef ptrdiff_t s
        for s in range(n):
            loss += rows.losses[s]
        if job.sum_w > 0:
            job.data_loss += n * (loss / job.sum_w)
            job.penalty += n * (job.squares / job.sum_w)

    cdef void _phase_1(self, Workspace rows, Job *job, ptrdiff_t first, ptrdiff_t n_batch, ptrdiff_t shard,
                       ptrdiff_t n_shards, int thread) noexcept nogil:
        """One shard of the batch that begins at row `first` of the order: gather, forward, backward."""
        cdef ptrdiff_t n_units = (n_batch + SHARD_UNIT - 1) // SHARD_UNIT
        cdef ptrdiff_t s = n_units * shard // n_shards * SHARD_UNIT
        cdef ptrdiff_t n = min(n_units * (shard + 1) // n_shards * SHARD_UNIT, n_batch) - s
        cdef ptrdiff_t l, L = self.L, ld = rows.ld, at = s * FB_LINE
        cdef char *w = NULL
        self.k.gather(&job.X, job.order, first + s, n, rows.a[0] + at, ld)
        self.k.gather_columns(job.y, job.n_y, job.order, first + s, n, rows.y + s * self.itemsize, ld)
        if job.w != NULL:
            w = rows.w + s * self.itemsize
            self.k.gather_columns(job.w, 1, job.order, first + s, n, w, ld)

        for l in range(1, L + 1):
            self.k.forward(&self.layer[l], rows.a[l - 1] + at, rows.z[l] + at, rows.a[l] + at, n, ld)  # F
        self.k.loss(&self.out, rows.z[L] + at, rows.y + s * self.itemsize, w, rows.a[L] + at, rows.delta[L] + at,
                    rows.losses + s, rows.scratch + thread * rows.n_scratch * FB_LINE, n, ld)  # BP1
        for l in range(L, 1, -1):
            self.k.delta(&self.layer[l], self.layer[l - 1].activation, rows.delta[l] + at, rows.a[l - 1] + at,
                         rows.delta[l - 1] + at, n, ld)  # BP2

    cdef void _phase_2(self, Workspace rows, Tile *tile, ptrdiff_t n, const fb_step *step) noexcept nogil:
        """One tile: its gradient over all rows of the batch, then the update of W and of its mirror."""
        cdef char[(MAX_TILE_PANELS * 16 + 1) * 64] block  # a tile of at most 16 lines of 64 bytes a panel
        cdef char *dW = <char *> ((<size_t> &block[0] + FB_LINE - 1) // FB_LINE * FB_LINE)
        cdef fb_layer *layer = &self.layer[tile.l]
        cdef ptrdiff_t p, at
        self._tile_gradient(rows, tile, n, dW, self.n_panel)  # BP4
        for p in range(tile.n_panels):
            at = tile.offset + p * layer.rows * FB_LINE
            self.squares[tile.block + p] = self.k.update(
                <char *> layer.W + at, dW + p * self.n_panel * FB_LINE, self.m[tile.l] + at, self.v[tile.l] + at,
                NULL, tile.n_rows, step)  # U
            self.k.mirror(layer, tile.j, tile.k + p * self.n_panel)
        if tile.k == 0:
            self._update_bias(rows, tile, n, step)

    cdef void _tile_gradient(self, Workspace rows, Tile *tile, ptrdiff_t n, char *dW, ptrdiff_t dW_ld) noexcept nogil:
        cdef char *delta = rows.delta[tile.l] + tile.j // self.n_panel * rows.ld * FB_LINE
        cdef char *a_prev = rows.a[tile.l - 1] + tile.k // self.n_panel * rows.ld * FB_LINE
        self.k.gradient(delta, a_prev, n, rows.ld, tile.n_rows, tile.n_columns, dW, dW_ld)  # BP4

    cdef void _update_bias(self, Workspace rows, Tile *tile, ptrdiff_t n, const fb_step *step) noexcept nogil:
        cdef ptrdiff_t l = tile.l, at = tile.j // self.n_panel * FB_LINE
        cdef double[8] db  # one line
        cdef fb_step unpenalised = step[0]
        unpenalised.alpha = 0
        self.k.bias_gradient(rows.delta[l] + at * rows.ld, n, tile.n_rows, &db[0])  # BP3
        self.k.update(<char *> self.layer[l].b + at, &db[0], self.mb[l] + at, self.vb[l] + at, NULL, 1, &unpenalised)  # U

    cdef void _store_gradient(self, Workspace rows, Tile *tile, ptrdiff_t n, char *dW, char *db) noexcept nogil:
        cdef ptrdiff_t at = tile.j // self.n_panel * FB_LINE
        self._tile_gradient(rows, tile, n, dW + tile.offset, self.layer[tile.l].rows)  # BP4
        if tile.k == 0:
            self.k.bias_gradient(rows.delta[tile.l] + at * rows.ld, n, tile.n_rows, db + at)  # BP3

    cdef void _predict_block(self, Workspace rows, const fb_rows *X, ptrdiff_t first, ptrdiff_t n, ptrdiff_t block,
                             int thread, char *out) noexcept nogil:
        """Rows first.. of X forward, in the thread's block of the workspace."""
        cdef ptrdiff_t l, L = self.L, ld = rows.ld, at = thread * block * FB_LINE
        cdef char *scratch = rows.scratch + thread * rows.n_scratch * FB_LINE
        self.k.gather(X, NULL, first, n, rows.a[0] + at, ld)
        for l in range(1, L + 1):
            self.k.forward(&self.layer[l], rows.a[l - 1] + at, rows.z[l] + at, rows.a[l] + at, n, ld)  # F
        self.k.output(&self.out, rows.z[L] + at, rows.a[L] + at, scratch, n, ld)
        self.k.scatter(rows.a[L] + at, n, self.out.n_out, ld, out + first * self.out.n_out * self.itemsize)
