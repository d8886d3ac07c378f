"""The estimators as a user meets them: scikit-learn's tools, input of every kind, errors, persistence."""

import copy
import inspect
import pickle
import warnings

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
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastbp
from fastbp import MLPClassifier, MLPRegressor, _training
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


# ---- scikit-learn's contract

# with mini-batches a weight of 2 is not the same as a row given twice: scikit-learn chooses these settings for its own
EQUIVALENCE = {"MLPClassifier": {"solver": "lbfgs"}, "MLPRegressor": {"solver": "sgd", "tol": 1e-2, "random_state": 42}}


@parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_scikit_learn_checks(estimator, check):
    if "sample_weight_equivalence" in str(check):
        estimator = clone(estimator).set_params(**EQUIVALENCE[type(estimator).__name__])
    check(estimator)


def test_the_constructor_is_scikit_learns_and_two_more(Estimator):
    theirs = inspect.signature(getattr(sklearn.neural_network, Estimator.__name__)).parameters
    ours = inspect.signature(Estimator).parameters
    assert list(ours) == [*theirs, "dtype", "n_threads"]
    for name, parameter in theirs.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)
    for name in ("dtype", "n_threads"):
        assert (ours[name].default, ours[name].kind) == (None, inspect.Parameter.KEYWORD_ONLY)


def test_fitted_attributes_are_scikit_learns(Estimator):
    theirs = getattr(sklearn.neural_network, Estimator.__name__)(**SMALL, early_stopping=True).fit(IRIS, SPECIES)
    ours = Estimator(**SMALL, early_stopping=True).fit(IRIS, SPECIES)

    def public(model):
        return {name: np.shape(value) for name, value in vars(model).items() if name.endswith("_") and name not in own}

    own = ("coefs_", "intercepts_")
    assert public(ours) == public(theirs)


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


@pytest.mark.parametrize("Output", [list, "pandas"])
def test_other_containers(Estimator, Output):
    if Output == "pandas":
        pandas = pytest.importorskip("pandas")
        X, y = pandas.DataFrame(IRIS, columns=list("abcd")), pandas.Series(SPECIES)
    else:
        X, y = IRIS.tolist(), SPECIES.tolist()
    model = Estimator(**SMALL).fit(X, y)
    assert np.array_equal(outputs(model, X), outputs(Estimator(**SMALL).fit(IRIS, SPECIES), IRIS))
    assert hasattr(model, "feature_names_in_") == (Output == "pandas")


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


# ---- precision and memory


@pytest.mark.parametrize(
    ("X_dtype", "dtype", "expected"),
    [
        (np.float64, None, np.float64),
        (np.float32, None, np.float32),
        (np.int64, None, np.float64),
        (np.float16, None, np.float64),
        (np.dtype(">f8"), None, np.float64),
        (np.float64, "float32", np.float32),
        (np.int64, "float32", np.float32),
        (np.float32, "float64", np.float64),
        (np.float64, np.float32, np.float32),
    ],
)
def test_precision_follows_X_unless_told(Estimator, X_dtype, dtype, expected):
    X = (4 * IRIS).astype(X_dtype)
    model = Estimator(**SMALL, dtype=dtype).fit(X, SPECIES)
    assert {p.dtype for p in model.coefs_ + model.intercepts_} == {np.dtype(expected)}
    assert outputs(model, X).dtype == expected
    model.partial_fit(X, SPECIES)
    assert {p.dtype for p in model.coefs_ + model.intercepts_} == {np.dtype(expected)}


def test_a_float32_model_predicts_float64_data_in_float64(Estimator):
    model = Estimator(**SMALL).fit(IRIS.astype(np.float32), SPECIES)
    assert outputs(model, IRIS.astype(np.float32)).dtype == np.float32
    assert outputs(model, IRIS).dtype == np.float64


