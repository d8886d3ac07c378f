"""Validation rows, held out or given, and how the model is judged by them."""

import inspect

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastbp._passes import warn_of_overflow
from fastbp._training import Validation


def check_given(X_val, y_val, sample_weight_val):
    """Refuse half a validation set; return whether there is one."""
    if X_val is not None and y_val is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    if X_val is None and y_val is not None:
        raise ValueError("y_val is provided, but X_val was not provided.")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val is provided, but X_val was not provided.")
    return X_val is not None


def check_alike(y_val, y, sample_weight_val):
    """Refuse validation targets of another form than y, and weights below zero."""
    if y_val.shape[1:] != y.shape[1:]:
        raise ValueError(f"y_val has the shape {y_val.shape}, expected {('n_samples', *y.shape[1:])}, like y.")
    if sample_weight_val is not None and np.min(sample_weight_val) < 0:
        raise ValueError(f"sample_weight_val must not be negative, got {np.min(sample_weight_val)}.")


def split(n_samples, fraction, stratify, random_state):
    """Return the row numbers to train on and those held out; X itself stays in one piece."""
    rows, held_out = train_test_split(
        np.arange(n_samples, dtype=np.intp), random_state=random_state, test_size=fraction, stratify=stratify
    )
    if len(held_out) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return rows, held_out


def check_weights_of(sample_weight, *parts):
    """Refuse a split with a part whose weights sum to 0: it has no mean loss."""
    if sample_weight is not None and any(sample_weight[rows].sum() == 0 for rows in parts):
        raise ValueError(
            "The sample weights of the rows to train on, or of those held out to validate, sum to 0. Give X_val and "
            "y_val, or leave out rows without weight."
        )


class Judge:
    """Scores the network as it is on the rows held out (None: all); NaN once it has diverged.

    The score is the model's own (accuracy, R2), minus the loss, or that of a scorer, which is shown `view()`: a fitted
    copy of the model.
    """

    def __init__(self, model, network, rows, held_out, view):
        self.model, self.network, self.view = model, network, view
        self.data = rows.X, rows.targets, rows.sample_weight, held_out
        needs_scorer = model.scoring not in (None, "loss")
        self.rows = rows = rows if held_out is None else rows.take(held_out, with_X=needs_scorer)
        self.divisor = model._loss.divisor
        if needs_scorer:
            if isinstance(model.scoring, str) and model._loss.sorts and model.n_outputs_ > 1:
                raise ValueError(
                    f"scoring={model.scoring!r} compares one column of predictions with y, but a list of quantiles "
                    "predicts one for each. Leave scoring=None for the mean of their D2 pinball scores, or give "
                    "'loss' or a callable."
                )
            self.scorer = check_scoring(model, model.scoring)
            # a scorer of scikit-learn takes weights and passes them on, whether or not its metric does
            judge = getattr(self.scorer, "_score_func", self.scorer)
            takes_weights = "sample_weight" in inspect.signature(judge).parameters
            weighted = takes_weights and rows.sample_weight is not None
            self.weights = {"sample_weight": rows.sample_weight} if weighted else {}

    def __call__(self) -> Validation:
        outputs, loss = self.network.evaluate(*self.data)
        has_outputs = np.isfinite(outputs).all()
        if not (has_outputs and np.isfinite(loss)):
            warn_of_overflow("outputs or losses of validation rows")
        if not has_outputs:
            return Validation(score=np.nan, loss=np.nan)
        loss = float(loss) / self.divisor
        score = self._score(outputs, loss)
        if np.isnan(score) and self.model.early_stopping:
            raise ValueError(
                f"scoring={self.model.scoring!r} is NaN on the validation rows, though the outputs are finite: it "
                "cannot decide when to stop. Are there too few rows, or one class only? Give more of them, or another "
                "scoring."
            )
        return Validation(score=score, loss=loss)

    def _score(self, outputs, loss):
        model, rows = self.model, self.rows
        if model.scoring is None:
            return float(model._score_outputs(rows, outputs))
        if model.scoring == "loss":
            return -loss
        view = self.view()
        vars(view).pop("feature_names_in_", None)  # X is an array by now
        return float(self.scorer(view, rows.X, rows.y, **self.weights))
