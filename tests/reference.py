"""Backpropagation in float64 NumPy, written to be read: the oracle that every other test believes.

It imports nothing of fastbp. Layers are numbered 1..L as in the book and rows are samples: a[0] is X, W[l] is
(size[l], size[l-1]), b[l] is (size[l],), and z[l], a[l], delta[l] are (n, size[l]). Index 0 of W, b, z, delta, dW and
db holds None, so every index in the code is the book's. Targets y are (n, size[L]); a class is a row of zeros with a
single one. Gradients are those of the sum over samples; the 1/n appears once, in U.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

EPS = np.finfo(np.float64).eps


# --- activations: f beside f'


def logistic(z):
    """1 / (1 + e^-z), written so that e is never raised to a large positive power."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def softmax(z):
    """a_i = e^z_i / Σ_j e^z_j by rows; the largest z of a row is taken off first, which changes no a."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softplus(z):
    """log(1 + e^z)"""
    return np.logaddexp(0.0, z)


LAMBDA, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # Klambauer et al. (2017)


def normal_density(z):
    """φ(z), the derivative of Φ(z) = ndtr(z)"""
    return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


ACTIVATIONS = {  # f(z) and f'(z)
    "identity": (lambda z: z, np.ones_like),
    "logistic": (logistic, lambda z: logistic(z) * logistic(-z)),
    "tanh": (np.tanh, lambda z: 1.0 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "selu": (
        lambda z: LAMBDA * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: LAMBDA * np.where(z > 0, 1.0, ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "softplus": (softplus, logistic),
    "gelu": (lambda z: z * ndtr(z), lambda z: ndtr(z) + z * normal_density(z)),
    "silu": (lambda z: z * logistic(z), lambda z: logistic(z) * (1.0 + z * logistic(-z))),
    "mish": (
        lambda z: z * np.tanh(softplus(z)),
        lambda z: np.tanh(softplus(z)) + z * logistic(z) * (1.0 - np.tanh(softplus(z)) ** 2),
    ),
    "exp": (np.exp, np.exp),
}


def softmax_jacobian(a):
    """J[s, i, j] = ∂a_si / ∂z_sj = a_si ([i = j] - a_sj)."""
    return a[:, :, None] * (np.eye(a.shape[1]) - a[:, None, :])


def activate(z, name):
    """F, second half: a = f(z), where f may be a function of the whole row."""
    return softmax(z) if name == "softmax" else ACTIVATIONS[name][0](z)


def activate_backward(da, z, name):
    """∂C/∂z_j = Σ_i ∂C/∂a_i ∂a_i/∂z_j; the sum has a single term unless f is the softmax."""
    if name == "softmax":
        return np.einsum("si,sij->sj", da, softmax_jacobian(softmax(z)))
    return da * ACTIVATIONS[name][1](z)


# --- losses: C_sj beside ∂C/∂a_sj


def xlogy(x, y):
    """x log(y), and 0 where x is 0 whatever y is."""
    return np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y)))


def focal(p, q, gamma):
    """-q^γ log p, and its derivative by p, for q = 1 - p."""
    return -(q**gamma) * np.log(p), gamma * q ** (gamma - 1) * np.log(p) - q**gamma / p


class Settings(NamedTuple):
    """What shapes a loss: label smoothing e, Huber's δ or the focal γ, the levels of the quantile loss (size[L],), and
    the weights of each output at y = 0 and at y = 1, (size[L], 2)."""

    smoothing: float = 0.0
    parameter: float = 0.0
    levels: np.ndarray | None = None
    class_weights: np.ndarray | None = None


PLAIN = Settings()

LOSSES = {  # C(a, y, settings) and ∂C/∂a, element by element; the cost of a sample is the sum of its row
    "squared_error": (lambda a, y, s: 0.5 * (a - y) ** 2, lambda a, y, s: a - y),
    "absolute_error": (lambda a, y, s: np.abs(a - y), lambda a, y, s: np.sign(a - y)),
    "huber": (
        lambda a, y, s: np.where(
            np.abs(a - y) <= s.parameter, 0.5 * (a - y) ** 2, s.parameter * (np.abs(a - y) - s.parameter / 2)
        ),
        lambda a, y, s: np.clip(a - y, -s.parameter, s.parameter),
    ),
    "quantile": (
        lambda a, y, s: np.maximum(s.levels * (y - a), (s.levels - 1) * (y - a)),
        lambda a, y, s: np.where(a == y, 0, np.where(a < y, -s.levels, 1 - s.levels)),
    ),
    "poisson": (lambda a, y, s: xlogy(y, y / a) - y + a, lambda a, y, s: 1 - y / a),
    "gamma": (lambda a, y, s: np.log(a / y) + y / a - 1, lambda a, y, s: 1 / a - y / a**2),
    "log_loss": (lambda a, y, s: -xlogy(y, a), lambda a, y, s: -y / a),
    "binary_log_loss": (
        lambda a, y, s: -xlogy(y, a) - xlogy(1 - y, 1 - a),
        lambda a, y, s: -y / a + (1 - y) / (1 - a),
    ),
    "focal": (
        lambda a, y, s: y * focal(a, 1 - a, s.parameter)[0],
        lambda a, y, s: y * focal(a, 1 - a, s.parameter)[1],
    ),
    "binary_focal": (
        lambda a, y, s: y * focal(a, 1 - a, s.parameter)[0] + (1 - y) * focal(1 - a, a, s.parameter)[0],
        lambda a, y, s: y * focal(a, 1 - a, s.parameter)[1] - (1 - y) * focal(1 - a, a, s.parameter)[1],
    ),
}
OF_CLASSES = ("log_loss", "binary_log_loss", "focal", "binary_focal")

COLLAPSING = {
    ("identity", "squared_error"),
    ("softmax", "log_loss"),
    ("logistic", "binary_log_loss"),
    ("exp", "poisson"),
}


def smoothed(y, loss, smoothing):
    """Targets of which the share e is spread over all K classes: y (1 - e) + e / K."""
    if loss not in OF_CLASSES:
        return y
    return y * (1 - smoothing) + smoothing / (2 if loss.startswith("binary") else y.shape[1])


def weight_of_class(y, settings):
    """What an output counts: its weight at y = 0 or at y = 1, in between for a y between."""
    if settings.class_weights is None:
        return 1.0
    at_0, at_1 = np.transpose(settings.class_weights)
    return at_0 + y * (at_1 - at_0)


def cost(a, y, loss, eps=EPS, settings=PLAIN):
    """C of each sample, (n,). Within a logarithm of a class a is kept in [eps, 1 - eps], as scikit-learn does."""
    if loss in OF_CLASSES:
        a = np.clip(a, eps, 1 - eps)
    terms = LOSSES[loss][0](a, smoothed(y, loss, settings.smoothing), settings)
    return (weight_of_class(y, settings) * terms).sum(axis=1)


def delta_collapsed(a, y):
    """BP1 where output and loss match, so that all but this cancels: delta[L] = a[L] - y."""
    return a - y


def delta_general(z, a, y, output, loss, settings=PLAIN):
    """BP1: delta_sj = Σ_i ∂C/∂a_si ∂a_si/∂z_sj."""
    return activate_backward(LOSSES[loss][1](a, y, settings), z, output)


def delta_output(z, a, y, output, loss, settings=PLAIN):
    """BP1 in the form that suits the pair."""
    target = smoothed(y, loss, settings.smoothing)
    if (output, loss) in COLLAPSING:
        delta = delta_collapsed(a, target)
    else:
        delta = delta_general(z, a, target, output, loss, settings)
    return weight_of_class(y, settings) * delta


# --- forth and back: F, BP1, BP2, BP3, BP4


def forward(X, W, b, activations, output, masks=None):
    """Lists z and a. activations[l-1] is the f of hidden layer l = 1..L-1; output is that of layer L.

    masks[l] multiplies a[l], l = 0..L-1, for dropout: 0, or 1 / (1 - rate) where a unit is kept.
    """
    f = [None, *activations, output]
    masks = [1.0] * len(W) if masks is None else [*masks, 1.0]
    z, a = [None], [X * masks[0]]
    for l in range(1, len(W)):
        z.append(a[l - 1] @ W[l].T + b[l])  # F
        a.append(activate(z[l], f[l]) * masks[l])
    return z, a


def backprop(X, y, W, b, activations, output, loss, sample_weight=None, eps=EPS, settings=PLAIN, masks=None):
    """One pass over a batch: z, a, delta, dW, db, lists by layer, and loss, the sum over samples of C."""
    L = len(W) - 1
    w = np.ones(len(X)) if sample_weight is None else sample_weight
    z, a = forward(X, W, b, activations, output, masks)
    f = [None, *activations]
    masks = [1.0] * L if masks is None else masks
    delta, dW, db = ([None] * (L + 1) for _ in range(3))

    delta[L] = w[:, None] * delta_output(z[L], a[L], y, output, loss, settings)  # BP1
    for l in range(L, 1, -1):
        delta[l - 1] = activate_backward(delta[l] @ W[l] * masks[l - 1], z[l - 1], f[l - 1])  # BP2
    for l in range(1, L + 1):
        db[l] = delta[l].sum(axis=0)  # BP3
        dW[l] = delta[l].T @ a[l - 1]  # BP4
    return SimpleNamespace(z=z, a=a, delta=delta, dW=dW, db=db, loss=float(w @ cost(a[L], y, loss, eps, settings)))


# --- the optimizers: U


def decay(p, learning_rate, weight_decay):
    """What decoupled weight decay takes off: weights, which are matrices, shrink; biases do not."""
    return learning_rate * weight_decay * p if p.ndim == 2 else 0.0


class SGD:
    """U for sgd: v = momentum v - η g ; p = p + v, or looking ahead with Nesterov p = p + momentum v - η g."""

    def __init__(self, params, momentum=0.9, nesterov=True, weight_decay=0.0):
        self.v = [np.zeros_like(p) for p in params]
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def step(self, params, grads, learning_rate):
        for p, g, v in zip(params, grads, self.v, strict=True):
            v[...] = self.momentum * v - learning_rate * g
            p -= decay(p, learning_rate, self.weight_decay)
            p += self.momentum * v - learning_rate * g if self.nesterov else v


class Adam:
    """U for adam: m and v are running means of g and g²; p = p - η_t m / (√v + ε), η_t = η √(1 - β₂ᵗ) / (1 - β₁ᵗ)."""

    def __init__(self, params, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.0):
        self.m = [np.zeros_like(p) for p in params]
        self.v = [np.zeros_like(p) for p in params]
        self.beta_1, self.beta_2, self.epsilon, self.t = beta_1, beta_2, epsilon, 0
        self.weight_decay = weight_decay

    def step(self, params, grads, learning_rate):
        self.t += 1
        rate = learning_rate * np.sqrt(1 - self.beta_2**self.t) / (1 - self.beta_1**self.t)
        for p, g, m, v in zip(params, grads, self.m, self.v, strict=True):
            m[...] = self.beta_1 * m + (1 - self.beta_1) * g
            v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
            p -= decay(p, learning_rate, self.weight_decay)
            p -= rate * m / (np.sqrt(v) + self.epsilon)


class RMSprop:
    """U for rmsprop: v is a running mean of g²; p = p - η g / (√v + ε)."""

    def __init__(self, params, rho=0.9, epsilon=1e-8, weight_decay=0.0):
        self.v = [np.zeros_like(p) for p in params]
        self.rho, self.epsilon, self.weight_decay = rho, epsilon, weight_decay

    def step(self, params, grads, learning_rate):
        for p, g, v in zip(params, grads, self.v, strict=True):
            v[...] = self.rho * v + (1 - self.rho) * g**2
            p -= decay(p, learning_rate, self.weight_decay)
            p -= learning_rate * g / (np.sqrt(v) + self.epsilon)


class ScheduleFree:
    """U for schedule_free (Defazio et al. 2024, algorithm 1): z = z - η_t g / (√v + ε), η_t = η √(1 - β₂ᵗ).

    v is Adam's. The parameters, where g is taken, are y = (1 - β₁) z + β₁ x; x, the mean of all z so far, each of
    weight η², is what predicts.
    """

    def __init__(self, params, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.0):
        self.z = [p.copy() for p in params]
        self.x = [p.copy() for p in params]
        self.v = [np.zeros_like(p) for p in params]
        self.beta_1, self.beta_2, self.epsilon, self.weight_decay = beta_1, beta_2, epsilon, weight_decay
        self.t, self.rates_squared = 0, 0.0

    def step(self, params, grads, learning_rate):
        self.t += 1
        self.rates_squared += learning_rate**2
        share = learning_rate**2 / self.rates_squared
        rate = learning_rate * np.sqrt(1 - self.beta_2**self.t)
        for y, g, z, x, v in zip(params, grads, self.z, self.x, self.v, strict=True):
            v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
            z -= rate * g / (np.sqrt(v) + self.epsilon) + decay(y, learning_rate, self.weight_decay)
            x += share * (z - x)
            y[...] = (1 - self.beta_1) * z + self.beta_1 * x


class Average:
    """x = d x + (1 - d) p after step t = 1, 2, .. with d = min(ema_decay, (1 + t) / (10 + t)); x starts as p."""

    def __init__(self, params, ema_decay):
        self.x = [p.copy() for p in params]
        self.ema_decay, self.t = ema_decay, 0

    def follow(self, params):
        self.t += 1
        d = min(self.ema_decay, (1 + self.t) / (10 + self.t))
        for p, x in zip(params, self.x, strict=True):
            x[...] = d * x + (1 - d) * p


def clipped(grads, clip_norm, clip_value):
    """The gradient, all parts together, cut down to a norm of clip_norm; then each element to clip_value in size."""
    norm = np.sqrt(sum(np.sum(g**2) for g in grads))
    factor = clip_norm / norm if norm > clip_norm else 1.0
    return [np.clip(factor * g, -clip_value, clip_value) for g in grads]


def train_epoch(net, optimizer, X, y, order, batch_size, learning_rate, alpha=0.0, sample_weight=None,
                clip_norm=np.inf, clip_value=np.inf, average=None, masks=None):  # fmt: skip
    """One pass in mini-batches of `order`; net is (W, b, activations, output, loss), whose W and b change in place.

    alpha is one for all layers or one per layer; average an Average or None; masks(n) those of dropout for the next
    batch, of n rows. Returns Σ n_b (Σ w C / Σ w), Σ n_b (Σ_l α_l/2 ‖W_l‖² / Σ w), each with the weights from before its
    step, and the rows seen.
    """
    W, b, activations, output, loss = net
    order = np.arange(len(X)) if order is None else order
    layers, alpha = range(1, len(W)), np.broadcast_to(alpha, len(W) - 1)
    starts = range(0, len(order), batch_size)
    data_loss = penalty = 0.0
    for start, rate in zip(starts, np.broadcast_to(learning_rate, len(starts)), strict=True):
        rows = order[start : start + batch_size]
        w = np.ones(len(rows)) if sample_weight is None else sample_weight[rows]
        batch = backprop(X[rows], y[rows], W, b, activations, output, loss, w, masks=masks and masks(len(rows)))
        data_loss += len(rows) * batch.loss / w.sum()
        penalty += len(rows) * sum(alpha[l - 1] / 2 * np.sum(W[l] ** 2) for l in layers) / w.sum()
        grads = [(batch.dW[l] + alpha[l - 1] * W[l]) / w.sum() for l in layers]
        grads += [db_l / w.sum() for db_l in batch.db[1:]]
        optimizer.step(W[1:] + b[1:], clipped(grads, clip_norm, clip_value), rate)  # U
        if average is not None:
            average.follow(W[1:] + b[1:])
    return data_loss, penalty, len(order)
