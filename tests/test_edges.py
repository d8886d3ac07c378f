"""Numbers at the edge: what scikit-learn answers is answered, what it refuses refused, and an overflow is told of."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network

import fastbp
from fastbp import MLPClassifier, MLPRegressor
from fastbp._options import STOCHASTIC_SOLVERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
X = RNG.standard_normal((30, 4))
CLASS = RNG.randint(0, 3, 30)
TARGETS = {
    "binary": CLASS > 1,
    "multiclass": np.array(["a", "b", "c"])[CLASS],
    "multilabel": np.eye(3, dtype=int)[CLASS],
    "a column": X[:, 0] + CLASS,
    "columns": np.column_stack([X[:, 0], X[:, 1] + CLASS]),
}
CLASSES = ("binary", "multiclass", "multilabel")
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 5, "random_state": 0}

EDGES = {
    "1e30": lambda X, y: (X * 1e30, y),
    "1e-30": lambda X, y: (X * 1e-30, y),
    "1e-30 and 1e30": lambda X, y: (X * [1e-30, 1e30, 1, 0], y),
    "subnormal": lambda X, y: (X * 1e-310, y),
    "all zero": lambda X, y: (X * 0, y),
    "constant columns": lambda X, y: (np.where(np.arange(4) < 3, 5.0, X), y),
    "one sample": lambda X, y: (X[:1], y[:1]),
    "two samples": lambda X, y: (X[:2], y[:2]),
    "one feature": lambda X, y: (X[:, :1], y),
    "y constant": lambda X, y: (X, y[np.zeros(30, int)]),
    "one feature of one sample": lambda X, y: (X[:1, :1], y[:1]),
}
WEIGHTS = {
    "0 for a class": (CLASS != 1).astype(float),
    "0 but for one row": np.eye(30)[3],
    "1e30": np.full(30, 1e30),
    "1e-30": np.full(30, 1e-30),
    "1e30 and 1e-30": np.where(CLASS == 1, 1e30, 1e-30),
    "below 0": np.full(30, -1.0),
    "some below 0": np.where(CLASS == 1, -1.0, 2.0),
}


def estimator(package, kind):
    return getattr(package, "MLPClassifier" if kind in CLASSES else "MLPRegressor")


def outcome(package, kind, X, y, weight=None, **parameters):
    """Losses, predictions and probabilities; or the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = estimator(package, kind)(**{**SMALL, **parameters}).fit(X, y, weight)
        except ValueError as error:
            return error
        losses = [model.loss_] if model.solver == "lbfgs" else model.loss_curve_
        return np.array(losses), model.predict(X), model.predict_proba(X) if kind in CLASSES else np.zeros(1)


def assert_alike(kind, dtype, X, y, weight=None, **parameters):
    with np.errstate(under="ignore"):
        X = X.astype(dtype)
    y = y.astype(dtype) if kind not in CLASSES else y
    ours, theirs = (outcome(package, kind, X, y, weight, **parameters) for package in (fastbp, sklearn.neural_network))
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert type(ours) is type(theirs)
        assert str(ours).startswith(str(theirs))
        return
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == np.float64 else {"rtol": 2e-4, "atol": 1e-5}
    for got, expected in zip(ours, theirs, strict=True):
        if np.asarray(got).dtype.kind == "f":
            assert np.isfinite(got).all()
            np.testing.assert_allclose(got, expected, **tolerance)
        else:
            assert np.array_equal(got, expected)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kind", TARGETS)
def test_data_as_in_scikit_learn(kind, edge, dtype):
    assert_alike(kind, dtype, *EDGES[edge](X, TARGETS[kind]))


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("kind", TARGETS)
def test_weights_as_in_scikit_learn(kind, weight):
    assert_alike(kind, np.float64, X, TARGETS[kind], WEIGHTS[weight], solver="sgd")


def test_weights_that_cancel():
    with pytest.raises(ValueError, match="sample weights sum to 0"):
        MLPRegressor(**SMALL).fit(X, TARGETS["a column"], np.where(np.arange(30) % 2, 1.0, -1.0))


@pytest.mark.parametrize("weighs", ["training", "validation"])
def test_weights_that_leave_nothing_to_a_part_of_the_rows(weighs):
    seen, y = [], TARGETS["a column"]
    model = MLPRegressor(**SMALL, early_stopping=True, scoring=lambda model, X, y: seen.append(X) or 0.0).fit(X, y)
    held_out = (X[:, None] == seen[0]).all(axis=2).any(axis=1)
    assert held_out.sum() == 3
    with pytest.raises(ValueError, match="to train on, or of those held out to validate, sum to 0"):
        model.fit(X, y, held_out == (weighs == "validation"))


