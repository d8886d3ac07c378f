"""Validation rows, held out or given: what is recorded, what it decides, and which weights stay."""

import copy

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
PROGRESS, DISEASE = load_diabetes(return_X_y=True)
PROGRESS, DISEASE = PROGRESS * 20, DISEASE / 100
X, X_VAL, Y, Y_VAL = train_test_split(IRIS, SPECIES, random_state=0)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 20, "learning_rate_init": 0.02, "random_state": 0}
WEIGHT, WEIGHT_VAL = np.arange(len(X)) % 3 + 1.0, np.arange(len(X_VAL)) % 2 + 0.5


@pytest.fixture(params=[MLPClassifier, MLPRegressor])
def Estimator(request):
    return request.param


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def validated(model, **more):
    return model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL, **more)


# ---- recording


def test_given_rows_are_recorded_and_decide_nothing(Estimator):
    model, plain = validated(Estimator(**SMALL)), Estimator(**SMALL).fit(X, Y)
    assert same_bits(model.coefs_, plain.coefs_)
    assert model.loss_curve_ == plain.loss_curve_
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ == 20
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ == plain.best_loss_
    assert plain.validation_scores_ is plain.validation_loss_curve_ is plain.best_validation_score_ is None


def test_the_last_score_and_loss(Estimator):
    model = validated(Estimator(**SMALL), sample_weight=WEIGHT, sample_weight_val=WEIGHT_VAL)
    assert model.validation_scores_[-1] == pytest.approx(model.score(X_VAL, Y_VAL, WEIGHT_VAL))
    if Estimator is MLPClassifier:
        loss = log_loss(Y_VAL, model.predict_proba(X_VAL), sample_weight=WEIGHT_VAL)
    else:
        loss = np.average((model.predict(X_VAL) - Y_VAL) ** 2 / 2, weights=WEIGHT_VAL)
    assert model.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-6)


def test_the_loss_of_several_outputs_is_a_mean_like_that_of_training():
    T = np.column_stack([DISEASE, -DISEASE])
    model = MLPRegressor(**SMALL, alpha=0).fit(PROGRESS[:200], T[:200], X_val=PROGRESS[200:], y_val=T[200:])
    loss = np.mean((model.predict(PROGRESS[200:]) - T[200:]) ** 2) / 2
    assert model.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-6)


def test_the_held_out_rows_have_a_loss_curve(Estimator):
    model = Estimator(**SMALL, early_stopping=True).fit(X, Y)
    assert len(model.validation_loss_curve_) == len(model.validation_scores_)


def test_class_weights_count_in_validation():
    weights = {0: 1.0, 1: 5.0, 2: 0.1}
    model = validated(MLPClassifier(**SMALL, class_weight=weights))
    by_hand = np.array([1.0, 5.0, 0.1])[Y_VAL]
    proba = model.predict_proba(X_VAL)
    assert model.validation_loss_curve_[-1] == pytest.approx(log_loss(Y_VAL, proba, sample_weight=by_hand), rel=1e-6)
    expected = accuracy_score(Y_VAL, model.predict(X_VAL), sample_weight=by_hand)
    assert model.validation_scores_[-1] == pytest.approx(expected)


def test_divergence_scores_nan():
    model = MLPRegressor(solver="sgd", activation="identity", learning_rate_init=1e10, max_iter=5, random_state=0)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert np.isnan(model.validation_scores_[-1])


# ---- early stopping


def test_given_rows_stop_early_in_place_of_a_split(Estimator):
    model = validated(Estimator(**{**SMALL, "max_iter": 400}, early_stopping=True, n_iter_no_change=5))
    assert model.n_iter_ < 400
    assert model.t_ == model.n_iter_ * len(X)  # no row is held out
    assert model.best_loss_ is None
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(X_VAL, Y_VAL) == pytest.approx(model.best_validation_score_)


