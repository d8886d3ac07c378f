"""fastbp.backprop: the inside of a fitted estimator, layer by layer."""

import copy

import numpy as np
import pytest
import reference
from conftest import assert_same_bits

import fastbp
from fastbp import MLPClassifier, MLPRegressor


def fitted(kind, activation="tanh", dtype=np.float64):
    """A small fitted model with its X, y and the targets as the reference takes them."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, (40, 5)).astype(dtype)
    label = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])
    multilabel = np.stack([X[:, 0] > 0, X[:, 1] > 0.3, X[:, 2] > -0.3], axis=1).astype(int)
    y, targets = {
        "binary": (np.array(["no", "yes"])[(label > 0).astype(int)], (label > 0)[:, None]),
        "multiclass": (np.array(["low", "middle", "high"])[label], np.eye(3)[[[1, 2, 0][k] for k in label]]),
        "multilabel": (multilabel, multilabel),
        "regression": (X[:, 0] * 2, X[:, :1] * 2),
        "two targets": (X[:, :2], X[:, :2]),
        "poisson": (label.astype(float), label[:, None]),
    }[kind]
    regression = kind in ("regression", "two targets", "poisson")
    options = {"loss": "poisson"} if kind == "poisson" else {}
    estimator = MLPRegressor if regression else MLPClassifier
    model = estimator(
        hidden_layer_sizes=(7, 6), activation=activation, max_iter=20, random_state=0, solver="adam",
        learning_rate_init=0.01, n_iter_no_change=100, tol=0, **options,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X, y)
    return model, X, y, targets.astype(float)


PAIRS = {
    "binary": ("logistic", "binary_log_loss"),
    "multiclass": ("softmax", "log_loss"),
    "multilabel": ("logistic", "binary_log_loss"),
    "regression": ("identity", "squared_error"),
    "two targets": ("identity", "squared_error"),
    "poisson": ("exp", "poisson"),
}
kinds = pytest.mark.parametrize("kind", PAIRS)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "multiclass", "regression"])
def test_the_quadratic_cost_on_any_output(kind):
    """With logistic outputs it is the pair that saturates: delta[L] = (a - y) a (1 - a)."""
    model, X, y, targets = fitted(kind)
    W, b = [None, *(c.T for c in model.coefs_)], [None, *model.intercepts_]
    got = fastbp.backprop(model, X, y, loss="squared_error")
    expected = reference.backprop(X, targets, W, b, ["tanh", "tanh"], PAIRS[kind][0], "squared_error", None)
    assert got.loss == pytest.approx(expected.loss, rel=1e-12)
    for l in (1, 2, 3):
        np.testing.assert_allclose(got.dW[l], expected.dW[l], rtol=1e-9, atol=1e-12)
    if PAIRS[kind][0] == "logistic":
        a = got.a[3]
        np.testing.assert_allclose(got.delta[3], (a - targets) * a * (1 - a), rtol=1e-12)
    with pytest.raises(ValueError, match="squared_error"):
        fastbp.backprop(model, X, y, loss="hinge")


@kinds
@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic", "identity"])
def test_backprop_is_the_reference(kind, activation):
    model, X, y, targets = fitted(kind, activation)
    weight = np.random.RandomState(1).uniform(0.5, 2, len(X))
    W, b = [None, *(c.T for c in model.coefs_)], [None, *model.intercepts_]
    for w in (None, weight):
        got = fastbp.backprop(model, X, y, sample_weight=w)
        expected = reference.backprop(X, targets, W, b, [activation, activation], *PAIRS[kind], w)
        assert got.loss == pytest.approx(expected.loss, rel=1e-12)
        for name in ("z", "a", "delta", "dW", "db"):
            ours, theirs = getattr(got, name), getattr(expected, name)
            assert len(ours) == len(theirs) == 4
            assert (ours[0] is None) == (theirs[0] is None)
            for l in range(1, 4):
                np.testing.assert_allclose(ours[l], theirs[l], atol=1e-12 * max(1, np.abs(theirs[l]).max()))


@kinds
def test_the_last_a_is_the_prediction(kind):
    model, X, y, _ = fitted(kind)
    a = fastbp.backprop(model, X, y).a
    np.testing.assert_array_equal(a[0], X)
    if kind in ("multiclass", "multilabel"):
        assert_same_bits([a[3]], [model.predict_proba(X)])
    elif kind == "binary":
        assert_same_bits([a[3][:, 0]], [model.predict_proba(X)[:, 1]])
    else:
        assert_same_bits([a[3]], [model.predict(X).reshape(len(X), -1)])


@kinds
def test_dW_is_the_central_difference(kind):
    """The loss of a copy whose coefs_ are nudged one by one: backprop reads the parameters from the model each time."""
    model, X, y, _ = fitted(kind)
    passed, nudged, h = fastbp.backprop(model, X, y), copy.deepcopy(model), 1e-6
    for l in range(1, 4):
        for params, grads in ((nudged.coefs_, passed.dW[l].T), (nudged.intercepts_, passed.db[l])):
            param, numeric = params[l - 1], np.empty_like(grads)
            for index in np.ndindex(param.shape):
                kept = param[index]
                param[index] = kept + h
                above = fastbp.backprop(nudged, X, y).loss
                param[index] = kept - h
                numeric[index] = (above - fastbp.backprop(nudged, X, y).loss) / (2 * h)
                param[index] = kept
            assert np.abs(grads).max() > 1e-4, "an all-zero gradient would pass for free"
            np.testing.assert_allclose(grads, numeric, atol=1e-6 * max(1, np.abs(grads).max()))


def test_the_model_is_left_alone():
    model, X, y, _ = fitted("multiclass")
    before = copy.deepcopy(model)
    passed = fastbp.backprop(model, X, y)
    for array in (*passed.a[1:], *passed.dW[1:]):
        array[...] = 0
    assert_same_bits(model.coefs_, before.coefs_)
    assert_same_bits([model.predict_proba(X)], [before.predict_proba(X)])


def test_float32_stays_float32():
    model, X, y, _ = fitted("multiclass", dtype=np.float32)
    passed = fastbp.backprop(model, X, y)
    arrays = [array for name in ("z", "a", "delta", "dW", "db") for array in getattr(passed, name)[1:]]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def test_what_does_not_fit_is_refused():
    from sklearn.exceptions import NotFittedError

    model, X, y, _ = fitted("multiclass")
    with pytest.raises(NotFittedError):
        fastbp.backprop(MLPClassifier(), X, y)
    with pytest.raises(ValueError, match="features"):
        fastbp.backprop(model, X[:, :3], y)
    with pytest.raises(ValueError, match="inconsistent"):
        fastbp.backprop(model, X, y[:-1])
    with pytest.raises(ValueError, match="classes"):
        fastbp.backprop(model, X, np.full(len(X), "unheard of"))
    with pytest.raises(ValueError, match="NaN"):
        fastbp.backprop(model, np.full_like(X, np.nan), y)
