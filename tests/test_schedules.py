"""The learning rate of each step, against its formula in Python's math and against PyTorch's schedulers."""

import math
import pickle

import numpy as np
import pytest

from fastbp._schedules import AdaptiveRate, ConstantRate, InverseScalingRate, ScheduledRate, cosine, schedule

STEPPED = ["cosine", "one_cycle", "coslog4"]


def all_steps(rate, n_steps, epoch=7):
    """The rates of steps 0 to n_steps - 1, asked for epoch by epoch."""
    parts = [rate.rates(first, min(epoch, n_steps - first)) for first in range(0, n_steps, epoch)]
    return np.concatenate(parts)


def halving(step, n_steps):
    return 0.5 ** (4 * step // n_steps)


# ---- by the epoch, as in scikit-learn


def test_constant_rate():
    rate = ConstantRate(0.5)
    rate.epoch_ends(100)
    assert rate.learning_rate == 0.5
    assert rate.on_plateau() == (False, "Stopping.")


def test_inverse_scaling_rate():
    rate = InverseScalingRate(0.5, power=0.25)
    assert rate.learning_rate == 0.5
    rate.epoch_ends(15)
    assert rate.learning_rate == 0.25
    assert not rate.on_plateau()[0]


def test_adaptive_rate_shrinks_until_it_is_negligible():
    rate = AdaptiveRate(5e-6)
    assert rate.on_plateau() == (True, "Setting learning rate to 0.000001")
    assert rate.learning_rate == pytest.approx(1e-6)
    rate.learning_rate = 1e-6
    assert rate.on_plateau() == (False, "Learning rate too small. Stopping.")


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive"])
def test_without_warm_up_these_are_plain_numbers(name):
    assert type(schedule(name, 0.1, n_steps=50).rates(0, 10)) is float


# ---- by the step


def closed_form(name, step, n_steps):
    t = step / n_steps
    if name == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    if name == "coslog4":
        return 0.5 - 0.5 * math.cos(2 * math.pi * math.log2(1 + 15 * t))
    peak = 0.3 * n_steps - 1
    if step <= peak:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / peak)) / 2
    return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (step - peak) / (n_steps - 1 - peak))) / 2


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4, 10, 365, 1000])
@pytest.mark.parametrize("name", STEPPED)
def test_closed_form(name, n_steps):
    got = all_steps(schedule(name, 0.3, n_steps=n_steps), n_steps)
    expected = [0.3 * closed_form(name, step, n_steps) for step in range(n_steps)]
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)


def test_callable():
    got = all_steps(schedule(halving, 0.3, n_steps=20), 20)
    assert np.array_equal(got, np.repeat([0.3, 0.15, 0.075, 0.0375], 5))


@pytest.mark.parametrize(
    ("name", "extremes"),
    [("cosine", {0: 1.0}), ("one_cycle", {0: 0.04, 29: 1.0, 99: 1e-4}), ("coslog4", {0: 0.0})],
)
def test_extremes_are_exact(name, extremes):
    rates = all_steps(schedule(name, 1.0, n_steps=100), 100)
    assert {step: rates[step] for step in extremes} == pytest.approx(extremes, rel=1e-15)
    assert rates.min() >= 0
    assert rates.max() <= 1


def test_coslog4_has_four_cycles_each_twice_as_long_as_the_one_before():
    rates = all_steps(schedule("coslog4", 1.0, n_steps=150), 150)
    valleys = [step for step in range(1, 149) if rates[step] < min(rates[step - 1], rates[step + 1])]
    assert valleys == [10, 30, 70]
    assert rates[valleys] == pytest.approx(0, abs=1e-28)


@pytest.mark.parametrize("name", [*STEPPED, halving])
def test_the_last_rate_holds(name):
    rate = schedule(name, 0.3, n_steps=20)
    last = rate.rates(19, 1)
    assert np.array_equal(rate.rates(15, 10)[4:], np.repeat(last, 6))
    assert np.array_equal(rate.rates(1000, 2), np.repeat(last, 2))
    assert rate.learning_rate == last


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    schedulers = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    if name == "cosine":
        theirs = schedulers.CosineAnnealingLR(optimizer, T_max=40)
    else:  # its last rate is a fraction of its first one, which is a 25th of the highest
        theirs = schedulers.OneCycleLR(optimizer, max_lr=0.3, total_steps=40, final_div_factor=1e4 / 25)
    expected = []
    for step in range(40):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 39:
            theirs.step()
    np.testing.assert_allclose(all_steps(schedule(name, 0.3, n_steps=40), 40), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("cosine", "0x1.ed1fc09408222p-1"),
        ("one_cycle", "0x1.8d6287fafc06bp-2"),
        ("coslog4", "0x1.ffa41e880ecefp-1"),
    ],
)
def test_every_machine_gets_the_same_bits(name, bits):
    assert schedule(name, 1.0, n_steps=1000).rates(123, 1)[0].hex() == bits


@pytest.mark.parametrize("returned", [-0.1, math.nan, math.inf])
def test_a_factor_that_is_none(returned):
    rate = schedule(lambda step, n_steps: 1.0 if step < 3 else returned, 0.1, n_steps=10)
    rate.rates(0, 3)
    with pytest.raises(ValueError, match=r"learning_rate\(step=3, n_steps=10\) returned .* expected a finite factor"):
        rate.rates(0, 5)


# ---- warm-up


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive", *STEPPED, halving])
def test_warm_up_is_a_factor_on_any_of_them(name):
    plain, warmed = schedule(name, 0.3, n_steps=40), schedule(name, 0.3, n_steps=40, warmup=10)
    got = np.concatenate([np.broadcast_to(warmed.rates(first, 8), 8) for first in range(0, 40, 8)])
    expected = np.concatenate([np.broadcast_to(plain.rates(first, 8), 8) for first in range(0, 40, 8)])
    np.testing.assert_allclose(got[:10], expected[:10] * np.arange(1, 11) / 10)
    assert np.array_equal(got[10:], expected[10:])


def test_warm_up_as_a_fraction_of_all_steps():
    assert schedule("cosine", 0.3, n_steps=200, warmup=0.05).warmup == 10
    assert schedule("cosine", 0.3, n_steps=200, warmup=1).warmup == 1


def test_after_the_warm_up_a_constant_is_a_plain_number_again():
    rate = schedule("constant", 0.1, n_steps=50, warmup=10)
    assert rate.rates(5, 10)[-1] == 0.1
    assert type(rate.rates(10, 10)) is float


def test_a_plateau_during_warm_up():
    rate = schedule("adaptive", 0.1, n_steps=50, warmup=10)
    rate.on_plateau()
    np.testing.assert_allclose(rate.rates(4, 2), [0.02 * 0.5, 0.02 * 0.6])


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive", *STEPPED, halving])
def test_it_can_be_pickled(name):
    rate = schedule(name, 0.3, n_steps=40, warmup=0.1)
    assert np.array_equal(pickle.loads(pickle.dumps(rate)).rates(2, 9), rate.rates(2, 9))


def test_scheduled_rate_takes_any_factors():
    assert ScheduledRate(2.0, cosine, n_steps=4).rates(2, 1) == pytest.approx(1.0, rel=1e-15)
