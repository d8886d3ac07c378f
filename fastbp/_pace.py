"""How many threads a batch is worth, found by measuring: the results do not depend on it, only the time."""

from time import perf_counter


class Pace:
    """Chooses the threads of each stretch of batches, from the speed of the stretches before.

    Most stretches run on the count that is fastest so far. Now and then the next count below or above is tried: one
    batch to wake the threads, then stretches that count, each twice as long as the one before. On a busy core a batch
    can take a thousand times its time, so a trial ends as soon as it has clearly lost; and the more time a trial
    cost, the longer the next one waits.
    """

    STRETCH = 0.02  # seconds that a stretch is meant to take: how soon Ctrl-C is served
    LONGEST_STRETCH = 0.05  # seconds after which it is cut short: a core has become busy
    TRIAL = 0.001  # seconds of a trial, at least, that has not lost before
    ENOUGH = 4  # batches of it, unless they take half a stretch: single ones differ on a shared machine
    LONGEST_WAIT = 1.0  # seconds between trials that cost nothing
    PRICE = 30  # a trial waits for so many times the seconds that the last one lost
    WIN = 0.95  # a trial wins if a batch takes less than this part of the time
    LOSE = 2.0  # and has lost if it takes so many times the time
    RISE = 1.5  # the cost of a batch rises suddenly if it is so many times its usual one

    def __init__(self, n_threads, guess):
        self.counts = sorted({min(2**i, n_threads) for i in range(n_threads.bit_length() + 1)})
        self.best = next(i for i, count in enumerate(self.counts) if count >= min(guess, n_threads))
        self.cost = None  # seconds a batch on the best count, smoothed
        self.usual = None  # the same, over a longer time
        self.trial = None  # the count on trial, as an index
        self.direction = 1
        self.clock = 0.0  # seconds of all stretches: what the caller does between them is no time that a trial cost

    def next(self):
        """Threads and batches of the next stretch."""
        self.started = perf_counter()
        if self.cost is None:
            return self.counts[self.best], 2
        if self.trial is None and self.clock >= self.next_trial and len(self.counts) > 1:
            self._begin_trial()
        if self.trial is None:
            return self.counts[self.best], max(1, int(self.STRETCH / self.cost))
        return self.counts[self.trial], max(1, self.n_tried)

    def done(self, n_batches):
        """The stretch that `next` began has run so many batches."""
        seconds = perf_counter() - self.started
        self.clock += seconds
        if self.trial is None:
            self._note(seconds / n_batches)
        elif not self.awake:
            self.awake = True
        else:
            self.tried += seconds
            self.n_tried += n_batches
            enough = self.n_tried >= self.ENOUGH or self.tried >= self.STRETCH / 2
            if (self.tried >= self.TRIAL and enough) or self.tried > self.LOSE * self.cost * self.n_tried:
                self._end_trial(self.tried / self.n_tried)

    def _begin_trial(self):
        if not 0 <= self.best + self.direction < len(self.counts):
            self.direction = -self.direction
        self.trial, self.trial_began = self.best + self.direction, self.clock
        self.awake, self.tried, self.n_tried = False, 0.0, 0  # seconds and batches that count

    def _end_trial(self, cost):
        if cost < self.WIN * self.cost:
            self.best, self.cost, self.usual, self.wait = self.trial, cost, cost, self.STRETCH
        else:
            lost = self.clock - self.trial_began - self.n_tried * self.cost
            self.direction = -self.direction
            self.wait = max(min(2 * self.wait, self.LONGEST_WAIT), self.PRICE * lost)
        self.trial, self.next_trial = None, self.clock + self.wait

    def _note(self, cost):
        """Follow the cost of the best count; when it rises suddenly, see at once whether fewer threads do better."""
        cost = max(cost, 1e-9)  # a coarse clock may not have moved
        if self.cost is None:
            self.cost = self.usual = cost
            self.wait = max(self.STRETCH, self.PRICE * cost)
            self.next_trial = self.clock + self.wait
            return
        self.cost += 0.5 * (cost - self.cost)
        self.usual += 0.1 * (cost - self.usual)
        if self.cost > self.RISE * self.usual:
            self.usual = self.cost
            if self.best > 0:
                self.direction, self.next_trial = -1, self.clock
