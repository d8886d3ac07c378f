"""The gradients of 50 random networks, against PyTorch's autograd in float64."""

import numpy as np
import pytest
from conftest import HIDDEN, PAIRS, batch, build, random_net

torch = pytest.importorskip("torch")

ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "softmax": lambda z: torch.softmax(z, dim=1),
}
COSTS = {
    "squared_error": lambda a, y: 0.5 * (a - y) ** 2,
    "log_loss": lambda a, y: -torch.xlogy(y, a),
    "binary_log_loss": lambda a, y: -torch.xlogy(y, a) - torch.xlogy(1 - y, 1 - a),
    "poisson": lambda a, y: torch.xlogy(y, y) - torch.xlogy(y, a) - y + a,
}


def random_problem(seed, dtype):
    """1 to 5 layers of 1 to 70 units, an activation for each, any pair of output and loss, 1 to 150 samples."""
    rng = np.random.RandomState(seed)
    L = rng.randint(1, 6)
    output, loss = PAIRS[seed % len(PAIRS)]
    sizes = rng.randint(1, 71, L + 1)
    sizes[-1] = rng.randint(2, 71) if output == "softmax" else rng.randint(1, 71)
    activations = [HIDDEN[i] for i in rng.randint(len(HIDDEN), size=L - 1)]
    return random_net(sizes.tolist(), activations, output, loss, rng.randint(1, 151), dtype, seed)


def gradients(p):
    """The loss, summed over samples, and dW, db of each layer, by autograd."""
    W, b = ([torch.tensor(param, requires_grad=True) for param in params[1:]] for params in (p.W, p.b))
    a = torch.tensor(p.X)
    for W_l, b_l, f in zip(W, b, [*p.activations, p.output], strict=True):
        a = ACTIVATIONS[f](a @ W_l.T + b_l)
    loss = (torch.tensor(p.sample_weight)[:, None] * COSTS[p.loss](a, torch.tensor(p.y))).sum()
    loss.backward()
    return loss.item(), [W_l.grad.numpy() for W_l in W], [b_l.grad.numpy() for b_l in b]


@pytest.mark.parametrize("seed", range(50))
def test_gradient(seed, dtype):
    p = random_problem(seed, dtype)
    got = build(p).backprop(*batch(p), sample_weight=p.sample_weight)
    loss, dW, db = gradients(p)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert got["loss"] == pytest.approx(loss, rel=rtol)
    for name, expected in (("dW", dW), ("db", db)):
        for l, grad in enumerate(expected, start=1):
            error = np.max(np.abs(got[name][l] - grad)) / np.max(np.abs(grad))
            assert error <= rtol, f"{name}[{l}] of {p.sizes} {p.activations} {p.output} {p.loss}: {error:.2e}"
