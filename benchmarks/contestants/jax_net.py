"""JAX on the processor, jitted."""

import os
from functools import partial

import numpy as np

from benchmarks.contestants.base import Contestant, UnavailableError
from benchmarks.nets import LEARNING_RATE


def bind(n_threads):
    """Set the threads of JAX; only the first call in a process does."""
    os.environ.setdefault("PJRT_NPROC", str(n_threads))


def start(n_threads):
    """The jax module, in 32 and 64 bits."""
    bind(n_threads)
    bound = os.environ["PJRT_NPROC"]
    if bound != str(n_threads):
        raise UnavailableError(f"its threads are set once in a process, to {bound} in this run")
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    return jax


def functions(jax, activation, output):
    """z[L] of the rows X, the outputs, and the mean loss; params is a list of (W, b), W (n_in, n_out)."""
    f = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh, "logistic": jax.nn.sigmoid}[activation]

    def forward(params, X):
        *hidden, (W, b) = params
        for W_l, b_l in hidden:
            X = f(X @ W_l + b_l)
        return X @ W + b

    def outputs(params, X):
        return {"softmax": jax.nn.softmax, "logistic": jax.nn.sigmoid}[output](forward(params, X))

    def loss(params, X, y):
        z = forward(params, X)
        if output == "logistic":
            return (jax.nn.softplus(z) - y * z).mean()
        return -(y * jax.nn.log_softmax(z)).sum() / len(y)

    return outputs, loss


def adam(jax, params, grads, m, v, t, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """One step on trees of arrays; t is the number of this step."""
    each = jax.tree.map
    m = each(lambda m, g: beta_1 * m + (1 - beta_1) * g, m, grads)
    v = each(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, v, grads)
    rate = LEARNING_RATE * jax.numpy.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return each(lambda p, m, v: p - rate * m / (jax.numpy.sqrt(v) + epsilon), params, m, v), m, v


class Jax(Contestant):
    name, what = "JAX", "jax.jit of a step with its gather and Adam, the state donated; of the forward pass"
    requires = ("jax",)

    def prepare(self, net, data):
        jax = self.jax = start(self.n_threads)
        outputs, loss = functions(jax, net.activation, net.output)
        params = jax.tree.map(jax.numpy.array, list(zip(data.coefs, data.intercepts, strict=True)))
        zeros = partial(jax.tree.map, jax.numpy.zeros_like)
        self.state = params, zeros(params), zeros(params), jax.numpy.zeros((), data.X.dtype)
        self.X, self.y, self.X_batch = (jax.device_put(array) for array in (data.X, data.targets, data.X_batch))
        self.batches = [() if net.full_batch else (jax.device_put(rows.astype(np.int32)),) for rows in data.batches]

        def step(state, X, y, *rows):
            if rows:
                X, y = (array.at[rows[0]].get(mode="promise_in_bounds") for array in (X, y))
            params, m, v, t = state
            return *adam(jax, params, jax.grad(loss)(params, X, y), m, v, t + 1), t + 1

        self.step = jax.jit(step, donate_argnums=0)
        self.outputs = jax.jit(outputs)
        self.value_and_grad = jax.jit(jax.value_and_grad(loss))

    def epoch(self):
        for rows in self.batches:
            self.state = self.step(self.state, self.X, self.y, *rows)
        self.jax.block_until_ready(self.state)

    def serve(self, X):
        return np.asarray(self.outputs(self.state[0], X))

    def predict(self):
        return self.serve(self.X_batch)

    def gradient(self):
        loss, grads = self.value_and_grad(self.state[0], self.X_batch, self.y[: self.net.batch])
        return float(loss), np.asarray(grads[0][0])
