# csrc/fastbp.h, line for line, and what _engine borrows from _kernels.
from libc.stdint cimport int32_t, int64_t, uint64_t


cdef extern from "fastbp.h" nogil:
    enum:
        FB_LINE

    ctypedef enum fb_activation:
        FB_IDENTITY, FB_LOGISTIC, FB_TANH, FB_RELU, FB_LEAKY_RELU, FB_ELU, FB_SELU, FB_SOFTPLUS
        FB_GELU, FB_SILU, FB_MISH
        FB_EXP, FB_SOFTMAX

    ctypedef enum fb_loss_name:
        FB_SQUARED_ERROR, FB_ABSOLUTE_ERROR, FB_HUBER, FB_QUANTILE, FB_POISSON, FB_GAMMA
        FB_LOG_LOSS, FB_BINARY_LOG_LOSS, FB_FOCAL, FB_BINARY_FOCAL

    ctypedef enum fb_solver:
        FB_SGD, FB_ADAM, FB_RMSPROP, FB_SCHEDULE_FREE

    ctypedef struct fb_rows:
        const char *data
        ptrdiff_t row_stride
        ptrdiff_t column_stride
        ptrdiff_t n_columns
        int is_float64

    ctypedef struct fb_layer:
        ptrdiff_t n_in
        ptrdiff_t n_out
        ptrdiff_t rows
        void *W
        void *Wt
        void *b
        fb_activation activation

    ctypedef struct fb_output:
        ptrdiff_t n_out
        fb_activation activation
        fb_loss_name loss
        int y_is_class
        double clip
        double smoothing
        double parameter
        const double *levels
        const double *class_weights

    ctypedef struct fb_step:
        fb_solver solver
        int nesterov
        double alpha
        double scale
        double clip
        double learning_rate
        double decay
        double momentum
        double beta_1
        double beta_2
        double rho
        double epsilon
        double average

    ctypedef struct fb_dropout:
        uint64_t seed
        uint64_t layer
        uint64_t step
        double rate

    ctypedef struct fb_csr:
        const void *values
        const void *columns
        const void *starts
        int is_float64
        int is_int64

    ctypedef struct fb_entry:
        int32_t s
        int32_t k
        double x

    ctypedef struct fb_sorted:
        fb_entry *entries
        int64_t *starts
        ptrdiff_t n_parts
        ptrdiff_t n_panels

    ctypedef struct fb_kernels:
        const char *isa
        int lanes
        void (*gather)(const fb_rows *X, const int64_t *order, ptrdiff_t first, ptrdiff_t n, void *a,
                       ptrdiff_t ld) noexcept nogil
        void (*gather_columns)(const void *y_rows, ptrdiff_t n_y, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                               void *y, ptrdiff_t ld) noexcept nogil
        void (*scatter)(const void *a, ptrdiff_t n, ptrdiff_t n_columns, ptrdiff_t ld, void *rows) noexcept nogil
        void (*forward)(const fb_layer *layer, const void *a_prev, void *z, void *a, ptrdiff_t n,
                        ptrdiff_t ld) noexcept nogil
        void (*output)(const fb_output *out, const void *z, void *a, void *scratch, ptrdiff_t n,
                       ptrdiff_t ld) noexcept nogil
        void (*loss)(const fb_output *out, const void *z, const void *y, const void *w, void *a, void *delta,
                     double *losses, void *scratch, ptrdiff_t n, ptrdiff_t ld) noexcept nogil
        void (*delta)(const fb_layer *layer, fb_activation f_prev, const void *delta, const void *kept,
                      void *delta_prev, ptrdiff_t n, ptrdiff_t ld) noexcept nogil
        void (*dropout)(const fb_dropout *drop, ptrdiff_t first, const void *x, void *y, ptrdiff_t n,
                        ptrdiff_t n_columns, ptrdiff_t ld) noexcept nogil
        void (*gradient)(const void *delta, const void *a_prev, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t n_rows,
                         ptrdiff_t n_columns, void *dW, ptrdiff_t dW_ld) noexcept nogil
        void (*bias_gradient)(const void *delta, ptrdiff_t n, ptrdiff_t n_rows, void *db) noexcept nogil
        double (*update)(void *W, const void *dW, void *m, void *v, void *average, ptrdiff_t n_lines,
                         int by_inputs, const fb_step *step) noexcept nogil
        double (*squares)(const void *W, ptrdiff_t n_lines, int by_inputs) noexcept nogil
        double (*gradient_squares)(const void *W, const void *dW, ptrdiff_t n_lines, int by_inputs,
                                   const fb_step *step) noexcept nogil
        void (*forward_sparse)(const fb_layer *layer, const fb_csr *X, const int64_t *order, ptrdiff_t first,
                               const fb_dropout *drop, ptrdiff_t s, void *z, void *a, ptrdiff_t n,
                               ptrdiff_t ld) noexcept nogil
        void (*sort_entries)(const fb_csr *X, const int64_t *order, ptrdiff_t first, const fb_dropout *drop,
                             ptrdiff_t n, ptrdiff_t part, const fb_sorted *sorted) noexcept nogil
        void (*gradient_sparse)(const void *delta, const fb_sorted *X, ptrdiff_t panel, ptrdiff_t n_outputs,
                                ptrdiff_t n_inputs, int by_inputs, void *dW) noexcept nogil
        void (*mirror)(const fb_layer *layer, ptrdiff_t j, ptrdiff_t k) noexcept nogil
        void (*activate)(fb_activation f, const void *z, void *a, ptrdiff_t n_lines) noexcept nogil
        void (*derive)(fb_activation f, const void *kept, void *delta, ptrdiff_t n_lines) noexcept nogil
        void (*softmax_derive)(const void *a, void *delta, void *scratch, ptrdiff_t n, ptrdiff_t n_out,
                               ptrdiff_t ld) noexcept nogil
        void (*logarithm)(const void *x, void *y, ptrdiff_t n_lines) noexcept nogil
        double (*fma_peak)(ptrdiff_t n_rounds, double *sink) noexcept nogil

    const fb_kernels *fb_table(int i, size_t real_size)


cdef const fb_kernels *kernels_for(object isa, object dtype) except NULL
cdef fb_activation activation_named(object name) except *
cdef bint needs_z(fb_activation f) noexcept nogil
cdef fb_output output_of(ptrdiff_t n_out, object activation, object loss, bint y_is_class, object dtype,
                         double smoothing=*, double parameter=*, const double[::1] levels=*,
                         const double[:, ::1] class_weights=*) except *
