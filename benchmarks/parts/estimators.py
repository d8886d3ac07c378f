"""The parts that time estimators as a user calls them: one row and many, whole fits, the import."""

import subprocess
import sys
import warnings

import numpy as np
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks.agreement import check_close
from benchmarks.nets import Data, Net
from benchmarks.parts.by_net import enter
from fastbp import MLPClassifier

TITLES = {
    "latency": "Probabilities for rows of a NumPy array, 64-100-10, by what a user calls",
    "lbfgs": "L-BFGS, the whole fit (digits, 100 units)",
    "fixed": "Fixed costs",
}
SERVED_ROWS = (1, 10_000)
SERVERS = ("PyTorch", "JAX", "onnxruntime")


def count(session, parts):
    """How many cases `measure` reports."""
    return sum({"latency": len(SERVED_ROWS), "lbfgs": 1, "fixed": 2}[name] for name in TITLES if name in parts)


def measure(session, parts):
    """Yield the records."""
    measures = {"latency": latency, "lbfgs": lbfgs, "fixed": fixed}
    for name in [name for name in TITLES if name in parts]:
        with (
            threadpool_limits(session.n_threads),
            warnings.catch_warnings(action="ignore", category=ConvergenceWarning),
        ):
            yield from measures[name](session)


def latency(session):
    """A fitted classifier, and the same weights in the hands of others; each maps a NumPy array to a NumPy array."""
    net, dtype = Net.parse("64-100-10:200"), np.float32
    data = Data(net, dtype)
    model = MLPClassifier((100,), max_iter=1, random_state=0, dtype="float32", n_threads=session.n_threads)
    model.fit(data.X, data.classes)
    data.coefs, data.intercepts = model.coefs_, model.intercepts_
    calls = {
        "fastbp predictor": model.predictor(),
        "fastbp predict_proba": model.predict_proba,
        "scikit-learn": model.to_sklearn().predict_proba,
    }
    calls = {name: call for name, call in calls.items() if name.partition(" ")[0] in session.names}
    others = enter(net, data, [n for n in SERVERS if n in session.names], session.n_threads, session.note)
    calls |= {name: contestant.serve for name, contestant in others.items()}
    for n in SERVED_ROWS:
        X = np.resize(data.X, (n, net.sizes[0]))
        check_close({name: call(X) for name, call in calls.items()}, f"the probabilities of {n} rows", 1e-3)
        on_X = {name: lambda call=call, X=X: call(X) for name, call in calls.items()}
        yield from session.time(
            "latency", "1 row" if n == 1 else f"{n:,} rows".replace(",", " "), on_X, dtype, session.n_threads, rows=n
        )


def estimators(session):
    """The two classifiers, by the name of the library."""
    classes = {"fastbp": MLPClassifier, "scikit-learn": SklearnMLPClassifier}
    return {name: cls for name, cls in classes.items() if name in session.names}


def whole_fits(session, part, case, X, y, **parameters):
    """The records of `fit`, for estimators that reach the same loss."""

    def fitting(cls):
        bound = {"n_threads": session.n_threads} if cls is MLPClassifier else {}
        return lambda: cls(random_state=0, **parameters, **bound).fit(X, y)

    calls = {name: fitting(cls) for name, cls in estimators(session).items()}
    check_close({name: call().loss_ for name, call in calls.items()}, f"the loss of {case}", 1e-3)
    return session.time(part, case, calls, X.dtype.type, session.n_threads)


def lbfgs(session):
    X, y = load_digits(return_X_y=True)
    yield from whole_fits(session, "lbfgs", "1797 x 64, up to 200 iterations", X / 16, y, solver="lbfgs")


def fixed(session):
    yield from whole_fits(session, "fixed", "fit of 150 x 4, one epoch", *load_iris(return_X_y=True), max_iter=1)

    def importing(module):
        code = f"from {module} import MLPClassifier"
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    modules = {"fastbp": "fastbp", "scikit-learn": "sklearn.neural_network"}
    calls = {name: importing(modules[name]) for name in estimators(session)}
    yield from session.time("fixed", "a new Python that imports MLPClassifier", calls, np.float64, 1)
