"""What people do with an estimator of scikit-learn's, and what other packages do with it, works with these."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
CANCER, MALIGNANT = load_breast_cancer(return_X_y=True)
CANCER = StandardScaler().fit_transform(CANCER)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.02, "random_state": 0}


# ---- notebooks


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_a_notebook_shows_parameters_and_what_was_fitted(Estimator):
    new = Estimator(**SMALL, dropout=0.125)
    for model in (new, clone(new).fit(IRIS, SPECIES), make_pipeline(StandardScaler(), new)):
        shown = model._repr_mimebundle_()  # what Jupyter asks for
        assert shown["text/plain"] == repr(model)
        assert "dropout" in shown["text/html"]
        assert "0.125" in shown["text/html"]
    assert "not fitted" in new._repr_html_().lower()
    assert "not fitted" not in clone(new).fit(IRIS, SPECIES)._repr_html_().lower()


NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance()
sys.modules["ipykernel.zmqshell"] = sys  # by which tqdm knows a notebook
import tqdm.notebook
bars = []
class Bar(tqdm.notebook.tqdm_notebook):
    def close(self):
        bars.append(self)
        super().close()
tqdm.notebook.tqdm_notebook = tqdm.notebook.tqdm = Bar
import numpy as np
from fastbp import MLPRegressor
X = np.random.RandomState(0).standard_normal((50, 3))
MLPRegressor(hidden_layer_sizes=5, max_iter=4, n_iter_no_change=9, verbose=2, random_state=0).fit(X, X[:, 0])
text, bar, right = bars[0].container.children
print(bar.value, bar.max, "loss=" in right.value)
"""


