"""U: penalty, 1 / Σ w and one step of the optimizer, element by element."""

import numpy as np
import pytest
import reference
from conftest import SIZES, as_float64, assert_close, assert_same_bits, draw

from fastbp import _kernels

ALPHA, SCALE = 0.0625, 0.125  # powers of two: g = (dW + alpha W) scale is then rounded once
SETTINGS = {
    "sgd": dict(solver="sgd", momentum=0.0, nesterov=False, learning_rate=0.25),
    "momentum": dict(solver="sgd", momentum=0.9, nesterov=False, learning_rate=0.25),
    "nesterov": dict(solver="sgd", momentum=0.9, nesterov=True, learning_rate=0.25),
    "adam": dict(solver="adam", beta_1=0.9, beta_2=0.999, epsilon=1e-8, learning_rate=0.25),
    "quick adam": dict(solver="adam", beta_1=0.0, beta_2=0.5, epsilon=1e-3, learning_rate=0.25),
}
settings = pytest.mark.parametrize("name", SETTINGS)


def operands(rng, n, dtype):
    """W, dW, m, v; the last is a mean of squares."""
    W, dW, m, v = (draw(rng, n, dtype, scale) for scale in (1.0, 4.0, 0.1, 0.1))
    return W, dW, m, np.abs(v)


def expected_step(W, dW, m, v, name):
    """The reference's W, m, v after the step, and the |terms| behind the new W and m."""
    options = {k: SETTINGS[name][k] for k in SETTINGS[name] if k not in ("solver", "learning_rate")}
    rate, g = SETTINGS[name]["learning_rate"], (dW + ALPHA * W) * SCALE
    if SETTINGS[name]["solver"] == "sgd":
        stepper = reference.SGD([W], **options)
        stepper.v[0][...] = m
        m_terms = np.abs(options["momentum"] * m) + np.abs(rate * g)
        W_terms = np.abs(W) + 2 * m_terms
    else:
        stepper = reference.Adam([W], **options)
        stepper.m[0][...], stepper.v[0][...], stepper.t = m, v, 10**6  # so late that the bias correction is 1
        m_terms = np.abs(options["beta_1"] * m) + np.abs((1 - options["beta_1"]) * g)
        v_new = options["beta_2"] * v + (1 - options["beta_2"]) * g**2
        W_terms = np.abs(W) + rate * m_terms / (np.sqrt(v_new) + options["epsilon"])
    W_new = W.copy()
    stepper.step([W_new], [g], rate)
    if SETTINGS[name]["solver"] == "sgd":
        return (W_new, stepper.v[0], v), (W_terms, m_terms, v)
    return (W_new, stepper.m[0], stepper.v[0]), (W_terms, m_terms, stepper.v[0])


@settings
@pytest.mark.parametrize("n", [*SIZES, 1003])
def test_update(isa, dtype, n, name, rng):
    args = operands(rng, n, dtype)
    *got, squares = _kernels.update(*args, alpha=ALPHA, scale=SCALE, isa=isa, **SETTINGS[name])
    for new, value, condition in zip(got, *expected_step(*as_float64(*args), name), strict=True):
        assert new.dtype == dtype
        assert_close(new, value, condition, dtype)
    assert squares == pytest.approx(np.sum(got[0].astype(np.float64) ** 2), rel=16 * float(np.finfo(dtype).eps))
    assert_same_bits(got, _kernels.update(*args, alpha=ALPHA, scale=SCALE, isa="baseline", **SETTINGS[name])[:3])
    assert squares == _kernels.update(*args, alpha=ALPHA, scale=SCALE, isa="baseline", **SETTINGS[name])[3]


@settings
def test_moments_below_the_normal_range_become_zero(isa, dtype, name):
    """A dead unit's moments decay; subnormal arithmetic would be slow, and hardware differs in flushing."""
    W, m = np.ones(5, dtype), np.full(5, np.finfo(dtype).tiny, dtype)
    W_new, m_new, v_new, _ = _kernels.update(W, np.zeros_like(W), m, m, isa=isa, **SETTINGS[name])
    assert np.all(m_new == 0)
    assert SETTINGS[name]["solver"] == "sgd" or np.all(v_new == 0)
    assert_same_bits([W_new], [W])


@settings
def test_nothing_moves_without_a_gradient(isa, dtype, name, rng):
    """The columns that pad a panel are such: zero gradient, zero moments."""
    W, zero = draw(rng, 33, dtype), np.zeros(33, dtype)
    assert_same_bits(_kernels.update(W, zero, zero, zero, isa=isa, **SETTINGS[name])[:3], [W, zero, zero])


@settings
def test_nan_stays_in_its_element_and_shows(isa, dtype, name, rng):
    args = operands(rng, 33, dtype)
    clean = _kernels.update(*args, isa=isa, **SETTINGS[name])[:3]
    args[1][7] = np.nan
    dirty = _kernels.update(*args, isa=isa, **SETTINGS[name])[:3]
    assert np.isnan(dirty[0][7])
    assert np.isnan(dirty[1][7])
    for d, c in zip(dirty, clean, strict=True):
        assert_same_bits([np.delete(d, 7)], [np.delete(c, 7)])
