"""One run: nets x precisions x tasks, all contestants and the FMA peak in turn, into one document for JSON."""

import datetime
import platform
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from statistics import median

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.contestants import CONTESTANTS, UnavailableError
from benchmarks.nets import Data
from benchmarks.timer import alternate, repeats_for
from fastbp import _kernels
from fastbp._config import _config

TASKS = ("training", "predict")
PEAK = "FMA peak"
PEAK_SECONDS = (
    0.03  # of one call: starting the threads takes some 0.1 ms, which a call of 1 ms would show as a lower peak
)


class Peak:
    """A loop of independent FMAs on each of `n_threads` cores: the yardstick for the fraction of peak."""

    def __init__(self, dtype, n_threads):
        self.dtype, self.n_threads = dtype, n_threads
        self.pool = ThreadPoolExecutor(n_threads)
        self.n_rounds = 1000 * repeats_for(lambda: _kernels.fma_peak(dtype, 1000), PEAK_SECONDS)
        self.flop = self()

    def __call__(self):
        return sum(self.pool.map(lambda _: _kernels.fma_peak(self.dtype, self.n_rounds), range(self.n_threads)))


def enter(net, data, names, n_threads, note):
    """The contestants that can take part, by name; `note` is told why another one cannot."""
    entered = {}
    for name in names:
        try:
            entered[name] = CONTESTANTS[name](net, data, n_threads)
        except UnavailableError as reason:
            note(f"{name} on {net.label}: {reason}")
    return entered


def check_agreement(entered, net):
    """Refuse to time contestants that do not compute the same thing.

    The changes of the outputs over the first epoch must agree to 1 %; they differ in where Adam's epsilon stands.
    """
    changes = {}
    for name, contestant in entered.items():
        if contestant.predict is not None:
            before = np.array(contestant.predict())
            contestant.epoch()
            changes[name] = contestant.predict() - before
    if not changes:
        return
    reference_name = "NumPy" if "NumPy" in changes else next(iter(changes))
    reference = changes[reference_name]
    for name, change in changes.items():
        error = np.linalg.norm(change - reference) / np.linalg.norm(reference)
        if not error < 0.01:
            raise RuntimeError(
                f"{name} and {reference_name} do not train the same net on {net.label}: the changes of their outputs "
                f"over one epoch differ by {error:.1%}, expected at most 1 %. Find out why before timing them."
            )


def measure(net, dtype, names, tasks, n_threads, seconds, progress, note):
    """Yield a record for each contestant and task on one net in one precision."""
    data = Data(net, dtype)
    progress(net, dtype, "preparing")
    entered = enter(net, data, names, n_threads, note)
    check_agreement(entered, net)
    peak = Peak(dtype, n_threads)
    for task in tasks:
        per_call = net.n_batches if task == "training" else 1
        calls = {name: c.epoch if task == "training" else c.predict for name, c in entered.items()}
        calls = {name: call for name, call in calls.items() if call is not None} | {PEAK: peak}
        times = alternate(calls, seconds, lambda round, task=task: progress(net, dtype, f"{task}, round {round + 1}"))
        for name, samples in times.items():
            steps, flop = (1, peak.flop) if name == PEAK else (per_call, net.flop(task))
            yield {
                "net": net.label,
                "batch": net.batch,
                "dtype": np.dtype(dtype).name,
                "task": task,
                "contestant": name,
                "flop": flop,
                "seconds": [float(f"{t / steps:.4g}") for t in samples],
                "median": float(f"{median(samples) / steps:.4g}"),
            }
    peak.pool.shutdown()


def one_core_peak(dtype, seconds):
    """FLOP a second of one core."""
    peak = Peak(dtype, 1)
    return peak.flop / min(alternate({PEAK: peak}, seconds)[PEAK])


def package_version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe(command, n_threads, seconds):
    """Everything that a reader needs to judge the numbers or to repeat them."""
    libraries = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    blas = {f"{lib['internal_api']} {lib['version']} ({lib.get('architecture')})" for lib in libraries}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "n_threads": n_threads,
        "seconds_per_contestant": seconds,
        "machine": _config() | {"kernel": platform.release(), "BLAS of NumPy and SciPy": ", ".join(sorted(blas))},
        "versions": {name: package_version(name) for name in ("fastbp", "numpy", "scipy", "scikit-learn", "torch")},
        "contestants": {name: cls.what for name, cls in CONTESTANTS.items()},
    }


def run(nets, dtypes, tasks, names, n_threads, seconds, command, progress, report):
    """Measure everything; `progress` is told what goes on, `report` gets the records of each net as they are ready."""
    document = describe(command, n_threads, seconds) | {"not_measured": [], "results": []}
    with threadpool_limits(n_threads):
        document["peak_of_one_core"] = {np.dtype(dtype).name: one_core_peak(dtype, seconds / 4) for dtype in dtypes}
        for dtype in dtypes:
            for net in nets:
                note = document["not_measured"].append
                records = list(measure(net, dtype, names, tasks, n_threads, seconds, progress, note))
                document["results"] += records
                report(records)
    document["not_measured"] = list(dict.fromkeys(document["not_measured"]))
    return document
