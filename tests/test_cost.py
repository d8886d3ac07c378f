"""BP1, loss by loss: what sets each apart, and where it has a kink, a pole or a limit."""

import numpy as np
import pytest
from conftest import OUTPUTS, draw, for_fastbp, interior, targets
from reference import Settings, delta_general, softmax

from fastbp import _kernels


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
def test_a_kink_has_slope_zero(isa, dtype, loss):
    z, levels = np.array([[0.0, -0.0, 0.75, -3.0, 1e30]], dtype), [0.3] * 5 if loss == "quantile" else None
    _, losses, delta = _kernels.loss(z, z, "identity", loss, parameter=0.5, levels=levels, isa=isa)
    np.testing.assert_array_equal(losses, 0)
    np.testing.assert_array_equal(delta, 0 * z)


def test_huber_is_the_squared_error_inside_and_a_line_outside(isa, dtype):
    z, y = np.array([[0.25, -0.5, 2.0, -100.0, 1e30]], dtype), np.zeros((1, 5), dtype)
    _, (total,), delta = _kernels.loss(z, y, "identity", "huber", parameter=0.5, isa=isa)
    np.testing.assert_array_equal(delta, [[0.25, -0.5, 0.5, -0.5, 0.5]])
    assert total == dtype(1e30) / 2
    inside = _kernels.loss(z, y, "identity", "huber", parameter=1e30, isa=isa)
    np.testing.assert_array_equal(inside[2], z)


def test_the_quantile_loss_is_least_at_the_quantile(isa, dtype, rng):
    """Its mean derivative vanishes where the share `level` of the targets lies below (Koenker and Bassett, 1978)."""
    y, levels = rng.uniform(0, 1, 999), np.array([0.1, 0.5, 0.9])
    at = np.quantile(y, levels)
    z, targets = np.tile(at, (999, 1)).astype(dtype), np.repeat(y[:, None], 3, axis=1).astype(dtype)
    _, _, delta = _kernels.loss(z, targets, "identity", "quantile", levels=levels, isa=isa)
    assert np.all(np.abs(delta.astype(np.float64).sum(axis=0)) <= 1)


def test_the_gamma_loss_outlives_its_output(isa, dtype):
    """e^z overflows, or vanishes, long before the loss does: C = z - log y + y e^-z - 1."""
    far = 100.0 if dtype == np.float32 else 750.0
    z, y = np.array([[far, far, -1.5 * far]], dtype), np.array([[1e30, 2.0, np.finfo(dtype).tiny]], dtype)
    a, (total,), delta = _kernels.loss(z, y, "exp", "gamma", isa=isa)
    t = np.log(y.astype(np.float64)) - z  # C = e^t - 1 - t
    np.testing.assert_array_equal(a, [[np.inf, np.inf, 0]])
    np.testing.assert_allclose(delta, 1 - np.exp(t), rtol=1e-5)
    assert total == pytest.approx((np.exp(t) - 1 - t).sum(), rel=1e-5)

    far_off = _kernels.loss(2 * z, 1 / y, "exp", "gamma", isa=isa)  # here y/a itself overflows
    assert (far_off[1][0], far_off[2][0, 2]) == (np.inf, -np.inf)


@pytest.mark.parametrize(("focal", "log"), [("focal", "log_loss"), ("binary_focal", "binary_log_loss")])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_focal_loss_of_exponent_0_is_the_log_loss(isa, dtype, focal, log, smoothing, rng):
    target = for_fastbp(targets(rng, 33, 7, log), log, dtype)
    for output in OUTPUTS:
        centre, scale = interior(output, log)
        z = (centre + draw(rng, (33, 7), dtype, scale)).astype(dtype)
        z[0] *= 40
        got = _kernels.loss(z, target, output, focal, smoothing=smoothing, isa=isa)
        expected = _kernels.loss(z, target, output, log, smoothing=smoothing, isa=isa)
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("loss", ["focal", "binary_focal"])
def test_the_focal_loss_at_the_ends(isa, dtype, loss, gamma):
    """Being right for sure costs and teaches nothing; being wrong for sure is what it is for the log loss."""
    z = np.array([[1e3, -1e3], [-1e3, 1e3]], dtype)
    y = np.array([[1.0, 0.0], [1.0, 0.0]], dtype)
    output = "softmax" if loss == "focal" else "logistic"
    for clip in (True, False):
        _, losses, delta = _kernels.loss(z, y, output, loss, clip=clip, parameter=gamma, isa=isa)
        assert losses[0] <= 3 * np.finfo(dtype).eps
        np.testing.assert_array_equal(delta[0], 0)
        terms = 1 if loss == "focal" else 2
        assert losses[1] == (pytest.approx(-np.log(np.finfo(dtype).eps) * terms, rel=1e-5) if clip else np.inf)
        np.testing.assert_allclose(delta[1], [-1, 1], rtol=300 * np.finfo(dtype).eps)


def test_the_collapsed_focal_loss_is_the_general_form(rng):
    """F (a - y) of a class, and in general the Jacobian of softmax on the derivative of the reference."""
    z, y = draw(rng, (33, 7), np.float64, 3.0), rng.dirichlet(np.ones(7), 33)
    _, _, delta = _kernels.loss(z, y, "softmax", "focal", parameter=2.0)
    expected = delta_general(z, softmax(z), y, "softmax", "focal", Settings(parameter=2.0))
    np.testing.assert_allclose(delta, expected, atol=1e-14)
