"""What the parameters of the estimators may be, each alone and all together."""

import os
import sys
import warnings
from functools import cache
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, Options, RealNotInt, StrOptions, make_constraint

from fastbp._callbacks import as_list

HIDDEN_ACTIVATIONS = (
    "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus",
)  # fmt: skip
STOCHASTIC_SOLVERS = ("sgd", "adam", "adamw", "rmsprop", "schedule_free")
SCHEDULES = ("cosine", "one_cycle", "coslog4")  # of any stochastic solver; scikit-learn's are of 'sgd' alone

LARGEST = sys.float_info.max  # Python's integers go on

_POSITIVE = Interval(Real, 0, None, closed="neither")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_FRACTION = Interval(Real, 0, 1, closed="left")
_INSIDE = Interval(Real, 0, 1, closed="neither")
_COUNT = Interval(Integral, 1, None, closed="left")
_LISTS = (list, tuple, np.ndarray)

SHARED_CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", _COUNT],
    "activation": [StrOptions(set(HIDDEN_ACTIVATIONS)), *_LISTS],
    "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
    "alpha": [_NOT_NEGATIVE, *_LISTS],
    "batch_size": [StrOptions({"auto"}), _COUNT],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", *SCHEDULES}), callable],
    "learning_rate_init": [_POSITIVE],
    "power_t": [_NOT_NEGATIVE],
    "max_iter": [_COUNT],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_NOT_NEGATIVE],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [_FRACTION],
    "beta_1": [_FRACTION],
    "beta_2": [_FRACTION],
    "epsilon": [_POSITIVE],
    "n_iter_no_change": [_COUNT, Options(Real, {np.inf})],
    "max_fun": [_COUNT],
    "dtype": [StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64}), None],
    "n_threads": [Interval(Integral, None, -1, closed="right"), _COUNT, None],
    "dropout": [_FRACTION, *_LISTS],
    "input_dropout": [_FRACTION],
    "weight_decay": [_NOT_NEGATIVE, None],
    "clip_norm": [_POSITIVE, None],
    "clip_value": [_POSITIVE, None],
    "ema_decay": [_INSIDE, None],
    "rho": [_FRACTION],
    "warmup": [Interval(Integral, 0, None, closed="left"), Interval(RealNotInt, 0, 1, closed="left")],
    "scoring": [str, callable, None],
    "restore_best": ["boolean", None],
    "max_time": [_POSITIVE, None],
    "callbacks": [callable, list, tuple, None],
    "checkpoint": [str, os.PathLike, None],
    "checkpoint_every": [_COUNT],
    "resume_from": [str, os.PathLike, None],
}
CLASSIFIER_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "loss": [StrOptions({"log_loss", "focal", "squared_error"}), callable],
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
    "label_smoothing": [_FRACTION],
    "focal_gamma": [_NOT_NEGATIVE],
}
REGRESSOR_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "loss": [
        StrOptions({"squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"}),
        callable,
    ],
    "huber_delta": [_POSITIVE],
    "quantile": [_INSIDE, *_LISTS],
}

# Parameters that may be functions, which no file holds.
FUNCTIONS = ("loss", "learning_rate", "scoring", "callbacks")

# What solver='lbfgs' cannot do, and is no parameter of scikit-learn's that it would ignore.
_STOCHASTIC_OPTIONS = (
    "dropout", "input_dropout", "weight_decay", "clip_norm", "clip_value", "ema_decay", "warmup", "scoring",
    "restore_best", "checkpoint", "resume_from",
)  # fmt: skip


class LostFunction:
    """What stands for a function in a model from a file: predictions do without it, training refuses it."""

    def __init__(self, parameter, name):
        self.parameter, self.name = parameter, name
        self.__module__, _, self.__qualname__ = name.rpartition(".")

    def __repr__(self):
        return f"<{self.name}, which no file holds>"

    def __call__(self, *_):
        raise ValueError(
            f"{self.parameter} was {self.name}, and no file holds functions: load the model with "
            f"fastbp.load(path, {self.parameter}=...) to train it."
        )


@cache
def _constraints(estimator_class):
    """What scikit-learn makes of the class's constraints at each fit: objects that know what satisfies them."""
    constraints = estimator_class._parameter_constraints.items()
    return [(name, [make_constraint(one) for one in them]) for name, them in constraints if them != "no_validation"]


def are_valid(model):
    """Whether each parameter satisfies its constraints: the answer of `_validate_params`, in a quarter of its time."""
    for name, alternatives in _constraints(type(model)):
        value = getattr(model, name)
        if not any(one.is_satisfied_by(value) for one in alternatives):
            return False
    return True


def refuse_huge_integers(model):
    """Those that no float holds, for which scikit-learn has no words; after the first partial_fit it does not look."""
    for name, _ in _constraints(type(model)):
        value = getattr(model, name)
        if type(value) is int and value > LARGEST:
            raise ValueError(f"{name} is an integer of {value.bit_length()} bits, expected at most {LARGEST}.")


def per_layer(name, value, n_layers, layers="hidden layer", constraint=_NOT_NEGATIVE):
    """Return one value for each layer: those of a list, or one value as often as needed."""
    values = list(value) if np.ndim(value) else [value] * n_layers
    if len(values) != n_layers:
        raise ValueError(f"{name} has {len(values)} values, expected {n_layers}: one for each {layers}.")
    for one in values:
        if not constraint.is_satisfied_by(one) or (isinstance(one, int) and one > LARGEST):
            raise ValueError(f"{name} must hold, for each {layers}, {constraint}. Got {one!r}.")
    return values


