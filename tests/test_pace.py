"""The choice of threads, on machines that exist only as a clock."""

import numpy as np
import pytest

from fastbp import _pace
from fastbp._pace import Pace


class Machine:
    """Seconds that a batch takes on so many threads, as a function of the time."""

    def __init__(self, monkeypatch, cost, n_threads, guess):
        self.now, self.cost = 0.0, cost
        monkeypatch.setattr(_pace, "perf_counter", lambda: self.now)
        self.pace = Pace(n_threads, guess)

    def run(self, until):
        """Train up to a time; return the mean seconds of a batch."""
        began, done = self.now, 0
        while self.now < until:
            n_threads, n_batches = self.pace.next()
            assert n_threads in self.pace.counts
            assert n_batches >= 1
            n_run, end = 0, self.now + Pace.LONGEST_STRETCH
            while n_run < n_batches and self.now < end:
                cost = self.cost(n_threads, self.now)
                n = min(n_batches - n_run, max(1, int(1e-3 / cost)))  # the cost is one for a millisecond
                self.now += n * cost
                n_run += n
            done += n_run
            self.pace.done(n_run)
        return (self.now - began) / done


def constant(*costs):
    """The cost on 1, 2, 4 ... threads."""
    return lambda n_threads, _: costs[n_threads.bit_length() - 1]


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("guess", [1, 2, 4])
@pytest.mark.parametrize("costs", [(3, 5, 9), (9, 5, 3), (5, 3, 5)])
def test_the_fastest_count_is_found_and_trials_cost_little(monkeypatch, costs, guess, scale):
    costs = [scale * cost for cost in costs]
    machine = Machine(monkeypatch, constant(*costs), 4, guess)
    machine.run(60)
    assert machine.run(120) < 1.05 * min(costs)


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("costs", [(1, 1.8, 3), (3, 1.6, 1), (1.6, 1, 1.4)])
def test_a_right_guess_stays_right_from_the_start(monkeypatch, costs, scale):
    costs = [scale * cost for cost in costs]
    machine = Machine(monkeypatch, constant(*costs), 4, 2 ** costs.index(min(costs)))
    assert machine.run(300 * scale) < 1.05 * min(costs)


def busy(since, until):
    """Another process has a core for itself: whoever waits for a thread there waits for its turn."""
    return lambda n_threads, now: 1e-4 if n_threads == 1 else 8e-3 if since <= now < until else 0.6e-4


def test_a_core_that_is_busy_costs_little(monkeypatch):
    machine = Machine(monkeypatch, busy(1, 10), 2, 2)
    assert machine.run(1) < 1.05 * 0.6e-4
    assert machine.run(10) < 1.1 * 1e-4


def test_a_core_that_is_free_again_is_used_within_seconds(monkeypatch):
    machine = Machine(monkeypatch, busy(0, 5), 2, 2)
    machine.run(8)
    assert machine.run(12) < 1.05 * 0.6e-4


def test_a_batch_that_is_slow_for_every_count_changes_nothing(monkeypatch):
    machine = Machine(monkeypatch, lambda n_threads, now: (10 if 2 < now < 4 else 1) * 1e-4 / n_threads, 2, 2)
    machine.run(4)
    assert machine.run(20) < 1.05 * 1e-4 / 2


def test_what_the_caller_does_between_stretches_changes_nothing(monkeypatch):
    choices = []
    for pause in (0, 1):
        machine = Machine(monkeypatch, lambda n_threads, _: 1 / 8192 / n_threads, 2, 1)  # exact in binary
        choices.append([])
        for _ in range(2000):
            n_threads, n_batches = machine.pace.next()
            machine.now += n_batches * machine.cost(n_threads, machine.now)
            machine.pace.done(n_batches)
            machine.now += pause
            choices[-1].append((n_threads, n_batches))
    assert choices[0] == choices[1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1e-4, 2e-3, 1e-2])
def test_noise_does_not_decide(monkeypatch, scale, seed):
    """Batches that differ by 30 %, on two threads that are worth a quarter of the time."""
    rng = np.random.RandomState(seed)
    costs = {1: scale, 2: 0.75 * scale}
    machine = Machine(monkeypatch, lambda n_threads, _: costs[n_threads] * np.exp(0.3 * rng.randn()), 2, 2)
    assert machine.run(20) < 1.05 * costs[2] * np.exp(0.3**2 / 2)


def test_ctrl_c_is_never_far(monkeypatch):
    machine = Machine(monkeypatch, constant(1e-5, 0.7e-5), 2, 1)
    for _ in range(1000):
        n_threads, n_batches = machine.pace.next()
        seconds = n_batches * machine.cost(n_threads, machine.now)
        assert seconds < 0.05
        machine.now += seconds
        machine.pace.done(n_batches)
