"""The network as a whole: its gradient against the reference and central differences, its training against the same."""

import numpy as np
import pytest
import reference
from conftest import HIDDEN, OPTIMIZERS, PAIRS, assert_same_bits, assert_same_parameters, batch, build, random_net

from fastbp._engine import Network


def assert_lists_close(got, expected, rtol):
    """max |difference| <= rtol max |value|, array by array."""
    for g, e in zip(got, expected, strict=True):
        assert (g is None) == (e is None)
        if e is not None:
            assert g.shape == e.shape
            assert np.max(np.abs(g - e)) <= rtol * np.max(np.abs(e))


# --- gradient


@pytest.mark.parametrize(("output", "loss"), PAIRS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_backprop_is_the_reference(activation, output, loss, dtype):
    rtol = 200 * float(np.finfo(dtype).eps)
    for sizes in ([5, 3], [5, 7, 3], [19, 33, 18, 7], [3, 20, 1] if output != "softmax" else [3, 20, 2]):
        p = random_net(sizes, [activation] * (len(sizes) - 2), output, loss, 37, dtype)
        for weight in (None, p.sample_weight):
            got = build(p).backprop(*batch(p), sample_weight=weight)
            layers = p.W, p.b, p.activations, output, loss
            expected = reference.backprop(p.X, p.y, *layers, weight, eps=np.finfo(dtype).eps)
            assert got["loss"] == pytest.approx(expected.loss, rel=rtol)
            for name in ("z", "a", "delta", "dW", "db"):
                assert_lists_close(got[name], getattr(expected, name), rtol)


@pytest.mark.parametrize(("output", "loss"), PAIRS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradient_is_the_central_difference(activation, output, loss):
    """Each ∂C/∂w as (C(w + h) - C(w - h)) / 2h, with the engine's own C, penalty and sample weights included."""
    p = random_net([5, 7, 6, 3], [activation, activation], output, loss, 9)
    net, h, alpha = build(p), 1e-6, 0.3

    def mean_loss():
        net.set_parameters(p.coefs, p.intercepts)
        return net.loss_gradient(*batch(p), sample_weight=p.sample_weight, alpha=alpha)

    _, coef_grads, intercept_grads = mean_loss()
    for params, grads in ((p.coefs, coef_grads), (p.intercepts, intercept_grads)):
        for param, grad in zip(params, grads, strict=True):
            numeric = np.empty_like(param)
            for index in np.ndindex(param.shape):
                kept = param[index]
                param[index] = kept + h
                above = mean_loss()[0]
                param[index] = kept - h
                below = mean_loss()[0]
                param[index] = kept
                numeric[index] = (above - below) / (2 * h)
            assert np.max(np.abs(grad)) > 1e-5, "an all-zero gradient would pass for free"
            assert np.max(np.abs(grad - numeric)) <= 1e-6 * np.max(np.abs(grad)) + 1e-9


def test_loss_gradient_is_backprop_divided_once(dtype):
    p = random_net([6, 20, 4], ["tanh"], "softmax", "log_loss", 50, dtype)
    net, alpha, total = build(p), 0.7, p.sample_weight.sum()
    loss, coef_grads, intercept_grads = net.loss_gradient(*batch(p), sample_weight=p.sample_weight, alpha=alpha)
    sums = net.backprop(*batch(p), sample_weight=p.sample_weight)
    rtol = 20 * float(np.finfo(dtype).eps)
    penalty = 0.5 * alpha * sum(np.sum(W**2) for W in p.W[1:])
    assert loss == pytest.approx((sums["loss"] + penalty) / total, rel=rtol)
    expected = [(dW.T + alpha * coef) / total for dW, coef in zip(sums["dW"][1:], p.coefs, strict=True)]
    assert_lists_close(coef_grads, expected, rtol)
    assert_lists_close(intercept_grads, [db / total for db in sums["db"][1:]], rtol)


@pytest.mark.parametrize("n", [1, 2, 15, 64, 129, 700])
def test_predict_is_the_forward_pass(dtype, n):
    p = random_net([9, 40, 18, 5], ["relu", "tanh"], "softmax", "log_loss", n, dtype)
    net = build(p)
    got = net.predict(p.X.astype(dtype))
    assert got.shape == (n, 5)
    assert got.dtype == dtype
    assert got.flags.c_contiguous
    expected = reference.forward(p.X, p.W, p.b, p.activations, p.output)[1][-1]
    assert_lists_close([got], [expected], 100 * np.finfo(dtype).eps)
    assert_same_bits([got], [net.backprop(*batch(p))["a"][-1]])


# --- training

CASES = [  # sizes, activations, output, loss
    ([7, 20, 3], ["relu"], "softmax", "log_loss"),
    ([5, 17, 9, 1], ["tanh", "logistic"], "identity", "squared_error"),
    ([4, 33, 2], ["logistic"], "logistic", "binary_log_loss"),
    ([3, 10], [], "exp", "poisson"),
    ([6, 12, 2], ["tanh"], "logistic", "squared_error"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{'-'.join(map(str, case[0]))} {case[2]} {case[3]}")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_follows_the_reference(optimizer, case, dtype):
    """Three epochs of 101 rows in batches of 20 (the last has 1): shuffled, penalty, weights, a rate per batch."""
    p = random_net(*case, 101, dtype)
    solver, options = OPTIMIZERS[optimizer]
    rng = np.random.RandomState(1)
    slow = (p.W, p.b, p.activations, p.output, p.loss)
    stepper = {"sgd": reference.SGD, "adam": reference.Adam}[solver](p.W[1:] + p.b[1:], **options)
    net = build(p, optimizer=optimizer)
    rtol = 1e-10 if dtype == np.float64 else 3e-4
    settings = [
        dict(order=None, learning_rate=0.01),
        dict(order=rng.permutation(101), learning_rate=0.01, alpha=0.5, sample_weight=p.sample_weight),
        dict(order=rng.permutation(101).astype(np.int64), learning_rate=np.linspace(0.02, 0.001, 6), alpha=0.01),
    ]
    for epoch in settings:
        got = net.train_epoch(*batch(p), batch_size=20, **epoch)
        expected = reference.train_epoch(slow, stepper, p.X, p.y, batch_size=20, **epoch)
        assert got == pytest.approx(expected, rel=rtol)
    coefs, intercepts = net.get_parameters()
    assert_lists_close(coefs, [W.T for W in p.W[1:]], rtol)
    assert_lists_close(intercepts, p.b[1:], rtol)
    assert any(np.abs(c - start).max() > 1e-3 for c, start in zip(coefs, p.coefs, strict=True)), "nothing was learned"


def test_a_batch_larger_than_the_data_is_the_data(dtype):
    p = random_net(*CASES[0], 30, dtype)
    one, other = build(p, optimizer="adam"), build(p, optimizer="adam")
    assert one.train_epoch(*batch(p), None, 30, 0.01) == other.train_epoch(*batch(p), None, 200, 0.01)
    assert_same_parameters(one, other)


def test_order_picks_rows(dtype):
    """order = rows of X, some twice, some never: the same as training on X[order]."""
    p = random_net(*CASES[0], 50, dtype)
    X, y = batch(p)
    order = np.random.RandomState(3).randint(50, size=70)
    picked, gathered = build(p, optimizer="adam"), build(p, optimizer="adam")
    for integer in (np.int64, np.intp):
        got = picked.train_epoch(X, y, order.astype(integer), 16, 0.01, sample_weight=p.sample_weight)
        assert got == gathered.train_epoch(X[order], y[order], None, 16, 0.01, sample_weight=p.sample_weight[order])
    assert_same_parameters(picked, gathered)


def layouts(X):
    """The same numbers, laid out in every way that NumPy allows."""
    n, n_in = X.shape
    padded = np.zeros((2 * n, 3 * n_in), X.dtype)
    padded[::2, ::3] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    return {
        "C": X,
        "Fortran": np.asfortranarray(X),
        "strided": padded[::2, ::3],
        "reversed": X[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": frozen,
        "float32": X.astype(np.float32),
        "float64": X.astype(np.float64),
    }


@pytest.mark.parametrize("layout", layouts(np.zeros((1, 1))))
def test_any_layout_and_precision_of_X(dtype, layout):
    """X is read in place, through its strides, and cast on the way: the bits of a plain X of the net's type."""
    p = random_net(*CASES[0], 53, np.float32)  # numbers that float32 holds, so that casting changes none
    p.dtype = dtype
    X, y = p.X.astype(dtype), p.target.astype(dtype)
    view = layouts(X)[layout]
    order = np.random.RandomState(2).permutation(53)
    net, plain = build(p, optimizer="adam"), build(p, optimizer="adam")
    assert net.train_epoch(view, y, order, 20, 0.01) == plain.train_epoch(X, y, order, 20, 0.01)
    assert_same_parameters(net, plain)
    assert_same_bits([net.predict(view)], [plain.predict(X)])
    assert net.loss_gradient(view, y)[0] == plain.loss_gradient(X, y)[0]
    assert_lists_close(net.backprop(view, y)["dW"], plain.backprop(X, y)["dW"], 0)


def test_float64_X_is_rounded_once_in_a_float32_net():
    p = random_net(*CASES[0], 53, np.float32)
    X = np.random.RandomState(5).uniform(-1, 1, p.X.shape)
    assert_same_bits([build(p).predict(X)], [build(p).predict(X.astype(np.float32))])


def test_read_only_targets_weights_and_order(dtype):
    p = random_net(*CASES[0], 20, dtype)
    arrays = *batch(p), np.arange(20), p.sample_weight
    for array in arrays:
        array.flags.writeable = False
    X, y, order, weight = arrays
    build(p, optimizer="sgd").train_epoch(X, y, order, 8, 0.01, sample_weight=weight)


# --- round trips


@pytest.mark.parametrize("sizes", [[1, 1], [7, 20, 3], [33, 17, 16, 1]], ids=str)
def test_parameters_round_trip(sizes, dtype):
    """In and out they are copied."""
    p = random_net(sizes, ["relu"] * (len(sizes) - 2), "identity", "squared_error", 2, dtype)
    net = build(p)
    given = [coef.copy() for coef in p.coefs]
    for _ in range(2):
        coefs, intercepts = net.get_parameters()
        assert_same_bits(coefs, given)
        assert_same_bits(intercepts, p.intercepts)
        assert all(coef.flags.c_contiguous for coef in coefs)
        for array in (*p.coefs, *coefs):
            array[...] = 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer_state_continues_to_the_same_bits(optimizer, dtype):
    p = random_net(*CASES[1], 60, dtype)
    whole = build(p, optimizer=optimizer)
    for _ in range(2):
        whole.train_epoch(*batch(p), None, 16, 0.01)
    resumed = build(p, optimizer=optimizer)
    resumed.set_parameters(*whole.get_parameters())
    resumed.set_optimizer_state(whole.get_optimizer_state())
    for _ in range(2):
        assert whole.train_epoch(*batch(p), None, 16, 0.01) == resumed.train_epoch(*batch(p), None, 16, 0.01)
    assert_same_parameters(whole, resumed)
    if optimizer == "adam":
        assert resumed.get_optimizer_state()["t"] == 4 * 4


def test_optimizer_state_holds_the_moments(dtype):
    """Adam's m and v after some steps, as scikit-learn would have them."""
    p = random_net(*CASES[0], 40, dtype)
    net = build(p, optimizer="adam")
    stepper = reference.Adam(p.W[1:] + p.b[1:], **OPTIMIZERS["adam"][1])
    net.train_epoch(*batch(p), None, 10, 0.01)
    reference.train_epoch((p.W, p.b, p.activations, p.output, p.loss), stepper, p.X, p.y, None, 10, 0.01)
    state, L = net.get_optimizer_state(), len(p.coefs)
    assert state["t"] == stepper.t == 4
    for (coefs, intercepts), expected in zip(state["moments"], (stepper.m, stepper.v), strict=True):
        rtol = 1e-10 if dtype == np.float64 else 1e-4
        assert_lists_close(coefs, [moment.T for moment in expected[:L]], rtol)
        assert_lists_close(intercepts, expected[L:], rtol)


def test_set_optimizer_forgets(dtype):
    p = random_net(*CASES[0], 40, dtype)
    net, fresh = build(p, optimizer="adam"), build(p, optimizer="adam")
    net.train_epoch(*batch(p), None, 10, 0.01)
    net.set_parameters(p.coefs, p.intercepts)
    net.set_optimizer("adam", **OPTIMIZERS["adam"][1])
    assert net.train_epoch(*batch(p), None, 10, 0.01) == fresh.train_epoch(*batch(p), None, 10, 0.01)
    assert_same_parameters(net, fresh)


# --- bad input

REFUSED = (ValueError, TypeError, IndexError)


def test_data_that_do_not_fit_are_refused():
    p = random_net(*CASES[0], 20)
    X, y = batch(p)
    good = dict(X=X, y=y, order=None, batch_size=8, learning_rate=0.1)
    for wrong in (
        dict(X=np.zeros((20, 8))),
        dict(X=np.zeros(7)),
        dict(X=np.zeros((0, 7))),
        dict(y=np.zeros((19, 1))),
        dict(y=np.zeros((20, 3))),
        dict(order=np.array([0, 20])),
        dict(order=np.array([0, -1])),
        dict(learning_rate=np.ones(7)),
        dict(sample_weight=np.ones(19)),
    ):
        with pytest.raises(REFUSED):
            build(p, optimizer="sgd").train_epoch(**good | wrong)


def test_a_network_that_cannot_be_is_refused():
    good = dict(sizes=[4, 3, 2], activations=["relu"], output="identity", loss="squared_error", dtype=np.float64)
    for wrong in (
        dict(sizes=[4], activations=[]),
        dict(sizes=[4, 0, 2]),
        dict(sizes=[2**40, 2**40, 2]),
        dict(activations=[]),
        dict(activations=["sine"]),
        dict(output="cosine"),
        dict(loss="hinge"),
        dict(dtype=np.int32),
    ):
        with pytest.raises((*REFUSED, OverflowError, MemoryError)):
            Network(**good | wrong)


@pytest.mark.parametrize("which", ["coefs", "intercepts"])
@pytest.mark.parametrize("how", ["shape", "length"])
def test_parameters_that_do_not_fit_are_refused(which, how):
    p = random_net(*CASES[0], 5)
    params = dict(coefs=p.coefs, intercepts=p.intercepts)
    params[which] = params[which][:-1] if how == "length" else [np.zeros((*a.shape[:-1], 99)) for a in params[which]]
    with pytest.raises(REFUSED):
        build(p).set_parameters(params["coefs"], params["intercepts"])