def strided(X):
    wide = np.zeros((2 * X.shape[0], 2 * X.shape[1]))
    wide[::2, ::2] = X
    return wide[::2, ::2]


def backwards(X):
    return X[::-1, ::-1].copy()[::-1, ::-1]


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def misaligned(X):
    shifted = np.ndarray(X.shape, X.dtype, buffer=bytearray(X.nbytes + 1), offset=1)
    shifted[:] = X
    return shifted


@pytest.mark.parametrize("layout", [np.asfortranarray, strided, backwards, read_only, misaligned])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_any_layout_gives_the_same_bits(Estimator, layout, solver):
    X = layout(IRIS)
    expected = Estimator(**SMALL, solver=solver).fit(IRIS, SPECIES)
    model = Estimator(**SMALL, solver=solver).fit(X, SPECIES)
    assert same_bits(model.coefs_, expected.coefs_)
    assert np.array_equal(outputs(model, X), outputs(expected, IRIS))


def test_memory_mapped_data(Estimator, tmp_path):
    joblib.dump(IRIS, tmp_path / "X")
    X = joblib.load(tmp_path / "X", mmap_mode="r")
    assert isinstance(X, np.memmap)
    assert same_bits(Estimator(**SMALL).fit(X, SPECIES).coefs_, Estimator(**SMALL).fit(IRIS, SPECIES).coefs_)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_network_gets_X_itself(Estimator, monkeypatch, early_stopping):
    seen = []

    class Spy(Network):
        def train_epoch(self, X, *args, **kwargs):
            seen.append(X)
            return super().train_epoch(X, *args, **kwargs)

    monkeypatch.setattr("fastbp._estimator.Network", Spy)
    X = np.asfortranarray(IRIS)
    Estimator(**SMALL, dtype="float32", early_stopping=early_stopping).fit(X, SPECIES)
    assert seen
    assert all(array.base is X or array is X for array in seen)


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

    monkeypatch.setattr("fastbp._estimator.Network", Impatient)
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


# ---- errors


@pytest.mark.parametrize("container", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_sparse_X_is_refused(Estimator, container):
    model = Estimator(**SMALL).fit(IRIS, SPECIES)
    for call in (lambda: Estimator().fit(container(IRIS), SPECIES), lambda: model.predict(container(IRIS))):
        with pytest.raises(NotImplementedError, match="Sparse X is not supported"):
            call()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_refused(Estimator, bad):
    X, y, weight = IRIS.copy(), SPECIES.astype(float), np.ones(150)
    model = Estimator(**SMALL).fit(X, SPECIES)
    X[3, 2] = y[5] = weight[7] = bad
    for call in (
        lambda: Estimator().fit(X, SPECIES),
        lambda: Estimator().fit(IRIS, y),
        lambda: Estimator().fit(IRIS, SPECIES, sample_weight=weight),
        lambda: Estimator(dtype="float32").fit(X, SPECIES),
        lambda: model.predict(X),
    ):
        with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
            call()


def test_values_too_large_for_float32_are_refused(Estimator):
    X = IRIS.copy()
    X[3, 2] = -1e39
    with pytest.raises(ValueError, match=r"Input X contains infinity or a value too large for dtype\('float32'\)"):
        Estimator(dtype="float32").fit(X, SPECIES)
    model = Estimator(**SMALL, dtype="float32").fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="Input X contains infinity or a value too large"):
        model.predict(X)


