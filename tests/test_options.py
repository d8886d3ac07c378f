"""The options that scikit-learn does not have: each works, pairs of them work together, and the rest is refused."""

import inspect
import itertools
import warnings

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp import Epoch, MLPClassifier, MLPRegressor
from fastbp._options import HIDDEN_ACTIVATIONS, STOCHASTIC_SOLVERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
SMALL = {"hidden_layer_sizes": (8, 5), "max_iter": 40, "learning_rate_init": 0.02, "random_state": 0, "batch_size": 50}


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def half_rate(step, n_steps):
    return 0.5


@pytest.fixture(params=[MLPClassifier, MLPRegressor])
def Estimator(request):
    return request.param


# ---- parameters

ADDED = {
    "dtype": None, "n_threads": None, "dropout": 0.0, "input_dropout": 0.0, "weight_decay": None, "clip_norm": None,
    "clip_value": None, "ema_decay": None, "rho": 0.9, "warmup": 0, "scoring": None, "restore_best": None,
    "max_time": None, "callbacks": None, "checkpoint": None, "checkpoint_every": 1, "resume_from": None,
}  # fmt: skip
ADDED_TO = {
    MLPClassifier: {"loss": "log_loss", "class_weight": None, "label_smoothing": 0.0, "focal_gamma": 2.0},
    MLPRegressor: {"huber_delta": 1.0, "quantile": 0.5},
}


def test_a_subclass_may_add_a_parameter():
    class Named(MLPClassifier):
        own = {"name": [str], "note": "no_validation"}  # noqa: RUF012
        _parameter_constraints = {**MLPClassifier._parameter_constraints, **own}  # noqa: RUF012

        def __init__(self, name="", max_iter=3, note=None):
            super().__init__(max_iter=max_iter)
            self.name, self.note = name, note

    assert Named("fine").fit(IRIS, SPECIES).n_iter_ == 3
    for wrong in ({"name": 5}, {"max_iter": 0}):
        with pytest.raises(ValueError, match=f"The {next(iter(wrong))!r} parameter of Named must be "):
            Named(**wrong).fit(IRIS, SPECIES)


def test_the_parameters_that_are_added(Estimator):
    theirs = inspect.signature(getattr(sklearn.neural_network, Estimator.__name__)).parameters
    ours = inspect.signature(Estimator).parameters
    added = {**ADDED, **ADDED_TO[Estimator]}
    assert list(ours) == [*theirs, *added]
    assert {name: ours[name].default for name in added} == added
    assert all(ours[name].kind is inspect.Parameter.KEYWORD_ONLY for name in added)


def test_every_parameter_is_constrained_and_documented(Estimator):
    parameters = Estimator().get_params()
    assert set(parameters) == set(Estimator._parameter_constraints)
    section = Estimator.__doc__.split("Parameters\n----------")[1].split("Attributes\n----------")[0]
    documented = [line.split(" : ")[0] for line in section.splitlines() if " : " in line and not line.startswith(" ")]
    assert sorted(documented) == sorted(parameters)
    assert "{" not in Estimator.fit.__doc__.replace("{array-like", "")
    assert "X_val" in Estimator.fit.__doc__
    assert "X_val" in Estimator.partial_fit.__doc__


