"""U: penalty, 1 / Σ w and one step of the optimizer, element by element."""

import numpy as np
import pytest
import reference
from conftest import SIZES, as_float64, assert_close, assert_same_bits, draw

from fastbp import _kernels

ALPHA, SCALE = 0.0625, 0.125  # powers of two: g = (dW + alpha W) scale is then rounded once
RATE, SHARE = 0.25, 0.125
SOLVERS = {
    "sgd": (reference.SGD, dict(momentum=0.0, nesterov=False)),
    "momentum": (reference.SGD, dict(momentum=0.9, nesterov=False)),
    "nesterov": (reference.SGD, dict(momentum=0.9, nesterov=True)),
    "adam": (reference.Adam, dict(beta_1=0.9, beta_2=0.999, epsilon=1e-8)),
    "quick adam": (reference.Adam, dict(beta_1=0.0, beta_2=0.5, epsilon=1e-3)),
    "rmsprop": (reference.RMSprop, dict(rho=0.9, epsilon=1e-8)),
    "quick rmsprop": (reference.RMSprop, dict(rho=0.0, epsilon=1e-3)),
    "schedule-free": (reference.ScheduleFree, dict(beta_1=0.9, beta_2=0.999, epsilon=1e-8)),
    "quick schedule-free": (reference.ScheduleFree, dict(beta_1=0.0, beta_2=0.5, epsilon=1e-3)),
}
EXTRAS = {"plain": {}, "clip": dict(clip=0.25), "decay": dict(decay=0.0625), "both": dict(clip=0.25, decay=0.0625)}
NAMES = {
    reference.SGD: "sgd",
    reference.Adam: "adam",
    reference.RMSprop: "rmsprop",
    reference.ScheduleFree: "schedule_free",
}
solvers = pytest.mark.parametrize("name", SOLVERS)


def settings(name, average=None):
    """The arguments of the kernel; schedule-free has an average in any case."""
    method, options = SOLVERS[name]
    return dict(solver=NAMES[method], learning_rate=RATE, average=average, share=SHARE, **options)


def operands(rng, n, dtype):
    """W, dW, m (schedule-free: z), v and the average; v is a mean of squares."""
    W, dW, m, v, average = (draw(rng, n, dtype, scale) for scale in (1.0, 4.0, 0.1, 0.1, 1.0))
    return W, dW, m, np.abs(v), average


def expected_step(W, dW, m, v, average, name, clip=np.inf, decay=0.0):
    """The reference's W, m, v, average after the step, and the |terms| behind each."""
    method, options = SOLVERS[name]
    g = np.clip((dW + ALPHA * W) * SCALE, -clip, clip)
    W_new = W[None, :].copy()  # a matrix: it decays
    stepper = method([W_new], weight_decay=decay / RATE, **options)
    if method is reference.SGD:
        stepper.v[0][...] = m
    elif method is reference.RMSprop:
        stepper.v[0][...] = v
    elif method is reference.Adam:
        stepper.m[0][...], stepper.v[0][...], stepper.t = m, v, 10**6  # so late that the bias correction is 1
    else:
        stepper.z[0][...], stepper.x[0][...], stepper.v[0][...], stepper.t = m, average, v, 10**6
        stepper.rates_squared = RATE**2 * (1 / SHARE - 1)
    stepper.step([W_new], [g[None, :]], RATE)
    W_new, g_terms = W_new[0], np.abs(g) + (np.abs(dW) + ALPHA * np.abs(W)) * SCALE * (np.abs(g) < clip)
    v_new = v if method is reference.SGD else stepper.v[0][0]
    root = np.sqrt(v_new) + options.get("epsilon", 0.0)
    if method is reference.SGD:
        m_new, m_terms = stepper.v[0][0], np.abs(options["momentum"] * m) + RATE * g_terms
        W_terms = np.abs(W) + 2 * m_terms
    elif method is reference.RMSprop:
        m_new, m_terms = m, m
        W_terms = np.abs(W) + RATE * g_terms / root
    elif method is reference.Adam:
        m_new, m_terms = stepper.m[0][0], options["beta_1"] * np.abs(m) + (1 - options["beta_1"]) * g_terms
        W_terms = np.abs(W) + RATE * m_terms / root
    else:
        m_new, m_terms = stepper.z[0][0], np.abs(m) + RATE * g_terms / root + decay * np.abs(W)
        W_terms = 2 * (m_terms + np.abs(average))
        return (W_new, m_new, v_new, stepper.x[0][0]), (W_terms, m_terms, v_new + g_terms**2, W_terms)
    average_new = average + SHARE * (W_new - average)
    return (W_new, m_new, v_new, average_new), (W_terms, m_terms, v_new + g_terms**2, W_terms + np.abs(average))


