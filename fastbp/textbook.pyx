"""Backpropagation as the textbook prints it: element by element, OpenMP over the batch, no blocking, no vectors.

For reading, as a second oracle beside tests/reference.py, and as a column of the benchmarks. The network has a softmax
output and the cross-entropy cost. Rows s are samples; units are k in the layer before, j in the layer at hand;
W is (n_out, n_in). The sums run over the samples of the batch; dividing by their number is the caller's.
"""

import numpy as np

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport exp, log, tanh

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")


cdef inline floating f(int activation, floating z) noexcept nogil:
    """f(z)"""
    if activation == 1:
        return 1 / (1 + exp(-z))
    if activation == 2:
        return tanh(z)
    if activation == 3:
        return z if z > 0 else 0
    return z


cdef inline floating f_prime(int activation, floating a) noexcept nogil:
    """f'(z), from a = f(z)"""
    if activation == 1:
        return a * (1 - a)
    if activation == 2:
        return 1 - a * a
    if activation == 3:
        return 1 if a > 0 else 0
    return 1


cdef void forward(floating[:, ::1] a_prev, floating[:, ::1] W, floating[::1] b, int activation, floating[:, ::1] a,
                  int n_threads):
    """F: z_sj = sum_k a_prev_sk W_jk + b_j and a_sj = f(z_sj)."""
    cdef Py_ssize_t s, j, k
    cdef floating z
    for s in prange(a.shape[0], nogil=True, num_threads=n_threads, schedule="static"):
        for j in range(W.shape[0]):
            z = b[j]
            for k in range(W.shape[1]):
                z = z + a_prev[s, k] * W[j, k]
            a[s, j] = f(activation, z)


cdef void softmax(floating[:, ::1] z, int n_threads):
    """a_sj = e^z_sj / sum_i e^z_si, in place; the greatest z of the row is taken off first."""
    cdef Py_ssize_t s, j
    cdef floating greatest, total
    for s in prange(z.shape[0], nogil=True, num_threads=n_threads, schedule="static"):
        greatest = z[s, 0]
        for j in range(1, z.shape[1]):
            greatest = max(greatest, z[s, j])
        total = 0
        for j in range(z.shape[1]):
            z[s, j] = exp(z[s, j] - greatest)
            total = total + z[s, j]
        for j in range(z.shape[1]):
            z[s, j] = z[s, j] / total


cdef double cross_entropy(floating[:, ::1] a, floating[:, ::1] y, floating[:, ::1] delta, int n_threads):
    """C = -sum_j y_j log a_j summed over the samples, and BP1: delta_sj = a_sj - y_sj."""
    cdef Py_ssize_t s, j
    cdef double C = 0
    for s in prange(a.shape[0], nogil=True, num_threads=n_threads, schedule="static"):
        for j in range(a.shape[1]):
            if y[s, j] != 0:
                C -= y[s, j] * log(a[s, j])
            delta[s, j] = a[s, j] - y[s, j]
    return C


cdef void delta_previous(floating[:, ::1] delta, floating[:, ::1] W, floating[:, ::1] a_prev, int activation,
                         floating[:, ::1] delta_prev, int n_threads):
    """BP2: delta_prev_sk = (sum_j delta_sj W_jk) f'(z_prev_sk)."""
    cdef Py_ssize_t s, j, k
    cdef floating total
    for s in prange(delta.shape[0], nogil=True, num_threads=n_threads, schedule="static"):
        for k in range(W.shape[1]):
            total = 0
            for j in range(W.shape[0]):
                total = total + delta[s, j] * W[j, k]
            delta_prev[s, k] = total * f_prime(activation, a_prev[s, k])


cdef void gradient(floating[:, ::1] delta, floating[:, ::1] a_prev, floating[:, ::1] dW, floating[::1] db,
                   int n_threads):
    """BP3: db_j = sum_s delta_sj, and BP4: dW_jk = sum_s delta_sj a_prev_sk; each j has one thread."""
    cdef Py_ssize_t s, j, k
    for j in prange(delta.shape[1], nogil=True, num_threads=n_threads, schedule="static"):
        for s in range(delta.shape[0]):
            db[j] += delta[s, j]
            for k in range(a_prev.shape[1]):
                dW[j, k] += delta[s, j] * a_prev[s, k]


def backprop(floating[:, ::1] X, floating[:, ::1] y, list W, list b, str activation="relu", int n_threads=1):
    """The cost of a batch and its gradient.

    Parameters
    ----------
    X : ndarray (n, size[0]), float32 or float64
    y : ndarray (n, size[L]) of the same dtype
        Targets, one-hot or any rows that sum to 1.
    W : list of L ndarrays (size[l], size[l-1])
    b : list of L ndarrays (size[l],)
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Of the hidden layers.
    n_threads : int, default=1

    Returns
    -------
    C : float
        The cross-entropy, summed over the samples.
    dW, db : lists of L ndarrays
        Its derivatives, shaped as W and b.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp import textbook
    >>> C, dW, db = textbook.backprop(np.ones((1, 3)), np.array([[1.0, 0.0]]), [np.zeros((2, 3))], [np.zeros(2)])
    >>> round(C, 6), db[0]
    (0.693147, array([-0.5,  0.5]))
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"got activation {activation!r}, expected one of {', '.join(ACTIVATIONS)}.")
    n, L, hidden = X.shape[0], len(W), ACTIVATIONS.index(activation)
    dtype = np.asarray(X).dtype
    a = [np.asarray(X)] + [np.empty((n, len(b_l)), dtype) for b_l in b]
    delta = [np.empty_like(a_l) for a_l in a]
    dW, db = [np.zeros_like(W_l) for W_l in W], [np.zeros_like(b_l) for b_l in b]

    for l in range(1, L + 1):
        forward[floating](a[l - 1], W[l - 1], b[l - 1], hidden if l < L else 0, a[l], n_threads)  # F
    softmax[floating](a[L], n_threads)
    C = cross_entropy[floating](a[L], y, delta[L], n_threads)  # BP1
    for l in range(L, 0, -1):
        gradient[floating](delta[l], a[l - 1], dW[l - 1], db[l - 1], n_threads)  # BP3, BP4
        if l > 1:
            delta_previous[floating](delta[l], W[l - 1], a[l - 1], hidden, delta[l - 1], n_threads)  # BP2
    return C, dW, db
