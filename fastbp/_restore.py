"""A fitted model from what a file says of it; nothing is taken at its word."""

from functools import cache
from itertools import pairwise

import numpy as np
from sklearn.base import is_classifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import make_constraint

from fastbp._engine import Network
from fastbp._fields import (
    count,
    fields,
    flag,
    generator,
    layers,
    layers_like,
    maybe,
    number,
    one_of,
    optimizer_state,
    rate,
    refuse,
    several,
    take,
    text,
    vector,
)
from fastbp._losses import Loss
from fastbp._options import FUNCTIONS, SCHEDULES, SHARED_CONSTRAINTS, LostFunction, activations
from fastbp._schedules import schedule
from fastbp._solver import Solver

OF_THIS_MACHINE = ("checkpoint", "resume_from")  # a file from elsewhere must not say what is overwritten here

# The types of classes_, and of what they hold.
LABELS = {
    "bool": bool, "int8": int, "int16": int, "int32": int, "int64": int, "uint8": int, "uint16": int, "uint32": int,
    "uint64": int, "float16": float, "float32": float, "float64": float, "str": str, "object": str,
}  # fmt: skip
_MOST_CHARACTERS = 2**26  # a table of strings is as wide as the longest of them: what could be filled by a short file


def curve(value):
    return vector("float64")(value).tolist()


# What training leaves, where it does.
HISTORY = {
    "loss_": number,
    "loss_curve_": curve,
    "best_loss_": maybe(number),
    "validation_scores_": maybe(curve),
    "validation_loss_curve_": maybe(curve),
    "best_validation_score_": maybe(number),
    "stopped_": flag,
    "_no_improvement_count": count,
    "_by_inputs": flag,
}


@cache
def estimators():
    from fastbp.mlp import MLPClassifier, MLPRegressor  # which import this module

    return MLPClassifier, MLPRegressor


def restore(content, functions):
    """Return the model; `functions` are the parameters that a file cannot hold, as far as they are known."""
    by_name = {estimator.__name__: estimator for estimator in estimators()}
    model = by_name[take(content, "estimator", one_of(*by_name))]()
    _restore_parameters(model, content, functions)
    arrays = several(lambda array: array)
    pair = layers((take(content, "coefs_", arrays), take(content, "intercepts_", arrays)))
    if not all(np.isfinite(array).all() for array in (*pair[0], *pair[1])):
        raise ValueError("coefs_ or intercepts_ hold NaN or infinity: training diverged.")
    model.coefs_, model.intercepts_ = pair
    sizes = model._sizes()
    model.n_features_in_, model.n_outputs_, model.n_layers_ = sizes[0], sizes[-1], len(sizes)
    model.n_iter_, model.t_ = take(content, "n_iter_", count), take(content, "t_", count)
    history = take(content, "history", fields)
    vars(model).update({name: take(history, name, check) for name, check in HISTORY.items() if name in history})
    if "feature_names_in_" in content:
        names = take(content, "feature_names_in_", several(text, n=sizes[0]))
        model.feature_names_in_ = np.array(names, dtype=object)
    if "set_output" in content:
        model.set_output(transform=take(content, "set_output", one_of("default", "pandas", "polars")))
    if "best_weights" in content:
        model._best_weights = take(content, "best_weights", layers_like(pair))
    model._loss = take(content, "loss", _loss_of(model))
    model.out_activation_ = model._loss.output
    if is_classifier(model):
        _restore_targets(model, content)
    network = _narrow_network(model, sizes)
    if "optimizer" in content:
        model._optimizer = take(content, "optimizer", _solver_of(model, network))
    return model


def _restore_parameters(model, content, functions):
    known = model.get_params().keys() - OF_THIS_MACHINE
    parameters = {name: value for name, value in take(content, "parameters", fields).items() if name in known}
    for name, function in take(content, "functions", fields).items():
        if name in FUNCTIONS:
            parameters[name] = functions.get(name, LostFunction(name, text(function)))
    if "random_state" in content:
        parameters["random_state"] = take(content, "random_state", generator)
    model.set_params(**parameters)
    model._validate_params()


# ---- targets and loss


def _loss_of(model):
    def level(value):
        return value if 0 < number(value) < 1 else refuse(value, "a number between 0 and 1")

    checks = {
        "smoothing": rate,
        "parameter": rate,
        "levels": several(level),
        "class_weights": several(lambda pair: tuple(several(rate, n=2)(pair))),
    }

    def check(described):
        settings = take(described, "settings", fields)
        settings = {name: take(settings, name, check) for name, check in checks.items() if name in settings}
        name = take(described, "name", maybe(text))
        return Loss(
            output=take(described, "output", one_of("identity", "exp", "logistic", "softmax")),
            name=_function(model, "loss") if name is None else name,
            settings={name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()},
            divisor=max(1, take(described, "divisor", count)),
            sorts=take(described, "sorts", flag),
        )

    return check


