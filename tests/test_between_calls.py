"""Between calls the optimizer's state stays packed in the network: nobody can tell, whatever they do."""

import copy
import pickle

import numpy as np
import pytest
from conftest import assert_same_bits
from scipy.sparse import csr_array

from fastbp import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

RNG = np.random.RandomState(0)
X = RNG.uniform(-1, 1, (60, 7)) * (RNG.uniform(size=(60, 7)) < 0.5)
Y = np.digitize(X.sum(axis=1), [-0.5, 0.5])
SETTINGS = [{}, {"solver": "sgd"}, {"ema_decay": 0.9}, {"solver": "schedule_free"}, {"hidden_layer_sizes": 3}]


def new(settings, **more):
    return MLPClassifier(**{"hidden_layer_sizes": 12, "random_state": 0, "batch_size": 20} | settings | more)


def learn(model, n_calls):
    for _ in range(n_calls):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    return model


def weights(model):
    return [*model.coefs_, *model.intercepts_]


def look(model):
    weights(model)
    return model


def write_the_same(model):
    model.coefs_ = [coef.copy() for coef in model.coefs_]
    return model


def predict(model):
    model.predict(X), model.predict(csr_array(X)), model.transform(X)
    return model


def predict_in_another_precision(model):
    model.set_params(dtype="float32").predict_proba(X)
    return model.set_params(dtype=None)


def leave_a_copy_that_learns(model):
    learn(copy.deepcopy(model), 2)
    return model


def leave_a_shallow_copy_that_predicts(model):
    other = copy.copy(model)
    other.coefs_ = [0 * coef for coef in other.coefs_]
    other.predict(X)
    return model


BETWEEN = [
    look, write_the_same, predict, predict_in_another_precision, leave_a_copy_that_learns,
    leave_a_shallow_copy_that_predicts, copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)),
]  # fmt: skip


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_is_done_between_calls_changes_nothing(settings, between):
    model = new(settings)
    for _ in range(3):
        model = between(learn(model, 1))
    undisturbed = learn(new(settings), 3)
    np.testing.assert_array_equal(model.predict_proba(X), undisturbed.predict_proba(X))
    assert_same_bits(weights(model), weights(undisturbed))


@pytest.mark.parametrize("settings", SETTINGS[:2], ids=str)
def test_weights_written_between_calls_are_honoured(settings):
    """In place, by item and whole; one of the two lists, too. The optimizer keeps its moments."""
    in_place, by_item, whole = (learn(new(settings), 2) for _ in range(3))
    in_place.coefs_[0][:] = 0.25
    by_item.coefs_[0] = np.full((7, 12), 0.25)
    whole.coefs_ = [np.full((7, 12), 0.25), *learn(new(settings), 2).coefs_[1:]]
    for model in (in_place, by_item, whole):
        assert (model.coefs_[0] == 0.25).all()
        np.testing.assert_array_equal(model.predict_proba(X), in_place.predict_proba(X))
    untouched = learn(new(settings), 3)
    for model in (in_place, by_item, whole):
        learn(model, 1)
        assert_same_bits(weights(model), weights(in_place))
        assert not np.array_equal(model.coefs_[0], untouched.coefs_[0])


def test_arrays_once_read_stay_as_they_were():
    model = learn(new({}), 1)
    read = weights(model)
    kept = [array.copy() for array in read]
    learn(model, 2)
    assert_same_bits(read, kept)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("warm_start", [False, True])
def test_after_an_error_the_weights_are_those_learned_until_then(settings, warm_start):
    def fail(epoch):
        raise RuntimeError

    def train(model):
        return model.fit(X, Y) if warm_start else model.partial_fit(X, Y, classes=[0, 1, 2])

    def trained():
        return train(new(settings | {"max_iter": 1, "warm_start": warm_start}))

    model, undisturbed = trained(), train(trained())
    with pytest.raises(RuntimeError):
        train(model.set_params(callbacks=fail))
    assert_same_bits(weights(model), weights(undisturbed))


def test_a_copy_and_its_original_learn_apart():
    model = learn(new({}), 1)
    other = copy.deepcopy(model)
    learn(other, 2)
    assert_same_bits(weights(model), weights(learn(new({}), 1)))
    learn(model, 2)
    assert_same_bits(weights(model), weights(other))


def test_a_model_that_shares_nothing_but_a_network():
    """Shallow copies share the idle network; what either learns must not end in the other."""
    model = look(learn(new({}), 1))
    other = copy.copy(model)
    before = [array.copy() for array in weights(model)]
    other.fit(X, Y)
    model.predict(X)
    np.testing.assert_array_equal(other.predict_proba(X), new({}).fit(X, Y).predict_proba(X))
    assert_same_bits(weights(model), before)


def test_early_stopping_across_calls_starts_from_the_weights_before():
    """No epoch is good enough: the weights from before the first call come back."""
    model = learn(new({}), 5).set_params(early_stopping=True, n_iter_no_change=1)
    model.best_validation_score_ = 2.0  # better than any
    before = weights(copy.deepcopy(model))
    for _ in range(3):
        model.partial_fit(X, Y, X_val=X, y_val=Y)
    assert model.stopped_
    assert_same_bits(weights(model), before)


def test_before_fit_there_are_no_weights():
    model = MLPClassifier()
    assert not hasattr(model, "coefs_")
    assert not hasattr(model, "intercepts_")
    with pytest.raises(AttributeError, match="'MLPClassifier' object has no attribute 'coef_'"):
        _ = learn(new({}), 1).coef_


@pytest.mark.parametrize("name", ["alpha", "max_time", "tol", "clip_norm"])
def test_integers_beyond_floats_are_refused_in_each_call(name):
    model = learn(new({}), 1)
    with pytest.raises(ValueError, match=f"{name} is an integer of 1329 bits"):
        learn(model.set_params(**{name: 10**400}), 1)


@pytest.mark.parametrize(
    "change",
    [
        {"solver": "adamw"}, {"learning_rate_init": 0.5}, {"clip_norm": 1.0}, {"weight_decay": 0.1}, {"ema_decay": 0.5},
        {"beta_1": 0.5}, {"learning_rate": "cosine"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_is_changed_between_calls_is_told_of(change, recwarn):
    """As in scikit-learn it does not act, which that does not say."""
    model, other = learn(new({}), 1), learn(new({}), 2)
    assert not [str(w.message) for w in recwarn if "partial_fit goes on" in str(w.message)]
    name = "weight_decay" if change == {"solver": "adamw"} else next(iter(change))
    with pytest.warns(UserWarning, match=f"optimizer of its first call: .*{name}=.*fit anew"):
        learn(model.set_params(**change), 1)
    assert_same_bits(weights(model), weights(other))


@pytest.mark.parametrize(
    "change", [{"alpha": 0.1}, {"learning_rate": "adaptive"}, {"momentum": 0.5}, {"tol": 0.1}], ids=str
)
def test_what_acts_or_is_not_of_the_solver_is_not_told_of(change, recwarn):
    learn(learn(new({}), 1).set_params(**change), 1)
    assert not [str(w.message) for w in recwarn if "partial_fit goes on" in str(w.message)]
