"""A program of a user, for mypy: what it reveals of the public API is what the annotations promise. It is not run."""

from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import fastbp
from fastbp import MLPClassifier, MLPRegressor, Predictor, backprop, from_sklearn, inspection
from fastbp import functional as F

X, y = np.zeros((6, 3)), np.array([0, 1, 0, 1, 0, 1])


def enough(epoch: fastbp.Epoch) -> bool:
    return epoch.loss < 0.1


classifier = fastbp.MLPClassifier(
    (20, 10),
    ["gelu", "tanh"],
    solver="adamw",
    alpha=[0.1, 0.1, 0.0],
    learning_rate=lambda step, n_steps: 1.0 - step / n_steps,
    random_state=0,
    class_weight="balanced",
    callbacks=enough,
    n_threads=2,
    dtype="float32",
)
assert_type(classifier, MLPClassifier)
assert_type(classifier.fit(X, y), MLPClassifier)
assert_type(classifier.partial_fit(X, y, classes=[0, 1], X_val=X, y_val=y), MLPClassifier)
assert_type(classifier.predict(X), np.ndarray)
assert_type(classifier.fit(X, y).predict_proba(X), np.ndarray)
assert_type(classifier.transform(X, layer=1), np.ndarray)
assert_type(classifier.input_gradients(X, output=1), np.ndarray)
assert_type(classifier.predictor(), Predictor)

predictor = classifier.predictor()
assert_type(predictor(X[0]), NDArray[np.floating] | np.floating)
assert_type(predictor.n_features_in_, int)

regressor = MLPRegressor(loss="quantile", quantile=[0.1, 0.9]).fit(X, y, sample_weight=np.ones(6))
assert_type(regressor, MLPRegressor)
assert_type(regressor.predict(X), np.ndarray)

passed = backprop(classifier, X, y)
assert_type(passed.dW, list[NDArray | None])
assert_type(passed.loss, float)

assert_type(F.linear_forward(X, np.ones((2, 3))), NDArray)
assert_type(F.linear_backward(np.ones((6, 2)), X, np.ones((2, 3))), tuple[NDArray, NDArray, NDArray])

assert_type(from_sklearn(classifier.to_sklearn()), MLPClassifier | MLPRegressor)
assert_type(fastbp.from_torch(classifier.to_torch(), classes=[0, 1]), MLPClassifier | MLPRegressor)
classifier.save("model.safetensors")
assert_type(fastbp.load(Path("model.safetensors"), callbacks=enough), MLPClassifier | MLPRegressor)
assert_type(classifier.to_c("model.c"), str)

flow = inspection.GradientFlow(X, y)
assert_type(inspection.GradientFlowDisplay.from_recorder(flow, quantity="dW"), inspection.GradientFlowDisplay)
assert_type(inspection.NetworkDisplay([[[1.0]]], [[0.0]]).plot(), inspection.NetworkDisplay)
assert_type(inspection.LossCurveDisplay.from_estimator(regressor), inspection.LossCurveDisplay)

assert_type(fastbp.__version__, str)
fastbp.show_config()

# and it is told of slips
MLPRegressor(n_thread=2)  # type: ignore[call-arg]
MLPClassifier(max_iter="many")  # type: ignore[arg-type]
classifier.fit(X)  # type: ignore[call-arg]
fastbp.load(5)  # type: ignore[arg-type]
backprop(predictor, X, y)  # type: ignore[arg-type]
inspection.LossCurveDisplay.from_estimator(flow)  # type: ignore[arg-type]
predictor.predict(X)  # type: ignore[attr-defined]
