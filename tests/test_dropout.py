"""Dropout: a mask that is a hash of (seed, layer, step, row, unit), and the scale of what it keeps."""

import numpy as np
import pytest
from conftest import SIZES, assert_same_bits, draw

from fastbp import _kernels

RATES = (0.1, 0.5, 0.9)
rates = pytest.mark.parametrize("rate", RATES)

# 1 where a unit of 20 is dropped at rate 1/2: four rows with seed 42, layer 1, step 1; then the first row of others.
ROWS = ["01000001011011011111", "01010111001110111000", "11011110111001001001", "10101101101100000110"]
ELSEWHERE = {  # (seed, layer, step)
    (42, 1, 2): "11010000010010000110",
    (42, 2, 1): "11011001100010001011",
    (43, 1, 1): "01010001000011110111",
    (2**64 - 1, 0, 2**40): "01001111001101100101",
}


def dropped(n, n_units, rate, seed=1, layer=1, step=1, first=0, dtype=np.float32, isa=None):
    """Where the mask of so many rows and units is zero."""
    return _kernels.dropout(np.ones((n, n_units), dtype), rate, seed, layer, step, first, isa) == 0


def assert_rate(share, rate, n):
    """Within 5 standard deviations of a mean of n draws."""
    assert np.all(np.abs(share - rate) <= 5 * np.sqrt(rate * (1 - rate) / n))


def assert_unrelated(a, b, rate):
    """The correlation of two masks is that of independent draws: within 5 of its standard deviations, 1 / sqrt(n)."""
    correlation = np.mean((a - rate) * (b - rate)) / (rate * (1 - rate))
    assert abs(correlation) <= 5 / np.sqrt(a.size)


# --- the kernel


@rates
@pytest.mark.parametrize("n_units", SIZES)
def test_units_are_zero_or_scaled(isa, dtype, n_units, rate, rng):
    x = draw(rng, (33, n_units), dtype) + dtype(2)
    y = _kernels.dropout(x, rate, seed=5, layer=2, step=9, isa=isa)
    assert y.dtype == dtype
    zero = dropped(33, n_units, rate, seed=5, layer=2, step=9)  # float32 and float64 share the mask
    assert_same_bits([y], [np.where(zero, dtype(0), x * dtype(1 / (1 - rate)))])
    assert_same_bits([y], [_kernels.dropout(x, rate, seed=5, layer=2, step=9, isa="baseline")])


def test_the_mask_is_the_committed_one(isa, dtype):
    """One seed, one mask, for good."""

    def digits(rows):
        return ["".join(map(str, row)) for row in rows.astype(int)]

    assert digits(dropped(4, 20, 0.5, 42, 1, 1, dtype=dtype, isa=isa)) == ROWS
    for settings, expected in ELSEWHERE.items():
        assert digits(dropped(1, 20, 0.5, *settings, dtype=dtype, isa=isa)) == [expected]


def test_a_rate_of_zero_keeps_all(isa, dtype, rng):
    x = draw(rng, (17, 33), dtype)
    assert_same_bits([_kernels.dropout(x, 0.0, 1, 1, 1, isa=isa)], [x])


@rates
@pytest.mark.parametrize("cuts", [[1], [16], [3, 4, 96]], ids=str)
def test_rows_do_not_depend_on_where_a_shard_begins(isa, dtype, rate, cuts, rng):
    x = draw(rng, (100, 33), dtype)
    shards = zip(np.split(x, cuts), [0, *cuts], strict=True)
    parts = [_kernels.dropout(part, rate, 3, 1, 7, first, isa) for part, first in shards]
    assert_same_bits([np.concatenate(parts)], [_kernels.dropout(x, rate, 3, 1, 7, isa=isa)])


# --- the mask, as a draw


@rates
def test_the_rate_is_met_overall_by_row_and_by_unit(rate):
    zero = dropped(2000, 500, rate)
    assert_rate(zero.mean(), rate, zero.size)
    assert_rate(zero.mean(axis=0), rate, 2000)
    assert_rate(zero.mean(axis=1), rate, 500)


@rates
def test_the_rate_is_met_in_every_step_layer_and_seed(rate):
    for which in ("step", "layer", "seed"):
        share = np.array([dropped(1, 1000, rate, **{which: i}).mean() for i in range(500)])
        assert_rate(share, rate, 1000)
        assert_rate(share.mean(), rate, 500_000)


@rates
def test_neighbours_are_unrelated(rate):
    zero = dropped(1000, 512, rate).astype(float)
    for gap in (1, 2, 3, 4, 8, 16, 64, 256):
        assert_unrelated(zero[:, gap:], zero[:, :-gap], rate)  # units
        assert_unrelated(zero[gap:], zero[:-gap], rate)  # rows
        assert_unrelated(zero[gap:, gap:], zero[:-gap, :-gap], rate)


@rates
@pytest.mark.parametrize("which", ["step", "layer", "seed"])
def test_steps_layers_and_seeds_are_unrelated(which, rate):
    masks = [
        dropped(200, 100, rate, **{which: i}).astype(float) for i in (0, 1, 2, 3, 4, 16, 1000, 2**31, 2**32, 2**63)
    ]
    for i, mask in enumerate(masks):
        for other in masks[:i]:
            assert_unrelated(mask, other, rate)


def test_counts_scatter_as_binomial_draws_do():
    """Neither too even nor too uneven: the variance of the zeros in a row, and in a unit, is n rate (1 - rate)."""
    zero = dropped(4000, 400, 0.5)
    for counts, n in ((zero.sum(axis=1), 400), (zero.sum(axis=0), 4000)):
        ratio = counts.var() / (n * 0.25)
        assert abs(ratio - 1) <= 5 * np.sqrt(2 / len(counts))
