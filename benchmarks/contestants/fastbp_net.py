"""fastbp's engine, as the estimators call it."""

import numpy as np

from benchmarks.contestants.base import Contestant
from benchmarks.nets import LEARNING_RATE


class Fastbp(Contestant):
    name, what = "fastbp", "fastbp._engine.Network: train_epoch, predict, loss_gradient"

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

    def gradient(self):
        loss, dW, _ = self.network.loss_gradient(self.data.X_batch, self.y[: self.net.batch])
        return loss, dW[0]
