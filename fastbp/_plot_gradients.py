"""How far the gradient gets: norms of delta[l] and dW[l] by layer and epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp._backprop import backprop
from fastbp._plot import Display, check_choice, check_model, keywords, matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from fastbp._callbacks import Epoch
    from fastbp.mlp import MLPClassifier, MLPRegressor

_LABELS = {"delta": "Mean norm of delta[l]", "dW": "Norm of dW[l]"}


def norms(model, X, y) -> tuple[NDArray, NDArray]:
    """Of delta[l], the mean over the rows, and of dW[l], that of the mean loss; one for each layer from 1."""
    computed = backprop(model, X, y)
    all_delta: list = computed.delta[1:]
    all_dW: list = computed.dW[1:]
    delta = [np.linalg.norm(d, axis=1).mean() for d in all_delta]
    dW = [np.linalg.norm(d) / len(computed.a[0]) for d in all_dW]
    return np.array(delta), np.array(dW)


class GradientFlow:
    """A callback that writes down the gradients of each epoch, for `GradientFlowDisplay`.

    After each epoch it takes the same rows forward and backward through the network as it is then, without penalty and
    dropout. It changes nothing in training; a few hundred rows suffice, and cost little. Calls of `partial_fit` and
    warm starts add to the record; another network needs another one. A clone of the model, as in GridSearchCV, fills
    its own copy: take it from ``best_estimator_.callbacks``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows to watch.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets, as `fit` takes them.

    Attributes
    ----------
    delta : list of ndarray of shape (n_layers - 1,)
        For each epoch the Euclidean norm of delta[l], layer 1 first: the mean over the rows.
    dW : list of ndarray of shape (n_layers - 1,)
        The same of dW[l], the derivative of the mean loss of the rows with respect to W[l] (Frobenius norm).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import GradientFlow
    >>> X, y = load_iris(return_X_y=True)
    >>> flow = GradientFlow(X[::3], y[::3])
    >>> model = MLPClassifier((10, 10, 10), callbacks=flow, learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> len(flow.delta) == model.n_iter_, flow.delta[0].shape
    (True, (4,))
    """

    def __init__(self, X: ArrayLike, y: ArrayLike):
        self.X = X
        self.y = y
        self.delta: list[NDArray] = []
        self.dW: list[NDArray] = []

    def __call__(self, epoch: Epoch) -> None:
        delta, dW = norms(epoch.model, self.X, self.y)
        if self.delta and len(self.delta[0]) != len(delta):
            raise ValueError(
                f"This GradientFlow has watched a network of {len(self.delta[0])} layers of weights, and now got one "
                f"of {len(delta)}. Pass a new one."
            )
        self.delta.append(delta)
        self.dW.append(dW)


class GradientFlowDisplay(Display):
    """Norms of the gradients by layer and epoch: where they vanish, or saturated units let nothing through.

    Use `from_recorder` for the course of a training, or `from_estimator` for a network as it is now.

    Parameters
    ----------
    delta, dW : array-like of shape (n_epochs, n_layers - 1)
        The norms, layer 1 first. A single epoch is drawn over the layers, several over the epochs, a line for each
        layer.
    name : str, default=None
        What the legend calls the model, for a single epoch.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One for each layer, or a single one.

    Notes
    -----
    The scale is logarithmic: a norm of 0, as when no unit of a layer is active for any row, is below every picture.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import GradientFlow, GradientFlowDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> flow = GradientFlow(X[::3], y[::3])
    >>> model = MLPClassifier((10, 10, 10), callbacks=flow, learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> figure, (left, right) = plt.subplots(ncols=2)
    >>> display = GradientFlowDisplay.from_recorder(flow, ax=left, quantity="dW")
    >>> len(display.lines_)
    4
    >>> display = GradientFlowDisplay.from_estimator(model, X, y, ax=right)
    >>> display.lines_[0].get_xdata().tolist()
    [1, 2, 3, 4]
    """

    lines_: list[Line2D]

    def __init__(self, delta: ArrayLike, dW: ArrayLike, *, name: str | None = None):
        self.delta = delta
        self.dW = dW
        self.name = name

    @classmethod
    def from_recorder(
        cls,
        recorder: GradientFlow,
        *,
        ax: Axes | None = None,
        quantity: Literal["delta", "dW"] = "delta",
        line_kw: dict | None = None,
    ) -> Self:
        """Draw what a `GradientFlow` has written down.

        Parameters
        ----------
        recorder : GradientFlow
            After training with it among the `callbacks`.
        ax, quantity, line_kw
            As in `plot`.

        Returns
        -------
        display : GradientFlowDisplay
        """
        if not isinstance(recorder, GradientFlow):
            raise TypeError(
                f"got {type(recorder).__name__}, expected a GradientFlow that was among the callbacks of a model. "
                "from_estimator draws a model as it is."
            )
        if not recorder.delta:
            raise ValueError(
                "got a GradientFlow without a record: pass it to a model, callbacks=flow, and fit that. What clones "
                "the model, as a search does, fills a copy: take it from best_estimator_.callbacks."
            )
        return cls(np.array(recorder.delta), np.array(recorder.dW)).plot(ax, quantity=quantity, line_kw=line_kw)

    @classmethod
    def from_estimator(
        cls,
        estimator: MLPClassifier | MLPRegressor,
        X: ArrayLike,
        y: ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
        quantity: Literal["delta", "dW"] = "delta",
        line_kw: dict | None = None,
    ) -> Self:
        """Draw the norms of a fitted model as it is now, by layer.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Fitted.
        X, y : array-like
            Rows and their targets.
        name : str, default=None
            What the legend calls the model; pass the same `ax` for several of them.
        ax, quantity, line_kw
            As in `plot`.

        Returns
        -------
        display : GradientFlowDisplay
        """
        check_model(estimator)
        delta, dW = norms(estimator, X, y)
        return cls(delta[None], dW[None], name=name).plot(ax, quantity=quantity, line_kw=line_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        quantity: Literal["delta", "dW"] = "delta",
        line_kw: dict | None = None,
    ) -> Self:
        """Draw the norms, on a logarithmic scale if any of them is not 0.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where; None: on a new figure.
        quantity : {'delta', 'dW'}, default='delta'
            The errors that flow back, or the gradients of the weights that they make.
        line_kw : dict, default=None
            Passed to matplotlib's `Axes.plot`.

        Returns
        -------
        display : GradientFlowDisplay
            This one.
        """
        check_choice("quantity", quantity, tuple(_LABELS))
        values = np.asarray(getattr(self, quantity))
        ax, style = self._begin(ax), keywords(line_kw, "lines.Line2D")
        if len(values) == 1:
            self._draw_over_layers(values[0], style)
        else:
            self._draw_over_epochs(values, style)
        if (values > 0).any():
            ax.set_yscale("log")
        ax.set_ylabel(_LABELS[quantity])
        return self

    def _draw_over_layers(self, values, style):
        layers = np.arange(1, len(values) + 1)
        self.lines_ = self.ax_.plot(layers, values, **{"marker": "o", "label": self.name, **style})
        self._count("Layer l")
        if self.name is not None:
            self.ax_.legend()

    def _draw_over_epochs(self, values, style):
        epochs, n_layers = np.arange(1, len(values) + 1), values.shape[1]
        colours = matplotlib("pyplot").get_cmap("viridis")(np.linspace(0, 0.9, n_layers))  # dark: next to the inputs
        self.lines_ = []
        for l, colour in enumerate(colours, start=1):
            self.lines_ += self.ax_.plot(epochs, values[:, l - 1], **{"color": colour, "label": str(l), **style})
        self._count("Epoch")
        self.ax_.legend(title="Layer l", loc="upper left", bbox_to_anchor=(1, 1))
