"""scikit-learn's passes and optimizer, without its validation of input."""

from benchmarks.contestants.base import Contestant
from benchmarks.nets import LEARNING_RATE


class ScikitLearn(Contestant):
    name, what = "scikit-learn", "MLPClassifier._backprop, AdamOptimizer, _forward_pass_fast: without validation"
    requires = ("sklearn",)

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

    def backprop(self, X, y):
        self.activations[0] = X
        return self.model._backprop(X, y, None, self.activations, self.deltas, self.dW, self.db)[0]

    def epoch(self):
        for rows in self.data.batches:
            self.backprop(self.data.X[rows], self.data.targets[rows])
            self.model._optimizer.update_params(self.params, self.dW + self.db)

    def predict(self):
        return self.model._forward_pass_fast(self.data.X_batch, check_input=False)

    def gradient(self):
        return self.backprop(self.data.X_batch, self.data.targets[: self.net.batch]), self.dW[0]
