"""Measures how soon Ctrl-C ends long work: the promise is 200 ms.

    python tests/faults/interrupts.py [seconds before Ctrl-C, default 0.35 0.6 1.0 1.37 1.71]

For each kind of work prints the greatest latency: on the clock, which counts on a machine that does nothing else, and
in processor time of the main thread (on several threads this includes waiting for the others). Ends with 1 if one is
over 200 ms on the clock. "raises" is Ctrl-C before the training itself, in the checks of its arguments.
"""

import os
import signal
import sys
import threading
import time
import warnings

import numpy as np

from fastbp import MLPClassifier, MLPRegressor

PROMISE = 0.2
ENDLESS = {"max_iter": 10**6, "tol": 0, "n_iter_no_change": np.inf, "random_state": 0}

rng = np.random.RandomState(0)
X = rng.standard_normal((12000, 1024)).astype(np.float32)
y = rng.randint(10, size=len(X))
LONG = rng.standard_normal((1_000_000, 16)).astype(np.float32)
long_y = (LONG[:, 0] > 0).astype(int)


def half_square(y, raw):
    return ((raw - y) ** 2).sum(axis=1) / 2, raw - y


def wide(**more):
    return MLPClassifier((1024, 1024), batch_size=len(X), **ENDLESS | more)


def works():
    """Names and what to interrupt; all of it would take minutes."""
    wide_model = MLPClassifier((300, 300), max_iter=1).fit(LONG[:1000], long_y[:1000])
    predictor = wide_model.predictor()
    many = np.concatenate([LONG, LONG])
    return {
        "a batch of 12 000 rows, 1024-1024-1024-10": lambda: wide().fit(X, y),
        "the same on one thread": lambda: wide(n_threads=1).fit(X, y),
        "the same, clipped by its norm": lambda: wide(clip_norm=1.0).fit(X, y),
        "the same, float64": lambda: wide(dtype="float64").fit(X, y),
        "L-BFGS on 12 000 rows of it": lambda: wide(solver="lbfgs", max_fun=10**6).fit(X, y),
        "an epoch of 16-8-2, batches of 8": lambda: MLPClassifier(8, batch_size=8, **ENDLESS).fit(LONG, long_y),
        "a custom loss, batches of 200": lambda: MLPRegressor(half_square, 8, **ENDLESS).fit(LONG, LONG[:, 0]),
        "a custom loss, one batch": lambda: MLPRegressor(half_square, (300, 300), batch_size=len(LONG), **ENDLESS).fit(
            LONG, LONG[:, 0]
        ),
        "early stopping's validation": lambda: MLPClassifier((300, 300), early_stopping=True, **ENDLESS).fit(
            X[:100, :16], y[:100], X_val=many, y_val=np.tile(long_y, 2)
        ),
        "predict, 2 million rows": lambda: wide_model.predict(many),
        "predictor, 2 million rows": lambda: predictor(many),
        "input_gradients": lambda: wide_model.input_gradients(LONG),
    }


def latency(work, after):
    """Seconds on the clock and of this thread from Ctrl-C until `work` has ended, and how it ended."""
    clock = time.pthread_getcpuclockid(threading.get_ident())
    sent = []

    def interrupt():
        time.sleep(after)
        sent.extend((time.perf_counter(), time.clock_gettime(clock)))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    how = "too early"
    try:
        work()
        how = "returns" if sent else how
        ended = time.perf_counter(), time.clock_gettime(clock)
        thread.join()
    except KeyboardInterrupt:
        ended = time.perf_counter(), time.clock_gettime(clock)
        how = "raises"
    thread.join()
    return ended[0] - sent[0], ended[1] - sent[1], how


def main():
    warnings.simplefilter("ignore")
    delays = [float(delay) for delay in sys.argv[1:]] or [0.35, 0.6, 1.0, 1.37, 1.71]
    worst = 0.0
    for name, work in works().items():
        measured = [latency(work, delay) for delay in delays]
        clock, processor = (max(column) for column in list(zip(*measured, strict=True))[:2])
        worst = max(worst, clock)
        outcomes = ", ".join(sorted({how for *_, how in measured}))
        print(f"{name}: {1e3 * clock:.0f} ms, {1e3 * processor:.0f} ms of the processor; {outcomes}", flush=True)
    return 1 if worst > PROMISE else 0


if __name__ == "__main__":
    sys.exit(main())
