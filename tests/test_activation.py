"""f and f' side by side, and the softmax with its Jacobian."""

import numpy as np
import pytest
from conftest import HIDDEN, SHAPES, as_float64, assert_close, assert_same_bits, draw
from reference import ACTIVATIONS, activate_backward, softmax

from fastbp import _kernels

SMALL = sorted({(n, n_out) for n, _, n_out in SHAPES})


@pytest.fixture(params=SMALL, ids=lambda shape: "x".join(map(str, shape)))
def z(request, dtype, rng):
    return draw(rng, request.param, dtype, 4.0)


@pytest.mark.parametrize("activation", HIDDEN)
def test_activate(isa, z, dtype, activation, rng):
    dy = draw(rng, z.shape, dtype)
    y = _kernels.activate(z, activation, isa=isa)
    dz = _kernels.activate_backward(dy, y, activation, isa=isa)
    z64, dy64 = as_float64(z, dy)
    f, slope = (g(z64) for g in ACTIVATIONS[activation])
    assert y.dtype == dz.dtype == dtype
    assert_close(y, f, np.abs(f), dtype)
    assert_close(dz, dy64 * slope, np.abs(dy64), dtype)
    assert_same_bits([y], [_kernels.activate(z, activation, isa="baseline")])
    assert_same_bits([dz], [_kernels.activate_backward(dy, y, activation, isa="baseline")])


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


@pytest.mark.parametrize("activation", HIDDEN)
def test_nan_passes_through(isa, dtype, activation):
    """A NaN that relu turned into 0 would hide a divergence."""
    z = np.full((3, 5), 0.5, dtype)
    z[1, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(_kernels.activate(z, activation, isa=isa)), np.isnan(z))


def test_relu_at_the_ends(isa, dtype):
    z = np.array([[-np.inf, -1, -0.0, 0.0, np.finfo(dtype).smallest_subnormal, 1, np.inf]], dtype=dtype)
    y = _kernels.activate(z, "relu", isa=isa)
    np.testing.assert_array_equal(y, np.maximum(z, 0))
    dz = _kernels.activate_backward(np.ones_like(z), y, "relu", isa=isa)
    np.testing.assert_array_equal(dz, [[0, 0, 0, 0, 1, 1, 1]])