# --- one step


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("n", [*SIZES, 1003])
@solvers
def test_update(isa, dtype, name, n, extras, rng):
    *args, average = operands(rng, n, dtype)
    options = dict(alpha=ALPHA, scale=SCALE, **settings(name, average), **EXTRAS[extras])
    *got, squares = _kernels.update(*args, isa=isa, **options)
    expected = expected_step(*as_float64(*args, average), name, **EXTRAS[extras])
    for new, value, condition in zip(got, *expected, strict=True):
        assert new.dtype == dtype
        assert_close(new, value, condition, dtype)
    assert squares == pytest.approx(np.sum(got[0].astype(np.float64) ** 2), rel=16 * float(np.finfo(dtype).eps))
    *same, same_squares = _kernels.update(*args, isa="baseline", **options)
    assert_same_bits(got, same)
    assert squares == same_squares


@pytest.mark.parametrize("name", [name for name in SOLVERS if SOLVERS[name][0] is not reference.ScheduleFree])
def test_an_average_only_watches(isa, dtype, name, rng):
    """Whether one is kept changes nothing else."""
    *args, average = operands(rng, 33, dtype)
    W, m, v, _, squares = _kernels.update(*args, isa=isa, **settings(name, average))
    *alone, alone_squares = _kernels.update(*args, isa=isa, **settings(name))
    assert_same_bits([W, m, v], alone)
    assert squares == alone_squares


@solvers
def test_limits_that_bind_nothing_change_no_bit(isa, dtype, name, rng):
    """A clip above every |g|: the step is compiled with it, and is the same."""
    *args, average = operands(rng, 100, dtype)
    options = dict(alpha=ALPHA, scale=SCALE, **settings(name, average))
    assert_same_bits(_kernels.update(*args, isa=isa, clip=100.0, **options)[:4], _kernels.update(*args, **options)[:4])


@solvers
def test_padding_stays_zero(isa, dtype, name):
    """Zero weights with zero gradient and state stay zero through all settings: they pad the panels."""
    zero = np.zeros(5, dtype)
    options = settings(name, zero)
    assert_same_bits(
        _kernels.update(zero, zero, zero, zero, alpha=ALPHA, clip=0.5, decay=0.5, isa=isa, **options)[:4], [zero] * 4
    )


@pytest.mark.parametrize("n", [*SIZES, 1003])
def test_gradient_squares(isa, dtype, n, rng):
    """Before any limit: clipping by value comes after that by norm."""
    W, dW = operands(rng, n, dtype)[:2]
    got = _kernels.gradient_squares(W, dW, alpha=ALPHA, scale=SCALE, isa=isa)
    W64, dW64 = as_float64(W, dW)
    assert got == pytest.approx(np.sum(((dW64 + ALPHA * W64) * SCALE) ** 2), rel=100 * float(np.finfo(dtype).eps))
    assert got == _kernels.gradient_squares(W, dW, alpha=ALPHA, scale=SCALE, isa="baseline")


# --- what is not ordinary


@solvers
def test_moments_below_the_normal_range_become_zero(isa, dtype, name):
    """A dead unit's moments decay; subnormal arithmetic would be slow, and hardware differs in flushing."""
    W, small = np.ones(5, dtype), np.full(5, np.finfo(dtype).tiny, dtype)
    method = SOLVERS[name][0]
    m = W if method is reference.ScheduleFree else small  # its m is z, which is like W
    W_new, m_new, v_new, *_ = _kernels.update(W, np.zeros_like(W), m, small, isa=isa, **settings(name, W))
    assert method is reference.SGD or np.all(v_new == 0)
    assert method not in (reference.SGD, reference.Adam) or np.all(m_new == 0)
    assert_same_bits([W_new], [W])


