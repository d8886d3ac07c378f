"""A loss of the caller's own, in Python: the same training as a built-in one."""

import numpy as np
import pytest
import reference
from conftest import assert_same_bits, assert_same_parameters, batch, build, random_net
from test_engine_options import CASE, THREADS, assert_near, network, solvers

from fastbp._engine import Network


def cross_entropy(y, z):
    """Softmax and cross-entropy, y one row of zeros and a one each."""
    a = reference.softmax(z)
    return -np.log(a[y == 1]), a - y


@pytest.mark.parametrize("option", ["plain", "all"])
@solvers
def test_a_custom_loss_equal_to_a_built_in_one_trains_alike(solver, option, dtype):
    p = random_net(*CASE, 61, dtype)
    p.one_hot = p.y.astype(dtype)
    built_in, results = network(p, solver, option), []
    got = built_in.train_epoch(*batch(p), None, 20, 0.01, 0.1, p.sample_weight)
    for n_threads in THREADS:
        p.loss = cross_entropy
        net = network(p, solver, option, n_threads)
        losses = net.train_epoch(p.X.astype(dtype), p.one_hot, None, 20, 0.01, 0.1, p.sample_weight)
        assert losses == pytest.approx(got, rel=1e-10 if dtype == np.float64 else 1e-4)
        for trained, expected in zip(net.get_parameters(), built_in.get_parameters(), strict=True):
            assert_near(trained, expected, dtype)
        results.append((losses, net))
    for losses, net in results[1:]:
        assert losses == results[0][0]
        assert_same_parameters(net, results[0][1])


def test_the_rest_of_a_network_with_a_custom_loss(dtype):
    p = random_net(*CASE, 30, dtype)
    X, y = p.X.astype(dtype), p.y.astype(dtype)
    net = Network(p.sizes, p.activations, p.output, cross_entropy, dtype)
    net.set_parameters(p.coefs, p.intercepts)
    built_in = build(p)
    assert_same_bits([net.predict(X), net.evaluate(X, y)[0]], [built_in.predict(X)] * 2)
    assert_same_bits([net.backprop(X, y)["a"][-1]], [built_in.predict(X)])
    rel = 1e-12 if dtype == np.float64 else 1e-5
    weighted = p.sample_weight
    assert net.evaluate(X, y, weighted)[1] == pytest.approx(built_in.evaluate(*batch(p), weighted)[1], rel=rel)
    got, expected = net.loss_gradient(X, y, weighted, 0.1), built_in.loss_gradient(*batch(p), weighted, 0.1)
    assert got[0] == pytest.approx(expected[0], rel=rel)
    assert_near(got[1] + got[2], expected[1] + expected[2], dtype)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda y, z: (np.zeros(len(y)), z[:, :1]),
        lambda y, z: (np.zeros((len(y), 1)), z),
        lambda y, z: (0.0, z),
        lambda y, z: (np.zeros(len(y) + 1), z),
    ],
)
def test_a_custom_loss_of_wrong_shape_is_refused(wrong):
    p = random_net(*CASE, 30)
    net = Network(p.sizes, p.activations, p.output, wrong, np.float64)
    with pytest.raises(ValueError, match="got a loss of shape"):
        net.train_epoch(p.X, p.y, None, 10, 0.1)
    with pytest.raises(ValueError, match="got a loss of shape"):
        net.evaluate(p.X, p.y)


def test_an_exception_in_a_custom_loss_leaves_whole_steps():
    """The steps done before it count: t, which Adam and dropout go by, stands where the weights stand."""
    p = random_net(*CASE, 60)
    calls = 0

    def breaks(y, z):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return cross_entropy(y, z)

    nets = []
    for loss in (breaks, cross_entropy):
        p.loss = loss
        nets.append(network(p, "adam", "dropout"))
    with pytest.raises(KeyboardInterrupt):
        nets[0].train_epoch(p.X, p.y, None, 10, 0.01)
    nets[1].train_epoch(p.X, p.y, np.arange(30), 10, 0.01)
    assert nets[0].t == nets[1].t == 3
    assert_same_parameters(*nets)
