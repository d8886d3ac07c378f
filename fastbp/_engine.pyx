"""The engine's face: a network that trains, differentiates and predicts on NumPy arrays."""

import math
from time import perf_counter

import numpy as np

cimport numpy as cnp

from fastbp._answer cimport CLASSES, Answer, columns_of, form_named
from fastbp._memory cimport Inputs, Workspace, inputs_of
from fastbp._openmp cimport omp_get_max_threads, omp_get_wtime
from fastbp._passes cimport Passes
from fastbp._phases cimport BACKWARD, DROP, FORWARD, GRADIENT, LOSS, UPDATE, Job
from fastbp._signals cimport watch_over

from fastbp._objective import Objective
from fastbp._pace import Pace

cnp.import_array()

# Rows of a block in which losses and input gradients are computed: enough for several threads.
cdef ptrdiff_t EVALUATED_ROWS = 1024


def omp_max_threads():
    """OpenMP's own bound on threads: OMP_NUM_THREADS, threadpoolctl, or the processors."""
    return omp_get_max_threads()


cdef class Network(Passes):
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
    by_inputs : bool, default=False
        Store the first layer's weights by inputs, which is faster for a sparse X; the results do not depend on it.
    smoothing, parameter, levels, class_weights
        Of the loss: see fb_output in csrc/fastbp.h.
    """

    cdef Workspace judged  # of the last evaluation
    cdef public object solver_in_it  # a reference to whose state the optimizer's is, or None

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
            On Ctrl-C, at once: a batch that takes long is then left half done, its step taken by some of the weights.
        """
        cdef Job job
        cdef ptrdiff_t batch = 0, last
        arrays = self.check_data(X, y, sample_weight, alpha, order)
        self.describe(&job, arrays)
        job.batch_size = max(1, min(batch_size, int(job.n)))
        cdef ptrdiff_t n_batches = (job.n + job.batch_size - 1) // job.batch_size
        rates = np.empty(n_batches)
        rates[:] = learning_rate
        job.learning_rate = <const double *> cnp.PyArray_DATA(rates)
        cdef int parts = FORWARD | LOSS | BACKWARD | GRADIENT | UPDATE | (DROP if self.drops_out else 0)
        self.need_moments()
        self.prepare(&job, arrays, self.drops_out)
        while batch < n_batches:
            n_threads, stretch = self.pace.next()
            last = min(batch + <ptrdiff_t> stretch, n_batches)
            job.until = omp_get_wtime() + <double> Pace.LONGEST_STRETCH
            watch_over(&job.watch, stretch <= 2)  # where batches may be long
            self.batches(&job, arrays, self.workspace, batch, last, n_threads, parts)
            self.pace.done(job.last - batch)
            batch = job.last
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
        loss, vector = Objective(self, X, y, sample_weight, alpha).here()
        vector = vector.astype(self.dtype, copy=False)
        gradients, start = [], 0
        for shape in [*zip(self.sizes, self.sizes[1:]), *zip(self.sizes[1:])]:
            end = start + math.prod(shape)
            gradients.append(vector[start:end].reshape(shape))
            start = end
        return loss, gradients[:self.L], gradients[self.L:]

    def backprop(self, X, y, sample_weight=None):
        """Everything that one pass computes: lists z, a, delta, dW, db by layer, and the summed loss."""
        cdef Job job
        arrays = self.check_data(X, y, sample_weight, 0.0)
        self.describe(&job, arrays)
        cdef Workspace rows = self.workspace_of(
            self._layout(job.n, job.n_y, self.n_threads, job.X.sparse, self.n_entries(&job, arrays), show_z=True))
        self.gradient_pass(&job, arrays, rows, self.worthwhile_threads(self.flops(job.n, True, job.X.density)))
        gradients = [self.unpack(l, self.dW[l], self.db[l]) for l in range(1, self.L + 1)]
        a = [self.unpack_rows(rows, rows.a[0], 0) if not job.X.sparse else arrays[0].toarray().astype(self.dtype)]
        z, delta = [None], [None]
        for l in range(1, self.L + 1):
            z.append(self.unpack_rows(rows, rows.z[l], l))
            a.append(self.unpack_rows(rows, rows.a[l], l))
            delta.append(self.unpack_rows(rows, rows.delta[l], l))
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
        arrays = self.check_data(X, y, None, 0.0)
        self.describe(&job, arrays)
        job.batch_size = min(EVALUATED_ROWS, job.n)
        gradients = np.empty((job.n, len(outputs), self.sizes[0]), self.dtype)
        rows = self.workspace_of(self._layout(job.batch_size, 1, self.n_threads, job.X.sparse, first_delta=0))
        cdef int n_threads = self.worthwhile_threads(self.flops(job.batch_size, True, 1))
        self.fill_first_W()
        for batch in range((job.n + job.batch_size - 1) // job.batch_size):
            n = min(job.batch_size, job.n - batch * job.batch_size)
            self.run(&job, rows, batch, batch + 1, n_threads, FORWARD)
            self.k.output(&self.out, rows.z[self.L], rows.a[self.L], rows.scratch, n, rows.ld)
            for i, j in enumerate(outputs):
                self.seed(rows, n, j, raw)
                self.run(&job, rows, batch, batch + 1, n_threads, BACKWARD)
                at = slice(batch * job.batch_size, batch * job.batch_size + n)
                gradients[at, i] = self.unpack_rows(rows, rows.delta[0], 0)[:n]
        return gradients if output is None else gradients[:, 0]

    def predict(self, X, layer=None, raw=False, form="plain", check_finite=False):
        """a[layer] of the rows of X; layer None is the last, L, and with `raw` its z.

        `form` is "plain", or what is made of the outputs: see Form in _answer.pxd. With `check_finite`, None is
        returned for a dense X that is not finite in the network's precision.
        """
        cdef Answer answer
        cdef Inputs inputs
        cdef ptrdiff_t n_out
        self.check_X(X)
        inputs = inputs_of(X)
        if layer is not None and not 1 <= layer <= self.L:
            raise ValueError(f"got layer {layer}, expected 1 to {self.L}.")
        answer.l, answer.raw, answer.checks = layer or self.L, raw, check_finite
        n_out = self.layer[answer.l].n_out
        answer.form = form_named(form, n_out)
        shape = X.shape[0], columns_of(answer.form, n_out)
        a = np.empty(shape, self.dtype) if answer.form != CLASSES else np.empty(shape[0], np.int64)
        answer.rows = <char *> cnp.PyArray_DATA(a)
        return a if self.answer(&inputs, X.shape[0], &answer) else None

    def evaluate(self, X, y, sample_weight=None, order=None):
        """a[L] of the rows of X (those of `order`) and their mean loss sum w C / sum w, no penalty, no dropout."""
        cdef Job job
        cdef Workspace rows
        cdef ptrdiff_t batch, s, n
        cdef double loss = 0, sum_w = 0
        arrays = self.check_data(X, y, sample_weight, 0.0, order)
        self.describe(&job, arrays)
        job.batch_size = min(EVALUATED_ROWS, job.n)
        layout = self._layout(job.batch_size, job.n_y, self.n_threads, job.X.sparse, first_delta=self.L)
        if self.judged is None or self.judged.layout != layout:
            self.judged = self.workspace_of(layout)
        rows = self.judged
        cdef int n_threads = self.worthwhile_threads(self.flops(job.batch_size, False, job.X.density))
        a = np.empty((job.n, self.sizes[self.L]), self.dtype)
        cdef char *out = <char *> cnp.PyArray_DATA(a)
        for batch in range((job.n + job.batch_size - 1) // job.batch_size):
            n = min(job.batch_size, job.n - batch * job.batch_size)
            self.batches(&job, arrays, rows, batch, batch + 1, n_threads, FORWARD | LOSS)
            self.k.scatter(rows.a[self.L], n, self.out.n_out, rows.ld, out)
            out += n * self.out.n_out * self.itemsize
            for s in range(n):
                loss += rows.losses[s]
            sum_w += job.sum_w
        return a, loss / sum_w if sum_w != 0 else float("nan")
