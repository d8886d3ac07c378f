"""The losses of the estimators: each learns what it is for, agrees with its formula, and says what it cannot do."""

import numpy as np
import pytest
import scipy.special
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import d2_pinball_score
from sklearn.utils.class_weight import compute_class_weight

from fastbp import MLPClassifier, MLPRegressor, backprop
from fastbp._losses import check_custom_loss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = (IRIS - IRIS.mean(axis=0)) / IRIS.std(axis=0)
PROGRESS, DISEASE = load_diabetes(return_X_y=True)
PROGRESS, DISEASE = PROGRESS * 20, DISEASE / 100
LABELLED, LABELS = make_multilabel_classification(n_samples=120, n_labels=2, n_classes=4, random_state=0)
LABELLED = (LABELLED - LABELLED.mean(axis=0)) / LABELLED.std(axis=0)
SMALL = {
    "hidden_layer_sizes": (8,),
    "max_iter": 60,
    "learning_rate_init": 0.02,
    "random_state": 0,
    "alpha": 0,
    "tol": 1e-7,
}


def first_loss(model, X, y, **fit):
    """The loss at the initial weights, and the raw outputs there."""
    model = clone(model).set_params(solver="sgd", max_iter=1, batch_size=len(X), learning_rate_init=1e-300, momentum=0)
    model.fit(X, y, **fit)
    hidden = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    return model.loss_, hidden @ model.coefs_[1] + model.intercepts_[1]


# ---- regressor

FORMULAS = {
    "squared_error": lambda y, z: (z - y) ** 2 / 2,
    "absolute_error": lambda y, z: np.abs(z - y),
    "huber": lambda y, z: np.where(np.abs(z - y) < 0.7, (z - y) ** 2 / 2, 0.7 * (np.abs(z - y) - 0.35)),
    "quantile": lambda y, z: np.where(z < y, 0.3 * (y - z), 0.7 * (z - y)),
    "poisson": lambda y, z: y * (np.log(y) - z) - y + np.exp(z),
    "gamma": lambda y, z: z - np.log(y) + y * np.exp(-z) - 1,
}


@pytest.mark.parametrize("loss", FORMULAS)
def test_regressor_losses_are_their_formulas(loss):
    model = MLPRegressor(loss, **SMALL, huber_delta=0.7, quantile=0.3)
    got, z = first_loss(model, PROGRESS, DISEASE)
    assert got == pytest.approx(FORMULAS[loss](DISEASE, z.ravel()).mean(), rel=1e-9)


@pytest.mark.parametrize("loss", FORMULAS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_regressor_losses_learn(loss, solver):
    model = MLPRegressor(loss, **SMALL, solver=solver).fit(PROGRESS, DISEASE)
    assert model.score(PROGRESS, DISEASE) > 0.4
    assert model.out_activation_ == ("exp" if loss in ("poisson", "gamma") else "identity")


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "gamma"])
def test_regressor_losses_of_several_outputs_are_sums(loss):
    Y = np.column_stack([DISEASE, DISEASE[::-1]])
    got, z = first_loss(MLPRegressor(loss, **SMALL, huber_delta=0.7, quantile=0.3), PROGRESS, Y)
    assert got == pytest.approx(FORMULAS[loss](Y, z).sum(axis=1).mean(), rel=1e-9)


def test_poisson_without_hidden_layers_is_a_glm():
    model = MLPRegressor("poisson", (), solver="lbfgs", alpha=0, tol=1e-10, max_iter=1000, random_state=0)
    glm = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(PROGRESS, DISEASE)
    np.testing.assert_allclose(model.fit(PROGRESS, DISEASE).predict(PROGRESS), glm.predict(PROGRESS), rtol=1e-4)


@pytest.mark.parametrize(("loss", "bad"), [("poisson", -1.0), ("gamma", 0.0)])
def test_targets_outside_the_range_of_a_loss(loss, bad):
    y = DISEASE.copy()
    y[3] = bad
    with pytest.raises(ValueError, match=f"loss='{loss}' needs y >=? 0, got {bad}"):
        MLPRegressor(loss).fit(PROGRESS, y)


# ---- quantiles


def test_the_levels_are_reached():
    levels = [0.1, 0.5, 0.9]
    model = MLPRegressor("quantile", quantile=levels, **{**SMALL, "max_iter": 300}).fit(PROGRESS, DISEASE)
    predicted = model.predict(PROGRESS)
    assert predicted.shape == (len(PROGRESS), 3)
    np.testing.assert_allclose((DISEASE[:, None] <= predicted).mean(axis=0), levels, atol=0.08)


