"""Fitted networks of every kind of output and every activation, for the tests of their forms in other languages."""

import warnings
from functools import cache

import numpy as np
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp._options import HIDDEN_ACTIVATIONS

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = 2 * StandardScaler().fit_transform(IRIS)  # so that units saturate
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
MANY, LABELS = make_multilabel_classification(n_samples=60, n_features=6, random_state=0)
TABLE = np.column_stack([SPECIES, IRIS[:, 0] ** 2, -SPECIES])

CASES = {
    "two classes": ("MLPClassifier", {}, IRIS[50:], SPECIES[50:] * 7 - 8),
    "three classes": ("MLPClassifier", {}, IRIS, NAMES),
    "one class": ("MLPClassifier", {}, IRIS[:50], SPECIES[:50] + 5),
    "true or false": ("MLPClassifier", {"loss": "focal"}, IRIS, SPECIES == 1),
    "logistic outputs": ("MLPClassifier", {"loss": "squared_error"}, IRIS, SPECIES.astype(float)),
    "custom loss": ("MLPClassifier", {"loss": lambda y, raw: (raw.sum(axis=1), np.ones_like(raw))}, IRIS, NAMES),
    "labels": ("MLPClassifier", {}, MANY, LABELS),
    "real": ("MLPRegressor", {}, IRIS, SPECIES),
    "several": ("MLPRegressor", {"loss": "huber"}, IRIS, TABLE),
    "poisson": ("MLPRegressor", {"loss": "poisson"}, IRIS, TABLE[:, :2]),
    "gamma": ("MLPRegressor", {"loss": "gamma"}, IRIS, TABLE[:, 1] + 0.1),
    "quantiles": ("MLPRegressor", {"loss": "quantile", "quantile": [0.1, 0.2, 0.5, 0.6, 0.9]}, IRIS, SPECIES),
    "linear": ("MLPRegressor", {"hidden_layer_sizes": ()}, IRIS, TABLE),
    "linear classes": ("MLPClassifier", {"hidden_layer_sizes": ()}, IRIS, NAMES),
    "averaged": ("MLPClassifier", {"ema_decay": 0.9, "dropout": 0.2, "input_dropout": 0.1}, IRIS, NAMES),
}
ACTIVATIONS = {f: ("MLPClassifier", {"activation": [f, f, "tanh"]}, IRIS, NAMES) for f in HIDDEN_ACTIVATIONS}
GRID = np.concatenate([[0], np.geomspace(1e-3, 90, 60)])
GRID = np.concatenate([-GRID, GRID])[:, None]
ALONE = {
    f"{f} alone": ("MLPRegressor", {"activation": f, "hidden_layer_sizes": 1}, GRID, GRID[:, 0]) for f in ACTIVATIONS
}
ALL = {**CASES, **ACTIVATIONS, **ALONE}


@cache
def fitted(case, dtype):
    """A model and its X, in this precision; a few steps from its random weights, so that predictions are anything.

    The network of an activation alone predicts f(x).
    """
    name, parameters, X, y = ALL[case]
    X = X.astype(dtype)
    settings = {"hidden_layer_sizes": (9, 5, 7), "learning_rate_init": 0.02, "max_iter": 4, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = getattr(fastbp, name)(**{**settings, **parameters}).fit(X, y)
    if case in ALONE:
        model.coefs_, model.intercepts_ = [np.ones((1, 1), dtype)] * 2, [np.zeros(1, dtype)] * 2
    return model, X


def answer(model, X):
    """What a form of the model is to compute: a column for each class or output."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)
    predictions = model.predict(X)
    return predictions.reshape(len(X), -1)


def is_multilabel(model):
    return hasattr(model, "classes_") and model._label_binarizer.y_type_.startswith("multilabel")
