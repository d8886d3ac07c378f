"""The equations at a caller's fingertips: everything that one pass through a model computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp._passes import warn_of_overflow

if TYPE_CHECKING:
    from fastbp.mlp import MLPClassifier, MLPRegressor


@dataclass(frozen=True)
class Backprop:
    """One pass, with the book's names; the index of each list is the layer, 0 the inputs.

    Attributes
    ----------
    z, a, delta : lists of ndarray (n_samples, size[l])
        Weighted inputs, activations, and delta[l] = dC/dz[l]; a[0] is X, z[0] and delta[0] are None.
    dW : list of ndarray (size[l], size[l-1])
        Derivatives of the loss with respect to W[l] = ``coefs_[l-1].T``; dW[0] is None.
    db : list of ndarray (size[l],)
        Derivatives with respect to b[l] = ``intercepts_[l-1]``; db[0] is None.
    loss : float
        The loss without penalty, summed (not averaged) over the samples, each times its weight; so are dW and db.
    """

    z: list[NDArray | None]
    a: list[NDArray]
    delta: list[NDArray | None]
    dW: list[NDArray | None]
    db: list[NDArray | None]
    loss: float


def backprop(
    model: MLPClassifier | MLPRegressor,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    loss: Literal["squared_error"] | None = None,
) -> Backprop:
    """Run one sample or a batch forward and backward through a fitted model, and keep everything.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Fitted.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets, as `fit` takes them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples in the sums.
    loss : {'squared_error'} or None, default=None
        None: the model's own loss. 'squared_error': the quadratic cost, half the squared distance of the outputs to the
        targets (0 or 1 for classes), on the model's own output activation; with logistic outputs, the pair that
        saturates.

    Returns
    -------
    Backprop
        Lists z, a, delta, dW, db by layer and the summed loss, in the precision of the model's weights.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ValueError
        If `loss` is not one of these.

    References
    ----------
    Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323 (1986).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastbp import MLPClassifier, backprop
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(hidden_layer_sizes=(5,), max_iter=500, random_state=0).fit(X, y)
    >>> computed = backprop(model, X, y)
    >>> [dW.shape for dW in computed.dW[1:]]
    [(5, 4), (3, 5)]
    """
    if loss not in (None, "squared_error"):
        raise ValueError(f"got loss={loss!r}, expected 'squared_error' or None for the model's own.")
    network, X, y, sample_weight = model._network_and_data(X, y, sample_weight, loss)
    computed = Backprop(**network.backprop(X, y, sample_weight))
    by_layer = computed.z, computed.a, computed.delta, computed.dW, computed.db
    arrays: list = [computed.loss, *(array for arrays in by_layer for array in arrays[1:])]
    if not all(np.isfinite(array).all() for array in arrays):
        warn_of_overflow("derivatives or sums")
    return computed
