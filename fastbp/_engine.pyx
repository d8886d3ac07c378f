"""The engine's face: a network that trains, differentiates and predicts on NumPy arrays."""

from time import perf_counter

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from fastbp._kernels cimport FB_LINE, FB_SOFTMAX, fb_rows
from fastbp._memory cimport KEEP_NOTHING, Inputs, Workspace, inputs_of, panels, rows_of
from fastbp._openmp cimport omp_get_max_threads
from fastbp._phases cimport BACKWARD, DROP, FORWARD, GRADIENT, LOSS, UPDATE, Job
from fastbp._team cimport Team

from fastbp._pace import Pace

cnp.import_array()

# Rows of a block of predictions: its activations stay in L2 through all layers.
cdef ptrdiff_t PREDICT_ROWS = 96
# Rows of a block in which losses and input gradients are computed: enough for several threads.
cdef ptrdiff_t EVALUATED_ROWS = 1024


def omp_max_threads():
    """OpenMP's own bound on threads: OMP_NUM_THREADS, threadpoolctl, or the processors."""
    return omp_get_max_threads()


cdef class Network(Team):
    """A fully connected network: packed parameters, training, gradients, prediction.

    X is always an array (n, size[0]) of float32 or float64 with any strides, or a canonical scipy.sparse CSR matrix.

    Parameters
    ----------
    sizes : sequence of L + 1 int
        Units of each layer, inputs first.
    activations : sequence of L - 1 str
        Of the hidden layers.
    output : str
        The activation of the last layer.
    loss : str or callable
        The loss, by name, or f(y, z) -> (losses (n,), their derivatives by z (n, size[L])) with z = z[L].
    dtype : numpy.float32 or numpy.float64
        The precision of all parameters and arithmetic.
    n_threads : int, default=1
        Threads at most; work that is not worth them runs on fewer. The results do not depend on it.
    isa : str, default=None
        The instruction set; None for the selected one.
    smoothing, parameter, levels, class_weights
        Of the loss: see fb_output in csrc/fastbp.h.
    """

    cdef Workspace workspace  # of the last batch size
    cdef Workspace spare  # of the last prediction
    cdef object pace

    # ---- what a caller sees

    def train_epoch(self, X, y, order, batch_size, learning_rate, alpha=0.0, sample_weight=None,
                    deadline=float("inf")):
        """One pass over the rows in mini-batches, a step of the optimizer after each.

        Parameters
        ----------
        X : array or CSR matrix (n, size[0])
        y : ndarray (n, size[L]); for the log and focal loss of several outputs (n, 1), the class of each row
        order : ndarray of int64 or None
            The rows, in the order of the pass; None for all of them as they come.
        batch_size : int
            Rows of a batch; the last may be smaller.
        learning_rate : float or ndarray (n_batches,)
        alpha : float or sequence of L float, default=0.0
            The penalty sum_l alpha_l / 2 |W[l]|^2 on a batch's sum of costs.
        sample_weight : ndarray (n,), default=None
        deadline : float, default=inf
            The time.perf_counter() at which to stop, after whole batches and at least one.

        Returns
        -------
        data_loss, penalty : float
            Sums over the batches of n_b (sum w C / sum w) and of n_b (penalty / sum w), n_b the rows of the batch.
        n_seen : int
            Rows of these batches: all of them unless the deadline passed.

        Raises
        ------
        KeyboardInterrupt
            On Ctrl-C, after a whole number of batches.
        """
        cdef Job job
        cdef ptrdiff_t batch = 0, last
        arrays = self._check_data(X, y, sample_weight, alpha, order)
        self._describe(&job, arrays)
        job.batch_size = max(1, min(<ptrdiff_t> batch_size, job.n))
        cdef ptrdiff_t n_batches = (job.n + job.batch_size - 1) // job.batch_size
        rates = np.ascontiguousarray(np.broadcast_to(np.asarray(learning_rate, dtype=np.float64), (n_batches,)))
        job.learning_rate = <const double *> cnp.PyArray_DATA(rates)
        cdef int parts = FORWARD | LOSS | BACKWARD | GRADIENT | UPDATE | (DROP if self.drops_out else 0)
        self._prepare(&job, self.drops_out)
        while batch < n_batches:
            n_threads, stretch = self.pace.next()
            last = min(batch + <ptrdiff_t> stretch, n_batches)
            self._steps(&job, arrays, self.workspace, batch, last, n_threads, parts)
            self.pace.done(last - batch)
            PyErr_CheckSignals()
            batch = last
            if perf_counter() > deadline:
                break
        return job.data_loss, job.penalty, min(batch * job.batch_size, job.n)

    def loss_gradient(self, X, y, sample_weight=None, alpha=0.0):
        """The mean cost with its penalty, and its gradient, over all rows at once; dropout is not applied.

        Returns
        -------
        loss : float
            (sum w C + sum_l alpha_l / 2 |W[l]|^2) / sum w
        coef_grads, intercept_grads : lists of ndarray
            Like get_parameters().
        """
        cdef Job job
        arrays = self._check_data(X, y, sample_weight, alpha)
        self._describe(&job, arrays)
        self._prepare(&job, False)
        gradients = self._gradient_pass(&job, arrays, self.workspace)
        coefs, _ = self.get_parameters()
        for (dW, db), W, alpha_l in zip(gradients, coefs, arrays[4]):
            dW += alpha_l * W
            dW /= job.sum_w
            db /= job.sum_w
        loss = (job.data_loss + job.penalty) / job.n
        return loss, [dW for dW, _ in gradients], [db for _, db in gradients]

    def backprop(self, X, y, sample_weight=None):
        """Everything that one pass computes: lists z, a, delta, dW, db by layer, and the summed loss."""
        cdef Job job
        arrays = self._check_data(X, y, sample_weight, 0.0)
        self._describe(&job, arrays)
        cdef Workspace rows = self._workspace(
            self._layout(job.n, job.n_y, self.n_threads, self._n_entries(&job), show_z=True))
        gradients = self._gradient_pass(&job, arrays, rows)
        a = [self._unpack_rows(rows, rows.a[0], 0) if not job.X.sparse else arrays[0].toarray().astype(self.dtype)]
        z, delta = [None], [None]
        for l in range(1, self.L + 1):
            z.append(self._unpack_rows(rows, rows.z[l], l))
            a.append(self._unpack_rows(rows, rows.a[l], l))
            delta.append(self._unpack_rows(rows, rows.delta[l], l))
        return {"z": z, "a": a, "delta": delta, "dW": [None] + [np.ascontiguousarray(dW.T) for dW, _ in gradients],
                "db": [None] + [db for _, db in gradients], "loss": job.data_loss * job.sum_w / job.n}

    def input_gradients(self, X, output=None, raw=False):
        """The derivatives of a[L], or of z[L] if `raw`, with respect to the inputs.

        Returns
        -------
        ndarray (n, size[0]) for one output, (n, size[L], size[0]) for None, all of them.
        """
        cdef Job job
        cdef Workspace rows
        cdef ptrdiff_t batch, n
        outputs = range(self.sizes[self.L]) if output is None else [output]
        y = np.zeros((X.shape[0], 1 if self.out.y_is_class else self.sizes[self.L]), self.dtype)
        arrays = self._check_data(X, y, None, 0.0)
        self._describe(&job, arrays)
        job.batch_size = min(EVALUATED_ROWS, job.n)
        gradients = np.empty((job.n, len(outputs), self.sizes[0]), self.dtype)
        rows = self._workspace(self._layout(job.batch_size, 1, self.n_threads, first_delta=0))
        cdef int n_threads = self.worthwhile_threads(self.flops(job.batch_size, True, 1))
        for batch in range((job.n + job.batch_size - 1) // job.batch_size):
            n = min(job.batch_size, job.n - batch * job.batch_size)
            self.run(&job, rows, batch, batch + 1, n_threads, FORWARD)
            self.k.output(&self.out, rows.z[self.L], rows.a[self.L], rows.scratch, n, rows.ld)
            for i, j in enumerate(outputs):
                self._seed(rows, n, j, raw)
                self.run(&job, rows, batch, batch + 1, n_threads, BACKWARD)
                at = slice(batch * job.batch_size, batch * job.batch_size + n)
                gradients[at, i] = self._unpack_rows(rows, rows.delta[0], 0)[:n]
        return gradients if output is None else gradients[:, 0]

    def predict(self, X, layer=None, raw=False):
        """a[layer] of the rows of X; layer None is the last, L, and with `raw` its z."""
        cdef ptrdiff_t n, block, l = self.L if layer is None else layer
        self._check_X(X)
        if not 1 <= l <= self.L:
            raise ValueError(f"got layer {layer}, expected 1 to {self.L}.")
        n = X.shape[0]
        a = np.empty((n, self.sizes[l]), self.dtype)
        cdef Inputs inputs = inputs_of(X)
        cdef int n_threads = self.worthwhile_threads(self.flops(n, False, inputs.density))
        block = max(1, min(PREDICT_ROWS, (n + n_threads - 1) // n_threads))
        # Taken, not shared: another thread that predicts meanwhile makes its own.
        cdef Workspace rows = self.spare
        self.spare = None
        if rows is None or rows.rows < n_threads * block or rows.n_threads < n_threads:
            rows = self._workspace((n_threads * block, 0, n_threads, (KEEP_NOTHING,) * (self.L + 1), self.L + 1))
        self.predict_rows(rows, &inputs, n, block, n_threads, l, raw, <char *> cnp.PyArray_DATA(a))
        self.spare = rows
        return a

    def evaluate(self, X, y, sample_weight=None):
        """a[L] of the rows of X, and their mean loss sum w C / sum w, without penalty and without dropout."""
        cdef Job job
        cdef Workspace rows
        cdef ptrdiff_t batch, s, n
        cdef double loss = 0, sum_w = 0
        arrays = self._check_data(X, y, sample_weight, 0.0)
        self._describe(&job, arrays)
        job.batch_size = min(EVALUATED_ROWS, job.n)
        rows = self._workspace(self._layout(job.batch_size, job.n_y, self.n_threads, first_delta=self.L))
        cdef int n_threads = self.worthwhile_threads(self.flops(job.batch_size, False, job.X.density))
        a = np.empty((job.n, self.sizes[self.L]), self.dtype)
        for batch in range((job.n + job.batch_size - 1) // job.batch_size):
            n = min(job.batch_size, job.n - batch * job.batch_size)
            self._steps(&job, arrays, rows, batch, batch + 1, n_threads, FORWARD | LOSS)
            a[batch * job.batch_size:batch * job.batch_size + n] = self._unpack_rows(rows, rows.a[self.L], self.L)[:n]
            for s in range(n):
                loss += rows.losses[s]
            sum_w += job.sum_w
        return a, loss / sum_w if sum_w > 0 else float("nan")

    # ---- passes

    cdef _steps(self, Job *job, arrays, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads, int parts):
        """Batches first..last; a custom loss, which is Python, stands between the two halves of each."""
        cdef ptrdiff_t batch
        if self.custom_loss is None:
            self.run(job, rows, first, last, n_threads, parts)
            return
        for batch in range(first, last):
            self.run(job, rows, batch, batch + 1, n_threads, FORWARD | (parts & DROP))
            self._call_loss(job, arrays, rows, batch)
            if parts & BACKWARD:
                self.run(job, rows, batch, batch + 1, n_threads, parts & ~(FORWARD | LOSS))
            self.add_loss(job, rows, min(job.batch_size, job.n - batch * job.batch_size))

    cdef _call_loss(self, Job *job, arrays, Workspace rows, ptrdiff_t batch):
        """The output of one batch, and its BP1 by the caller's function."""
        cdef ptrdiff_t s, first = batch * job.batch_size, n = min(job.batch_size, job.n - first)
        cdef fb_rows delta_rows
        _, y, w, order, _ = arrays
        chosen = slice(first, first + n) if order is None else order[first:first + n]
        z = self._unpack_rows(rows, rows.z[self.L], self.L)[:n]
        self.k.output(&self.out, rows.z[self.L], rows.a[self.L], rows.scratch, n, rows.ld)
        losses, derivative = self.custom_loss(y[chosen], z)
        losses, delta = np.asarray(losses, dtype=np.float64), np.array(derivative, dtype=self.dtype)
        if losses.shape != (n,) or delta.shape != z.shape:
            raise ValueError(f"got a loss of shape {losses.shape} and its derivative of shape {delta.shape}, expected "
                             f"{(n,)}, one for each row, and {z.shape}, that of the outputs.")
        if w is not None:
            losses, delta = losses * w[chosen], delta * w[chosen][:, None]
        for s in range(n):
            rows.losses[s] = losses[s]
        delta_rows = rows_of(delta)
        self.k.gather(&delta_rows, NULL, 0, n, rows.delta[self.L], rows.ld)

    cdef object _gradient_pass(self, Job *job, arrays, Workspace rows):
        """All rows forward and back: the list of (dW in scikit-learn's orientation, db)."""
        cdef int n_threads = self.worthwhile_threads(self.flops(job.n, True, job.X.density))
        self.keep_gradient()
        self._steps(job, arrays, rows, 0, 1, n_threads, FORWARD | LOSS | BACKWARD | GRADIENT)
        return [self.unpack(l, self.dW[l], self.db[l]) for l in range(1, self.L + 1)]

    cdef _seed(self, Workspace rows, ptrdiff_t n, ptrdiff_t j, bint raw):
        """delta[L] = the derivative of output j with respect to z[L], or that of z_j itself."""
        cdef ptrdiff_t p, n_out = self.out.n_out
        cdef fb_rows delta_rows
        delta = np.zeros((n, n_out), self.dtype)
        delta[:, j] = 1
        delta_rows = rows_of(delta)
        self.k.gather(&delta_rows, NULL, 0, n, rows.delta[self.L], rows.ld)
        if raw:
            return
        if self.out.activation == FB_SOFTMAX:
            self.k.softmax_derive(rows.a[self.L], rows.delta[self.L], rows.scratch, n, n_out, rows.ld)
        else:
            for p in range(panels(n_out, self.itemsize)):
                self.k.derive(self.out.activation, rows.a[self.L] + p * rows.ld * FB_LINE,
                              rows.delta[self.L] + p * rows.ld * FB_LINE, n)

    # ---- checks and bookkeeping

    def _check_X(self, X):
        if X.ndim != 2 or X.shape[1] != self.sizes[0]:
            raise ValueError(f"got X of shape {X.shape}, expected (n_samples, {self.sizes[0]}).")

    def _check_data(self, X, y, sample_weight, alpha, order=None):
        """(X, y, sample_weight, order, alpha) as the kernels take them, of shapes that fit this network."""
        self._check_X(X)
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
                raise IndexError(f"got row indices from {order.min()} to {order.max()}, "
                                 f"expected 0 to {X.shape[0] - 1}.")
        if X.shape[0] == 0 or (order is not None and order.size == 0):
            raise ValueError("got no samples, expected at least one.")
        if np.ndim(alpha) > 0 and len(alpha) != self.L:
            raise ValueError(f"got {len(alpha)} values of alpha, expected one or {self.L}.")
        alpha = np.ascontiguousarray(np.broadcast_to(np.asarray(alpha, dtype=np.float64), (self.L,)))
        return X, y, sample_weight, order, alpha

    cdef _describe(self, Job *job, arrays):
        """A job of one batch on the arrays of _check_data, which must outlive it."""
        X, y, w, order, alpha = arrays
        job.X = inputs_of(X)
        job.y, job.n_y = <const char *> cnp.PyArray_DATA(y), y.shape[1]
        job.w = NULL if w is None else <const char *> cnp.PyArray_DATA(w)
        job.order = NULL if order is None else <const int64_t *> cnp.PyArray_DATA(order)
        job.n = job.batch_size = X.shape[0] if order is None else order.shape[0]
        job.alpha = <const double *> cnp.PyArray_DATA(alpha)
        job.learning_rate = NULL
        job.data_loss = job.penalty = 0
        job.t = self.t

    cdef _prepare(self, Job *job, bint dropout):
        """The buffers of a batch and the choice of threads, kept for the next call with the same batches."""
        layout = self._layout(job.batch_size, job.n_y, self.n_threads, self._n_entries(job), dropout=dropout)
        if self.workspace is None or self.workspace.layout != layout:
            self.workspace = self._workspace(layout)
            self.pace = Pace(self.n_threads, self.worthwhile_threads(self.flops(job.batch_size, True, job.X.density)))

    cdef Workspace _workspace(self, layout):
        return Workspace(self.sizes, self.itemsize, *layout)

    cdef ptrdiff_t _n_entries(self, Job *job):
        """Nonzeros of a batch in the inputs of a tile, at most."""
        return job.batch_size * self.tile_panels * self.n_panel if job.X.sparse else 0

    cdef object _unpack_rows(self, Workspace rows, const char *panels_of_rows, ptrdiff_t l):
        A = np.empty((rows.rows, self.sizes[l]), self.dtype)
        self.k.scatter(panels_of_rows, rows.rows, self.sizes[l], rows.ld, cnp.PyArray_DATA(A))
        return A