def test_early_stopping_on_multilabel_targets():
    A, B = make_multilabel_classification(n_samples=100, random_state=0)
    model = MLPClassifier(**SMALL, early_stopping=True).fit(A[:70], B[:70], X_val=A[70:], y_val=B[70:])
    assert model.score(A[70:], B[70:]) == pytest.approx(model.best_validation_score_)


# ---- scoring


@pytest.mark.parametrize("early_stopping", [False, True])
def test_scoring_by_the_loss(Estimator, early_stopping):
    model = validated(Estimator(**SMALL, scoring="loss", early_stopping=early_stopping))
    np.testing.assert_allclose(model.validation_scores_, -np.array(model.validation_loss_curve_))


def test_scoring_by_name():
    model = validated(MLPRegressor(**SMALL, scoring="neg_mean_absolute_error"), sample_weight_val=WEIGHT_VAL)
    expected = -mean_absolute_error(Y_VAL, model.predict(X_VAL), sample_weight=WEIGHT_VAL)
    assert model.validation_scores_[-1] == pytest.approx(expected)
    by_probability = validated(MLPClassifier(**SMALL, scoring="neg_log_loss"))
    np.testing.assert_allclose(
        by_probability.validation_scores_, -np.array(by_probability.validation_loss_curve_), rtol=1e-6
    )


def test_scoring_by_a_callable(Estimator):
    seen = []

    def scorer(model, A, b):
        seen.append(model)
        assert np.array_equal(A, X_VAL)
        return r2_score(b, model.predict(A))

    model = validated(Estimator(**SMALL, scoring=scorer), sample_weight_val=WEIGHT_VAL)
    assert len(seen) == model.n_iter_
    assert type(seen[0]) is Estimator
    assert model.validation_scores_[-1] == pytest.approx(r2_score(Y_VAL, model.predict(X_VAL)))
    assert not same_bits(seen[0].coefs_, seen[-1].coefs_)  # each view keeps its weights


def test_scoring_and_names_of_columns(Estimator, recwarn):
    pandas = pytest.importorskip("pandas")
    table, table_val = (pandas.DataFrame(part, columns=list("abcd")) for part in (X, X_VAL))
    scoring = "neg_log_loss" if Estimator is MLPClassifier else "r2"
    Estimator(**SMALL, scoring=scoring).fit(table, Y, X_val=table_val, y_val=Y_VAL)
    Estimator(**SMALL, scoring=scoring, early_stopping=True).fit(table, Y)
    assert not [w for w in recwarn if "feature names" in str(w.message)]


def test_scoring_needs_rows(Estimator):
    with pytest.raises(ValueError, match="scoring='r2' judges validation rows, but there are none"):
        Estimator(scoring="r2").fit(X, Y)
    with pytest.raises(ValueError, match="no_such_score"):
        validated(Estimator(scoring="no_such_score"))


# ---- the best weights


def test_the_best_weights_come_back(Estimator):
    model = validated(Estimator(**{**SMALL, "max_iter": 60, "learning_rate_init": 0.1}, restore_best=True))
    assert model.n_iter_ == 60
    assert model.score(X_VAL, Y_VAL) == pytest.approx(max(model.validation_scores_))


def test_the_weights_of_the_least_loss_come_back():
    parameters = {**SMALL, "solver": "sgd", "learning_rate_init": 0.5, "max_iter": 15, "batch_size": 10}
    model = MLPClassifier(**parameters, restore_best=True).fit(X, Y)
    best = int(np.argmin(model.loss_curve_)) + 1
    again = MLPClassifier(**{**parameters, "max_iter": best}).fit(X, Y)
    assert same_bits(model.coefs_, again.coefs_)


def test_the_last_weights_stay_if_asked():
    stopped = {**SMALL, "max_iter": 100, "early_stopping": True, "n_iter_no_change": 3}
    best, last = (MLPClassifier(**stopped, restore_best=restore).fit(X, Y) for restore in (None, False))
    assert best.validation_scores_ == last.validation_scores_
    assert not same_bits(best.coefs_, last.coefs_)


# ---- partial_fit


