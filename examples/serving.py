"""
Serving single rows
===================

A service gets its rows one at a time and must answer each of them quickly. The methods of an
estimator check their input thoroughly, which takes far longer than one row's arithmetic;
``model.predictor()`` is the same network without the ceremony.
"""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier as Original

from fastbp import MLPClassifier

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
settings = {"hidden_layer_sizes": (100,), "max_iter": 10, "n_iter_no_change": 10, "random_state": 0}
model = MLPClassifier(**settings).fit(X, y)
original = Original(**settings).fit(X, y)
predictor = model.predictor()
print(predictor)

# %%
# One row in, one row of probabilities out, to the last bit those of the model:

probabilities = predictor(X[0])
print(predictor.classes_[probabilities.argmax()], bool((probabilities == model.predict_proba(X[:1])[0]).all()))

# %%
# The time of each of some thousand calls:


def times(call, rows):
    """Microseconds of each call."""
    measured = []
    for row in rows:
        start = time.perf_counter_ns()
        call(row)
        measured.append((time.perf_counter_ns() - start) / 1000)
    return np.array(measured)


calls = {
    "fastbp, predictor": (predictor, X),
    "fastbp, predict_proba": (model.predict_proba, X[:, None]),
    "scikit-learn, predict_proba": (original.predict_proba, X[:, None]),
}
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, (call, rows) in calls.items():
    measured = times(call, rows)
    print(f"{name:28} median {np.median(measured):7.1f} µs, 99 % below {np.quantile(measured, 0.99):7.1f} µs")
    axes.hist(measured, bins=np.geomspace(1, 2000, 120), alpha=0.7, label=name)
axes.set(xscale="log", xlabel="microseconds of a call", ylabel="calls", title="One row")
axes.legend()
plt.show()

# %%
# A predictor does not change, so threads may share it; and it can be pickled, to be sent to the
# machine that serves.

served = pickle.loads(pickle.dumps(predictor))
with ThreadPoolExecutor(4) as pool:
    answers = np.array(list(pool.map(served, X[:200])))
print("threads and pickle change nothing:", bool((answers == predictor(X[:200])).all()))
