"""
Reading gradients by hand
=========================

``backprop`` returns everything that one pass through a network computes, under the names of the
book: z, a and delta of each layer, dW and db. Here they are checked against the four equations, one
by one, and then used to see a network that cannot learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fastbp import MLPClassifier, backprop

X, y = load_digits(return_X_y=True)
X = X / 16
model = MLPClassifier((32, 16), activation="tanh", max_iter=20, n_iter_no_change=20, random_state=0).fit(X, y)

# %%
# One row. The index of each list is the layer; layer 0 is the input.

row, truth = X[:1], y[:1]
p = backprop(model, row, truth)
a, delta = p.a, p.delta
W = [None, *(coef.T for coef in model.coefs_)]
print("the network says", a[3][0].argmax(), "with probability", a[3][0].max().round(3), "and the truth is", truth[0])


def show(equation, holds):
    """Print an equation and whether it holds."""
    print(f"{equation:34}", "holds" if holds else "FAILS")
    assert holds


show("F    a[2] = tanh(W[2] a[1] + b[2])", np.allclose(a[2], np.tanh(a[1] @ W[2].T + model.intercepts_[1])))
show("BP1  delta[3] = a[3] - y", np.allclose(delta[3], a[3] - np.eye(10)[truth]))
show("BP2  delta[2] = W[3]' delta[3] f'", np.allclose(delta[2], (delta[3] @ W[3]) * (1 - a[2] ** 2)))
show("BP3  db[2] = delta[2]", np.allclose(p.db[2], delta[2][0]))
show("BP4  dW[2] = delta[2] a[1]'", np.allclose(p.dW[2], np.outer(delta[2], a[1])))

# %%
# The derivative by one weight is how the loss answers when that weight is moved. ``coefs_`` are
# plain arrays and may be moved:

j, k, h = 3, 5, 1e-5
losses = []
for step in (h, -2 * h):
    model.coefs_[1][k, j] += step
    losses.append(backprop(model, row, truth).loss)
model.coefs_[1][k, j] += h
show("dW[2][3, 5] by differences", np.isclose((losses[0] - losses[1]) / (2 * h), p.dW[2][j, k], rtol=1e-5))

# %%
# Now eight hidden layers, before any learning. With logistic units each layer multiplies delta by
# f' <= 1/4, and what arrives at the first layers is nothing; tanh and relu pass it on.
# :doc:`/backprop` says why.

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for activation in ("logistic", "tanh", "relu", "selu"):
    deep = MLPClassifier((50,) * 8, activation=activation, learning_rate_init=1e-12, max_iter=1, random_state=0)
    deep.fit(X, y)  # one epoch with next to no learning rate: the first weights
    norms = [np.linalg.norm(d, axis=1).mean() for d in backprop(deep, X, y).delta[1:]]
    axes.semilogy(range(1, 10), norms, marker="o", label=activation)
    print(f"{activation:9} |delta[1]| / |delta[9]| = {norms[0] / norms[-1]:.1e}")
axes.set(xlabel="layer l", ylabel="mean norm of delta[l]", title="What arrives, in a network that has not learned yet")
axes.set_xticks(range(1, 10))
axes.legend()
plt.show()
