"""Beyond 2^31 elements and 2^32 bytes: offsets are right; sizes that nobody has are refused before memory is touched.

What is large here is mostly hole: files without blocks on the disk, memory that is never touched.
"""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from conftest import assert_same_bits, assert_same_parameters

from fastbp import MLPClassifier, MLPRegressor
from fastbp import functional as F
from fastbp._engine import Network

N_ROWS, WIDTH = 2**28 + 1000, 9  # 2^31 elements and more, 9 GB of float32
ROWS = np.array([0, 7, 2**27, *range(2**28 - 20, 2**28 + 20), N_ROWS - 1])  # before the limits, across them, the last


def hole(path, dtype, shape, order="C"):
    """A memory-mapped file of zeros that takes no space on the disk."""
    try:
        return np.memmap(path, dtype, "w+", shape=shape, order=order)
    except OSError as error:
        pytest.skip(f"no file of such a size here: {error}")


@pytest.fixture(params=["C", "F"])
def large(request, tmp_path):
    """X, y and weights of N_ROWS rows, of which ROWS hold data; in Fortran's order columns are 1 GB apart."""
    rng = np.random.RandomState(0)
    X = hole(tmp_path / "X", np.float32, (N_ROWS, WIDTH), request.param)
    y, weight = hole(tmp_path / "y", np.float32, (N_ROWS, 2)), hole(tmp_path / "w", np.float32, N_ROWS)
    for array in (X, y, weight):
        array[ROWS] = rng.uniform(0.1, 1, (len(ROWS), *array.shape[1:]))
    assert X.size > 2**31
    assert X.nbytes > 2**32
    return X, y, weight


def network(by_inputs=False):
    rng = np.random.RandomState(1)
    net = Network((WIDTH, 20, 2), ["tanh"], "identity", "squared_error", np.float32, n_threads=2, by_inputs=by_inputs)
    shapes = [(WIDTH, 20), (20, 2)]
    net.set_parameters([rng.uniform(-1, 1, shape) for shape in shapes], [np.zeros(20), np.zeros(2)])
    net.set_optimizer("adam")
    return net


def test_rows_are_gathered_from_beyond_the_limits(large):
    """Training, evaluation and the gradient on the rows of an order are those on the same rows, copied."""
    copied, far, near = [array[ROWS] for array in large], network(), network()
    order = np.random.RandomState(2).permutation(len(ROWS))
    for _ in range(2):
        learnt = far.train_epoch(*large[:2], ROWS[order], 16, 0.01, sample_weight=large[2])
        assert learnt == near.train_epoch(*copied[:2], order, 16, 0.01, sample_weight=copied[2])
    assert_same_parameters(far, near)
    for got, expected in zip(far.evaluate(*large, ROWS), near.evaluate(*copied), strict=True):
        assert_same_bits([np.asarray(got)], [np.asarray(expected)])


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_on_views_with_far_strides(large):
    """Every 2^24th row and its like: 600 MB from row to row, or a gigabyte from column to column."""
    X, y, _ = large
    view, targets = X[:: -(2**24)], y[:: -(2**24)]
    for array in (view, targets):
        array[:] = np.random.RandomState(3).uniform(-1, 1, array.shape)
    assert max(abs(stride) for stride in view.strides) * WIDTH > 2**32
    models = []
    for rows in (view, view.copy()):
        model = MLPRegressor(hidden_layer_sizes=12, batch_size=5, max_iter=3, n_threads=2, random_state=0)
        model.fit(rows, targets).partial_fit(rows[3:], targets[3:])
        models.append([*model.coefs_, model.predict(rows), model.predictor()(rows), model.transform(rows)])
    assert_same_bits(*models)


SPARSE_SHAPE = 270_000, 8000  # more than 2^31 elements, if it were dense


@pytest.fixture(scope="module")
def sparse():
    """One entry in each of some rows, with indices of 64 bits."""
    rng, n = np.random.RandomState(0), 500
    assert np.prod(SPARSE_SHAPE, dtype=np.int64) > 2**31
    rows = np.sort(np.r_[rng.choice(SPARSE_SHAPE[0] - 1, n - 1, replace=False), SPARSE_SHAPE[0] - 1])
    starts = np.searchsorted(rows, np.arange(SPARSE_SHAPE[0] + 1))
    X = scipy.sparse.csr_array((rng.uniform(-1, 1, n), rng.randint(SPARSE_SHAPE[1], size=n), starts), SPARSE_SHAPE)
    assert X.indptr.dtype == X.indices.dtype == np.int64
    return X, rows


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_sparse_rows_beyond_the_limit(sparse):
    X, rows = sparse
    y = np.zeros(SPARSE_SHAPE[0])
    y[rows] = X.data
    model = MLPRegressor(hidden_layer_sizes=4, batch_size=2**16, random_state=0, n_threads=2)
    model.partial_fit(X, y)
    assert np.isfinite(model.loss_)
    assert_same_bits([model.predict(X)[rows]], [model.predict(X[rows])])