def epochs(model, n, **first):
    """So many calls, of which the first tells the classes."""
    if isinstance(model, MLPClassifier):
        first["classes"] = [0, 1, 2]
    for _ in range(n):
        model.partial_fit(X, Y, X_val=X_VAL, y_val=Y_VAL, **first)
        first = {}
    return model


def test_partial_fit_records(Estimator):
    model = epochs(Estimator(**SMALL), 4)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == 4
    assert model.validation_scores_[-1] == pytest.approx(model.score(X_VAL, Y_VAL))
    assert not hasattr(model, "stopped_")


def test_partial_fit_stops_early(Estimator):
    model = Estimator(**SMALL, early_stopping=True, n_iter_no_change=3)
    while not epochs(model, 1).stopped_:
        assert model.validation_scores_[-1] == pytest.approx(model.score(X_VAL, Y_VAL))  # the last weights
        assert len(model.validation_scores_) < 200
    assert len(model.validation_scores_) > 4
    assert model.score(X_VAL, Y_VAL) == pytest.approx(max(model.validation_scores_))
    epochs(copy.deepcopy(model), 1)  # may go on


def test_a_fit_in_between_has_the_best_weights():
    """Those that an earlier partial_fit remembered are not brought back after it."""
    model = epochs(MLPClassifier(**SMALL, early_stopping=True, warm_start=True), 1)
    first = model.best_validation_score_
    assert validated(model.set_params(max_iter=60)).best_validation_score_ > first
    while not epochs(model, 1).stopped_:
        pass
    assert model.score(X_VAL, Y_VAL) == pytest.approx(model.best_validation_score_)


def test_an_interrupt_during_validation_leaves_curves_of_one_length():
    def interrupt(model, X, y, sample_weight=None):
        if len(model.loss_curve_) == 3:
            raise KeyboardInterrupt
        return 0.5

    model = MLPClassifier(**SMALL, early_stopping=True, scoring=interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, Y)
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 2


def test_partial_fit_stops_early_by_the_loss():
    model = MLPRegressor(
        **{**SMALL, "learning_rate_init": 0.2}, early_stopping=True, scoring="loss", n_iter_no_change=2
    )
    while not epochs(model, 1).stopped_:
        pass
    loss = np.mean((model.predict(X_VAL) - Y_VAL) ** 2) / 2
    assert loss == pytest.approx(min(model.validation_loss_curve_), rel=1e-6)


def test_partial_fit_goes_on_from_an_early_stopped_fit(Estimator):
    model = validated(Estimator(**{**SMALL, "max_iter": 100}, early_stopping=True, n_iter_no_change=2))
    best, score = copy.deepcopy(model.coefs_), model.best_validation_score_
    epochs(model, 1)
    if model.best_validation_score_ == score:  # still stale: the best weights of fit are back
        assert model.stopped_
        assert same_bits(model.coefs_, best)


@pytest.mark.parametrize("with_rows", [False, True])
def test_partial_fit_stops_early_only_by_given_rows(Estimator, with_rows):
    model = Estimator(**SMALL, early_stopping=True)
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    if with_rows:
        model.partial_fit(X, Y, X_val=X_VAL, y_val=Y_VAL, **classes)
    else:
        with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
            model.partial_fit(X, Y, **classes)


# ---- pipelines


def test_a_pipeline_transforms_the_validation_rows(Estimator):
    with sklearn.config_context(enable_metadata_routing=True):
        last = Estimator(**SMALL).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("mlp", last)]
        pipeline = Pipeline(steps, transform_input=["X_val"]).fit(5 * X + 1, Y, X_val=5 * X_VAL + 1, y_val=Y_VAL)
    scaler = StandardScaler().fit(5 * X + 1)
    expected = Estimator(**SMALL).fit(
        scaler.transform(5 * X + 1), Y, X_val=scaler.transform(5 * X_VAL + 1), y_val=Y_VAL
    )
    assert pipeline[-1].validation_scores_ == expected.validation_scores_


