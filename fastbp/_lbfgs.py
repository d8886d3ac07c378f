"""Training on all rows at once, by SciPy's L-BFGS."""

import os
import warnings
from functools import cache
from threading import Lock
from time import perf_counter

import numpy as np
import scipy
import scipy.optimize
from threadpoolctl import OpenBLASController, ThreadpoolController

from fastbp._callbacks import Epoch
from fastbp._objective import Objective
from fastbp._training import Stop


class _Iterations:
    """What SciPy calls after each iteration; `stop` says who ended them, if SciPy did not."""

    def __init__(self, assign, max_time, callbacks, view):
        self.assign, self.callbacks, self.view = assign, callbacks, view
        self.max_time = np.inf if max_time is None else max_time
        self.started = perf_counter()
        self.n = 0
        self.stop = None
        self.last = None  # the result so far

    def __call__(self, intermediate_result):
        self.n += 1
        # a copy: SciPy goes on in the same x
        self.last = scipy.optimize.OptimizeResult(x=intermediate_result.x.copy(), fun=intermediate_result.fun)
        elapsed = perf_counter() - self.started
        if self.callbacks:
            self.assign(intermediate_result.x)  # a line search may have tried others since
            epoch = Epoch(epoch=self.n, loss=float(intermediate_result.fun), elapsed=elapsed, _view=self.view)
            try:
                asked = epoch._tell(self.callbacks)
            except StopIteration as error:  # SciPy would take it for its end
                raise RuntimeError("a callback raised StopIteration: return True to stop the training.") from error
            if asked:
                self.stop = Stop.CALLBACK
        if self.stop is None and elapsed > self.max_time:
            self.stop = Stop.MAX_TIME
        if self.stop is not None:
            raise StopIteration


def minimize_lbfgs(
    network,
    X,
    y,
    sample_weight,
    *,
    alpha,
    loss_divisor,
    max_iter,
    max_fun,
    gtol,
    verbose=0,
    max_time=None,
    callbacks=(),
    view=None,
) -> scipy.optimize.OptimizeResult:
    """Minimise the loss over all rows at once, leaving the solution in the network.

    `stop` of the result says who ended it, if SciPy did not. Ctrl-C leaves the last whole iteration, with a warning.
    """
    objective = Objective(network, X, y, sample_weight, alpha, loss_divisor)
    coefs, intercepts = network.get_parameters()
    iterations = _Iterations(objective.assign, max_time, callbacks, view)
    start = np.concatenate([p.ravel() for p in coefs + intercepts], dtype=np.float64)
    try:
        # SciPy's vectors are short: the threads of its BLAS would only wait for ours, and ours for them.
        with _one_thread_in_blas:
            result = scipy.optimize.minimize(
                objective,
                start,
                method="L-BFGS-B",
                jac=True,
                callback=iterations,
                options={"maxfun": max_fun, "maxiter": max_iter, "gtol": gtol, **_lines_of_scipy(verbose)},
            )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
        result = iterations.last or scipy.optimize.OptimizeResult(x=start, fun=np.nan)
        iterations.stop = Stop.INTERRUPTED
    objective.assign(result.x)
    result.nit, result.stop = iterations.n, iterations.stop
    return result


class _OneThreadInBLAS:
    """A limit that holds while any thread of Python's is within; the last one out lifts it."""

    def __init__(self):
        self.lock, self.n_within, self.limiter = Lock(), 0, None

    def __enter__(self):
        with self.lock:
            if self.n_within == 0:
                self.limiter = _blas_libraries().limit(limits=1)
                _leave_to_any_thread()
            self.n_within += 1

    def __exit__(self, *_):
        with self.lock:
            self.n_within -= 1
            if self.n_within <= 0:
                self._lift()

    def _lift(self):
        self.n_within = 0
        self.limiter.restore_original_limits()
        _leave_to_any_thread()

    def begin_child(self):
        """After a fork: threads that were within do not exist."""
        self.lock = Lock()
        if self.n_within:
            self._lift()


_one_thread_in_blas = _OneThreadInBLAS()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread_in_blas.begin_child)


def _leave_to_any_thread():
    """From threadpoolctl 3.8 on, who set the limit of OpenBLAS owns it, and of other threads no call has an effect."""
    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread()


@cache
def _blas_libraries() -> ThreadpoolController:
    """The BLAS libraries of the process: looking for them takes a millisecond."""
    return ThreadpoolController().select(user_api="blas")


def _lines_of_scipy(verbose) -> dict:
    """The option that lets SciPy before 1.15 print its own lines; later ones have none."""
    old = tuple(int(part) for part in scipy.__version__.split(".")[:2]) < (1, 15)
    return {"iprint": 1 if verbose else -1} if old else {}
