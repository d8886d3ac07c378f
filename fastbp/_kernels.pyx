"""The compiled kernels: which instruction sets run here, and one def per kernel on plain NumPy arrays.

The defs pack their arguments into panels (see csrc/fastbp.h), call the kernel and unpack: `fastbp.functional` and the
tests stand on them. All arrays are 2-D (samples, units), of one dtype, float32 or float64; W is (n_out, n_in).
"""

import os

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastbp._memory cimport Arena, Inputs, inputs_of, loss_scratch_lines, panels, rows_of
from fastbp._openmp cimport fb_has_openmp

cdef extern from *:
    """
    #if defined(__clang__)
    #define FB_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define FB_COMPILER "GCC " __VERSION__
    #else
    #define FB_COMPILER "unknown"
    #endif
    """
    const char *FB_COMPILER

cnp.import_array()

ACTIVATIONS = {
    "identity": FB_IDENTITY,
    "logistic": FB_LOGISTIC,
    "tanh": FB_TANH,
    "relu": FB_RELU,
    "leaky_relu": FB_LEAKY_RELU,
    "elu": FB_ELU,
    "selu": FB_SELU,
    "softplus": FB_SOFTPLUS,
    "gelu": FB_GELU,
    "silu": FB_SILU,
    "mish": FB_MISH,
}
NEED_Z = frozenset(name for name, f in ACTIVATIONS.items() if needs_z(f))  # f' is read from z; of the others, from a
ELEMENTWISE = {**ACTIVATIONS, "exp": FB_EXP}
OUTPUTS = {**{name: f for name, f in ELEMENTWISE.items() if name not in NEED_Z}, "softmax": FB_SOFTMAX}
LOSSES = {
    "squared_error": FB_SQUARED_ERROR,
    "absolute_error": FB_ABSOLUTE_ERROR,
    "huber": FB_HUBER,
    "quantile": FB_QUANTILE,
    "poisson": FB_POISSON,
    "gamma": FB_GAMMA,
    "log_loss": FB_LOG_LOSS,
    "binary_log_loss": FB_BINARY_LOG_LOSS,
    "focal": FB_FOCAL,
    "binary_focal": FB_BINARY_FOCAL,
}
SOLVERS = {"sgd": FB_SGD, "adam": FB_ADAM, "rmsprop": FB_RMSPROP, "schedule_free": FB_SCHEDULE_FREE}


# ---- instruction sets

def isa_names():
    """The instruction sets that run on this processor, best first."""
    names = []
    while fb_table(len(names), sizeof(float)) != NULL:
        names.append(fb_table(len(names), sizeof(float)).isa.decode())
    return names


def _select():
    forced = os.environ.get("FASTBP_ISA")
    if forced is None:
        return isa_names()[0]
    if forced not in isa_names():
        raise ImportError(f"FASTBP_ISA={forced!r} cannot run here: set it to one of {', '.join(isa_names())}, "
                          "or unset it.")
    return forced


_selected = _select()


def isa_selected():
    """The instruction set in use: the best, or the one that FASTBP_ISA forces."""
    return _selected


cdef const fb_kernels *kernels_for(object isa, object dtype) except NULL:
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"got dtype {dtype}, expected float32 or float64: convert the array first.")
    isa = _selected if isa is None else isa
    if isa not in isa_names():
        raise ValueError(f"got isa={isa!r}, expected one of {', '.join(isa_names())}.")
    return fb_table(isa_names().index(isa), dtype.itemsize)


def lanes(dtype, isa=None):
    """Elements in a vector of an instruction set, as it was compiled."""
    return kernels_for(isa, dtype).lanes


def panel(dtype):
    """Columns in a panel: those of one cache line."""
    return FB_LINE // np.dtype(dtype).itemsize


def openmp():
    """Whether fastbp was compiled with OpenMP."""
    return bool(fb_has_openmp)


def compiler():
    """What fastbp was compiled with."""
    return FB_COMPILER.decode()


# ---- names

cdef fb_activation activation_named(object name) except *:
    if name not in ELEMENTWISE:
        raise ValueError(f"got activation {name!r}, expected one of {', '.join(ELEMENTWISE)}.")
    return ELEMENTWISE[name]


cdef bint needs_z(fb_activation f) noexcept nogil:
    """Whether f' is read from z, not from a."""
    return FB_GELU <= f <= FB_MISH


