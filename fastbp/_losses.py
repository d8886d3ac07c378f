"""From the name of a loss to what the network needs of it: the output's activation, the engine's loss, its settings."""

from collections.abc import Callable
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils._param_validation import Interval


class Loss(NamedTuple):
    """A loss as the network takes it."""

    output: str  # activation of the last layer
    name: str | Callable  # of the engine; or a custom loss (y, raw) -> (losses, derivatives)
    settings: dict  # of the engine's loss: smoothing, parameter, levels, class_weights
    divisor: int = 1  # outputs that share a mean in the reported loss
    sorts: bool = False  # rows of predictions are sorted: quantiles never cross

    @property
    def takes_classes(self) -> bool:
        """Whether y is (n, 1), the number of the class, instead of a column for each output."""
        return self.output == "softmax" and isinstance(self.name, str)


# ---- classifier


def classifier_loss(model, kind, class_weights=None) -> Loss:
    """The loss of 'binary', 'multiclass' or 'multilabel-indicator' targets; class_weights: a pair for each label."""
    multiclass = kind == "multiclass"
    output = "softmax" if multiclass else "logistic"
    settings = {} if class_weights is None else {"class_weights": class_weights}
    if model.label_smoothing:
        if model.loss not in ("log_loss", "focal"):
            raise ValueError(
                f"label_smoothing={model.label_smoothing} softens the targets of loss='log_loss' and 'focal', got "
                f"loss={model.loss!r}. Leave it 0."
            )
        settings["smoothing"] = float(model.label_smoothing)
    if callable(model.loss):
        if class_weights is not None:
            raise ValueError(
                "class_weight of multilabel targets weights each output, which a custom loss sums itself. Put the "
                "weights into the loss, or leave class_weight=None."
            )
        return Loss(output, model.loss, {})
    if model.loss == "squared_error":
        return Loss("logistic", "squared_error", settings)
    if model.loss == "focal":
        return Loss(
            output, "focal" if multiclass else "binary_focal", settings | {"parameter": float(model.focal_gamma)}
        )
    return Loss(output, "log_loss" if multiclass else "binary_log_loss", settings)


# ---- regressor


def regressor_loss(model, n_outputs) -> Loss:
    """The loss of real targets with so many columns."""
    loss = model.loss
    if callable(loss):
        return Loss("identity", loss, {})
    if loss == "squared_error":
        return Loss("identity", loss, {}, divisor=n_outputs)
    if loss == "huber":
        return Loss("identity", loss, {"parameter": float(model.huber_delta)})
    if loss == "quantile":
        return _quantile_loss(model.quantile, n_outputs)
    return Loss("exp" if loss in ("poisson", "gamma") else "identity", loss, {})


def _quantile_loss(quantile, n_outputs):
    if np.ndim(quantile) == 0:
        return Loss("identity", "quantile", {"levels": (float(quantile),) * n_outputs})
    levels = quantile_levels(quantile)
    if n_outputs > 1:
        raise ValueError(
            f"A list of quantiles predicts a column for each from one y, got y with {n_outputs} columns. Give one "
            "level, or fit a model for each column."
        )
    return Loss("identity", "quantile", {"levels": levels}, sorts=True)


def quantile_levels(quantile) -> tuple[float, ...]:
    """Return a list of levels as a tuple: in (0, 1), ascending, as the columns of predictions are."""
    levels = tuple(quantile)
    inside = Interval(Real, 0, 1, closed="neither")
    ascending = all(low < high for low, high in pairwise(levels))
    if not levels or not all(inside.is_satisfied_by(level) for level in levels) or not ascending:
        raise ValueError(f"quantile must be a level in (0, 1), or an ascending list of such. Got {quantile!r}.")
    return tuple(float(level) for level in levels)


def check_range_of_y(loss, y):
    """Refuse targets that the loss is not defined for."""
    if loss == "poisson" and y.min() < 0:
        raise ValueError(f"loss='poisson' needs y >= 0, got {y.min()}. Use loss='squared_error' for such targets.")
    if loss == "gamma" and y.min() <= 0:
        raise ValueError(f"loss='gamma' needs y > 0, got {y.min()}. Use loss='poisson' or 'squared_error' for such.")


# ---- custom


def check_custom_loss(loss, y):
    """Call a custom loss on some y (n, n_outputs): shapes, and the derivative against central differences."""
    y = y.astype(np.float64)
    raw = np.random.RandomState(0).standard_normal(y.shape)
    losses, derivative = _call(loss, y, raw)
    step = np.cbrt(np.finfo(np.float64).eps)  # where truncation and rounding of the difference balance
    numeric = np.empty_like(raw)
    for j in range(raw.shape[1]):
        ahead, behind = raw.copy(), raw.copy()
        ahead[:, j] += step
        behind[:, j] -= step
        numeric[:, j] = (_call(loss, y, ahead)[0] - _call(loss, y, behind)[0]) / (2 * step)
    difference = np.abs(derivative - numeric)
    rounding = np.finfo(np.float64).eps * np.abs(losses).max() / step
    allowed = 1e-4 * np.maximum(1, np.abs(numeric)) + rounding
    if (difference > allowed).any():
        i, j = np.unravel_index(np.argmax(difference - allowed), difference.shape)
        raise ValueError(
            f"The derivative that the custom loss returns is not that of its loss: it differs from central differences "
            f"by up to {difference.max():.3g}. At y={y[i]}, raw={raw[i]}, output {j}: got {derivative[i, j]:.6g}, "
            f"expected {numeric[i, j]:.6g}. Return d loss / d raw, row by row, without dividing by the number of rows."
        )


def _call(loss, y, raw):
    """The two arrays of a custom loss, of the right shapes and finite."""
    result = loss(y.copy(), raw.copy())
    shapes = (len(y),), raw.shape
    if not isinstance(result, tuple) or len(result) != 2 or (np.shape(result[0]), np.shape(result[1])) != shapes:
        got = tuple(np.shape(part) for part in result) if isinstance(result, tuple) else type(result).__name__
        raise ValueError(
            f"A custom loss must return the loss of each row and its derivative, a tuple of arrays of shapes "
            f"{shapes} for these {len(y)} rows. Got {got}."
        )
    losses, derivative = (np.asarray(part, dtype=np.float64) for part in result)
    if not (np.isfinite(losses).all() and np.isfinite(derivative).all()):
        raise ValueError(f"The custom loss returns NaN or infinity, for y={y.tolist()}, raw={raw.tolist()}.")
    return losses, derivative
