"""A fitted model as a file: its parameters, weights, targets and all that training needs to go on."""

from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

from fastbp import _file
from fastbp._checkpoint import name_of
from fastbp._fields import fields, take
from fastbp._restore import HISTORY, LABELS, OF_THIS_MACHINE, estimators, restore

if TYPE_CHECKING:
    from fastbp.mlp import MLPClassifier, MLPRegressor


def save(model, path):
    """Write a fitted model."""
    model._check_is_fitted()
    try:
        content = _describe(model)
        restore(_file.round_trip(content), functions={})  # whatever is written can be read
    except ValueError as error:
        raise ValueError(f"This {type(model).__name__} cannot be saved: {error}") from error
    _file.write(path, "model", content)


def load(path: str | PathLike[str], **functions: Any) -> "MLPClassifier | MLPRegressor":
    """Return the model that its method `save` has written.

    Loading runs no code: a file holds numbers and words, and all of them are checked.

    Parameters
    ----------
    path : str or path-like
        The file.
    **functions : callable or list of callables
        Parameters whose values were functions, which no file holds: `loss`, `learning_rate`, `scoring` and `callbacks`.
        Without them the model predicts, but refuses to be trained.

    Returns
    -------
    model : MLPClassifier or MLPRegressor
        Fitted. `partial_fit`, and `fit` with `warm_start`, go on to the same bits as if it had never been saved.

    Raises
    ------
    ValueError
        If the file is damaged or of another program, or a later fastbp wrote it in a format that this one cannot read.
        The message names the file and what is wrong.
    TypeError
        If `functions` has others than the model had.
    OSError
        If the file cannot be read: FileNotFoundError if there is none, IsADirectoryError if the path is a directory.
    ImportError
        If safetensors is missing: ``pip install "fastbp[save]"``.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastbp
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = fastbp.MLPClassifier(max_iter=500, random_state=0).fit(X, y)
    >>> path = os.path.join(tempfile.mkdtemp(), "iris.safetensors")
    >>> model.save(path)
    >>> same = fastbp.load(path)
    >>> bool((same.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    with _file.named(path, "model"):
        content = _file.read(path, "model")
        lost = take(content, "functions", fields)
    if functions.keys() - lost:
        raise TypeError(f"got {', '.join(functions)}, but the functions of this model are {', '.join(lost) or 'none'}.")
    with _file.named(path, "model"):
        return restore(content, functions)


def _describe(model):
    if type(model) not in estimators():
        raise ValueError("fastbp.load knows MLPClassifier and MLPRegressor, not what is derived from them. Pickle it.")
    parameters = {name: value for name, value in model.get_params().items() if name not in OF_THIS_MACHINE}
    functions = {name: parameters.pop(name) for name in list(parameters) if _is_function(parameters[name])}
    content = {
        "estimator": type(model).__name__,
        "functions": {name: name_of(value) for name, value in functions.items()},
        "coefs_": list(model.coefs_),
        "intercepts_": list(model.intercepts_),
        "n_iter_": model.n_iter_,
        "t_": model.t_,
        "loss": model._loss._asdict() | {"name": None if callable(model._loss.name) else model._loss.name},
        "history": {name: _as_array(vars(model)[name]) for name in HISTORY if name in vars(model)},
    }
    if isinstance(model.random_state, np.random.RandomState):
        content["random_state"] = parameters.pop("random_state").get_state(legacy=False)
    content["parameters"] = {name: _plain(value) for name, value in parameters.items()}
    if hasattr(model, "feature_names_in_"):
        content["feature_names_in_"] = model.feature_names_in_.tolist()
    if "_sklearn_output_config" in vars(model):
        content["set_output"] = model._sklearn_output_config["transform"]
    if "_best_weights" in vars(model):
        content["best_weights"] = model._best_weights
    if "_optimizer" in vars(model):
        solver = model._optimizer
        content["optimizer"] = {
            "name": solver.name,
            "settings": solver.settings,
            "state": solver.state,
            "rate": solver.rate.describe(),
        }
    if is_classifier(model):
        content["classes_"] = _describe_labels(model.classes_)
        content["targets"] = {
            "kind": model._label_binarizer.y_type_,
            "sparse": bool(model._label_binarizer.sparse_input_),
        }
        content["class_weights"] = model._class_weights
    return content


def _is_function(value):
    if isinstance(value, list | tuple):
        return any(_is_function(item) for item in value)
    return callable(value) and not isinstance(value, type)  # dtype=np.float32 is a type


def _plain(value):
    """A parameter in Python's own types: arrays become lists."""
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, type):
        return np.dtype(value).name
    if value is None or isinstance(value, bool):
        return value
    for kind, plain in ((str, str), (Integral, int), (Real, float)):
        if isinstance(value, kind):
            return plain(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return (tuple if isinstance(value, tuple) else list)(_plain(item) for item in value)


def _as_array(value):
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value


def _describe_labels(labels):
    name = "str" if labels.dtype.kind == "U" else labels.dtype.name
    if name not in LABELS:
        raise ValueError(f"a file has no form for labels of {labels.dtype}. Train with numbers or strings, or pickle.")
    return {"dtype": name, "values": labels.tolist()}
