"""MLPRegressor: real targets in, means, medians or quantiles out."""

from collections.abc import Callable
from os import PathLike
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, r2_score

from fastbp._docs import with_shared_text
from fastbp._estimator import BaseMLP
from fastbp._losses import check_range_of_y, regressor_loss
from fastbp._methods import of_stochastic_solvers, validated
from fastbp._options import REGRESSOR_CONSTRAINTS


@with_shared_text
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron that minimises the squared error, or another loss, of real targets.

    The parameters, attributes and methods of :class:`sklearn.neural_network.MLPRegressor` are here, and with the
    same `random_state` so are its numbers, to rounding. All parameters after `max_fun` are added, and off by default.

    Parameters
    ----------
    loss : str or callable, default='squared_error'
        'squared_error' is half of it (mean over outputs), for the mean; 'absolute_error' is for the median; 'huber' is
        the first up to `huber_delta` and a line from there; 'quantile' is the pinball loss at the level `quantile`.
        'poisson' (y >= 0) and 'gamma' (y > 0) are half the deviances, with an exponential output. A callable
        ``loss(y, raw)`` takes targets and outputs, both (n, n_outputs), and returns the loss of each row, (n,), and
        its derivative by `raw`, (n, n_outputs); `fit` checks the derivative once.

    {parameters}

    huber_delta : float, default=1.0
        Size of the error where the Huber loss turns from a square into a line.

    quantile : float or list of float, default=0.5
        Level of the quantile loss, in (0, 1). An ascending list predicts a column for each level from one y, sorted in
        each row so that they never cross; `score` is then the mean of their D2 pinball scores.

    Attributes
    ----------
    {attributes}

    n_outputs_ : int
        Units of the output layer: columns of y, or levels of `quantile`.

    out_activation_ : str
        Activation of the output layer: 'identity' or 'exp'.

    See Also
    --------
    MLPClassifier : The same for class labels.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).

    Koenker and Bassett, "Regression quantiles", Econometrica 46 (1978).

    Chernozhukov, Fernández-Val and Galichon, "Quantile and probability curves without crossing", Econometrica 78
    (2010).

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
    >>> model = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", tol=1, random_state=0).fit(X, y)
    >>> model.predict(X[:3]).shape
    (3,)
    >>> model.score(X, y) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict] = REGRESSOR_CONSTRAINTS

    def __init__(
        self,
        loss: str | Callable = "squared_error",
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: str | list[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float | list[float] = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: str | Callable[[int, int], float] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dtype: Literal["float32", "float64"] | None = None,
        n_threads: int | None = None,
        dropout: float | list[float] = 0.0,
        input_dropout: float = 0.0,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema_decay: float | None = None,
        rho: float = 0.9,
        warmup: float = 0,
        scoring: str | Callable | None = None,
        restore_best: bool | None = None,
        max_time: float | None = None,
        callbacks: Callable | list[Callable] | None = None,
        checkpoint: str | PathLike | None = None,
        checkpoint_every: int = 1,
        resume_from: str | PathLike | None = None,
        huber_delta: float = 1.0,
        quantile: float | list[float] = 0.5,
    ):
        self._keep(locals())

    @of_stochastic_solvers
    @validated
    @with_shared_text
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on these rows, going on from the present weights and optimizer state.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        {validation}

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=True)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the predicted targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Of the precision of the model; a column for each of a list of quantiles, ascending in each row.
        """
        return self._decode(self._answer(X))

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 of the predictions; for a list of quantiles, the mean of their D2 pinball scores.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the score.

        Returns
        -------
        score : float
            1 at best, 0 for a constant prediction.
        """
        return self._score_predictions(y, self.predict(X), sample_weight)

    # ---- what BaseMLP asks of targets

    def _learn_outputs(self, y, incremental):
        n_columns = 1 if y.ndim == 1 else y.shape[1]
        self._loss = regressor_loss(self, n_columns)
        self.n_outputs_ = len(self._loss.settings["levels"]) if self._loss.sorts else n_columns

    def _encode(self, y):
        check_range_of_y(self._loss.name, y)
        targets = y.reshape(len(y), -1)
        return np.repeat(targets, self.n_outputs_, axis=1) if self._loss.sorts else targets

    def _target_weight(self, y):
        return None

    def _form(self):
        return "plain"

    def _decode(self, outputs):
        if self._loss.sorts:
            outputs.sort(axis=1)
            return outputs
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _score_outputs(self, rows, outputs):
        return self._score_predictions(rows.y, self._decode(outputs), rows.sample_weight)

    def _score_predictions(self, y, predictions, sample_weight):
        if not self._loss.sorts:
            return r2_score(y, predictions, sample_weight=sample_weight)
        levels = self._loss.settings["levels"]
        scores = [
            d2_pinball_score(y, predictions[:, i], sample_weight=sample_weight, alpha=level)
            for i, level in enumerate(levels)
        ]
        return float(np.mean(scores))

    def _stratify(self, targets):
        return None
