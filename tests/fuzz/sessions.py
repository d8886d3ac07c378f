"""What is asked of the package: a model that is fitted and used, call after call; and a function of arrays."""

import copy
import io
import pickle
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import scipy.sparse
from fuzz.arrays import COLUMNS, ROWS, SEEDS, Array, arrays, contents, is_finite, often, shapes
from fuzz.parameters import ESTIMATORS, SMALL, VALID, CallersError, parameters
from hypothesis import strategies as st
from sklearn.base import clone

from fastbp import backprop, functional

# Errors that tell of bad arguments (scikit-learn's NotFittedError and InvalidParameterError are among them), of too
# little memory, of a file that cannot be read or written, and the caller's own.
DOCUMENTED = (ValueError, TypeError, MemoryError, OSError, CallersError)


class BrokenPromiseError(AssertionError):
    """A promise that was not kept."""


# ---- one call, watched


def watched(call, given, finite):
    """(result, error) of a call that may fail only as documented, and may not change `given`.

    From `finite` data it returns finite numbers, or warns.
    """
    before = [contents(x) for x in given]
    result = error = None
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("always")
        try:
            result = call()
        except DOCUMENTED as documented:
            if not str(documented) and not isinstance(documented, (CallersError, MemoryError)):
                raise BrokenPromiseError("an error without a word") from documented
            error = documented
    if [contents(x) for x in given] != before:
        raise BrokenPromiseError("an argument was modified")
    warned = any(issubclass(w.category, RuntimeWarning) for w in caught)
    if error is None and finite and not warned and not np.isfinite(numbers_of(result)).all():
        raise BrokenPromiseError(f"not finite, without a word: {result}")
    return result, error


def numbers_of(result):
    """All numbers that a result consists of."""
    if hasattr(result, "coefs_"):
        curves = (getattr(result, name, None) or [] for name in ("loss_curve_", "validation_loss_curve_"))
        return numbers_of([*result.coefs_, *result.intercepts_, result.loss_, *curves])
    if hasattr(result, "dW"):
        return numbers_of([*result.z, *result.a, *result.delta, *result.dW, *result.db, result.loss])
    if isinstance(result, (list, tuple)):
        return np.concatenate([np.ravel(numbers_of(part)) for part in result] or [np.empty(0)])
    if isinstance(result, (np.ndarray, np.generic, float, int)) and np.asarray(result).dtype.kind in "fiu":
        return np.asarray(result)
    return np.empty(0)


# ---- targets


class Targets(NamedTuple):
    """y: classes or numbers of a kind, that X has something to say on; or any Array."""

    n: int
    kind: str
    seed: int

    def build(self, folder):
        numbers = np.random.RandomState(self.seed).randint(0, 3, (self.n, 3))
        column, dtype = numbers[:, 0], {"bools": bool, "reals": float, "single": np.float32}.get(self.kind, int)
        if self.kind in ("strings", "objects"):
            return np.array(["a", "b", "c"], dtype=object if self.kind == "objects" else str)[column]
        if self.kind == "one class":
            return np.full(self.n, 7)
        if self.kind in ("labels", "sparse labels"):
            return scipy.sparse.csr_array(numbers > 0) if self.kind == "sparse labels" else numbers > 0
        if self.kind == "columns":
            return numbers / 2
        return column.astype(dtype)


KINDS = {
    "classifier": ("ints", "bools", "strings", "objects", "one class", "labels", "sparse labels", "columns", "reals"),
    "regressor": ("reals", "ints", "single", "columns", "one class", "bools", "strings", "sparse labels"),
}

# ---- a model and what is asked of it


class Session(NamedTuple):
    task: str
    parameters: dict
    X: Array
    y: object
    weight: Array | None
    validation: tuple
    other: Array  # for methods that take X alone
    calls: tuple
    changes: dict  # parameters that "set_params" changes

    def run(self):
        """Make all calls, in order, in a folder of their own; return the errors."""
        with TemporaryDirectory() as folder, chdir(folder):
            return self._run(folder)

    def _run(self, folder):
        model = ESTIMATORS[self.task](**{**SMALL, **self.parameters})
        X, y, weight, *validation = (
            None if part is None else part.build(folder) for part in (self.X, self.y, self.weight, *self.validation)
        )
        other = self.other.build(folder)
        fit_data = [x for x in (X, y, weight, *validation) if x is not None]
        finite_fit, errors = all(is_finite(x) for x in fit_data if not is_text(x)), []
        options = dict(zip(("X_val", "y_val"), validation, strict=False))
        for name in self.calls:
            given, finite = ([X, y, weight], finite_fit) if name in TRAINING else ([other], is_finite(other))
            model, error = one_call(self, name, model, given, finite, options)
            if error is not None and len(errors) == 0:  # so that the calls to come have something to ask
                model = ordinary(self.task, X)
            errors.append(error)
        return errors


def classes_in(y):
    """What a caller might give as `classes`."""
    try:
        return np.unique(y) if len(np.shape(y)) == 1 else np.arange(3)
    except TypeError:  # of types that cannot be sorted
        return np.arange(3)


