"""No read or write past an edge: buffers of the kernels and the engine, X, y and weights end or begin at a guard page.

An access past an edge ends the process that runs these tests, by SIGSEGV. What is emulated, by conformance/run.py, has
guard pages of its own, in conformance/guarded.h.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from conftest import HIDDEN, SHAPES, batch, build, draw, for_fastbp, random_net, targets

from fastbp import MLPClassifier, MLPRegressor, _kernels

if not sys.platform.startswith("linux"):
    pytest.skip("guard pages are made as Linux makes them", allow_module_level=True)
from guard import guarded, is_guarded

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")


@pytest.fixture(params=["end", "beginning"])
def edge(request):
    return request.param


@pytest.fixture(autouse=True)
def guards(edge):
    with guarded(edge):
        assert is_guarded(np.zeros(3))
        yield


def csr(X, indices=np.int32):
    """Rows of nothing, rows of everything and others, in arrays that end with the last nonzero."""
    n = len(X)
    sparse = scipy.sparse.csr_array(X * (np.arange(X.size).reshape(X.shape) % 4 < np.arange(n)[:, None] % 5))
    return at_the_edge(sparse, indices)


def at_the_edge(sparse, indices=np.int32):
    """SciPy's own may be the beginnings of longer arrays."""
    sparse.data = sparse.data.copy()
    sparse.indices, sparse.indptr = sparse.indices.astype(indices), sparse.indptr.astype(indices)
    assert all(is_guarded(part) for part in (sparse.data, sparse.indices, sparse.indptr))
    return sparse


# --- the guard


WHO_READS_ON = """
import numpy as np
from guard import guarded
from fastbp import _kernels

with guarded({edge!r}):
    X, W, b = np.ones((5, 3), np.float32), np.ones((2, 3), np.float32), np.zeros(2, np.float32)

def forward(more):
    class Longer:  # X with a row more, after the last or before the first
        data = (X.ctypes.data - more * {before} * X.strides[0], False)
        __array_interface__ = dict(X.__array_interface__, data=data, shape=(5 + more, 3))

    _kernels.forward(np.asarray(Longer()), W, b, "tanh")

forward(0)
print("alive", flush=True)
forward(1)
"""


def test_who_reads_past_an_edge_dies(edge):
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests.parent), str(tests)])
    command = [sys.executable, "-c", WHO_READS_ON.format(edge=edge, before=int(edge == "beginning"))]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, timeout=120, check=False)
    assert done.stdout.split() == [b"alive"], done.stderr.decode()
    assert done.returncode == -signal.SIGSEGV


# --- each kernel, on every instruction set, at every ragged size


def test_the_products(isa, dtype, shape, rng):
    """F, BP2, BP3 and BP4, dense and sparse; gather and scatter in each."""
    n, n_in, n_out = shape
    X, W, b = draw(rng, (n, n_in), dtype), draw(rng, (n_out, n_in), dtype), draw(rng, n_out, dtype)
    delta, order = draw(rng, (n, n_out), dtype), rng.randint(n, size=n)
    sparse = csr(X, [np.int32, np.int64][n % 2])
    assert all(is_guarded(array) for array in (X, W, b, delta, order))
    for activation in ("tanh", "gelu"):
        _kernels.forward(X, W, b, activation, isa=isa)
        _kernels.delta(delta, W, X, activation, isa=isa)
        _kernels.forward_sparse(sparse, W, b, activation, order, dropout=(0.5, 1, 2, 3), isa=isa)
    _kernels.gradient(delta, X, isa=isa)
    for by_inputs in (False, True):
        _kernels.gradient_sparse(delta, sparse, order, n_parts=3, by_inputs=by_inputs, isa=isa)
    _kernels.dropout(X, 0.5, seed=1, layer=2, step=3, isa=isa)


def test_layers_too_large_for_l2(isa, dtype, rng):
    """They ask for lines ahead, which may lie beyond the edge: a prefetch of them is no access."""
    X, W, b = draw(rng, (19, 601), dtype), draw(rng, (701, 601), dtype), draw(rng, 701, dtype)
    _kernels.forward(X, W, b, "relu", isa=isa)
    _kernels.delta(draw(rng, (19, 701), dtype), W, X, "relu", isa=isa)