def test_quantiles_never_cross():
    model = MLPRegressor("quantile", quantile=[0.4, 0.5, 0.6], **{**SMALL, "max_iter": 3}).fit(PROGRESS, DISEASE)
    raw = np.maximum(PROGRESS @ model.coefs_[0] + model.intercepts_[0], 0) @ model.coefs_[1] + model.intercepts_[1]
    assert (np.diff(raw, axis=1) < 0).any()
    assert (np.diff(model.predict(PROGRESS), axis=1) >= 0).all()
    np.testing.assert_allclose(model.predict(PROGRESS), np.sort(raw, axis=1))


def test_the_score_of_quantiles_is_their_mean_d2():
    model = MLPRegressor("quantile", quantile=[0.2, 0.7], **SMALL).fit(PROGRESS, DISEASE)
    low, high = model.predict(PROGRESS).T
    weight = np.arange(len(DISEASE)) % 3
    expected = [d2_pinball_score(DISEASE, q, sample_weight=weight, alpha=a) for q, a in ((low, 0.2), (high, 0.7))]
    assert model.score(PROGRESS, DISEASE, weight) == pytest.approx(np.mean(expected))


def test_a_list_of_one_level_is_a_column():
    model = MLPRegressor("quantile", quantile=[0.5], **SMALL).fit(PROGRESS, DISEASE)
    single = MLPRegressor("quantile", quantile=0.5, **SMALL).fit(PROGRESS, DISEASE)
    assert np.array_equal(model.predict(PROGRESS).ravel(), single.predict(PROGRESS))
    assert model.predict(PROGRESS).shape == (len(PROGRESS), 1)


def test_one_level_for_several_outputs():
    model = MLPRegressor("quantile", quantile=0.8, **SMALL).fit(PROGRESS, np.column_stack([DISEASE, -DISEASE]))
    assert model.predict(PROGRESS).shape == (len(PROGRESS), 2)


def test_several_levels_for_several_outputs():
    with pytest.raises(ValueError, match="predicts a column for each from one y, got y with 2 columns"):
        MLPRegressor("quantile", quantile=[0.2, 0.8]).fit(PROGRESS, np.column_stack([DISEASE, DISEASE]))


@pytest.mark.parametrize("quantile", [[], [0.5, 0.5], [0.9, 0.1], [0.0, 0.5], [0.5, 1], ["a"]])
def test_bad_levels(quantile):
    with pytest.raises(ValueError, match="quantile must be a level"):
        MLPRegressor("quantile", quantile=quantile).fit(PROGRESS, DISEASE)


# ---- classifier


def log_loss(y, z):
    return -(y * scipy.special.log_softmax(z, axis=1)).sum(axis=1)


def binary(y, z):
    return (-y * scipy.special.log_expit(z) - (1 - y) * scipy.special.log_expit(-z)).sum(axis=1)


def focal(y, z, gamma=1.5):
    p = scipy.special.softmax(z, axis=1)
    return -(y * (1 - p) ** gamma * np.log(p)).sum(axis=1)


def binary_focal(y, z, gamma=1.5):
    p = scipy.special.expit(z)
    return (-y * (1 - p) ** gamma * np.log(p) - (1 - y) * p**gamma * np.log(1 - p)).sum(axis=1)


def quadratic(y, z):
    return ((scipy.special.expit(z) - y) ** 2 / 2).sum(axis=1)


ONE_HOT = np.eye(3)[SPECIES]
TARGETS = {
    "binary": (IRIS[50:], SPECIES[50:], ONE_HOT[50:, 2:]),
    "multiclass": (IRIS, SPECIES, ONE_HOT),
    "multilabel": (LABELLED, LABELS, LABELS),
}
CLASSIFIER_LOSSES = {
    ("log_loss", "binary"): binary, ("log_loss", "multiclass"): log_loss, ("log_loss", "multilabel"): binary,
    ("focal", "binary"): binary_focal, ("focal", "multiclass"): focal, ("focal", "multilabel"): binary_focal,
    ("squared_error", "binary"): quadratic, ("squared_error", "multiclass"): quadratic,
    ("squared_error", "multilabel"): quadratic,
}  # fmt: skip


@pytest.mark.parametrize(("loss", "kind"), CLASSIFIER_LOSSES)
@pytest.mark.parametrize("smoothing", [0, 0.2])
def test_classifier_losses_are_their_formulas(loss, kind, smoothing):
    X, y, target = TARGETS[kind]
    if loss == "squared_error" and smoothing:
        pytest.skip("refused")
    got, z = first_loss(MLPClassifier(**SMALL, loss=loss, label_smoothing=smoothing, focal_gamma=1.5), X, y)
    target = target * (1 - smoothing) + smoothing / (3 if kind == "multiclass" else 2)
    assert got == pytest.approx(CLASSIFIER_LOSSES[loss, kind](target, z).mean(), rel=1e-9)


