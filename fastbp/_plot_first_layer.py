"""What the units of the first layer look for, as images."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from fastbp._plot import SIGNED, Display, check_model, largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage

    from fastbp.mlp import MLPClassifier, MLPRegressor


class FirstLayerDisplay(Display):
    """The weights of each unit of the first layer as an image, side by side, row by row.

    Use `from_estimator` to make one.

    Parameters
    ----------
    images : ndarray of shape (n_units, height, width)

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
        All of them, a line of NaN between two.
    colorbar_ : matplotlib Colorbar

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import FirstLayerDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(12, learning_rate_init=0.01, random_state=0).fit(X / 16, y)
    >>> display = FirstLayerDisplay.from_estimator(model, (8, 8), n_columns=4)
    >>> display.images.shape, display.image_.get_array().shape
    ((12, 8, 8), (26, 35))
    """

    image_: AxesImage
    colorbar_: Colorbar

    def __init__(self, images: NDArray):
        self.images = images

    @classmethod
    def from_estimator(
        cls,
        estimator: MLPClassifier | MLPRegressor,
        image_shape: tuple[int, int],
        *,
        ax: Axes | None = None,
        n_columns: int | None = None,
        image_kw: dict | None = None,
    ) -> Self:
        """Draw the first layer of a fitted model.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Fitted, on images whose rows of pixels follow each other.
        image_shape : tuple of two ints
            Height and width of the images.
        ax, n_columns, image_kw
            As in `plot`.

        Returns
        -------
        display : FirstLayerDisplay
        """
        check_model(estimator)
        W = estimator.coefs_[0].T
        if np.shape(image_shape) != (2,) or min(image_shape) < 1 or np.prod(image_shape) != W.shape[1]:
            raise ValueError(
                f"got image_shape={image_shape!r}, expected (height, width) with {W.shape[1]} pixels in all."
            )
        height, width = map(index, image_shape)
        return cls(W.reshape(-1, height, width)).plot(ax, n_columns=n_columns, image_kw=image_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_columns: int | None = None,
        image_kw: dict | None = None,
    ) -> Self:
        """Draw the images, in one scale of colours, symmetric about 0.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where; None: on a new figure.
        n_columns : int, default=None
            Images in a row; None: as many as make the whole nearly a square.
        image_kw : dict, default=None
            Passed to matplotlib's `Axes.imshow`.

        Returns
        -------
        display : FirstLayerDisplay
            This one.
        """
        images = np.asarray(self.images)
        n_units, height, width = images.shape
        n_columns = int(np.ceil(np.sqrt(n_units))) if n_columns is None else index(n_columns)
        if n_columns < 1:
            raise ValueError(f"got n_columns={n_columns}, expected at least 1.")
        n_rows = -(-n_units // n_columns)
        sheet = np.full((n_rows, height + 1, n_columns, width + 1), np.nan)
        for unit, image in enumerate(images):
            sheet[unit // n_columns, :height, unit % n_columns, :width] = image
        sheet = sheet.reshape(n_rows * (height + 1), n_columns * (width + 1))[:-1, :-1]
        end, image_kw = largest(images), image_kw or {}
        scale = {} if "norm" in image_kw else {"vmin": -end, "vmax": end}
        ax = self._begin(ax)
        self.image_ = ax.imshow(sheet, **{"cmap": SIGNED, **scale, **image_kw})
        ax.set(xticks=[], yticks=[], facecolor="0.75")  # NaN is transparent
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax, label="Weight W[1]")
        return self
