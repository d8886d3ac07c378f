"""Fitted models from scikit-learn and back predict the same, and can go on learning."""

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp import MLPClassifier, MLPRegressor, from_sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
MANY, LABELS = make_multilabel_classification(n_samples=60, random_state=0)
SMALL = {"hidden_layer_sizes": (8, 4), "max_iter": 20, "learning_rate_init": 0.02, "random_state": 0}
CASES = {
    "two classes": ("MLPClassifier", {}, IRIS[50:], SPECIES[50:]),
    "three classes": ("MLPClassifier", {"activation": "tanh"}, IRIS, np.array(["a", "b", "c"])[SPECIES]),
    "labels": ("MLPClassifier", {"activation": "logistic"}, MANY, LABELS),
    "real": ("MLPRegressor", {"activation": "identity", "early_stopping": True}, IRIS, SPECIES),
    "several": ("MLPRegressor", {"solver": "lbfgs"}, IRIS, np.column_stack([SPECIES, -SPECIES])),
    "counts": ("MLPRegressor", {"loss": "poisson", "solver": "sgd", "momentum": 0.5}, IRIS, SPECIES),
}


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.fixture(params=CASES)
def case(request):
    name, parameters, X, y = CASES[request.param]
    return name, {**SMALL, **parameters}, X, y


def test_from_scikit_learn(case):
    name, parameters, X, y = case
    theirs = getattr(sklearn.neural_network, name)(**parameters).fit(X, y)
    ours = from_sklearn(theirs)
    assert type(ours) is getattr(fastbp, name)
    assert theirs.get_params().items() <= ours.get_params().items()
    np.testing.assert_allclose(outputs(ours, X), outputs(theirs, X), rtol=1e-9)
    assert np.array_equal(ours.predict(X), theirs.predict(X)) or name == "MLPRegressor"
    assert getattr(ours, "loss_curve_", None) == getattr(theirs, "loss_curve_", None)
    ours.coefs_[0][:] = 0
    assert theirs.coefs_[0].any()  # a copy


def test_to_scikit_learn(case):
    name, parameters, X, y = case
    ours = getattr(fastbp, name)(**parameters).fit(X, y)
    theirs = ours.to_sklearn()
    assert type(theirs) is getattr(sklearn.neural_network, name)
    assert theirs.get_params().items() <= ours.get_params().items()
    np.testing.assert_allclose(outputs(theirs, X), outputs(ours, X), rtol=1e-9)
    back = from_sklearn(theirs)
    assert np.array_equal(outputs(back, X), outputs(ours, X))


def test_both_go_on(case):
    name, parameters, X, y = case
    is_incremental = not parameters.get("early_stopping") and parameters.get("solver") != "lbfgs"
    parameters = {**parameters, "warm_start": not is_incremental}
    for model in (
        from_sklearn(getattr(sklearn.neural_network, name)(**parameters).fit(X, y)),
        getattr(fastbp, name)(**parameters).fit(X, y).to_sklearn(),
    ):
        before = model.coefs_[0].copy()
        if is_incremental:
            model.partial_fit(X, y)
            assert not np.array_equal(model.coefs_[0], before)
        else:  # may find that it cannot do better
            model.fit(X, y)
        assert np.isfinite(outputs(model, X)).all()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_model_that_was_not_trained_here_goes_on_there(early_stopping):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    told = {"early_stopping": early_stopping, "warm_start": True, "max_iter": 3, "random_state": 0}
    theirs = fastbp.from_torch(module, classes=[0, 1, 2], **told).to_sklearn()
    (theirs.fit if early_stopping else theirs.partial_fit)(IRIS, SPECIES)
    assert len(theirs.loss_curve_) == theirs.n_iter_ > 0


def test_names_of_columns_come_along():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(IRIS, columns=list("abcd"))
    ours = from_sklearn(sklearn.neural_network.MLPClassifier(**SMALL).fit(X, SPECIES))
    assert list(ours.feature_names_in_) == list("abcd")
    assert list(ours.to_sklearn().feature_names_in_) == list("abcd")


def test_training_options_are_left_out():
    ours = MLPClassifier(
        **SMALL, activation=["relu", "relu"], solver="adamw", alpha=[0, 0, 1], learning_rate="cosine", dropout=0.1,
        ema_decay=0.9, loss="focal", class_weight="balanced",
    ).fit(IRIS, SPECIES)  # fmt: skip
    theirs = ours.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(IRIS), ours.predict_proba(IRIS), rtol=1e-9)
    assert (theirs.solver, theirs.learning_rate, theirs.alpha, theirs.activation) == ("adam", "constant", 1e-4, "relu")
    gamma = MLPRegressor("gamma", **SMALL).fit(IRIS, SPECIES + 1)
    np.testing.assert_allclose(gamma.to_sklearn().predict(IRIS), gamma.predict(IRIS), rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MLPClassifier(**SMALL, activation="gelu"), "one activation of identity, logistic, tanh, relu in all"),
        (MLPClassifier(**SMALL, activation=["relu", "tanh"]), r"this one has \('relu', 'tanh'\)"),
        (MLPClassifier(**SMALL, loss="squared_error"), "softmax outputs for several classes"),
        (MLPRegressor("quantile", quantile=[0.1, 0.9], **SMALL), "do not sort quantiles"),
    ],
)
def test_what_scikit_learn_cannot_predict(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(IRIS, SPECIES).to_sklearn()


def test_what_is_no_fitted_network():
    with pytest.raises(TypeError, match="got StandardScaler, expected a fitted MLPClassifier or MLPRegressor"):
        from_sklearn(StandardScaler())
    with pytest.raises(NotFittedError):
        from_sklearn(sklearn.neural_network.MLPClassifier())
    with pytest.raises(NotFittedError):
        MLPClassifier().to_sklearn()


@pytest.mark.parametrize("case", ["two classes", "three classes"])
def test_backprop_of_a_model_from_scikit_learn(case):
    """Its class weights are none."""
    name, parameters, X, y = CASES[case]
    theirs = getattr(sklearn.neural_network, name)(**{**SMALL, **parameters}).fit(X, y)
    expected = np.mean(-np.log(theirs.predict_proba(X)[np.arange(len(y)), np.searchsorted(theirs.classes_, y)]))
    assert fastbp.backprop(from_sklearn(theirs), X, y).loss / len(y) == pytest.approx(expected)
