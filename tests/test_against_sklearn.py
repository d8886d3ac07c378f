"""With the same float64 data and seed, fastbp follows scikit-learn epoch by epoch."""

import itertools
import random

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from numpy.testing import assert_allclose
from sklearn.base import is_classifier
from sklearn.datasets import load_diabetes, load_digits
from sklearn.utils import gen_batches

import fastbp

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning")

DIGITS, NUMERALS = load_digits(return_X_y=True)
DIGITS /= 16
FEW, FEW_NUMERALS = DIGITS[:230], NUMERALS[:230]  # two batches, the last one small
PROGRESS, DISEASE = load_diabetes(return_X_y=True)
PROGRESS, DISEASE = PROGRESS * 20, (DISEASE - 150) / 80

BITS = (FEW_NUMERALS[:, None] >> np.arange(4)) & 1
BANDS = FEW.reshape(230, 4, 16).mean(axis=2)
TASKS = {
    "binary": ("MLPClassifier", FEW_NUMERALS % 2, {}),
    "multiclass": ("MLPClassifier", FEW_NUMERALS, {}),
    "multilabel": ("MLPClassifier", BITS, {}),
    "squared_error": ("MLPRegressor", FEW_NUMERALS / 3, {}),
    "squared_errors": ("MLPRegressor", BANDS, {}),
    "poisson": ("MLPRegressor", FEW_NUMERALS // 3, {"loss": "poisson"}),
    "poissons": ("MLPRegressor", BITS, {"loss": "poisson"}),
}
SOLVERS = {
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "plain": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    "momentum": {"solver": "sgd", "momentum": 0.8, "nesterovs_momentum": False, "learning_rate_init": 0.02},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.01},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.02},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.03, "tol": 0.02},
}
CONTAINERS = {"dense": np.asarray, "csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_matrix}
ACTIVATIONS = ["relu", "tanh", "logistic", "identity"]


def both(name, *data, fit=lambda model, *data: model.fit(*data), **parameters):
    """The same estimator of either package, fitted alike."""
    parameters = {"random_state": 0, "tol": 0, "n_iter_no_change": np.inf, **parameters}
    for package in (fastbp, sklearn.neural_network):
        model = getattr(package, name)(**parameters)
        fit(model, *data)
        yield model


def assert_followed(ours, theirs, X, rtol=1e-6):
    """The whole course of training, and what came of it."""
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=rtol)
    assert (ours.n_iter_, ours.t_, ours.n_layers_) == (theirs.n_iter_, theirs.t_, theirs.n_layers_)
    assert (ours.n_outputs_, ours.out_activation_) == (theirs.n_outputs_, theirs.out_activation_)
    assert ours._no_improvement_count == theirs._no_improvement_count
    if hasattr(theirs._optimizer, "lr_schedule"):  # sgd's: Adam's rate has its correction of the bias in it there
        assert_allclose(ours._optimizer.learning_rate, theirs._optimizer.learning_rate)
    for best in ("best_loss_", "validation_scores_", "best_validation_score_"):
        got, expected = getattr(ours, best), getattr(theirs, best)
        assert (got is None) == (expected is None)
        if expected is not None:
            assert_allclose(got, expected, rtol=rtol)
    assert_same_model(ours, theirs, X, rtol)


def assert_same_model(ours, theirs, X, rtol=1e-6):
    for p, q in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert_allclose(p, q, rtol=rtol, atol=rtol * np.abs(q).max())
    if is_classifier(theirs):
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=rtol, atol=1e-9)
        assert np.array_equal(ours.predict(X), theirs.predict(X))
    else:
        assert_allclose(ours.predict(X), theirs.predict(X), rtol=rtol, atol=1e-9)


# ---- everything with everything


def fit(model, X, y, weight):
    model.fit(X, y, weight)


def warm_start(model, X, y, weight):
    for max_iter in (7, 3, 5):
        model.set_params(warm_start=True, max_iter=max_iter).fit(X, y, weight)


def partial_fit(model, X, y, weight):
    """Twice over the rows in three chunks, of which none fills its last batch."""
    classes = {"classes": np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])} if is_classifier(model) else {}
    for rows in list(gen_batches(len(y), 90)) * 2:
        model.partial_fit(X[rows], y[rows], None if weight is None else weight[rows], **classes)


FACTORS = {
    "task": list(TASKS),
    "solver": list(SOLVERS),
    "activation": ACTIVATIONS,
    "container": list(CONTAINERS),
    "calls": [fit, warm_start, partial_fit],
    "early_stopping": [False, True],
    "weighted": [False, True],
    "batch_size": ["auto", 50],
    "shuffle": [True, False],
}


def every_pair(factors, possible):
    """Few cases in which each possible pair of values meets: the best of some random ones, again and again."""
    draw = random.Random(0)

    def pairs(case):
        return set(itertools.combinations(case.items(), 2))

    def complete(pair):
        while not possible(case := {**{name: draw.choice(values) for name, values in factors.items()}, **dict(pair)}):
            pass
        return case

    missing = [
        ((one, v), (other, w))
        for one, other in itertools.combinations(factors, 2)
        for v, w in itertools.product(factors[one], factors[other])
        if possible({one: v, other: w})
    ]
    while missing:
        case = max((complete(missing[0]) for _ in range(40)), key=lambda case: len(pairs(case).intersection(missing)))
        missing = [pair for pair in missing if pair not in pairs(case)]
        yield case


def is_possible(case):
    return not (case.get("calls") is partial_fit and case.get("early_stopping"))


def name_of(case):
    return "-".join(getattr(v, "__name__", None) or (k if v is True else str(v)) for k, v in case.items() if v)


