"""What a network answers besides its predictions: losses, layers, the derivatives by its inputs."""

import numpy as np
import pytest
import reference
import scipy.sparse
from conftest import assert_same_bits, assert_same_parameters, batch, build, random_net
from test_engine_options import ACTIVATIONS, CASE, assert_near, network


@pytest.mark.parametrize("n", [1, 700, 2500])
def test_evaluate(n, dtype):
    """More rows than a block, with weights; dropout has no part in it."""
    p = random_net(*CASE, n, dtype)
    net = network(p, "adam", "dropout", 2)
    rel = 1e-12 if dtype == np.float64 else 1e-5
    for weight in (None, p.sample_weight):
        a, loss = net.evaluate(*batch(p), weight)
        assert_same_bits([a], [net.predict(batch(p)[0])])
        w = np.ones(n) if weight is None else weight
        expected = reference.backprop(p.X, p.y, p.W, p.b, p.activations, p.output, p.loss, w).loss / w.sum()
        assert loss == pytest.approx(expected, rel=rel)
    assert np.isnan(net.evaluate(*batch(p), np.zeros(n))[1])


def test_predict_of_layers_and_raw(dtype):
    p = random_net(*CASE, 300, dtype)
    net, X = build(p, 2), batch(p)[0]
    z, a = reference.forward(p.X, p.W, p.b, p.activations, p.output)
    rtols = dict(rtol64=1e-13, rtol32=1e-5)
    assert_near([net.predict(X, layer=l) for l in (1, 2, 3)], a[1:], dtype, **rtols)
    assert_near([net.predict(X, raw=True)], [z[3]], dtype, **rtols)
    for layer in (0, 4, -1):
        with pytest.raises(ValueError, match="layer"):
            net.predict(X, layer=layer)


OUTPUTS = ("softmax", "logistic", "identity", "exp")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("output", OUTPUTS)
def test_input_gradients_are_central_differences(output, raw, activation):
    h = 1e-5
    for sizes in ([5, 9, 20, 3], [5, 3]):
        p = random_net(sizes, [activation] * (len(sizes) - 2), output, "squared_error", 12)
        net = build(p, 2)
        got = net.input_gradients(p.X, raw=raw)
        assert got.shape == (12, 3, 5)
        for k in range(5):
            step = h * np.eye(5)[k]
            numeric = (net.predict(p.X + step, raw=raw) - net.predict(p.X - step, raw=raw)) / (2 * h)
            off = np.abs(got[:, :, k] - numeric)
            assert np.max(off) <= 1e-6 * np.max(np.abs(got))
        for j in range(3):
            assert_same_bits([net.input_gradients(p.X, j, raw=raw)], [got[:, j]])


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("output", OUTPUTS)
def test_input_gradients_of_many_rows(output, raw, dtype):
    """More rows than a block, dense and sparse, against a sum over the Jacobians of the layers."""
    p = random_net([6, 30, 4], ["tanh"], output, "squared_error", 2100, dtype)
    p.X[np.random.RandomState(1).uniform(size=p.X.shape) < 0.5] = 0
    net, X = build(p, 3), p.X.astype(dtype)
    z, _ = reference.forward(p.X, p.W, p.b, p.activations, p.output)
    for j in range(4):
        da = np.tile(np.eye(4)[j], (2100, 1))
        delta = da if raw else reference.activate_backward(da, z[2], output)
        expected = reference.activate_backward(delta @ p.W[2], z[1], "tanh") @ p.W[1]
        got = net.input_gradients(X, j, raw=raw)
        assert got.dtype == dtype
        assert_near([got], [expected], dtype, rtol32=1e-5)
        assert_same_bits([net.input_gradients(scipy.sparse.csr_array(X), j, raw=raw)], [got])


def test_input_gradients_leave_training_alone(dtype):
    p = random_net(*CASE, 61, dtype)
    net, other = network(p, "adam", "all"), network(p, "adam", "all")
    for _ in range(2):
        got = net.train_epoch(*batch(p), None, 20, 0.01)
        assert got == other.train_epoch(*batch(p), None, 20, 0.01)
        net.input_gradients(batch(p)[0])
        net.evaluate(*batch(p))
        net.predict(batch(p)[0])
    assert_same_parameters(net, other)
    with pytest.raises(IndexError):
        net.input_gradients(batch(p)[0], 3)
