"""A fitted network: the weights that are its truth, and what it computes from X."""

import copy
import os
from contextlib import contextmanager
from operator import index, itemgetter
from threading import RLock
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from fastbp._data import check_range, check_X, check_X_y, refuse_not_finite, working_dtype
from fastbp._engine import Network
from fastbp._options import activations
from fastbp._passes import warn_of_overflow
from fastbp._predictor import Predictor
from fastbp._threads import effective_n_threads

# One read of a dictionary's two entries, as `update` is one write: no other thread runs in between.
_BOTH = itemgetter("coefs_", "intercepts_")


def sizes_of(coefs, intercepts):
    """Units of each layer, inputs first."""
    return [len(coefs[0]), *(len(b) for b in intercepts)]


class NetworkPool:
    """One idle network, lent to one thread at a time, and turns of threads that fit; a copy or a pickle is empty."""

    def __init__(self):
        self._idle = []
        self._turn, self._process = RLock(), os.getpid()

    def __reduce__(self):
        return NetworkPool, ()

    def turn(self):
        """A context in which no other thread fits the model; a callback that fits its own model does not wait."""
        if self._process != os.getpid():  # a thread that had its turn while another one forked does not exist here
            self._turn, self._process = RLock(), os.getpid()
        return self._turn

    @contextmanager
    def lend(self, *architecture, **settings):
        """Yield the idle network if it is built like this, else a new one; its weights are anyone's."""
        try:
            idle, network = self._idle.pop()
        except IndexError:
            idle = None
        if idle != (architecture, settings):
            network = Network(*architecture, **settings)
        try:
            yield network
        finally:
            if not self._idle:
                self._idle.append(((architecture, settings), network))


