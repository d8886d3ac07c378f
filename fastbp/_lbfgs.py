"""Training on all rows at once, by SciPy's L-BFGS."""

from functools import cache
from time import perf_counter

import numpy as np
import scipy
import scipy.optimize
from threadpoolctl import ThreadpoolController

from fastbp._callbacks import Epoch
from fastbp._objective import Objective
from fastbp._training import Stop


class _Iterations:
    """What SciPy calls after each iteration; `stop` says who ended them, if callbacks or the clock did."""

    def __init__(self, assign, max_time, callbacks, view):
        self.assign, self.callbacks, self.view = assign, callbacks, view
        self.max_time = np.inf if max_time is None else max_time
        self.started = perf_counter()
        self.n = 0
        self.stop = None

    def __call__(self, intermediate_result):
        self.n += 1
        elapsed = perf_counter() - self.started
        if self.callbacks:
            self.assign(intermediate_result.x)  # a line search may have tried others since
            epoch = Epoch(epoch=self.n, loss=float(intermediate_result.fun), elapsed=elapsed, _view=self.view)
            if epoch._tell(self.callbacks):
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

    `stop` of the result is Stop.CALLBACK or Stop.MAX_TIME if one of these ended it, else None.
    """
    objective = Objective(network, X, y, sample_weight, alpha, loss_divisor)
    coefs, intercepts = network.get_parameters()
    iterations = _Iterations(objective.assign, max_time, callbacks, view)
    # SciPy's vectors are short: the threads of its BLAS would only wait for ours, and ours for them.
    with _libraries().limit(limits=1, user_api="blas"):
        result = scipy.optimize.minimize(
            objective,
            np.concatenate([p.ravel() for p in coefs + intercepts], dtype=np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=iterations if callbacks or max_time is not None else None,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": gtol, **_lines_of_scipy(verbose)},
        )
    objective.assign(result.x)
    result.stop = iterations.stop
    return result


@cache
def _libraries() -> ThreadpoolController:
    """The libraries with threads of their own: looking for them takes a millisecond."""
    return ThreadpoolController()


def _lines_of_scipy(verbose) -> dict:
    """The option that lets SciPy before 1.15 print its own lines; later ones have none."""
    old = tuple(int(part) for part in scipy.__version__.split(".")[:2]) < (1, 15)
    return {"iprint": 1 if verbose else -1} if old else {}