@solvers
def test_nothing_moves_without_a_gradient(isa, dtype, name, rng):
    W, zero = draw(rng, 33, dtype), np.zeros(33, dtype)
    m = W if SOLVERS[name][0] is reference.ScheduleFree else zero
    assert_same_bits(_kernels.update(W, zero, m, zero, isa=isa, **settings(name, W))[:4], [W, m, zero, W])


@pytest.mark.parametrize("extras", EXTRAS)
@solvers
def test_nan_stays_in_its_element_and_shows(isa, dtype, name, extras, rng):
    *args, average = operands(rng, 33, dtype)
    options = dict(isa=isa, **settings(name, average), **EXTRAS[extras])
    clean = _kernels.update(*args, **options)[:4]
    args[1][7] = np.nan
    dirty = _kernels.update(*args, **options)[:4]
    moment = 2 if SOLVERS[name][0] is reference.RMSprop else 1
    assert np.isnan([dirty[0][7], dirty[moment][7], dirty[3][7]]).all()
    for d, c in zip(dirty, clean, strict=True):
        assert_same_bits([np.delete(d, 7)], [np.delete(c, 7)])


def test_the_norm_of_a_huge_gradient_is_finite(isa):
    """Squares are summed in double: what must be clipped may be beyond the square root of float32's range."""
    dW = np.full(33, 1e25, np.float32)
    got = _kernels.gradient_squares(np.zeros_like(dW), dW, isa=isa)
    assert got == pytest.approx(33 * float(dW[0]) ** 2, rel=1e-12)


def test_a_small_decay_is_not_lost(isa):
    """W (1 - decay) would round decay to a multiple of epsilon: here to 0, or to 6e-8."""
    rng, decay, n_steps = np.random.RandomState(0), 1.5e-8, 400
    W = np.ones(4096, np.float32)
    zero, expected = np.zeros_like(W), W.astype(np.float64)
    for _ in range(n_steps):
        dW = draw(rng, W.size, np.float32)
        settings = dict(solver="sgd", momentum=0.0, nesterov=False, learning_rate=1e-3)
        W = _kernels.update(W, dW, zero, zero, decay=decay, isa=isa, **settings)[0]
        expected -= 1e-3 * dW
    shrunk = float(np.mean(expected - W))
    assert shrunk == pytest.approx(decay * n_steps, rel=0.5)


@pytest.mark.parametrize("shape", [(16, 16), (5, 13), (16, 1), (1, 16), (8, 8), (3, 8)])
def test_squares_do_not_depend_on_how_the_block_is_stored(isa, dtype, shape, rng):
    n_panel = _kernels.panel(dtype)
    W, dW = (rng.uniform(-1, 1, shape)[:n_panel, :n_panel].astype(dtype) for _ in range(2))
    expected = _kernels.squares(W, isa=isa)
    assert expected == pytest.approx(np.sum(W.astype(np.float64) ** 2), rel=16 * float(np.finfo(dtype).eps))
    assert _kernels.squares(W, by_inputs=True, isa=isa) == expected
    lines = np.zeros((W.shape[1], n_panel), dtype)
    lines[:, : len(W)] = W.T
    zero = np.zeros(lines.size, dtype)  # the gradient and its moments: W stays as it is
    assert _kernels.update(lines.ravel(), zero, zero, zero, "adam", by_inputs=True, isa=isa)[-1] == expected
    options = dict(alpha=ALPHA, scale=SCALE)
    W64, dW64 = as_float64(W, dW)
    got = _kernels.gradient_squares(W, dW, **options, by_inputs=True, isa=isa)
    assert got == pytest.approx(np.sum(((dW64 + ALPHA * W64) * SCALE) ** 2), rel=100 * float(np.finfo(dtype).eps))
    assert got == _kernels.gradient_squares(W, dW, **options, by_inputs=True, isa="baseline")
