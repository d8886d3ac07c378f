"""The estimators as a user meets them: scikit-learn's tools, targets, fitted parameters, persistence, stopping."""

import copy
import inspect
import pickle

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

import fastbp
from fastbp import MLPClassifier, MLPRegressor, _training
from fastbp._classifier import binarizer_of
from fastbp._engine import Network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.02, "random_state": 0}
ESTIMATORS = [MLPClassifier, MLPRegressor]


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(params=ESTIMATORS)
def Estimator(request):
    return request.param


# ---- scikit-learn's tools


def test_fitted_attributes_are_scikit_learns(Estimator):
    theirs = getattr(sklearn.neural_network, Estimator.__name__)(**SMALL, early_stopping=True).fit(IRIS, SPECIES)
    ours = Estimator(**SMALL, early_stopping=True).fit(IRIS, SPECIES)

    def public(model):
        return {name: np.shape(value) for name, value in vars(model).items() if name.endswith("_") and name not in own}

    own = ("coefs_", "intercepts_")
    assert public(theirs).items() <= public(ours).items()


def test_pipeline_grid_search_and_cross_validation(Estimator):
    model = make_pipeline(StandardScaler(), Estimator(**SMALL))
    assert cross_val_score(model, IRIS, SPECIES, cv=3).shape == (3,)
    search = GridSearchCV(model, {f"{Estimator.__name__.lower()}__alpha": [1e-4, 1e-2]}, cv=3, n_jobs=2)
    search.fit(IRIS, SPECIES)
    assert search.best_estimator_.score(IRIS, SPECIES) > 0.8


def test_clone_forgets_the_fit(Estimator):
    model = Estimator(**SMALL, dtype="float32", n_threads=1).fit(IRIS, SPECIES)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(IRIS)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_needs_a_stochastic_solver(Estimator, solver):
    assert hasattr(Estimator(solver=solver), "partial_fit")
    assert not hasattr(Estimator(solver="lbfgs"), "partial_fit")


# ---- targets


def test_string_labels():
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)
    model = MLPClassifier(**SMALL).fit(IRIS, names[SPECIES])
    assert list(model.classes_) == list(names)
    assert np.array_equal(model.predict(IRIS), names[MLPClassifier(**SMALL).fit(IRIS, SPECIES).predict(IRIS)])


def test_two_classes():
    model = MLPClassifier(**SMALL).fit(IRIS[:100], SPECIES[:100])
    proba = model.predict_proba(IRIS[:100])
    assert proba.shape == (100, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (model.n_outputs_, model.out_activation_) == (1, "logistic")
    assert model.score(IRIS[:100], SPECIES[:100]) == 1
    np.testing.assert_allclose(np.exp(model.predict_log_proba(IRIS[:100])), proba)


def test_three_classes():
    model = MLPClassifier(**SMALL).fit(IRIS, SPECIES)
    proba = model.predict_proba(IRIS)
    assert proba.shape == (150, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (model.n_outputs_, model.out_activation_) == (3, "softmax")
    assert np.array_equal(proba.argmax(axis=1), model.predict(IRIS))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16, bool, np.float64, str])
@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_the_labels_are_known_as_scikit_learns_binarizer_knows_them(dtype, n_classes):
    y = (np.arange(30) * 7 % n_classes).astype(dtype)
    ours, theirs = vars(binarizer_of(y)), vars(LabelBinarizer().fit(y))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert np.array_equal(ours[name], value), name
        assert type(ours[name]) is type(value), name
    assert ours["classes_"].dtype == theirs["classes_"].dtype


@pytest.mark.parametrize("as_sparse", [False, True])
def test_multilabel(as_sparse):
    X, Y = make_multilabel_classification(n_samples=100, random_state=0)
    target = scipy.sparse.csr_array(Y) if as_sparse else Y
    model = MLPClassifier(**{**SMALL, "hidden_layer_sizes": 50, "max_iter": 500}).fit(X, target)
    predicted = model.predict(X)
    assert scipy.sparse.issparse(predicted) == as_sparse
    assert model.predict_proba(X).shape == Y.shape
    assert model.score(X, target) > 0.9


def test_several_outputs():
    X, Y = make_regression(n_samples=100, n_targets=3, random_state=0)
    model = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", random_state=0, max_iter=300).fit(X, Y)
    assert model.predict(X).shape == (100, 3)
    assert model.score(X, Y) > 0.99


def test_a_column_of_targets_is_taken_as_a_vector(Estimator):
    with pytest.warns(sklearn.exceptions.DataConversionWarning):
        model = Estimator(**SMALL).fit(IRIS, SPECIES.reshape(-1, 1))
    assert model.predict(IRIS).shape == (150,)


@pytest.mark.parametrize("hidden_layer_sizes", [(), 8, [8], (8, 4), np.array([8, 4])])
def test_shapes_of_the_layers(Estimator, hidden_layer_sizes):
    model = Estimator(**{**SMALL, "hidden_layer_sizes": hidden_layer_sizes}).fit(IRIS, SPECIES)
    assert model.n_layers_ == 2 + np.size(hidden_layer_sizes)
    assert len(model.coefs_) == len(model.intercepts_) == model.n_layers_ - 1


