"""What the two estimators share: scikit-learn's contract around a compiled network."""

import warnings
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastbp._engine import Network
from fastbp._initializers import glorot_uniform
from fastbp._threads import effective_n_threads
from fastbp._training import (
    AdaptiveRate,
    ConstantRate,
    InverseScalingRate,
    Optimizer,
    Progress,
    Training,
    clip_batch_size,
    minimize_lbfgs,
)

_HISTORY = (
    "_optimizer",
    "_no_improvement_count",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
)


class SparseInputError(TypeError, NotImplementedError):
    """Sparse X is not supported: a TypeError, as from other estimators without the sparse tag."""


class NetworkPool:
    """One idle network, lent to one thread at a time; a copy or a pickle of the pool is empty."""

    def __init__(self):
        self._idle = []

    def __reduce__(self):
        return NetworkPool, ()

    @contextmanager
    def lend(self, *architecture):
        """Yield the idle network if it has this architecture, else a new one; its weights are anyone's."""
        try:
            idle_architecture, network = self._idle.pop()
        except IndexError:
            idle_architecture = None
        if idle_architecture != architecture:
            network = Network(*architecture)
        yield network
        if not self._idle:
            self._idle.append((architecture, network))


def is_stochastic(estimator) -> bool:
    """Whether the solver can learn from one batch after another, which `partial_fit` needs."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True


def check_range(array, dtype, name):
    """Refuse values that overflow in `dtype`; the extremes tell, so the array is not copied."""
    if array.dtype.itemsize <= dtype.itemsize:
        return
    with np.errstate(over="ignore"):
        extremes = np.array([array.min(), array.max()]).astype(dtype)
    if np.isinf(extremes).any():
        raise ValueError(f"Input {name} contains infinity or a value too large for {dtype!r}.")


class BaseMLP(BaseEstimator, ABC):
    """Layers, fitting and the forward pass; a subclass knows its targets and how to read its outputs."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64}), None],
        "n_threads": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
    }

    # ---- what a subclass provides

    @abstractmethod
    def _learn_outputs(self, y, incremental):
        """Set n_outputs_ and out_activation_ for these targets."""

    @abstractmethod
    def _encode(self, y):
        """Return the targets as the network takes them, in two dimensions."""

    @abstractmethod
    def _decode(self, outputs):
        """Return predictions in the form of y."""

    @abstractmethod
    def _validation_score(self, y, predictions, sample_weight):
        """Return the score that early stopping watches."""

    @abstractmethod
    def _stratify(self, targets):
        """Return the classes that the validation split keeps in proportion, or None."""

    # ---- fitting

    def _fit(self, X, y, sample_weight, incremental):
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        hidden_sizes = self._hidden_sizes()
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._check_X_y(X, y, reset=first_pass)
        self._learn_outputs(y, incremental)
        dtype = self._working_dtype(X.dtype if first_pass else self.coefs_[0].dtype)
        targets, sample_weight = self._for_network(X, y, sample_weight, dtype)
        random_state = check_random_state(self.random_state)
        sizes = [X.shape[1], *hidden_sizes, self.n_outputs_]
        if first_pass:
            self._start(sizes, dtype, random_state)
        else:
            self._check_continues(sizes)
        with self._network(dtype) as network:
            if self.solver == "lbfgs":
                self._fit_lbfgs(network, X, targets, sample_weight)
            else:
                self._fit_stochastic(network, X, y, targets, sample_weight, random_state, incremental)
            self.coefs_, self.intercepts_ = network.get_parameters()
        self._check_finite()
        return self

    def _hidden_sizes(self):
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(size) for size in sizes]

    def _working_dtype(self, dtype):
        """The precision asked for, else float32 for float32 and float64 for all other types."""
        if self.dtype is not None:
            return np.dtype(self.dtype)
        return np.dtype(np.float32 if dtype == np.float32 else np.float64)

    def _start(self, sizes, dtype, random_state):
        """Draw new weights and forget what earlier training left."""
        for name in _HISTORY:
            vars(self).pop(name, None)
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(sizes)
        self.coefs_, self.intercepts_ = glorot_uniform(sizes, self.activation, random_state, dtype)

    def _check_continues(self, sizes):
        fitted = self._sizes()
        if sizes != fitted:
            raise ValueError(
                f"Training continues a network with layers of {fitted} units, but X, y and hidden_layer_sizes now ask "
                f"for {sizes}. Keep them as they were, or fit with warm_start=False to start anew."
            )

    def _check_finite(self):
        if not all(np.isfinite(p).all() for p in self.coefs_ + self.intercepts_):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                f"preprocessed. If X is scaled, training diverged: lower learning_rate_init={self.learning_rate_init}."
            )

    def _fit_lbfgs(self, network, X, targets, sample_weight):
        result = minimize_lbfgs(
            network,
            X,
            targets,
            sample_weight,
            alpha=self.alpha,
            loss_divisor=self._loss_divisor(),
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            gtol=self.tol,
        )
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = float(result.fun)

    def _fit_stochastic(self, network, X, y, targets, sample_weight, random_state, incremental):
        rows = validate = None
        if self.early_stopping:
            rows, held_out = self._split(targets, random_state)
            weight = None if sample_weight is None else sample_weight[held_out]
            validate = partial(self._validate, network, X[held_out], y[held_out], weight)
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._new_optimizer()
        training = Training(
            network=network,
            optimizer=self._optimizer,
            progress=self._progress(),
            batch_size=clip_batch_size(self.batch_size, X.shape[0] if rows is None else len(rows)),
            alpha=self.alpha,
            loss_divisor=self._loss_divisor(),
            random_state=random_state if self.shuffle else None,
            validate=validate,
            tol=self.tol,
            patience=self.n_iter_no_change,
            verbose=self.verbose,
        )
        ended = training.run(X, targets, sample_weight, rows, max_epochs=1 if incremental else self.max_iter)
        self._record(training.progress)
        if not ended and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _loss_divisor(self):
        """The squared error is reported as a mean over outputs, other losses as their sum."""
        return self.n_outputs_ if self.loss == "squared_error" else 1

    def _new_optimizer(self):
        if self.solver == "adam":
            settings = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
            return Optimizer("adam", settings, ConstantRate(self.learning_rate_init))
        settings = {"momentum": self.momentum, "nesterov": self.nesterovs_momentum}
        if self.learning_rate == "invscaling":
            rate = InverseScalingRate(self.learning_rate_init, self.power_t)
        else:
            rate = {"constant": ConstantRate, "adaptive": AdaptiveRate}[self.learning_rate](self.learning_rate_init)
        return Optimizer("sgd", settings, rate)

    def _split(self, targets, random_state):
        """Return the row numbers to train on and those held out for validation; X itself stays in one piece."""
        rows, held_out = train_test_split(
            np.arange(len(targets), dtype=np.intp),
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=self._stratify(targets),
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return rows, held_out

    def _validate(self, network, X, y, sample_weight):
        """Score the network as it is; NaN once it has diverged."""
        outputs = network.predict(X)
        if not np.isfinite(outputs).all():
            return np.nan
        return float(self._validation_score(y, self._decode(outputs), sample_weight))

    # ---- progress as fitted attributes

    def _progress(self):
        """Where earlier calls left training, read from the attributes; a fresh start where there are none."""
        if self.early_stopping:
            best = getattr(self, "best_validation_score_", None)
        else:
            best_loss = getattr(self, "best_loss_", None)
            best = None if best_loss is None else -best_loss
        return Progress(
            n_seen=self.t_,
            losses=getattr(self, "loss_curve_", []),
            scores=getattr(self, "validation_scores_", None) or [],
            best=-np.inf if best is None else best,
            stale=getattr(self, "_no_improvement_count", 0),
        )

    def _record(self, progress):
        self.n_iter_ = progress.n_epochs
        self.t_ = progress.n_seen
        self.loss_curve_ = progress.losses
        if progress.losses:
            self.loss_ = progress.losses[-1]
        self._no_improvement_count = progress.stale
        self.validation_scores_ = progress.scores if self.early_stopping else None
        self.best_validation_score_ = progress.best if self.early_stopping else None
        self.best_loss_ = None if self.early_stopping else -progress.best

    # ---- data

    def _check(self, X, y="no_validation", **kwargs):
        """Validate X, and y if given, keeping the strides and either precision of X."""
        if issparse(X):
            raise SparseInputError(
                f"Sparse X is not supported by {type(self).__name__}: got {type(X).__name__}. Convert it with "
                "X.toarray() if it fits into memory."
            )
        # the first type is the one that integers are converted to; float32 and float64 stay as they are
        dtypes = (self._working_dtype(np.float64), np.float64, np.float32)
        return validate_data(self, X, y, dtype=dtypes, **kwargs)

    def _check_X(self, X):
        return np.require(self._check(X, reset=False), requirements="A")

    def _check_X_y(self, X, y, reset):
        X, y = self._check(X, y, multi_output=True, y_numeric=is_regressor(self), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return np.require(X, requirements="A"), y

    def _for_network(self, X, y, sample_weight, dtype):
        """Return targets and sample_weight as the network takes them; X it takes as it is, if its values fit."""
        targets = self._encode(y)
        check_range(X, dtype, "X")
        check_range(targets, dtype, "y")
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
            check_range(sample_weight, dtype, "sample_weight")
        return np.ascontiguousarray(targets, dtype=dtype), sample_weight

    # ---- the network

    def _sizes(self):
        return [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]

    def _architecture(self, dtype, loss=None):
        """The arguments of Network for coefs_ and intercepts_ as they are now; loss=None is the model's own."""
        sizes = self._sizes()
        if loss is None:
            loss = "binary_log_loss" if self.out_activation_ == "logistic" else self.loss
        return tuple(sizes), (self.activation,) * (len(sizes) - 2), self.out_activation_, loss, dtype

    def _fill(self, network):
        network.n_threads = effective_n_threads(self.n_threads)
        network.set_parameters(self.coefs_, self.intercepts_)
        return network

    @contextmanager
    def _network(self, dtype):
        """Lend a network that holds coefs_ and intercepts_."""
        pool = vars(self).setdefault("_networks", NetworkPool())
        with pool.lend(*self._architecture(dtype)) as network:
            yield self._fill(network)

    def _network_and_data(self, X, y, sample_weight, loss):
        """For `backprop`: a network to keep that holds coefs_ and intercepts_, and the data as it takes them."""
        check_is_fitted(self, "coefs_")
        X, y = self._check_X_y(X, y, reset=False)
        dtype = self._working_dtype(self.coefs_[0].dtype)
        targets, sample_weight = self._for_network(X, y, sample_weight, dtype)
        if (
            loss is not None and self.out_activation_ == "softmax"
        ):  # the cross-entropy takes classes, others a column each
            targets = np.eye(self.n_outputs_, dtype=dtype)[targets[:, 0].astype(np.intp)]
        return self._fill(Network(*self._architecture(dtype, loss))), X, targets, sample_weight

    def _outputs(self, X):
        """Return the activations of the output layer, (n_samples, n_outputs)."""
        check_is_fitted(self, "coefs_")
        X = self._check_X(X)
        dtype = self._working_dtype(np.result_type(X, *self.coefs_))
        check_range(X, dtype, "X")
        with self._network(dtype) as network:
            return network.predict(X)
