"""The optimizer: its moments and averages, and the constants of each step."""

import numpy as np

cimport numpy as cnp
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastbp._kernels cimport FB_ADAM, FB_LINE, FB_SCHEDULE_FREE
from fastbp._memory cimport Arena
from fastbp._parameters cimport Parameters

from fastbp._kernels import SOLVERS

cnp.import_array()


cdef double integer_power(double x, int64_t n) noexcept nogil:
    """x^n by squaring: the same bits everywhere, as libm's pow is not."""
    cdef double y = 1
    while n > 0:
        if n & 1:
            y *= x
        x *= x
        n >>= 1
    return y


cdef class Optimizer(Parameters):
    """A network's parameters with the state of their optimizer."""

    def __cinit__(self, *_, **__):
        cdef ptrdiff_t each = self.L + 1
        self.m = <char **> calloc(8 * each, sizeof(char *))
        self.steps = <fb_step *> calloc(each, sizeof(fb_step))
        if self.m == NULL or self.steps == NULL:
            raise MemoryError("no memory for the optimizer.")
        self.v, self.average, self.dW = self.m + each, self.m + 2 * each, self.m + 3 * each
        self.mb, self.vb, self.average_b, self.db = (self.m + 4 * each, self.m + 5 * each, self.m + 6 * each,
                                                     self.m + 7 * each)

    def __dealloc__(self):
        free(self.m)
        free(self.steps)

    cdef Arena _like_parameters(self, char **W_1, char **b_1, char **W_2=NULL, char **b_2=NULL):
        """Zeroed memory like that of W and b, once or twice; the caller keeps the arena."""
        cdef ptrdiff_t l, copies = 1 if W_2 == NULL else 2
        cdef Arena arena = Arena(copies * sum([self.W_lines(l) + self.b_lines(l) for l in range(1, self.L + 1)]))
        for l in range(1, self.L + 1):
            W_1[l], b_1[l] = arena.take(self.W_lines(l)), arena.take(self.b_lines(l))
            if W_2 != NULL:
                W_2[l], b_2[l] = arena.take(self.W_lines(l)), arena.take(self.b_lines(l))
        return arena

    def set_optimizer(self, solver, momentum=0.9, nesterov=True, beta_1=0.9, beta_2=0.999, rho=0.9, epsilon=1e-8,
                      weight_decay=0.0, clip_norm=0.0, clip_value=0.0, ema_decay=0.0):
        """Choose a solver and its constants; its state starts from zero, an average from the weights as they are now.

        Parameters
        ----------
        solver : {"sgd", "adam", "rmsprop", "schedule_free"}
        momentum, nesterov, beta_1, beta_2, rho, epsilon
            The constants of csrc/kernels/update.h.
        weight_decay : float
            Decoupled: W shrinks by the learning rate times this in each step.
        clip_norm, clip_value : float
            Bounds on the norm of the whole mean gradient, and then on its elements; 0 is none.
        ema_decay : float
            Of the exponential moving average of the weights; 0 keeps none. "schedule_free" has an average of its own.
        """
        if solver not in SOLVERS:
            raise ValueError(f"got solver {solver!r}, expected one of {', '.join(SOLVERS)}.")
        if solver == "schedule_free" and ema_decay:
            raise ValueError("solver 'schedule_free' keeps an average of its own: set ema_decay to 0.")
        for name, value in (("epsilon", epsilon), ("clip_value", clip_value)):
            if value > 0 and self.dtype.type(value) == 0:
                raise ValueError(f"{name}={value} is 0 in {self.dtype}: expected at least {np.finfo(self.dtype).tiny}.")
        self.solver = solver
        self.settings.solver, self.settings.nesterov, self.settings.momentum = SOLVERS[solver], nesterov, momentum
        self.settings.beta_1, self.settings.beta_2, self.settings.rho = beta_1, beta_2, rho
        self.settings.epsilon, self.settings.clip = epsilon, clip_value
        self.weight_decay, self.clip_norm, self.ema_decay = weight_decay, clip_norm, ema_decay
        self.averages = ema_decay > 0 or solver == "schedule_free"
        if clip_norm > 0:
            self.keep_gradient()
        self._reset()

    cdef need_moments(self):
        """A network that trains has an optimizer, plain gradient descent if none was chosen; others need none."""
        if self.moments is None:
            self.set_optimizer("sgd", momentum=0.0)

    cdef _reset(self):
        """State of no steps."""
        cdef ptrdiff_t l
        self.t, self.rates_squared = 0, 0
        if self.moments is None:
            self.moments = self._like_parameters(self.m, self.mb, self.v, self.vb)
        if self.averages and self.averaged is None:
            self.averaged = self._like_parameters(self.average, self.average_b)
        for l in range(1, self.L + 1):
            memset(self.m[l], 0, self.W_lines(l) * FB_LINE)
            memset(self.v[l], 0, self.W_lines(l) * FB_LINE)
            memset(self.mb[l], 0, self.b_lines(l) * FB_LINE)
            memset(self.vb[l], 0, self.b_lines(l) * FB_LINE)
            if self.averages:
                self._copy_parameters(l, self.average[l], self.average_b[l])
            if self.settings.solver == FB_SCHEDULE_FREE:  # z of its method starts from the weights, too
                self._copy_parameters(l, self.m[l], self.mb[l])

    cdef void _copy_parameters(self, ptrdiff_t l, char *W, char *b) noexcept nogil:
        memcpy(W, self.weights(l), self.W_lines(l) * FB_LINE)
        memcpy(b, self.layer[l].b, self.b_lines(l) * FB_LINE)

    cdef keep_gradient(self):
        """Make room for the whole gradient: only what needs all of it first, stores it."""
        if self.gradient is not None:
            return
        self.n_norms = self.first_block[self.L + 1] + sum([self.b_lines(l) for l in range(1, self.L + 1)])
        self.norms_of_blocks = np.zeros(self.n_norms)
        self.norms = <double *> cnp.PyArray_DATA(self.norms_of_blocks)
        self.gradient = self._like_parameters(self.dW, self.db)

    # ---- its state, in scikit-learn's orientation

    def get_optimizer_state(self):
        """What set_optimizer_state takes: solver, t (steps done), moments, and the average of the weights, if any.

        "moments" holds two pairs (coefs, intercepts) like get_parameters(), "average" one: after exchange_average() the
        weights that train.
        """
        self.need_moments()
        state = {"solver": self.solver, "t": self.t,
                 "moments": [self._unpack_all(self.m, self.mb), self._unpack_all(self.v, self.vb)]}
        if self.averages:
            state["average"] = self._unpack_all(self.average, self.average_b)
            state["rates_squared"] = self.rates_squared
        return state

    def set_optimizer_state(self, state):
        """Copy in what get_optimizer_state() returned for this network and solver."""
        self.need_moments()
        if state["solver"] != self.solver or self.averages != ("average" in state) or state["t"] < 0:
            raise ValueError("got an optimizer's state of another solver or ema_decay: set these as they were.")
        first, second = (self.checked(*moment) for moment in state["moments"])
        average = self.checked(*state["average"]) if self.averages else None
        self._pack_all(first, self.m, self.mb)
        self._pack_all(second, self.v, self.vb)
        if self.averages:
            self._pack_all(average, self.average, self.average_b)
            self.rates_squared = state["rates_squared"]
        self.t = state["t"]

    def exchange_average(self):
        """Let the weights and their average change places: one is for training, the other for predictions."""
        cdef ptrdiff_t l
        if not self.averages:
            raise ValueError("no average of the weights is kept: set ema_decay, or solver 'schedule_free'.")
        for l in range(1, self.L + 1):
            if self.by_inputs(l):
                self.average[l], self.layer[l].Wt = <char *> self.layer[l].Wt, self.average[l]
            else:
                self.average[l], self.layer[l].W = <char *> self.layer[l].W, self.average[l]
            self.average_b[l], self.layer[l].b = <char *> self.layer[l].b, self.average_b[l]
        self.mirror()

    cdef object _unpack_all(self, char **W, char **b):
        pairs = [self.unpack(l, W[l], b[l]) for l in range(1, self.L + 1)]
        return [coef for coef, _ in pairs], [intercept for _, intercept in pairs]

    cdef _pack_all(self, parameters, char **W, char **b):
        cdef ptrdiff_t l
        coefs, intercepts = parameters
        for l in range(1, self.L + 1):
            self.pack(l, coefs[l - 1], W[l], intercepts[l - 1], b[l])

    # ---- one step

    cdef void begin_step(self, int64_t t, double learning_rate, const double *alpha, double sum_w) noexcept nogil:
        """What all tiles share of step t (from 1): the biases' constants in steps[0], those of W[l] in steps[l]."""
        cdef fb_step step = self.settings
        cdef ptrdiff_t l
        self.t = t
        step.scale = 1 / sum_w if sum_w != 0 else 0  # rows of no weight teach nothing
        step.learning_rate, step.alpha, step.decay = learning_rate, 0, 0
        if step.solver == FB_ADAM:  # Kingma and Ba (2015), section 2: both bias corrections in the rate
            step.learning_rate *= sqrt(1 - integer_power(step.beta_2, t)) / (1 - integer_power(step.beta_1, t))
        elif step.solver == FB_SCHEDULE_FREE:  # Defazio and others (2024), algorithm 1
            step.learning_rate *= sqrt(1 - integer_power(step.beta_2, t))
            self.rates_squared += learning_rate * learning_rate
            step.average = learning_rate * learning_rate / self.rates_squared if self.rates_squared > 0 else 0
        if self.ema_decay > 0:  # the first steps, far from the solution, are forgotten sooner
            step.average = 1 - min(self.ema_decay, (1. + t) / (10. + t))
        self.steps[0] = step
        step.decay = learning_rate * self.weight_decay
        for l in range(1, self.L + 1):
            self.steps[l] = step
            self.steps[l].alpha = alpha[l - 1]

    cdef void limit_norm(self) noexcept nogil:
        """Scale the stored gradient of this step down to clip_norm (Pascanu, Mikolov and Bengio, 2013)."""
        cdef double squares = 0, norm
        cdef ptrdiff_t i, l
        for i in range(self.n_norms):
            squares += self.norms[i]
        norm = sqrt(squares)
        if norm > self.clip_norm:
            for l in range(self.L + 1):
                self.steps[l].scale *= self.clip_norm / norm
