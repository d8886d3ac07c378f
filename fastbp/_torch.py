"""Fitted models to PyTorch and back, weights and all."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d

from fastbp._data import working_dtype
from fastbp._layers import check_finite, layers_of
from fastbp._losses import classifier_loss, regressor_loss
from fastbp._optional import optional
from fastbp._options import dropout_rates

if TYPE_CHECKING:
    import torch

    from fastbp.mlp import MLPClassifier, MLPRegressor

_INSTALL = "see https://pytorch.org"

# The module of each activation, and the settings with which it is the same. Softplus is z beyond its threshold, which
# is exact in double precision from 40 on.
_ACTIVATIONS = {
    "logistic": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.01}),
    "elu": ("ELU", {"alpha": 1.0}),
    "selu": ("SELU", {}),
    "softplus": ("Softplus", {"beta": 1.0, "threshold": 40.0}),
    "gelu": ("GELU", {"approximate": "none"}),
    "silu": ("SiLU", {}),
    "mish": ("Mish", {}),
}
_ENDS = {"softmax": ("Softmax", "LogSoftmax"), "logistic": ("Sigmoid",)}  # what may follow the last Linear
_TOLD = ("hidden_layer_sizes", "activation", "dropout", "input_dropout")


def to_torch(model):
    """A torch.nn.Sequential of a fitted estimator."""
    nn = optional("torch", _INSTALL).nn
    it = layers_of(model)
    rates = dropout_rates(model, len(it.layers) - 1) or [0.0] * len(it.layers)
    modules = []
    for layer, rate in zip(it.layers, rates, strict=True):
        if rate:
            modules.append(nn.Dropout(rate))
        modules.append(_linear(layer.W, layer.b))
        if layer is not it.layers[-1] and layer.f in _ACTIVATIONS:
            name, settings = _ACTIVATIONS[layer.f]
            modules.append(getattr(nn, name)(**settings))
    return nn.Sequential(*modules).eval()


def _linear(W, b):
    import torch

    W, b = torch.from_numpy(W), torch.from_numpy(b)
    # without weights of its own, which would be drawn from PyTorch's random numbers
    linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=W.dtype, device="meta")
    linear.weight, linear.bias = torch.nn.Parameter(W), torch.nn.Parameter(b)
    return linear


def from_torch(
    module: "torch.nn.Sequential", *, classes: ArrayLike | None = None, multilabel: bool = False, **parameters: Any
) -> "MLPClassifier | MLPRegressor":
    """Return a fitted model that predicts as a PyTorch module does.

    Parameters
    ----------
    module : torch.nn.Sequential
        Linear layers and activations, as :meth:`MLPClassifier.to_torch` makes them; its weights are copied, in their
        precision. Dropout becomes `dropout` and `input_dropout`. The outputs are logits; a classifier's may also end
        in Softmax, LogSoftmax or Sigmoid.
    classes : array-like of shape (n_classes,), default=None
        The label of each output, in any order, for a classifier. Two classes have one output, which speaks for the
        second, or two. None gives a regressor.
    multilabel : bool, default=False
        Whether each output is a label of its own, 0 or 1; `classes` is then None.
    **parameters
        Further parameters of the estimator. `loss`, and `quantile`, tell what the outputs mean, and all of them how
        `partial_fit` goes on.

    Returns
    -------
    model : MLPClassifier or MLPRegressor
        Fitted; `partial_fit` goes on from the weights, with a new optimizer.

    Raises
    ------
    ValueError
        If fastbp has no counterpart of a module, or of its settings.

    Examples
    --------
    >>> import fastbp
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    >>> model = fastbp.from_torch(module.double(), classes=[0, 1, 2], learning_rate_init=0.01, random_state=0)
    >>> bool((model.predict(X) == module(torch.tensor(X)).argmax(dim=1).numpy()).all())
    True
    >>> for epoch in range(100):
    ...     model = model.partial_fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """
    from fastbp.mlp import MLPClassifier, MLPRegressor

    optional("torch", _INSTALL)
    told = [name for name in _TOLD if name in parameters]
    if told:
        raise ValueError(f"got {told[0]}={parameters[told[0]]!r}, but the module tells it. Leave it out.")
    linears, (*hidden, last), rates = _read(module)
    coefs, intercepts = _weights(linears)
    classifies = multilabel or classes is not None
    model = (MLPClassifier if classifies else MLPRegressor)(**parameters)
    model.set_params(
        hidden_layer_sizes=tuple(len(b) for b in intercepts[:-1]),
        activation=_one_or_all([_name_of(part) for part in hidden], "relu"),
        dropout=_one_or_all(rates[1:], 0.0),
        input_dropout=rates[0],
    )
    model._validate_params()
    dropout_rates(model, len(hidden))  # refuses a rate of 1
    n_outputs = len(intercepts[-1])
    if classifies:
        coefs[-1], intercepts[-1] = _learn_classes(model, coefs[-1], intercepts[-1], classes, multilabel)
    else:
        _learn_targets(model, n_outputs)
    dtype = working_dtype(model.dtype, coefs[0].dtype)
    model.coefs_, model.intercepts_ = ([np.array(p, dtype) for p in them] for them in (coefs, intercepts))
    check_finite(model.coefs_, model.intercepts_)
    model.n_features_in_, model.n_outputs_ = len(coefs[0]), len(intercepts[-1])
    model.n_layers_, model.out_activation_ = len(linears) + 1, model._loss.output
    model.n_iter_ = model.t_ = 0
    _check_end(model, last, n_outputs)
    return model


# ---- reading a module


def _parts(module, name="module"):
    """The modules of a Sequential, and of those in it, in order, each with what it is called."""
    import torch

    if not isinstance(module, torch.nn.Sequential) or type(module).forward is not torch.nn.Sequential.forward:
        raise TypeError(f"{name} is a {type(module).__name__}, expected a torch.nn.Sequential of Linear layers.")
    _refuse_hooks(name, module)
    for i, part in enumerate(module):
        if isinstance(part, torch.nn.Sequential):
            yield from _parts(part, f"{name}[{i}]")
        else:
            _refuse_hooks(f"{name}[{i}]", part)
            yield f"{name}[{i}]", part


def _refuse_hooks(name, part):
    """What runs before or after a module computes something else of it."""
    for hook in (*part._forward_pre_hooks.values(), *part._forward_hooks.values()):
        called = getattr(hook, "__name__", type(hook).__name__)
        raise ValueError(
            f"{name} has a hook, {called}, expected none: it may change what the module computes. Make it part of the "
            "weights, as torch.nn.utils.prune.remove, remove_spectral_norm and remove_weight_norm do, or remove it."
        )


def _read(module):
    """Its Linear layers; the module or None that follows each; the rate of dropout before each."""
    from torch import nn

    in_place = {getattr(nn, name) for name, _ in _ACTIVATIONS.values()} | {nn.Softmax, nn.LogSoftmax}
    linears, activations, rates, rate = [], [], [], 0.0
    for name, part in _parts(module):
        if type(part) is nn.Linear:
            linears.append(part)
            activations.append(None)
            rates.append(rate)
            rate = 0.0
        elif type(part) is nn.Dropout:
            rate = part.p + rate * (1 - part.p)
        elif type(part) in in_place:
            if not linears or activations[-1] is not None or rate:
                raise ValueError(f"{name} is a {part}, expected it right after a Linear layer, before any Dropout.")
            activations[-1] = part
        elif not (type(part) is nn.Identity or (not linears and _is_flatten(part))):
            raise ValueError(_refusal(name, part))
    if not linears or rate:
        raise ValueError("got a Sequential that ends without a Linear layer, expected one as its output layer.")
    return linears, activations, rates


def _is_flatten(part):
    """Whether it leaves rows as they are."""
    from torch import nn

    return type(part) is nn.Flatten and (part.start_dim, part.end_dim) == (1, -1)


def _refusal(name, part):
    known = ", ".join(name for name, _ in _ACTIVATIONS.values())
    hint = ""
    if type(part).__name__.startswith("BatchNorm"):
        hint = " torch.nn.utils.fusion.fuse_linear_bn_eval makes one of a Linear and the BatchNorm after it."
    return (
        f"{name} is a {part}, which has no counterpart in fastbp. Expected Linear, Dropout, Flatten before the first "
        f"Linear, {known}, and Softmax or LogSoftmax after the last Linear.{hint}"
    )


def _name_of(part):
    """The activation of a hidden layer that a module, or None, is."""
    from torch import nn

    if part is None:
        return "identity"
    for activation, (name, settings) in _ACTIVATIONS.items():
        if type(part) is getattr(nn, name):
            default = type(part)()
            for key, value in settings.items():
                if getattr(part, key) not in (value, getattr(default, key)):
                    raise ValueError(
                        f"got {name} with {key}={getattr(part, key)!r}, but that of fastbp's {activation!r} is "
                        f"{getattr(default, key)!r}. Train with that one."
                    )
            return activation
    raise ValueError(f"got {part} after a hidden layer, expected it after the last Linear alone.")


def _weights(linears):
    """The weights, (n_in, n_out), and the biases, not yet copied."""
    import torch

    for before, linear in pairwise(linears):
        if before.out_features != linear.in_features:
            raise ValueError(f"got {before}, then {linear}, expected as many inputs as there are outputs before.")
    dtypes = {p.dtype for linear in linears for p in linear.parameters()}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        got = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(f"got weights of {got}, expected torch.float32 or torch.float64: convert it, module.float().")
    coefs = [linear.weight.detach().cpu().numpy().T for linear in linears]
    intercepts = [
        np.zeros(W.shape[1], W.dtype) if linear.bias is None else linear.bias.detach().cpu().numpy()
        for W, linear in zip(coefs, linears, strict=True)
    ]
    return coefs, intercepts


def _one_or_all(values, default):
    """One value for all layers, if that says it."""
    return default if not values else values[0] if len(set(values)) == 1 else values


# ---- what the outputs mean


def _learn_classes(model, W, b, classes, multilabel):
    """Set the classes of a classifier; return the weights of its last layer, their columns in the order of classes_."""
    n_outputs = len(b)
    if multilabel:
        if classes is not None or n_outputs == 1:
            raise ValueError(
                f"got multilabel=True with {n_outputs} outputs and classes={classes!r}, expected several outputs and "
                "classes=None: labels are 0 and 1. A single label is classes=[0, 1]."
            )
        labels, order = np.eye(n_outputs, dtype=int), np.arange(n_outputs)
    else:
        labels, order = np.unique(column_or_1d(classes), return_index=True)
        n_classes = len(order)
        if (
            len(classes) != n_classes
            or n_classes == 1
            or n_outputs not in (n_classes, 1 if n_classes == 2 else n_classes)
        ):
            raise ValueError(
                f"got {len(classes)} classes, {n_classes} of them different, for {n_outputs} outputs. Expected a class "
                "for each output, or two for a single one."
            )
    model._label_binarizer = LabelBinarizer().fit(labels)
    model.classes_ = model._label_binarizer.classes_
    model._loss = classifier_loss(model, model._label_binarizer.y_type_)
    if model._label_binarizer.y_type_ != "binary":
        return W[:, order], b[order]
    if n_outputs == 1:  # the output of the first of `classes` is 0
        W, b = np.column_stack([np.zeros_like(W), W]), np.concatenate([np.zeros_like(b), b])
    return W[:, order[1:]] - W[:, order[:1]], b[order[1:]] - b[order[:1]]


def _learn_targets(model, n_outputs):
    by_level = model.loss == "quantile" and np.ndim(model.quantile) == 1
    model._loss = regressor_loss(model, 1 if by_level else n_outputs)
    if by_level and len(model.quantile) != n_outputs:
        raise ValueError(f"got {len(model.quantile)} quantiles, expected {n_outputs}: one for each output.")


def _check_end(model, part, n_outputs):
    """Refuse a module after the last Linear that does not make predictions of its outputs."""
    output = "softmax" if n_outputs > model.n_outputs_ else model.out_activation_
    ends = _ENDS.get(output, ())
    if part is not None and (type(part).__name__ not in ends or getattr(part, "dim", 1) not in (None, 1, -1)):
        raise ValueError(
            f"got {part} after the last Linear, but its {n_outputs} outputs have the activation {output!r} here. "
            f"Expected {' or '.join((*ends, 'nothing'))}."
        )