def test_targets_too_large_for_float32_are_refused():
    with pytest.raises(ValueError, match="Input y contains infinity or a value too large"):
        MLPRegressor(dtype="float32").fit(IRIS, SPECIES * 1e39)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (IRIS[:0], SPECIES[:0], "0 sample"),
        (IRIS[:, :0], SPECIES, "0 feature"),
        (IRIS[0], SPECIES, "Expected 2D array"),
        (IRIS[None], SPECIES, "3"),
        (IRIS[:10], SPECIES, "inconsistent numbers of samples"),
        (IRIS.astype(complex), SPECIES, "Complex data not supported"),
        (np.full((150, 4), "a"), SPECIES, "could not convert string to float"),
        (IRIS, None, "requires y to be passed"),
    ],
)
def test_malformed_data(Estimator, X, y, message):
    with pytest.raises(ValueError, match=message):
        Estimator().fit(X, y)


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_layer_sizes": (0,)},
        {"hidden_layer_sizes": (5, -1)},
        {"hidden_layer_sizes": 0},
        {"activation": "gelu?"},
        {"solver": "newton"},
        {"alpha": -1},
        {"batch_size": 0},
        {"learning_rate": "fast"},
        {"learning_rate_init": 0},
        {"max_iter": 0},
        {"momentum": 1.5},
        {"beta_1": 1},
        {"validation_fraction": 1.0},
        {"n_iter_no_change": 0},
        {"dtype": "float16"},
        {"n_threads": 0},
        {"n_threads": 1.5},
    ],
)
def test_bad_parameters(Estimator, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        Estimator(**parameters).fit(IRIS, SPECIES)


def test_bad_sample_weight(Estimator):
    with pytest.raises(ValueError, match=r"sample_weight\.shape"):
        Estimator().fit(IRIS, SPECIES, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="1D array or scalar"):
        Estimator().fit(IRIS, SPECIES, sample_weight=np.ones((150, 2)))


def test_divergence_names_the_learning_rate():
    model = MLPRegressor(solver="sgd", activation="identity", learning_rate_init=1e10, random_state=0)
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*learning_rate_init=10000000000.0"):
        model.fit(IRIS, SPECIES)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="loss='poisson' needs y >= 0, got -1"):
        MLPRegressor("poisson").fit(IRIS, SPECIES - 1)


def test_unseen_classes():
    model = MLPClassifier(**SMALL).partial_fit(IRIS[:100], SPECIES[:100], classes=[0, 1])
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        model.partial_fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="is not the same as on last call"):
        model.partial_fit(IRIS, SPECIES, classes=[0, 1, 2])


def test_partial_fit_needs_classes():
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(IRIS, SPECIES)


def test_targets_of_another_kind():
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier().fit(IRIS, IRIS[:, 0])
    with pytest.raises(ValueError, match="Multioutput target data is not supported"):
        MLPClassifier().fit(IRIS, np.column_stack([SPECIES, SPECIES]))
    with pytest.raises(ValueError, match="not fitted with multilabel input"):
        MLPClassifier().partial_fit(IRIS, SPECIES, classes=[0, 1, 2]).partial_fit(IRIS, np.eye(3, dtype=int)[SPECIES])


def test_a_warm_start_keeps_its_layers(Estimator):
    model = Estimator(**SMALL, warm_start=True).fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="continues a network with layers of"):
        model.set_params(hidden_layer_sizes=9).fit(IRIS, SPECIES)


def test_partial_fit_has_no_early_stopping(Estimator):
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        Estimator(**SMALL, early_stopping=True).fit(IRIS, SPECIES).partial_fit(IRIS, SPECIES)


def test_features_must_be_those_of_the_fit(Estimator):
    model = Estimator(**SMALL).fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="expecting 4 features"):
        model.predict(IRIS[:, :3])


def test_a_fit_warns_of_nothing_else(Estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Estimator(**{**SMALL, "max_iter": 2000}, tol=1e-2).fit(IRIS, SPECIES)


# ---- the package


def test_the_package_exports():
    assert {"MLPClassifier", "MLPRegressor", "backprop", "functional", "show_config"} <= set(dir(fastbp))
    assert fastbp.MLPClassifier is MLPClassifier
    with pytest.raises(AttributeError, match="has no attribute 'MLPTransformer'"):
        _ = fastbp.MLPTransformer


def test_training_knows_nothing_of_scikit_learn():
    assert "sklearn" not in inspect.getsource(_training)
