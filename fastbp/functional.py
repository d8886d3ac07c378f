"""The layers of a network as functions, forward and backward: thin faces on the compiled kernels.

Each layer maps x (length m) to y (length n); its backward maps dy = dE/dy to dx = dE/dx, and to dw = dE/dw where it has
parameters. Arrays are one sample (1-D) or a batch, rows being samples (2-D); dw and db are then sums over the rows.
float32 stays float32, everything else becomes float64.

Examples
--------
A sigmoid layer under the squared loss, its gradient by hand:

>>> import numpy as np
>>> from fastbp import functional as F
>>> x, t, w, b = np.array([1.0, 2.0]), np.array([1.0]), np.array([[0.5, -0.5]]), np.array([0.5])
>>> y = F.sigmoid_forward(F.linear_forward(x, w, b))
>>> F.l2_loss_forward(y, t)
0.125
>>> dx, dw, db = F.linear_backward(F.sigmoid_backward(F.l2_loss_backward(y, t), y), x, w)
>>> dw
array([[-0.125, -0.25 ]])
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import _kernels
from fastbp._memory import refusing_huge_integers

__all__ = [
    "binary_cross_entropy_backward",
    "binary_cross_entropy_forward",
    "binary_focal_loss_backward",
    "binary_focal_loss_forward",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "elu_backward",
    "elu_forward",
    "focal_loss_backward",
    "focal_loss_forward",
    "gamma_loss_backward",
    "gamma_loss_forward",
    "gelu_backward",
    "gelu_forward",
    "huber_loss_backward",
    "huber_loss_forward",
    "l1_loss_backward",
    "l1_loss_forward",
    "l2_loss_backward",
    "l2_loss_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_forward",
    "mish_backward",
    "mish_forward",
    "poisson_loss_backward",
    "poisson_loss_forward",
    "quantile_loss_backward",
    "quantile_loss_forward",
    "relu_backward",
    "relu_forward",
    "selu_backward",
    "selu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softmax_backward",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "tanh_backward",
    "tanh_forward",
]


def linear_forward(x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> NDArray:
    """y = w x + b: y_j = sum_i w_ji x_i + b_j, for w (n, m)."""
    x, w = _reals(x, w)
    _check_weights(x, w)
    if b is not None:
        with refusing_huge_integers():
            b = np.asarray(b, dtype=w.dtype)
        if b.shape != (len(w),):
            raise ValueError(f"got b of shape {b.shape}, expected {(len(w),)}, to fit w.")
    return _kernels.forward(np.atleast_2d(x), w, b, "identity")[1].reshape(*x.shape[:-1], len(w))


def linear_backward(dy: ArrayLike, x: ArrayLike, w: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """dx = w^T dy, dw = dy x^T and db = dy; the last two summed over the rows of a batch."""
    dy, x, w = _reals(dy, x, w)
    _check_weights(x, w)
    _check_columns("dy", dy, len(w))
    if dy.shape[:-1] != x.shape[:-1]:
        raise ValueError(f"got dy of shape {dy.shape} and x of shape {x.shape}, expected as many rows.")
    dx = _kernels.delta(np.atleast_2d(dy), w, np.atleast_2d(x), "identity").reshape(x.shape)
    return dx, *_kernels.gradient(np.atleast_2d(dy), np.atleast_2d(x))


def sigmoid_forward(x: ArrayLike) -> NDArray:
    """y_i = 1 / (1 + e^-x_i)."""
    return _kernels.activate(*_reals(x), "logistic")


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx_i = dy_i y_i (1 - y_i), y being the layer's output."""
    return _kernels.activate_backward(*_same_shape(dy=dy, y=y), "logistic")


def tanh_forward(x: ArrayLike) -> NDArray:
    """y_i = tanh x_i."""
    return _kernels.activate(*_reals(x), "tanh")


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx_i = dy_i (1 - y_i^2), y being the layer's output."""
    return _kernels.activate_backward(*_same_shape(dy=dy, y=y), "tanh")


def relu_forward(x: ArrayLike) -> NDArray:
    """y_i = max(0, x_i)."""
    return _kernels.activate(*_reals(x), "relu")


def relu_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx_i = dy_i where y_i > 0, else 0, y being the layer's output."""
    return _kernels.activate_backward(*_same_shape(dy=dy, y=y), "relu")


def leaky_relu_forward(x: ArrayLike) -> NDArray:
    """y_i = max(x_i / 100, x_i)."""
    return _kernels.activate(*_reals(x), "leaky_relu")


def leaky_relu_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx_i = dy_i where y_i > 0, else dy_i / 100, y being the layer's output."""
    return _kernels.activate_backward(*_same_shape(dy=dy, y=y), "leaky_relu")


def elu_forward(x: ArrayLike) -> NDArray:
    """y_i = x_i where x_i > 0, else e^x_i - 1."""
    return _kernels.activate(*_reals(x), "elu")


def elu_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx_i = dy_i where y_i > 0, else dy_i (y_i + 1), y being the layer's output."""
    return _kernels.activate_backward(*_same_shape(dy=dy, y=y), "elu")


