"""Write a model of each estimator in the present version of the file format, and the numbers that it must go on giving.

    python tests/data/write.py

Run it when the version in fastbp/_file.py changes, and commit what it writes beside what earlier versions wrote:
tests/test_save.py reads all of it.
"""

import json
from pathlib import Path

import numpy as np

from fastbp import MLPClassifier, MLPRegressor
from fastbp._file import MAJOR, MINOR

HERE = Path(__file__).parent


def models(X):
    """Two models with much that can be in a file."""
    classifier = MLPClassifier(
        (5, 4), activation=["tanh", "relu"], solver="sgd", learning_rate="adaptive", alpha=[0.1, 0, 1],
        n_iter_no_change=2, max_iter=20, class_weight={"a": 2.0}, random_state=np.random.RandomState(0),
    )  # fmt: skip
    yield classifier.fit(X, np.array(["a", "b", "ß"])[np.digitize(X[:, 0], [-0.5, 0.5])])
    regressor = MLPRegressor(
        "quantile", (5,), activation="gelu", solver="schedule_free", learning_rate="cosine", warmup=3, dropout=0.1,
        quantile=[0.1, 0.5, 0.9], dtype="float32", max_iter=20, random_state=0,
    )  # fmt: skip
    yield regressor.fit(X, X[:, 0] - X[:, 1])


def numbers(model, X):
    """What the model says, and what training goes on with."""
    is_classifier = isinstance(model, MLPClassifier)
    outputs, predictions = (model.predict_proba if is_classifier else model.predict)(X), model.predict(X)
    found = {"outputs": outputs.tolist(), "predictions": predictions.tolist(), "loss_curve_": model.loss_curve_}
    model.partial_fit(X, predictions if is_classifier else predictions[:, 1])
    return found | {"next_loss": model.loss_, "next_weights": [coef.tolist() for coef in model.coefs_]}


if __name__ == "__main__":
    version = f"{MAJOR}.{MINOR}"
    X = np.random.RandomState(0).standard_normal((30, 3))
    expected = {"X": X.tolist()}
    for model in models(X):
        name = type(model).__name__
        model.save(HERE / f"{name}-{version}.safetensors")
        expected[name] = numbers(model, X)
    (HERE / f"numbers-{version}.json").write_text(json.dumps(expected))