def test_a_validation_loss_that_overflows_is_told_of():
    y = TARGETS["a column"]
    with pytest.warns(RuntimeWarning, match="overflow: some outputs or losses of validation rows"):
        MLPRegressor(**SMALL, scoring="loss").fit(X, y, X_val=X, y_val=y * 1e200)


# ---- losses are finite where mathematics says so


@pytest.mark.parametrize("loss", ["log_loss", "focal", "squared_error"])
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_huge_logits_cost_a_finite_amount(loss, kind, solver, dtype):
    """z of 1e30 and more: being wrong for sure costs -log(eps) an output, and probabilities stay probabilities."""
    data = (X * 1e30).astype(dtype), TARGETS[kind]
    model = MLPClassifier(**{**SMALL, "max_iter": 2, "learning_rate_init": 1e-33}, loss=loss, solver=solver, alpha=0)
    model.fit(*data)
    worst = {"squared_error": 0.5}.get(loss, -np.log(np.finfo(dtype).eps)) * (1 if kind == "binary" else 3)
    assert 0 < model.loss_ <= worst * 1.001
    probabilities = model.predict_proba(data[0])
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    if kind != "multilabel":
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "squared_error"])
def test_huge_targets(loss, dtype):
    """The linear losses of 1e30 are 1e30; only the square is too large for float32, and says so."""
    y = (1e30 * (1 + CLASS)).astype(dtype)
    model = MLPRegressor(loss, **SMALL, clip_value=1.0)
    if loss == "squared_error" and dtype == np.float32:
        with pytest.warns(RuntimeWarning, match="the loss of epoch 1 is inf"):
            model.fit(X.astype(dtype), y)
    else:
        model.fit(X.astype(dtype), y)
        expected = np.mean(y.astype(float) ** 2) / 2 if loss == "squared_error" else np.mean(y, dtype=float)
        assert model.loss_ == pytest.approx(expected * (0.5 if loss == "quantile" else 1), rel=1e-5)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_counts_of_every_size(loss, dtype):
    y = np.exp(np.linspace(-60, 60, 30)).astype(dtype)
    model = MLPRegressor(loss, **SMALL, learning_rate_init=1e-3).fit(X.astype(dtype), y)
    assert np.isfinite(model.loss_curve_).all()
    assert (model.predict(X.astype(dtype)) > 0).all()


# ---- what overflows says so

DIVERGING = {solver: {"solver": solver, "learning_rate_init": 1e300} for solver in STOCHASTIC_SOLVERS}


@pytest.mark.parametrize("kind", ["multiclass", "a column"])
@pytest.mark.parametrize("solver", DIVERGING)
def test_a_rate_that_diverges_names_the_epoch_and_what_to_try(kind, solver):
    model = estimator(fastbp, kind)(**SMALL, activation="identity", **DIVERGING[solver])
    with pytest.raises(
        ValueError, match=r"diverged in epoch \d: scale X .* lower learning_rate_init=1e\+300"
    ) as caught:
        model.fit(X, TARGETS[kind])
    finite = np.isfinite(model.loss_curve_)
    epoch = int(str(caught.value).split("diverged in epoch ")[1].split(":")[0])
    assert epoch == (len(finite) if finite.all() else int(np.argmin(finite)) + 1)


def test_the_epoch_is_the_first_whose_loss_is_not_finite():
    """Plain descent on a parabola, by a factor an epoch: only the last of them is too much."""
    parameters = {"solver": "sgd", "momentum": 0, "learning_rate_init": 1e30, "max_iter": 30, "random_state": 0}
    model = MLPRegressor(hidden_layer_sizes=(), **parameters)
    with pytest.raises(ValueError, match="non-finite parameter weights") as caught:
        model.fit(X, TARGETS["a column"])
    first = int(np.argmin(np.isfinite(model.loss_curve_))) + 1
    assert 1 < first < 30
    assert f"diverged in epoch {first}:" in str(caught.value)


def test_lbfgs_that_overflows():
    """SciPy goes no further, and the weights stay."""
    with pytest.warns(RuntimeWarning, match=r"the loss of iteration \d+ is (inf|nan), though the weights are finite"):
        MLPRegressor(**SMALL, solver="lbfgs").fit(X * 1e300, TARGETS["a column"])


def test_the_square_that_overflows_in_single_precision():
    """scikit-learn goes over to double precision where y is of it; here a fit is of one precision."""
    with pytest.raises(ValueError, match="diverged in epoch 1: scale X"):
        MLPRegressor(**SMALL).fit((X * 1e30).astype(np.float32), TARGETS["a column"])


def test_an_infinite_penalty_is_told_of():
    with pytest.warns(RuntimeWarning, match="the loss of epoch 1 is inf, though the weights are finite"):
        MLPClassifier(**SMALL, alpha=1e308, clip_value=1e-3).fit(X, TARGETS["binary"])