# ---- the fitted parameters are the truth


def test_changed_parameters_change_the_predictions():
    model = MLPRegressor(**SMALL).fit(IRIS, SPECIES)
    before = model.predict(IRIS)
    model.intercepts_[-1] += 1
    np.testing.assert_allclose(model.predict(IRIS), before + 1)
    model.coefs_[-1][:] = 0
    np.testing.assert_allclose(model.predict(IRIS), model.intercepts_[-1][0])


def test_units_may_be_cut_out():
    model = MLPRegressor(**SMALL).fit(IRIS, SPECIES)
    model.coefs_[1][0] = 0  # unit 0 has no say
    expected = model.predict(IRIS)
    model.coefs_ = [model.coefs_[0][:, 1:], model.coefs_[1][1:]]
    model.intercepts_[0] = model.intercepts_[0][1:]
    np.testing.assert_allclose(model.predict(IRIS), expected)


def test_partial_fit_starts_from_changed_parameters():
    model = MLPRegressor(**SMALL, solver="sgd").fit(IRIS, SPECIES)
    model.intercepts_[-1] += 100
    assert model.partial_fit(IRIS, SPECIES).loss_ > 100


def pickled(model, path):
    return pickle.loads(pickle.dumps(model))


def dumped(model, path):
    joblib.dump(model, path / "model")
    return joblib.load(path / "model")


def deep_copied(model, path):
    return copy.deepcopy(model)


@pytest.mark.parametrize("copied", [pickled, dumped, deep_copied])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_copy_predicts_the_same_and_goes_on_the_same(Estimator, solver, copied, tmp_path):
    model = Estimator(**SMALL, solver=solver).fit(IRIS, SPECIES)
    other = copied(model, tmp_path)
    assert np.array_equal(outputs(other, IRIS), outputs(model, IRIS))
    for _ in range(2):  # the optimizer's moments came along
        assert same_bits(other.partial_fit(IRIS, SPECIES).coefs_, model.partial_fit(IRIS, SPECIES).coefs_)


def test_moments_matter(Estimator):
    model = Estimator(**SMALL, warm_start=True).fit(IRIS, SPECIES)
    other = copy.deepcopy(model)
    del other._optimizer
    assert not same_bits(other.partial_fit(IRIS, SPECIES).coefs_, model.partial_fit(IRIS, SPECIES).coefs_)


def test_predict_leaves_the_model_as_it_was(Estimator):
    model = Estimator(**SMALL).fit(IRIS, SPECIES)
    before = pickle.dumps(model)
    outputs(model, IRIS)
    outputs(model, IRIS.astype(np.float32))
    assert pickle.dumps(model) == before


# ---- stopping and going on


def test_interruption_keeps_the_model(Estimator, monkeypatch):
    epochs = iter(range(100))

    class Impatient(Network):
        def train_epoch(self, *args, **kwargs):
            if next(epochs) == 3:
                raise KeyboardInterrupt
            return super().train_epoch(*args, **kwargs)

    monkeypatch.setattr("fastbp._model.Network", Impatient)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = Estimator(**SMALL).fit(IRIS, SPECIES)
    assert model.n_iter_ == 3
    assert len(model.loss_curve_) == 3
    assert outputs(model, IRIS).shape[0] == 150


def test_early_stopping_brings_back_the_best_weights():
    model = MLPRegressor(**{**SMALL, "max_iter": 200}, early_stopping=True, n_iter_no_change=5).fit(IRIS, SPECIES)
    best = int(np.argmax(model.validation_scores_))
    assert best < model.n_iter_ - 1
    # as many epochs as the best one took, then no more
    again = MLPRegressor(**{**SMALL, "max_iter": best + 1}, early_stopping=True).fit(IRIS, SPECIES)
    assert same_bits(model.coefs_, again.coefs_)
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_warm_start_may_change_the_way_it_stops(Estimator):
    model = Estimator(**SMALL, warm_start=True, solver="lbfgs").fit(IRIS, SPECIES)
    model.set_params(solver="adam").fit(IRIS, SPECIES)
    assert model.best_loss_ is not None
    model.set_params(early_stopping=True).fit(IRIS, SPECIES)
    assert len(model.validation_scores_) == model.n_iter_


def test_a_new_fit_forgets_the_history_of_another_solver(Estimator):
    model = Estimator(**SMALL).fit(IRIS, SPECIES).set_params(solver="lbfgs").fit(IRIS, SPECIES)
    assert not hasattr(model, "loss_curve_")
    assert not hasattr(model, "best_loss_")


def test_it_warns_where_it_has_not_converged(Estimator):
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(30\) reached"):
        Estimator(**SMALL, tol=0, n_iter_no_change=1000).fit(IRIS, SPECIES)


# ---- the package


def test_the_package_exports():
    assert {"MLPClassifier", "MLPRegressor", "backprop", "functional", "show_config"} <= set(dir(fastbp))
    assert fastbp.MLPClassifier is MLPClassifier
    with pytest.raises(AttributeError, match="has no attribute 'MLPTransformer'"):
        _ = fastbp.MLPTransformer


def test_training_knows_nothing_of_scikit_learn():
    assert "sklearn" not in inspect.getsource(_training)
