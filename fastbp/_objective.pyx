"""The mean cost and its gradient as functions of one vector, the form in which an optimizer of all rows takes them."""

import numpy as np

cimport numpy as cnp

from fastbp._kernels cimport FB_LINE, fb_layer, fb_rows
from fastbp._memory cimport Workspace
from fastbp._passes cimport Passes
from fastbp._phases cimport Job

cnp.import_array()

ctypedef fused real:
    float
    double


cdef void mean_gradient(const fb_layer *layer, const real *dW, const real *db, double alpha, double sum_w,
                        double *coef, double *intercept) noexcept nogil:
    """(dW_jk + alpha W_jk) / sum w and db_j / sum w: from panels over the inputs to scikit-learn's orientation."""
    cdef const real *W = <const real *> layer.W
    cdef ptrdiff_t j, k, at, P = FB_LINE // <ptrdiff_t> sizeof(real)
    for k in range(layer.n_in):
        at = k // P * layer.rows * P + k % P
        for j in range(layer.n_out):
            coef[k * layer.n_out + j] = <real> (dW[at + j * P] + alpha * W[at + j * P]) / <real> sum_w
    for j in range(layer.n_out):
        intercept[j] = db[j] / <real> sum_w


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
        network.prepare(&self.job, False)
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
        cdef ptrdiff_t l
        cdef fb_layer *layer
        cdef fb_rows W, b
        vector = np.ascontiguousarray(vector, dtype=np.float64)
        if vector.shape != (self.n_parameters,):
            raise ValueError(f"got a vector of shape {vector.shape}, expected {(self.n_parameters,)}, one number for "
                             "each parameter.")
        cdef double *coef = <double *> cnp.PyArray_DATA(vector)
        cdef double *intercept = coef + self.n_coefs
        for l in range(1, self.network.L + 1):
            layer = &self.network.layer[l]
            W = fb_rows(<char *> coef, sizeof(double), layer.n_out * sizeof(double), layer.n_in, True)
            b = fb_rows(<char *> intercept, 0, sizeof(double), layer.n_out, True)
            self.network.k.gather(&W, NULL, 0, layer.n_out, layer.W, layer.rows)
            self.network.k.gather(&b, NULL, 0, 1, layer.b, 1)
            coef += layer.n_in * layer.n_out
            intercept += layer.n_out
        self.network.mirror()

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
                mean_gradient[double](&network.layer[l], <double *> network.dW[l], <double *> network.db[l],
                                      job.alpha[l - 1], job.sum_w, coef, intercept)
            else:
                mean_gradient[float](&network.layer[l], <float *> network.dW[l], <float *> network.db[l],
                                     job.alpha[l - 1], job.sum_w, coef, intercept)
            coef += network.layer[l].n_in * network.layer[l].n_out
            intercept += network.layer[l].n_out
        return (job.data_loss / self.loss_divisor + job.penalty) / job.n, vector
