"""Histograms of weights and of activations, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp._plot import Display, check_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import StepPatch

    from fastbp.mlp import MLPClassifier, MLPRegressor


class DistributionDisplay(Display):
    """Histograms of the weights, or of the activations on given rows, one above the other for each layer.

    Use `from_estimator` to make one.

    Parameters
    ----------
    values : dict of str to array-like
        What to count, by the name of its layer; the first is drawn lowest.
    label : str
        What the values are, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    counts_ : dict of str to ndarray of shape (n_bins,)
        The number of values in each bin. Each histogram is as high as its fullest bin: shapes compare, not heights.
    edges_ : ndarray of shape (n_bins + 1,)
        The edges of the bins, the same for all layers.
    histograms_ : list of matplotlib StepPatch

    Notes
    -----
    Saturated units show as heaps at the ends, -1 and 1 for tanh, 0 and 1 for logistic; units of relu that are off, as a
    heap at 0.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import DistributionDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((10, 5), activation="tanh", learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> figure, (left, right) = plt.subplots(ncols=2)
    >>> DistributionDisplay.from_estimator(model, ax=left).counts_["W[2]"].sum()
    np.int64(50)
    >>> list(DistributionDisplay.from_estimator(model, X, ax=right).counts_)
    ['a[1]', 'a[2]', 'a[3]']
    """

    counts_: dict[str, NDArray]
    edges_: NDArray
    histograms_: list[StepPatch]

    def __init__(self, values: dict[str, ArrayLike], label: str):
        self.values = values
        self.label = label

    @classmethod
    def from_estimator(
        cls,
        estimator: MLPClassifier | MLPRegressor,
        X: ArrayLike | None = None,
        *,
        ax: Axes | None = None,
        bins: int = 50,
        log_scale: bool = False,
        stairs_kw: dict | None = None,
    ) -> Self:
        """Draw the histograms of a fitted model.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Fitted.
        X : array-like of shape (n_samples, n_features), default=None
            None: histograms of the weights W[l]. Rows: of the activations a[l] of all layers on them, the outputs too.
        ax, bins, log_scale, stairs_kw
            As in `plot`.

        Returns
        -------
        display : DistributionDisplay
        """
        check_model(estimator)
        if X is None:
            label, values = "Weight", {f"W[{l}]": coefs for l, coefs in enumerate(estimator.coefs_, start=1)}
        else:
            layers = range(1, estimator.n_layers_)
            label, values = "Activation", {f"a[{l}]": estimator._answer(X, layer=l) for l in layers}
        return cls(values, label).plot(ax, bins=bins, log_scale=log_scale, stairs_kw=stairs_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        bins: int = 50,
        log_scale: bool = False,
        stairs_kw: dict | None = None,
    ) -> Self:
        """Draw the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where; None: on a new figure.
        bins : int, default=50
            Number of bins between the smallest and the largest of all values.
        log_scale : bool, default=False
            Heights are those of log(1 + count), which shows what stands beside a heap.
        stairs_kw : dict, default=None
            Passed to matplotlib's `Axes.stairs`.

        Returns
        -------
        display : DistributionDisplay
            This one.
        """
        ax = self._begin(ax)
        values = {name: np.ravel(value) for name, value in self.values.items()}
        self.edges_ = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
        self.counts_ = {name: np.histogram(value, self.edges_)[0] for name, value in values.items()}
        style = {"fill": True, "color": "C0", **(stairs_kw or {})}
        self.histograms_ = []
        for place, counts in enumerate(self.counts_.values()):
            heights = np.log1p(counts) if log_scale else counts
            heights = place + 0.9 * heights / heights.max()
            self.histograms_.append(ax.stairs(heights, self.edges_, baseline=place, **style))
        ax.set_yticks(range(len(values)), list(values))
        ax.set(xlabel=self.label, ylabel="log(1 + count), by layer" if log_scale else "Count, by layer")
        return self
