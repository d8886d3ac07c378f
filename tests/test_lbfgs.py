"""L-BFGS with callbacks, a time limit and a penalty for each layer."""

import numpy as np
import pytest
from conftest import assert_same_bits, batch, build, random_net

from fastbp import MLPClassifier
from fastbp._lbfgs import minimize_lbfgs
from fastbp._objective import Objective
from fastbp._training import Stop


def minimize(network, p, **settings):
    X, y = batch(p)
    defaults = {"alpha": 0.01, "loss_divisor": 3, "max_iter": 8, "max_fun": 1000, "gtol": 1e-9}
    return minimize_lbfgs(network, X, y, None, **{**defaults, **settings})


@pytest.fixture
def p():
    return random_net((5, 4, 3), ("tanh",), "identity", "squared_error", 30)


def test_callbacks_see_each_iteration_and_change_nothing(p):
    network, epochs, views = build(p), [], []
    plain = minimize(build(p), p)
    seen = minimize(
        network, p, callbacks=[epochs.append, lambda epoch: views.append(epoch.model)], view=network.get_parameters
    )
    assert np.array_equal(seen.x, plain.x)
    assert seen.stop is plain.stop is None
    assert [epoch.epoch for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].loss == seen.fun
    assert epochs[0].learning_rate is epochs[0].validation_score is None
    assert 0 < epochs[0].elapsed < epochs[-1].elapsed
    assert_same_bits(views[-1][0], network.get_parameters()[0])


def test_a_callback_stops_it(p):
    network = build(p)
    result = minimize(network, p, callbacks=[lambda epoch: epoch.epoch == 3])
    assert result.stop is Stop.CALLBACK
    assert result.nit == 3
    assert np.array_equal(result.x, minimize(build(p), p, max_iter=3).x)


def test_time_stops_it(p):
    result = minimize(build(p), p, max_time=1e-9)
    assert result.stop is Stop.MAX_TIME
    assert result.nit == 1
    assert minimize(build(p), p, max_time=1e9).nit == 8


def test_the_solution_is_left_in_the_network(p):
    network = build(p)
    result = minimize(network, p)
    coefs, intercepts = network.get_parameters()
    assert np.array_equal(np.concatenate([q.ravel() for q in coefs + intercepts]), result.x)


def test_a_penalty_for_each_layer(p):
    assert np.allclose(minimize(build(p), p, alpha=[0.1, 0.1]).x, minimize(build(p), p, alpha=0.1).x, rtol=1e-9)
    network = build(p)
    result = minimize(network, p, alpha=[0.0, 5.0])
    X, y = batch(p)
    outputs, _ = network.evaluate(X, y)
    penalty = 5 / 2 * np.sum(network.get_parameters()[0][1] ** 2)
    assert result.fun == pytest.approx(0.5 * np.mean((outputs - y) ** 2) + penalty / 30)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_objective_is_the_loss_and_its_gradient_on_one_vector(dtype, n_threads):
    p = random_net((9, 20, 3), ("tanh",), "identity", "squared_error", 50, dtype)
    X, y = batch(p)
    network, alpha = build(p, n_threads), [0.1, 0.5]
    objective = Objective(network, X, y, p.sample_weight, alpha, loss_divisor=3)
    loss, coef_grads, intercept_grads = network.loss_gradient(X, y, p.sample_weight, alpha)
    start = np.concatenate([q.ravel() for q in (*p.coefs, *p.intercepts)], dtype=np.float64)
    network.train_epoch(X, y, None, 16, 0.1)  # it has changed the weights and the engine's buffers
    for _ in range(3):
        value, gradient = objective(start)
        assert gradient.dtype == np.float64
        assert np.array_equal(gradient, np.concatenate([g.ravel() for g in coef_grads + intercept_grads]))
        penalty = sum(a / 2 * np.sum(W.astype(float) ** 2) for a, W in zip(alpha, p.coefs, strict=True))
        penalty /= p.sample_weight.sum()
        assert value == pytest.approx((loss - penalty) / 3 + penalty, rel=1e-5 if dtype == np.float32 else 1e-12)
    with pytest.raises(ValueError, match=r"vector of shape \(5,\), expected \(263,\)"):
        objective(start[:5])


def test_the_fit_does_not_depend_on_the_threads(dtype):
    """The objective keeps its bits, and SciPy's BLAS its one thread."""
    p = random_net((40, 96, 64, 3), ("tanh", "gelu"), "softmax", "log_loss", 600, dtype)
    first, *others = (minimize(build(p, n_threads), p).x for n_threads in (1, 2, 3, 5))
    for other in others:
        assert_same_bits([other], [first])


def test_a_callback_that_raises_stop_iteration_is_not_taken_for_scipys_end(p):
    def stop(epoch):
        raise StopIteration

    with pytest.raises(RuntimeError, match="return True to stop"):
        minimize(build(p), p, callbacks=[stop], view=lambda: None)


def test_the_bar_is_closed_by_an_error():
    tqdm = pytest.importorskip("tqdm.auto").tqdm
    model = MLPClassifier(solver="lbfgs", verbose=2, callbacks=lambda epoch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit([[0.0], [1.0]], [0, 1])
    assert not tqdm._instances


def test_interrupted_before_the_first_iteration(monkeypatch, recwarn):
    """There is no loss that could be out of range."""

    def interrupt(*_, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("scipy.optimize.minimize", interrupt)
    model = MLPClassifier(solver="lbfgs").fit([[0.0], [1.0]], [0, 1])
    assert model.n_iter_ == 0
    assert [str(w.message) for w in recwarn] == ["Training interrupted by user."]