class FittedNetwork(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The forward pass through coefs_ and intercepts_, up to any layer, and back to the inputs."""

    __metadata_request__transform: ClassVar[dict] = {"layer": UNUSED}  # an option, not metadata to be routed

    # ---- the network

    def _weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """coefs_ and intercepts_: both of one fit, though another thread ends a fit meanwhile."""
        try:
            return _BOTH(vars(self))
        except KeyError as error:
            raise AttributeError(f"this {type(self).__name__} has no {error.args[0]}: it is not fitted.") from None

    def _set_weights(self, coefs, intercepts):
        """Replace both at once."""
        vars(self).update(coefs_=coefs, intercepts_=intercepts)

    def _sizes(self):
        return sizes_of(*self._weights())

    def _architecture(self, dtype, weights):
        """The arguments of Network for these coefs and intercepts."""
        sizes, loss = sizes_of(*weights), self._loss
        return tuple(sizes), activations(self, len(sizes) - 2), loss.output, loss.name, dtype

    def _fill(self, network, weights):
        network.n_threads = effective_n_threads(self.n_threads)
        network.set_parameters(*weights)
        return network

    def _pool(self):
        return vars(self).setdefault("_networks", NetworkPool())

    @contextmanager
    def _network(self, dtype, weights):
        """Lend a network that holds these coefs and intercepts."""
        by_inputs = vars(self).get("_by_inputs", False)
        with self._pool().lend(
            *self._architecture(dtype, weights), **self._loss.settings, by_inputs=by_inputs
        ) as network:
            yield self._fill(network, weights)

    def _check_is_fitted(self):
        if not hasattr(self, "coefs_"):  # the check itself takes longer than a small prediction
            check_is_fitted(self, "coefs_")

    def _inputs(self, X, finite=True):
        """Return X as the network takes it, the precision that it asks for, and the weights; finite=False: X unread."""
        self._check_is_fitted()
        X, weights = check_X(self, X, finite), self._weights()
        dtype = working_dtype(self.dtype, np.result_type(X.dtype, *weights[0]))
        if finite or issparse(X):
            check_range(X, dtype, "X")
        return X, dtype, weights

    def _view(self, coefs, intercepts):
        """A fitted copy of the model with these weights."""
        view = copy.copy(self)
        view._set_weights(coefs, intercepts)
        return view

    def _network_and_data(self, X, y, sample_weight, loss):
        """For `backprop`: a network to keep that holds coefs_ and intercepts_, and the data as it takes them."""
        self._check_is_fitted()
        X, y = check_X_y(self, X, y, reset=False)
        weights = self._weights()
        dtype = working_dtype(self.dtype, weights[0][0].dtype)
        rows = self._rows(X, y, sample_weight, dtype)
        *architecture, own_loss, dtype = self._architecture(dtype, weights)
        targets, settings = rows.targets, self._loss.settings
        if loss is not None:
            settings = {}
            if self._loss.takes_classes:  # the cross-entropy takes classes, others a column each
                targets = np.eye(self.n_outputs_, dtype=dtype)[targets[:, 0].astype(np.intp)]
        network = self._fill(Network(*architecture, loss or own_loss, dtype, **settings), weights)
        return network, X, targets, rows.sample_weight

    # ---- what it computes

    def _answer(self, X, layer=None, form="plain"):
        """Return the activations of a layer, None for the last, or what the network makes of them.

        A dense X is read once: the network sees, row by row, whether it is finite.
        """
        X, dtype, weights = self._inputs(X, finite=False)
        with self._network(dtype, weights) as network:
            a = network.predict(X, layer=layer, form=form, check_finite=True)
            if a is None:
                refuse_not_finite(self, X, dtype)
                a = network.predict(X, layer=layer, form=form)
            return a

    def predictor(self) -> Predictor:
        """Return an immutable object for serving: called with one row or many, it answers without ceremony.

        It keeps the weights as they are now, in their precision (or `dtype`), and `n_threads`. It takes the columns of
        a table as they come, whatever their names.

        Returns
        -------
        predictor : Predictor
            ``predictor(X)`` is what `predict_proba` of a classifier and `predict` of a regressor return, for X of shape
            (n_features,) or (n_rows, n_features); ``predictor.classes_`` are the labels.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastbp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(max_iter=500, random_state=0).fit(X, y)
        >>> predictor = model.predictor()
        >>> bool((predictor(X) == model.predict_proba(X)).all())
        True
        >>> predictor(X[0]).shape
        (3,)
        """
        self._check_is_fitted()
        effective_n_threads(self.n_threads)  # refused here, not by the first call with many rows
        weights = self._weights()
        dtype = working_dtype(self.dtype, weights[0][0].dtype)
        sizes, hidden, output, _, _ = self._architecture(dtype, weights)
        form, classes = self._form(), getattr(self, "classes_", None)
        architecture = sizes, hidden, output, dtype
        return Predictor(architecture, *weights, form, self._loss.sorts, self.n_threads, classes)

    def transform(self, X: ArrayLike, layer: int = -1) -> np.ndarray:
        """Return the activations of a hidden layer: features that the network has learned.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.
        layer : int, default=-1
            Which hidden layer, counted as a list is: 0 is the first, -1 the last.

        Returns
        -------
        activations : ndarray of shape (n_samples, n_units)
            With ``set_output(transform="pandas")`` a table, for the last hidden layer.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastbp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(hidden_layer_sizes=(20, 5), max_iter=500, random_state=0).fit(X, y)
        >>> model.transform(X).shape
        (150, 5)
        >>> model.transform(X, layer=0).shape
        (150, 20)
        """
        self._check_is_fitted()
        n_hidden, layer = self._n_hidden(), index(layer)
        if not -n_hidden <= layer < n_hidden:
            raise ValueError(f"got layer={layer}, expected a hidden layer, {-n_hidden} to {n_hidden - 1}.")
        is_last = layer in (-1, n_hidden - 1)
        if not is_last and _get_output_config("transform", self)["dense"] != "default":
            raise ValueError(f"set_output names columns of the last hidden layer, got layer={layer}. Leave layer=-1.")
        return self._answer(X, layer=layer % n_hidden + 1)

    def input_gradients(self, X: ArrayLike, output: int | None = None, *, raw: bool = False) -> np.ndarray:
        """Return the derivatives of the outputs with respect to the inputs: what each row's prediction hangs on.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.
        output : int or None, default=None
            Which output unit; None for all. A classifier of two classes has one, the probability of the second.
        raw : bool, default=False
            Take the outputs before their activation (logits), which do not saturate.

        Returns
        -------
        gradients : ndarray of shape (n_samples, n_features), or (n_samples, n_outputs, n_features) for None

        References
        ----------
        Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks: visualising image classification models
        and saliency maps" (2013), arXiv 1312.6034.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_diabetes
        >>> from fastbp import MLPRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", max_iter=50, alpha=1, random_state=0)
        >>> model = model.fit(X, y / 100)
        >>> np.abs(model.input_gradients(X, output=0)).mean(axis=0).shape
        (10,)
        """
        self._check_is_fitted()
        n_outputs = self._sizes()[-1]
        if output is not None:
            output = index(output)
            if not -n_outputs <= output < n_outputs:
                raise ValueError(f"got output={output}, expected {-n_outputs} to {n_outputs - 1}, or None for all.")
            output = output % n_outputs
        X, dtype, weights = self._inputs(X)
        with self._network(dtype, weights) as network:
            gradients = network.input_gradients(X, output=output, raw=raw)
        if not np.isfinite(gradients).all():
            warn_of_overflow("gradients")
        return gradients

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the features that `transform` gives: mlpclassifier0, mlpclassifier1 and so on.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used but to check them against those of `fit`.

        Returns
        -------
        names : ndarray of str objects, of shape (n_units,)

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastbp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> MLPClassifier((20, 2), learning_rate_init=0.01, random_state=0).fit(X, y).get_feature_names_out()
        array(['mlpclassifier0', 'mlpclassifier1'], dtype=object)
        """
        self._check_is_fitted()
        self._n_hidden()
        return super().get_feature_names_out(input_features)

    def _n_hidden(self):
        n_hidden = len(self._sizes()) - 2
        if n_hidden == 0:
            raise ValueError("The network has no hidden layers whose activations could be features.")
        return n_hidden

    @property
    def _n_features_out(self):
        sizes = self._sizes()
        if len(sizes) == 2:  # hasattr, and so dir(), takes an AttributeError alone for an answer
            raise AttributeError("a network without hidden layers has no features")
        return sizes[-2]
