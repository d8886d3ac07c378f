"""The contestants: each trains the same net on the same batches with Adam, and predicts one batch.

A contestant is built from (net, data, n_threads); then `epoch()` is one step on each of `data.batches`, and `predict()`
returns the outputs for `data.X_batch`. Nothing else is timed.
"""

import importlib.util

import numpy as np

from benchmarks.nets import LEARNING_RATE


class UnavailableError(Exception):
    """This contestant cannot take part; the text says why."""


class Contestant:
    name = what = ""
    requires = "numpy"

    def __init__(self, net, data, n_threads):
        self.net, self.data, self.n_threads = net, data, n_threads
        if importlib.util.find_spec(self.requires) is None:
            raise UnavailableError(f"{self.requires} is not installed")
        self.prepare(net, data)


class Fastbp(Contestant):
    name, what = "fastbp", "fastbp._engine.Network: train_epoch, predict"

    def prepare(self, net, data):
        from fastbp._engine import Network

        loss = "binary_log_loss" if net.output == "logistic" else "log_loss"
        hidden = [net.activation] * (len(net.sizes) - 2)
        self.network = Network(net.sizes, hidden, net.output, loss, data.X.dtype.type, n_threads=self.n_threads)
        self.network.set_parameters(data.coefs, data.intercepts)
        self.network.set_optimizer("adam")
        self.y = data.targets if net.output == "logistic" else data.classes[:, np.newaxis].astype(data.X.dtype)

    def epoch(self):
        self.network.train_epoch(self.data.X, self.y, self.data.order, self.net.batch, LEARNING_RATE)

    def predict(self):
        return self.network.predict(self.data.X_batch)


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

    def step(self, rows):
        X, y = self.data.X, self.data.targets
        if not self.net.full_batch:  # mode="clip" because "raise" would go through a buffer
            X = np.take(X, rows, axis=0, out=self.a[0], mode="clip")
            y = np.take(y, rows, axis=0, out=self.y, mode="clip")
        delta = np.subtract(self.forward(X), y, out=self.delta[self.L])
        delta *= 1 / self.net.batch
        for l in range(self.L, 0, -1):
            np.matmul((self.a[l - 1] if l > 1 else X).T, self.delta[l], out=self.dW[l])
            np.sum(self.delta[l], axis=0, out=self.db[l])
            if l > 1:
                np.matmul(self.delta[l], self.W[l].T, out=self.delta[l - 1])
                self.multiply_by_derivative(l - 1)
        self.adam.step()

    def epoch(self):
        for rows in self.data.batches:
            self.step(rows)

    def predict(self):
        return self.forward(self.data.X_batch).copy()


class Textbook(FlatParameters):
    name, what = "textbook", "fastbp.textbook: element by element, threads over the batch; Adam in NumPy"
    predict = None
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


class ScikitLearn(Contestant):
    name, what = "scikit-learn", "MLPClassifier._backprop, AdamOptimizer, _forward_pass_fast: without validation"
    requires = "sklearn"

    def prepare(self, net, data):
        from sklearn.neural_network import MLPClassifier
        from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

        model = self.model = MLPClassifier(activation=net.activation, alpha=0.0)
        model.n_layers_, model.out_activation_ = len(net.sizes), net.output
        model.coefs_, model.intercepts_ = [c.copy() for c in data.coefs], [b.copy() for b in data.intercepts]
        params = model.coefs_ + model.intercepts_
        model._optimizer = AdamOptimizer(params, LEARNING_RATE)
        self.params, L = params, model.n_layers_ - 1
        self.activations, self.deltas, self.dW, self.db = [None] * (L + 1), [None] * L, [None] * L, [None] * L

    def epoch(self):
        model, X, y = self.model, self.data.X, self.data.targets
        for rows in self.data.batches:
            self.activations[0] = X_batch = X[rows]
            model._backprop(X_batch, y[rows], None, self.activations, self.deltas, self.dW, self.db)
            model._optimizer.update_params(self.params, self.dW + self.db)

    def predict(self):
        return self.model._forward_pass_fast(self.data.X_batch, check_input=False)


class PyTorch(Contestant):
    name, what = "PyTorch", "nn.Linear, eager, Adam(fused=True)"
    requires = "torch"
    compiled = False

    def prepare(self, net, data):
        import torch

        torch.set_num_threads(self.n_threads)
        self.torch = torch
        activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "logistic": torch.nn.Sigmoid}[net.activation]
        layers = []
        for coef, intercept in zip(data.coefs, data.intercepts, strict=True):
            linear = torch.nn.Linear(*coef.shape)
            linear.weight.data = torch.from_numpy(coef.T.copy())
            linear.bias.data = torch.from_numpy(intercept.copy())
            layers += [linear, activation()]
        self.model = torch.nn.Sequential(*layers[:-1])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, fused=True)
        self.X, self.X_batch = torch.from_numpy(data.X), torch.from_numpy(data.X_batch)
        if net.output == "logistic":
            self.y, self.criterion = torch.from_numpy(data.targets), torch.nn.BCEWithLogitsLoss()
            self.output = torch.nn.Sigmoid()
        else:
            self.y, self.criterion = torch.from_numpy(data.classes), torch.nn.CrossEntropyLoss()
            self.output = torch.nn.Softmax(dim=1)
        self.batches = [rows if net.full_batch else torch.from_numpy(rows) for rows in data.batches]
        if self.compiled:
            self.compile()

    def loss(self, X, y):
        return self.criterion(self.model(X), y)

    def outputs(self, X):
        return self.output(self.model(X))

    def epoch(self):
        for rows in self.batches:
            self.loss(self.X[rows], self.y[rows]).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def predict(self):
        with self.torch.inference_mode():
            return self.outputs(self.X_batch).numpy()


class PyTorchCompiled(PyTorch):
    name, what = "PyTorch compiled", "torch.compile of the model with its loss, Adam(fused=True)"
    compiled = True

    def compile(self):
        self.torch.compiler.reset()
        self.loss = self.torch.compile(self.loss, dynamic=False)
        self.outputs = self.torch.compile(self.outputs, dynamic=False)
        state = {name: value.clone() for name, value in self.model.state_dict().items()}
        optimizer_state = self.optimizer.state_dict()
        try:
            self.epoch()
            self.predict()
        except Exception as error:  # whatever the compiler behind it raises
            raise UnavailableError(f"torch.compile failed: {str(error).strip().splitlines()[0]}") from error
        self.model.load_state_dict(state)
        self.optimizer.load_state_dict(optimizer_state)


CONTESTANTS = {cls.name: cls for cls in (Fastbp, PyTorch, PyTorchCompiled, NumPy, ScikitLearn, Textbook)}
