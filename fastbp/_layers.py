"""What a form of a fitted network in another language is made of."""

from typing import NamedTuple

import numpy as np

from fastbp._data import working_dtype


class Layer(NamedTuple):
    """a = f(a_prev @ W.T + b)."""

    W: np.ndarray  # (n_out, n_in)
    b: np.ndarray  # (n_out,)
    f: str


class Layers(NamedTuple):
    """A fitted network, and how its outputs are shown."""

    layers: list[Layer]
    dtype: np.dtype  # of the weights and of the arithmetic
    form: str  # see _answer.pyx: "plain", "two_columns" or "shares"
    sorts: bool  # the outputs of a row
    labels: np.ndarray | None  # of a classifier of one label a row: one for each column of its probabilities
    multilabel: bool

    @property
    def sizes(self):
        return [self.layers[0].W.shape[1], *(len(layer.b) for layer in self.layers)]

    @property
    def n_columns(self):
        """Of predict_proba, or of predict of a regressor."""
        return 2 if self.form == "two_columns" else self.sizes[-1]


def check_finite(coefs, intercepts):
    """Refuse weights that no other library should be handed."""
    if not all(np.isfinite(p).all() for p in [*coefs, *intercepts]):
        raise ValueError(
            f"got weights that are non-finite in {coefs[0].dtype}, expected finite ones: train again, at a lower "
            "learning rate."
        )


def layers_of(model, dtype=None):
    """The layers of a fitted model, in its own precision or in another one."""
    model._check_is_fitted()
    weights = model._weights()
    dtype = np.dtype(dtype or working_dtype(model.dtype, weights[0][0].dtype))
    _, hidden, output, *_ = model._architecture(dtype, weights)
    with np.errstate(over="ignore"):  # which check_finite tells of
        layers = [
            Layer(np.array(coefs.T, dtype, order="C"), np.array(intercepts, dtype), f)
            for coefs, intercepts, f in zip(*weights, (*hidden, output), strict=True)
        ]
    check_finite([layer.W for layer in layers], [layer.b for layer in layers])
    multilabel = hasattr(model, "classes_") and model._label_binarizer.y_type_.startswith("multilabel")
    it = Layers(layers, dtype, model._form(), model._loss.sorts, None, multilabel)
    if not hasattr(model, "classes_") or multilabel:
        return it
    return it._replace(labels=model.classes_.take(np.arange(it.n_columns), mode="clip"))  # twice a single class
