"""fastbp.functional: each backward is the derivative of its forward, and a chain of them is a network."""

import numpy as np
import pytest
from conftest import batch, build, draw, random_net
from reference import LOSSES as REFERENCE
from reference import Settings, softmax

import fastbp.functional as F

SHAPES = [(6,), (1, 1), (9, 6), (33, 17)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)

# name: (forward(x), backward(dy, x, y))
ACTIVATIONS = {
    "sigmoid": (F.sigmoid_forward, lambda dy, x, y: F.sigmoid_backward(dy, y)),
    "tanh": (F.tanh_forward, lambda dy, x, y: F.tanh_backward(dy, y)),
    "relu": (F.relu_forward, lambda dy, x, y: F.relu_backward(dy, y)),
    "leaky_relu": (F.leaky_relu_forward, lambda dy, x, y: F.leaky_relu_backward(dy, y)),
    "elu": (F.elu_forward, lambda dy, x, y: F.elu_backward(dy, y)),
    "selu": (F.selu_forward, lambda dy, x, y: F.selu_backward(dy, y)),
    "softplus": (F.softplus_forward, lambda dy, x, y: F.softplus_backward(dy, y)),
    "gelu": (F.gelu_forward, lambda dy, x, y: F.gelu_backward(dy, x)),
    "silu": (F.silu_forward, lambda dy, x, y: F.silu_backward(dy, x)),
    "mish": (F.mish_forward, lambda dy, x, y: F.mish_backward(dy, x)),
    "softmax": (F.softmax_forward, lambda dy, x, y: F.softmax_backward(dy, y)),
}
LOSSES = {  # name in the kernels: (forward, backward)
    "squared_error": (F.l2_loss_forward, F.l2_loss_backward),
    "absolute_error": (F.l1_loss_forward, F.l1_loss_backward),
    "huber": (F.huber_loss_forward, F.huber_loss_backward),
    "quantile": (F.quantile_loss_forward, F.quantile_loss_backward),
    "poisson": (F.poisson_loss_forward, F.poisson_loss_backward),
    "gamma": (F.gamma_loss_forward, F.gamma_loss_backward),
    "log_loss": (F.cross_entropy_forward, F.cross_entropy_backward),
    "binary_log_loss": (F.binary_cross_entropy_forward, F.binary_cross_entropy_backward),
    "focal": (F.focal_loss_forward, F.focal_loss_backward),
    "binary_focal": (F.binary_focal_loss_forward, F.binary_focal_loss_backward),
}
SETTINGS = {"huber": 0.3, "quantile": 0.7, "focal": 1.5, "binary_focal": 1.5}


