"""The predictions of a row are the same bits whatever rows are beside it, in any batch, any layout, on any threads."""

import numpy as np
import pytest
import scipy.sparse
from conftest import HIDDEN, assert_same_bits, build, random_net

from fastbp import MLPClassifier, MLPRegressor
from fastbp._engine import Network

N, N_FEATURES = 210, 23
SIZES = (1, 2, 3, 5, 8, 15, 16, 17, 64, 95, 96, 97, N)  # of a batch: about whole vectors, panels and blocks
THREADS = (1, 2, 3, 5, 8)
SHORT = dict(max_iter=2, n_iter_no_change=9, random_state=0)

MODELS = {  # narrow and wide layers, each form of an answer
    "two classes": lambda X: MLPClassifier((5,), "tanh", **SHORT).fit(X, X[:, 0] > 0),
    "classes": lambda X: MLPClassifier((40, 7), ["relu", "gelu"], **SHORT).fit(X, np.abs(X[:, :4]).argmax(axis=1)),
    "one against all": lambda X: MLPClassifier((33,), loss="squared_error", **SHORT).fit(X, np.abs(X[:, :4]).argmax(1)),
    "labels": lambda X: MLPClassifier((130, 20), "silu", **SHORT).fit(X, X[:, :17] > 0),
    "value": lambda X: MLPRegressor(hidden_layer_sizes=(16, 3), activation="logistic", **SHORT).fit(X, X[:, 0]),
    "values": lambda X: MLPRegressor(hidden_layer_sizes=(300,), **SHORT).fit(X, X[:, :20]),
    "counts": lambda X: MLPRegressor("poisson", hidden_layer_sizes=(9,), **SHORT).fit(X, np.abs(X[:, 0])),
    "quantiles": lambda X: MLPRegressor("quantile", quantile=[0.2, 0.5], **SHORT).fit(X, X[:, 0]),
    "no hidden layer": lambda X: MLPRegressor(hidden_layer_sizes=(), **SHORT).fit(X, X[:, :3]),
}
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:Got `batch_size`")


def inputs(dtype, n=N, seed=0):
    """A third of them zero, so that a sparse X is worth its name; integers / 64, exact in either precision."""
    rng = np.random.RandomState(seed)
    return (rng.randint(-128, 129, (n, N_FEATURES)) / 64 * (rng.uniform(size=(n, N_FEATURES)) < 0.67)).astype(dtype)


@pytest.fixture(params=MODELS)
def model(request, dtype):
    return MODELS[request.param](inputs(dtype, 150, seed=1))


def methods(model):
    """All that answers row by row, by name; the predictor for dense rows alone."""
    names = [name for name in ("predict", "predict_proba", "predict_log_proba") if hasattr(model, name)]
    answers = {name: getattr(model, name) for name in names}
    for layer in range(model.n_layers_ - 2):
        answers[f"transform to layer {layer}"] = lambda X, layer=layer: model.transform(X, layer=layer)
    return answers


def containers(X):
    """The same rows in every layout: whatever is beside them in memory."""
    wide = np.full((2 * len(X), 3 * N_FEATURES), np.inf, X.dtype)
    wide[::2, ::3] = X
    csr = scipy.sparse.csr_array(X)
    as_int64 = scipy.sparse.csr_array((csr.data, csr.indices.astype(np.int64), csr.indptr.astype(np.int64)), X.shape)
    return {
        "C": X,
        "Fortran": np.asfortranarray(X),
        "strided": wide[::2, ::3],
        "backwards": X[::-1, ::-1].copy()[::-1, ::-1],
        "CSR": csr,
        "CSR, int64": as_int64,
        "CSC": scipy.sparse.csc_array(X),
    }


def by_batches(answer, X, size):
    return np.concatenate([answer(X[first : first + size]) for first in range(0, X.shape[0], size)])


def test_in_batches_of_any_size(model, dtype):
    X = inputs(dtype)
    for answer in (*methods(model).values(), model.predictor()):
        whole = answer(X)
        for size in SIZES:
            assert_same_bits([by_batches(answer, X, size)], [whole])


def test_in_any_layout_on_any_threads(model, dtype):
    X = inputs(dtype)
    for name, answer in methods(model).items():
        whole = answer(X)
        for turn, (layout, rows) in enumerate(containers(X).items()):
            model.set_params(n_threads=THREADS[turn % len(THREADS)])
            got = answer(rows)
            assert got.tobytes() == whole.tobytes(), (name, layout)
    predictor = model.predictor()
    for layout in ("Fortran", "strided", "backwards"):
        assert_same_bits([predictor(containers(X)[layout])], [predictor(X)])


def test_beside_any_rows(model, dtype):
    """Row by row among strangers: extreme ones, zeros, copies of itself, in another place of the batch each time."""
    X, rng = inputs(dtype), np.random.RandomState(2)
    for answer in (*methods(model).values(), model.predictor()):
        whole = answer(X)
        for row in range(0, N, 19):
            strangers = rng.choice([0, -0.0, 1e30, -1e30, 1e-38, X[row, 0]], (1 + row, N_FEATURES)).astype(dtype)
            strangers[row // 3 % len(strangers)] = X[row]
            with np.errstate(all="ignore"):
                got = answer(strangers)[row // 3 % len(strangers)]
            assert_same_bits([np.atleast_1d(got)], [np.atleast_1d(whole[row])])


def test_one_row_alone_is_the_row_of_a_batch(model, dtype):
    X, predictor = inputs(dtype), model.predictor()
    whole = predictor(X)
    assert_same_bits([np.array([predictor(row) for row in X])], [whole])
    assert_same_bits([np.array([predictor(row.tolist()) for row in X.astype(np.float64)])], [whole])


@pytest.mark.parametrize("sizes", [[N_FEATURES, 5, 1], [N_FEATURES, 130, 33, 11], [N_FEATURES, 9]])
def test_the_engine_in_blocks_of_any_size(isa, dtype, sizes):
    """Each layer and its z, on each instruction set, for both ways to store the first layer; all of one set of bits."""
    p = random_net(sizes, HIDDEN[1 : len(sizes) - 1], "softmax", "squared_error", 1, dtype)
    X = inputs(dtype)
    one = build(p)
    layers = [(layer, raw) for layer in range(1, len(sizes)) for raw in (False, True)]
    expected = [one.predict(X, layer, raw) for layer, raw in layers]
    cuts = (1, 1, True), (2, 7, False), (3, 96, True), (5, 16, False), (8, 2**40, True)
    for n_threads, answer_rows, by_inputs in cuts:
        settings = dict(n_threads=n_threads, isa=isa, by_inputs=by_inputs)
        net = Network(p.sizes, p.activations, p.output, p.loss, dtype, **settings)
        net.set_parameters(p.coefs, p.intercepts)
        net.cut_rows(answer_rows=answer_rows, work_per_thread=1e-3)
        for rows in (X, np.asfortranarray(X), scipy.sparse.csr_array(X)):
            assert_same_bits([net.predict(rows, layer, raw) for layer, raw in layers], expected)
