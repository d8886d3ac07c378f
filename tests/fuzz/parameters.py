"""Values for every parameter of the estimators, from one pool: those that its constraints allow, and the others."""

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from sklearn.utils._param_validation import make_constraint

from fastbp import MLPClassifier, MLPRegressor
from fastbp._options import HIDDEN_ACTIVATIONS, SCHEDULES, STOCHASTIC_SOLVERS

ESTIMATORS = {"classifier": MLPClassifier, "regressor": MLPRegressor}
SMALL = {"hidden_layer_sizes": (7,), "max_iter": 2, "random_state": 0}


class CallersError(Exception):
    """What a caller's own function raises: it passes through."""


# ---- functions of a caller: good, useless and malicious


def log_cosh(y, raw):
    return np.logaddexp(raw - y, y - raw).sum(axis=1), np.tanh(raw - y)


def loss_of_nan(y, raw):
    return np.full(len(y), np.nan), raw


def loss_that_writes(y, raw):
    y[:], raw[:] = 0, 0
    return log_cosh(y, raw)


def halving(step, n_steps):
    return 0.5**step


def rate_of_nan(step, n_steps):
    return np.nan


def rate_of_infinity(step, n_steps):
    return 1e308


def watch(epoch):
    epoch.model.predict(np.zeros((1, epoch.model.n_features_in_)))


def stop(epoch):
    return True


def fail(*arguments):
    raise CallersError


def score(model, X, y):
    return float(model.predict(X).shape[0])


def score_of_nan(model, X, y):
    return np.nan


FUNCTIONS = (log_cosh, loss_of_nan, loss_that_writes, halving, rate_of_nan, rate_of_infinity, watch, stop, fail, score)

# ---- the pool

NUMBERS = (
    0, 1, 2, 3, 5, 200, 2**31, 2**63, 10**30, 10**400, -1, -2, -(10**30), True, False, np.int8(3), np.uint64(3),
    0.0, 1.0, 0.5, 0.1, 0.9, 0.999, 1e-3, 1e-8, 1e-30, 5e-324, 1e8, 1e30, 1e300, sys.float_info.max, 1 - 2**-53, -0.0,
    -0.5, 2.5, np.inf, -np.inf, np.nan, np.float32(0.25), np.float64(0.25), Decimal("0.5"), 1j,
)  # fmt: skip
WORDS = (
    *HIDDEN_ACTIVATIONS, *STOCHASTIC_SOLVERS, *SCHEDULES, "lbfgs", "constant", "invscaling", "adaptive", "auto",
    "float32", "float64", "balanced", "log_loss", "focal", "squared_error", "absolute_error", "huber", "quantile",
    "poisson", "gamma", "loss", "accuracy", "r2", "roc_auc", "neg_log_loss", "max_error", "nonsense", "", "a\0b",
)  # fmt: skip
LISTS = (
    (), [], [0.5], [0.1, 0.9], (3, 2), [4], np.array([3]), [np.nan], [-1.0], [1e300, 0], ["tanh"], ["gelu", "relu"],
    [None], [watch], [watch, stop], [[1]], np.zeros((2, 2)), [10**18], [5.5], {}, {0: 2.0}, {0: 0, 1: np.inf},
    {"a": 2.0}, {None: 1}, [{0: 2.0}, {1: 0.5}, {}], [{0: "a"}], {"b": "a"}, {0: np.nan, 1: -1}, {1, 2},
)  # fmt: skip
OBJECTS = (None, object, np.float32, np.float64, np.float16, np.random.RandomState(5), Path("fit.npz"), b"float32")
POOL = (*NUMBERS, *WORDS, *LISTS, *OBJECTS, *FUNCTIONS)

# What would only be slow, or need much memory.
TOO_LONG = {"hidden_layer_sizes": lambda value: np.ndim(value) == 0 and 300 < value < 2**62}


def constraints(estimator):
    return {name: [make_constraint(c) for c in them] for name, them in estimator._parameter_constraints.items()}


def allowed(name, alternatives, value):
    try:
        return any(one.is_satisfied_by(value) for one in alternatives) and not TOO_LONG.get(name, lambda _: False)(
            value
        )
    except TypeError:  # of two types that cannot be compared
        return False


VALID = {
    task: {name: [v for v in POOL if allowed(name, them, v)] for name, them in constraints(estimator).items()}
    for task, estimator in ESTIMATORS.items()
}


@st.composite
def parameters(draw, task):
    """A few parameters that are not at their defaults; one in ten is of a value that it must not have."""
    names = draw(st.lists(st.sampled_from(sorted(VALID[task])), max_size=4, unique=True))
    chosen = {}
    for name in names:
        valid = draw(st.integers(0, 9)) < 9
        chosen[name] = draw(st.sampled_from(VALID[task][name] if valid else POOL))
    return {**chosen, **brief(chosen)}


def brief(chosen):
    """What keeps a fit of these short, unless it is refused anyway."""
    max_iter = chosen.get("max_iter", 2)
    return {"max_time": 0.02} if isinstance(max_iter, int) and max_iter > 9 else {}
