"""F: a = f(a_prev Wᵀ + b)."""

import numpy as np
import pytest
from conftest import HIDDEN, as_float64, assert_close, assert_same_bits, draw
from reference import activate

from fastbp import _kernels


def operands(rng, shape, dtype):
    n, n_in, n_out = shape
    return draw(rng, (n, n_in), dtype), draw(rng, (n_out, n_in), dtype, 2.0), draw(rng, n_out, dtype)


def test_forward(isa, dtype, shape, rng):
    a_prev, W, b = operands(rng, shape, dtype)
    a_prev64, W64, b64 = as_float64(a_prev, W, b)
    z_expected = a_prev64 @ W64.T + b64
    terms = np.abs(a_prev64) @ np.abs(W64).T + np.abs(b64)
    for activation in HIDDEN:
        z, a = _kernels.forward(a_prev, W, b, activation, isa=isa)
        assert z.dtype == a.dtype == dtype
        assert_close(z, z_expected, terms, dtype)
        # |f'| <= 1 for each of them, so that a is as close as z.
        assert_close(a, activate(z_expected, activation), terms + 1, dtype)


def test_every_instruction_set_gives_the_same_bits(isa, dtype, shape, rng):
    args = operands(rng, shape, dtype)
    for activation in HIDDEN:
        got = _kernels.forward(*args, activation, isa=isa)
        assert_same_bits(got, _kernels.forward(*args, activation, isa="baseline"))


def test_a_row_does_not_depend_on_its_company(isa, dtype, rng):
    """One row alone, or among 100, in whatever tile: the same bits."""
    a_prev, W, b = operands(rng, (100, 33, 17), dtype)
    together = _kernels.forward(a_prev, W, b, "tanh", isa=isa)
    for s in range(0, 100, 7):
        alone = _kernels.forward(a_prev[s : s + 1], W, b, "tanh", isa=isa)
        assert_same_bits(alone, [part[s : s + 1] for part in together])


def test_an_output_does_not_depend_on_its_company(isa, dtype, rng):
    """A layer too large for L2 (1.7 MB) is computed in blocks of k: the outputs of part of it are the same."""
    a_prev, W, b = operands(rng, (19, 601, 701), dtype)
    together = _kernels.forward(a_prev, W, b, "tanh", isa=isa)
    some = slice(640, 701)
    assert_same_bits(_kernels.forward(a_prev, W[some], b[some], "tanh", isa=isa), [part[:, some] for part in together])


@pytest.mark.parametrize(("n_in", "n_out"), [(5, 3), (17, 33), (601, 701)])  # the last too large for L2
def test_no_rows(isa, dtype, n_in, n_out, rng):
    a_prev, W, b = operands(rng, (0, n_in, n_out), dtype)
    assert [part.shape for part in _kernels.forward(a_prev, W, b, "tanh", isa=isa)] == [(0, n_out)] * 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_stays_in_its_row_and_shows(isa, dtype, value, rng):
    a_prev, W, b = operands(rng, (33, 17, 10), dtype)
    clean = _kernels.forward(a_prev, W, b, "identity", isa=isa)[1]
    a_prev[5, 3] = value
    a = _kernels.forward(a_prev, W, b, "identity", isa=isa)[1]
    assert not np.isfinite(a[5]).any()
    a[5] = clean[5]
    assert_same_bits([a], [clean])
