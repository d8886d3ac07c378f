"""MLPClassifier and MLPRegressor: scikit-learn's multilayer perceptrons, compiled."""

from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fastbp._estimator import BaseMLP, is_stochastic

Activation = Literal["identity", "logistic", "tanh", "relu"]
Solver = Literal["lbfgs", "sgd", "adam"]
LearningRate = Literal["constant", "invscaling", "adaptive"]


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron that minimises the cross-entropy of class labels.

    The parameters, attributes and methods are those of :class:`sklearn.neural_network.MLPClassifier`, and with the
    same `random_state` so are the numbers, to rounding. `dtype` and `n_threads` are added.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units in each hidden layer. An empty list gives logistic regression.

    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        f of the hidden layers: x, 1 / (1 + exp(-x)), tanh(x) or max(0, x).

    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        'adam' and 'sgd' learn from mini-batches; 'lbfgs', for small data, from all rows at once.

    alpha : float, default=0.0001
        L2 penalty: alpha / 2 times the sum of squared weights, divided by the (weighted) size of the batch, is added
        to its loss. Biases are free.

    batch_size : int or 'auto', default='auto'
        Rows in a mini-batch; 'auto' is min(200, n_samples). The last one of an epoch may be smaller.

    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of solver 'sgd': 'invscaling' divides `learning_rate_init` by the number of samples seen to the power
        of `power_t`; 'adaptive' divides the rate by 5 each time that progress ends, and stops below 1e-6.

    learning_rate_init : float, default=0.001
        Learning rate at the start, for 'sgd' and 'adam'.

    power_t : float, default=0.5
        Exponent of the 'invscaling' schedule.

    max_iter : int, default=200
        Epochs at most ('sgd', 'adam'), or iterations ('lbfgs').

    shuffle : bool, default=True
        Whether each epoch takes the rows in a new random order.

    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the validation split and the shuffling, in this order. The result does not
        depend on the number of threads.

    tol : float, default=1e-4
        An epoch counts as progress if it improves the best loss (or validation score) by `tol`. For 'lbfgs', the
        largest component of the gradient at which to stop.

    verbose : bool, default=False
        Print the loss of every epoch.

    warm_start : bool, default=False
        Start the next `fit` from the weights of the last one.

    momentum : float, default=0.9
        Momentum of 'sgd', between 0 and 1.

    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.

    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows (stratified for two classes), watch the accuracy on them instead of
        the training loss, and keep the weights of the best epoch. Ignored by 'lbfgs'.

    validation_fraction : float, default=0.1
        Part of the rows that `early_stopping` holds out.

    beta_1 : float, default=0.9
        Decay of Adam's first moment, in [0, 1).

    beta_2 : float, default=0.999
        Decay of Adam's second moment, in [0, 1).

    epsilon : float, default=1e-8
        Added to the denominator of Adam's step.

    n_iter_no_change : int or inf, default=10
        Epochs without progress after which training stops.

    max_fun : int, default=15000
        Evaluations of the loss at most ('lbfgs').

    dtype : {'float32', 'float64'} or None, default=None
        Precision of weights and arithmetic. None follows X: float32 for float32, float64 for all else. 'float32' is
        about twice as fast, and X of float64 is converted row by row, not copied.

    n_threads : int or None, default=None
        Threads at most; small networks use fewer. None is what the machine allows (affinity, cgroup quota,
        ``OMP_NUM_THREADS``, threadpoolctl), -1 all processors, -2 all but one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.

    coefs_ : list of n_layers_ - 1 arrays of shape (n_inputs, n_units)
        Weights into each layer. They are read at each prediction, so they may be changed.

    intercepts_ : list of n_layers_ - 1 arrays of shape (n_units,)
        Biases of each layer; like `coefs_`.

    loss_ : float
        Loss of the last epoch.

    loss_curve_ : list of float
        Loss of each epoch, penalty included ('sgd', 'adam').

    best_loss_ : float or None
        Least loss of an epoch; None with early stopping ('sgd', 'adam').

    validation_scores_ : list of float or None
        Accuracy on the validation rows after each epoch; None without early stopping ('sgd', 'adam').

    best_validation_score_ : float or None
        The highest of them ('sgd', 'adam').

    n_iter_ : int
        Epochs of the last `fit`, or iterations of 'lbfgs'.

    t_ : int
        Samples seen in training.

    n_features_in_ : int
        Columns of X.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had such.

    n_layers_ : int
        Layers, input and output included.

    n_outputs_ : int
        Units of the output layer.

    out_activation_ : str
        Activation of the output layer: 'softmax', or 'logistic' for two classes and for multilabel targets.

    See Also
    --------
    MLPRegressor : The same for real targets.

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

    loss = "log_loss"

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: Activation = "relu",
        *,
        solver: Solver = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: LearningRate = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
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
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dtype = dtype
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X and the labels y.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs; best scaled to mean 0 and variance 1.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a matrix of 0 and 1 for multilabel targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the loss of its batch.

        Returns
        -------
        self : MLPClassifier
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on these rows, going on from the present weights and optimizer state.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; some of `classes` may be missing.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the loss of its batch.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; needed in the first call.

        Returns
        -------
        self : MLPClassifier
        """
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable label of each row (multilabel: those with a probability above one half).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        return self._decode(self._outputs(X))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Columns as in `classes_`; rows sum to 1, except for multilabel targets.
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
        """
        return np.log(self.predict_proba(X))

    def _learn_outputs(self, y, incremental):
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        elif self.warm_start and set(unique_labels(y)) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {unique_labels(y)}"
            )
        kind = self._label_binarizer.y_type_
        self.n_outputs_ = 1 if kind == "binary" else len(self._label_binarizer.classes_)
        self.out_activation_ = "softmax" if kind == "multiclass" else "logistic"

    def _encode(self, y):
        """Indicators of the labels; for softmax their numbers, which the network takes in place of rows with one 1."""
        labels = unique_labels(y)
        if len(np.setdiff1d(labels, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {labels}."
            )
        if self.out_activation_ == "softmax" and y.ndim == 1:
            return np.searchsorted(self.classes_, y).reshape(-1, 1)
        return self._label_binarizer.transform(y)

    def _decode(self, outputs):
        return self._label_binarizer.inverse_transform(outputs.ravel() if self.n_outputs_ == 1 else outputs)

    def _validation_score(self, y, predictions, sample_weight):
        return accuracy_score(y, predictions, sample_weight=sample_weight)

    def _stratify(self, targets):
        return targets.astype(bool) if self.n_outputs_ == 1 else None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(MultiOutputMixin, RegressorMixin, BaseMLP):
    """Multilayer perceptron that minimises the squared error, or the Poisson deviance, of real targets.

    The parameters, attributes and methods are those of :class:`sklearn.neural_network.MLPRegressor`, and with the
    same `random_state` so are the numbers, to rounding. `dtype` and `n_threads` are added.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared error (mean over outputs) with an identity output, or half the Poisson deviance with an
        exponential output, for y >= 0.

    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units in each hidden layer. An empty list gives a linear model.

    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        f of the hidden layers: x, 1 / (1 + exp(-x)), tanh(x) or max(0, x).

    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        'adam' and 'sgd' learn from mini-batches; 'lbfgs', for small data, from all rows at once.

    alpha : float, default=0.0001
        L2 penalty: alpha / 2 times the sum of squared weights, divided by the (weighted) size of the batch, is added
        to its loss. Biases are free.

    batch_size : int or 'auto', default='auto'
        Rows in a mini-batch; 'auto' is min(200, n_samples). The last one of an epoch may be smaller.

    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of solver 'sgd': 'invscaling' divides `learning_rate_init` by the number of samples seen to the power
        of `power_t`; 'adaptive' divides the rate by 5 each time that progress ends, and stops below 1e-6.

    learning_rate_init : float, default=0.001
        Learning rate at the start, for 'sgd' and 'adam'.

    power_t : float, default=0.5
        Exponent of the 'invscaling' schedule.

    max_iter : int, default=200
        Epochs at most ('sgd', 'adam'), or iterations ('lbfgs').

    shuffle : bool, default=True
        Whether each epoch takes the rows in a new random order.

    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the validation split and the shuffling, in this order. The result does not
        depend on the number of threads.

    tol : float, default=1e-4
        An epoch counts as progress if it improves the best loss (or validation score) by `tol`. For 'lbfgs', the
        largest component of the gradient at which to stop.

    verbose : bool, default=False
        Print the loss of every epoch.

    warm_start : bool, default=False
        Start the next `fit` from the weights of the last one.

    momentum : float, default=0.9
        Momentum of 'sgd', between 0 and 1.

    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.

    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows, watch R2 on them instead of the training loss, and keep the
        weights of the best epoch. Ignored by 'lbfgs'.

    validation_fraction : float, default=0.1
        Part of the rows that `early_stopping` holds out.

    beta_1 : float, default=0.9
        Decay of Adam's first moment, in [0, 1).

    beta_2 : float, default=0.999
        Decay of Adam's second moment, in [0, 1).

    epsilon : float, default=1e-8
        Added to the denominator of Adam's step.

    n_iter_no_change : int or inf, default=10
        Epochs without progress after which training stops.

    max_fun : int, default=15000
        Evaluations of the loss at most ('lbfgs').

    dtype : {'float32', 'float64'} or None, default=None
        Precision of weights and arithmetic. None follows X: float32 for float32, float64 for all else. 'float32' is
        about twice as fast, and X of float64 is converted row by row, not copied.

    n_threads : int or None, default=None
        Threads at most; small networks use fewer. None is what the machine allows (affinity, cgroup quota,
        ``OMP_NUM_THREADS``, threadpoolctl), -1 all processors, -2 all but one.

    Attributes
    ----------
    coefs_ : list of n_layers_ - 1 arrays of shape (n_inputs, n_units)
        Weights into each layer. They are read at each prediction, so they may be changed.

    intercepts_ : list of n_layers_ - 1 arrays of shape (n_units,)
        Biases of each layer; like `coefs_`.

    loss_ : float
        Loss of the last epoch.

    loss_curve_ : list of float
        Loss of each epoch, penalty included ('sgd', 'adam').

    best_loss_ : float or None
        Least loss of an epoch; None with early stopping ('sgd', 'adam').

    validation_scores_ : list of float or None
        R2 on the validation rows after each epoch; None without early stopping ('sgd', 'adam').

    best_validation_score_ : float or None
        The highest of them ('sgd', 'adam').

    n_iter_ : int
        Epochs of the last `fit`, or iterations of 'lbfgs'.

    t_ : int
        Samples seen in training.

    n_features_in_ : int
        Columns of X.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had such.

    n_layers_ : int
        Layers, input and output included.

    n_outputs_ : int
        Units of the output layer: columns of y.

    out_activation_ : str
        Activation of the output layer: 'identity' or 'exp'.

    See Also
    --------
    MLPClassifier : The same for class labels.

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

    _parameter_constraints: ClassVar[dict] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: Literal["squared_error", "poisson"] = "squared_error",
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: Activation = "relu",
        *,
        solver: Solver = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: LearningRate = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
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
    ):
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dtype = dtype
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X and the targets y.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs; best scaled to mean 0 and variance 1.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; best scaled as well.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the loss of its batch.

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on these rows, going on from the present weights and optimizer state.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the loss of its batch.

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the predicted targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Of the precision of the model.
        """
        return self._decode(self._outputs(X))

    def _learn_outputs(self, y, incremental):
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"

    def _encode(self, y):
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(f"loss='poisson' needs y >= 0, got {y.min()}. Use loss='squared_error' for such targets.")
        return y.reshape(len(y), -1)

    def _decode(self, outputs):
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _validation_score(self, y, predictions, sample_weight):
        return r2_score(y, predictions, sample_weight=sample_weight)

    def _stratify(self, targets):
        return None