def test_a_notebook_shows_a_bar_of_widgets():
    pytest.importorskip("ipywidgets")
    pytest.importorskip("tqdm")
    command = [sys.executable, "-W", "ignore", "-c", NOTEBOOK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split()[-3:] == ["4.0", "4.0", "True"]


# ---- packages around scikit-learn


def test_optuna_searches_and_prunes_by_callback():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        def report(epoch):
            trial.report(epoch.validation_loss, epoch.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        rate = trial.suggest_categorical("learning_rate_init", [0.02, 1e-6])
        model = MLPClassifier(**SMALL | {"learning_rate_init": rate, "callbacks": report})
        model.fit(IRIS[::2], SPECIES[::2], X_val=IRIS[1::2], y_val=SPECIES[1::2])
        return model.validation_loss_curve_[-1]

    sampler = optuna.samplers.GridSampler({"learning_rate_init": [0.02, 1e-6]}, seed=1)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=3)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.enqueue_trial({"learning_rate_init": 0.02})
    study.optimize(objective, n_trials=3)
    assert study.best_params == {"learning_rate_init": 0.02}
    pruned = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert [trial.params["learning_rate_init"] for trial in pruned] == [1e-6]
    assert max(pruned[0].intermediate_values) < SMALL["max_iter"]


def test_mlxtend_selects_and_stacks():
    selection = pytest.importorskip("mlxtend.feature_selection")
    classifier = pytest.importorskip("mlxtend.classifier")
    X = np.column_stack([np.random.RandomState(0).standard_normal(150), IRIS[:, 2:]])
    selector = selection.SequentialFeatureSelector(MLPClassifier(**SMALL), k_features=2, cv=2, scoring="accuracy")
    assert selector.fit(X, SPECIES).k_feature_idx_ == (1, 2)
    stack = classifier.StackingCVClassifier(
        [MLPClassifier(**SMALL), make_pipeline(StandardScaler(), MLPClassifier(**SMALL))],
        meta_classifier=MLPClassifier(**SMALL), use_probas=True, cv=2, random_state=0,
    )  # fmt: skip
    assert stack.fit(X, SPECIES).score(X, SPECIES) > 0.9


def test_imbalanced_learn_resamples_in_a_pipeline():
    pipeline = pytest.importorskip("imblearn.pipeline")
    over_sampling = pytest.importorskip("imblearn.over_sampling")
    chosen = np.flatnonzero((MALIGNANT == 1) | (np.arange(len(MALIGNANT)) % 10 == 0))
    X, y = CANCER[chosen], MALIGNANT[chosen]
    steps = StandardScaler(), over_sampling.SMOTE(random_state=0), MLPClassifier(**SMALL)
    model = pipeline.make_pipeline(*steps).fit(X, y)
    X_even, y_even = over_sampling.SMOTE(random_state=0).fit_resample(StandardScaler().fit_transform(X), y)
    assert (y_even == 0).sum() == (y_even == 1).sum()
    alone = MLPClassifier(**SMALL).fit(X_even, y_even)
    assert np.array_equal(model[-1].coefs_[0], alone.coefs_[0])
    assert cross_validate(model, X, y, cv=3, scoring="balanced_accuracy")["test_score"].mean() > 0.8


# ---- meta-estimators and tools of scikit-learn


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_permutation_importance(Estimator):
    X = np.column_stack([np.random.RandomState(0).standard_normal(150), IRIS[:, 2]])
    model = Estimator(**SMALL).fit(X, SPECIES)
    importance = permutation_importance(model, X, SPECIES, n_repeats=3, random_state=0).importances_mean
    assert importance[1] > 10 * abs(importance[0])


def test_partial_dependence():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(**SMALL).fit(X, y / 100)
    found = partial_dependence(model, X, [2], grid_resolution=4, kind="both")
    for value, average, each in zip(
        found["grid_values"][0], found["average"][0], found["individual"][0].T, strict=True
    ):
        X_changed = X.copy()
        X_changed[:, 2] = value
        assert np.array_equal(each, model.predict(X_changed))
        assert average == pytest.approx(each.mean())
    classifier = MLPClassifier(**SMALL).fit(IRIS, SPECIES)
    assert partial_dependence(classifier, IRIS, [(0, 1)], grid_resolution=3)["average"].shape == (3, 3, 3)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(method):
    train, held_out, test = (slice(i, None, 3) for i in range(3))
    model = MLPClassifier(**SMALL | {"max_iter": 100}, label_smoothing=0.5).fit(CANCER[train], MALIGNANT[train])
    before = copy.deepcopy(model.coefs_)
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(
        CANCER[held_out], MALIGNANT[held_out]
    )
    assert all(np.array_equal(*pair) for pair in zip(before, model.coefs_, strict=True))
    off, on = (brier_score_loss(MALIGNANT[test], m.predict_proba(CANCER[test])[:, 1]) for m in (model, calibrated))
    assert on < off  # smoothed labels make it too modest
    own_folds = CalibratedClassifierCV(MLPClassifier(**SMALL), method=method, cv=2).fit(IRIS, SPECIES)
    assert own_folds.score(IRIS, SPECIES) > 0.9


def test_stacking():
    classifiers = [("wide", MLPClassifier(**SMALL)), ("linear", LogisticRegression())]
    stack = StackingClassifier(classifiers, final_estimator=MLPClassifier(**SMALL), cv=2, passthrough=True)
    assert stack.fit(IRIS, SPECIES).score(IRIS, SPECIES) > 0.9
    assert stack.final_estimator_.n_features_in_ == 3 + 3 + 4
    y = IRIS[:, 3]
    regressor = MLPRegressor(**SMALL | {"max_iter": 200})
    stack = StackingRegressor(
        [("mlp", regressor)], final_estimator=clone(regressor), cv=KFold(2, shuffle=True, random_state=0)
    )
    assert stack.fit(IRIS[:, :3], y).score(IRIS[:, :3], y) > 0.8


def test_two_processes_find_what_one_does():
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    one, two = (
        cross_validate(model, IRIS, SPECIES, cv=3, n_jobs=n_jobs, scoring="neg_log_loss", return_estimator=True)
        for n_jobs in (1, 2)
    )
    assert np.array_equal(one["test_score"], two["test_score"])
    for ours, theirs in zip(one["estimator"], two["estimator"], strict=True):
        assert np.array_equal(ours[-1].coefs_[0], theirs[-1].coefs_[0])
        assert np.array_equal(ours.predict(IRIS), theirs.predict(IRIS))


def test_weights_are_routed_through_cross_validation():
    weight, folds = np.random.RandomState(0).randint(1, 4, 150).astype(float), StratifiedKFold(3)
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(**SMALL).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        routed = cross_validate(pipeline, IRIS, SPECIES, cv=folds, params={"sample_weight": weight})
    for (train, test), score in zip(folds.split(IRIS, SPECIES), routed["test_score"], strict=True):
        by_hand = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
        by_hand.fit(IRIS[train], SPECIES[train], mlpclassifier__sample_weight=weight[train])
        assert score == by_hand.score(IRIS[test], SPECIES[test], sample_weight=weight[test])


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_tables_of_polars_in_and_out(Estimator):
    polars = pytest.importorskip("polars")
    table = polars.DataFrame(IRIS, schema=list("abcd"))
    model = Estimator(**SMALL).set_output(transform="polars").fit(table, SPECIES)
    features = model.transform(table)
    assert isinstance(features, polars.DataFrame)
    assert features.columns == [f"{Estimator.__name__.lower()}{i}" for i in range(8)]
    assert np.array_equal(
        features.to_numpy(), clone(model).set_output(transform="default").fit(IRIS, SPECIES).transform(IRIS)
    )
    chain = make_pipeline(StandardScaler(), clone(model), LogisticRegression()).set_output(transform="polars")
    assert chain.fit(table, SPECIES)[-1].feature_names_in_.tolist() == features.columns
