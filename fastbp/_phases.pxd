# The two phases of a step, and the data that a call hands them.
from libc.stdint cimport int64_t

from fastbp._kernels cimport fb_output, fb_rows, fb_step
from fastbp._memory cimport Workspace
from fastbp._parameters cimport Parameters, Tile


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


cdef class Phases(Parameters):
    cdef public int n_threads
    cdef fb_output out

    cdef double flops(self, ptrdiff_t rows, bint backward) noexcept nogil
    cdef int worthwhile_threads(self, double flops) noexcept nogil
    cdef void train(self, Job *job, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads) noexcept
    cdef void predict_rows(self, Workspace rows, const fb_rows *X, ptrdiff_t n, ptrdiff_t block, int n_threads,
                           char *out) noexcept
    cdef object gradient_pass(self, Job *job, Workspace rows)
    cdef ptrdiff_t _count_shards(self, ptrdiff_t n, int n_threads) noexcept nogil
    cdef ptrdiff_t _first_tile(self, ptrdiff_t part, ptrdiff_t n_parts) noexcept nogil
    cdef void _begin_step(self, Job *job, ptrdiff_t batch, ptrdiff_t n) noexcept nogil
    cdef void _sum_weights(self, Job *job, ptrdiff_t first, ptrdiff_t n) noexcept nogil
    cdef void _add_loss(self, Job *job, Workspace rows, ptrdiff_t n) noexcept nogil
    cdef void _phase_1(self, Workspace rows, Job *job, ptrdiff_t first, ptrdiff_t n_batch, ptrdiff_t shard,
                       ptrdiff_t n_shards, int thread) noexcept nogil
    cdef void _phase_2(self, Workspace rows, Tile *tile, ptrdiff_t n, const fb_step *step) noexcept nogil
    cdef void _tile_gradient(self, Workspace rows, Tile *tile, ptrdiff_t n, char *dW, ptrdiff_t dW_ld) noexcept nogil
    cdef void _update_bias(self, Workspace rows, Tile *tile, ptrdiff_t n, const fb_step *step) noexcept nogil
    cdef void _store_gradient(self, Workspace rows, Tile *tile, ptrdiff_t n, char *dW, char *db) noexcept nogil
    cdef void _predict_block(self, Workspace rows, const fb_rows *X, ptrdiff_t first, ptrdiff_t n, ptrdiff_t block,
                             int thread, char *out) noexcept nogil