# ---- errors


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": X_VAL}, "X_val is provided, but y_val was not provided"),
        ({"y_val": Y_VAL}, "y_val is provided, but X_val was not provided"),
        ({"sample_weight_val": WEIGHT_VAL}, "sample_weight_val is provided, but X_val was not provided"),
        ({"X_val": X_VAL[:, :3], "y_val": Y_VAL}, "expecting 4 features"),
        ({"X_val": X_VAL, "y_val": Y_VAL[:5]}, "inconsistent numbers of samples"),
        ({"X_val": X_VAL * np.nan, "y_val": Y_VAL}, "contains NaN"),
        ({"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": [1]}, "sample_weight"),
    ],
)
def test_half_a_validation_set(Estimator, given, message):
    with pytest.raises(ValueError, match=message):
        Estimator(**SMALL).fit(X, Y, **given)


def test_unseen_classes_in_validation():
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`"):
        MLPClassifier().fit(X[Y < 2], Y[Y < 2], X_val=X_VAL, y_val=Y_VAL)


def test_targets_of_another_form_are_named():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"X_val, y_val: y_val has the shape \(150, 2\)"):
        MLPClassifier().fit(X, y, X_val=X, y_val=np.column_stack([y, y]))
    with pytest.raises(ValueError, match="X_val, y_val: Input X contains NaN"):
        MLPClassifier().fit(X, y, X_val=np.full_like(X, np.nan), y_val=y)
    with pytest.raises(ValueError, match="sample_weight_val must not be negative"):
        MLPClassifier().fit(X, y, X_val=X, y_val=y, sample_weight_val=-np.ones(150))


@pytest.mark.filterwarnings("ignore:Only one class")
def test_a_score_that_is_nan_cannot_stop_training():
    X, y = load_iris(return_X_y=True)
    X, y = X[:100], y[:100]
    model = MLPClassifier(early_stopping=True, scoring="roc_auc", max_iter=5)
    with pytest.raises(ValueError, match="'roc_auc' is NaN on the validation rows"):
        model.fit(X, y, X_val=X[y == 0], y_val=y[y == 0])


def test_a_scorer_whose_metric_takes_no_weights():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(scoring="neg_max_error", early_stopping=True, max_iter=3, random_state=0)
    model.fit(X, y, np.ones(len(y)))
    assert len(model.validation_scores_) == 3


def test_the_model_in_a_callback_knows_its_history():
    X, y = load_iris(return_X_y=True)
    seen = []
    model = MLPClassifier(max_iter=3, callbacks=lambda epoch: seen.append(epoch.model)).fit(X, y)
    assert [len(kept.loss_curve_) for kept in seen] == [1, 2, 3]  # each keeps its own,
    seen[0].set_params(callbacks=None).partial_fit(X, y)
    assert [len(curve) for curve in (seen[0].loss_curve_, model.loss_curve_)] == [2, 3]  # and trains alone
    twin = MLPClassifier(max_iter=3).set_params(random_state=0)
    assert model.partial_fit(X, y).t_ == twin.fit(X, y).t_ + len(X)


@pytest.mark.parametrize("kind", ["two", "three", "one", "labels", "squared error"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_score_is_accuracy_score(kind, weighted):
    """The same number, though scikit-learn's function is not called in each epoch."""
    y = {"two": SPECIES > 1, "three": SPECIES, "one": SPECIES * 0, "squared error": SPECIES}.get(
        kind, np.column_stack([SPECIES == 0, SPECIES > 0]).astype(int)
    )
    loss = "squared_error" if kind == "squared error" else "log_loss"
    weight = np.linspace(0.1, 2, len(y)) if weighted else None
    model = MLPClassifier(5, loss=loss, max_iter=4, learning_rate_init=0.02, random_state=0)
    model.fit(IRIS, y, X_val=IRIS, y_val=y, sample_weight_val=weight)
    assert model.validation_scores_[-1] == accuracy_score(y, model.predict(IRIS), sample_weight=weight)
    assert kind == "one" or 0 < model.validation_scores_[-1] < 1