@pytest.mark.parametrize("loss", _kernels.LOSSES)
def test_the_losses(isa, dtype, loss, rng):
    for i, (n, _, n_out) in enumerate(SHAPES):
        output = list(_kernels.OUTPUTS)[i % len(_kernels.OUTPUTS)]
        z, y = draw(rng, (n, n_out), dtype), for_fastbp(targets(rng, n, n_out, loss), loss, dtype)
        weight = draw(rng, n, dtype) if i % 2 else None
        levels = np.linspace(0.1, 0.9, n_out) if loss == "quantile" else None
        class_weights = np.ones((n_out, 2)) if i % 4 < 2 and output != "softmax" else None
        _kernels.loss(z, y, output, loss, weight, isa=isa, levels=levels, class_weights=class_weights)


def test_what_goes_element_by_element(isa, dtype, shape, rng):
    n, n_in, n_out = shape
    z, dy = draw(rng, (n, n_out), dtype), draw(rng, (n, n_out), dtype)
    for f in _kernels.ELEMENTWISE:
        _kernels.activate_backward(dy, _kernels.activate(z, f, isa=isa), f, isa=isa)
    _kernels.log(dy, isa=isa)
    _kernels.softmax_backward(dy, _kernels.softmax(z, isa=isa), isa=isa)
    W, dW, m, v, average = (np.abs(draw(rng, n * n_in, dtype)) for _ in range(5))
    for solver in _kernels.SOLVERS:
        for extras in ({}, {"clip": 0.1, "decay": 0.1, "average": average}):
            extras = extras | ({"average": average} if solver == "schedule_free" else {})
            _kernels.update(W, dW, m, v, solver, isa=isa, **extras)
    _kernels.gradient_squares(W, dW, isa=isa)
    some = draw(rng, (min(n_in, 8), min(n_out, 8)), dtype)
    for by_inputs in (False, True):
        _kernels.squares(some, by_inputs, isa=isa)
        _kernels.gradient_squares(some, some, by_inputs=by_inputs, isa=isa)


# --- the engine's buffers, each apart from the others


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("sizes", [[3, 5, 1], [33, 17, 10, 4], [20, 150, 31]])
def test_the_engine(sizes, n_threads, dtype):
    for by_inputs in (False, True):
        p = random_net(sizes, HIDDEN[-1:] * (len(sizes) - 2), "softmax", "log_loss", 67, dtype)
        net = build(p, n_threads, "adam", by_inputs)
        X, y = batch(p)
        order = np.random.RandomState(0).permutation(67)
        for rows in (X, csr(X)):
            net.train_epoch(rows, y, order, 31, 0.01, 1e-3, p.sample_weight.astype(dtype))
            net.loss_gradient(rows, y)
            net.predict(rows)


# --- the estimators


def strided(X):
    """Every second row and every third column of an array that ends with the last of them."""
    wide = np.zeros((2 * X.shape[0] - 1, 3 * X.shape[1] - 2), X.dtype)
    wide[::2, ::3] = X
    return wide[::2, ::3]


FORMS = {
    "C": np.array,
    "Fortran": lambda X: np.array(X, order="F"),
    "strided": strided,
    "reversed": lambda X: np.array(X[::-1, ::-1])[::-1, ::-1],
    "int": lambda X: (10 * X).astype(int),
    "csr": csr,
    "csc": lambda X: at_the_edge(csr(X).tocsc()),
}
SETTINGS = {"max_iter": 2, "batch_size": 31, "random_state": 0, "n_threads": 2}


@pytest.mark.parametrize(
    ("form", "settings"),
    [(form, {}) for form in FORMS]
    + [(form, {"early_stopping": True, "dropout": 0.5}) for form in ("C", "csr")]
    + [(form, {"solver": "lbfgs"}) for form in ("C", "csr")],
)
def test_the_estimators(form, settings, dtype, rng):
    X = FORMS[form](draw(rng, (67, 13), dtype))
    weight = rng.uniform(1, 2, 67)
    for model, y in (
        (MLPClassifier, rng.randint(3, size=67)),
        (MLPClassifier, rng.randint(2, size=(67, 5))),
        (MLPRegressor, rng.uniform(size=(67, 2))),
    ):
        fitted = model(hidden_layer_sizes=(17, 9), **SETTINGS, **settings).fit(X, y, sample_weight=weight)
        fitted.score(X, y, weight)
        if not scipy.sparse.issparse(X):
            predictor = fitted.predictor()
            predictor(X)
            predictor(X[-1])
        if not settings:
            fitted.partial_fit(X, y)
