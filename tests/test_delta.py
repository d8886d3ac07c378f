"""BP2: delta_prev = (delta W) ⊙ f'(z_prev)."""

import numpy as np
import pytest
from conftest import as_float64, assert_close, assert_same_bits, draw
from reference import ACTIVATIONS

from fastbp import _kernels


def operands(rng, shape, dtype, activation):
    """delta (n, n_out), W (n_out, n_in), z_prev and what f' is read from (n, n_in); one z_prev is exactly 0."""
    n, n_in, n_out = shape
    z_prev = draw(rng, (n, n_in), dtype, 3.0)
    z_prev[0, 0] = 0
    kept = z_prev
    if activation not in _kernels.NEED_Z:
        kept = ACTIVATIONS[activation][0](z_prev.astype(np.float64)).astype(dtype)
    return draw(rng, (n, n_out), dtype), draw(rng, (n_out, n_in), dtype), z_prev, kept


def test_delta(isa, dtype, shape, rng):
    for activation in _kernels.ACTIVATIONS:
        delta, W, z_prev, kept = operands(rng, shape, dtype, activation)
        delta64, W64, z64 = as_float64(delta, W, z_prev)
        slope = ACTIVATIONS[activation][1](z64)
        delta_prev = _kernels.delta(delta, W, kept, activation, isa=isa)
        assert delta_prev.dtype == dtype
        # Where f' is not 0, 1 or a constant, it is computed from rounded terms of size 1: their error is relative to 1.
        condition = (np.abs(delta64) @ np.abs(W64)) * np.abs(slope)
        if activation not in ("identity", "relu", "leaky_relu"):
            condition = condition + np.abs(delta64 @ W64)
        assert_close(delta_prev, (delta64 @ W64) * slope, condition, dtype)


def test_every_instruction_set_gives_the_same_bits(isa, dtype, shape, rng):
    for activation in _kernels.ACTIVATIONS:
        delta, W, _, kept = operands(rng, shape, dtype, activation)
        got = _kernels.delta(delta, W, kept, activation, isa=isa)
        assert_same_bits([got], [_kernels.delta(delta, W, kept, activation, isa="baseline")])


def test_an_input_does_not_depend_on_its_company(isa, dtype, rng):
    """A layer too large for L2 (1.7 MB) is computed in blocks of k: the inputs of part of it are the same."""
    delta, W, _, kept = operands(rng, (19, 701, 601), dtype, "tanh")
    together = _kernels.delta(delta, W, kept, "tanh", isa=isa)
    some = slice(640, 701)
    alone = _kernels.delta(
        delta, np.ascontiguousarray(W[:, some]), np.ascontiguousarray(kept[:, some]), "tanh", isa=isa
    )
    assert_same_bits([alone], [together[:, some]])


@pytest.mark.parametrize(("n_in", "n_out"), [(5, 3), (17, 33), (601, 701)])  # the last too large for L2
def test_no_rows(isa, dtype, n_in, n_out, rng):
    delta, kept = np.empty((0, n_out), dtype), np.empty((0, n_in), dtype)
    assert _kernels.delta(delta, draw(rng, (n_out, n_in), dtype), kept, "tanh", isa=isa).shape == (0, n_in)


def test_a_relu_that_is_off_passes_nothing(isa, dtype, rng):
    """f' is exactly 0 at z <= 0, 0 included, and exactly 1 above."""
    delta, W, z_prev, a_prev = operands(rng, (33, 17, 7), dtype, "relu")
    delta_prev = _kernels.delta(delta, W, a_prev, "relu", isa=isa)
    through = _kernels.delta(delta, W, z_prev, "identity", isa=isa)
    assert np.all(delta_prev[z_prev <= 0] == 0)
    assert_same_bits([delta_prev[z_prev > 0]], [through[z_prev > 0]])
