"""The passes of a batch for a caller with NumPy arrays: checks, buffers, and a loss that is written in Python."""

import warnings

import numpy as np

cimport numpy as cnp
from libc.stdint cimport INT32_MAX, int64_t

from fastbp._answer cimport Answer
from fastbp._kernels cimport FB_LINE, FB_SOFTMAX, fb_rows
from fastbp._memory cimport KEEP_NOTHING, Inputs, Workspace, inputs_of, panels, rows_of
from fastbp._phases cimport BACKWARD, DROP, FORWARD, GRADIENT, LOSS, Job
from fastbp._signals cimport watch_over
from fastbp._team cimport Team

from fastbp._pace import Pace

cnp.import_array()

# Floating-point operations of a prediction that is so long, some 10 ms, that waiting for a busy core is nothing to it.
cdef double LONG_ANSWER = 1e9


def warn_of_overflow(what):
    """Say that something computed from finite numbers is not finite."""
    warnings.warn(f"overflow: some {what} are infinite or NaN, though X is finite. X or the weights are too large: "
                  "scale X as in training.", RuntimeWarning, stacklevel=2)


cdef check_order(const int64_t *order, ptrdiff_t n, ptrdiff_t n_samples):
    """Refuse numbers of rows that X does not have."""
    cdef int64_t lowest = 0, highest = n_samples - 1
    for i in range(n):
        lowest, highest = min(lowest, order[i]), max(highest, order[i])
    if lowest < 0 or highest >= n_samples:
        raise IndexError(f"got row indices from {lowest} to {highest}, expected 0 to {n_samples - 1}.")


cdef class Passes(Team):
    """A network that takes batches of rows forward and back."""

    cdef batches(self, Job *job, arrays, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads, int parts):
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
        z = self.unpack_rows(rows, rows.z[self.L], self.L)[:n]
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

    cdef bint answer(self, const Inputs *X, ptrdiff_t n, Answer *answer) except -1:
        """What is asked of n rows of X; False if they should be finite and are not."""
        cdef double flops = self.flops(n, False, X.density)
        cdef int n_threads = self.worthwhile_threads(flops)
        # Both are taken, not shared: another thread that asks meanwhile makes its own workspace and does not measure.
        cdef Workspace rows = self.spare
        pace = self.answer_pace if 1 < n_threads and flops < LONG_ANSWER else None
        self.spare = None
        cdef ptrdiff_t share, n_blocks, block
        answer.refused = answer.overflowed = False
        try:
            if pace is not None:
                self.answer_pace = None
                n_threads = min(n_threads, <int> pace.next()[0])
            share = max(1, (n + n_threads - 1) // n_threads)
            n_blocks = (share + self.answer_rows - 1) // self.answer_rows  # as many for each thread, of equal size
            block = (share + n_blocks - 1) // n_blocks
            if rows is None or rows.rows < n_threads * block or rows.n_threads < n_threads or rows.sparse != X.sparse:
                rows = self.workspace_of((n_threads * block, 0, n_threads, (KEEP_NOTHING,) * (self.L + 1), self.L + 1,
                                          X.sparse))
            self.predict_rows(rows, X, n, block, n_threads, answer)
            if pace is not None:
                pace.done(n)
        finally:
            self.spare = rows
            if pace is not None:
                self.answer_pace = pace
        if answer.overflowed and not answer.refused:
            warn_of_overflow("predictions")
        return not answer.refused

    cdef gradient_pass(self, Job *job, arrays, Workspace rows, int n_threads):
        """All rows forward and back as one batch; the gradient is left in dW and db."""
        self.keep_gradient()
        self.batches(job, arrays, rows, 0, 1, n_threads, FORWARD | LOSS | BACKWARD | GRADIENT)

    cdef seed(self, Workspace rows, ptrdiff_t n, ptrdiff_t j, bint raw):
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

    # ---- arrays in and out

    cdef check_X(self, X):
        if X.ndim != 2 or X.shape[1] != self.sizes[0]:
            raise ValueError(f"got X of shape {X.shape}, expected (n_samples, {self.sizes[0]}).")

    cdef check_data(self, X, y, sample_weight, alpha, order=None):
        """(X, y, sample_weight, order, alpha) as the kernels take them, of shapes that fit this network."""
        self.check_X(X)
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
            check_order(<const int64_t *> cnp.PyArray_DATA(order), order.size, X.shape[0])
        if X.shape[0] == 0 or (order is not None and order.size == 0):
            raise ValueError("got no samples, expected at least one.")
        if np.ndim(alpha) > 0 and len(alpha) != self.L:
            raise ValueError(f"got {len(alpha)} values of alpha, expected one or {self.L}.")
        alphas = np.empty(self.L)
        alphas[:] = alpha
        return X, y, sample_weight, order, alphas

    cdef describe(self, Job *job, arrays):
        """A job of one batch on the arrays of check_data, which must outlive it."""
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
        watch_over(&job.watch, True)

    cdef Workspace workspace_of(self, layout):
        return Workspace(self.sizes, self.itemsize, *layout)

    cdef prepare(self, Job *job, arrays, bint dropout):
        """The buffers of a batch and the choice of threads, kept for the next call with the same batches."""
        cdef ptrdiff_t n_entries = self.n_entries(job, arrays)
        if n_entries and self.workspace is not None and self.workspace.rows == job.batch_size:
            n_entries = max(n_entries, self.workspace.n_entries)
        layout = self._layout(job.batch_size, job.n_y, self.n_threads, job.X.sparse, n_entries, dropout=dropout)
        if self.workspace is None or self.workspace.layout != layout:
            self.workspace = self.workspace_of(layout)
            self.pace = Pace(self.n_threads, self.worthwhile_threads(self.flops(job.batch_size, True, job.X.density)))

    cdef ptrdiff_t n_entries(self, Job *job, arrays) except -1:
        """Nonzeros of a batch of a sparse X, at most (and at least 1); they number their rows with 32 bits."""
        X, order = arrays[0], arrays[3]
        if not job.X.sparse:
            return 0
        if job.batch_size > INT32_MAX:
            raise ValueError(f"got a batch of {job.batch_size} rows of a sparse X, expected at most {INT32_MAX}.")
        counts = np.diff(X.indptr).astype(np.int64) if order is None else np.diff(X.indptr).astype(np.int64)[order]
        return max(1, np.add.reduceat(counts, np.arange(0, job.n, job.batch_size)).max())

    cdef object unpack_rows(self, Workspace rows, const char *panels_of_rows, ptrdiff_t l):
        A = np.empty((rows.rows, self.sizes[l]), self.dtype)
        self.k.scatter(panels_of_rows, rows.rows, self.sizes[l], rows.ld, cnp.PyArray_DATA(A))
        return A
