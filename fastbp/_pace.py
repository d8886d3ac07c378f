"""How many threads a batch is worth, found by measuring: the results do not depend on it, only the time."""

from time import perf_counter


class Pace:
    """Chooses the threads of each stretch of batches, from the speed of the stretches before.

    Most stretches run on the count that is fastest so far. Now and then the next count below or above is tried: one
    batch to wake the threads, then a short stretch that counts. A trial that loses makes the next one wait twice as
    long, so that a bad neighbour (a busy core) costs little.
    """

    STRETCH = 0.02  # seconds between two looks, at most: also how soon Ctrl-C is served
    TRIAL = 0.001  # seconds of a trial
    LONGEST_WAIT = 1.0  # seconds between trials
    WIN = 0.95  # a trial wins if a batch takes less than this part of the time

    def __init__(self, n_threads, guess):
        self.counts = sorted({min(2**i, n_threads) for i in range(n_threads.bit_length() + 1)})
        self.best = next(i for i, count in enumerate(self.counts) if count >= min(guess, n_threads))
        self.cost = None  # seconds a batch on the best count, smoothed
        self.usual = None  # the same, over a longer time
        self.trial = None  # the count on trial, as an index
        self.awake = False  # whether the threads of the trial have run a batch
        self.direction = 1
        self.wait = self.STRETCH
        self.next_trial = perf_counter() + self.wait

    def next(self):
        """Threads and batches of the next stretch."""
        self.started = perf_counter()
        if self.cost is None:
            return self.counts[self.best], 2
        if self.trial is None and self.started >= self.next_trial and len(self.counts) > 1:
            self._begin_trial()
        if self.trial is None:
            return self.counts[self.best], max(1, int(self.STRETCH / self.cost))
        return self.counts[self.trial], max(2, int(self.TRIAL / self.cost)) if self.awake else 1

    def done(self, n_batches):
        """The stretch that `next` began has run so many batches."""
        now = perf_counter()
        cost = (now - self.started) / n_batches
        if self.trial is None:
            self._note(cost, now)
        elif self.awake:
            self._end_trial(cost, now)
        else:
            self.awake = True

    def _begin_trial(self):
        if not 0 <= self.best + self.direction < len(self.counts):
            self.direction = -self.direction
        self.trial, self.awake = self.best + self.direction, False

    def _end_trial(self, cost, now):
        if cost < self.WIN * self.cost:
            self.best, self.cost, self.usual, self.wait = self.trial, cost, cost, self.STRETCH
        else:
            self.direction = -self.direction
            self.wait = min(2 * self.wait, self.LONGEST_WAIT)
        self.trial, self.next_trial = None, now + self.wait

    def _note(self, cost, now):
        """Follow the cost of the best count; when it rises suddenly, look around at once."""
        if self.cost is None:
            self.cost = self.usual = cost
            return
        self.cost += 0.5 * (cost - self.cost)
        self.usual += 0.1 * (cost - self.usual)
        if self.cost > 1.5 * self.usual:
            self.usual, self.wait, self.next_trial = self.cost, self.STRETCH, now
