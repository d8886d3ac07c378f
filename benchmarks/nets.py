"""The nets that are measured, what one step of each costs, and the data that it sees."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import scipy.sparse

# So small that a net stays near its initial weights however long it is measured: every round does the same work,
# and no moment of Adam decays into the subnormal numbers, which are slow on many processors.
LEARNING_RATE = 1e-5


@dataclass(frozen=True)
class Net:
    """A net and its batch; written `SIZES:BATCH[:ACTIVATION[:full]]`, where 5x300 in the sizes is 300 five times.

    With a density below 1 its inputs are a CSR matrix.
    """

    sizes: tuple[int, ...]
    batch: int
    activation: str
    full_batch: bool
    text: str = field(compare=False)
    density: float = 1.0

    @classmethod
    def parse(cls, text):
        sizes_text, _, rest = text.partition(":")
        batch, activation, full = [*rest.split(":"), "", ""][:3]
        try:
            sizes = []
            for part in sizes_text.split("-"):
                count, _, size = part.rpartition("x")
                sizes += int(count or 1) * [int(size)]
            net = cls(tuple(sizes), int(batch), activation or "relu", full == "full", text)
        except ValueError:
            raise ValueError(f"{text!r}: expected SIZES:BATCH[:ACTIVATION[:full]], as 28-5x300-1:100:tanh") from None
        if len(sizes) < 2 or min(sizes) < 1 or net.batch < 1 or net.activation not in ("relu", "tanh", "logistic"):
            raise ValueError(f"{text!r}: expected 2 sizes or more, all >= 1, a batch >= 1, and relu, tanh or logistic")
        return net

    @property
    def label(self):
        activation = "" if self.activation == "relu" else f" {self.activation}"
        notes = " (full batch)" * self.full_batch + f" ({self.density:.1%} dense)" * (self.density < 1)
        return f"{self.text.partition(':')[0]}{activation}, {self.batch}{notes}"

    @property
    def output(self):
        return "logistic" if self.sizes[-1] == 1 else "softmax"

    @property
    def products(self):
        """P of the first layer and of all layers, where P is n_in * n_out."""
        per_layer = [n_in * n_out for n_in, n_out in pairwise(self.sizes)]
        return per_layer[0], sum(per_layer)

    def flop(self, task):
        """Floating-point operations of the products: F, BP4 and (but for the first layer) BP2; for predict, F alone."""
        P_first, P = self.products
        return 2 * self.batch * (P if task == "predict" else 3 * P - P_first)

    @property
    def n_batches(self):
        """Batches in an epoch: enough to hide the cost of starting one, few enough to stay in the caches."""
        return 1 if self.full_batch else int(np.clip(2e8 // self.flop("training"), 4, 200))


def _nets(*texts):
    return [Net.parse(text) for text in texts]


NETS = _nets(
    "16-32-2:32",
    "64-100-10:200",
    "54-256-256-7:256",
    "784-256-128-10:128",
    "28-5x300-1:100:tanh",
    "1024-1024-1024-10:512",
    "4-32-16-4:10000:tanh:full",
)
ODD_NETS = _nets(
    *(f"{sizes}:{batch}" for sizes in ("17-45-3", "100-100-100-1", "33-129-65-7") for batch in (1, 7, 100, 1000))
)
SQUARE_NETS = _nets(*(f"{w}-{w}-{w}:256" for w in (8, 16, 32, 64, 128, 256, 512, 1024, 2048)))
SCALING_NETS = _nets("64-100-10:200", "784-256-128-10:128", "1024-1024-1024-10:512")
FORWARD_NET = Net.parse("1024-1024-1024-1024:256")
GRADIENT_NET = Net.parse("24-8-2:200:tanh:full")
SPARSE_NET = replace(Net.parse("20000-100-10:200"), density=0.005)


class Data:
    """What every contestant starts from: rows, classes, initial weights, and the shuffled rows of each batch.

    `targets` is one-hot, or the 0/1 column of a logistic output. `coefs` and `intercepts` are in scikit-learn's
    orientation. `batches` holds arrays of row numbers; for a full batch there is nothing to shuffle: one slice.
    """

    def __init__(self, net, dtype, seed=0):
        rng = np.random.default_rng(seed)
        n = net.batch * net.n_batches
        n_classes = max(2, net.sizes[-1])
        if net.density < 1:
            self.X = scipy.sparse.random(n, net.sizes[0], net.density, "csr", dtype, random_state=seed)
        else:
            self.X = rng.standard_normal((n, net.sizes[0])).astype(dtype)
        self.classes = rng.integers(n_classes, size=n)
        self.targets = np.eye(n_classes, dtype=dtype)[self.classes][:, -net.sizes[-1] :].copy()
        self.order = None if net.full_batch else rng.permutation(n)
        self.batches = [slice(None)] if net.full_batch else np.split(self.order, net.n_batches)
        self.coefs, self.intercepts = [], []
        for n_in, n_out in pairwise(net.sizes):
            bound = np.sqrt(6 / (n_in + n_out))
            self.coefs.append(rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype))
            self.intercepts.append(rng.uniform(-bound, bound, n_out).astype(dtype))
        self.X_batch = self.X[: net.batch]
