"""Fitting: what the two estimators share of scikit-learn's contract around a compiled network."""

import sys
import warnings
from abc import ABC, abstractmethod
from contextlib import ExitStack
from operator import index
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.optimize import _check_optimize_result

from fastbp._callbacks import as_list, reporter
from fastbp._checkpoint import Checkpoint, fingerprint
from fastbp._data import Rows, check_range, check_weight, check_X_y, working_dtype
from fastbp._docs import with_shared_text
from fastbp._history import History
from fastbp._initializers import glorot_uniform
from fastbp._lbfgs import minimize_lbfgs
from fastbp._losses import check_custom_loss
from fastbp._methods import all_or_nothing, validated
from fastbp._model import FittedNetwork
from fastbp._options import (
    alphas,
    are_valid,
    check_options,
    dropout_rates,
    optimizer_settings,
    schedule_of,
    warn_of_changes,
)
from fastbp._portable import Portable
from fastbp._schedules import schedule
from fastbp._sklearn_callbacks import CallbackSupportMixin, FitTask
from fastbp._solver import Solver
from fastbp._training import Progress, Stop, Training, clip_batch_size
from fastbp._validation import Judge, check_alike, check_given, check_weights_of, split


class BaseMLP(CallbackSupportMixin, History, Portable, FittedNetwork, BaseEstimator, ABC):
    """Fitting of layers; a subclass knows its targets and how to read its outputs."""

    _doc_link_module = "fastbp"
    _doc_link_template = "https://fastbp.readthedocs.io/en/stable/api/fastbp.{estimator_name}.html"

    def _keep(self, arguments):
        """Keep the arguments of __init__ as attributes of the same names."""
        vars(self).update((name, value) for name, value in arguments.items() if name != "self")

    # ---- what a subclass provides

    @abstractmethod
    def _learn_outputs(self, y, incremental):
        """Set n_outputs_ and _loss for these targets."""

    @abstractmethod
    def _encode(self, y):
        """Return the targets as the network takes them, in two dimensions."""

    @abstractmethod
    def _target_weight(self, y):
        """Return the weight of each row that its target gives it, or None."""

    @abstractmethod
    def _form(self):
        """Return the form (see _answer.pxd) in which the outputs are shown."""

    @abstractmethod
    def _decode(self, outputs):
        """Return predictions in the form of y."""

    @abstractmethod
    def _score_outputs(self, rows, outputs):
        """Return the model's own score of these outputs of the network, which early stopping watches."""

    @abstractmethod
    def _stratify(self, targets):
        """Return the classes that the validation split keeps in proportion, or None."""

    # ---- fitting

    @validated
    @with_shared_text
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train on X and the targets y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs; best scaled to mean 0 and variance 1.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, a matrix of 0 and 1 for multilabel targets, or real targets, best scaled as well.
        {validation}

        Returns
        -------
        self : MLPClassifier or MLPRegressor
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=False)

    def _validate_params(self):
        if not are_valid(self):
            super()._validate_params()  # it has the words

    def _fit(self, X, y, sample_weight, validation, incremental):
        with self._pool().turn(), ExitStack() as lent:
            with all_or_nothing(self):
                hidden_sizes = self._hidden_sizes()
                first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
                has_validation = check_given(*validation)
                check_options(
                    self,
                    len(hidden_sizes),
                    incremental=incremental,
                    has_validation=has_validation,
                    goes_on=not first_pass,
                )
                given = X, y, sample_weight
                X, y = check_X_y(self, X, y, reset=first_pass)
                self._learn_outputs(y, incremental)
                self.out_activation_ = self._loss.output
                dtype = working_dtype(self.dtype, X.dtype if first_pass else self.coefs_[0].dtype)
                rows = self._rows(X, y, sample_weight, dtype)
                if callable(self._loss.name):
                    check_custom_loss(self._loss.name, rows.targets[:5])
                validation = self._validation_rows(*validation, y, dtype) if has_validation else None
                checkpoint, random_state = None, check_random_state(self.random_state)
                sizes = [X.shape[1], *hidden_sizes, self.n_outputs_]
                if first_pass:
                    progress, weights = Progress(), self._start(sizes, dtype, random_state)
                    self._by_inputs = issparse(X)
                else:
                    self._check_continues(sizes)
                    progress, weights = self._progress(), self._weights()
                if self.checkpoint is not None or self.resume_from is not None:
                    # from here on: a warm start drew no weights
                    data = fingerprint(rows, validation, getattr(self, "classes_", None))
                    checkpoint, random_state = Checkpoint.begin(self.get_params(), random_state, data)
                network = lent.enter_context(self._network(dtype, weights))
            task = FitTask.of(self, *given, 1 if incremental else self.max_iter, network.get_parameters)
            try:
                if self.solver == "lbfgs":
                    losses = self._fit_lbfgs(network, rows, task)
                else:
                    losses = self._fit_stochastic(
                        network, rows, validation, progress, random_state, checkpoint, task, incremental
                    )
            finally:  # an error leaves what was learned until then, as in scikit-learn
                self._set_weights(*network.get_parameters())
            self._check_finite(losses)
            if task is not None:
                task.end()
            return self

    def _hidden_sizes(self):
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [index(size) for size in sizes]

    def _rows(self, X, y, sample_weight, dtype):
        """Checked data with its targets as the network takes them; X it takes as it is, if its values fit."""
        targets = self._encode(y)
        check_range(X, dtype, "X")
        check_range(targets, dtype, "y")
        weight = check_weight(sample_weight, self._target_weight(y), X, dtype)
        return Rows(X, y, np.ascontiguousarray(targets, dtype=dtype), weight)

    def _validation_rows(self, X_val, y_val, sample_weight_val, y, dtype):
        try:
            X_val, y_val = check_X_y(self, X_val, y_val, reset=False)
            check_alike(y_val, y, sample_weight_val)
            return self._rows(X_val, y_val, sample_weight_val, dtype)
        except ValueError as error:
            raise ValueError(f"X_val, y_val: {error}") from error

    def _start(self, sizes, dtype, random_state):
        """Forget what earlier training left, but for its weights, which predict until this one ends; draw new ones."""
        self._forget()
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(sizes)
        activation = self.activation
        if not isinstance(activation, str):  # the output layer is drawn like the last hidden one
            activation = [*activation, *activation[-1:]] if len(activation) else "identity"
        return glorot_uniform(sizes, activation, random_state, dtype)

    def _check_continues(self, sizes):
        fitted = self._sizes()
        if sizes != fitted:
            raise ValueError(
                f"Training continues a network with layers of {fitted} units, but X, y and hidden_layer_sizes now ask "
                f"for {sizes}. Keep them as they were, or fit with warm_start=False to start anew."
            )

    def _fit_lbfgs(self, network, rows, task):
        """Fit, and return the losses of this call."""
        # but for the bar it says nothing, as scikit-learn's
        reports = [reporter(self.verbose, self.max_iter)] if self.verbose == 2 else []
        try:
            result = minimize_lbfgs(
                network,
                rows.X,
                rows.targets,
                rows.sample_weight,
                alpha=alphas(self, self.n_layers_ - 2),
                loss_divisor=self._loss.divisor,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                gtol=self.tol,
                verbose=self.verbose,
                max_time=self.max_time,
                callbacks=[*reports, *as_list(self.callbacks), *([task.iteration] if task else [])],
                view=lambda: self._view(*network.get_parameters()),
            )
        finally:
            for report in reports:
                report.close()
        if result.stop is None:
            self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        else:  # as asked: nothing to warn of
            self.n_iter_ = result.nit
        self.loss_ = float(result.fun)
        return [] if result.stop is Stop.INTERRUPTED and not result.nit else [self.loss_]

    def _fit_stochastic(self, network, rows, validation, progress, random_state, checkpoint, task, incremental):
        """Fit, and return the losses of this call."""

        def view():
            model = self._view(*network.get_parameters())
            model._record(training.progress.copy())
            model._optimizer = self._optimizer.copy()
            return model

        chosen = held_out = None  # all rows
        if self.early_stopping and validation is None:
            validation = rows
            chosen, held_out = split(
                len(rows.targets), self.validation_fraction, self._stratify(rows.targets), random_state
            )
            check_weights_of(rows.sample_weight, chosen, held_out)
        rates = dropout_rates(self, self.n_layers_ - 2)
        network.set_dropout(rates, 0 if rates is None else random_state.randint(np.iinfo(np.int32).max))
        n_rows = len(rows.targets) if chosen is None else len(chosen)
        batch_size = clip_batch_size(self.batch_size, n_rows)
        optimizer = vars(self).get("_optimizer") if incremental else None
        if optimizer is not None:
            warn_of_changes(self, optimizer)
        else:
            optimizer = self._new_optimizer(n_steps=min(self.max_iter * -(-n_rows // batch_size), sys.maxsize))
        self._optimizer = optimizer
        best_before = progress.best, network.get_parameters() if incremental and self.early_stopping else None
        training = Training(
            network=network,
            optimizer=optimizer,
            progress=progress,
            batch_size=batch_size,
            alpha=alphas(self, self.n_layers_ - 2),
            loss_divisor=self._loss.divisor,
            random_state=random_state if self.shuffle else None,
            validate=None if validation is None else Judge(self, network, validation, held_out, view),
            decides=self.early_stopping,
            restore_best=not incremental and (self.early_stopping if self.restore_best is None else self.restore_best),
            tol=self.tol,
            patience=self.n_iter_no_change,
            verbose=self.verbose,
            max_time=self.max_time,
            callbacks=[*as_list(self.callbacks), *([task.end_epoch] if task else [])],
            before_epoch=task.begin_epoch if task else None,
            view=view,
            checkpoint=checkpoint,
        )
        stop = training.run(
            rows.X, rows.targets, rows.sample_weight, chosen, max_epochs=1 if incremental else self.max_iter
        )
        self._record(training.progress)
        if incremental and self.early_stopping:
            self._keep_best(network, training.progress.best, *best_before, stop)
        elif training.progress.best > best_before[0]:
            vars(self).pop("_best_weights", None)  # those of an earlier partial_fit are no longer the best
        if stop is Stop.MAX_ITER and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self.loss_curve_[len(self.loss_curve_) - self.n_iter_ :]

    def _new_optimizer(self, n_steps):
        name, initial = schedule_of(self), self.learning_rate_init
        rate = schedule(name, initial, n_steps=n_steps, power=self.power_t, warmup=self.warmup)
        return Solver(*optimizer_settings(self), rate)

    # ---- what others know of it

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        preserved = {None: ["float64", "float32"], "float32": ["float32"], np.float32: ["float32"]}
        tags.transformer_tags.preserves_dtype = preserved.get(self.dtype, ["float64"])
        return tags
