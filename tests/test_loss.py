"""BP1: the output a, the cost of each sample and delta[L], for each pair of output and loss."""

import numpy as np
import pytest
from conftest import (
    CLASS_LOSSES,
    OUTPUTS,
    SIZES,
    as_float64,
    assert_close,
    assert_same_bits,
    draw,
    for_fastbp,
    interior,
    targets,
)
from reference import (
    ACTIVATIONS,
    COLLAPSING,
    LOSSES,
    OF_CLASSES,
    Settings,
    activate,
    cost,
    delta_general,
    delta_output,
    smoothed,
)

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

PARAMETERS = {"huber": 0.5, "focal": 2.0, "binary_focal": 2.0}
PAIRS = [(output, loss) for output in OUTPUTS for loss in LOSSES]
NATURAL = {"log_loss": "softmax", "focal": "softmax", "binary_log_loss": "logistic", "binary_focal": "logistic",
           "poisson": "exp", "gamma": "exp"}  # fmt: skip
pairs = pytest.mark.parametrize(("output", "loss"), PAIRS)


def settings_of(loss, n_out, smooth=False, weighted=False):
    """Settings for a loss, where it has any; class weights, for any, on request."""
    levels = np.linspace(0.1, 0.9, n_out) if loss == "quantile" else None
    weights = np.linspace((0.5, 3.0), (2.0, 0.25), n_out) if weighted else None
    parameter = PARAMETERS.get(loss, 0.0) / (4 if smooth else 1)  # the focal loss also with an exponent below 1
    return Settings(0.15 if smooth else 0.0, parameter, levels, weights)


def call(z, y, output, loss, settings, **options):
    return _kernels.loss(z, y, output, loss, **settings._asdict(), **options)


def has_pole(output, loss, n_out):
    """A softmax of one output is 1 whatever z, where these have a pole."""
    return (output, n_out) == ("softmax", 1) and loss in ("binary_log_loss", "focal", "binary_focal")


def operands(rng, n, n_out, output, loss, dtype):
    """z, the targets of the reference and those of fastbp."""
    centre, scale = interior(output, loss)
    z = (centre + draw(rng, (n, n_out), dtype, 2.0 * scale if scale == 1 else scale)).astype(dtype)
    if output == "relu" and scale == 1:
        z[0, 0] = 0
    y = targets(rng, n, n_out, loss).astype(dtype)
    return z, y.astype(np.float64), for_fastbp(y, loss, dtype)


def conditions(z, a, y, output, loss, settings):
    """How far an error of eps in a carries: into the cost of a sample, and into its delta."""
    target, h = smoothed(y, loss, settings.smoothing), 1e-6
    C, dC = (np.abs(function(a, target, settings)) for function in LOSSES[loss])
    curvature = np.abs(LOSSES[loss][1](a * (1 + h), target, settings) - LOSSES[loss][1](a * (1 - h), target, settings))
    dC_error = dC + curvature / (2 * h)
    if loss.endswith("focal"):  # the power's exponent is rounded before e is raised to it
        growth = 1 + settings.parameter * np.abs(np.log(a) + np.log(1 - a))
        C, dC_error = growth * C, growth * dC_error
    if loss == "gamma":
        C = C + np.abs(np.log(a)) + np.abs(np.log(target))
    slope = a if output == "softmax" else np.abs(ACTIVATIONS[output][1](z))
    delta = (1 + dC) * (np.abs(a) + slope) + dC_error * slope + np.abs(target)
    if output == "softmax":
        delta += a * (dC_error * a).sum(axis=1, keepdims=True)
    weight = 1.0
    if settings.class_weights is not None:
        weight = np.abs(1 - y) * settings.class_weights[:, 0] + np.abs(y) * settings.class_weights[:, 1]
    return (weight * (C + np.abs(a) * dC + np.abs(a) + np.abs(target))).sum(axis=1), weight * delta


