"""What the processes of test_processes.py do, in a module that they find by its name."""

import joblib
import numpy as np

from fastbp import MLPClassifier

X = np.random.RandomState(0).uniform(-1, 1, (400, 20))
y = (X[:, 0] > X[:, 1]).astype(int)


def new(seed=0, **settings):
    settings = {"hidden_layer_sizes": (64, 64), "max_iter": 2, "batch_size": 400, "n_threads": 2, **settings}
    return MLPClassifier(random_state=seed, **settings)


def trained(seed=0):
    """Bytes of what a fit gives, wherever it runs."""
    return new(seed).fit(X, y).predict_proba(X).tobytes()


def trained_within(seed=0):
    """The same from threads of joblib within the process."""
    return joblib.Parallel(2, backend="threading")(joblib.delayed(trained)(seed) for _ in range(2))
