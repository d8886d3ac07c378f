# The passes of a batch for a caller with NumPy arrays.
from fastbp._answer cimport Answer
from fastbp._memory cimport Inputs, Workspace
from fastbp._phases cimport Job
from fastbp._team cimport Team


cdef class Passes(Team):
    cdef Workspace workspace  # of the last batch size
    cdef object pace
    cdef Workspace spare  # of the last answer

    cdef bint answer(self, const Inputs *X, ptrdiff_t n, Answer *answer) except -1
    cdef batches(self, Job *job, arrays, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads, int parts)
    cdef gradient_pass(self, Job *job, arrays, Workspace rows, int n_threads)
    cdef seed(self, Workspace rows, ptrdiff_t n, ptrdiff_t j, bint raw)
    cdef check_X(self, X)
    cdef check_data(self, X, y, sample_weight, alpha, order=?)
    cdef describe(self, Job *job, arrays)
    cdef Workspace workspace_of(self, layout)
    cdef prepare(self, Job *job, arrays, bint dropout)
    cdef ptrdiff_t n_entries(self, Job *job, arrays) except -1
    cdef object unpack_rows(self, Workspace rows, const char *panels_of_rows, ptrdiff_t l)
    cdef _call_loss(self, Job *job, arrays, Workspace rows, ptrdiff_t batch)
