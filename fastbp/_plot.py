"""What the displays have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastbp._estimator import BaseMLP
from fastbp._optional import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

SIGNED = "RdBu_r"  # red above 0, white at 0, blue below: told apart by readers who are colour-blind, too


def matplotlib(module: str):
    """A module of matplotlib, or how to install it."""
    return optional(f"matplotlib.{module}", 'pip install "fastbp[plot]"')


def check_model(model) -> None:
    """Raise unless it is a network, and fitted."""
    if not isinstance(model, BaseMLP):
        raise TypeError(
            f"got {type(model).__name__}, expected an MLPClassifier or MLPRegressor of fastbp. Of a Pipeline pass the "
            "last step, model[-1], with X as model[:-1].transform(X) gives it."
        )
    model._check_is_fitted()


def check_choice(name: str, value, choices) -> None:
    if value not in choices:
        raise ValueError(f"got {name}={value!r}, expected {' or '.join(map(repr, choices))}.")


def largest(*arrays: NDArray) -> float:
    """The largest magnitude, where a scale that is symmetric about 0 ends; 1 if all are 0."""
    end = float(np.max([np.abs(array).max() for array in arrays]))
    if not np.isfinite(end):
        raise ValueError("got weights that are not finite, expected numbers that can be drawn: train again.")
    return end or 1.0


def keywords(given: dict | None, artist: str) -> dict:
    """What is passed on to a class of matplotlib, under the first of its names: "c" and "color" are one."""
    module, _, name = artist.rpartition(".")
    return matplotlib("cbook").normalize_kwargs(given, getattr(matplotlib(module), name))


class Display:
    """A drawing on one Axes."""

    ax_: Axes
    figure_: Figure | SubFigure

    def _begin(self, ax: Axes | None) -> Axes:
        """Keep the Axes to draw on, a new one for None."""
        if ax is None:
            _, ax = matplotlib("pyplot").subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax

    def _count(self, label: str) -> None:
        """Let x be the numbers, from 1, of what the label says."""
        self.ax_.set_xlabel(label)
        self.ax_.xaxis.set_major_locator(matplotlib("ticker").MaxNLocator(integer=True, min_n_ticks=1))
