"""Hidden layers as features, and the derivatives of the outputs with respect to the inputs."""

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
SMALL = {"hidden_layer_sizes": (8, 5), "activation": "tanh", "max_iter": 30, "learning_rate_init": 0.02}
SMALL["random_state"] = 0


@pytest.fixture(params=[MLPClassifier, MLPRegressor])
def Estimator(request):
    return request.param


@pytest.fixture
def model(Estimator):
    return Estimator(**SMALL).fit(IRIS, SPECIES)


def layers(model, X):
    a = [X]
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        a.append(np.tanh(a[-1] @ W + b))
    return a[1:]


# ---- transform


@pytest.mark.parametrize("layer", [0, 1, -1, -2])
def test_the_activations_of_a_layer(model, layer):
    np.testing.assert_allclose(model.transform(IRIS, layer=layer), layers(model, IRIS)[layer], rtol=1e-9)
    np.testing.assert_allclose(
        model.transform(scipy.sparse.csr_array(IRIS), layer), layers(model, IRIS)[layer], rtol=1e-9
    )


def test_the_last_hidden_layer_is_the_default(model, Estimator):
    assert np.array_equal(model.transform(IRIS), model.transform(IRIS, layer=1))
    assert np.array_equal(Estimator(**SMALL).fit_transform(IRIS, SPECIES), model.transform(IRIS))


def test_each_layer_has_its_activation():
    parameters = {**SMALL, "activation": ["tanh", "relu"]}
    model = MLPClassifier(**parameters).fit(IRIS, SPECIES)
    first, second = (model.transform(IRIS, layer) for layer in (0, 1))
    assert first.min() < 0 <= second.min()
    np.testing.assert_allclose(second, np.maximum(first @ model.coefs_[1] + model.intercepts_[1], 0), atol=1e-12)


def test_features_in_a_pipeline(Estimator):
    pipeline = make_pipeline(Estimator(**SMALL), LogisticRegression()).fit(IRIS, SPECIES)
    assert pipeline.score(IRIS, SPECIES) > 0.9
    assert pipeline[-1].n_features_in_ == 5


def test_names_of_features(Estimator, model):
    name = Estimator.__name__.lower()
    assert list(model.get_feature_names_out()) == [f"{name}{i}" for i in range(5)]
    pandas = pytest.importorskip("pandas")
    table = clone(model).set_output(transform="pandas").fit(IRIS, SPECIES).transform(IRIS)
    assert isinstance(table, pandas.DataFrame)
    assert list(table.columns) == list(model.get_feature_names_out())
    assert np.array_equal(table, model.transform(IRIS))


def test_other_layers_have_no_names(model):
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="set_output names columns of the last hidden layer, got layer=0"):
        model.set_output(transform="pandas").transform(IRIS, layer=0)


def test_float32_features(Estimator):
    model = Estimator(**SMALL).fit(IRIS.astype(np.float32), SPECIES)
    assert model.transform(IRIS.astype(np.float32)).dtype == np.float32


def test_features_that_are_not_there(Estimator, model):
    for layer in (2, -3):
        with pytest.raises(ValueError, match=f"got layer={layer}, expected a hidden layer, -2 to 1"):
            model.transform(IRIS, layer=layer)
    linear = Estimator(**{**SMALL, "hidden_layer_sizes": ()}).fit(IRIS, SPECIES)
    for call in (lambda: linear.transform(IRIS), linear.get_feature_names_out):
        with pytest.raises(ValueError, match="has no hidden layers"):
            call()
    for call in (lambda: Estimator().transform(IRIS), Estimator().get_feature_names_out):
        with pytest.raises(NotFittedError):
            call()


def test_a_model_without_hidden_layers_can_be_looked_at(Estimator):
    linear = Estimator(**{**SMALL, "hidden_layer_sizes": ()}).fit(IRIS, SPECIES)
    assert {"coefs_", "predict"} <= set(dir(linear))
    for shown in (linear, make_pipeline(StandardScaler(), linear)):
        assert "hidden_layer_sizes" in shown._repr_html_()


# ---- input gradients


def numeric(f, X, step=1e-6):
    """Central differences of f (n, m) by each column of X: (n, m, n_features)."""
    columns = []
    for k in range(X.shape[1]):
        ahead, behind = X.copy(), X.copy()
        ahead[:, k] += step
        behind[:, k] -= step
        columns.append((f(ahead) - f(behind)) / (2 * step))
    return np.stack(columns, axis=2)


def test_gradients_of_probabilities():
    model = MLPClassifier(**SMALL).fit(IRIS, SPECIES)
    got = model.input_gradients(IRIS)
    assert got.shape == (150, 3, 4)
    np.testing.assert_allclose(got, numeric(model.predict_proba, IRIS), atol=1e-7)
    np.testing.assert_allclose(model.input_gradients(IRIS, output=-1), got[:, 2])


def test_gradients_of_logits():
    model = MLPClassifier(**SMALL).fit(IRIS, SPECIES)
    expected = numeric(lambda X: layers(model, X)[-1] @ model.coefs_[-1] + model.intercepts_[-1], IRIS)
    np.testing.assert_allclose(model.input_gradients(IRIS, raw=True), expected, atol=1e-7)


def test_gradients_of_two_classes():
    model = MLPClassifier(**SMALL).fit(IRIS[50:], SPECIES[50:])
    got = model.input_gradients(IRIS, output=0)
    np.testing.assert_allclose(got, numeric(lambda X: model.predict_proba(X)[:, 1:], IRIS)[:, 0], atol=1e-7)


def test_gradients_of_a_regressor():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor("poisson", **SMALL).fit(X, y / 100)
    expected = numeric(lambda X: model.predict(X)[:, None], X)
    np.testing.assert_allclose(model.input_gradients(X), expected, atol=1e-6)
    np.testing.assert_allclose(model.input_gradients(scipy.sparse.csr_array(X)), expected, atol=1e-6)


def test_outputs_that_are_not_there(model):
    with pytest.raises(ValueError, match="got output=3, expected"):
        model.input_gradients(IRIS, output=3)
    with pytest.raises(NotFittedError):
        clone(model).input_gradients(IRIS)
