"""Epochs, learning rates and stopping, with a network that reports the losses it is told to."""

import numpy as np
import pytest

from fastbp._initializers import glorot_bound, glorot_uniform
from fastbp._training import (
    AdaptiveRate,
    ConstantRate,
    InverseScalingRate,
    Optimizer,
    Progress,
    Training,
    clip_batch_size,
)

X = np.arange(20.0).reshape(10, 2)
Y = np.zeros((10, 1))


class ScriptedNetwork:
    """Reports the given losses, one an epoch, and remembers how it was called; its one parameter counts the epochs."""

    def __init__(self, losses, interrupt_after=None):
        self.losses = iter(losses)
        self.interrupt_after = interrupt_after
        self.epoch = 0
        self.orders, self.rates = [], []

    def set_optimizer(self, name, **settings):
        self.optimizer = (name, settings)
        self.state = {"t": 0, "moments": []}

    def get_optimizer_state(self):
        return dict(self.state)

    def set_optimizer_state(self, state):
        self.state = dict(state)

    def get_parameters(self):
        return [np.array([[float(self.epoch)]])], [np.zeros(1)]

    def set_parameters(self, coefs, intercepts):
        self.restored = coefs[0].item()

    def train_epoch(self, X, y, order, batch_size, learning_rate, alpha, sample_weight):
        if self.epoch == self.interrupt_after:
            raise KeyboardInterrupt
        self.epoch += 1
        self.state["t"] += 1
        self.orders.append(order)
        self.rates.append(learning_rate)
        n_samples = len(X) if order is None else len(order)
        return next(self.losses) * n_samples, 2.0 * n_samples


def training(losses, rate=None, interrupt_after=None, **settings):
    network = ScriptedNetwork(losses, interrupt_after)
    defaults = {
        "optimizer": Optimizer("sgd", {"momentum": 0.9}, rate or ConstantRate(0.1)),
        "progress": Progress(),
        "batch_size": 5,
        "alpha": 0.0,
        "loss_divisor": 1,
        "random_state": None,
        "validate": None,
        "tol": 0.1,
        "patience": 2,
        "verbose": False,
    }
    return Training(network=network, **{**defaults, **settings})


# ---- learning rates


def test_constant_rate():
    rate = ConstantRate(0.5)
    rate.epoch_ends(100)
    assert rate.learning_rate == 0.5
    assert rate.on_plateau() == (False, "Stopping.")


def test_inverse_scaling_rate():
    rate = InverseScalingRate(0.5, power=0.25)
    assert rate.learning_rate == 0.5
    rate.epoch_ends(15)
    assert rate.learning_rate == 0.25
    assert not rate.on_plateau()[0]


def test_adaptive_rate_shrinks_until_it_is_negligible():
    rate = AdaptiveRate(5e-6)
    assert rate.on_plateau() == (True, "Setting learning rate to 0.000001")
    assert rate.learning_rate == pytest.approx(1e-6)
    rate.learning_rate = 1e-6
    assert rate.on_plateau() == (False, "Learning rate too small. Stopping.")


def test_the_rate_of_an_epoch_is_set_between_epochs():
    run = training([3, 2, 1], InverseScalingRate(1.0, power=1))
    run.run(X, Y, max_epochs=3)
    assert run.network.rates == [1.0, 1 / 11, 1 / 21]


def test_adaptive_rate_goes_on_after_a_plateau():
    run = training([1.0] * 50, AdaptiveRate(1e-4), patience=1)
    assert run.run(X, Y, max_epochs=50)
    # first the best epoch; then two stale ones for each rate: 1e-4, 2e-5, 4e-6 and 8e-7, which is negligible
    assert run.progress.n_epochs == 1 + 4 * 2
    assert run.optimizer.learning_rate == pytest.approx(8e-7)


# ---- when to stop


def test_it_stops_when_the_loss_is_stale_for_longer_than_patience():
    run = training([5, 4, 4, 4, 4, 1])
    assert run.run(X, Y, max_epochs=6)
    assert run.progress.losses == [5, 4, 4, 4, 4]
    assert run.progress.stale == 3
    assert run.progress.best == -4


def test_it_reports_when_the_epochs_run_out():
    run = training([3, 2, 1])
    assert not run.run(X, Y, max_epochs=3)
    assert run.progress.n_epochs == 3
    assert run.progress.n_seen == 30


def test_an_improvement_below_tol_is_none_but_may_be_the_best():
    progress = Progress()
    assert progress.judge(-1.0, tol=0.1)
    assert progress.judge(-0.95, tol=0.1)
    assert (progress.stale, progress.best) == (1, -0.95)


def test_nan_is_never_the_best():
    progress = Progress(best=0.5, stale=3)
    assert not progress.judge(float("nan"), tol=0.1)
    assert (progress.stale, progress.best) == (0, 0.5)


def test_a_second_run_goes_on():
    run = training([5, 4, 3, 2])
    run.run(X, Y, max_epochs=2)
    run.run(X, Y, max_epochs=2)
    assert run.progress.losses == [5, 4, 3, 2]
    assert run.progress.n_seen == 40
    assert run.optimizer.state["t"] == 4


def test_interruption_keeps_what_was_reached():
    run = training([3, 2, 1], interrupt_after=2)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert run.run(X, Y, max_epochs=3)
    assert run.progress.losses == [3, 2]
    assert run.optimizer.state["t"] == 2


# ---- validation


def test_the_weights_of_the_best_validation_score_come_back():
    scores = iter([0.1, 0.7, 0.6, 0.5, 0.4])
    run = training([5, 4, 3, 2, 1], validate=lambda: next(scores))
    assert run.run(X, Y, max_epochs=5)
    assert run.progress.scores == [0.1, 0.7, 0.6, 0.5, 0.4]
    assert run.progress.best == 0.7
    assert run.network.restored == 2  # the parameters as they were after the second epoch


def test_nothing_comes_back_if_an_earlier_call_was_better():
    run = training([5, 4], validate=lambda: 0.3, progress=Progress(best=0.9))
    run.run(X, Y, max_epochs=2)
    assert not hasattr(run.network, "restored")


def test_the_initial_weights_come_back_if_all_scores_are_nan():
    run = training([5, 4], validate=lambda: float("nan"))
    run.run(X, Y, max_epochs=2)
    assert run.network.restored == 0


# ---- epochs


def test_loss_is_a_mean_and_includes_the_penalty():
    run = training([6.0], alpha=0.5, loss_divisor=3)
    run.run(X, Y)
    assert run.progress.losses == [6.0 / 3 + 0.5 * 0.5 * 2.0]


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
    scores = iter([0.5, 0.25, 0.25, 0.25])
    training([4, 3, 2, 1], validate=lambda: next(scores), verbose=True).run(X, Y, max_epochs=4)
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
