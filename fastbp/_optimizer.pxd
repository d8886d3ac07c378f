# The optimizer's state, and what each of its steps needs.
from libc.stdint cimport int64_t

from fastbp._kernels cimport fb_step
from fastbp._memory cimport Arena
from fastbp._parameters cimport Parameters


cdef class Optimizer(Parameters):
    # Each [1..L], like W or like b: the moments (velocities first), the average of the weights, the gradient.
    cdef char **m
    cdef char **v
    cdef char **average
    cdef char **dW
    cdef char **mb
    cdef char **vb
    cdef char **average_b
    cdef char **db
    cdef Arena moments, averaged, gradient
    cdef object norms_of_blocks, solver
    cdef double *norms  # g^2 summed over each block of weights, then over each line of biases
    cdef ptrdiff_t n_norms
    cdef fb_step settings  # the constants
    cdef fb_step *steps  # of the batch in hand: [0] for the biases, [1..L] for the weights
    cdef double weight_decay, clip_norm, ema_decay
    cdef double rates_squared  # sum of learning rates squared: the schedule-free average weighs its steps by them
    cdef readonly int64_t t  # steps done
    cdef readonly bint averages  # whether an average of the weights is kept

    cdef Arena _like_parameters(self, char **W_1, char **b_1, char **W_2=?, char **b_2=?)
    cdef need_moments(self)
    cdef _reset(self)
    cdef void _copy_parameters(self, ptrdiff_t l, char *W, char *b) noexcept nogil
    cdef keep_gradient(self)
    cdef object _unpack_all(self, char **W, char **b)
    cdef _pack_all(self, parameters, char **W, char **b)
    cdef void begin_step(self, int64_t t, double learning_rate, const double *alpha, double sum_w) noexcept nogil
    cdef void limit_norm(self) noexcept nogil
