"""The gradients of 50 random networks, against PyTorch's autograd in float64."""

import numpy as np
import pytest
from conftest import PAIRS, batch, build, draw, random_net

from fastbp import _kernels

torch = pytest.importorskip("torch")
F = torch.nn.functional

ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
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
    activations = rng.choice(list(_kernels.ACTIVATIONS), size=L - 1).tolist()
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


LEVELS = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)
AT_1 = torch.tensor([0.5, 1.0, 2.0, 3.0, 10.0], dtype=torch.float64)
ONE_SIDED = np.stack([np.ones(5), AT_1], axis=1)


def focal(log_p, gamma=2.0):
    """-(1 - p)^gamma log p of what has the logarithm log_p, by autograd."""
    return -((-torch.expm1(log_p)) ** gamma) * log_p


LOSSES = {  # name: output, loss, settings, and the same of z and y in PyTorch
    "l1": ("identity", "absolute_error", {}, lambda z, y: F.l1_loss(z, y, reduction="sum")),
    "huber": ("identity", "huber", {"parameter": 0.6}, lambda z, y: F.huber_loss(z, y, reduction="sum", delta=0.6)),
    "pinball": ("identity", "quantile", {"levels": LEVELS.numpy()},
                lambda z, y: torch.maximum(LEVELS * (y - z), (LEVELS - 1) * (y - z)).sum()),
    "poisson": ("exp", "poisson", {},
                lambda z, y: F.poisson_nll_loss(z, y, reduction="sum") + (torch.xlogy(y, y) - y).sum()),
    "gamma": ("exp", "gamma", {}, lambda z, y: (z - torch.log(y) + y * torch.exp(-z) - 1).sum()),
    "cross entropy": ("softmax", "log_loss", {"smoothing": 0.1},
                      lambda z, y: F.cross_entropy(z, y[:, 0].long(), reduction="sum", label_smoothing=0.1)),
    "bce": ("logistic", "binary_log_loss", {"class_weights": ONE_SIDED},
            lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum", pos_weight=AT_1)),
    "focal": ("softmax", "focal", {"parameter": 2.0},
              lambda z, y: focal(F.log_softmax(z, dim=1)).gather(1, y.long()).sum()),
    "binary focal": ("logistic", "binary_focal", {"parameter": 2.0},
                     lambda z, y: (y * focal(F.logsigmoid(z)) + (1 - y) * focal(F.logsigmoid(-z))).sum()),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, rng):
    output, loss, settings, expected = LOSSES[name]
    z = draw(rng, (40, 5), np.float64, 4.0)
    if output == "softmax":
        y = rng.randint(5, size=(40, 1)).astype(float)
    elif output == "logistic":
        y = rng.randint(2, size=(40, 5)).astype(float)
    else:
        y = rng.uniform(0.1, 3, (40, 5))
    _, losses, delta = _kernels.loss(z, y, output, loss, **settings)
    z = torch.tensor(z, requires_grad=True)
    total = expected(z, torch.tensor(y))
    total.backward()
    assert losses.sum() == pytest.approx(total.item(), rel=1e-12)
    np.testing.assert_allclose(delta, z.grad.numpy(), rtol=1e-10, atol=1e-12)
