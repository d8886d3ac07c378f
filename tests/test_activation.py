"""f and f' side by side, and the softmax with its Jacobian."""

import numpy as np
import pytest
from conftest import SHAPES, as_float64, assert_close, assert_same_bits, draw
from reference import ACTIVATIONS, LAMBDA, activate_backward, softmax

from fastbp import _kernels

SMALL = sorted({(n, n_out) for n, _, n_out in SHAPES})

each_activation = pytest.mark.parametrize("activation", _kernels.ACTIVATIONS)

FAR = {  # f' far below and far above 0
    "leaky_relu": (0.01, 1),
    "elu": (0, 1),
    "selu": (0, LAMBDA),
    "softplus": (0, 1),
    "gelu": (0, 1),
    "silu": (0, 1),
    "mish": (0, 1),
}


@pytest.fixture(params=SMALL, ids=lambda shape: "x".join(map(str, shape)))
def z(request, dtype, rng):
    return draw(rng, request.param, dtype, 4.0)


def backward(dy, z, activation, isa=None):
    """dy f'(z), from what the activation keeps."""
    kept = z if activation in _kernels.NEED_Z else _kernels.activate(z, activation, isa=isa)
    return _kernels.activate_backward(dy, kept, activation, isa=isa)


@each_activation
def test_activate(isa, z, dtype, activation, rng):
    dy = draw(rng, z.shape, dtype)
    y = _kernels.activate(z, activation, isa=isa)
    dz = backward(dy, z, activation, isa=isa)
    z64, dy64 = as_float64(z, dy)
    f, slope = (g(z64) for g in ACTIVATIONS[activation])
    assert y.dtype == dz.dtype == dtype
    # Φ in the reference suffers from its rounded argument.
    condition = np.abs(f) * (1 + z64**2) if activation == "gelu" else np.abs(f)
    assert_close(y, f, condition, dtype)
    assert_close(dz, dy64 * slope, np.abs(dy64), dtype)
    assert_same_bits([y], [_kernels.activate(z, activation, isa="baseline")])
    assert_same_bits([dz], [backward(dy, z, activation, isa="baseline")])


@each_activation
def test_derivative_is_that_of_the_function(isa, activation):
    """By central differences, which step over no bend."""
    h = 1e-5
    z = np.linspace(-9, 9, 1800)[None]
    assert np.abs(z).min() > h
    above, below = (_kernels.activate(z + step, activation, isa=isa) for step in (h, -h))
    np.testing.assert_allclose(
        backward(np.ones_like(z), z, activation, isa=isa), (above - below) / (2 * h), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("activation", FAR)
def test_activation_is_that_of_pytorch(activation, rng):
    torch = pytest.importorskip("torch")
    z = draw(rng, (50, 40), np.float64, 12.0)
    z[0, :2] = 0.0, -0.0
    z_torch = torch.tensor(z, requires_grad=True)
    f = getattr(torch.nn.functional, activation)(z_torch)
    f.sum().backward()
    np.testing.assert_allclose(_kernels.activate(z, activation), f.detach().numpy(), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(backward(np.ones_like(z), z, activation), z_torch.grad.numpy(), rtol=0, atol=3e-9)


def test_softmax(isa, z, dtype, rng):
    dy = draw(rng, z.shape, dtype)
    y = _kernels.softmax(z, isa=isa)
    dz = _kernels.softmax_backward(dy, y, isa=isa)
    z64, dy64 = as_float64(z, dy)
    a = softmax(z64)
    assert y.dtype == dz.dtype == dtype
    assert_close(y, a, a, dtype, factor=12)  # z - max z is rounded, and a row is added up
    terms = a * (np.abs(dy64) + np.sum(np.abs(dy64) * a, axis=1, keepdims=True))
    assert_close(dz, activate_backward(dy64, z64, "softmax"), terms, dtype, factor=12)
    assert_same_bits([y], [_kernels.softmax(z, isa="baseline")])
    assert_same_bits([dz], [_kernels.softmax_backward(dy, y, isa="baseline")])


@each_activation
def test_nan_passes_through(isa, dtype, activation):
    """A NaN that relu turned into 0 would hide a divergence."""
    z = np.full((3, 5), 0.5, dtype)
    z[1, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(_kernels.activate(z, activation, isa=isa)), np.isnan(z))


@pytest.mark.parametrize("activation", sorted(_kernels.NEED_Z))
def test_nan_passes_through_the_derivative(isa, dtype, activation):
    z = np.full((3, 5), 0.5, dtype)
    z[1, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(backward(np.ones_like(z), z, activation, isa=isa)), np.isnan(z))


def test_relu_at_the_ends(isa, dtype):
    z = np.array([[-np.inf, -1, -0.0, 0.0, np.finfo(dtype).smallest_subnormal, 1, np.inf]], dtype=dtype)
    y = _kernels.activate(z, "relu", isa=isa)
    np.testing.assert_array_equal(y, np.maximum(z, 0))
    dz = _kernels.activate_backward(np.ones_like(z), y, "relu", isa=isa)
    np.testing.assert_array_equal(dz, [[0, 0, 0, 0, 1, 1, 1]])


@pytest.mark.parametrize("activation", FAR)
def test_derivative_far_out(isa, dtype, activation):
    """No infinity meets a zero; f itself is tested so in test_elementary.py."""
    below, above = (np.array([[1e3, 1e30, np.finfo(dtype).max, np.inf] * 5], dtype=dtype) * sign for sign in (-1, 1))
    for z, slope in zip((below, above), FAR[activation], strict=True):
        dz = backward(np.ones_like(z), z, activation, isa=isa)
        np.testing.assert_array_equal(dz, np.full_like(z, slope))


def test_an_output_whose_derivative_needs_z_is_refused():
    z = np.zeros((2, 3))
    with pytest.raises(ValueError, match="got output activation 'gelu', expected one of identity"):
        _kernels.loss(z, z, "gelu", "squared_error")
