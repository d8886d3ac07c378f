"""A fitted network, prepared for those who serve rows one at a time: checks and answer in compiled code."""

import numpy as np

cimport cython
cimport numpy as cnp

from fastbp._answer cimport Answer, columns_of, form_named
from fastbp._memory cimport Inputs, is_native
from fastbp._passes cimport Passes

from fastbp._engine import Network
from fastbp._memory import refusing_huge_integers
from fastbp._threads import effective_n_threads

cnp.import_array()


@cython.final
cdef class Predictor:
    """The predictions of a fitted model, as it was when ``model.predictor()`` made this object.

    It is called with one row or with many, and answers what `predict_proba` of a classifier and `predict` of a
    regressor do, with the same bits; for one row in a microsecond or two, where the model's own methods spend a
    hundred on scikit-learn's checks. It is immutable, may be called from many threads at once, and survives pickle
    and copy.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or None
        The labels of a classifier, in the order of the columns; read-only.
    n_features_in_ : int
        Features of a row.
    dtype : dtype
        float32 or float64: the precision of the arithmetic and of the answer, whatever that of the rows is.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastbp import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> predictor = MLPClassifier(max_iter=500, random_state=0).fit(X, y).predictor()
    >>> predictor(X).shape
    (150, 3)
    >>> probabilities = predictor([5.1, 3.5, 1.4, 0.2])
    >>> probabilities.shape
    (3,)
    >>> predictor.classes_[probabilities.argmax()]
    np.int64(0)
    """

    cdef Passes network
    cdef tuple arguments  # for pickle; without the weights, which the network holds
    cdef object n_threads
    cdef Answer question
    cdef ptrdiff_t n_columns
    cdef bint one_output, sorts
    cdef int typenum
    cdef readonly object classes_
    cdef readonly ptrdiff_t n_features_in_
    cdef readonly object dtype

    def __cinit__(self, architecture, coefs, intercepts, form, sorts, n_threads, classes):
        self.arguments = architecture, form, sorts, n_threads, classes
        sizes, activations, output, dtype = architecture
        network = Network(sizes, activations, output, "squared_error", dtype)
        network.set_parameters(coefs, intercepts)
        self.network, self.n_threads, self.sorts = network, n_threads, sorts
        self.question.l, self.question.checks = self.network.L, True
        self.question.form = form_named(form, sizes[self.network.L])
        self.n_columns = columns_of(self.question.form, sizes[self.network.L])
        self.one_output = classes is None and not sorts and self.n_columns == 1
        self.n_features_in_, self.dtype = sizes[0], np.dtype(dtype)
        self.typenum = self.dtype.num
        if classes is not None:
            self.classes_ = np.array(classes)
            self.classes_.flags.writeable = False

    def __reduce__(self):
        architecture, *others = self.arguments
        return Predictor, (architecture, *self.network.get_parameters(), *others)

    def __repr__(self):
        return f"<fastbp predictor {'-'.join(map(str, self.network.sizes))}, {self.dtype}>"

    def __call__(self, X):
        """Return the answer for one row or many.

        Parameters
        ----------
        X : array-like of shape (n_features,) or (n_rows, n_features)
            Finite numbers. float32 and float64 arrays of any strides are read where they lie; all else is converted.

        Returns
        -------
        answer : ndarray
            Of a classifier (n_classes,) or (n_rows, n_classes), of a regressor (n_outputs,) or (n_rows, n_outputs);
            of a regressor with one output a scalar or (n_rows,).

        Raises
        ------
        ValueError
            If X has another shape, or holds NaN, infinity or what is too large for the model's precision.
        TypeError
            If X is sparse, or does not hold real numbers.
        """
        cdef Inputs inputs
        cdef Answer answer = self.question
        cdef cnp.npy_intp n = 1
        cdef cnp.npy_intp[2] shape
        cdef int ndim
        if not is_native(X):
            X = _as_native(X, self.dtype)
        cdef cnp.ndarray rows = <cnp.ndarray> X, a
        ndim = cnp.PyArray_NDIM(rows)
        if not 1 <= ndim <= 2 or cnp.PyArray_DIM(rows, ndim - 1) != self.n_features_in_:
            raise ValueError(f"got X of shape {X.shape}, expected ({self.n_features_in_},), one row, or "
                             f"(n_rows, {self.n_features_in_}): the features that the model was fitted on, in order.")
        inputs.sparse, inputs.density = False, 1
        inputs.dense.data, inputs.dense.row_stride = <const char *> cnp.PyArray_DATA(rows), 0
        inputs.dense.column_stride = cnp.PyArray_STRIDE(rows, ndim - 1)
        inputs.dense.n_columns = self.n_features_in_
        inputs.dense.is_float64 = cnp.PyArray_TYPE(rows) == cnp.NPY_DOUBLE
        if ndim == 2:
            n, inputs.dense.row_stride = cnp.PyArray_DIM(rows, 0), cnp.PyArray_STRIDE(rows, 0)
        shape[0], shape[ndim - 1] = n, self.n_columns
        if self.one_output:
            shape[0] = n
        a = cnp.PyArray_SimpleNew(1 if self.one_output else ndim, shape, self.typenum)
        answer.rows = <char *> cnp.PyArray_DATA(a)
        if not self.network.is_brief(self.network.flops(n, False, 1)):
            self.network.n_threads = effective_n_threads(self.n_threads)  # as it is now: after a fork it is 1
        if not self.network.answer(&inputs, n, &answer):
            raise ValueError(_what_is_not_finite(X, self.dtype))
        if self.sorts:
            a.sort()
        return a[0] if self.one_output and ndim == 1 else a


cdef object _as_native(X, dtype):
    """Anything array-like, in the network's precision."""
    if hasattr(X, "toarray"):
        raise TypeError(f"got a sparse {type(X).__name__}, expected dense rows: use X.toarray(), or the methods of the "
                        "model, which never make it dense.")
    X = np.asarray(X)
    if X.dtype.kind not in "biufO":
        raise TypeError(f"got X of {X.dtype}, expected real numbers: convert it, X.astype(float).")
    with np.errstate(over="ignore"), refusing_huge_integers():  # the overflow is reported as what it is
        return np.require(X, dtype, "A")


cdef str _what_is_not_finite(X, dtype):
    """In scikit-learn's words, and where."""
    with np.errstate(over="ignore"):
        values = X.astype(dtype).reshape(-1, X.shape[X.ndim - 1])
    row, feature = np.argwhere(~np.isfinite(values))[0]
    what = "NaN" if np.isnan(values[row, feature]) else f"infinity or a value too large for {dtype!r}"
    return (f"Input X contains {what}. The first: X[{row}, {feature}] = {X.reshape(values.shape)[row, feature]}. "
            "Impute it, or leave the row out.")