def activations(model, n_hidden):
    """Return the activation of each hidden layer."""
    if isinstance(model.activation, str):
        return (model.activation,) * n_hidden
    return tuple(per_layer("activation", model.activation, n_hidden, constraint=StrOptions(set(HIDDEN_ACTIVATIONS))))


def alphas(model, n_hidden):
    """Return the penalty: one number, or one for each layer of weights."""
    if np.ndim(model.alpha) == 0:
        return model.alpha
    return [float(a) for a in per_layer("alpha", model.alpha, n_hidden + 1, "layer of weights")]


def dropout_rates(model, n_hidden):
    """Return the rates of the inputs and of each hidden layer, None if all are 0."""
    rates = [model.input_dropout, *per_layer("dropout", model.dropout, n_hidden, constraint=_FRACTION)]
    return [float(rate) for rate in rates] if any(rates) else None


def optimizer_settings(model):
    """Return the engine's name of the step rule and its settings, those that are off left out."""
    adaptive = {"beta_1": model.beta_1, "beta_2": model.beta_2, "epsilon": model.epsilon}
    name, settings = {
        "sgd": ("sgd", {"momentum": model.momentum, "nesterov": model.nesterovs_momentum}),
        "adam": ("adam", adaptive),
        "adamw": ("adam", adaptive),
        "rmsprop": ("rmsprop", {"rho": model.rho, "epsilon": model.epsilon}),
        "schedule_free": ("schedule_free", adaptive),
    }[model.solver]
    weight_decay = model.weight_decay
    if weight_decay is None:
        weight_decay = 0.01 if model.solver == "adamw" else 0.0
    extras = {
        "weight_decay": weight_decay,
        "clip_norm": model.clip_norm,
        "clip_value": model.clip_value,
        "ema_decay": model.ema_decay,
    }
    return name, settings | {key: float(value) for key, value in extras.items() if value}


def schedule_of(model):
    """Return the learning rate's schedule, a name or a function."""
    if model.learning_rate in ("invscaling", "adaptive") and model.solver != "sgd":
        return "constant"  # as in scikit-learn
    return model.learning_rate


def warn_of_changes(model, optimizer):
    """Tell of parameters that were changed between calls of partial_fit, which goes on as it began."""
    was = {"solver": optimizer.name, "learning_rate_init": optimizer.rate.initial, **optimizer.settings}
    name, settings = optimizer_settings(model)
    is_ = {"solver": name, "learning_rate_init": model.learning_rate_init, **settings}
    if isinstance(model.learning_rate, str):
        was["learning_rate"], is_["learning_rate"] = optimizer.rate.name, schedule_of(model)
    changed = [
        f"{key}={was.get(key)!r}, not {is_.get(key)!r}" for key in {**was, **is_} if was.get(key) != is_.get(key)
    ]
    if changed:
        warnings.warn(
            f"partial_fit goes on with the optimizer of its first call: {'; '.join(changed)}. To change it, fit anew.",
            stacklevel=2,
        )


def _is_asked_for(value):
    """Whether an option differs from None, False, 0 and a list of zeros."""
    return value is not None and (isinstance(value, (str, os.PathLike)) or callable(value) or bool(np.any(value)))


def check_options(model, n_hidden, *, incremental, has_validation, goes_on):
    """Refuse options that cannot act together; what is accepted here works.

    `incremental`: in partial_fit; `has_validation`: X_val is given; `goes_on`: from the weights of an earlier call.
    """
    refuse_huge_integers(model)
    activations(model, n_hidden)
    alphas(model, n_hidden)
    dropout_rates(model, n_hidden)
    as_list(model.callbacks)
    for name in FUNCTIONS:
        if isinstance(getattr(model, name), LostFunction):
            getattr(model, name)()
    if n_hidden == 0 and _is_asked_for(model.dropout):
        raise ValueError(f"dropout={model.dropout!r} acts on hidden layers, but there are none. Leave it 0.")
    if model.solver == "lbfgs":
        _check_lbfgs(model, has_validation)
    elif incremental:
        _check_partial_fit(model, has_validation)
    if model.solver == "schedule_free" and model.ema_decay is not None:
        raise ValueError("solver='schedule_free' averages the weights itself: leave ema_decay=None.")
    if model.solver != "lbfgs" and model.scoring is not None and not (model.early_stopping or has_validation):
        raise ValueError(
            f"scoring={model.scoring!r} judges validation rows, but there are none. Set early_stopping=True, or give "
            "X_val and y_val."
        )
    if model.resume_from is not None and goes_on:
        raise ValueError(
            "resume_from and warm_start both say where to start. Set warm_start=False to go on from the checkpoint."
        )


def _check_lbfgs(model, has_validation):
    asked = [f"{name}={getattr(model, name)!r}" for name in _STOCHASTIC_OPTIONS if _is_asked_for(getattr(model, name))]
    if model.learning_rate in SCHEDULES or callable(model.learning_rate):
        asked.append(f"learning_rate={model.learning_rate!r}")
    if has_validation:
        asked.append("X_val")
    if asked:
        raise ValueError(
            f"solver='lbfgs' takes all rows at once and has no use for {', '.join(asked)}. Choose a stochastic solver "
            f"({', '.join(STOCHASTIC_SOLVERS)}), or leave it out."
        )


def _check_partial_fit(model, has_validation):
    if model.early_stopping and not has_validation:
        raise ValueError("partial_fit does not support early_stopping=True")
    if model.restore_best and not model.early_stopping:
        raise ValueError("partial_fit does not support restore_best=True without early_stopping=True and X_val, y_val.")
    for name in ("checkpoint", "resume_from"):
        if getattr(model, name) is not None:
            raise ValueError(f"partial_fit does not support {name}: it is one epoch. Pickle the model instead.")