def selu_forward(x: ArrayLike) -> NDArray:
    """y_i = λ x_i where x_i > 0, else λ α (e^x_i - 1), with λ = 1.0507009873554805 and α = 1.6732632423543772."""
    return _kernels.activate(*_reals(x), "selu")


def selu_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx_i = dy_i λ where y_i > 0, else dy_i (y_i + λ α), y being the layer's output."""
    return _kernels.activate_backward(*_same_shape(dy=dy, y=y), "selu")


def softplus_forward(x: ArrayLike) -> NDArray:
    """y_i = log(1 + e^x_i)."""
    return _kernels.activate(*_reals(x), "softplus")


def softplus_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx_i = dy_i (1 - e^-y_i), y being the layer's output."""
    return _kernels.activate_backward(*_same_shape(dy=dy, y=y), "softplus")


def gelu_forward(x: ArrayLike) -> NDArray:
    """y_i = x_i Φ(x_i), Φ being the normal distribution function."""
    return _kernels.activate(*_reals(x), "gelu")


def gelu_backward(dy: ArrayLike, x: ArrayLike) -> NDArray:
    """dx_i = dy_i (Φ(x_i) + x_i e^(-x_i^2 / 2) / sqrt(2 π)), x being the layer's input."""
    return _kernels.activate_backward(*_same_shape(dy=dy, x=x), "gelu")


def silu_forward(x: ArrayLike) -> NDArray:
    """y_i = x_i / (1 + e^-x_i)."""
    return _kernels.activate(*_reals(x), "silu")


def silu_backward(dy: ArrayLike, x: ArrayLike) -> NDArray:
    """dx_i = dy_i (p + x_i p (1 - p)) with p = 1 / (1 + e^-x_i), x being the layer's input."""
    return _kernels.activate_backward(*_same_shape(dy=dy, x=x), "silu")


def mish_forward(x: ArrayLike) -> NDArray:
    """y_i = x_i tanh(log(1 + e^x_i))."""
    return _kernels.activate(*_reals(x), "mish")


def mish_backward(dy: ArrayLike, x: ArrayLike) -> NDArray:
    """dx_i = dy_i (t + x_i (1 - t^2) / (1 + e^-x_i)) with t = tanh(log(1 + e^x_i)), x being the layer's input."""
    return _kernels.activate_backward(*_same_shape(dy=dy, x=x), "mish")


def softmax_forward(x: ArrayLike) -> NDArray:
    """y_i = e^x_i / sum_k e^x_k, each row by itself."""
    (x,) = _reals(x)
    return _kernels.softmax(np.atleast_2d(x)).reshape(x.shape)


def softmax_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """dx = J dy with the full Jacobian J_ij = y_i (1{i=j} - y_j), y being the layer's output."""
    dy, y = _same_shape(dy=dy, y=y)
    return _kernels.softmax_backward(np.atleast_2d(dy), np.atleast_2d(y)).reshape(y.shape)


def l2_loss_forward(x: ArrayLike, t: ArrayLike) -> float | NDArray:
    """E = 1/2 sum_i (x_i - t_i)^2 of each sample."""
    return _loss(x, t, "squared_error")[0]


def l2_loss_backward(x: ArrayLike, t: ArrayLike) -> NDArray:
    """dx_i = x_i - t_i."""
    return _loss(x, t, "squared_error")[1]


def cross_entropy_forward(x: ArrayLike, t: ArrayLike) -> float | NDArray:
    """E = -sum_i t_i log x_i of each sample."""
    return _loss(x, t, "log_loss")[0]


def cross_entropy_backward(x: ArrayLike, t: ArrayLike) -> NDArray:
    """dx_i = -t_i / x_i."""
    return _loss(x, t, "log_loss")[1]


def l1_loss_forward(x: ArrayLike, t: ArrayLike) -> float | NDArray:
    """E = sum_i abs(x_i - t_i) of each sample."""
    return _loss(x, t, "absolute_error")[0]


def l1_loss_backward(x: ArrayLike, t: ArrayLike) -> NDArray:
    """dx_i = sign(x_i - t_i), 0 where they are equal."""
    return _loss(x, t, "absolute_error")[1]


def huber_loss_forward(x: ArrayLike, t: ArrayLike, delta: float = 1.0) -> float | NDArray:
    """E = sum_i r_i^2 / 2 where abs(r_i) <= delta, else delta (abs(r_i) - delta / 2), of each sample; r = x - t."""
    return _loss(x, t, "huber", parameter=delta)[0]


def huber_loss_backward(x: ArrayLike, t: ArrayLike, delta: float = 1.0) -> NDArray:
    """dx_i = x_i - t_i, limited to [-delta, delta]."""
    return _loss(x, t, "huber", parameter=delta)[1]