@pytest.mark.parametrize(
    "parameters",
    [
        {"activation": "gelu?"}, {"activation": None}, {"alpha": {}}, {"solver": "adagrad"},
        {"learning_rate": "linear"},
        {"dropout": 1}, {"dropout": -0.1}, {"input_dropout": 1.0}, {"weight_decay": -1}, {"clip_norm": 0},
        {"clip_value": 0}, {"ema_decay": 1}, {"ema_decay": 0}, {"rho": 1}, {"warmup": -1}, {"warmup": 1.5},
        {"scoring": 3}, {"restore_best": "yes"}, {"max_time": 0}, {"callbacks": 3}, {"checkpoint": 3},
        {"checkpoint_every": 0}, {"resume_from": 3}, {"loss": "hinge"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_parameters(Estimator, parameters):
    with pytest.raises(ValueError, match=f"The '{next(iter(parameters))}' parameter of {Estimator.__name__} must be"):
        Estimator(**parameters).fit(IRIS, SPECIES)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"activation": ["relu"]}, "activation has 1 values, expected 2: one for each hidden layer"),
        ({"activation": ["relu", "exp"]}, "activation must hold, for each hidden layer.*Got 'exp'"),
        ({"alpha": [1, 2]}, "alpha has 2 values, expected 3: one for each layer of weights"),
        ({"alpha": [1, 2, -3]}, "alpha must hold, for each layer of weights.*Got -3"),
        ({"dropout": [0.1]}, "dropout has 1 values, expected 2"),
        ({"dropout": [0.1, 1.0]}, r"dropout must hold, for each hidden layer.*Got 1\.0"),
        ({"dropout": 0.1, "hidden_layer_sizes": ()}, "dropout=0.1 acts on hidden layers, but there are none"),
        ({"solver": "schedule_free", "ema_decay": 0.9}, "averages the weights itself: leave ema_decay=None"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(Estimator, parameters, message):
    with pytest.raises(ValueError, match=message):
        Estimator(**{**SMALL, **parameters}).fit(IRIS, SPECIES)


def test_callbacks_must_be_callable(Estimator):
    with pytest.raises((TypeError, ValueError), match="got 3 in callbacks"):
        Estimator(callbacks=[print, 3]).fit(IRIS, SPECIES)


# ---- each option works

OPTIONS = {
    "dropout": {"dropout": 0.1},
    "dropout by layer": {"dropout": [0.2, 0.0]},
    "input dropout": {"input_dropout": 0.1},
    "weight decay": {"weight_decay": 0.1},
    "clipped norm": {"clip_norm": 0.5},
    "clipped value": {"clip_value": 0.05},
    "average": {"ema_decay": 0.9},
    "warmup": {"warmup": 20},
    "warmup fraction": {"warmup": 0.2},
    "cosine": {"learning_rate": "cosine"},
    "one cycle": {"learning_rate": "one_cycle"},
    "coslog4": {"learning_rate": "coslog4"},
    "a schedule": {"learning_rate": half_rate},
    "alpha by layer": {"alpha": [0.1, 0.0, 1.0]},
    "activation by layer": {"activation": ["tanh", "logistic"]},
    "best weights": {"restore_best": True},
    "early stopping": {"early_stopping": True},
    "scoring": {"early_stopping": True, "scoring": "loss"},
    "float32": {"dtype": "float32"},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("solver", STOCHASTIC_SOLVERS)
def test_each_option_with_each_solver(Estimator, option, solver):
    if (solver, option) == ("schedule_free", "average"):
        pytest.skip("refused: it averages the weights itself")
    rate = 0.1 if solver in ("sgd", "schedule_free") else 0.02
    plain = Estimator(**{**SMALL, "learning_rate_init": rate, "solver": solver})
    model = clone(plain).set_params(**OPTIONS[option]).fit(IRIS, SPECIES)
    assert model.score(IRIS, SPECIES) > 0.6
    if option != "best weights":
        assert not same_bits(model.coefs_, plain.fit(IRIS, SPECIES).coefs_)
    again = clone(model).set_params(n_threads=2).fit(IRIS, SPECIES)
    assert same_bits(model.coefs_, again.coefs_)
    if not model.restore_best:
        model.partial_fit(IRIS, SPECIES, X_val=IRIS, y_val=SPECIES)
        assert np.isfinite(model.loss_)


@pytest.mark.parametrize("pair", list(itertools.combinations(OPTIONS, 2)), ids=" and ".join)
def test_pairs_of_options(pair):
    parameters = {**SMALL, "max_iter": 5, **OPTIONS[pair[0]], **OPTIONS[pair[1]]}
    model = MLPClassifier(**parameters, loss="focal", class_weight="balanced").fit(IRIS, SPECIES)
    sparse = MLPClassifier(**parameters, loss="focal", class_weight="balanced").fit(
        scipy.sparse.csr_array(IRIS), SPECIES
    )
    assert len(model.loss_curve_) == model.n_iter_ == 5
    close = {"rtol": 1e-2, "atol": 1e-3} if model.dtype else {"rtol": 1e-7}
    np.testing.assert_allclose(sparse.predict_proba(IRIS), model.predict_proba(IRIS), **close)


@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_activations(Estimator, activation, solver):
    model = Estimator(**SMALL, solver=solver, activation=activation).fit(IRIS, SPECIES)
    assert model.score(IRIS, SPECIES) > 0.6
    as_list = Estimator(**SMALL, solver=solver, activation=[activation] * 2).fit(IRIS, SPECIES)
    assert same_bits(model.coefs_, as_list.coefs_)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_one_alpha_is_the_same_for_all_layers(Estimator, solver):
    one = Estimator(**SMALL, solver=solver, alpha=0.3).fit(IRIS, SPECIES)
    each = Estimator(**SMALL, solver=solver, alpha=[0.3] * 3).fit(IRIS, SPECIES)
    assert same_bits(one.coefs_, each.coefs_)
    strict = Estimator(**{**SMALL, "max_iter": 200}, solver=solver, alpha=[100.0, 0, 0]).fit(IRIS, SPECIES)
    assert np.abs(strict.coefs_[0]).max() < np.abs(one.coefs_[0]).max()


def test_adamw_decays_by_default(Estimator):
    adamw = Estimator(**SMALL, solver="adamw").fit(IRIS, SPECIES)
    assert same_bits(adamw.coefs_, Estimator(**SMALL, solver="adam", weight_decay=0.01).fit(IRIS, SPECIES).coefs_)
    undecayed = Estimator(**SMALL, solver="adamw", weight_decay=0).fit(IRIS, SPECIES)
    assert same_bits(undecayed.coefs_, Estimator(**SMALL).fit(IRIS, SPECIES).coefs_)


def test_a_schedule_is_a_factor(Estimator):
    halved = Estimator(**SMALL, learning_rate=half_rate).fit(IRIS, SPECIES)
    assert same_bits(halved.coefs_, Estimator(**{**SMALL, "learning_rate_init": 0.01}).fit(IRIS, SPECIES).coefs_)
    steps = []
    Estimator(**{**SMALL, "max_iter": 2}, learning_rate=lambda *step: steps.append(step) or 1.0).fit(IRIS, SPECIES)
    assert steps == [(i, 6) for i in range(6)]


def test_scikit_learns_schedules_are_of_sgd_alone(Estimator):
    plain = Estimator(**SMALL).fit(IRIS, SPECIES)
    for schedule in ("invscaling", "adaptive"):
        assert same_bits(plain.coefs_, Estimator(**SMALL, learning_rate=schedule).fit(IRIS, SPECIES).coefs_)


def test_the_average_predicts(Estimator):
    model = Estimator(**SMALL, ema_decay=0.99).fit(IRIS, SPECIES)
    other = Estimator(**SMALL).fit(IRIS, SPECIES)
    assert not same_bits(model.coefs_, other.coefs_)
    for _ in range(3):  # training goes on from the weights, not from their average
        model.partial_fit(IRIS, SPECIES)
        other.partial_fit(IRIS, SPECIES)
    np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-9)


# ---- L-BFGS


@pytest.mark.parametrize(
    "parameters",
    [
        {"dropout": 0.1}, {"dropout": [0.0, 0.1]}, {"input_dropout": 0.1}, {"weight_decay": 0.1}, {"clip_norm": 1.0},
        {"clip_value": 1.0}, {"ema_decay": 0.9}, {"warmup": 5}, {"learning_rate": "cosine"},
        {"learning_rate": half_rate}, {"checkpoint": "x"}, {"resume_from": "x"}, {"restore_best": True},
        {"scoring": "loss"},
    ],
    ids=lambda parameters: "-".join(parameters),
)  # fmt: skip
def test_what_lbfgs_cannot_do(Estimator, parameters):
    with pytest.raises(ValueError, match=f"solver='lbfgs' .* no use for {next(iter(parameters))}"):
        Estimator(**SMALL, solver="lbfgs", **parameters).fit(IRIS, SPECIES)


def test_lbfgs_has_no_validation(Estimator):
    with pytest.raises(ValueError, match="no use for X_val"):
        Estimator(solver="lbfgs").fit(IRIS, SPECIES, X_val=IRIS, y_val=SPECIES)


@pytest.mark.parametrize(
    "parameters",
    [
        {"early_stopping": True}, {"learning_rate": "adaptive"}, {"batch_size": 3}, {"momentum": 0.1}, {"rho": 0.1},
        {"dropout": 0}, {"dropout": [0, 0]}, {"weight_decay": 0}, {"warmup": 0}, {"restore_best": False},
    ],
    ids=str,
)  # fmt: skip
def test_what_lbfgs_ignores(Estimator, parameters):
    model = Estimator(**{**SMALL, "solver": "lbfgs", **parameters}).fit(IRIS, SPECIES)
    assert same_bits(model.coefs_, Estimator(**SMALL, solver="lbfgs").fit(IRIS, SPECIES).coefs_)


# ---- what watches training


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks(Estimator, solver):
    epochs, models = [], []

    def watch(epoch):
        epochs.append(epoch)
        models.append(epoch.model)
        assert np.isfinite(epoch.model.score(IRIS, SPECIES))
        return epoch.epoch == 4

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # stopped as asked: nothing to warn of
        model = Estimator(**SMALL, solver=solver, callbacks=[watch]).fit(IRIS, SPECIES)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert model.n_iter_ == 4
    assert all(isinstance(epoch, Epoch) for epoch in epochs)
    assert epochs[-1].loss == pytest.approx(model.loss_)
    assert type(models[-1]) is Estimator
    assert same_bits(models[-1].coefs_, model.coefs_)
    assert not same_bits(models[0].coefs_, model.coefs_)


def test_callbacks_see_validation(Estimator):
    epochs = []
    model = Estimator(**SMALL, callbacks=epochs.append).fit(IRIS, SPECIES, X_val=IRIS, y_val=SPECIES)
    assert [epoch.validation_score for epoch in epochs] == model.validation_scores_
    assert [epoch.validation_loss for epoch in epochs] == model.validation_loss_curve_


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_max_time(Estimator, solver):
    endless = {**SMALL, "max_iter": 10**6, "tol": 0, "n_iter_no_change": np.inf, "max_fun": 10**9}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = Estimator(**endless, solver=solver, max_time=0.05).fit(IRIS, SPECIES)
    assert 1 <= model.n_iter_ < 10**6
    assert np.isfinite(model.score(IRIS, SPECIES))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_verbose_2_reports_each_epoch(Estimator, solver, capsys):
    Estimator(**{**SMALL, "max_iter": 3}, solver=solver, verbose=2).fit(IRIS, SPECIES)
    printed = capsys.readouterr()
    assert "3/3" in printed.err or "Iteration 3, loss" in printed.out


# ---- checkpoints


@pytest.mark.parametrize(
    "parameters",
    [
        {}, {"early_stopping": True}, {"dropout": 0.2}, {"ema_decay": 0.9}, {"solver": "schedule_free"},
        {"solver": "sgd", "learning_rate": "adaptive"}, {"learning_rate": "cosine"}, {"restore_best": True},
        {"random_state": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_resumed_fit_ends_with_the_same_bits(Estimator, parameters, tmp_path):
    path = tmp_path / "fit.npz"
    whole = {**SMALL, "max_iter": 12, **parameters}

    def interrupted(epoch):
        return epoch.epoch == 7

    np.random.seed(3)
    stopped = Estimator(**whole, checkpoint=path, checkpoint_every=3, callbacks=interrupted).fit(IRIS, SPECIES)
    assert stopped.n_iter_ == 7
    resumed = Estimator(**whole, resume_from=path).fit(IRIS, SPECIES)
    np.random.seed(3)
    expected = Estimator(**whole).fit(IRIS, SPECIES)
    assert same_bits(resumed.coefs_, expected.coefs_)
    assert resumed.loss_curve_ == expected.loss_curve_
    assert resumed.validation_scores_ == expected.validation_scores_
    assert (resumed.n_iter_, resumed.t_) == (expected.n_iter_, expected.t_)


def test_a_checkpoint_of_another_fit(Estimator, tmp_path):
    path = tmp_path / "fit.npz"
    Estimator(**SMALL, checkpoint=path).fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="alpha"):
        Estimator(**SMALL, resume_from=path, alpha=1.0).fit(IRIS, SPECIES)
    model = Estimator(**SMALL, warm_start=True).fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="resume_from and warm_start both say where to start"):
        model.set_params(resume_from=path).fit(IRIS, SPECIES)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"restore_best": True}, "partial_fit does not support restore_best=True"),
        ({"checkpoint": "x"}, "partial_fit does not support checkpoint"),
        ({"resume_from": "x"}, "partial_fit does not support resume_from"),
    ],
    ids=str,
)
def test_what_partial_fit_cannot_do(Estimator, parameters, message):
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    with pytest.raises(ValueError, match=message):
        Estimator(**SMALL, **parameters).partial_fit(IRIS, SPECIES, **classes)


# ---- the package


def test_the_package_exports():
    assert {"Epoch", "MLPClassifier", "MLPRegressor", "from_sklearn"} <= set(dir(fastbp))
    assert fastbp.mlp.MLPClassifier is MLPClassifier
