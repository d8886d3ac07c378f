"""Data as the network takes it: dense X of either precision and any strides, or canonical CSR; finite, in range."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.base import is_regressor
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastbp._memory import refusing_huge_integers


class Rows(NamedTuple):
    """Checked data, both as the estimator and as the network knows it."""

    X: object
    y: np.ndarray
    targets: np.ndarray  # y as the network takes it
    sample_weight: np.ndarray | None

    def take(self, rows, with_X):
        """Return these rows, copied; without X where it is not needed."""
        X = self.X[rows] if with_X else None
        return Rows(X, *(None if array is None else array[rows] for array in self[1:]))


def working_dtype(asked, dtype):
    """The precision asked for, else float32 for float32 and float64 for all other types."""
    if asked is not None:
        return np.dtype(asked)
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)


def check_X(model, X, finite=True):
    """Validate X of a fitted model; with finite=False the caller sees to that of a dense X."""
    as_it_is = type(X) is np.ndarray and X.dtype.char in "fd" and X.dtype.isnative and X.ndim == 2 and len(X)
    if as_it_is and not finite and X.shape[1] == model.n_features_in_ and not hasattr(model, "feature_names_in_"):
        return _for_network(X)  # what scikit-learn would find, in a hundredth of the time
    return _for_network(_check(model, X, reset=False, ensure_all_finite=finite or issparse(X)))


def refuse_not_finite(model, X, dtype):
    """Raise what scikit-learn does for a dense X that is not finite in `dtype`, unless it is told to assume so."""
    assert_all_finite(X, estimator_name=type(model).__name__, input_name="X")
    check_range(X, dtype, "X")


def check_X_y(model, X, y, reset):
    """Validate X and y together; a column of targets is taken as a vector."""
    X, y = _check(model, X, y, multi_output=True, y_numeric=is_regressor(model), reset=reset)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return _for_network(X), y


def check_weight(sample_weight, target_weight, X, dtype):
    """Validate sample_weight, None or one for each row of X; return it times what the targets weigh."""
    weight = target_weight
    if sample_weight is not None:
        with refusing_huge_integers():
            weight = _check_sample_weight(sample_weight, X)
        if target_weight is not None:
            weight = weight * target_weight
    if weight is None:
        return None
    if not weight.any():  # scikit-learn looks since 1.9
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if weight.sum() == 0:
        raise ValueError(
            "The sample weights sum to 0: their mean loss is not defined. Give weights that are not negative."
        )
    check_range(weight, dtype, "sample_weight")
    return weight


def check_range(array, dtype, name):
    """Refuse values that overflow in `dtype`; the extremes tell, so the array is not copied."""
    array = array.data if issparse(array) else array
    if array.dtype.itemsize <= dtype.itemsize or array.size == 0:
        return
    with np.errstate(over="ignore"):
        extremes = np.array([array.min(), array.max()]).astype(dtype)
    if np.isinf(extremes).any():
        raise ValueError(f"Input {name} contains infinity or a value too large for {dtype!r}.")


def _check(model, X, y="no_validation", **kwargs):
    """Validate X, and y if given, keeping the strides and either precision of X."""
    # the first type is the one that integers are converted to; float32 and float64 stay as they are
    dtypes = (working_dtype(model.dtype, np.float64), np.float64, np.float32)
    with refusing_huge_integers():
        return validate_data(model, X, y, dtype=dtypes, accept_sparse=["csr", "csc"], **kwargs)


def _for_network(X):
    if not issparse(X):
        return X if X.flags.aligned else X.copy()
    if X.format == "csr" and X.has_canonical_format and X.indices.dtype == X.indptr.dtype:
        return X
    X = X.tocsr()
    X = csr_array((X.data, X.indices, X.indptr), shape=X.shape, copy=True)  # the caller's matrix stays as it is
    X.sum_duplicates()
    return X
