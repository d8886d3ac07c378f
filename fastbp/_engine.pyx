"""The engine's face: a network that trains, differentiates and predicts on NumPy arrays."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from fastbp._kernels cimport fb_rows
from fastbp._memory cimport Workspace, rows_of
from fastbp._openmp cimport omp_get_max_threads
from fastbp._phases cimport Job, Phases

from fastbp._pace import Pace

cnp.import_array()

# Rows of a block of predictions: its activations stay in L2 through all layers.
cdef ptrdiff_t PREDICT_ROWS = 96


def omp_max_threads():
    """OpenMP's own bound on threads: OMP_NUM_THREADS, threadpoolctl, or the processors."""
    return omp_get_max_threads()


cdef class Network(Phases):
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

    cdef Workspace workspace  # of the last batch size
    cdef Workspace spare  # of the last prediction
    cdef object pace

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
        self._prepare(job.batch_size, job.n_y)
        batch = 0
        while batch < n_batches:
            n_threads, stretch = self.pace.next()
            last = min(batch + <ptrdiff_t> stretch, n_batches)
            self.train(&job, self.workspace, batch, last, n_threads)
            self.pace.done(last - batch)
            self.t = job.t + last
            PyErr_CheckSignals()
            batch = last
        return job.data_loss, job.penalty

    def _prepare(self, ptrdiff_t batch_size, ptrdiff_t n_y):
        """The buffers of a batch and the choice of threads, kept for the next epoch of the same batches."""
        cdef Workspace rows = self.workspace
        if rows is None or rows.rows != batch_size or rows.n_threads != self.n_threads:
            self.workspace = Workspace(self.sizes, self.itemsize, batch_size, n_y, self.n_threads)
            self.pace = Pace(self.n_threads, self.worthwhile_threads(self.flops(batch_size, True)))

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
        gradients = self.gradient_pass(&job, rows)
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
        gradients = self.gradient_pass(&job, rows)
        z, a, delta = [None], [self._unpack_rows(rows, rows.a[0], 0)], [None]
        for l in range(1, self.L + 1):
            z.append(self._unpack_rows(rows, rows.z[l], l))
            a.append(self._unpack_rows(rows, rows.a[l], l))
            delta.append(self._unpack_rows(rows, rows.delta[l], l))
        return {"z": z, "a": a, "delta": delta, "dW": [None] + [np.ascontiguousarray(dW.T) for dW, _ in gradients],
                "db": [None] + [db for _, db in gradients], "loss": job.data_loss * job.sum_w / job.n}

    def predict(self, X):
        """a[L] of the rows of X (n, size[L])."""
        cdef ptrdiff_t n, block
        if X.ndim != 2 or X.shape[1] != self.sizes[0]:
            raise ValueError(f"got X of shape {X.shape}, expected (n_samples, {self.sizes[0]}).")
        n = X.shape[0]
        a = np.empty((n, self.sizes[self.L]), self.dtype)
        cdef int n_threads = self.worthwhile_threads(self.flops(n, False))
        block = max(1, min(PREDICT_ROWS, (n + n_threads - 1) // n_threads))
        cdef fb_rows X_rows = rows_of(X)
        # Taken, not shared: another thread that predicts meanwhile makes its own.
        cdef Workspace rows = self.spare
        self.spare = None
        if rows is None or rows.rows < n_threads * block or rows.n_threads < n_threads:
            rows = Workspace(self.sizes, self.itemsize, n_threads * block, 0, n_threads, backward=False)
        self.predict_rows(rows, &X_rows, n, block, n_threads, <char *> cnp.PyArray_DATA(a))
        self.spare = rows
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
                raise IndexError(f"got row indices from {order.min()} to {order.max()}, "
                                 f"expected 0 to {X.shape[0] - 1}.")
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