def quantile_loss_forward(x: ArrayLike, t: ArrayLike, level: float | ArrayLike = 0.5) -> float | NDArray:
    """E = sum_i level_i (t_i - x_i) where x_i < t_i, else (1 - level_i) (x_i - t_i), of each sample."""
    return _loss(x, t, "quantile", levels=level)[0]


def quantile_loss_backward(x: ArrayLike, t: ArrayLike, level: float | ArrayLike = 0.5) -> NDArray:
    """dx_i = -level_i where x_i < t_i, 1 - level_i where x_i > t_i, 0 where they are equal."""
    return _loss(x, t, "quantile", levels=level)[1]


def poisson_loss_forward(x: ArrayLike, t: ArrayLike) -> float | NDArray:
    """E = sum_i t_i log(t_i / x_i) - t_i + x_i of each sample, half the Poisson deviance."""
    return _loss(x, t, "poisson")[0]


def poisson_loss_backward(x: ArrayLike, t: ArrayLike) -> NDArray:
    """dx_i = 1 - t_i / x_i."""
    return _loss(x, t, "poisson")[1]


def gamma_loss_forward(x: ArrayLike, t: ArrayLike) -> float | NDArray:
    """E = sum_i log(x_i / t_i) + t_i / x_i - 1 of each sample, half the gamma deviance."""
    return _loss(x, t, "gamma")[0]


def gamma_loss_backward(x: ArrayLike, t: ArrayLike) -> NDArray:
    """dx_i = (1 - t_i / x_i) / x_i."""
    return _loss(x, t, "gamma")[1]


def binary_cross_entropy_forward(x: ArrayLike, t: ArrayLike) -> float | NDArray:
    """E = -sum_i t_i log x_i + (1 - t_i) log(1 - x_i) of each sample."""
    return _loss(x, t, "binary_log_loss")[0]


def binary_cross_entropy_backward(x: ArrayLike, t: ArrayLike) -> NDArray:
    """dx_i = (x_i - t_i) / (x_i (1 - x_i))."""
    return _loss(x, t, "binary_log_loss")[1]


def focal_loss_forward(x: ArrayLike, t: ArrayLike, gamma: float = 2.0) -> float | NDArray:
    """E = -sum_i t_i (1 - x_i)^gamma log x_i of each sample."""
    return _loss(x, t, "focal", parameter=gamma)[0]


def focal_loss_backward(x: ArrayLike, t: ArrayLike, gamma: float = 2.0) -> NDArray:
    """dx_i = -t_i F(x_i) / x_i, F(p) = (1 - p)^gamma (1 - gamma p log(p) / (1 - p))."""
    return _loss(x, t, "focal", parameter=gamma)[1]


def binary_focal_loss_forward(x: ArrayLike, t: ArrayLike, gamma: float = 2.0) -> float | NDArray:
    """E = -sum_i t_i (1 - x_i)^gamma log x_i + (1 - t_i) x_i^gamma log(1 - x_i) of each sample."""
    return _loss(x, t, "binary_focal", parameter=gamma)[0]


def binary_focal_loss_backward(x: ArrayLike, t: ArrayLike, gamma: float = 2.0) -> NDArray:
    """dx_i = (1 - t_i) F(1 - x_i) / (1 - x_i) - t_i F(x_i) / x_i, F that of the focal loss."""
    return _loss(x, t, "binary_focal", parameter=gamma)[1]


def _loss(x, t, loss, levels=None, parameter=0.0):
    """E of each sample and dE/dx."""
    x, t = _same_shape(x=x, t=t)
    if levels is not None:
        levels = np.broadcast_to(levels, x.shape[-1:])
    x2, t2 = np.atleast_2d(x), np.atleast_2d(t)
    _, E, dx = _kernels.loss(x2, t2, "identity", loss, clip=False, levels=levels, parameter=parameter)
    return (E if x.ndim == 2 else float(E[0])), dx.reshape(x.shape)


def _reals(*arrays):
    """The arrays in one precision: float32 if all are, else float64."""
    arrays = [np.asarray(array) for array in arrays]
    dtype = np.float32 if all(array.dtype == np.float32 for array in arrays) else np.float64
    for array in arrays:
        if array.ndim not in (1, 2) or array.size == 0:
            raise ValueError(
                f"got an array of shape {array.shape}, expected one sample (m,) or a batch (n_samples, m)."
            )
    with refusing_huge_integers():
        return [np.asarray(array, dtype=dtype) for array in arrays]


def _same_shape(**arrays):
    """_reals of two named arrays, which must have one shape."""
    (first, a), (second, b) = zip(arrays, _reals(*arrays.values()), strict=True)
    if a.shape != b.shape:
        raise ValueError(f"got {first} of shape {a.shape} and {second} of shape {b.shape}, expected the same shape.")
    return a, b


def _check_weights(x, w):
    if w.ndim != 2:
        raise ValueError(f"got w of shape {w.shape}, expected (n, m).")
    _check_columns("x", x, w.shape[1])


def _check_columns(name, array, expected):
    if array.shape[-1] != expected:
        raise ValueError(f"got {name} of shape {array.shape}, expected {expected} elements a row, to fit w.")