@pytest.mark.parametrize("kind", TARGETS)
def test_predictions_that_overflow_are_told_of(kind, dtype):
    X_small, y = X.astype(dtype), TARGETS[kind]
    model = estimator(fastbp, kind)(**{**SMALL, "hidden_layer_sizes": (5, 5)}).fit(X_small, y)
    huge = X_small * (np.finfo(dtype).max / 4)
    calls = [model.transform, model.input_gradients, lambda X: model.predictor()(X)[0], model.predict]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in calls:
            call(X_small)
    model.coefs_ = [1e3 * W for W in model.coefs_]
    for call in (*calls[:1], *calls[2:]):
        with pytest.warns(RuntimeWarning, match="overflow: some predictions are infinite or NaN, though X is finite"):
            call(huge)


def test_derivatives_that_overflow_are_told_of():
    model = MLPRegressor(**SMALL).fit(X, TARGETS["a column"])
    model.coefs_ = [1e200 * W for W in model.coefs_]
    with pytest.warns(RuntimeWarning, match="overflow: some gradients are infinite or NaN"):
        model.input_gradients(X)
    with pytest.warns(RuntimeWarning, match="overflow: some derivatives or sums are infinite or NaN"):
        fastbp.backprop(model, X, TARGETS["a column"])


# ---- integers of Python, which have no largest

HUGE = 10**400


@pytest.mark.parametrize(
    "parameters",
    [{"alpha": HUGE}, {"alpha": [HUGE, 0]}, {"clip_norm": HUGE}, {"warmup": HUGE}, {"class_weight": {True: HUGE}}],
    ids=lambda parameters: next(iter(parameters)),
)
def test_parameters_beyond_every_float(parameters):
    with pytest.raises(ValueError, match=f"{next(iter(parameters))} (is an integer of|must hold)"):
        MLPClassifier(**SMALL, **parameters).fit(X, TARGETS["binary"])


def test_data_beyond_every_float():
    objects, y = X.astype(object), TARGETS["a column"]
    objects[3, 2] = HUGE
    model = MLPRegressor(**SMALL).fit(X, y)
    calls = [
        lambda: MLPRegressor().fit(objects, y),
        lambda: MLPRegressor().fit(X, objects[:, 2]),
        lambda: MLPRegressor().fit(X, y, objects[:, 2]),
        lambda: model.predict(objects),
        lambda: model.predictor()(objects),
        lambda: fastbp.functional.tanh_forward(objects),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"an integer beyond 1\.79"):
            call()


@pytest.mark.parametrize("parameters", [{"learning_rate": "cosine"}, {"learning_rate": "one_cycle", "warmup": 0.5}])
def test_endless_schedules(parameters):
    """As many epochs as there are, and more; time ends them."""
    parameters = {"hidden_layer_sizes": 5, "tol": 0, "max_time": 0.01, **parameters}
    few, many = (
        MLPRegressor(**parameters, max_iter=max_iter, random_state=0).fit(X, TARGETS["a column"]).loss_curve_
        for max_iter in (10**15, 10**30)
    )
    n = min(len(few), len(many), 3)
    np.testing.assert_allclose(few[:n], many[:n])


@pytest.mark.parametrize("n_threads", [10**4, 2**31, 10**30])
def test_more_threads_than_there_can_be(n_threads):
    one, many = (MLPRegressor(**SMALL, n_threads=n).fit(X, TARGETS["a column"]) for n in (1, n_threads))
    assert one.loss_curve_ == many.loss_curve_
    assert np.array_equal(one.predict(X), many.predict(X))


@pytest.mark.parametrize("kind", ["three classes", "two columns", "NaN in the weights", "layers without memory"])
def test_a_refit_that_cannot_begin_leaves_the_model_as_it_was(kind):
    y = np.arange(len(X)) % 2
    model = MLPClassifier(**SMALL).fit(X, y)
    before, learned = model.predict_proba(X), {k: v for k, v in vars(model).items() if k.endswith("_")}
    given = {
        "three classes": (X, np.arange(len(X)) % 3, np.full(len(X), np.nan)),
        "two columns": (X[:, :2], y, np.full(len(X), np.nan)),
        "NaN in the weights": (X, y, np.full(len(X), np.nan)),
        "layers without memory": (X, np.arange(len(X)) % 3, None),
    }[kind]
    if given[2] is None:
        model.set_params(hidden_layer_sizes=(10**6, 10**12))
    with pytest.raises((ValueError, MemoryError)):
        model.fit(*given)
    assert {k: v for k, v in vars(model).items() if k.endswith("_")} == learned
    model.set_params(hidden_layer_sizes=SMALL["hidden_layer_sizes"])
    assert np.array_equal(model.predict_proba(X), before)
