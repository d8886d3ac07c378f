"""With the same float64 data and seed, fastbp follows scikit-learn epoch by epoch; and it passes its tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import sklearn.neural_network
from numpy.testing import assert_allclose
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification, make_regression

import fastbp

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning")

DIGITS, NUMERALS = load_digits(return_X_y=True)
DIGITS /= 16
FEW, FEW_NUMERALS = DIGITS[:330], NUMERALS[:330]  # two batches of 200, the last one not full
PROGRESS, DISEASE = load_diabetes(return_X_y=True)
PROGRESS, DISEASE = PROGRESS * 20, (DISEASE - 150) / 80


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
    assert_same_model(ours, theirs, X, rtol)


def assert_same_model(ours, theirs, X, rtol=1e-6):
    for p, q in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert_allclose(p, q, rtol=rtol, atol=rtol * np.abs(q).max())
    if hasattr(theirs, "predict_proba"):
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=rtol, atol=1e-9)
        assert np.array_equal(ours.predict(X), theirs.predict(X))
    else:
        assert_allclose(ours.predict(X), theirs.predict(X), rtol=rtol, atol=1e-9)


# ---- the trajectory


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_fifty_epochs_of_digits(activation, solver):
    ours, theirs = both(
        "MLPClassifier",
        FEW,
        FEW_NUMERALS,
        hidden_layer_sizes=(40, 20),
        activation=activation,
        solver=solver,
        max_iter=50,
    )
    assert_followed(ours, theirs, FEW)


def test_fifty_epochs_of_all_digits():
    ours, theirs = both("MLPClassifier", DIGITS, NUMERALS, max_iter=50)
    assert_followed(ours, theirs, DIGITS)
    assert ours.score(DIGITS, NUMERALS) > 0.97


@pytest.mark.parametrize("batch_size", [1, 7, 32, 330])
def test_batch_sizes(batch_size):
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, hidden_layer_sizes=12, batch_size=batch_size, max_iter=5)
    assert_followed(ours, theirs, FEW)


@pytest.mark.parametrize("hidden_layer_sizes", [(), (1,), (17, 3, 9)])
def test_layers(hidden_layer_sizes):
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, hidden_layer_sizes=hidden_layer_sizes, max_iter=20)
    assert_followed(ours, theirs, FEW)


def test_without_shuffling():
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, shuffle=False, max_iter=10)
    assert_followed(ours, theirs, FEW)


def test_random_state_instance():
    for model in both("MLPClassifier", FEW, FEW_NUMERALS, random_state=np.random.RandomState(7), max_iter=2):
        assert model.n_iter_ == 2
    states = [np.random.RandomState(7) for _ in range(2)]
    ours = fastbp.MLPClassifier(random_state=states[0], max_iter=3, early_stopping=True).fit(FEW, FEW_NUMERALS)
    theirs = sklearn.neural_network.MLPClassifier(random_state=states[1], max_iter=3, early_stopping=True)
    assert_followed(ours, theirs.fit(FEW, FEW_NUMERALS), FEW)
    assert states[0].randint(1 << 30) == states[1].randint(1 << 30)  # as many numbers were drawn


@pytest.mark.parametrize(
    "parameters",
    [
        {"momentum": 0},
        {"momentum": 0.5, "nesterovs_momentum": False},
        {"learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.5},
        {"learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 1e-2, "n_iter_no_change": 2},
        {"alpha": 0},
        {"alpha": 3.0},
    ],
)
def test_sgd(parameters):
    ours, theirs = both(
        "MLPClassifier", FEW, FEW_NUMERALS, solver="sgd", hidden_layer_sizes=20, **{"max_iter": 40, **parameters}
    )
    assert_followed(ours, theirs, FEW)
    assert_allclose(ours._optimizer.learning_rate, theirs._optimizer.learning_rate)


@pytest.mark.parametrize("parameters", [{"beta_1": 0}, {"beta_2": 0.9}, {"epsilon": 1e-3}, {"learning_rate_init": 0.1}])
def test_adam(parameters):
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, hidden_layer_sizes=20, max_iter=20, **parameters)
    assert_followed(ours, theirs, FEW)


# ---- the targets


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_two_classes(solver):
    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS % 2, solver=solver, max_iter=30)
    assert_followed(ours, theirs, FEW)


def test_one_class():
    ours, theirs = both("MLPClassifier", FEW, np.ones(330, dtype=int), max_iter=5)
    assert_followed(ours, theirs, FEW)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_multilabel(solver):
    X, Y = make_multilabel_classification(n_samples=250, random_state=0)
    ours, theirs = both("MLPClassifier", X / 10, Y, solver=solver, max_iter=30)
    assert_followed(ours, theirs, X / 10)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_regression(activation, solver):
    ours, theirs = both(
        "MLPRegressor", PROGRESS, DISEASE, hidden_layer_sizes=30, activation=activation, solver=solver, max_iter=30
    )
    assert_followed(ours, theirs, PROGRESS)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_several_outputs(solver):
    X, Y = make_regression(n_samples=250, n_features=10, n_targets=4, random_state=0)
    ours, theirs = both("MLPRegressor", X, Y / 100, solver=solver, max_iter=30)
    assert_followed(ours, theirs, X)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_poisson(solver):
    counts = np.random.RandomState(0).poisson(np.exp(DISEASE))
    ours, theirs = both("MLPRegressor", PROGRESS, counts, loss="poisson", solver=solver, max_iter=30)
    assert_followed(ours, theirs, PROGRESS)


# ---- weights, stopping, going on


@pytest.mark.parametrize(
    ("name", "X", "y"), [("MLPClassifier", FEW, FEW_NUMERALS), ("MLPRegressor", PROGRESS, DISEASE)]
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sample_weight(name, X, y, early_stopping):
    weight = np.random.RandomState(1).uniform(0.1, 3, len(y))
    ours, theirs = both(name, X, y, weight, max_iter=20, early_stopping=early_stopping)
    assert_followed(ours, theirs, X)


def test_multilabel_sample_weight():
    X, Y = make_multilabel_classification(n_samples=250, random_state=0)
    weight = np.random.RandomState(1).randint(0, 3, 250).astype(float)
    ours, theirs = both("MLPClassifier", X / 10, Y, weight, max_iter=20)
    assert_followed(ours, theirs, X / 10)


@pytest.mark.parametrize(
    ("name", "X", "y"),
    [
        ("MLPClassifier", FEW, FEW_NUMERALS),
        ("MLPClassifier", FEW, FEW_NUMERALS % 2),
        ("MLPRegressor", PROGRESS, DISEASE),
    ],
    ids=["classes", "two classes", "regression"],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_early_stopping(name, X, y, shuffle):
    ours, theirs = both(
        name, X, y, early_stopping=True, max_iter=100, tol=1e-3, n_iter_no_change=4, shuffle=shuffle,
        learning_rate_init=0.01,
    )  # fmt: skip
    assert ours.n_iter_ < 100
    assert_followed(ours, theirs, X)
    assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)
    assert_allclose(ours.best_validation_score_, theirs.best_validation_score_, rtol=1e-6)


def test_it_stops_in_the_same_epoch():
    ours, theirs = both(
        "MLPClassifier", FEW, FEW_NUMERALS, tol=1e-2, n_iter_no_change=3, max_iter=300, learning_rate_init=0.01
    )
    assert ours.n_iter_ < 300
    assert_followed(ours, theirs, FEW)
    assert_allclose(ours.best_loss_, theirs.best_loss_)


def fit_three_times(model, X, y):
    for max_iter in (5, 3, 4):
        model.set_params(max_iter=max_iter).fit(X, y)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_start(solver, early_stopping):
    ours, theirs = both(
        "MLPClassifier", FEW, FEW_NUMERALS, fit=fit_three_times, solver=solver, warm_start=True,
        early_stopping=early_stopping,
    )  # fmt: skip
    assert len(ours.loss_curve_) == 12
    assert_followed(ours, theirs, FEW)


@pytest.mark.parametrize("parameters", [{"solver": "adam"}, {"solver": "sgd", "learning_rate": "invscaling"}])
def test_partial_fit(parameters):
    def fit(model, X, y):
        for start in range(0, 330, 50):
            model.partial_fit(X[start : start + 50], y[start : start + 50], classes=np.arange(10))

    ours, theirs = both("MLPClassifier", FEW, FEW_NUMERALS, fit=fit, batch_size=20, **parameters)
    assert_followed(ours, theirs, FEW)


def test_partial_fit_after_fit_keeps_the_optimizer():
    def fit(model, X, y):
        model.fit(X, y)
        for _ in range(3):
            model.set_params(learning_rate_init=10.0, solver="sgd").partial_fit(X, y)  # as it was: Adam's

    ours, theirs = both("MLPRegressor", PROGRESS, DISEASE, fit=fit, max_iter=5)
    assert_followed(ours, theirs, PROGRESS)


# ---- L-BFGS


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_lbfgs(activation):
    ours, theirs = both(
        "MLPClassifier", FEW, FEW_NUMERALS, hidden_layer_sizes=10, activation=activation, solver="lbfgs", max_iter=15
    )
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)
    assert_same_model(ours, theirs, FEW, rtol=1e-5)


def test_lbfgs_with_weights_several_outputs_and_poisson():
    X, Y = make_regression(n_samples=150, n_features=10, n_targets=3, random_state=0)
    weight = np.random.RandomState(1).uniform(0.1, 3, 150)
    for loss, target in [("squared_error", Y / 100), ("poisson", np.floor(np.exp(Y / 200)))]:
        ours, theirs = both(
            "MLPRegressor", X, target, weight, loss=loss, hidden_layer_sizes=6, solver="lbfgs", max_iter=10
        )
        assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)
        assert_same_model(ours, theirs, X, rtol=1e-5)


# ---- scikit-learn's own tests, with fastbp's classes in place of its own

NOT_APPLICABLE = {
    "test_gradient": "calls a private method of scikit-learn's class; test_engine.py has central differences",
    "test_sparse_matrices": "sparse X raises NotImplementedError for now",
}


def scikit_learns_tests():
    """Its test module, compiled anew with the import of the estimators changed."""
    path = Path(importlib.util.find_spec("sklearn").origin).parent / "neural_network" / "tests" / "test_mlp.py"
    if not path.exists():
        return {}
    imports = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    source = path.read_text()
    assert source.count(imports) == 1
    module = ModuleType("scikit_learns_test_mlp")
    exec(
        compile(source.replace(imports, imports.replace("sklearn.neural_network", "fastbp")), path, "exec"),
        vars(module),
    )
    return {name: test for name, test in vars(module).items() if name.startswith("test_")}


@pytest.fixture
def global_random_seed():
    return 42


class TestScikitLearnsOwn:
    """The names are scikit-learn's."""

    for _name, _test in scikit_learns_tests().items():
        if _name in NOT_APPLICABLE:
            _test = pytest.mark.skip(reason=NOT_APPLICABLE[_name])(_test)
        locals()[_name] = staticmethod(_test)


def test_scikit_learns_own_tests_were_found():
    assert len([name for name in vars(TestScikitLearnsOwn) if name.startswith("test_")]) >= 40
