"""What the tests share: the instruction sets that run here, ragged shapes, random networks, and how close is close."""

import re
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from fastbp import _kernels
from fastbp._engine import Network

collect_ignore = ["typing"]  # read by mypy, not run

SIZES = (1, 2, 7, 10, 15, 16, 17, 31, 33, 100)

# (n, n_in, n_out): every size in every place, twice, each time with other company; then the narrow outputs, one by one.
SHAPES = [(SIZES[i], SIZES[(3 * i + k) % 10], SIZES[(7 * i + 5 * k + 1) % 10]) for k in (0, 1) for i in range(10)]
SHAPES += [(33, 17, n_out) for n_out in range(1, 11)] + [(100, 33, 64), (64, 48, 100)]

HIDDEN = ("identity", "logistic", "tanh", "relu")
OUTPUTS = ("identity", "logistic", "softmax", "exp", "tanh", "relu")
LOSSES = ("squared_error", "log_loss", "binary_log_loss", "poisson")
PAIRS = [(output, loss) for output in OUTPUTS for loss in LOSSES]
SIGNED_LOSSES = ("squared_error", "absolute_error", "huber", "quantile")  # of any y and a
CLASS_LOSSES = ("log_loss", "focal")  # of a single class

OPTIMIZERS = {
    "sgd": ("sgd", dict(momentum=0.0, nesterov=False)),
    "momentum": ("sgd", dict(momentum=0.9, nesterov=False)),
    "nesterov": ("sgd", dict(momentum=0.9, nesterov=True)),
    "adam": ("adam", dict(beta_1=0.8, beta_2=0.99, epsilon=1e-7)),
}


def pytest_collection_modifyitems(items):
    """Skip a docstring whose example imports a package that is not installed."""
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.path.suffix == ".py":
            source = "".join(example.source for example in item.dtest.examples)
            packages = set(re.findall(r"^(?:import|from) (\w+)", source, flags=re.MULTILINE))
            missing = ", ".join(package for package in sorted(packages) if find_spec(package) is None)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {missing}"))


@pytest.fixture(params=_kernels.isa_names())
def isa(request):
    """Each instruction set that runs on this machine."""
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def shape(request):
    """(n, n_in, n_out)."""
    return request.param


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def draw(rng, shape, dtype, scale=1.0):
    """Uniform in [-scale, scale], rounded to dtype: the kernel and the reference then start from the same numbers."""
    return rng.uniform(-scale, scale, shape).astype(dtype)


def as_float64(*arrays):
    return [array.astype(np.float64) for array in arrays]


def assert_close(got, expected, condition, dtype, factor=4):
    """|got - expected| <= factor eps condition, where condition is the sum of the |terms| behind each element."""
    assert got.shape == expected.shape
    error = np.abs(got.astype(np.float64) - expected)
    bound = factor * np.finfo(dtype).eps * condition + np.finfo(dtype).tiny
    off = np.nan_to_num(error / bound, nan=np.inf)
    at = np.unravel_index(np.argmax(off), off.shape)
    assert off[at] <= 1, f"{off[at]:.3g} bounds off at {at}: got {got[at]}, expected {expected[at]}"


def assert_same_bits(got, expected):
    """Equal to the last bit: the sign of a zero counts, and a NaN equals a NaN."""
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == e.dtype
        assert np.array_equal(g, e, equal_nan=True)
        assert np.array_equal(np.signbit(g), np.signbit(e)) or np.isnan(g).any()


def targets(rng, n, n_out, loss):
    """Targets that suit the loss, (n, n_out); classes come as rows with a single one."""
    if loss in SIGNED_LOSSES:
        return rng.uniform(-1, 1, (n, n_out))
    if loss in CLASS_LOSSES:
        return np.eye(n_out)[rng.randint(n_out, size=n)]
    if loss == "gamma":
        return rng.uniform(0.2, 3, (n, n_out))
    return rng.randint(5 if loss == "poisson" else 2, size=(n, n_out)).astype(float)


def for_fastbp(y, loss, dtype):
    """The targets in the form that fastbp takes: a column of classes for a class loss of several outputs."""
    y = np.argmax(y, axis=1)[:, None] if loss in CLASS_LOSSES and y.shape[1] > 1 else y
    return np.ascontiguousarray(y, dtype=dtype)


def interior(output, loss):
    """(centre, scale) of a draw of z that keeps a where the loss is smooth: in (0, 1), with no logarithm clipped."""
    if loss in SIGNED_LOSSES or output in ("logistic", "softmax"):
        return 0.0, 1.0
    if output == "exp" and loss in ("poisson", "gamma"):
        return 0.0, 1.0
    return {"identity": 0.5, "tanh": 0.55, "relu": 0.5, "exp": -0.7}[output], 0.3


def random_net(sizes, activations, output, loss, n, dtype=np.float64, seed=0):
    """A network with a batch. X, y, W, b, sample_weight are the reference's (float64, 1-based), though dtype holds each
    of them exactly; coefs, intercepts and target are fastbp's."""
    rng = np.random.RandomState(seed)
    L = len(sizes) - 1
    W, b = [None], [None]
    for l in range(1, L + 1):
        centre, scale = interior(output, loss) if l == L else (0.0, 1.0)
        spread = scale * np.sqrt((3 if scale == 1 else 0.3) / sizes[l - 1])
        W.append(draw(rng, (sizes[l], sizes[l - 1]), dtype, spread).astype(np.float64))
        b.append((centre + draw(rng, sizes[l], dtype, 0.3 * scale)).astype(dtype).astype(np.float64))
    X = draw(rng, (n, sizes[0]), dtype).astype(np.float64)
    y = targets(rng, n, sizes[-1], loss).astype(dtype).astype(np.float64)
    weight = (rng.randint(1, 9, n) / 4).astype(np.float64)
    return SimpleNamespace(
        sizes=list(sizes), activations=list(activations), output=output, loss=loss, dtype=dtype,
        W=W, b=b, X=X, y=y, sample_weight=weight, target=for_fastbp(y, loss, dtype),
        coefs=[np.ascontiguousarray(W_l.T, dtype=dtype) for W_l in W[1:]],
        intercepts=[b_l.astype(dtype) for b_l in b[1:]],
    )  # fmt: skip


def build(p, n_threads=1, optimizer=None, by_inputs=False):
    """The Network of a random_net."""
    net = Network(p.sizes, p.activations, p.output, p.loss, p.dtype, n_threads=n_threads, by_inputs=by_inputs)
    net.set_parameters(p.coefs, p.intercepts)
    if optimizer:
        solver, options = OPTIMIZERS[optimizer]
        net.set_optimizer(solver, **options)
    return net


def batch(p):
    """X and y of a random_net, as its Network takes them."""
    return p.X.astype(p.dtype), p.target


def assert_same_parameters(net, other):
    for got, expected in zip(net.get_parameters(), other.get_parameters(), strict=True):
        assert_same_bits(got, expected)
