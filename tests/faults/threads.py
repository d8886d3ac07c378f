"""Threads and processes at length: a thousand fits in a forked pool, and what sharing processors costs.

    python tests/faults/threads.py

Ends with 1 if the pool stands still for a minute, if a fit gives other bits than alone, or if fits under some limit on
threads, or side by side, take more than three times as long as one after the other on one thread.
"""

import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np

from fastbp import MLPClassifier

X = np.random.RandomState(0).uniform(-1, 1, (1000, 64))
y = (X[:, 0] > X[:, 1]).astype(int)
SHORT, LONG = {"hidden_layer_sizes": (64, 64), "max_iter": 2}, {"hidden_layer_sizes": (100, 100), "max_iter": 60}


def fit(seed, n_threads=None, settings=LONG):
    warnings.simplefilter("ignore")
    model = MLPClassifier(random_state=seed, batch_size=500, n_threads=n_threads, **settings)
    return model.fit(X, y).predict_proba(X).tobytes()


def short_fit(seed):
    return fit(seed % 4, 2, SHORT)


def thousand_fits(n=1000):
    """In a pool forked after OpenMP ran."""
    expected = [short_fit(seed) for seed in range(4)]
    began = time.perf_counter()
    with multiprocessing.get_context("fork").Pool(4) as pool:
        results = pool.imap(short_fit, range(n))
        same = [results.next(timeout=60) == expected[seed % 4] for seed in range(n)]
    print(f"{n} fits in a forked pool: {time.perf_counter() - began:.1f} s, {sum(same)} right", flush=True)
    return [] if all(same) else ["fits in a forked pool give other bits"]


def seconds(work):
    began = time.perf_counter()
    results = work()
    return time.perf_counter() - began, results


def in_threads(n, n_threads=None):
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda seed: fit(seed, n_threads), range(8)))


def by_joblib(backend):
    return joblib.Parallel(4, backend=backend)(joblib.delayed(fit)(seed) for seed in range(8))


def nested(seed):
    return joblib.Parallel(2, backend="threading")(joblib.delayed(fit)(seed + i) for i in range(2))


def nested_joblib():
    pairs = joblib.Parallel(2, backend="loky")(joblib.delayed(nested)(2 * i) for i in range(4))
    return [result for pair in pairs for result in pair]


WAYS = {
    "one after the other": lambda: [fit(seed) for seed in range(8)],
    "4 threads each": lambda: [fit(seed, 4) for seed in range(8)],
    "8 threads of Python": lambda: in_threads(8),
    "8 threads of Python, 4 threads each": lambda: in_threads(8, 4),
    "joblib's threads": lambda: by_joblib("threading"),
    "joblib's processes": lambda: by_joblib("loky"),
    "joblib's threads in joblib's processes": nested_joblib,
}


def costs():
    """Eight fits in each way, against one after the other on one thread."""
    wrong, rounds = [], 3
    joblib.Parallel(4)(joblib.delayed(fit)(seed) for seed in range(4))  # the processes have started
    for name, way in WAYS.items():
        ratios = []
        for _ in range(rounds):
            serial, expected = seconds(lambda: [fit(seed, 1) for seed in range(8)])
            taken, results = seconds(way)
            ratios.append(taken / serial)
            if results != expected:
                wrong.append(f"{name}: other bits")
        print(f"{name}: {', '.join(f'{ratio:.2f}' for ratio in ratios)} times as long", flush=True)
        if min(ratios) > 3:
            wrong.append(f"{name}: {min(ratios):.1f} times as long")
    return wrong


def on_one_processor():
    """The same where the affinity mask has one processor."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    return costs()


def main():
    if sys.argv[1:] == ["one"]:
        wrong = on_one_processor()
    else:
        wrong = thousand_fits() + costs()
        print("on one processor:", flush=True)
        wrong += (
            ["on one processor"] if subprocess.run([sys.executable, __file__, "one"], check=False).returncode else []
        )
    print("\n".join(wrong) or "none is wrong or slow")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