def ordinary(task, X):
    """A fitted model, of as many features as X has if it has any."""
    n_features = np.shape(X)[1] if np.ndim(X) == 2 and np.shape(X)[1] else 4
    rows = np.random.RandomState(0).standard_normal((17, n_features))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ESTIMATORS[task](**SMALL).fit(rows, np.arange(17) % 3)


def is_text(x):
    return isinstance(x, np.ndarray) and x.dtype.kind in "UO"


def one_call(session, name, model, given, finite, options):
    """Make a call; return the model to go on with, and the error."""
    if name in ("fit", "partial_fit"):
        if name == "partial_fit" and session.task == "classifier":
            options = {**options, "classes": classes_in(given[1])}
        if not hasattr(model, name):
            return model, AttributeError(name)
        given = [*given, *options.values()]
        result, error = watched(lambda: getattr(model, name)(*given[:3], **options), given, finite)
        if error is None and result is not model:
            raise BrokenPromiseError("fit returns self")
    elif name in ("pickle", "copy", "clone"):
        how = {"pickle": lambda: pickle.loads(pickle.dumps(model)), "copy": lambda: copy.deepcopy(model)}
        twin, error = watched(how.get(name, lambda: clone(model)), given, False)
        model = model if name == "clone" or twin is None else twin
    elif name == "set_params":
        _, error = watched(lambda: model.set_params(**session.changes), given, False)
    elif name == "score":
        _, error = watched(lambda: model.score(*given), given, False)  # few rows have an R2 of NaN
    elif name == "backprop":
        _, error = watched(lambda: backprop(model, *given), given, finite)
    elif name == "predictor":
        _, error = watched(lambda: model.predictor()(given[0]), given, finite)
    elif name == "to_sklearn":
        _, error = watched(model.to_sklearn, given, False)
    elif not hasattr(model, name):  # predict_proba of a regressor
        error = None
    else:
        result, error = watched(lambda: getattr(model, name)(*given), given, finite)
        if error is None and result.shape[0] != np.shape(given[0])[0]:
            raise BrokenPromiseError(f"{name} answers {np.shape(result)} for X of {np.shape(given[0])}")
    return model, error


TRAINING = ("fit", "partial_fit", "score", "backprop")
ASKING = (
    "predict", "predict_proba", "predict_log_proba", "transform", "input_gradients", "predictor", "pickle", "copy",
    "clone", "to_sklearn", "set_params",
)  # fmt: skip


@st.composite
def sessions(draw):
    task = draw(st.sampled_from(sorted(ESTIMATORS)))
    n, m = draw(ROWS), draw(COLUMNS)

    def some_targets(rows):
        usual = st.builds(Targets, st.just(rows), st.sampled_from(KINDS[task]), SEEDS)
        return often(usual, arrays((rows,)), arrays((rows, 2)), arrays((rows, 1))).flatmap(lambda one: one)

    validation = ()
    if draw(st.integers(0, 9)) == 9:
        validation = (draw(shapes(5, m).flatmap(arrays)), draw(some_targets(5)))
    return Session(
        task,
        draw(parameters(task)),
        draw(shapes(n, m).flatmap(arrays)),
        draw(often(n, n + 1, 0, 1).flatmap(some_targets)),
        draw(often(st.none(), *[arrays((n,))] * 3, arrays((n, 1))).flatmap(lambda one: one)),
        validation,
        draw(shapes(draw(ROWS), m).flatmap(arrays)),
        (
            draw(st.sampled_from(("fit", "partial_fit"))),
            *draw(st.lists(st.sampled_from(TRAINING + ASKING), max_size=8)),
        ),
        draw(parameters(task)),
    )


# ---- functions


class FunctionCall(NamedTuple):
    """A function of fastbp.functional with arrays for its arguments."""

    name: str
    arguments: tuple
    number: object  # delta, level or gamma

    def run(self):
        """Make the call; return its error."""
        with TemporaryDirectory() as folder:
            return self._run(folder)

    def _run(self, folder):
        given = [one.build(folder) for one in self.arguments]
        more = () if self.number is None else (self.number,)
        function = getattr(functional, self.name)
        # the functions are the formulas: what they overflow to is theirs
        return [watched(lambda: function(*given, *more), given, False)[1]]


@st.composite
def function_calls(draw):
    name = draw(st.sampled_from(sorted(functional.__all__)))
    function = getattr(functional, name)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    n, m = draw(ROWS), draw(COLUMNS)
    of = (
        {"w": shapes(5, m), "b": often((5,), (), (1, 5), (3, 5), (4,)), "dy": shapes(n, 5)}
        if name.startswith("linear")
        else {}
    )
    given, number = [], None
    for argument in names:
        if argument in ("delta", "level", "gamma"):
            number = draw(st.sampled_from((None, 0.5, 2.0, 0, -1.0, np.nan, np.inf, 1e300, "a", [0.5], [0.1] * m)))
        else:
            given.append(draw(of.get(argument, shapes(n, m)).flatmap(arrays)))
    return FunctionCall(name, tuple(given), number)


CASES = often(sessions(), *[function_calls()] * 3).flatmap(lambda one: one)
assert set(VALID) == set(KINDS)