def _function(model, parameter):
    """The function that training used."""
    value = getattr(model, parameter)
    return value if callable(value) else LostFunction(parameter, "a function")


def _restore_targets(model, content):
    model.classes_ = classes = take(content, "classes_", _labels)
    targets = take(content, "targets", fields)
    kind = take(targets, "kind", one_of("binary", "multiclass", "multilabel-indicator"))
    n_outputs, n_classes = model.n_outputs_, len(classes)
    fits = {
        "binary": n_outputs == 1 and n_classes <= 2,
        "multiclass": n_outputs == n_classes > 2,
        "multilabel-indicator": True,
    }
    outputs = ("logistic", "softmax") if kind == "multiclass" else ("logistic",)
    if not fits[kind] or model._loss.output not in outputs:
        raise ValueError(
            f"got {n_classes} classes, {kind} targets and {n_outputs} outputs with the activation "
            f"{model._loss.output!r}, which do not go together."
        )
    model._label_binarizer = binarizer = LabelBinarizer()
    binarizer.y_type_, binarizer.sparse_input_ = kind, take(targets, "sparse", flag)
    binarizer.classes_ = np.arange(n_outputs) if kind == "multilabel-indicator" else classes
    weights = take(content, "class_weights", maybe(vector("float64")))
    if weights is not None and (len(weights) != n_classes or not ((weights >= 0) & (weights < np.inf)).all()):
        refuse(weights, f"a finite weight >= 0 for each of {n_classes} classes")
    model._class_weights = weights


def _labels(value):
    dtype = take(value, "dtype", one_of(*LABELS))
    labels = take(value, "values", several(lambda label: label))
    if not labels or not all(type(label) is LABELS[dtype] for label in labels):
        refuse(labels, f"labels of {dtype}")
    if dtype == "str" and len(labels) * max(map(len, labels)) > _MOST_CHARACTERS:
        raise ValueError(f"got {len(labels)} labels of up to {max(map(len, labels))} characters: a table too large.")
    if not all(low < high for low, high in pairwise(labels)):
        refuse(labels, "labels in ascending order")
    try:
        array = np.array(labels, dtype=dtype)
    except OverflowError:
        refuse(labels, f"labels of {dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        refuse(labels, "finite labels")
    return array


# ---- network and solver


def _narrow_network(model, sizes):
    """One unit wide but for its outputs: it refuses the activations, losses and settings that are none."""
    hidden, loss = activations(model, len(sizes) - 2), model._loss
    sizes = (1,) * (len(sizes) - 1) + (sizes[-1],)
    return Network(sizes, hidden, loss.output, loss.name, model.coefs_[0].dtype, **loss.settings)


def _solver_of(model, network):
    constraints = {name: SHARED_CONSTRAINTS[name] for name in (
        "momentum", "beta_1", "beta_2", "epsilon", "rho", "weight_decay", "clip_norm", "clip_value", "ema_decay",
    )} | {"nesterov": ["boolean"]}  # fmt: skip

    def check(described):
        name, settings = take(described, "name", text), take(described, "settings", fields)
        settings = {name: value for name, value in settings.items() if name in constraints}
        for setting, value in settings.items():
            if not any(make_constraint(one).is_satisfied_by(value) for one in constraints[setting]):
                raise ValueError(f"{setting}: got {value!r:.60}.")
        network.set_optimizer(name, **settings)
        state = take(described, "state", maybe(optimizer_state((model.coefs_, model.intercepts_))))
        if state is not None and (state["solver"], "average" in state) != (name, network.averages):
            raise ValueError(f"the state is that of {state['solver']!r:.60}, expected that of {name!r}.")
        return Solver(name, settings, take(described, "rate", rate_of), None, state)

    def rate_of(described):
        name = take(described, "schedule", maybe(one_of("constant", "invscaling", "adaptive", *SCHEDULES)))
        made = schedule(
            _function(model, "learning_rate") if name is None else name,
            take(described, "initial", rate),
            n_steps=max(1, take(described, "n_steps", count, default=1)),
            power=take(described, "power", rate, default=0.5),
            warmup=take(described, "warmup", count),
        )
        made.learning_rate = take(described, "learning_rate", rate)
        return made

    return check
