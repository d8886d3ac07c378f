"""A sparse X gives the bits of the dense one with the same zeros: in the kernels of layer 1, and in all of training."""

import tracemalloc
from itertools import cycle

import numpy as np
import pytest
import scipy.sparse
from conftest import SHAPES, assert_same_bits, assert_same_parameters, build, draw, random_net

from fastbp import _kernels
from fastbp._engine import Network

THREADS = (1, 2, 3)
DROP = 0.4, 11, 0, 3  # rate, seed, layer, step
DENSITIES = (0.0, 0.05, 0.5, 1.0)


def sparse_rows(rng, n, n_in, density, values=np.float64, indices=np.int32):
    """A CSR matrix with some empty rows, and the same numbers as an array."""
    dense = draw(rng, (n, n_in), values) * (rng.uniform(size=(n, n_in)) < density)
    if density < 1:
        dense[rng.uniform(size=n) < 0.2] = 0
    dense = dense.astype(values) + values(0)  # no negative zeros, which are not stored
    X = scipy.sparse.csr_array(dense)
    X.indices, X.indptr = X.indices.astype(indices), X.indptr.astype(indices)
    assert X.dtype == values
    return X, dense


def orders(rng, n):
    """No order, a permutation, and rows of which some come twice and some never."""
    return None, rng.permutation(n), rng.randint(n, size=n + 7)


def taken(dense, order, dtype):
    return (dense if order is None else dense[order]).astype(dtype)


# --- the kernels


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [*SHAPES, (5, 700, 33)], ids=lambda shape: "x".join(map(str, shape)))
def test_forward_is_the_dense_one(isa, dtype, shape, density, rng):
    n, n_in, n_out = shape
    X, dense = sparse_rows(rng, n, n_in, density)
    W, b = draw(rng, (n_out, n_in), dtype, 2.0), draw(rng, n_out, dtype)
    for activation, order in zip(_kernels.ACTIVATIONS, cycle(orders(rng, n)), strict=False):
        chosen = taken(dense, order, dtype)
        got = _kernels.forward_sparse(X, W, b, activation, order, isa=isa)
        assert_same_bits(got, _kernels.forward(chosen, W, b, activation, isa=isa))
        assert_same_bits(got, _kernels.forward_sparse(X, W, b, activation, order, isa="baseline"))
        dropped = _kernels.dropout(chosen, *DROP, first=8, isa=isa)
        got = _kernels.forward_sparse(X, W, b, activation, order, DROP, first=8, isa=isa)
        assert_same_bits(got, _kernels.forward(dropped, W, b, activation, isa=isa))


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [*SHAPES, (300, 70, 5)], ids=lambda shape: "x".join(map(str, shape)))
def test_gradient_is_the_dense_one(isa, dtype, shape, density, rng):
    n, n_in, n_out = shape
    X, dense = sparse_rows(rng, n, n_in, density)
    for order, n_parts, by_inputs in zip(orders(rng, n), (1, 2, 8), (False, True, True), strict=True):
        chosen = taken(dense, order, dtype)
        delta = draw(rng, (len(chosen), n_out), dtype)
        got = _kernels.gradient_sparse(delta, X, order, None, n_parts, by_inputs, isa)
        assert_same_bits([got], [_kernels.gradient(delta, chosen, isa=isa)[0]])
        assert_same_bits([got], [_kernels.gradient_sparse(delta, X, order, isa="baseline")])
        dropped = _kernels.dropout(chosen, *DROP, isa=isa)
        got = _kernels.gradient_sparse(delta, X, order, DROP, n_parts, by_inputs, isa)
        assert_same_bits([got], [_kernels.gradient(delta, dropped, isa=isa)[0]])


