"""What stands around the methods that fit: scikit-learn's checks, and what an error leaves."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import TypeVar

from sklearn.base import _fit_context
from sklearn.utils.metaestimators import available_if

from fastbp._options import STOCHASTIC_SOLVERS

Method = TypeVar("Method", bound=Callable)


def validated(method: Method) -> Method:
    """The method after scikit-learn's check of all parameters."""
    return _fit_context(prefer_skip_nested_validation=True)(method)


def is_stochastic(estimator) -> bool:
    """Whether the solver can learn from one batch after another, which `partial_fit` needs."""
    if estimator.solver not in STOCHASTIC_SOLVERS:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def of_stochastic_solvers(method: Method) -> Method:
    """A method that a model has only where `is_stochastic`."""
    return available_if(is_stochastic)(method)


@contextmanager
def all_or_nothing(model):
    """An error within leaves all attributes of the model as they were."""
    before = dict(vars(model))
    try:
        yield
    except BaseException:
        for name in vars(model).keys() - before:
            del vars(model)[name]
        vars(model).update(before)
        raise
