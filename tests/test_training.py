"""Epochs, learning rates and stopping, with a network that reports the losses it is told to."""

import copy
import itertools

import numpy as np
import pytest

from fastbp import _training
from fastbp._initializers import glorot_bound, glorot_uniform
from fastbp._schedules import AdaptiveRate, ConstantRate, InverseScalingRate, schedule
from fastbp._solver import Solver
from fastbp._training import Progress, Stop, Training, Validation, clip_batch_size

X = np.arange(20.0).reshape(10, 2)
Y = np.zeros((10, 1))


class ScriptedNetwork:
    """Reports the given losses, one an epoch, and remembers how it was called; its one parameter counts the epochs.

    With averages, the average is 100 more; `exchanged` says whether it stands in the place of the weights.
    """

    solver_in_it = None

    def __init__(self, losses, interrupt_after=None, averages=False, batches=None):
        self.losses = iter(losses)
        self.interrupt_after = interrupt_after
        self.averages, self.exchanged = averages, averages
        self.batches = batches  # of an epoch before its time is over
        self.epoch = self.t = 0
        self.orders, self.rates, self.deadlines = [], [], []

    def set_optimizer(self, name, **settings):
        self.optimizer = (name, settings)
        self.t = 0

    def get_optimizer_state(self):
        return {"t": self.t, "moments": []}

    def set_optimizer_state(self, state):
        self.t = state["t"]

    def exchange_average(self):
        assert self.averages
        self.exchanged = not self.exchanged

    def get_parameters(self):
        return [np.array([[self.epoch + 100.0 * self.exchanged]])], [np.zeros(1)]

    def set_parameters(self, coefs, intercepts):
        self.restored = coefs[0].item()

    def train_epoch(self, X, y, order, batch_size, learning_rate, alpha, sample_weight, deadline):
        assert not self.exchanged
        if self.epoch == self.interrupt_after:
            raise KeyboardInterrupt
        self.epoch += 1
        self.orders.append(copy.copy(order))
        self.rates.append(learning_rate)
        self.deadlines.append(deadline)
        n_rows = len(X) if order is None else len(order)
        n_seen = n_rows if self.batches is None else self.batches * batch_size
        self.t += -(-n_seen // batch_size)
        return next(self.losses) * n_seen, 2.0 * alpha * n_seen, n_seen


def training(losses, rate=None, interrupt_after=None, averages=False, batches=None, **settings):
    network = ScriptedNetwork(losses, interrupt_after, averages, batches)
    defaults = {
        "optimizer": Solver("sgd", {"momentum": 0.9}, rate or ConstantRate(0.1)),
        "progress": Progress(),
        "batch_size": 5,
        "alpha": 0.0,
        "loss_divisor": 1,
        "random_state": None,
        "validate": None,
        "decides": "validate" in settings,
        "restore_best": "validate" in settings,
        "tol": 0.1,
        "patience": 2,
    }
    return Training(network=network, **{**defaults, **settings})


def scored(*scores):
    """A `validate` that answers with these scores and their opposites as losses."""
    scores = iter(scores)

    def validate():
        score = next(scores)
        return Validation(score, -score)

    return validate


# ---- learning rates


def test_the_rate_of_an_epoch_is_set_between_epochs():
    run = training([3, 2, 1], InverseScalingRate(1.0, power=1))
    run.run(X, Y, max_epochs=3)
    assert run.network.rates == [1.0, 1 / 11, 1 / 21]


def test_adaptive_rate_goes_on_after_a_plateau():
    run = training([1.0] * 50, AdaptiveRate(1e-4), patience=1)
    assert run.run(X, Y, max_epochs=50) is Stop.CONVERGED
    # first the best epoch; then two stale ones for each rate: 1e-4, 2e-5, 4e-6 and 8e-7, which is negligible
    assert run.progress.n_epochs == 1 + 4 * 2
    assert run.optimizer.learning_rate == pytest.approx(8e-7)


def test_a_schedule_goes_on_with_the_steps_of_the_optimizer():
    rate = schedule(lambda step, n_steps: step, 1.0, n_steps=100)
    run = training([3, 2, 1], rate, batch_size=4)
    run.run(X, Y, max_epochs=2)
    run.run(X, Y)
    assert np.array_equal(run.network.rates, [[0, 1, 2], [3, 4, 5], [6, 7, 8]])


# ---- when to stop


def test_it_stops_when_the_loss_is_stale_for_longer_than_patience():
    run = training([5, 4, 4, 4, 4, 1])
    assert run.run(X, Y, max_epochs=6) is Stop.CONVERGED
    assert run.progress.losses == [5, 4, 4, 4, 4]
    assert run.progress.stale == 3
    assert run.progress.best == -4


def test_it_reports_when_the_epochs_run_out():
    run = training([3, 2, 1])
    assert run.run(X, Y, max_epochs=3) is Stop.MAX_ITER
    assert run.progress.n_epochs == 3
    assert run.progress.n_seen == 30


def test_an_improvement_below_tol_is_none_but_may_be_the_best():
    progress = Progress()
    progress.judge(-1.0, tol=0.1)
    progress.judge(-0.95, tol=0.1)
    assert (progress.stale, progress.best) == (1, -0.95)


def test_nan_is_never_the_best():
    progress = Progress(best=0.5, stale=3)
    progress.judge(float("nan"), tol=0.1)
    assert (progress.stale, progress.best) == (0, 0.5)


def test_a_second_run_goes_on():
    run = training([5, 4, 3, 2])
    run.run(X, Y, max_epochs=2)
    run.run(X, Y, max_epochs=2)
    assert run.progress.losses == [5, 4, 3, 2]
    assert run.progress.n_seen == 40
    assert run.optimizer.state["t"] == 8


def test_interruption_keeps_what_was_reached():
    run = training([3, 2, 1], interrupt_after=2)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert run.run(X, Y, max_epochs=3) is Stop.INTERRUPTED
    assert run.progress.losses == [3, 2]
    assert run.optimizer.state["t"] == 4


# ---- validation


def test_the_weights_of_the_best_validation_score_come_back():
    run = training([5, 4, 3, 2, 1], validate=scored(0.1, 0.7, 0.6, 0.5, 0.4))
    assert run.run(X, Y, max_epochs=5) is Stop.CONVERGED
    assert run.progress.scores == [0.1, 0.7, 0.6, 0.5, 0.4]
    assert run.progress.validation_losses == [-0.1, -0.7, -0.6, -0.5, -0.4]
    assert run.progress.best == 0.7
    assert run.network.restored == 2  # the parameters as they were after the second epoch


def test_nothing_comes_back_if_an_earlier_call_was_better():
    run = training([5, 4], validate=scored(0.3, 0.3), progress=Progress(best=0.9, scores=[float("nan"), 0.9]))
    run.run(X, Y, max_epochs=2)
    assert not hasattr(run.network, "restored")


def test_the_initial_weights_come_back_if_all_scores_are_nan():
    run = training([5, 4], validate=scored(float("nan"), float("nan")))
    run.run(X, Y, max_epochs=2)
    assert run.network.restored == 0


def test_the_last_weights_stay_if_asked():
    run = training([5, 4, 3], validate=scored(0.1, 0.7, 0.6), restore_best=False)
    run.run(X, Y, max_epochs=3)
    assert run.progress.best == 0.7
    assert not hasattr(run.network, "restored")


def test_validation_that_does_not_decide():
    run = training([5, 4, 4, 4, 4, 4], validate=scored(*range(6)), decides=False)
    assert run.run(X, Y, max_epochs=6) is Stop.CONVERGED
    assert run.progress.best == -4
    assert run.progress.scores == [0, 1, 2, 3, 4]
    assert run.network.restored == 5  # the best by validation all the same


def test_the_best_weights_by_training_loss():
    run = training([5, 2, 3], restore_best=True)
    run.run(X, Y, max_epochs=3)
    assert run.network.restored == 2


def test_divergence_is_not_hidden_by_the_best_weights():
    run = training([float("nan")] * 2, restore_best=True)
    run.run(X, Y, max_epochs=2)
    assert not hasattr(run.network, "restored")


# ---- averages


def test_the_average_predicts_and_the_weights_train():
    run = training([5, 4, 3], averages=True, decides=True, restore_best=True)
    scores, predicting, viewed = iter([0.1, 0.7, 0.6]), [], []

    def weights():
        return run.network.get_parameters()[0][0].item()

    def validate():
        predicting.append(weights())
        return Validation(next(scores), 0.0)

    run.validate, run.view = validate, weights
    run.callbacks = [lambda epoch: viewed.append(epoch.model)]
    run.run(X, Y, max_epochs=3)
    assert predicting == viewed == [101, 102, 103]
    assert run.network.restored == 102
    assert run.network.exchanged


def test_the_average_predicts_after_an_interruption():
    run = training([5, 4, 3], averages=True, interrupt_after=1)
    with pytest.warns(UserWarning, match="interrupted"):
        run.run(X, Y, max_epochs=3)
    assert run.network.exchanged


# ---- time


@pytest.fixture
def clock(monkeypatch):
    """Time that goes on by a second at each look."""
    monkeypatch.setattr(_training, "perf_counter", itertools.count(100.0).__next__)


def test_out_of_time_between_epochs(clock):
    run = training(range(50, 0, -1), max_time=3)
    assert run.run(X, Y, max_epochs=50) is Stop.MAX_TIME
    assert run.progress.n_epochs == 4
    assert run.network.deadlines == [103.0] * 4


def test_out_of_time_within_an_epoch():
    run = training([3, 2], max_time=1e9, batches=1, alpha=0.5)
    assert run.run(X, Y, max_epochs=2) is Stop.MAX_TIME
    assert run.progress.losses == [3 + 1.0]  # of the five rows that were seen
    assert run.progress.n_seen == 5


def test_without_a_limit_there_is_no_deadline():
    run = training([3])
    run.run(X, Y)
    assert run.network.deadlines == [np.inf]


# ---- callbacks


def test_callbacks_get_each_epoch():
    epochs, begun = [], []
    run = training(
        [5, 4], schedule("cosine", 0.1, n_steps=4), validate=scored(0.1, 0.7),
        callbacks=[epochs.append], before_epoch=begun.append,
    )  # fmt: skip
    assert run.run(X, Y, max_epochs=2) is Stop.MAX_ITER
    assert [epoch.epoch for epoch in epochs] == begun == [1, 2]
    assert [epoch.loss for epoch in epochs] == [5, 4]
    assert [epoch.validation_score for epoch in epochs] == [0.1, 0.7]
    assert [epoch.validation_loss for epoch in epochs] == [-0.1, -0.7]
    assert [epoch.learning_rate for epoch in epochs] == [run.network.rates[0][1], run.network.rates[1][1]]
    assert 0 < epochs[0].elapsed < epochs[1].elapsed


def test_the_learning_rate_of_an_epoch_that_was_cut_is_that_of_its_last_batch():
    epochs = []
    run = training([5], schedule("cosine", 0.1, n_steps=4), batches=1, callbacks=[epochs.append])
    run.run(X, Y, max_epochs=2)
    assert epochs[0].learning_rate == run.network.rates[0][0]


@pytest.mark.parametrize("answer", [True, 1, np.True_])
def test_a_callback_stops_training(answer):
    called = []
    run = training([5, 4, 3], callbacks=[lambda epoch: answer if epoch.epoch == 2 else None, called.append])
    assert run.run(X, Y, max_epochs=3) is Stop.CALLBACK
    assert len(called) == run.progress.n_epochs == 2


def test_an_error_in_a_callback_leaves_the_best_weights():
    run = training([5, 4, 3], validate=scored(0.5, 0.7, 0.1), callbacks=[lambda epoch: epoch.epoch == 3 and 1 / 0])
    with pytest.raises(ZeroDivisionError):
        run.run(X, Y, max_epochs=3)
    assert run.network.restored == 2
    assert run.optimizer.state["t"] == 6


# ---- epochs


def test_loss_is_a_mean_and_includes_the_penalty():
    run = training([6.0], alpha=0.5, loss_divisor=3)
    run.run(X, Y)
    assert run.progress.losses == [6.0 / 3 + 0.5 * 2.0]


def test_rows_in_order_are_not_copied():
    run = training([1.0])
    run.run(X, Y)
    assert run.network.orders == [None]


def test_shuffling_permutes_the_last_order():
    rows = np.array([7, 3, 5, 1])
    run = training([3, 2], random_state=np.random.RandomState(0))
    run.run(X, Y, rows=rows, max_epochs=2)
    draws = np.random.RandomState(0)
    first = rows[draws.permutation(4)]
    assert np.array_equal(run.network.orders, [first, first[draws.permutation(4)]])
    assert np.array_equal(rows, [7, 3, 5, 1])


def test_verbose_tells_of_every_epoch(capsys):
    training([4, 3, 2, 1], validate=scored(0.5, 0.25, 0.25, 0.25), verbose=True).run(X, Y, max_epochs=4)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Iteration 1, loss = 4.00000000", "Validation score: 0.500000"]
    assert lines[-1] == ("Validation score did not improve more than tol=0.100000 for 2 consecutive epochs. Stopping.")


@pytest.mark.parametrize(("asked", "got"), [("auto", 10), (3, 3), (10, 10)])
def test_batch_size(asked, got):
    assert clip_batch_size(asked, 10) == got


def test_auto_batch_size_is_at_most_200():
    assert clip_batch_size("auto", 1000) == 200


def test_a_batch_larger_than_the_data_is_clipped():
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped to 10"):
        assert clip_batch_size(11, 10) == 10


# ---- initial weights


@pytest.mark.parametrize(("activation", "factor"), [("relu", 6), ("tanh", 6), ("identity", 6), ("logistic", 2)])
def test_glorot(activation, factor):
    assert glorot_bound(3, 5, activation) == np.sqrt(factor / 8)
    coefs, intercepts = glorot_uniform([300, 200, 4], activation, np.random.RandomState(0), np.float32)
    for coef, intercept, shape in zip(coefs, intercepts, [(300, 200), (200, 4)], strict=True):
        bound = np.sqrt(factor / sum(shape))
        assert coef.shape == shape
        assert intercept.shape == shape[1:]
        assert coef.dtype == intercept.dtype == np.float32
        assert 0.98 * bound < np.abs(coef).max() <= bound * 1.0001
        assert abs(coef.mean()) < 0.1 * bound


def test_one_seed_gives_one_set_of_weights():
    one, other = (glorot_uniform([4, 3], "relu", np.random.RandomState(1), np.float64) for _ in range(2))
    assert np.array_equal(one[0][0], other[0][0])
    assert np.array_equal(one[1][0], other[1][0])
