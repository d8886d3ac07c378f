"""Many small calls in one process: its memory stays flat.

    python tests/soak/run.py [fits, default 100 000] [predictions, default 1 000 000]

Fits nets of all kinds, by fit and partial_fit, on arrays and sparse matrices, by each solver; then predicts single rows
with model.predict and model.predictor(). Prints the resident memory as it goes. The first tenth fills caches and pools;
from there to the end the memory may grow by 2 MiB and 2 bytes a call, where a leak is an object of some 50 bytes.
"""

import gc
import os
import sys
import time
import warnings
from itertools import cycle, islice

import numpy as np
from scipy.sparse import csr_array

from fastbp import MLPClassifier, MLPRegressor

MOST = 2 * 2**20  # bytes that the memory may grow, whatever is done,
MOST_A_CALL = 2  # and for each call
N_LOOKS = 10

X = np.random.RandomState(0).uniform(-1, 1, (30, 5))
y = np.arange(30) % 3
SPARSE = csr_array(X * (X > 0.3))


def half_square(y, raw):
    return ((raw - y) ** 2).sum(axis=1) / 2, raw - y


def fits():
    """Calls that fit a small net, each in another way, without end."""
    small = {"max_iter": 2, "batch_size": 10}
    going_on = MLPClassifier(4, batch_size=10)
    return cycle([
        lambda i: MLPClassifier(4, random_state=i, **small).fit(X, y),
        lambda i: MLPClassifier((5, 3), solver="sgd", dtype="float32", activation="gelu", **small).fit(X, y),
        lambda i: MLPClassifier(20, early_stopping=True, validation_fraction=0.3, **small).fit(X, y),
        lambda i: MLPClassifier(9, dropout=0.5, clip_norm=1.0, ema_decay=0.9, **small).fit(SPARSE, y),
        lambda i: MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", max_iter=2).fit(X, X[:, 0]),
        lambda i: MLPRegressor(hidden_layer_sizes=4, loss=half_square, **small).fit(X, X[:, :2]),
        lambda i: going_on.partial_fit(X, y, classes=[0, 1, 2]),
    ])  # fmt: skip


def predictions():
    """Calls that predict a row, without end."""
    model = MLPClassifier(8, max_iter=2).fit(X, y)
    predictor = model.predictor()
    return cycle([lambda i: model.predict(X[i % 30 : i % 30 + 1]), lambda i: predictor(X[i % 30])])


def resident():
    """Bytes of memory that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(name, calls, n):
    """Make n calls; return what was wrong, if the memory grew after a tenth of them."""
    began, seen, done = time.perf_counter(), [], 0
    for look in range(N_LOOKS):
        for call in islice(calls, n // N_LOOKS):
            call(done)
            done += 1
        gc.collect()
        seen.append(resident())
        minutes = (time.perf_counter() - began) / 60
        print(f"{name} {done}: {seen[-1] / 2**20:.2f} MiB after {minutes:.1f} min", flush=True)
        if look == 0:
            first, counted = seen[0], done
    grown, allowed = seen[-1] - first, MOST + MOST_A_CALL * (done - counted)
    print(f"{name}: grown by {grown / 2**10:.0f} KiB in {done - counted} calls, {allowed / 2**10:.0f} are allowed")
    return [f"{name} grew by {grown} bytes"] if grown > allowed else []


def main(n_fits=100_000, n_predictions=1_000_000):
    warnings.simplefilter("ignore")
    wrong = soak("fits", fits(), n_fits) + soak("predictions", predictions(), n_predictions)
    print("\n".join(wrong) or "flat")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
