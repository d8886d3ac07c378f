"""Every option with every other: together they keep all promises, or they are refused. The table is in pairs.py.

A pair is two values of two options. It gets a tiny fit, from which everything that the package promises of any fit is
checked at once: what is fitted, what the methods return, and which changes leave every bit as it is.
"""

import gc
import itertools
import os
import pickle
import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from pairs import (
    CASES,
    DATA,
    IDLE,
    N_EPOCHS,
    N_FEATURES,
    NEUTRAL,
    REFUSED,
    TASKS,
    UNSURE,
    VALUES,
    Case,
    N,
    as_bytes,
    refusal,
    result,
    stops,
)
from sklearn.base import clone

from fastbp import MLPClassifier, _model, backprop
from fastbp._engine import Network
from fastbp._options import STOCHASTIC_SOLVERS
from fastbp._pace import Pace

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, directory):
    """A place for checkpoints; and each batch on as many threads as allowed, though none is worth more than one."""
    monkeypatch.chdir(directory)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # these files need not outlive the machine
    monkeypatch.setattr(Pace, "next", lambda pace: (pace.counts[-1], 1))
    monkeypatch.setattr(Pace, "done", lambda pace, n_batches: None)


# ---- what holds of every fit


def check_fitted(case, model):
    single = "float32" in (model.dtype, np.dtype(case.precision).name if model.dtype is None else None)
    precision = np.float32 if single else np.float64
    assert all(p.dtype == precision and np.isfinite(p).all() for p in model.coefs_ + model.intercepts_)
    assert np.isfinite(model.loss_)
    if model.solver == "lbfgs":
        return precision
    assert np.isfinite(model.loss_curve_).all()
    if model.early_stopping or case.validated:
        assert len(model.validation_scores_) == len(model.validation_loss_curve_) == len(model.loss_curve_)
        assert np.isfinite([*model.validation_scores_, *model.validation_loss_curve_]).all()
    else:
        assert model.validation_scores_ is model.validation_loss_curve_ is None
    return precision


def check_methods(case, model, precision):
    X, y, weight = case.rows(DATA, case.weighted, False)
    sparse_X, _, _ = case.rows(DATA, False, True)
    predictions = model.predict(X)
    columns = (len(model.quantile),) if np.ndim(getattr(model, "quantile", 0)) else ()
    assert predictions.shape == y.shape + columns
    assert predictions.dtype == (y.dtype if isinstance(model, MLPClassifier) else precision)
    if isinstance(model, MLPClassifier):
        probabilities = model.predict_proba(X)
        assert probabilities.dtype == precision
        assert probabilities.shape == (N, 2 if case.kind == "binary" else 3)
        assert case.kind == "multilabel" or np.allclose(probabilities.sum(axis=1), 1)
    elif columns:
        assert (np.diff(predictions) >= 0).all()
    if case.n_hidden:
        features = model.transform(X)
        assert features.shape == (N, model.hidden_layer_sizes[-1])
        assert features.dtype == precision
    gradients = model.input_gradients(X)
    assert gradients.shape == (N, model.n_outputs_, N_FEATURES)
    assert gradients.dtype == precision
    assert np.isfinite(gradients).all()
    passed = backprop(model, X, y, weight)
    assert as_bytes(passed.a[-1]) == as_bytes(model._answer(X))
    assert np.isfinite(passed.loss)
    assert as_bytes(predictions) == as_bytes(pickled(model).predict(sparse_X))


def check_resumed(case, model):
    """Interrupted after two epochs, and gone on with by a clone on more threads; with sparse X in place of dense."""
    callbacks = model.callbacks or []
    callbacks = [*callbacks, stops] if isinstance(callbacks, list) else [callbacks, stops]
    Path("half.npz").unlink(missing_ok=True)
    case.run(case.model(checkpoint="half.npz", checkpoint_every=2, callbacks=callbacks), sparse=True)
    resumed = clone(model).set_params(resume_from="half.npz", n_threads=3)
    assert result(case.run(resumed, sparse=True)) == result(model)


def pickled(model):
    return pickle.loads(pickle.dumps(model))


@cache
def outcome(task, names):
    case = Case(task, names)
    return result(case.run(case.model()))


@pytest.mark.parametrize(
    ("task", "names"), CASES, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_pairs(task, names):
    case, refused = Case(task, names), refusal(names)
    if refused is not None:
        with pytest.raises((ValueError, AttributeError), match=REFUSED[refused]):
            case.run(case.model())
        return
    model = case.run(case.model())
    got, precision = result(model), check_fitted(case, model)
    check_methods(case, model, precision)
    if case.calls == ("fit",) and model.solver != "lbfgs" and not {"callbacks=stops", "max_time=short"} & set(names):
        check_resumed(case, model)
    else:
        assert result(case.run(clone(model).set_params(n_threads=3), sparse=True, keep=pickled)) == got
    for name in names:
        others = tuple(other for other in names if other != name)
        has_effect = name not in NEUTRAL and (name, *others) not in IDLE
        assert name in UNSURE or (got != outcome(task, others)) == has_effect, name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["early_stopping=True", "dropout=0.3", "solver=schedule_free"])
