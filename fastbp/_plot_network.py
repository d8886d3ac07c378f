"""A small network as circles and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastbp._model import sizes_of
from fastbp._plot import SIGNED, Display, check_model, keywords, largest, matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.colorbar import Colorbar

    from fastbp.mlp import MLPClassifier, MLPRegressor

MAX_UNITS, MAX_LAYERS, MAX_NAME = 20, 10, 25  # what still can be read
FONT_SIZE, BESIDE = 10, 12  # points; from the middle of a unit to its name


class NetworkDisplay(Display):
    """A diagram of a small network: units are circles, coloured by their bias, and weights are lines between them.

    A line is red where the weight is positive and blue where it is negative; the larger the weight, the thicker and
    darker the line. The colours end at the largest weight; a bias beyond it has the last one. At most 20 units a layer
    and 10 layers are drawn, and 25 characters of a name. Use `from_estimator` to make one.

    Parameters
    ----------
    coefs, intercepts : lists of array-like
        ``coefs_`` and ``intercepts_`` of a model.
    input_names, output_names : array-like of str, default=None
        Written beside the units of the first and of the last layer.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib LineCollection
        The weights of each layer, the smallest first.
    units_ : list of matplotlib PathCollection
        The circles of each layer, the inputs first.
    colorbar_ : matplotlib Colorbar

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import NetworkDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = MLPClassifier((5, 4), solver="lbfgs", alpha=0.1, max_iter=500, random_state=0).fit(X, y)
    >>> display = NetworkDisplay.from_estimator(model)
    >>> [len(units.get_offsets()) for units in display.units_]
    [4, 5, 4, 3]
    """

    lines_: list[LineCollection]
    units_: list[PathCollection]
    colorbar_: Colorbar

    def __init__(
        self,
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        *,
        input_names: ArrayLike | None = None,
        output_names: ArrayLike | None = None,
    ):
        self.coefs = coefs
        self.intercepts = intercepts
        self.input_names = input_names
        self.output_names = output_names

    @classmethod
    def from_estimator(
        cls, estimator: MLPClassifier | MLPRegressor, *, ax: Axes | None = None, line_kw: dict | None = None
    ) -> Self:
        """Draw a fitted model, with the names of its inputs and its classes, where it knows them.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Fitted.
        ax, line_kw
            As in `plot`.

        Returns
        -------
        display : NetworkDisplay
        """
        check_model(estimator)
        classes = getattr(estimator, "classes_", None)
        if classes is not None and estimator.n_outputs_ == 1:
            classes = classes[-1:]  # the one output is the probability of the second
        names = getattr(estimator, "feature_names_in_", None)
        display = cls(estimator.coefs_, estimator.intercepts_, input_names=names, output_names=classes)
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: dict | None = None) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where; None: on a new figure.
        line_kw : dict, default=None
            Passed to matplotlib's `LineCollection`.

        Returns
        -------
        display : NetworkDisplay
            This one.
        """
        coefs, intercepts = ([np.asarray(p) for p in them] for them in (self.coefs, self.intercepts))
        sizes = sizes_of(coefs, intercepts)
        if max(sizes) > MAX_UNITS or len(sizes) > MAX_LAYERS:
            raise ValueError(
                f"got a network with layers of {sizes} units, expected at most {MAX_UNITS} units a layer and "
                f"{MAX_LAYERS} layers: more cannot be read. DistributionDisplay shows networks of any size."
            )
        end, end_of_biases = largest(*coefs), largest(*intercepts)
        ax = self._begin(ax)
        places = [np.column_stack([np.full(n, l), (n - 1) / 2 - np.arange(n)]) for l, n in enumerate(sizes)]
        style: dict[str, Any] = {"cmap": SIGNED, "norm": matplotlib("colors").Normalize(-end, end), "zorder": 1}
        style |= keywords(line_kw, "collections.LineCollection")
        self.lines_ = [
            self._weights(ax, *layer, end, style) for layer in zip(places[:-1], places[1:], coefs, strict=True)
        ]
        circle: dict[str, Any] = {"s": 200, "edgecolors": "black", "zorder": 2}
        xs, ys = zip(*(place.T for place in places), strict=True)
        self.units_ = [ax.scatter(xs[0], ys[0], c="white", **circle)]
        for x, y, b in zip(xs[1:], ys[1:], intercepts, strict=True):
            self.units_.append(ax.scatter(x, y, c=b, cmap=style["cmap"], norm=style["norm"], **circle))
        extend = "both" if end_of_biases > end else "neither"
        label = "Weight (line), bias (circle)"
        self.colorbar_ = self.figure_.colorbar(self.units_[-1], ax=ax, label=label, extend=extend)
        self._write(places)
        return self

    @staticmethod
    def _weights(ax, tails, heads, coefs, end, style):
        """Lines from each unit of a layer to each of the next one; the largest are drawn last, on top."""
        order = np.argsort(np.abs(coefs), axis=None)
        tail, head = np.unravel_index(order, coefs.shape)
        values = coefs[tail, head]
        style = {"linewidth": 0.5 + 3 * np.abs(values) / end, **style}
        lines = matplotlib("collections").LineCollection(np.stack([tails[tail], heads[head]], axis=1), **style)
        lines.set_array(values)
        ax.add_collection(lines)
        return lines

    def _write(self, places):
        """Name the layers below, and the units of the first and last beside."""
        sides = [_shortened(names) for names in (self.input_names, self.output_names)]
        size = self._make_room(len(places) - 1, *(max(map(_width, names), default=0) for names in sides))
        text = {"textcoords": "offset points", "va": "center", "fontsize": size, "parse_math": False}
        for names, units, x, align in zip(
            sides, (places[0], places[-1]), (-BESIDE, BESIDE), ("right", "left"), strict=True
        ):
            for name, unit in zip(names, units, strict=False):
                self.ax_.annotate(name, unit, (x, 0), ha=align, **text)
        bottom = min(units[-1, 1] for units in places)
        for l, units in enumerate(places):
            self.ax_.annotate(f"a[{l}]", (units[0, 0], bottom), (0, -24), ha="center", **text)
        self.ax_.margins(y=0.1)
        self.ax_.set_axis_off()

    def _make_room(self, length, left, right):
        """Let x end where names of such widths do, beside layers from 0 to `length`; return the size of their font.

        They take a little more than half of the whole width at most.
        """
        whole = 72 / self.figure_.dpi * self.ax_.get_window_extent().width
        scale = min(1, 0.55 * whole / max(left + right, 1))
        left, right = ((1.5 * BESIDE + scale * width) / whole for width in (left, right))
        unit = length / max(1 - left - right, 0.1)
        self.ax_.set_xlim(-left * unit, length + right * unit)
        return scale * FONT_SIZE


def _shortened(names):
    names = [] if names is None else [str(name) for name in names]
    return [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in names]


def _width(name):
    """In points."""
    font = matplotlib("font_manager").FontProperties(size=FONT_SIZE)
    return matplotlib("textpath").text_to_path.get_text_width_height_descent(name, font, False)[0]
