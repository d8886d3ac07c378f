"""The mean cost and its gradient as functions of one vector, the form in which an optimizer of all rows takes them."""

import numpy as np

cimport numpy as cnp

from fastbp._kernels cimport FB_LINE, fb_rows
from fastbp._memory cimport Workspace
from fastbp._passes cimport Passes
from fastbp._phases cimport Job

cnp.import_array()

ctypedef fused real:
    float
    double


cdef void mean_gradient(Passes network, ptrdiff_t l, const real *W, const real *dW, const real *db, double alpha,
                        double sum_w, double *coef, double *intercept) noexcept nogil:
    """(dW_jk + alpha W_jk) / sum w and db_j / sum w of a layer: from its panels to scikit-learn's orientation."""
    cdef ptrdiff_t n_in = network.layer[l].n_in, n_out = network.layer[l].n_out, P = FB_LINE // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t n_rows = n_out, n_columns = n_in, row_step = 1, column_step = n_out, ld = network.W_ld(l)
    cdef ptrdiff_t row, column, at
    if network.by_inputs(l):
        n_rows, n_columns, row_step, column_step = n_in, n_out, n_out, 1
    for column in range(n_columns):
        for row in range(n_rows):
            at = (column // P * ld + row) * P + column % P
            coef[row * row_step + column * column_step] = <real> (dW[at] + alpha * W[at]) / <real> sum_w
    for row in range(n_out):
        intercept[row] = db[row] / <real> sum_w


cdef class Objective:
    """(sum w C / divisor + sum_l alpha_l / 2 |W[l]|^2) / sum w over all rows; dropout is not applied.

    Its vectors hold float64: the coefs, then the intercepts, as `get_parameters` gives them, each raveled.

    Parameters
    ----------
    network : Network
        Whose parameters a call changes.
    X, y, sample_weight, alpha
        As Network.train_epoch takes them.
    loss_divisor : int, default=1
        Outputs that share a mean in the loss. The gradient is that of their sum, as in scikit-learn.
    """

    cdef Passes network
    cdef Job job
    cdef Workspace rows
    cdef object arrays, pace
    cdef ptrdiff_t n_coefs, n_parameters
    cdef double loss_divisor

    def __init__(self, Passes network, X, y, sample_weight=None, alpha=0.0, loss_divisor=1):
        self.network, self.loss_divisor = network, loss_divisor
        self.arrays = network.check_data(X, y, sample_weight, alpha)
        network.describe(&self.job, self.arrays)
        network.prepare(&self.job, self.arrays, False)
        self.rows = network.workspace
        self.pace = network.pace if network.n_threads > 1 else None
        self.n_coefs = sum([n_in * n_out for n_in, n_out in zip(network.sizes, network.sizes[1:])])
        self.n_parameters = self.n_coefs + sum(network.sizes[1:])

    def __call__(self, vector):
        """The loss and its gradient at `vector`."""
        self.assign(vector)
        return self.here()

    def assign(self, vector):
        """Copy the parameters in `vector` into the network."""
        cdef ptrdiff_t l, n_in, n_out
        cdef Passes network = self.network
        cdef fb_rows W, b
        vector = np.ascontiguousarray(vector, dtype=np.float64)
        if vector.shape != (self.n_parameters,):
            raise ValueError(f"got a vector of shape {vector.shape}, expected {(self.n_parameters,)}, one number for "
                             "each parameter.")
        cdef double *coef = <double *> cnp.PyArray_DATA(vector)
        cdef double *intercept = coef + self.n_coefs
        for l in range(1, network.L + 1):
            n_in, n_out = network.layer[l].n_in, network.layer[l].n_out
            if network.by_inputs(l):
                W = fb_rows(<char *> coef, n_out * sizeof(double), sizeof(double), n_out, True)
            else:
                W = fb_rows(<char *> coef, sizeof(double), n_out * sizeof(double), n_in, True)
            b = fb_rows(<char *> intercept, 0, sizeof(double), n_out, True)
            network.k.gather(&W, NULL, 0, n_in if network.by_inputs(l) else n_out, network.weights(l), network.W_ld(l))
            network.k.gather(&b, NULL, 0, 1, network.layer[l].b, 1)
            coef += n_in * n_out
            intercept += n_out
        network.mirror()

    def here(self):
        """The loss and its gradient at the parameters of the network."""
        cdef ptrdiff_t l
        cdef Job *job = &self.job
        cdef Passes network = self.network
        job.data_loss = job.penalty = 0
        if self.pace is None:
            network.gradient_pass(job, self.arrays, self.rows, 1)
        else:
            n_threads, _ = self.pace.next()
            network.gradient_pass(job, self.arrays, self.rows, n_threads)
            self.pace.done(1)
        vector = np.empty(self.n_parameters)
        cdef double *coef = <double *> cnp.PyArray_DATA(vector)
        cdef double *intercept = coef + self.n_coefs
        for l in range(1, network.L + 1):
            if network.itemsize == sizeof(double):
                mean_gradient[double](network, l, <double *> network.weights(l), <double *> network.dW[l],
                                      <double *> network.db[l], job.alpha[l - 1], job.sum_w, coef, intercept)
            else:
                mean_gradient[float](network, l, <float *> network.weights(l), <float *> network.dW[l],
                                     <float *> network.db[l], job.alpha[l - 1], job.sum_w, coef, intercept)
            coef += network.layer[l].n_in * network.layer[l].n_out
            intercept += network.layer[l].n_out
        return (job.data_loss / self.loss_divisor + job.penalty) / job.n, vector