def check(isa, dtype, n_out, output, loss, rng, **options):
    """The kernel against the reference, without and with sample weights."""
    n, settings = ROWS[n_out], settings_of(loss, n_out, **options)
    z, y, target = operands(rng, n, n_out, output, loss, dtype)
    weight = (rng.randint(0, 9, n) / 4).astype(dtype)
    a_expected = activate(z.astype(np.float64), output)
    cost_expected = cost(a_expected, y, loss, np.finfo(dtype).eps, settings)
    delta_expected = delta_output(z.astype(np.float64), a_expected, y, output, loss, settings)
    cost_condition, delta_condition = conditions(z.astype(np.float64), a_expected, y, output, loss, settings)

    factor = 12 if output == "softmax" else 4  # a softmax also rounds z - max z, and adds up a row

    a, losses, delta = call(z, target, output, loss, settings, isa=isa)
    assert (a.dtype, losses.dtype, delta.dtype) == (dtype, np.float64, dtype)
    assert_close(a, a_expected, np.abs(a_expected), dtype, factor)
    assert_close(losses, cost_expected, cost_condition, dtype, factor)
    assert_close(delta, delta_expected, delta_condition, dtype, factor)

    a_weighted, losses, delta = call(z, target, output, loss, settings, sample_weight=weight, isa=isa)
    w = weight.astype(np.float64)
    assert_same_bits([a_weighted], [a])
    assert_close(losses, w * cost_expected, w * cost_condition, dtype, factor)
    assert_close(delta, w[:, None] * delta_expected, w[:, None] * delta_condition, dtype, factor)
    assert np.all(delta[weight == 0] == 0)
    assert np.all(losses[weight == 0] == 0)


@pytest.mark.parametrize("n_out", ROWS)
@pairs
def test_loss(isa, dtype, n_out, output, loss, rng):
    if has_pole(output, loss, n_out):
        pytest.skip("a pole")
    check(isa, dtype, n_out, output, loss, rng)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smooth", [False, True])
@pairs
def test_label_smoothing_and_class_weights(isa, dtype, output, loss, smooth, weighted, rng):
    if weighted and output == "softmax":
        pytest.skip("class weights are for outputs one by one")
    for n_out in (2, 5, 17, 33):
        check(isa, dtype, n_out, output, loss, rng, smooth=smooth, weighted=weighted)


@pairs
def test_delta_is_the_central_difference(output, loss, rng):
    """(C(z + h) - C(z - h)) / 2h, where C is that of the reference."""
    for smooth, weighted in ((False, False), (True, output != "softmax")):
        z, y, target = operands(rng, 9, 4, output, loss, np.float64)
        settings, h = settings_of(loss, 4, smooth, weighted), 1e-6
        _, losses, delta = call(z, target, output, loss, settings)
        np.testing.assert_allclose(losses, cost(activate(z, output), y, loss, settings=settings), rtol=1e-11)
        for j in range(4):
            step = h * (np.arange(4) == j)
            above, below = (cost(activate(x, output), y, loss, settings=settings) for x in (z + step, z - step))
            smooth_there = z[:, j] != 0  # relu's kink
            numeric = (above - below)[smooth_there] / (2 * h)
            np.testing.assert_allclose(delta[smooth_there, j], numeric, rtol=1e-6, atol=1e-8)
        assert np.abs(delta).max() > 1e-3, "an all-zero delta would pass for free"


@pairs
def test_every_instruction_set_gives_the_same_bits(isa, dtype, output, loss, rng):
    for n_out in SIZES:
        for smooth, weighted in ((False, False), (True, output != "softmax")):
            z, _, target = operands(rng, ROWS[n_out], n_out, output, loss, dtype)
            weight = rng.uniform(0, 2, len(z)).astype(dtype)
            args = (z, target, output, loss, settings_of(loss, n_out, smooth, weighted))
            assert_same_bits(*(call(*args, sample_weight=weight, isa=i) for i in (isa, "baseline")))


@pytest.mark.parametrize(("output", "loss"), sorted(COLLAPSING))
def test_the_collapsed_form_is_the_general_form(output, loss, rng):
    """The oracle against itself: for a pair that matches, the full Jacobian gives a - y."""
    z, y, _ = operands(rng, 33, 7, output, loss, np.float64)
    a = activate(z, output)
    np.testing.assert_allclose(delta_general(z, a, y, output, loss), a - y, atol=1e-14)


