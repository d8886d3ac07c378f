"""BP4 and BP3: dW = deltaᵀ a_prev, db = Σ_s delta_s."""

import numpy as np
from conftest import as_float64, assert_close, assert_same_bits, draw

from fastbp import _kernels


def operands(rng, shape, dtype):
    n, n_in, n_out = shape
    return draw(rng, (n, n_out), dtype), draw(rng, (n, n_in), dtype)


def test_gradient(isa, dtype, shape, rng):
    delta, a_prev = operands(rng, shape, dtype)
    dW, db = _kernels.gradient(delta, a_prev, isa=isa)
    assert dW.dtype == db.dtype == dtype
    delta64, a_prev64 = as_float64(delta, a_prev)
    assert_close(dW, delta64.T @ a_prev64, np.abs(delta64).T @ np.abs(a_prev64), dtype)
    assert_close(db, delta64.sum(axis=0), np.abs(delta64).sum(axis=0), dtype)


def test_every_instruction_set_gives_the_same_bits(isa, dtype, shape, rng):
    args = operands(rng, shape, dtype)
    assert_same_bits(_kernels.gradient(*args, isa=isa), _kernels.gradient(*args, isa="baseline"))


def test_a_sum_over_a_thousand_rows(isa, dtype, rng):
    """Long enough for every level of blocking of the rows."""
    delta, a_prev = operands(rng, (1003, 21, 5), dtype)
    dW, db = _kernels.gradient(delta, a_prev, isa=isa)
    delta64, a_prev64 = as_float64(delta, a_prev)
    assert_close(dW, delta64.T @ a_prev64, np.abs(delta64).T @ np.abs(a_prev64), dtype)
    assert_close(db, delta64.sum(axis=0), np.abs(delta64).sum(axis=0), dtype)
    assert_same_bits((dW, db), _kernels.gradient(delta, a_prev, isa="baseline"))