cdef fb_output output_of(ptrdiff_t n_out, object activation, object loss, bint y_is_class, object dtype,
                         double smoothing=0, double parameter=0, const double[::1] levels=None,
                         const double[:, ::1] class_weights=None) except *:
    """The output layer with its loss. It points into `levels` and `class_weights`: the caller keeps them alive."""
    cdef fb_output out
    if activation not in OUTPUTS:
        raise ValueError(f"got output activation {activation!r}, expected one of {', '.join(OUTPUTS)}.")
    if loss not in LOSSES:
        raise ValueError(f"got loss {loss!r}, expected one of {', '.join(LOSSES)}.")
    if (loss == "quantile") != (levels is not None) or (levels is not None and levels.shape[0] != n_out):
        raise ValueError(f"got {'no' if levels is None else levels.shape[0]} levels for the loss {loss!r} of {n_out} "
                         "outputs, expected one for each output of 'quantile', and none otherwise.")
    if class_weights is not None and (activation == "softmax" or class_weights.shape[0] != n_out
                                      or class_weights.shape[1] != 2):
        raise ValueError(f"got class weights ({class_weights.shape[0]}, {class_weights.shape[1]}) for {n_out} outputs "
                         f"with activation {activation!r}, expected (n_outputs, 2) and another one than softmax.")
    out.n_out = n_out
    out.activation = OUTPUTS[activation]
    out.loss = LOSSES[loss]
    out.y_is_class = y_is_class
    out.clip = np.finfo(dtype).eps
    out.smoothing, out.parameter = smoothing, parameter
    out.levels = NULL if levels is None else &levels[0]
    out.class_weights = NULL if class_weights is None else &class_weights[0, 0]
    return out


cdef fb_dropout dropout_of(object settings) except *:
    """From (rate, seed, layer, step), or None."""
    rate, seed, layer, step = (0, 0, 0, 0) if settings is None else settings
    return fb_dropout(seed, layer, step, rate)


cdef class _Matrix:
    """A matrix in panels, ld = rows (rounded up to whole panels on request)."""

    cdef Arena arena
    cdef char *data
    cdef ptrdiff_t rows, columns, ld
    cdef object dtype

    def __cinit__(self, ptrdiff_t rows, ptrdiff_t columns, dtype, ptrdiff_t ld=0):
        self.rows, self.columns, self.dtype = rows, columns, np.dtype(dtype)
        self.ld = max(ld, rows)
        n_lines = int(panels(columns, self.dtype.itemsize)) * int(self.ld)  # Python's integers do not overflow
        self.arena = Arena(n_lines)
        self.data = self.arena.take(n_lines)

    @staticmethod
    cdef _Matrix pack(const fb_kernels *k, object A, ptrdiff_t ld=0):
        cdef fb_rows rows = rows_of(A)
        packed = _Matrix(A.shape[0], A.shape[1], A.dtype, ld)
        k.gather(&rows, NULL, 0, packed.rows, packed.data, packed.ld)
        return packed

    cdef object unpack(self, const fb_kernels *k):
        A = np.empty((self.rows, self.columns), dtype=self.dtype)
        k.scatter(self.data, self.rows, self.columns, self.ld, cnp.PyArray_DATA(A))
        return A


