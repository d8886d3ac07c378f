"""What the parts of a run share: its settings, the timing of a case, and the list of what is not measured."""

from dataclasses import dataclass, field
from statistics import median

import numpy as np

from benchmarks.contestants import CONTESTANTS
from benchmarks.peak import PEAK, peak_of
from benchmarks.timer import alternate


@dataclass
class Session:
    """The settings of a run; `nets` None stands for those of each part, `progress` is told what goes on."""

    n_threads: int
    seconds: float
    dtypes: tuple
    progress: object
    nets: list | None = None
    names: tuple = tuple(CONTESTANTS)
    absent: dict = field(default_factory=dict)

    def note(self, contestant, reason, case):
        """Someone does not take part in a case."""
        self.absent.setdefault((contestant, reason), {})[case] = True

    def time(self, part, case, calls, dtype, n_threads, flop=None, per_call=1, **more):
        """Time `calls` in turn; a record of each, with `flop` and the seconds of one of the `per_call` steps of a call.

        Where there are FLOP to count, the loop of FMAs is timed in the same rounds. `more` goes into each record.
        """
        if not calls:
            return self.progress.report([])
        counts = dict.fromkeys(calls, (flop, per_call))
        if flop is not None:
            peak = peak_of(dtype, n_threads)
            calls, counts[PEAK] = calls | {PEAK: peak}, (peak.flop, 1)
        self.progress.status(case, "warming up")
        times = alternate(calls, self.seconds, lambda round: self.progress.status(case, f"round {round + 1}"))
        head = {"part": part, "case": case, "dtype": np.dtype(dtype).name, "n_threads": n_threads} | more
        records = []
        for name, samples in times.items():
            flop, steps = counts[name]
            seconds = [float(f"{t / steps:.4g}") for t in samples]
            times_of_one = {"median": float(f"{median(samples) / steps:.4g}"), "seconds": seconds}
            records.append(head | {"contestant": name, "flop": flop} | times_of_one)
        return self.progress.report(records)

    def not_measured(self):
        """Sentences for the reader; only a reason that holds for few cases names them."""
        return [
            f"{contestant}: {reason}" + (f" ({'; '.join(cases)})" if len(cases) <= 3 else "")
            for (contestant, reason), cases in self.absent.items()
        ]
