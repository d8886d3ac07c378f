"""The engine: layers, shards of rows, tiles of weights, and the two phases of a step (docs/architecture.md).

Phase 1 takes a shard of the batch's rows forward through all layers and back; its rows are independent. Phase 2 gives
every tile of weights one owner, who sums its gradient over all rows of the batch and applies the update in the same
visit. Two barriers a step, no reduction, nothing allocated; what is computed does not depend on shards, tiles, threads.
"""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel, prange, threadid
from libc.math cimport sqrt
from libc.stdint cimport int64_t

from fastbp._kernels cimport FB_ADAM, FB_LINE, activation_named, fb_layer, fb_output, fb_rows, fb_step, output_of
from fastbp._memory cimport Arena, Workspace, panels, rows_of
from fastbp._openmp cimport omp_get_max_threads
from fastbp._parameters cimport MAX_TILE_PANELS, Parameters, Tile

cnp.import_array()

# Rows of a shard at most: its activations stay in L2 through all layers.
cdef ptrdiff_t SHARD_ROWS = 96
# Shards begin on multiples of so many rows, so that no two of them write one cache line of y or the losses.
cdef ptrdiff_t SHARD_UNIT = 16
# Floating-point operations that pay for one more thread's part in two barriers.
cdef double WORK_PER_THREAD = 1e6
# Floating-point operations between two looks for Ctrl-C: some 50 ms.
cdef double WORK_PER_CHECK = 5e9


def omp_max_threads():
    """OpenMP's own bound on threads: OMP_NUM_THREADS, threadpoolctl, or the processors."""
    return omp_get_max_threads()


cdef struct Job:
    # The data of a call, and what the threads share about the batch in hand.
    fb_rows X
    const char *y
    const char *w
    const int64_t *order
    const double *learning_rate
    ptrdiff_t n, n_y, batch_size
    double alpha
    int64_t t              # optimizer steps done before batch 0
    fb_step step
    double sum_w, squares  # of the batch; |W|^2 before its step
    double data_loss, penalty


cdef double integer_power(double x, int64_t n) noexcept nogil:
    """x^n by squaring: the same bits everywhere, as libm's pow is not."""
    cdef double y = 1
    while n > 0:
        if n & 1:
            y *= x
        x *= x
        n >>= 1
    return y