def numeric_gradient(function, x, h=1e-6):
    """∂ function(x) / ∂x of a scalar function, by central differences."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        gradient[index] = (function(x + step) - function(x - step)) / (2 * h)
    return gradient


def assert_derivative(got, function, x):
    expected = numeric_gradient(function, x)
    assert got.shape == x.shape
    assert np.any(got != 0) or np.allclose(expected, 0, atol=1e-9)
    np.testing.assert_allclose(got, expected, atol=1e-8 * max(1, np.abs(expected).max()))


@shapes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name, shape, rng):
    forward, backward = ACTIVATIONS[name]
    x, dy = draw(rng, shape, np.float64, 2.0), draw(rng, shape, np.float64)
    y = forward(x)
    assert y.shape == shape
    assert y.dtype == np.float64
    assert_derivative(backward(dy, x, y), lambda x: np.sum(dy * forward(x)), x)


@shapes
def test_linear(shape, rng):
    x = draw(rng, shape, np.float64)
    w, b = draw(rng, (4, shape[-1]), np.float64), draw(rng, 4, np.float64)
    y = F.linear_forward(x, w, b)
    np.testing.assert_allclose(y, x @ w.T + b, atol=1e-14)
    np.testing.assert_allclose(F.linear_forward(x, w), x @ w.T, atol=1e-14)
    dy = draw(rng, y.shape, np.float64)
    dx, dw, db = F.linear_backward(dy, x, w)
    assert_derivative(dx, lambda x: np.sum(dy * F.linear_forward(x, w, b)), x)
    assert_derivative(dw, lambda w: np.sum(dy * F.linear_forward(x, w, b)), w)
    assert_derivative(db, lambda b: np.sum(dy * F.linear_forward(x, w, b)), b)


@shapes
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, shape, rng):
    """One number a sample: a scalar for one, (n,) for a batch."""
    forward, backward = LOSSES[name]
    x, t = rng.uniform(0.1, 0.9, shape), rng.uniform(0, 1, shape)
    setting = [SETTINGS[name]] if name in SETTINGS else []
    E = forward(x, t, *setting)
    assert np.shape(E) == shape[:-1]
    by_hand = REFERENCE[name][0](x, t, Settings(parameter=SETTINGS.get(name, 0), levels=SETTINGS.get(name)))
    np.testing.assert_allclose(E, by_hand.sum(axis=-1), rtol=1e-12)
    assert_derivative(backward(x, t, *setting), lambda x: np.sum(forward(x, t, *setting)), x)


def test_the_quantile_loss_takes_a_level_for_each_output(rng):
    x, t, levels = rng.uniform(size=(9, 3)), rng.uniform(size=(9, 3)), [0.1, 0.5, 0.9]
    one_by_one = [F.quantile_loss_backward(x[:, j], t[:, j], levels[j]) for j in range(3)]
    np.testing.assert_array_equal(F.quantile_loss_backward(x, t, levels).T, one_by_one)


def test_cross_entropy_ignores_classes_without_weight():
    """0 log 0 is 0."""
    assert F.cross_entropy_forward(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0


def test_one_sample_is_a_batch_of_one(dtype, rng):
    x, w = draw(rng, 5, dtype), draw(rng, (3, 5), dtype)
    np.testing.assert_array_equal(F.linear_forward(x, w), F.linear_forward(x[None], w)[0])
    for forward, _ in ACTIVATIONS.values():
        assert forward(x).dtype == dtype
        np.testing.assert_array_equal(forward(x), forward(x[None])[0])


def test_softmax_backward_is_the_jacobian(rng):
    """J·dy with J = diag(y) - y yᵀ; its rows and columns sum to 0, so that a constant dy gives nothing."""
    x, dy = draw(rng, (1, 7), np.float64), draw(rng, (1, 7), np.float64)
    y = softmax(x)[0]
    J = np.diag(y) - np.outer(y, y)
    np.testing.assert_allclose(F.softmax_backward(dy[0], y), J @ dy[0], atol=1e-15)
    np.testing.assert_allclose(F.softmax_backward(np.ones(7), y), 0, atol=1e-15)


def test_any_layout_of_the_arrays(rng):
    x, w = draw(rng, (8, 6), np.float64), draw(rng, (4, 6), np.float64)
    expected = F.linear_forward(x, w)
    np.testing.assert_array_equal(F.linear_forward(np.asfortranarray(x), np.asfortranarray(w)), expected)
    np.testing.assert_array_equal(F.linear_forward(np.repeat(x, 2, axis=0)[::2], w), expected)


def test_arguments_are_left_alone(rng):
    """Read-only arrays are welcome, and nothing is written into what was given."""
    x, w, dy = draw(rng, (8, 6), np.float64), draw(rng, (4, 6), np.float64), draw(rng, (8, 4), np.float64)
    for array in (x, w, dy):
        array.flags.writeable = False
    F.linear_backward(dy, x, w)
    for forward, backward in ACTIVATIONS.values():
        backward(dy, dy, forward(dy))
    for forward, backward in LOSSES.values():
        forward(np.abs(dy), dy), backward(np.abs(dy) + 1, dy)


def test_shapes_that_do_not_fit_are_refused():
    for call in (
        lambda: F.linear_forward(np.ones((3, 4)), np.ones((2, 5))),
        lambda: F.linear_forward(np.ones((3, 4)), np.ones((2, 4)), np.ones(3)),
        lambda: F.linear_forward(np.ones((3, 4)), np.ones((2, 4)), np.ones((3, 2))),  # would take the first row
        lambda: F.linear_forward(np.ones((3, 4)), np.ones((2, 4)), 1.0),
        lambda: F.linear_forward(np.ones((3, 4)), np.ones(4)),
        lambda: F.linear_backward(np.ones((3, 3)), np.ones((3, 4)), np.ones((2, 4))),
        lambda: F.linear_backward(np.ones((2, 2)), np.ones((3, 4)), np.ones((2, 4))),
        lambda: F.tanh_backward(np.ones((3, 3)), np.ones((3, 4))),
        lambda: F.tanh_backward(np.ones((2, 6)), np.ones((3, 4))),
        lambda: F.softmax_backward(np.ones((2, 4)), np.ones((3, 4))),
        lambda: F.l2_loss_forward(np.ones((3, 3)), np.ones((3, 4))),
        lambda: F.sigmoid_forward(np.ones((2, 2, 2))),
    ):
        with pytest.raises(ValueError, match="shape"):
            call()


def test_a_chain_by_hand_is_the_network():
    """x -> linear -> sigmoid -> linear -> softmax -> cross-entropy, forth and back, beside Network.backprop."""
    p = random_net([6, 20, 4], ["logistic"], "softmax", "log_loss", 33)
    _, W1, W2 = p.W
    _, b1, b2 = p.b

    z1 = F.linear_forward(p.X, W1, b1)
    a1 = F.sigmoid_forward(z1)
    z2 = F.linear_forward(a1, W2, b2)
    a2 = F.softmax_forward(z2)
    E = F.cross_entropy_forward(a2, p.y)

    da2 = F.cross_entropy_backward(a2, p.y)
    dz2 = F.softmax_backward(da2, a2)
    da1, dW2, db2 = F.linear_backward(dz2, a1, W2)
    dz1 = F.sigmoid_backward(da1, a1)
    _, dW1, db1 = F.linear_backward(dz1, p.X, W1)

    whole = build(p).backprop(*batch(p))
    assert whole["loss"] == pytest.approx(E.sum(), rel=1e-13)
    for name, by_hand in dict(z=[z1, z2], a=[a1, a2], delta=[dz1, dz2], dW=[dW1, dW2], db=[db1, db2]).items():
        for got, expected in zip(by_hand, whole[name][1:], strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-13 * max(1, np.abs(expected).max()), err_msg=name)
