# The two phases of a step, and the data that a call hands them.
from libc.stdint cimport int64_t

from fastbp._kernels cimport fb_dropout, fb_output
from fastbp._memory cimport Inputs, Workspace
from fastbp._optimizer cimport Optimizer
from fastbp._parameters cimport Tile
from fastbp._signals cimport Watch


cdef enum Part:
    # What a call wants done with each batch
    FORWARD = 1
    LOSS = 2
    BACKWARD = 4
    GRADIENT = 8  # BP3 and BP4 of every tile
    UPDATE = 16  # U; without it the gradient is stored
    DROP = 32  # with dropout


cdef struct Job:
    # The data of a call, and what the threads share about the batch in hand.
    Inputs X
    const char *y
    const char *w
    const int64_t *order
    const double *learning_rate
    const double *alpha  # of each layer
    ptrdiff_t n, n_y, batch_size
    int64_t t  # optimizer steps done before batch 0
    double sum_w, penalty_now  # of the batch; sum_l alpha_l / 2 |W_l|^2 before its step
    double data_loss, penalty
    double until  # the time of omp_get_wtime() after which no batch begins
    ptrdiff_t last  # the batch that does not begin any more
    Watch watch  # for signals, in a batch that takes long


cdef class Phases(Optimizer):
    cdef fb_output out
    cdef readonly object custom_loss
    cdef object levels, class_weights  # what `out` points to
    cdef fb_dropout *drops  # [0..L-1]: those of the inputs and of the hidden layers
    cdef readonly bint drops_out

    cdef void begin_batch(self, Job *job, ptrdiff_t batch, ptrdiff_t n, int parts) noexcept nogil
    cdef void add_loss(self, Job *job, Workspace rows, ptrdiff_t n) noexcept nogil
    cdef void phase_1(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t s, ptrdiff_t n, int thread,
                      int parts) noexcept nogil
    cdef void first_layer(self, Workspace rows, const Inputs *X, const int64_t *order, ptrdiff_t first,
                          const fb_dropout *drop, ptrdiff_t s, ptrdiff_t at, ptrdiff_t n) noexcept nogil
    cdef void sort_entries(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t part,
                           ptrdiff_t n_parts, int parts) noexcept nogil
    cdef void store_gradient(self, Workspace rows, Job *job, Tile *tile, ptrdiff_t n, int n_threads,
                             int parts) noexcept nogil
    cdef void phase_2(self, Workspace rows, Job *job, Tile *tile, ptrdiff_t n, int n_threads) noexcept nogil
    cdef void _forward(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t s, ptrdiff_t n, int thread,
                       int parts) noexcept nogil
    cdef void _backward(self, Workspace rows, Job *job, ptrdiff_t batch, ptrdiff_t s, ptrdiff_t n, int thread,
                        int parts) noexcept nogil
    cdef fb_dropout _dropout(self, Job *job, ptrdiff_t batch, ptrdiff_t l, int parts) noexcept nogil
    cdef ptrdiff_t _lines_of_biases(self, Tile *tile) noexcept nogil
    cdef ptrdiff_t _outputs(self, Tile *tile, ptrdiff_t p) noexcept nogil
    cdef void _tile_gradient(self, Workspace rows, Job *job, Tile *tile, ptrdiff_t n, int n_threads, char *dW,
                             ptrdiff_t dW_ld) noexcept nogil
