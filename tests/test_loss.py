"""BP1: the output a, the cost of each sample and delta[L], for each pair of output and loss."""

import numpy as np
import pytest
from conftest import LOSSES as LOSS_NAMES
from conftest import PAIRS, SIZES, as_float64, assert_close, assert_same_bits, draw, for_fastbp, interior, targets
from reference import ACTIVATIONS, COLLAPSING, LOSSES, activate, cost, delta_general, delta_output

from fastbp import _kernels

ROWS = {
    1: 33,
    2: 17,
    3: 16,
    4: 15,
    5: 31,
    6: 10,
    7: 7,
    8: 2,
    9: 1,
    10: 100,
    15: 33,
    16: 17,
    17: 16,
    31: 15,
    33: 31,
    100: 10,
}  # n_out: n

pairs = pytest.mark.parametrize(("output", "loss"), PAIRS)


def operands(rng, n, n_out, output, loss, dtype):
    """z, the targets of the reference and those of fastbp."""
    centre, scale = interior(output, loss)
    z = (centre + draw(rng, (n, n_out), dtype, 2.0 * scale if scale == 1 else scale)).astype(dtype)
    if output == "relu" and loss == "squared_error":
        z[0, 0] = 0
    y = targets(rng, n, n_out, loss).astype(dtype)
    return z, y.astype(np.float64), for_fastbp(y, loss, dtype)


def conditions(z, a, y, output, loss):
    """How far an error of eps in a carries: into the cost of a sample, and into its delta."""
    dC = np.abs(LOSSES[loss][1](a, y))
    cost_condition = (np.abs(LOSSES[loss][0](a, y)) + np.abs(a) * dC + np.abs(a) + np.abs(y)).sum(axis=1)
    slope = a if output == "softmax" else np.abs(ACTIVATIONS[output][1](z))
    delta_condition = (1 + dC) * (np.abs(a) + slope) + np.abs(y)
    if output == "softmax":
        delta_condition += a * (dC * a).sum(axis=1, keepdims=True)
    return cost_condition, delta_condition


@pytest.mark.parametrize("n_out", ROWS)
@pairs
def test_loss(isa, dtype, n_out, output, loss, rng):
    if (output, loss, n_out) == ("softmax", "binary_log_loss", 1):
        pytest.skip("a softmax of one output is 1 whatever z, where this loss has a pole")
    n = ROWS[n_out]
    z, y, target = operands(rng, n, n_out, output, loss, dtype)
    weight = (rng.randint(0, 9, n) / 4).astype(dtype)
    a_expected = activate(z.astype(np.float64), output)
    cost_expected = cost(a_expected, y, loss, np.finfo(dtype).eps)
    delta_expected = delta_output(z.astype(np.float64), a_expected, y, output, loss)
    cost_condition, delta_condition = conditions(z.astype(np.float64), a_expected, y, output, loss)

    factor = 12 if output == "softmax" else 4  # a softmax also rounds z - max z, and adds up a row

    a, losses, delta = _kernels.loss(z, target, output, loss, isa=isa)
    assert (a.dtype, losses.dtype, delta.dtype) == (dtype, np.float64, dtype)
    assert_close(a, a_expected, np.abs(a_expected), dtype, factor)
    assert_close(losses, cost_expected, cost_condition, dtype, factor)
    assert_close(delta, delta_expected, delta_condition, dtype, factor)

    a_weighted, losses, delta = _kernels.loss(z, target, output, loss, sample_weight=weight, isa=isa)
    w = weight.astype(np.float64)
    assert_same_bits([a_weighted], [a])
    assert_close(losses, w * cost_expected, w * cost_condition, dtype, factor)
    assert_close(delta, w[:, None] * delta_expected, w[:, None] * delta_condition, dtype, factor)
    assert np.all(delta[weight == 0] == 0)
    assert np.all(losses[weight == 0] == 0)


@pairs
def test_every_instruction_set_gives_the_same_bits(isa, dtype, output, loss, rng):
    for n_out in SIZES:
        z, _, target = operands(rng, ROWS[n_out], n_out, output, loss, dtype)
        weight = rng.uniform(0, 2, len(z)).astype(dtype)
        args = (z, target, output, loss, weight)
        assert_same_bits(_kernels.loss(*args, isa=isa), _kernels.loss(*args, isa="baseline"))


@pytest.mark.parametrize(("output", "loss"), sorted(COLLAPSING))
def test_the_collapsed_form_is_the_general_form(output, loss, rng):
    """The oracle against itself: for a pair that matches, the full Jacobian gives a - y."""
    z, y, _ = operands(rng, 33, 7, output, loss, np.float64)
    a = activate(z, output)
    np.testing.assert_allclose(delta_general(z, a, y, output, loss), a - y, atol=1e-14)


@pytest.mark.parametrize("output", ["softmax", "logistic"])
@pytest.mark.parametrize("loss", ["log_loss", "binary_log_loss"])
def test_saturated_outputs_cost_what_scikit_learn_says(isa, dtype, output, loss):
    """a is kept in [eps, 1 - eps] within the logarithms, so that being wrong for sure costs -log(eps), not inf."""
    z = np.array([[1e3, -1e3], [-1e3, 1e3], [1e3, -1e3]], dtype=dtype)
    y = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float64)
    a, losses, delta = _kernels.loss(z, for_fastbp(y, loss, dtype), output, loss, isa=isa)
    np.testing.assert_array_equal(a, [[1, 0], [0, 1], [1, 0]])
    np.testing.assert_allclose(losses, cost(*as_float64(a), y, loss, np.finfo(dtype).eps), rtol=4 * np.finfo(dtype).eps)
    if (output, loss) in COLLAPSING:
        np.testing.assert_array_equal(delta, a - y)


@pytest.mark.parametrize("z", [0.0, 1e4, -1e4])
def test_softmax_of_equal_outputs_is_uniform(isa, dtype, z):
    a, losses, _ = _kernels.loss(np.full((3, 8), z, dtype), np.ones((3, 1), dtype), "softmax", "log_loss", isa=isa)
    np.testing.assert_array_equal(a, np.full((3, 8), 0.125, dtype))
    np.testing.assert_allclose(losses, np.log(8), rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_a_value_that_is_not_finite_stays_in_its_row_and_shows(isa, dtype, loss, value, rng):
    """Divergence must be seen in the loss; the other samples of the batch are not touched."""
    output = {"squared_error": "identity", "log_loss": "softmax", "binary_log_loss": "logistic", "poisson": "exp"}[loss]
    z, _, target = operands(rng, 33, 7, output, loss, dtype)
    clean = _kernels.loss(z, target, output, loss, isa=isa)
    z[5, 3] = value
    dirty = _kernels.loss(z, target, output, loss, isa=isa)
    if np.isnan(value):
        assert np.isnan(dirty[1][5])
        assert np.isnan(dirty[2][5]).any()
    for d, c in zip(dirty, clean, strict=True):
        assert_same_bits([np.delete(d, 5, axis=0)], [np.delete(c, 5, axis=0)])
