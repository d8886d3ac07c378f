"""fastbp's engine, as the estimators call it."""

from functools import cached_property

import numpy as np
from scipy.sparse import issparse

from benchmarks.contestants.base import Contestant
from benchmarks.nets import LEARNING_RATE


class Fastbp(Contestant):
    name, what = "fastbp", "fastbp._engine.Network: train_epoch, predict; fastbp._objective.Objective"

    def prepare(self, net, data):
        from fastbp._engine import Network

        loss = "binary_log_loss" if net.output == "logistic" else "log_loss"
        hidden = [net.activation] * (len(net.sizes) - 2)
        settings = dict(n_threads=self.n_threads, by_inputs=issparse(data.X))
        self.network = Network(net.sizes, hidden, net.output, loss, data.X.dtype.type, **settings)
        self.network.set_parameters(data.coefs, data.intercepts)
        self.network.set_optimizer("adam")
        self.y = data.targets if net.output == "logistic" else data.classes[:, np.newaxis].astype(data.X.dtype)

    def epoch(self):
        self.network.train_epoch(self.data.X, self.y, self.data.order, self.net.batch, LEARNING_RATE)

    def predict(self):
        return self.network.predict(self.data.X_batch)

    @cached_property
    def objective(self):
        from fastbp._objective import Objective

        return Objective(self.network, self.data.X_batch, self.y[: self.net.batch])

    @cached_property
    def parameters(self):
        return np.concatenate([part.ravel() for part in (*self.data.coefs, *self.data.intercepts)])

    def gradient(self):
        loss, gradient = self.objective(self.parameters)
        n_in, n_out = self.net.sizes[:2]
        return loss, gradient[: n_in * n_out].reshape(n_in, n_out)