@pytest.mark.parametrize(("loss", "kind"), CLASSIFIER_LOSSES)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_classifier_losses_learn(loss, kind, solver):
    X, y, target = TARGETS[kind]
    faster = {**SMALL, "max_iter": 200, "learning_rate_init": 0.05}
    model = MLPClassifier(**faster, loss=loss, solver=solver).fit(X, y)
    assert model.score(X, y) > 0.85
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), 2 if kind == "binary" else target.shape[1])
    if kind != "multilabel":
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        assert np.array_equal(model.classes_[proba.argmax(axis=1)], model.predict(X))
    softmax = kind == "multiclass" and loss != "squared_error"
    assert model.out_activation_ == ("softmax" if softmax else "logistic")


def test_focal_with_gamma_0_is_the_log_loss():
    focal = MLPClassifier(**SMALL, loss="focal", focal_gamma=0).fit(IRIS, SPECIES)
    np.testing.assert_allclose(focal.loss_curve_, MLPClassifier(**SMALL).fit(IRIS, SPECIES).loss_curve_, rtol=1e-9)


def test_probabilities_of_logistic_outputs_that_all_vanish():
    model = MLPClassifier(**SMALL, loss="squared_error").fit(IRIS, SPECIES)
    model.intercepts_[-1] -= 1e6
    np.testing.assert_allclose(model.predict_proba(IRIS), 1 / 3)


def test_smoothing_keeps_probabilities_from_the_ends():
    plain, smooth = (MLPClassifier(**{**SMALL, "max_iter": 300}, label_smoothing=s) for s in (0, 0.3))
    assert smooth.fit(IRIS, SPECIES).predict_proba(IRIS).max() < plain.fit(IRIS, SPECIES).predict_proba(IRIS).max()
    with pytest.raises(ValueError, match="softens the targets of loss='log_loss' and 'focal', got"):
        MLPClassifier(loss="squared_error", label_smoothing=0.1).fit(IRIS, SPECIES)


def test_backprop_of_other_losses():
    for loss in ("focal", "squared_error"):
        model = MLPClassifier(**SMALL, loss=loss).fit(IRIS, SPECIES)
        assert backprop(model, IRIS, SPECIES).delta[-1].shape == (150, 3)
        assert backprop(model, IRIS, SPECIES, loss="squared_error").loss > 0


# ---- class weights

WEIGHTS = {0: 1.0, 1: 0.5, 2: 4.0}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_weights_are_sample_weights(solver):
    sample_weight = np.arange(150) % 4 + 1.0
    model = MLPClassifier(**SMALL, solver=solver, class_weight=WEIGHTS).fit(IRIS, SPECIES, sample_weight)
    by_hand = sample_weight * np.array([1.0, 0.5, 4.0])[SPECIES]
    expected = MLPClassifier(**SMALL, solver=solver).fit(IRIS, SPECIES, by_hand)
    assert np.array_equal(model.coefs_[0], expected.coefs_[0])


def test_balanced_classes():
    X, y = IRIS[40:], np.array(["setosa", "versicolor", "virginica"])[SPECIES[40:]]
    weights = compute_class_weight("balanced", classes=np.unique(y), y=y)
    expected = MLPClassifier(**SMALL, class_weight=dict(zip(np.unique(y), weights, strict=True))).fit(X, y)
    assert np.array_equal(MLPClassifier(**SMALL, class_weight="balanced").fit(X, y).coefs_[0], expected.coefs_[0])


def test_weights_of_labels():
    pairs = [{0: 1, 1: 3}, {1: 2}, {0: 0.5}, {}]
    model = MLPClassifier(**SMALL, class_weight=pairs)
    got, z = first_loss(model, LABELLED, LABELS)
    w = np.where(LABELS == 1, [3, 2, 1, 1], [1, 1, 0.5, 1])
    terms = w * -np.where(LABELS == 1, scipy.special.log_expit(z), scipy.special.log_expit(-z))
    assert got == pytest.approx(terms.sum(axis=1).mean(), rel=1e-9)


def test_balanced_labels():
    counts = LABELS.sum(axis=0)
    n = len(LABELS)
    pairs = [{0: n / (2 * (n - c)), 1: n / (2 * c)} for c in counts]
    expected = MLPClassifier(**SMALL, class_weight=pairs).fit(LABELLED, LABELS)
    model = MLPClassifier(**SMALL, class_weight="balanced").fit(LABELLED, LABELS)
    assert np.array_equal(model.coefs_[0], expected.coefs_[0])
    constant = np.column_stack([LABELS, np.ones(n, dtype=int)])
    assert np.isfinite(MLPClassifier(**SMALL, class_weight="balanced").fit(LABELLED, constant).loss_)