cdef class _Layer:
    """W and b of one layer in the layouts that the kernels read."""

    cdef fb_layer layer
    cdef _Matrix W, Wt, b

    def __cinit__(self, W, b, activation, isa):
        cdef const fb_kernels *k = kernels_for(isa, W.dtype)
        n_panel = panel(W.dtype)
        rows = -(-W.shape[0] // n_panel) * n_panel
        self.W = _Matrix.pack(k, W, rows)
        self.Wt = _Matrix.pack(k, W.T)
        self.b = _Matrix.pack(k, np.zeros((W.shape[0], 1), W.dtype).T if b is None else b.reshape(1, -1))
        self.layer.n_out, self.layer.n_in = W.shape
        self.layer.rows = rows
        self.layer.W, self.layer.Wt, self.layer.b = self.W.data, self.Wt.data, self.b.data
        self.layer.activation = activation_named(activation)


# ---- one def per kernel

def forward(a_prev, W, b, activation, isa=None):
    """F: z = a_prev W^T + b and a = f(z), each (n, n_out)."""
    cdef const fb_kernels *k = kernels_for(isa, W.dtype)
    cdef _Layer layer = _Layer(W, b, activation, isa)
    cdef _Matrix a_in = _Matrix.pack(k, a_prev)
    cdef _Matrix z = _Matrix(a_in.rows, W.shape[0], W.dtype), a = _Matrix(a_in.rows, W.shape[0], W.dtype)
    k.forward(&layer.layer, a_in.data, z.data, a.data, a_in.rows, a_in.ld)
    return z.unpack(k), a.unpack(k)


def loss(z, y, output, loss, sample_weight=None, clip=True, isa=None, smoothing=0.0, parameter=0.0, levels=None,
         class_weights=None):
    """BP1: a = f(z) (n, n_out), the weighted loss of each row (n,) float64 and delta (n, n_out).

    y is (n, n_out), or for the log loss and the focal loss (n, 1) holding the class of a row. clip=False takes
    logarithms of a as it is. The settings, from `smoothing` on, are those of fb_output: levels (n_out,),
    class_weights (n_out, 2).
    """
    cdef const fb_kernels *k = kernels_for(isa, z.dtype)
    y_is_class = loss in ("log_loss", "focal") and y.shape[1] == 1 and z.shape[1] > 1
    levels = None if levels is None else np.ascontiguousarray(levels, np.float64)
    class_weights = None if class_weights is None else np.ascontiguousarray(class_weights, np.float64)
    cdef fb_output out = output_of(z.shape[1], output, loss, y_is_class, z.dtype, smoothing, parameter, levels,
                                   class_weights)
    if not clip:
        out.clip = 0
    y_columns = np.ascontiguousarray(y.T, dtype=z.dtype)
    weights = None if sample_weight is None else np.ascontiguousarray(sample_weight, dtype=z.dtype)
    cdef _Matrix z_in = _Matrix.pack(k, z), a = _Matrix.pack(k, z), delta = _Matrix.pack(k, z)
    cdef ptrdiff_t n_scratch = loss_scratch_lines(out.n_out)
    cdef Arena scratch = Arena(n_scratch)
    losses = np.empty(z.shape[0])
    k.loss(&out, z_in.data, cnp.PyArray_DATA(y_columns), NULL if weights is None else cnp.PyArray_DATA(weights), a.data,
           delta.data, <double *> cnp.PyArray_DATA(losses), scratch.take(n_scratch), z_in.rows, z_in.ld)
    return a.unpack(k), losses, delta.unpack(k)


def delta(delta, W, kept, activation, isa=None):
    """BP2: delta_prev = (delta W) f'(z_prev), from a_prev, or from z_prev for those in NEED_Z, (n, n_in)."""
    cdef const fb_kernels *k = kernels_for(isa, W.dtype)
    cdef _Layer layer = _Layer(W, None, "identity", isa)
    cdef _Matrix delta_in = _Matrix.pack(k, delta), kept_in = _Matrix.pack(k, kept)
    cdef _Matrix delta_prev = _Matrix(kept_in.rows, kept_in.columns, W.dtype)
    k.delta(&layer.layer, activation_named(activation), delta_in.data, kept_in.data, delta_prev.data, kept_in.rows,
            kept_in.ld)
    return delta_prev.unpack(k)


def gradient(delta, a_prev, isa=None):
    """BP4 and BP3: dW = delta^T a_prev (n_out, n_in) and db = sum over the rows of delta (n_out,)."""
    cdef const fb_kernels *k = kernels_for(isa, delta.dtype)
    cdef _Matrix delta_in = _Matrix.pack(k, delta), a_in = _Matrix.pack(k, a_prev)
    cdef ptrdiff_t j, n_panel = panel(delta.dtype), n_out = delta.shape[1]
    cdef ptrdiff_t ld = panels(n_out, delta.dtype.itemsize) * n_panel
    cdef _Matrix dW = _Matrix(n_out, a_prev.shape[1], delta.dtype, ld), db = _Matrix(1, n_out, delta.dtype)
    for j in range(0, n_out, n_panel):
        block = delta_in.data + j // n_panel * delta_in.ld * FB_LINE
        k.gradient(block, a_in.data, a_in.rows, a_in.ld, min(n_panel, n_out - j), a_in.columns,
                   dW.data + j * FB_LINE, ld)
        k.bias_gradient(block, a_in.rows, min(n_panel, n_out - j), db.data + j // n_panel * FB_LINE)
    return dW.unpack(k), db.unpack(k)[0]


def dropout(x, rate, seed, layer, step, first=0, isa=None):
    """x (n, n_units), its rows counting as first.. of the batch: kept units scaled by 1 / (1 - rate), the others 0."""
    cdef const fb_kernels *k = kernels_for(isa, x.dtype)
    cdef fb_dropout drop = dropout_of((rate, seed, layer, step))
    cdef _Matrix y = _Matrix.pack(k, x)
    k.dropout(&drop, first, y.data, y.data, y.rows, y.columns, y.ld)
    return y.unpack(k)


def forward_sparse(X, W, b, activation, order=None, dropout=None, first=0, isa=None):
    """F of the rows `order` of a CSR matrix X (None: all): z and a, each (n, n_out).

    dropout is (rate, seed, layer, step), of the inputs, whose rows count as first.. of the batch.
    """
    cdef const fb_kernels *k = kernels_for(isa, W.dtype)
    cdef _Layer layer = _Layer(W, b, activation, isa)
    cdef Inputs inputs = inputs_of(X)
    cdef fb_dropout drop = dropout_of(dropout)
    order = np.arange(X.shape[0]) if order is None else np.ascontiguousarray(order, dtype=np.int64)
    cdef _Matrix z = _Matrix(len(order), W.shape[0], W.dtype), a = _Matrix(len(order), W.shape[0], W.dtype)
    k.forward_sparse(&layer.layer, &inputs.csr, <const int64_t *> cnp.PyArray_DATA(order), 0,
                     &drop if drop.rate > 0 else NULL, first, z.data, a.data, z.rows, z.ld)
    return z.unpack(k), a.unpack(k)


def gradient_sparse(delta, X, order=None, dropout=None, n_parts=1, by_inputs=False, isa=None):
    """BP4: dW = delta^T X[order] (n_out, n_in) of a CSR matrix X, its entries sorted in so many parts.

    by_inputs: a line of the kernel's dW is one input's.
    """
    cdef const fb_kernels *k = kernels_for(isa, delta.dtype)
    cdef Inputs inputs = inputs_of(X)
    cdef fb_dropout drop = dropout_of(dropout)
    order = np.arange(X.shape[0]) if order is None else np.ascontiguousarray(order, dtype=np.int64)
    cdef _Matrix delta_in = _Matrix.pack(k, delta), block
    cdef ptrdiff_t i, j, part, n_panel = panel(delta.dtype), n_out = delta.shape[1], n_in = X.shape[1]
    entries = np.empty((np.diff(X.indptr)[order].sum() + 1) * sizeof(fb_entry), dtype=np.uint8)
    n_panels = panels(n_in, delta.dtype.itemsize)
    starts = np.empty(n_parts * (n_panels + 2), dtype=np.int64)
    cdef fb_sorted batch = fb_sorted(<fb_entry *> cnp.PyArray_DATA(entries), <int64_t *> cnp.PyArray_DATA(starts),
                                     n_parts, n_panels)
    for part in range(n_parts):
        k.sort_entries(&inputs.csr, <const int64_t *> cnp.PyArray_DATA(order), 0, &drop if drop.rate > 0 else NULL,
                       delta_in.rows, part, &batch)
    dW = np.empty((n_out, n_in), dtype=delta.dtype)
    for i in range(0, n_in, n_panel):
        for j in range(0, n_out, n_panel):
            n_outputs, n_inputs = min(n_panel, n_out - j), min(n_panel, n_in - i)
            block = _Matrix(n_panel, n_panel, delta.dtype)
            k.gradient_sparse(delta_in.data + j // n_panel * delta_in.ld * FB_LINE, &batch, i // n_panel, n_outputs,
                              n_inputs, by_inputs, block.data)
            lines = block.unpack(k)
            dW[j:j + n_outputs, i:i + n_inputs] = (lines.T if by_inputs else lines)[:n_outputs, :n_inputs]
    return dW


def update(W, dW, m, v, solver, scale=1.0, alpha=0.0, learning_rate=0.001, momentum=0.9, nesterov=True, beta_1=0.9,
           beta_2=0.999, rho=0.9, epsilon=1e-8, clip=0.0, decay=0.0, average=None, share=0.0, by_inputs=False,
           isa=None):
    """U on a row of parameters (n,): new W, m, v, their average if one is given, the sum of squares of the new W.

    `learning_rate` and `decay` are taken as they are; `share` is that of the new W (or z) in the average. by_inputs:
    the row is at most a panel of lines, one after the other, whose squares are added as if they were columns.
    """
    cdef const fb_kernels *k = kernels_for(isa, W.dtype)
    cdef fb_step step
    memset(&step, 0, sizeof(step))
    step.solver, step.nesterov, step.alpha, step.scale, step.clip = SOLVERS[solver], nesterov, alpha, scale, clip
    step.learning_rate, step.decay, step.momentum, step.average = learning_rate, decay, momentum, share
    step.beta_1, step.beta_2, step.rho, step.epsilon = beta_1, beta_2, rho, epsilon
    cdef _Matrix W_, dW_, m_, v_, average_
    W_, dW_, m_, v_, average_ = [_Matrix.pack(k, x.reshape(1, -1))
                                 for x in (W, dW, m, v, W if average is None else average)]
    squares = k.update(W_.data, dW_.data, m_.data, v_.data, NULL if average is None else average_.data,
                       panels(W.shape[0], W.dtype.itemsize), by_inputs, &step)
    results = [W_.unpack(k)[0], m_.unpack(k)[0], v_.unpack(k)[0]]
    return (*results, squares) if average is None else (*results, average_.unpack(k)[0], squares)


def gradient_squares(W, dW, scale=1.0, alpha=0.0, by_inputs=False, isa=None):
    """The sum of g^2, g = (dW + alpha W) scale, over a row of parameters (n,); of W (a panel, n) if by_inputs."""
    cdef const fb_kernels *k = kernels_for(isa, W.dtype)
    cdef fb_step step
    memset(&step, 0, sizeof(step))
    step.scale, step.alpha = scale, alpha
    W, dW = (W.T, dW.T) if by_inputs else (W.reshape(1, -1), dW.reshape(1, -1))
    cdef _Matrix W_ = _Matrix.pack(k, W), dW_ = _Matrix.pack(k, dW)
    return k.gradient_squares(W_.data, dW_.data, panels(W.shape[1], W.dtype.itemsize) * W_.ld, by_inputs, &step)


def squares(W, by_inputs=False, isa=None):
    """The sum of W^2 over a block (n_out, n_in), at most a panel of each; by_inputs: stored a line for an input."""
    cdef const fb_kernels *k = kernels_for(isa, W.dtype)
    cdef _Matrix W_ = _Matrix.pack(k, W.T if by_inputs else W)
    return k.squares(W_.data, W_.rows, by_inputs)


def activate(z, activation, isa=None):
    """f(z), element by element."""
    cdef const fb_kernels *k = kernels_for(isa, z.dtype)
    cdef _Matrix a = _Matrix.pack(k, z.reshape(1, -1))
    k.activate(activation_named(activation), a.data, a.data, panels(z.size, z.dtype.itemsize))
    return a.unpack(k).reshape(z.shape)


def activate_backward(dy, kept, activation, isa=None):
    """dy f'(z), from a = f(z), or from z for those in NEED_Z, element by element."""
    cdef const fb_kernels *k = kernels_for(isa, kept.dtype)
    cdef _Matrix kept_in = _Matrix.pack(k, kept.reshape(1, -1)), dx = _Matrix.pack(k, dy.reshape(1, -1))
    k.derive(activation_named(activation), kept_in.data, dx.data, panels(kept.size, kept.dtype.itemsize))
    return dx.unpack(k).reshape(kept.shape)


def log(x, isa=None):
    """The natural logarithm, element by element."""
    cdef const fb_kernels *k = kernels_for(isa, x.dtype)
    cdef _Matrix y = _Matrix.pack(k, x.reshape(1, -1))
    k.logarithm(y.data, y.data, panels(x.size, x.dtype.itemsize))
    return y.unpack(k).reshape(x.shape)


def exp(x, isa=None):
    """e to the x, element by element."""
    return activate(x, "exp", isa)


def softmax(z, isa=None):
    """softmax of each row."""
    cdef const fb_kernels *k = kernels_for(isa, z.dtype)
    cdef fb_output out = output_of(z.shape[1], "softmax", "log_loss", True, z.dtype)
    cdef _Matrix a = _Matrix.pack(k, z)
    cdef ptrdiff_t n_scratch = loss_scratch_lines(out.n_out)
    cdef Arena scratch = Arena(n_scratch)
    k.output(&out, a.data, a.data, scratch.take(n_scratch), a.rows, a.ld)
    return a.unpack(k)


def softmax_backward(dy, y, isa=None):
    """J dy of each row, J_ij = y_i (1{i=j} - y_j)."""
    cdef const fb_kernels *k = kernels_for(isa, y.dtype)
    cdef _Matrix a = _Matrix.pack(k, y), dx = _Matrix.pack(k, dy)
    cdef ptrdiff_t n_scratch = loss_scratch_lines(a.columns)
    cdef Arena scratch = Arena(n_scratch)
    k.softmax_derive(a.data, dx.data, scratch.take(n_scratch), a.rows, a.columns, a.ld)
    return dx.unpack(k)


def fma_peak(dtype, n_rounds=10_000_000, isa=None):
    """Floating-point operations done by a loop of independent fused multiply-adds: time it for a core's peak."""
    cdef const fb_kernels *k = kernels_for(isa, dtype)
    cdef ptrdiff_t rounds = n_rounds
    cdef double sink, operations
    with nogil:
        operations = k.fma_peak(rounds, &sink)
    return operations