def test_a_warm_start_can_be_resumed(task, name):
    case = Case(task, (name,))
    X, y, _ = case.rows(DATA, False, False)
    whole, half = (case.model(warm_start=True).fit(X, y) for _ in range(2))
    half.set_params(checkpoint="half.npz", callbacks=stops).fit(X, y)
    assert result(case.model(resume_from="half.npz").fit(X, y)) == result(whole.fit(X, y))


@pytest.mark.parametrize("parameters", [{"learning_rate": "cosine"}, {"warmup": 0.5}, {"warmup": 2}])
def test_more_epochs_after_a_checkpoint(parameters):
    """Only where the epochs before would have been the same."""
    case = Case("regressor", ())
    X, y, _ = case.rows(DATA, False, False)
    case.model(checkpoint="half.npz", **parameters).fit(X, y)
    longer = case.model(max_iter=2 * N_EPOCHS, **parameters)
    resumed = clone(longer).set_params(resume_from="half.npz")
    if parameters == {"warmup": 2}:
        assert result(resumed.fit(X, y)) == result(longer.fit(X, y))
    else:
        with pytest.raises(ValueError, match=r"saved with max_iter=4, but now max_iter=8\."):
            resumed.fit(X, y)


def test_every_refusal_is_met():
    assert {refusal(names) for _, names in CASES} == {None, *REFUSED}


# ---- what is not used costs nothing

OFF = [
    *({name: None} for name in ("clip_norm", "clip_value", "ema_decay", "max_time", "callbacks", "scoring", "dtype")),
    {"dropout": 0.0}, {"dropout": [0.0]}, {"input_dropout": 0.0}, {"warmup": 0}, {"warmup": 0.0}, {"callbacks": []},
    {"restore_best": False}, {"checkpoint_every": 3}, {"alpha": [1e-4, 1e-4]}, {"activation": ["relu"]},
    {"n_threads": None}, {"learning_rate": "constant"},
]  # fmt: skip
OFF_OF = {
    "classifier": [{"class_weight": {}}, {"label_smoothing": 0.0}, {"focal_gamma": 5.0}],
    "regressor": [{"huber_delta": 0.1}, {"quantile": 0.9}],
}
# Bounds out of reach and factors of one: what they guard or scale keeps its bits.
WITHOUT_BITE = [{"clip_norm": 1e9}, {"clip_value": 1e9}, {"warmup": 1}, {"learning_rate": lambda step, n_steps: 1.0}]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", [*STOCHASTIC_SOLVERS, "lbfgs"])
def test_what_is_off_changes_no_bit(task, solver):
    case = Case(task, ())
    expected = result(case.run(case.model(solver=solver)))
    off = OFF + OFF_OF[task] + ([{"rho": 0.5}] if solver != "rmsprop" else [])
    off += [{"weight_decay": 0.01 if solver == "adamw" else 0.0}] if solver != "lbfgs" else []
    for parameters in off + (WITHOUT_BITE if solver != "lbfgs" else []):
        assert result(case.run(case.model(solver=solver, **parameters))) == expected, parameters


class Watched(Network):
    """Keeps what it is asked."""

    epochs, n_copies = [], 0

    def train_epoch(self, *arguments):
        self.epochs.append(arguments)
        return super().train_epoch(*arguments)

    def get_parameters(self):
        Watched.n_copies += 1
        return super().get_parameters()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_plain_fit_does_plain_things(task, solver, monkeypatch):
    monkeypatch.setattr(_model, "Network", Watched)
    monkeypatch.setattr(Watched, "epochs", [])
    monkeypatch.setattr(Watched, "n_copies", 0)
    case = Case(task, ())
    X, y, _ = case.rows(DATA, False, False)
    model = case.model(solver=solver).fit(X, y)
    assert Watched.n_copies == 1  # coefs_ and intercepts_, in the end
    assert len(Watched.epochs) == N_EPOCHS
    for X_used, _, _, batch_size, *others in Watched.epochs:
        assert X_used is X
        assert [batch_size, *others] == [16, model.learning_rate_init, model.alpha, None, np.inf]


def n_calls(function):
    """Calls of Python functions and built-in ones within this one."""
    count = itertools.count()
    gc.disable()
    sys.setprofile(lambda frame, event, argument: next(count) if event in ("call", "c_call") else None)
    try:
        function()
    finally:
        sys.setprofile(None)
        gc.enable()
    return next(count)


@pytest.mark.parametrize("task", TASKS)
def test_no_python_in_a_step(task, monkeypatch):
    """Hardly more calls for 40 steps in an epoch than for five: the user's own functions apart."""
    monkeypatch.setattr(Pace, "next", lambda pace: (1, N))
    for name, changes in VALUES.items():
        if changes.get("task", task) == task and not name.startswith("batch_size"):
            case = Case(task, (name,))
            case.run(case.model(batch_size=1))  # what is only done once
            few, many = (n_calls(partial(case.run, case.model(batch_size=size))) for size in (8, 1))
            assert (many < few + 30) == (name not in ("learning_rate=callable", "loss=custom")), (name, few, many)
