"""The learning rate of every step, and what a plateau does to it."""

from collections.abc import Callable
from functools import partial
from math import factorial, isfinite

import numpy as np

from fastbp import _kernels


class ConstantRate:
    """The same learning rate in every step, after a linear warm-up of so many steps."""

    name = "constant"

    def __init__(self, initial: float, warmup: float = 0):
        self.initial = float(initial)
        self.warmup = warmup
        self.learning_rate = self.initial

    def rates(self, first_step: int, n_batches: int) -> float | np.ndarray:
        """Return the rates of an epoch that begins with this step (from 0): one, or one a batch."""
        rates = self._rates(first_step, n_batches)
        if first_step >= self.warmup:
            return rates
        steps = np.arange(first_step + 1, first_step + n_batches + 1)
        return rates * np.minimum(steps / self.warmup, 1.0)

    def _rates(self, first_step, n_batches):
        return self.learning_rate

    def epoch_ends(self, n_seen: int):
        """Set the rate of the next epoch, `n_seen` samples after the start of training."""

    def on_plateau(self) -> tuple[bool, str]:
        """Answer a lack of progress: whether to go on, and what to tell the user."""
        return False, "Stopping."

    def describe(self) -> dict:
        """What `schedule` made it of, and where it stands; a function is None."""
        return {"schedule": self.name} | {key: value for key, value in vars(self).items() if key != "factors"}


class InverseScalingRate(ConstantRate):
    """initial / (n_seen + 1)^power."""

    name = "invscaling"

    def __init__(self, initial: float, power: float, warmup: float = 0):
        super().__init__(initial, warmup)
        self.power = power

    def epoch_ends(self, n_seen: int):
        self.learning_rate = self.initial / (n_seen + 1) ** self.power


class AdaptiveRate(ConstantRate):
    """A fifth of the rate at each plateau, until it is negligible."""

    name = "adaptive"
    negligible = 1e-6

    def on_plateau(self) -> tuple[bool, str]:
        if self.learning_rate <= self.negligible:
            return False, "Learning rate too small. Stopping."
        self.learning_rate /= 5
        return True, f"Setting learning rate to {self.learning_rate:f}"


class ScheduledRate(ConstantRate):
    """initial * factors(steps, n_steps), steps from 0; beyond n_steps the last factor holds."""

    def __init__(self, initial: float, factors: Callable, n_steps: int, warmup: float = 0):
        super().__init__(initial, warmup)
        self.factors = factors
        self.n_steps = n_steps

    @property
    def name(self):
        return _NAMES.get(self.factors)

    def _rates(self, first_step, n_batches):
        steps = np.minimum(np.arange(first_step, first_step + n_batches), self.n_steps - 1)
        rates = self.initial * self.factors(steps, self.n_steps)
        self.learning_rate = float(rates[-1])
        return rates


# ---- factors. The trained weights depend on their last bits, which NumPy's cos and log2 take from the machine's libm:
# here are only +, -, *, /, each correctly rounded everywhere, and the kernels' logarithm.

# sin x = x sum_k c_k x^2k; up to pi/2, eleven terms leave out less than 2e-18.
_SINE = [(-1) ** k / factorial(2 * k + 1) for k in range(11)]


def _wave(r):
    """(1 - cos 2 pi r) / 2 = sin^2(pi r), for |r| <= 1/2: from 0 to 1 and back."""
    x = np.pi * r
    squared, sine = x * x, 0.0
    for c in reversed(_SINE):
        sine = sine * squared + c
    sine = sine * x
    return sine * sine


def cosine(steps, n_steps):
    """(1 + cos pi t) / 2, t = step / n_steps: Loshchilov and Hutter, "SGDR", ICLR 2017, one cycle down to 0."""
    return _wave((1 - steps / n_steps) / 2)


def one_cycle(steps, n_steps):
    """From 1/25 up to 1 in the first 30 % of the steps, then down to 1/10000 in the last, both along a cosine.

    Smith and Topin, "Super-convergence", 2018, which warms up to a large rate and ends orders of magnitude below the
    first one; these constants and the cosines are those in common use.
    """
    peak = 0.3 * n_steps - 1  # below 0 with three steps or fewer: then there is no rise
    rising = 1 / 25 + (1 - 1 / 25) * _wave(np.minimum(steps / peak, 1) / 2)
    falling = 1e-4 + (1 - 1e-4) * _wave((1 - (steps - peak) / (n_steps - 1 - peak)) / 2)
    return np.where(steps <= peak, rising, falling)


def coslog4(steps, n_steps):
    """(1 - cos(2 pi log2(1 + 15 t))) / 2, t = step / n_steps: four cycles, each twice as long as the one before.

    Holzmüller, Grinsztajn and Steinwart, "Better by default" (RealMLP), NeurIPS 2024.
    """
    cycles = _kernels.log(1 + 15 * (steps / n_steps)) * 1.4426950408889634  # 1 / ln 2
    return _wave(cycles - np.rint(cycles))


def call_each(function, steps, n_steps):
    """The factors function(step, n_steps), checked."""
    factors = np.array([float(function(int(step), n_steps)) for step in steps])
    for step, factor in zip(steps, factors, strict=True):
        if not (isfinite(factor) and factor >= 0):
            raise ValueError(
                f"learning_rate(step={step}, n_steps={n_steps}) returned {factor}, expected a finite factor >= 0."
            )
    return factors


_FACTORS = {"cosine": cosine, "one_cycle": one_cycle, "coslog4": coslog4}
_NAMES = {factors: name for name, factors in _FACTORS.items()}


def schedule(learning_rate, initial: float, *, n_steps: int, power: float = 0.5, warmup: float = 0):
    """The rate object of a name, or of a callable(step, n_steps) that returns a factor on `initial`.

    `n_steps` are the steps of the whole training; `warmup` counts steps, or is a fraction of these.
    """
    if 0 < warmup < 1:
        warmup = round(warmup * n_steps)
    if learning_rate == "constant":
        return ConstantRate(initial, warmup)
    if learning_rate == "invscaling":
        return InverseScalingRate(initial, power, warmup)
    if learning_rate == "adaptive":
        return AdaptiveRate(initial, warmup)
    factors = partial(call_each, learning_rate) if callable(learning_rate) else _FACTORS[learning_rate]
    return ScheduledRate(initial, factors, n_steps, warmup)
