"""NumPy as fast as it goes, and the textbook loops; both keep all parameters in one flat vector."""

import numpy as np

from benchmarks.contestants.base import Contestant, UnavailableError
from benchmarks.nets import LEARNING_RATE


class FlatAdam:
    """Adam in place on one flat vector, in blocks that stay in the L2 cache through its dozen passes."""

    BLOCK = 16384

    def __init__(self, params, grads, learning_rate=LEARNING_RATE, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon, self.t = learning_rate, beta_1, beta_2, epsilon, 0
        m, v = np.zeros_like(params), np.zeros_like(params)
        cuts = range(self.BLOCK, params.size, self.BLOCK)
        self.blocks = list(zip(*(np.split(vector, cuts) for vector in (params, grads, m, v)), strict=True))
        self.scratch = np.empty_like(params[: self.BLOCK])

    def step(self):
        self.t += 1
        beta_1, beta_2 = self.beta_1, self.beta_2
        rate = self.learning_rate * (1 - beta_2**self.t) ** 0.5 / (1 - beta_1**self.t)
        for p, g, m, v in self.blocks:
            tmp = self.scratch[: p.size]
            m *= beta_1
            np.multiply(g, 1 - beta_1, out=tmp)
            m += tmp
            v *= beta_2
            np.multiply(g, g, out=tmp)
            tmp *= 1 - beta_2
            v += tmp
            np.sqrt(v, out=tmp)
            tmp += self.epsilon
            np.divide(m, tmp, out=tmp)
            tmp *= rate
            p -= tmp


class FlatParameters(Contestant):
    """W[l] (n_in, n_out) and b[l], dW[l] and db[l], as views of two flat vectors; index 0 is unused, as in a book."""

    def prepare(self, net, data):
        self.L = len(net.sizes) - 1
        self.params = np.concatenate(
            [p.ravel() for pair in zip(data.coefs, data.intercepts, strict=True) for p in pair]
        )
        self.grads = np.zeros_like(self.params)
        self.W, self.b = self._views(self.params, data)
        self.dW, self.db = self._views(self.grads, data)
        self.adam = FlatAdam(self.params, self.grads)

    def _views(self, flat, data):
        W, b, start = [None], [None], 0
        for coef, intercept in zip(data.coefs, data.intercepts, strict=True):
            middle = start + coef.size
            W.append(flat[start:middle].reshape(coef.shape))
            b.append(flat[middle : middle + intercept.size])
            start = middle + intercept.size
        return W, b


class NumPy(FlatParameters):
    name, what = "NumPy", "preallocated arrays, out= everywhere, Adam in place"

    def prepare(self, net, data):
        super().prepare(net, data)
        self.a = [np.empty((net.batch, size), data.X.dtype) for size in net.sizes]
        self.delta = [np.empty_like(a) for a in self.a]
        self.y = np.empty_like(self.a[-1])
        self.mask = [np.empty(a.shape, bool) for a in self.a]

    def forward(self, X):
        a_prev = X
        for l in range(1, self.L + 1):
            a = np.matmul(a_prev, self.W[l], out=self.a[l])
            a += self.b[l]
            activation = self.net.activation if l < self.L else self.net.output
            if activation == "relu":
                np.maximum(a, 0, out=a)
            elif activation == "tanh":
                np.tanh(a, out=a)
            elif activation == "logistic":
                np.negative(a, out=a)
                np.exp(a, out=a)
                a += 1
                np.reciprocal(a, out=a)
            else:
                a -= a.max(axis=1, keepdims=True)
                np.exp(a, out=a)
                a /= a.sum(axis=1, keepdims=True)
            a_prev = a
        return a

    def multiply_by_derivative(self, l):
        """delta[l] *= f'(z[l]), written from a[l]; a[l] is not needed any more and is overwritten."""
        a, delta = self.a[l], self.delta[l]
        if self.net.activation == "relu":
            np.greater(a, 0, out=self.mask[l])
            np.multiply(delta, self.mask[l], out=delta)
        elif self.net.activation == "tanh":
            np.multiply(a, a, out=a)
            np.subtract(1, a, out=a)
            delta *= a
        else:
            delta *= a
            np.subtract(1, a, out=a)
            delta *= a

    def backprop(self, X, y):
        """dW and db of the mean loss; returns a[L]."""
        a = self.forward(X)
        delta = np.subtract(a, y, out=self.delta[self.L])
        delta *= 1 / self.net.batch
        for l in range(self.L, 0, -1):
            np.matmul((self.a[l - 1] if l > 1 else X).T, self.delta[l], out=self.dW[l])
            np.sum(self.delta[l], axis=0, out=self.db[l])
            if l > 1:
                np.matmul(self.delta[l], self.W[l].T, out=self.delta[l - 1])
                self.multiply_by_derivative(l - 1)
        return a

    def step(self, rows):
        X, y = self.data.X, self.data.targets
        if not self.net.full_batch:  # mode="clip" because "raise" would go through a buffer
            X = np.take(X, rows, axis=0, out=self.a[0], mode="clip")
            y = np.take(y, rows, axis=0, out=self.y, mode="clip")
        self.backprop(X, y)
        self.adam.step()

    def epoch(self):
        for rows in self.data.batches:
            self.step(rows)

    def predict(self):
        return self.forward(self.data.X_batch).copy()

    def gradient(self):
        y = self.data.targets[: self.net.batch]
        a = self.backprop(self.data.X_batch, y)
        likelihood = np.abs(1 - y - a) if self.net.output == "logistic" else (y * a).sum(axis=1)
        return -np.log(likelihood).mean(), self.dW[1]


class Textbook(FlatParameters):
    name, what = "textbook", "fastbp.textbook: element by element, threads over the batch; Adam in NumPy"
    LARGEST = 50e6  # FLOP of a step

    def prepare(self, net, data):
        from fastbp import textbook

        if net.output != "softmax" or net.flop("training") > self.LARGEST:
            raise UnavailableError("measured on small nets with a softmax output")
        super().prepare(net, data)
        self.backprop = textbook.backprop

    def epoch(self):
        X, y, net = self.data.X, self.data.targets, self.net
        for rows in self.data.batches:
            Ws = [W.T.copy() for W in self.W[1:]]  # W[l] is (n_out, n_in) there
            _, dWs, dbs = self.backprop(X[rows], y[rows], Ws, self.b[1:], net.activation, self.n_threads)
            for l in range(1, self.L + 1):
                np.multiply(dWs[l - 1].T, 1 / net.batch, out=self.dW[l])
                np.multiply(dbs[l - 1], 1 / net.batch, out=self.db[l])
            self.adam.step()