cdef class Network(Parameters):
    """A fully connected network: packed parameters, training, gradients, prediction.

    Parameters
    ----------
    sizes : sequence of L + 1 int
        Units of each layer, inputs first.
    activations : sequence of L - 1 str
        Of the hidden layers.
    output, loss : str
        The activation of the last layer, and the loss.
    dtype : numpy.float32 or numpy.float64
        The precision of all parameters and arithmetic.
    n_threads : int, default=1
        Threads at most; work that is not worth them runs on fewer. The results do not depend on it.
    isa : str, default=None
        The instruction set; None for the selected one.
    """

    cdef public int n_threads
    cdef fb_output out
    cdef Workspace workspace

    def __init__(self, sizes, activations, output, loss, dtype, n_threads=1, isa=None):
        self.n_threads = n_threads
        y_is_class = loss == "log_loss" and self.sizes[self.L] > 1
        self.out = output_of(self.sizes[self.L], output, loss, y_is_class, self.dtype)
        for l in range(1, self.L):
            self.layer[l].activation = activation_named(activations[l - 1])

    # ---- what a caller sees

    def train_epoch(self, X, y, order, batch_size, learning_rate, alpha=0.0, sample_weight=None):
        """One pass over the rows in mini-batches, a step of the optimizer after each.

        Parameters
        ----------
        X : ndarray (n, size[0]), float32 or float64, any strides
        y : ndarray (n, size[L]) of dtype; for the log loss of several outputs (n, 1), the class of each row
        order : ndarray of int64 or None
            The rows, in the order of the pass; None for all of them as they come.
        batch_size : int
            Rows of a batch; the last may be smaller.
        learning_rate : float or ndarray (n_batches,)
        alpha : float, default=0.0
            The penalty alpha / 2 |W|^2 on a batch's sum of costs.
        sample_weight : ndarray (n,), default=None

        Returns
        -------
        data_loss, penalty : float
            Sums over the batches of n_b (sum w C / sum w) and of n_b |W|^2 / sum w, n_b the rows of the batch.

        Raises
        ------
        KeyboardInterrupt
            On Ctrl-C, after a whole number of batches.
        """
        cdef Job job
        cdef ptrdiff_t batch, last
        arrays = self._check_data(X, y, sample_weight, order)
        self._describe(&job, arrays)
        job.batch_size = max(1, min(<ptrdiff_t> batch_size, job.n))
        cdef ptrdiff_t n_batches = (job.n + job.batch_size - 1) // job.batch_size
        rates = np.ascontiguousarray(np.broadcast_to(np.asarray(learning_rate, dtype=np.float64), (n_batches,)))
        job.learning_rate = <const double *> cnp.PyArray_DATA(rates)
        job.alpha = alpha
        if self.workspace is None or self.workspace.rows != job.batch_size:
            self.workspace = Workspace(self.sizes, self.itemsize, job.batch_size, job.n_y, self.n_threads)

        cdef double work = self._flops(job.batch_size, True)
        cdef int n_threads = self._worthwhile_threads(work)
        cdef ptrdiff_t chunk = max(1, <ptrdiff_t> (WORK_PER_CHECK / work))
        for batch in range(0, n_batches, chunk):
            last = min(batch + chunk, n_batches)
            self._train(&job, self.workspace, batch, last, n_threads)
            self.t = job.t + last
            PyErr_CheckSignals()
        return job.data_loss, job.penalty

    def loss_gradient(self, X, y, sample_weight=None, alpha=0.0):
        """The mean cost with its penalty, and its gradient, over all rows at once.

        Returns
        -------
        loss : float
            (sum w C + alpha / 2 |W|^2) / sum w
        coef_grads, intercept_grads : lists of ndarray
            Like get_parameters().
        """
        cdef Job job
        arrays = self._check_data(X, y, sample_weight)
        self._describe(&job, arrays)
        rows = Workspace(self.sizes, self.itemsize, job.n, job.n_y, self.n_threads)
        gradients = self._gradient_pass(&job, rows)
        coefs, _ = self.get_parameters()
        for (dW, db), W in zip(gradients, coefs):
            dW += alpha * W
            dW /= job.sum_w
            db /= job.sum_w
        loss = (job.data_loss + 0.5 * alpha * job.penalty) / job.n
        return loss, [dW for dW, _ in gradients], [db for _, db in gradients]

    def backprop(self, X, y, sample_weight=None):
        """Everything that one pass computes: lists z, a, delta, dW, db by layer, and the summed loss."""
        cdef Job job
        arrays = self._check_data(X, y, sample_weight)
        self._describe(&job, arrays)
        cdef Workspace rows = Workspace(self.sizes, self.itemsize, job.n, job.n_y, self.n_threads, keep_z=True)
        gradients = self._gradient_pass(&job, rows)
        z, a, delta = [None], [self._unpack_rows(rows, rows.a[0], 0)], [None]
        for l in range(1, self.L + 1):
            z.append(self._unpack_rows(rows, rows.z[l], l))
            a.append(self._unpack_rows(rows, rows.a[l], l))
            delta.append(self._unpack_rows(rows, rows.delta[l], l))
        return {"z": z, "a": a, "delta": delta, "dW": [None] + [np.ascontiguousarray(dW.T) for dW, _ in gradients],
                "db": [None] + [db for _, db in gradients], "loss": job.data_loss * job.sum_w / job.n}

    def predict(self, X):
        """a[L] of the rows of X (n, size[L])."""
        cdef ptrdiff_t i, n, block, n_blocks
        if X.ndim != 2 or X.shape[1] != self.sizes[0]:
            raise ValueError(f"got X of shape {X.shape}, expected (n_samples, {self.sizes[0]}).")
        n = X.shape[0]
        a = np.empty((n, self.sizes[self.L]), self.dtype)
        cdef int n_threads = self._worthwhile_threads(self._flops(n, False))
        block = max(1, min(SHARD_ROWS, (n + n_threads - 1) // n_threads))
        n_blocks = (n + block - 1) // block
        cdef Workspace rows = Workspace(self.sizes, self.itemsize, n_threads * block, 0, n_threads, backward=False)
        cdef fb_rows X_rows = rows_of(X)
        cdef char *out = <char *> cnp.PyArray_DATA(a)
        with nogil, parallel(num_threads=n_threads):
            for i in prange(n_blocks, schedule="static"):
                self._predict_block(rows, &X_rows, i * block, min(block, n - i * block), threadid() * block, threadid(), out)
        return a

    # ---- checks and bookkeeping

    def _check_data(self, X, y, sample_weight, order=None):
        """The arrays as the kernels take them, of shapes that fit this network."""
        if X.ndim != 2 or X.shape[1] != self.sizes[0]:
            raise ValueError(f"got X of shape {X.shape}, expected (n_samples, {self.sizes[0]}).")
        expected = X.shape[0], 1 if self.out.y_is_class else self.sizes[self.L]
        if y.shape != expected:
            raise ValueError(f"got y of shape {y.shape}, expected {expected}.")
        y = np.ascontiguousarray(y, dtype=self.dtype)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(sample_weight, dtype=self.dtype)
            if sample_weight.shape != expected[:1]:
                raise ValueError(f"got sample_weight of shape {sample_weight.shape}, expected {expected[:1]}.")
        if order is not None:
            order = np.ascontiguousarray(order, dtype=np.int64)
            if order.size and (order.min() < 0 or order.max() >= X.shape[0]):
                raise IndexError(f"got row indices from {order.min()} to {order.max()}, expected 0 to {X.shape[0] - 1}.")
        if X.shape[0] == 0 or (order is not None and order.size == 0):
            raise ValueError("got no samples, expected at least one.")
        return X, y, sample_weight, order

    cdef _describe(self, Job *job, arrays):
        """A job of one batch on the arrays of _check_data, which must outlive it."""
        X, y, w, order = arrays
        job.X = rows_of(X)
        job.y, job.n_y = <const char *> cnp.PyArray_DATA(y), y.shape[1]
        job.w = NULL if w is None else <const char *> cnp.PyArray_DATA(w)
        job.order = NULL if order is None else <const int64_t *> cnp.PyArray_DATA(order)
        job.n = job.batch_size = X.shape[0] if order is None else order.shape[0]
        job.learning_rate = NULL
        job.alpha = job.data_loss = job.penalty = 0
        job.t, job.step = self.t, self.settings

    cdef object _unpack_rows(self, Workspace rows, const char *panels_of_rows, ptrdiff_t l):
        A = np.empty((rows.rows, self.sizes[l]), self.dtype)
        self.k.scatter(panels_of_rows, rows.rows, self.sizes[l], rows.ld, cnp.PyArray_DATA(A))
        return A

    cdef double _flops(self, ptrdiff_t rows, bint backward) noexcept nogil:
        """Floating-point operations of one pass: forward, and backward twice that but for the first layer's BP2."""
        cdef double weights = 0
        cdef ptrdiff_t l
        for l in range(1, self.L + 1):
            weights += (1 if not backward else 2 if l == 1 else 3) * <double> self.layer[l].n_in * self.layer[l].n_out
        return 2 * rows * weights

    cdef int _worthwhile_threads(self, double flops) noexcept nogil:
        return max(1, <int> min(flops / WORK_PER_THREAD, <double> self.n_threads))

    cdef ptrdiff_t _count_shards(self, ptrdiff_t n, int n_threads) noexcept nogil:
        """Shards of a batch: a multiple of the threads, of SHARD_ROWS at most."""
        cdef ptrdiff_t n_shards = n_threads * ((n + n_threads * SHARD_ROWS - 1) // (n_threads * SHARD_ROWS))
        return min(n_shards, (n + SHARD_UNIT - 1) // SHARD_UNIT)

    # ---- the two phases

    cdef void _train(self, Job *job, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads) noexcept:
        """Batches first..last in one parallel region. Between the phases, thread 0 does what needs one thread."""
        cdef ptrdiff_t batch, shard, tile, n, n_shards
        with nogil, parallel(num_threads=n_threads):
            for batch in range(first, last):
                n = min(job.batch_size, job.n - batch * job.batch_size)
                n_shards = self._count_shards(n, n_threads)
                if threadid() == 0:
                    self._begin_step(job, batch, n)
                for shard in prange(n_shards, schedule="static"):
                    self._phase_1(rows, job, batch * job.batch_size, n, shard, n_shards, threadid())
                if threadid() == 0:
                    self._add_loss(job, rows, n)
                for tile in prange(self.n_tiles, schedule="static", chunksize=1):
                    self._phase_2(rows, &self.tiles[tile], n, &job.step)

    cdef object _gradient_pass(self, Job *job, Workspace rows):
        """The phases on all rows, but with the gradient stored: the list of (dW in scikit-learn's orientation, db)."""
        cdef int n_threads = self._worthwhile_threads(self._flops(job.n, True))
        cdef ptrdiff_t l, i, shard, n_shards = self._count_shards(job.n, n_threads)
        lines = [panels(self.layer[l].n_in, self.itemsize) * self.layer[l].rows for l in range(1, self.L + 1)]
        offsets = np.cumsum([0] + lines) * FB_LINE
        cdef Arena arena = Arena(sum(lines) + sum(self.layer[l].rows for l in range(1, self.L + 1)))
        cdef char *dW = arena.take(sum(lines))
        cdef char *db = arena.take(arena.lines_left)
        cdef const int64_t[::1] dW_at = offsets.astype(np.int64)
        cdef const int64_t[::1] db_at = np.cumsum([0] + [self.layer[l].rows for l in range(1, self.L + 1)]) * self.itemsize
        cdef Tile *tile
        self._sum_weights(job, 0, job.n)
        with nogil, parallel(num_threads=n_threads):
            for shard in prange(n_shards, schedule="static"):
                self._phase_1(rows, job, 0, job.n, shard, n_shards, threadid())
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
        step.alpha, step.scale, step.learning_rate = job.alpha, 1 / job.sum_w, job.learning_rate[batch]
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
                tile.n_rows, step)  # U
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
        self.k.update(<char *> self.layer[l].b + at, &db[0], self.mb[l] + at, self.vb[l] + at, 1, &unpenalised)  # U

    cdef void _store_gradient(self, Workspace rows, Tile *tile, ptrdiff_t n, char *dW, char *db) noexcept nogil:
        cdef ptrdiff_t at = tile.j // self.n_panel * FB_LINE
        self._tile_gradient(rows, tile, n, dW + tile.offset, self.layer[tile.l].rows)  # BP4
        if tile.k == 0:
            self.k.bias_gradient(rows.delta[tile.l] + at * rows.ld, n, tile.n_rows, db + at)  # BP3

    cdef void _predict_block(self, Workspace rows, const fb_rows *X, ptrdiff_t first, ptrdiff_t n, ptrdiff_t s, int thread,
                             char *out) noexcept nogil:
        """Rows first.. of X forward, in the rows s.. of the workspace."""
        cdef ptrdiff_t l, L = self.L, ld = rows.ld, at = s * FB_LINE
        self.k.gather(X, NULL, first, n, rows.a[0] + at, ld)
        for l in range(1, L + 1):
            self.k.forward(&self.layer[l], rows.a[l - 1] + at, rows.z[l] + at, rows.a[l] + at, n, ld)  # F
        self.k.output(&self.out, rows.z[L] + at, rows.a[L] + at, rows.scratch + thread * rows.n_scratch * FB_LINE, n, ld)
        self.k.scatter(rows.a[L] + at, n, self.out.n_out, ld, out + first * self.out.n_out * self.itemsize)
