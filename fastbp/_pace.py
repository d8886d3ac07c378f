"""How many threads a batch is worth, found by measuring: the results do not depend on it, only the time."""

from time import perf_counter


class Pace:
    """Chooses the threads of each stretch of batches, from the speed of the stretches before.

    Most stretches run on the count that is fastest so far. Now and then a short one tries the next count below or
    above; a trial that loses makes the next one wait twice as long, so that a bad neighbour (a busy core) costs little.
    """

    STRETCH = 0.02  # seconds between two looks, at most: also how soon Ctrl-C is served
    TRIAL = 0.0005  # seconds that a trial may take, but for its two batches
    LONGEST_WAIT = 2.0  # seconds between trials at most
    WIN = 0.95  # a trial wins if it takes less than this part of the time

    def __init__(self, n_threads, guess):
        self.counts = sorted({min(2**i, n_threads) for i in range(n_threads.bit_length() + 1)})
        self.best = next(i for i, count in enumerate(self.counts) if count >= min(guess, n_threads))
        self.cost = None  # seconds a batch with the best count, smoothed
        self.usual = None  # the same, over a longer time
        self.direction = -1
        self.wait = self.STRETCH
        self.next_trial = 0.0
        self.trial = self.best

    def next(self):
        """Threads and batches of the next stretch."""
        self.started = perf_counter()
        self.trial = self.best
        if self.cost is None:
            return self.counts[self.best], 2
        if self.started >= self.next_trial and len(self.counts) > 1:
            self.direction = -self.direction
            if not 0 <= self.best + self.direction < len(self.counts):
                self.direction = -self.direction
            self.trial = self.best + self.direction
        seconds = self.STRETCH if self.trial == self.best else self.TRIAL
        return self.counts[self.trial], max(2, int(seconds / self.cost))

    def done(self, n_batches):
        """The stretch that `next` began has run so many batches."""
        now = perf_counter()
        cost = (now - self.started) / n_batches
        if self.trial == self.best:
            self._note(cost, now)
        elif cost < self.WIN * self.cost:
            self.best, self.cost, self.usual, self.wait = self.trial, cost, cost, self.STRETCH
            self.next_trial = now + self.wait
        else:
            self.wait = min(2 * self.wait, self.LONGEST_WAIT)
            self.next_trial = now + self.wait

    def _note(self, cost, now):
        """Follow the cost of the best count; when it rises suddenly, look around at once."""
        if self.cost is None:
            self.cost = self.usual = cost
            return
        self.cost += 0.5 * (cost - self.cost)
        self.usual += 0.1 * (cost - self.usual)
        if self.cost > 1.5 * self.usual:
            self.usual, self.wait, self.next_trial = self.cost, self.STRETCH, now
