"""Losses and validation scores by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from fastbp._plot import Display, check_choice, check_model, keywords

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from fastbp.mlp import MLPClassifier, MLPRegressor


class LossCurveDisplay(Display):
    """Training and validation loss, or validation scores, by epoch.

    Use `from_estimator` to make one.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        ``loss_curve_`` of a model.
    validation_loss, validation_score : array-like of shape (n_epochs,), default=None
        ``validation_loss_curve_`` and ``validation_scores_``, where it has such.
    name : str, default=None
        What the legend calls the model.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The curves: training first, then validation.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import LossCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> figure, ax = plt.subplots()
    >>> for rate in (0.001, 0.01):
    ...     model = MLPClassifier(early_stopping=True, learning_rate_init=rate, random_state=0).fit(X, y)
    ...     display = LossCurveDisplay.from_estimator(model, ax=ax, name=f"rate {rate}", log_scale=True)
    >>> [line.get_label() for line in display.lines_]
    ['rate 0.01, training', 'rate 0.01, validation']
    """

    lines_: list[Line2D]

    def __init__(
        self,
        loss: ArrayLike,
        *,
        validation_loss: ArrayLike | None = None,
        validation_score: ArrayLike | None = None,
        name: str | None = None,
    ):
        self.loss = loss
        self.validation_loss = validation_loss
        self.validation_score = validation_score
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: MLPClassifier | MLPRegressor,
        *,
        name: str | None = None,
        ax: Axes | None = None,
        curve: Literal["loss", "score"] = "loss",
        log_scale: bool = False,
        line_kw: dict | None = None,
    ) -> Self:
        """Draw the curves of a fitted model. For several models on one axis, pass the same `ax` to each call.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Fitted by a solver that counts epochs: any but 'lbfgs'.
        name : str, default=None
            What the legend calls the model.
        ax, curve, log_scale, line_kw
            As in `plot`.

        Returns
        -------
        display : LossCurveDisplay
        """
        check_model(estimator)
        if not hasattr(estimator, "loss_curve_"):
            raise ValueError(
                f"This {type(estimator).__name__} has no loss_curve_: solver={estimator.solver!r} keeps none. Collect "
                "the losses by a callback, and pass them to LossCurveDisplay(losses).plot()."
            )
        display = cls(
            estimator.loss_curve_,
            validation_loss=getattr(estimator, "validation_loss_curve_", None),
            validation_score=getattr(estimator, "validation_scores_", None),
            name=name,
        )
        return display.plot(ax, curve=curve, log_scale=log_scale, line_kw=line_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        curve: Literal["loss", "score"] = "loss",
        log_scale: bool = False,
        line_kw: dict | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where; None: on a new figure.
        curve : {'loss', 'score'}, default='loss'
            'loss': the training loss, with the penalty, and, dashed, the validation loss, where there is one. 'score':
            the validation score.
        log_scale : bool, default=False
            Logarithmic scale of y.
        line_kw : dict, default=None
            Passed to matplotlib's `Axes.plot`.

        Returns
        -------
        display : LossCurveDisplay
            This one.
        """
        check_choice("curve", curve, ("loss", "score"))
        if curve == "score" and self.validation_score is None:
            raise ValueError(
                "got curve='score' of a model without validation scores. Fit it with early_stopping=True or with X_val "
                "and y_val."
            )
        ax, style = self._begin(ax), keywords(line_kw, "lines.Line2D")
        self.lines_ = []
        if curve == "loss":
            self._draw(self.loss, "training", style)
            if self.validation_loss is not None:
                dashed = {"color": self.lines_[0].get_color(), "linestyle": "--"}
                self._draw(self.validation_loss, "validation", {**dashed, **style})
        else:
            self._draw(self.validation_score, "validation", style)
        if log_scale:
            ax.set_yscale("log")
        self._count("Epoch")
        ax.set_ylabel("Loss" if curve == "loss" else "Validation score")
        ax.legend()
        return self

    def _draw(self, values, part, style):
        label = part if self.name is None else f"{self.name}, {part}"
        marker = "o" if len(values) == 1 else None  # a line through one point is nothing
        style = {"label": label, "marker": marker, **style}
        self.lines_ += self.ax_.plot(np.arange(1, len(values) + 1), values, **style)
