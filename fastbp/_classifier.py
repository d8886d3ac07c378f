"""MLPClassifier: class labels in, probabilities out."""

from collections.abc import Callable
from os import PathLike
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fastbp._class_weight import check_class_weight, class_weights, label_weights
from fastbp._docs import with_shared_text
from fastbp._estimator import BaseMLP
from fastbp._losses import classifier_loss
from fastbp._methods import of_stochastic_solvers, validated
from fastbp._options import CLASSIFIER_CONSTRAINTS


def binarizer_of(y):
    """LabelBinarizer().fit(y), which sorts a vector of integers three times to learn its kind."""
    binarizer = LabelBinarizer()
    if y.ndim != 1 or y.dtype.kind not in "biu":
        return binarizer.fit(y)
    binarizer.classes_ = np.unique(y)
    binarizer.y_type_ = "multiclass" if len(binarizer.classes_) > 2 else "binary"
    binarizer.sparse_input_ = False
    return binarizer


@with_shared_text
class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron that minimises the cross-entropy of class labels.

    The parameters, attributes and methods of :class:`sklearn.neural_network.MLPClassifier` are here, and with the
    same `random_state` so are its numbers, to rounding. All parameters after `max_fun` are added, and off by default.

    Parameters
    ----------
    {parameters}

    loss : {'log_loss', 'focal', 'squared_error'} or callable, default='log_loss'
        'log_loss' is the cross-entropy. 'focal' counts rows less that are right already, by `focal_gamma`.
        'squared_error' is the quadratic cost, half the squared distance to targets of 0 and 1, on logistic outputs,
        for several classes too; `predict_proba` then divides by their sum. A callable ``loss(y, raw)`` takes the
        targets as 0 and 1, and the outputs before their activation, both (n, n_outputs), and returns the loss of each
        row, (n,), and its derivative by `raw`, (n, n_outputs); `fit` checks the derivative once.

    class_weight : dict, list of dicts, 'balanced' or None, default=None
        Weight of each class, ``{class: weight}``; it multiplies `sample_weight`, in validation too. 'balanced'
        weights classes by n_samples / (n_classes * their count). For multilabel targets a list of dicts
        ``{0: weight, 1: weight}``, one per label, or 'balanced' for each.

    label_smoothing : float, default=0.0
        In [0, 1): so much of each target is spread evenly over all classes ('log_loss', 'focal').

    focal_gamma : float, default=2.0
        Exponent of (1 - probability) in the focal loss; 0 is the cross-entropy.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.

    {attributes}

    n_outputs_ : int
        Units of the output layer: 1 for two classes.

    out_activation_ : str
        Activation of the output layer: 'softmax'; 'logistic' for two classes, multilabel targets and 'squared_error'.

    See Also
    --------
    MLPRegressor : The same for real targets.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV (2017).

    Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception architecture for computer vision",
    CVPR (2016): label smoothing.

    Examples
    --------
    >>> from fastbp import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=600, random_state=0)).fit(X, y)
    >>> model.predict(X[[0, 50, 100]])
    array([0, 1, 2])
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict] = CLASSIFIER_CONSTRAINTS
    _class_weights = None  # set by fit

    def __init__(
        self,
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
        loss: str | Callable = "log_loss",
        class_weight: dict | list[dict] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
        focal_gamma: float = 2.0,
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
        classes: ArrayLike | None = None,
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
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; some of `classes` may be missing.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; needed in the first call.
        {validation}

        Returns
        -------
        self : MLPClassifier
        """
        # classes_ alone are left of a first call that failed in between
        if _check_partial_fit_first_call(self, classes) or not hasattr(self, "_label_binarizer"):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else self.classes_)
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=True)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable label of each row (multilabel: those with a probability above one half).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        self._check_is_fitted()
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return self._decode(self._answer(X))
        return self.classes_.take(self._answer(X, form="classes"), mode="clip")

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Columns as in `classes_`; rows sum to 1, except for multilabel targets.
        """
        self._check_is_fitted()
        return self._answer(X, form=self._form())

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    # ---- what BaseMLP asks of targets

    def _learn_outputs(self, y, incremental):
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = binarizer_of(y)
            self.classes_ = self._label_binarizer.classes_
        elif self.warm_start and set(unique_labels(y)) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {unique_labels(y)}"
            )
        kind = self._label_binarizer.y_type_
        self.n_outputs_ = 1 if kind == "binary" else len(self._label_binarizer.classes_)
        multilabel = kind.startswith("multilabel")
        pairs = self._class_weights = None
        if self.class_weight is not None:
            check_class_weight(self.class_weight, multilabel, incremental)
            self._check_labels(y)
            if multilabel:
                pairs = label_weights(self.class_weight, self._label_binarizer.transform(y))
            else:
                self._class_weights = class_weights(self.class_weight, self.classes_, y)
        self._loss = classifier_loss(self, kind, pairs)

    def _check_labels(self, y):
        labels = unique_labels(y)
        if len(np.setdiff1d(labels, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {labels}."
            )

    def _encode(self, y):
        """Indicators of the labels; for softmax their numbers, which the network takes in place of rows with one 1."""
        if y.ndim == 1 and (self._loss.takes_classes or self.n_outputs_ == 1):
            number = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
            if (self.classes_[number] == y).all():
                return number.reshape(-1, 1)
        self._check_labels(y)
        return self._label_binarizer.transform(y)

    def _target_weight(self, y):
        if self._class_weights is None:
            return None
        return self._class_weights[np.searchsorted(self.classes_, y)]

    def _form(self):
        if self.n_outputs_ == 1:
            return "two_columns"
        # one logistic output per class: none of them knows of the others
        alone = self.out_activation_ == "logistic" and self._label_binarizer.y_type_ == "multiclass"
        return "shares" if alone else "plain"

    def _decode(self, outputs):
        return self._label_binarizer.inverse_transform(outputs.ravel() if self.n_outputs_ == 1 else outputs)

    def _score_outputs(self, rows, outputs):
        """accuracy_score, from the numbers of the classes."""
        if self._label_binarizer.y_type_ == "multiclass":
            truth = rows.targets[:, 0] if self._loss.takes_classes else rows.targets.argmax(axis=1)
            right = outputs.argmax(axis=1) == truth
        else:
            right = ((outputs > 0.5) & (len(self.classes_) > 1) == rows.targets).all(axis=1)
        return np.average(right, weights=rows.sample_weight)

    def _stratify(self, targets):
        # "True" and "False", which scikit-learn names in its error: it makes them, row by row, of a column of booleans
        return targets[:, 0].astype(bool).astype(str) if self.n_outputs_ == 1 else None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