@pytest.mark.parametrize(
    ("class_weight", "y", "message"),
    [
        ({0: 1, 7: 2}, SPECIES, "not in class_weight"),
        ({0: 0, 1: 0, 2: 0}, SPECIES, "at least one non-zero number"),
        ({0: -1}, SPECIES, "not negative"),
        ([{0: 1}], SPECIES, "is for multilabel targets"),
        ({0: 1}, LABELS, "but y is multilabel"),
        ([{0: 1}], LABELS, "has 1 dicts, expected 4"),
        ([{0: 1, 2: 1}] * 4, LABELS, "0: weight, 1: weight"),
    ],
)
def test_bad_class_weights(class_weight, y, message):
    X = IRIS if y is SPECIES else LABELLED
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=class_weight).fit(X, y)


def test_class_weights_in_partial_fit():
    with pytest.raises(ValueError, match="class_weight 'balanced' is not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(IRIS, SPECIES, classes=[0, 1, 2])
    model = MLPClassifier(**SMALL, class_weight=WEIGHTS).partial_fit(IRIS[:100], SPECIES[:100], classes=[0, 1, 2])
    weight = np.array([1.0, 0.5])[SPECIES[:100]]
    expected = MLPClassifier(**SMALL).partial_fit(IRIS[:100], SPECIES[:100], weight, classes=[0, 1, 2])
    assert np.array_equal(model.coefs_[0], expected.coefs_[0])


# ---- custom


def half_squares(y, raw):
    return ((raw - y) ** 2 / 2).sum(axis=1), raw - y


def cross_entropy(y, raw):
    return -(y * scipy.special.log_softmax(raw, axis=1)).sum(axis=1), scipy.special.softmax(raw, axis=1) - y


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_custom_loss_is_the_built_in_one(solver):
    custom = MLPRegressor(half_squares, **SMALL, solver=solver).fit(PROGRESS, DISEASE)
    built_in = MLPRegressor(**SMALL, solver=solver).fit(PROGRESS, DISEASE)
    np.testing.assert_allclose(custom.predict(PROGRESS), built_in.predict(PROGRESS), rtol=1e-6)
    assert custom.loss_ == pytest.approx(built_in.loss_, rel=1e-6)


def test_a_custom_loss_of_classes():
    custom = MLPClassifier(**SMALL, loss=cross_entropy, early_stopping=True).fit(IRIS, SPECIES)
    built_in = MLPClassifier(**SMALL, early_stopping=True).fit(IRIS, SPECIES)
    np.testing.assert_allclose(custom.predict_proba(IRIS), built_in.predict_proba(IRIS), rtol=1e-6)
    np.testing.assert_allclose(custom.validation_loss_curve_, built_in.validation_loss_curve_, rtol=1e-6)


def test_a_wrong_derivative_is_found():
    with pytest.raises(ValueError, match=r"not that of its loss: it differs from central differences by up to [\d.]+"):
        MLPRegressor(lambda y, raw: (half_squares(y, raw)[0], (raw - y) * 1.01)).fit(PROGRESS, DISEASE)
    with pytest.raises(ValueError, match="without dividing by the number of rows"):
        MLPRegressor(lambda y, raw: (half_squares(y, raw)[0], (raw - y) / len(y))).fit(PROGRESS, DISEASE)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda y, raw: ((raw - y) ** 2).sum(), "a tuple of arrays of shapes"),
        (lambda y, raw: ((raw - y) ** 2, 2 * (raw - y)), "a tuple of arrays of shapes"),
        (lambda y, raw: (np.full(len(y), np.nan), raw - y), "returns NaN or infinity"),
    ],
)
def test_a_malformed_loss(loss, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(loss).fit(PROGRESS, DISEASE)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e6])
def test_right_derivatives_pass_whatever_the_scale(scale):
    rng = np.random.RandomState(1)
    y = rng.standard_normal((5, 3)) * scale
    check_custom_loss(half_squares, y)
    check_custom_loss(lambda y, raw: (np.abs(raw - y).sum(axis=1), np.sign(raw - y)), y)
    check_custom_loss(lambda y, raw: (np.cosh(raw).sum(axis=1), np.sinh(raw)), y)


def test_weights_of_labels_and_a_custom_loss():
    with pytest.raises(ValueError, match="which a custom loss sums itself"):
        MLPClassifier(loss=half_squares, class_weight="balanced").fit(LABELLED, LABELS)
