"""PyTorch, eager and compiled."""

from benchmarks.contestants.base import Contestant, UnavailableError
from benchmarks.nets import LEARNING_RATE


class PyTorch(Contestant):
    name, what = "PyTorch", "nn.Linear, eager, Adam(fused=True)"
    requires = ("torch",)
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

    def answer(self, X):
        with self.torch.inference_mode():
            return self.outputs(X).numpy()

    def predict(self):
        return self.answer(self.X_batch)

    def serve(self, X):
        return self.answer(self.torch.from_numpy(X))

    def gradient(self):
        loss = self.loss(self.X_batch, self.y[: self.net.batch])
        loss.backward()
        dW = self.model[0].weight.grad
        self.optimizer.zero_grad()
        return loss.item(), dW.numpy().T


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