@pytest.mark.parametrize("case", [pytest.param(c, id=name_of(c)) for c in every_pair(FACTORS, is_possible)])
def test_every_pair(case):
    name, y, loss = TASKS[case["task"]]
    X = CONTAINERS[case["container"]](FEW)
    weight = np.random.RandomState(1).uniform(0.1, 3, len(y)) if case["weighted"] else None
    parameters = {name: case[name] for name in ("activation", "early_stopping", "batch_size", "shuffle")}
    stopping = {"max_iter": 15, "tol": 1e-4, "n_iter_no_change": 3}
    ours, theirs = both(
        name, X, y, weight, fit=case["calls"], hidden_layer_sizes=(20, 10),
        **{**loss, **parameters, **stopping, **SOLVERS[case["solver"]]},
    )  # fmt: skip
    assert_followed(ours, theirs, X)


def test_the_pairs_are_all_there():
    cases = list(every_pair(FACTORS, is_possible))
    assert all(is_possible(case) for case in cases)
    for one, other in itertools.combinations(FACTORS, 2):
        met = {(case[one], case[other]) for case in cases}
        missing = set(itertools.product(FACTORS[one], FACTORS[other])) - met
        assert missing <= {(partial_fit, True)}


# ---- one thing at a time


def test_all_digits():
    ours, theirs = both("MLPClassifier", DIGITS, NUMERALS, max_iter=15, learning_rate_init=0.005)
    assert_followed(ours, theirs, DIGITS)
    assert ours.score(DIGITS, NUMERALS) > 0.97


@pytest.mark.parametrize("batch_size", [1, 7, 32, 230])
def test_batch_sizes(batch_size):
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, hidden_layer_sizes=12, batch_size=batch_size, max_iter=5)
    assert_followed(ours, theirs, FEW)


@pytest.mark.parametrize("hidden_layer_sizes", [(), (1,), (17, 3, 9)])
def test_layers(hidden_layer_sizes):
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, hidden_layer_sizes=hidden_layer_sizes, max_iter=20)
    assert_followed(ours, theirs, FEW)


def test_one_class():
    ours, theirs = both("MLPClassifier", FEW, np.ones(230, dtype=int), max_iter=5)
    assert_followed(ours, theirs, FEW)


def test_random_state_instance():
    states = [np.random.RandomState(7) for _ in range(2)]
    ours = fastbp.MLPClassifier(random_state=states[0], max_iter=3, early_stopping=True).fit(FEW, FEW_NUMERALS)
    theirs = sklearn.neural_network.MLPClassifier(random_state=states[1], max_iter=3, early_stopping=True)
    assert_followed(ours, theirs.fit(FEW, FEW_NUMERALS), FEW)
    assert states[0].randint(1 << 30) == states[1].randint(1 << 30)  # as many numbers were drawn


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "sgd", "learning_rate_init": 0.1, "alpha": 3.0},
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 0.05, "n_iter_no_change": 1},
        {"alpha": 0},
        {"beta_1": 0},
        {"beta_2": 0.9},
        {"epsilon": 1e-3},
        {"learning_rate_init": 0.1},
    ],
    ids=str,
)
def test_solver_parameters(parameters):
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, hidden_layer_sizes=20, max_iter=40, **parameters)
    assert_followed(ours, theirs, FEW)
    if "tol" in parameters:
        assert ours._optimizer.learning_rate < 0.5 / 5**2  # there were plateaus


@pytest.mark.parametrize(
    ("name", "X", "y"),
    [
        ("MLPClassifier", FEW, FEW_NUMERALS),
        ("MLPClassifier", FEW, FEW_NUMERALS % 2),
        ("MLPRegressor", PROGRESS, DISEASE),
    ],
    ids=["classes", "two classes", "regression"],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_it_stops_in_the_same_epoch(name, X, y, early_stopping):
    ours, theirs = both(
        name, X, y, early_stopping=early_stopping, max_iter=300, tol=3e-3, n_iter_no_change=4, learning_rate_init=0.02
    )
    assert ours.n_iter_ < 300
    assert_followed(ours, theirs, X)


def test_partial_fit_after_fit_keeps_the_optimizer():
    def fit(model, X, y):
        model.fit(X, y)
        for _ in range(3):
            model.set_params(learning_rate_init=10.0, solver="sgd").partial_fit(X, y)  # as it was: Adam's

    ours, theirs = both("MLPRegressor", PROGRESS, DISEASE, fit=fit, max_iter=5)
    assert_followed(ours, theirs, PROGRESS)


# ---- L-BFGS


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_lbfgs(task, weighted, container):
    name, y, loss = TASKS[task]
    X = container(FEW)
    activation = ACTIVATIONS[list(TASKS).index(task) % 4]
    weight = np.random.RandomState(1).uniform(0.1, 3, len(y)) if weighted else None
    ours, theirs = both(
        name, X, y, weight, fit=fit, hidden_layer_sizes=10, activation=activation, solver="lbfgs", max_iter=15, **loss
    )
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)
    assert_same_model(ours, theirs, X, rtol=1e-5)


# not "squared_errors": the loss is a mean over the outputs but the gradient their sum's, so the line search fails
@pytest.mark.parametrize("task", [task for task in TASKS if task != "squared_errors"])
def test_lbfgs_finds_the_only_minimum(task):
    """Without a hidden layer, and with a penalty, there is just one."""
    name, y, loss = TASKS[task]
    ours, theirs = both(name, FEW, y, hidden_layer_sizes=(), solver="lbfgs", alpha=10, tol=1e-6, max_iter=1000, **loss)
    assert ours.n_iter_ < 1000
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-9)
    assert_same_model(ours, theirs, FEW, rtol=1e-4)