@pytest.mark.parametrize("values", [np.float32, np.float64])
@pytest.mark.parametrize("indices", [np.int32, np.int64])
def test_any_type_of_values_and_indices(isa, dtype, values, indices, rng):
    """float64 values are rounded once in a float32 net, as those of an array are."""
    X, dense = sparse_rows(rng, 40, 50, 0.2, values, indices)
    assert (X.dtype, X.indices.dtype, X.indptr.dtype) == (values, indices, indices)
    W, b, delta = draw(rng, (9, 50), dtype), draw(rng, 9, dtype), draw(rng, (40, 9), dtype)
    got = _kernels.forward_sparse(X, W, b, "tanh", isa=isa)
    assert_same_bits(got, _kernels.forward(dense.astype(dtype), W, b, "tanh", isa=isa))
    got = _kernels.gradient_sparse(delta, X, isa=isa)
    assert_same_bits([got], [_kernels.gradient(delta, dense.astype(dtype), isa=isa)[0]])


# --- the network

NETS = {  # rows, density, sizes, batch size
    "ragged": (101, 0.1, [37, 33, 17, 3], 20),
    "wide": (300, 0.02, [500, 40, 3], 128),
    "one layer": (60, 0.2, [70, 3], 16),
    "narrow": (50, 0.3, [21, 3, 3], 50),
    "empty": (30, 0.0, [20, 18, 3], 8),
    "full": (64, 1.0, [33, 18, 3], 32),
    "one row": (1, 0.3, [40, 18, 3], 1),
    "one column": (40, 0.5, [1, 18, 3], 16),
}


def net_and_data(name, dtype, n_threads=1, values=np.float64, indices=np.int32, by_inputs=True, **optimizer):
    n, density, sizes, batch_size = NETS[name]
    p = random_net(sizes, ["tanh", "relu"][: len(sizes) - 2], "softmax", "log_loss", n, dtype)
    X, dense = sparse_rows(np.random.RandomState(1), n, sizes[0], density, values, indices)
    net = build(p, n_threads, by_inputs=by_inputs)
    net.set_optimizer(**dict(solver="adam") | optimizer)
    return net, X, dense, p, batch_size


def assert_same_training(net, X, other, dense, p, batch_size):
    order = np.random.RandomState(2).randint(len(p.target), size=2 * len(p.target))
    for how in (dict(order=None), dict(order=order, alpha=0.1, sample_weight=p.sample_weight)):
        got = net.train_epoch(X, p.target, batch_size=batch_size, learning_rate=0.01, **how)
        assert got == other.train_epoch(dense, p.target, batch_size=batch_size, learning_rate=0.01, **how)
    assert_same_parameters(net, other)


@pytest.mark.parametrize("by_inputs", [False, True])
@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("name", NETS)
def test_training_and_prediction_are_those_of_the_dense_X(name, dtype, n_threads, by_inputs):
    net, X, dense, p, batch_size = net_and_data(name, dtype, n_threads, by_inputs=by_inputs)
    other = net_and_data(name, dtype, by_inputs=False)[0]
    assert_same_training(net, X, other, dense, p, batch_size)
    assert_same_bits([net.predict(X), net.predict(X, raw=True)], [other.predict(dense), other.predict(dense, raw=True)])
    assert_same_bits([net.predict(X, layer=1)], [other.predict(dense, layer=1)])
    got, expected = net.evaluate(X, p.target, p.sample_weight), other.evaluate(dense, p.target, p.sample_weight)
    assert_same_bits([got[0]], [expected[0]])
    assert got[1] == expected[1]
    got, expected = net.loss_gradient(X, p.target), other.loss_gradient(dense, p.target)
    assert got[0] == expected[0]
    assert_same_bits([*got[1], *got[2]], [*expected[1], *expected[2]])
    assert_same_bits([net.input_gradients(X)], [other.input_gradients(dense)])
    got, expected = net.backprop(X, p.target), other.backprop(dense, p.target)
    for what in ("z", "a", "delta", "dW", "db"):
        assert_same_bits(got[what][what != "a" :], expected[what][what != "a" :])