@pytest.mark.parametrize("output", ["softmax", "logistic"])
@pytest.mark.parametrize("loss", OF_CLASSES)
def test_saturated_outputs_cost_what_scikit_learn_says(isa, dtype, output, loss):
    """a is kept in [eps, 1 - eps] within the logarithms, so that being wrong for sure costs -log(eps), not inf."""
    z = np.array([[1e3, -1e3], [-1e3, 1e3], [1e3, -1e3]], dtype=dtype)
    y = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float64)
    for smooth in (False, True):
        settings, eps = settings_of(loss, 2, smooth), np.finfo(dtype).eps
        a, losses, delta = call(z, for_fastbp(y, loss, dtype), output, loss, settings, isa=isa)
        np.testing.assert_array_equal(a, [[1, 0], [0, 1], [1, 0]])
        expected = cost(*as_float64(a), y, loss, eps, settings)
        np.testing.assert_allclose(losses, expected, rtol=(100 if "focal" in loss else 4) * eps, atol=2 * eps**2)
        assert np.all(np.isfinite(delta))
        if (output, loss) in COLLAPSING:
            np.testing.assert_allclose(delta, a - smoothed(y, loss, settings.smoothing), rtol=2 * eps)


@pytest.mark.parametrize("z", [0.0, 1e4, -1e4])
def test_softmax_of_equal_outputs_is_uniform(isa, dtype, z):
    a, losses, _ = _kernels.loss(np.full((3, 8), z, dtype), np.ones((3, 1), dtype), "softmax", "log_loss", isa=isa)
    np.testing.assert_array_equal(a, np.full((3, 8), 0.125, dtype))
    np.testing.assert_allclose(losses, np.log(8), rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_value_that_is_not_finite_stays_in_its_row_and_shows(isa, dtype, loss, value, rng):
    """Divergence must be seen in the loss; the other samples of the batch are not touched."""
    output, settings = NATURAL.get(loss, "identity"), settings_of(loss, 7)
    z, _, target = operands(rng, 33, 7, output, loss, dtype)
    clean = call(z, target, output, loss, settings, isa=isa)
    z[5, 3] = value
    dirty = call(z, target, output, loss, settings, isa=isa)
    if np.isnan(value):
        assert np.isnan(dirty[1][5])
        assert np.isnan(dirty[2][5]).any()
    for d, c in zip(dirty, clean, strict=True):
        assert_same_bits([np.delete(d, 5, axis=0)], [np.delete(c, 5, axis=0)])


@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_a_class_is_a_row_with_a_single_one(isa, dtype, loss, rng):
    for smooth in (False, True):
        z, y, target = operands(rng, 33, 7, "softmax", loss, dtype)
        settings, eps = settings_of(loss, 7, smooth), np.finfo(dtype).eps
        by_class = call(z, target, "softmax", loss, settings, isa=isa)
        by_row = call(z, y.astype(dtype), "softmax", loss, settings, isa=isa)
        for c, r in zip(by_class, by_row, strict=True):
            np.testing.assert_allclose(c, r, rtol=4 * eps, atol=2 * eps)


def test_settings_that_do_not_fit_are_refused():
    z = np.zeros((4, 3))
    for output, loss, settings, match in (
        ("identity", "quantile", {}, "got no levels"),
        ("identity", "quantile", dict(levels=[0.5]), "got 1 levels"),
        ("identity", "huber", dict(levels=[0.5] * 3), "none otherwise"),
        ("softmax", "log_loss", dict(class_weights=np.ones((3, 2))), "softmax"),
        ("logistic", "log_loss", dict(class_weights=np.ones((2, 2))), "class weights"),
        ("logistic", "hinge", {}, "expected one of squared_error"),
    ):
        with pytest.raises(ValueError, match=match):
            _kernels.loss(z, z, output, loss, **settings)
