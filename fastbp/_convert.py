"""Fitted models from scikit-learn and back, weights and all."""

import copy
from math import inf
from typing import TYPE_CHECKING

import sklearn.neural_network
from sklearn.base import is_classifier
from sklearn.utils._param_validation import make_constraint
from sklearn.utils.validation import check_is_fitted

from fastbp._losses import classifier_loss, regressor_loss

if TYPE_CHECKING:
    from fastbp._classifier import MLPClassifier
    from fastbp._regressor import MLPRegressor

# What training has left, in both packages under the same names; the state of the optimizer stays behind.
_FITTED = (
    "coefs_", "intercepts_", "classes_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_",
    "feature_names_in_", "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_", "_label_binarizer", "_no_improvement_count",
)  # fmt: skip


def from_sklearn(
    mlp: "sklearn.neural_network.MLPClassifier | sklearn.neural_network.MLPRegressor",
) -> "MLPClassifier | MLPRegressor":
    """Return a fitted model that predicts as scikit-learn's does.

    Parameters
    ----------
    mlp : sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted. Its weights are copied.

    Returns
    -------
    model : fastbp.MLPClassifier or fastbp.MLPRegressor
        With the same parameters and fitted attributes. `partial_fit` goes on from the weights, with a new optimizer.

    Examples
    --------
    >>> import fastbp
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> theirs = MLPClassifier(max_iter=500, random_state=0).fit(X, y)
    >>> ours = fastbp.from_sklearn(theirs)
    >>> bool((ours.predict(X) == theirs.predict(X)).all())
    True
    """
    from fastbp.mlp import MLPClassifier, MLPRegressor

    for ours in (MLPClassifier, MLPRegressor):
        if isinstance(mlp, getattr(sklearn.neural_network, ours.__name__)):
            break
    else:
        raise TypeError(
            f"got {type(mlp).__name__}, expected a fitted MLPClassifier or MLPRegressor of sklearn.neural_network."
        )
    check_is_fitted(mlp)
    model = ours(**mlp.get_params())
    _copy_fitted(mlp, model)
    if is_classifier(mlp):
        model._loss = classifier_loss(model, mlp._label_binarizer.y_type_)
    else:
        model._loss = regressor_loss(model, mlp.n_outputs_)
    return model


def to_sklearn(model):
    """Return scikit-learn's estimator with the weights of a fitted model."""
    check_is_fitted(model, "coefs_")
    _check_predictions_are_theirs(model)
    theirs = sklearn.neural_network.MLPClassifier if is_classifier(model) else sklearn.neural_network.MLPRegressor
    mlp = theirs()
    defaults, ours = mlp.get_params(), model.get_params() | {"activation": _one_activation(model)}
    if "loss" in defaults and model.out_activation_ == "exp":
        defaults["loss"] = "poisson"
    accepted = {name: ours[name] for name in defaults if _accepts(theirs, name, ours[name])}
    mlp.set_params(**{**defaults, **accepted})
    _copy_fitted(model, mlp)
    # what its early stopping starts from
    mlp._best_coefs, mlp._best_intercepts = copy.deepcopy((mlp.coefs_, mlp.intercepts_))
    if mlp.solver != "lbfgs":
        vars(mlp).update({**_history_before_training(mlp.early_stopping), **vars(mlp)})
    return mlp


def _history_before_training(early_stopping):
    """What scikit-learn's training adds to; a model from PyTorch has none."""
    best = {"best_loss_": None if early_stopping else inf, "best_validation_score_": -inf if early_stopping else None}
    scores = [] if early_stopping else None
    return {"loss_curve_": [], "validation_scores_": scores, "_no_improvement_count": 0, **best}


def _copy_fitted(source, target):
    for name in _FITTED:
        if hasattr(source, name):
            setattr(target, name, copy.deepcopy(getattr(source, name)))


def _accepts(theirs, name, value):
    return any(make_constraint(c).is_satisfied_by(value) for c in theirs._parameter_constraints[name])


def _one_activation(model):
    """The activation of all hidden layers, if there is one."""
    if isinstance(model.activation, str):
        return model.activation
    names = set(model.activation)
    return names.pop() if len(names) == 1 else "relu" if not names else tuple(model.activation)


def _check_predictions_are_theirs(model):
    activation = _one_activation(model)
    theirs = ("identity", "logistic", "tanh", "relu")
    if activation not in theirs:
        raise ValueError(
            f"scikit-learn's networks have one activation of {', '.join(theirs)} in all hidden layers, this one has "
            f"{activation!r}. Fit with one of these."
        )
    if model._loss.sorts:
        raise ValueError("scikit-learn's networks do not sort quantiles. Fit one model for each level.")
    multiclass = is_classifier(model) and model._label_binarizer.y_type_ == "multiclass"
    if multiclass and model.out_activation_ == "logistic":
        raise ValueError(
            "scikit-learn's networks have softmax outputs for several classes, loss='squared_error' has logistic "
            "outputs. Fit with loss='log_loss'."
        )