def test_sparse_rows_are_gathered_from_beyond_the_limit(sparse):
    X, rows = sparse
    copied, y = X[rows], np.zeros((SPARSE_SHAPE[0], 1))
    y[rows, 0] = X.data
    nets = []
    for data, order in (((X, y), rows), ((copied, y[rows]), None)):
        sizes = SPARSE_SHAPE[1], 20, 1
        net = Network(sizes, ["relu"], "identity", "squared_error", np.float64, n_threads=3, by_inputs=True)
        net.set_parameters([np.full(shape, 0.1) for shape in pairwise(sizes)], [np.zeros(20), np.zeros(1)])
        nets.append((net, net.train_epoch(*data, order, 64, 0.1)))
    assert nets[0][1] == nets[1][1]
    assert_same_parameters(nets[0][0], nets[1][0])


# --- sizes that nobody has

ABSURD = (10**12, 2**40, 2**61, 2**62, 2**63 - 1, 2**64, 10**30)
refused = pytest.raises((MemoryError, ValueError))
X, Y = np.eye(20, 4), np.arange(20) % 2


@pytest.mark.parametrize("size", ABSURD)
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_layers(Estimator, size):
    """Refused before the first weight is drawn, of a small layer that comes first as well."""
    classes = {"classes": [0, 1]} if Estimator is MLPClassifier else {}
    for sizes in (size, (size,), (3, size), (10**6, size), (size, 3), (size, size)):
        rng = np.random.RandomState(0)
        with pytest.raises(MemoryError, match="Lower hidden_layer_sizes"):
            Estimator(hidden_layer_sizes=sizes, random_state=rng).fit(X, Y)
        with pytest.raises(MemoryError, match="Lower hidden_layer_sizes"):
            Estimator(hidden_layer_sizes=sizes, random_state=rng).partial_fit(X, Y, **classes)
        assert rng.randint(2**31) == np.random.RandomState(0).randint(2**31)


@pytest.mark.parametrize("size", ABSURD)
def test_layers_of_a_network(size):
    for sizes in ((4, size, 2), (size, 4, 2), (4, 4, size), (size, size, size)):
        with refused:
            Network(sizes, ["relu"], "identity", "squared_error", np.float64)


@pytest.mark.parametrize("size", ABSURD)
def test_batches(size):
    """Never more rows than there are."""
    with pytest.warns(UserWarning, match="clipped to 20"):
        model = MLPRegressor(hidden_layer_sizes=3, batch_size=size, max_iter=2, tol=10, random_state=0).fit(X, Y)
    whole = MLPRegressor(hidden_layer_sizes=3, batch_size=20, max_iter=2, tol=10, random_state=0).fit(X, Y)
    assert_same_bits(model.coefs_, whole.coefs_)
    nets = [Network((4, 2), [], "identity", "squared_error", np.float64) for _ in range(2)]
    for net, batch_size in zip(nets, (size, 20), strict=True):
        net.train_epoch(X, X[:, :2], None, batch_size, 0.1)
    assert_same_parameters(*nets)


@pytest.mark.parametrize("n_features", [2**40, 2**61, 2**62, 2**63 - 1])
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_features(Estimator, n_features):
    """A sparse X may have as many as it likes, its weights not."""
    parts = np.ones(2), np.array([5, n_features - 1]), np.array([0, 1, 2])
    with pytest.raises(MemoryError, match="number of features"):
        Estimator().fit(scipy.sparse.csr_array(parts, shape=(2, n_features)), [0, 1])
    small = Estimator(hidden_layer_sizes=3, max_iter=1, tol=10).fit(X, Y)
    with pytest.raises(ValueError, match="expecting 4 features"):
        small.predict(scipy.sparse.csr_array(parts, shape=(2, n_features)))


def endless(n, width, dtype=np.float32):
    """One number, seen n x width times."""
    return np.broadcast_to(dtype(0.5), (n, width))


@pytest.mark.parametrize("n", [2**40, 2**50, 2**58])
def test_rows(n):
    rows, model = endless(n, 4), MLPClassifier(3, max_iter=1, tol=10).fit(X, Y)
    net = Network((4, 3, 2), ["relu"], "identity", "squared_error", np.float32)
    with refused:
        net.predict(rows)
    with refused:
        net.train_epoch(rows, endless(n, 2), None, 200, 0.1)
    with refused:
        net.loss_gradient(rows, endless(n, 2))
    with refused:
        net.input_gradients(rows)
    with refused:
        model.predictor()(rows)


@pytest.mark.parametrize("n", [2**40, 2**50, 2**58])
@pytest.mark.parametrize("name", F.__all__)
def test_functional(name, n):
    """Many rows, then many columns."""
    function = getattr(F, name)
    n_arrays = {"linear_forward": 2, "linear_backward": 3}.get(name, 1 if name.endswith("_forward") else 2)
    if "_loss_" in name or "entropy" in name:
        n_arrays = 2
    for shape in ((n, 1), (1, n)):
        if name == "linear_backward":
            arguments = endless(n, 3), endless(n, 4), endless(3, 4)
        else:
            arguments = [endless(*shape)] * n_arrays
        with refused:
            function(*arguments)