@pytest.mark.parametrize("values", [np.float32, np.float64])
@pytest.mark.parametrize("indices", [np.int32, np.int64])
def test_any_type_of_matrix(dtype, values, indices):
    net, X, dense, p, batch_size = net_and_data("ragged", dtype, 2, values, indices)
    assert_same_training(net, X, net_and_data("ragged", dtype)[0], dense, p, batch_size)
    assert_same_bits([net.predict(scipy.sparse.csr_matrix(X))], [net.predict(dense)])


@pytest.mark.parametrize("options", [dict(clip_norm=0.1), dict(ema_decay=0.9), dict(solver="schedule_free")], ids=str)
@pytest.mark.parametrize("tile_panels", range(1, 9))
def test_any_tiles_and_dropout_of_inputs(dtype, tile_panels, options):
    net, X, dense, p, batch_size = net_and_data("wide", dtype, 2, by_inputs=tile_panels != 2, **options)
    other = net_and_data("wide", dtype, by_inputs=False, **options)[0]
    net.cut_tiles(tile_panels)
    for network in (net, other):
        network.set_dropout([0.3, 0.5], seed=7)
    assert_same_training(net, X, other, dense, p, batch_size)


@pytest.mark.parametrize("by_inputs", [False, True])
def test_dense_and_sparse_in_turn(dtype, by_inputs):
    net, X, dense, p, batch_size = net_and_data("ragged", dtype, 2, by_inputs=by_inputs)
    other = net_and_data("ragged", dtype, by_inputs=False)[0]
    for mine in (X, dense, X):
        assert_same_training(net, mine, other, dense, p, batch_size)


# --- matrices that are not what they should be


def broken():
    """Ways to spoil a matrix: each a function of it."""

    def indptr(position, value):
        def spoil(X):
            X.indptr[position] = value

        return spoil

    def index(value):
        def spoil(X):
            X.indices[3] = value

        return spoil

    def strided(X):
        X.data = np.repeat(X.data, 2)[::2]

    def short(X):
        X.indptr = X.indptr[:-1]

    def unsorted(X):
        X.indices[:] = X.indices[::-1].copy()

    def mixed(X):
        X.indptr = X.indptr.astype(np.int64)

    return {
        "indptr falls": indptr(3, 0), "indptr too far": indptr(-1, 10**6), "indptr from 1": indptr(0, 1),
        "indptr short": short, "negative index": index(-1), "index past the end": index(37), "strided": strided,
        "unsorted": unsorted, "mixed": mixed,
    }  # fmt: skip


@pytest.mark.parametrize("how", broken())
def test_a_broken_matrix_is_refused(how):
    net, X, _, p, _ = net_and_data("ragged", np.float64)
    X = scipy.sparse.csr_array(X)
    broken()[how](X)
    for call in (
        lambda: net.predict(X),
        lambda: net.train_epoch(X, p.target, None, 20, 0.01),
        lambda: net.evaluate(X, p.target),
        lambda: net.input_gradients(X),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()


@pytest.mark.parametrize("spoil", [lambda X: X.tocsc(), lambda X: X.tocoo(), lambda X: X.astype(np.int64)])
def test_other_matrices_are_refused(spoil):
    net, X, *_ = net_and_data("ragged", np.float64)
    with pytest.raises(TypeError):
        net.predict(spoil(X))


def test_columns_that_change_after_the_first_look(dtype):
    """SciPy keeps its verdict that they ascend. Columns twice in a row are no crash, whatever else they are."""
    net, X, _, p, _ = net_and_data("full", dtype, 2)
    net.predict(X)
    X.indices[:] = 5
    net.train_epoch(X, p.target, None, 64, 0.01)
    assert np.isfinite(net.get_parameters()[0][0]).all()


def test_wide_rows_take_no_dense_memory():
    X = scipy.sparse.random(2000, 100_000, 1e-4, format="csr", random_state=0)
    net = Network((100_000, 2), (), "identity", "squared_error", np.float64)
    tracemalloc.start()
    net.loss_gradient(X, np.zeros((2000, 2)))
    net.predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 2000 * 100_000 * 8
