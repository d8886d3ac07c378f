# How the threads share the work of a batch.
from fastbp._answer cimport Answer
from fastbp._memory cimport Inputs, Workspace
from fastbp._phases cimport Job, Phases


cdef class Team(Phases):
    cdef int _n_threads
    cdef ptrdiff_t shard_rows, shard_unit, answer_rows
    cdef double work_per_thread
    cdef object answer_pace  # of predictions, where it is not lent

    cdef double flops(self, ptrdiff_t rows, bint backward, double density) noexcept nogil
    cdef int worthwhile_threads(self, double flops) noexcept nogil
    cdef bint is_brief(self, double flops) noexcept nogil
    cdef int run(self, Job *job, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads, int parts) except -1
    cdef int predict_rows(self, Workspace rows, const Inputs *X, ptrdiff_t n, ptrdiff_t block, int n_threads,
                          Answer *answer) except -1
    cdef ptrdiff_t _count_shards(self, ptrdiff_t n, int n_threads) noexcept nogil
    cdef ptrdiff_t _first_row(self, ptrdiff_t n, ptrdiff_t shard, ptrdiff_t n_shards) noexcept nogil
    cdef ptrdiff_t _first_tile(self, ptrdiff_t part, ptrdiff_t n_parts) noexcept nogil
    cdef void _predict_block(self, Workspace rows, const Inputs *X, ptrdiff_t first, ptrdiff_t n, ptrdiff_t at,
                             int thread, Answer *answer) noexcept nogil
