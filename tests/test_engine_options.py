"""What training can be asked for besides its solver, against the reference."""

from time import perf_counter

import numpy as np
import pytest
import reference
from conftest import assert_same_bits, assert_same_parameters, batch, build, random_net

from fastbp import _kernels

THREADS = (1, 2, 3)
ACTIVATIONS = list(_kernels.ACTIVATIONS)
SOLVERS = {  # the engine's name, the reference's class, their constants
    "sgd": ("sgd", reference.SGD, dict(momentum=0.9, nesterov=True)),
    "adam": ("adam", reference.Adam, dict(beta_1=0.8, beta_2=0.99, epsilon=1e-6)),
    "rmsprop": ("rmsprop", reference.RMSprop, dict(rho=0.8, epsilon=1e-4)),
    "schedule_free": ("schedule_free", reference.ScheduleFree, dict(beta_1=0.8, beta_2=0.99, epsilon=1e-4)),
}
solvers = pytest.mark.parametrize("solver", SOLVERS)

DROPPED = (0.2, 0.5, 0.3)
OPTIONS = {  # of set_optimizer, of train_epoch, rates of dropout
    "plain": ({}, {}, None),
    "weight_decay": (dict(weight_decay=0.5), {}, None),
    "clip_norm": (dict(clip_norm=0.05), {}, None),
    "clip_norm too high": (dict(clip_norm=1e6), {}, None),
    "clip_value": (dict(clip_value=0.003), {}, None),
    "both clips": (dict(clip_norm=0.05, clip_value=0.003), {}, None),
    "ema": (dict(ema_decay=0.6), {}, None),
    "alpha by layer": ({}, dict(alpha=[0.5, 0.0, 2.0]), None),
    "dropout": ({}, {}, DROPPED),
    "hidden dropout": ({}, {}, (0.0, 0.0, 0.5)),
    "all": (
        dict(weight_decay=0.5, clip_norm=0.05, clip_value=0.003, ema_decay=0.6),
        dict(alpha=[0.5, 0.0, 2.0]),
        DROPPED,
    ),
}
COMBINED = [(s, o) for s in SOLVERS for o in OPTIONS if s != "schedule_free" or o != "ema"]
combined = pytest.mark.parametrize(("solver", "option"), COMBINED)
CASE = [7, 20, 17, 3], ["tanh", "logistic"], "softmax", "log_loss"
SEED = 5


def options_of(solver, option):
    """set_optimizer's; schedule-free has no other average than its own."""
    options = dict(OPTIONS[option][0])
    if solver == "schedule_free":
        options.pop("ema_decay", None)
    return options


def network(p, solver, option="plain", n_threads=1):
    net = build(p, n_threads)
    net.set_optimizer(SOLVERS[solver][0], **SOLVERS[solver][2], **options_of(solver, option))
    net.set_dropout(OPTIONS[option][2], seed=SEED)
    return net


def masks_from(p, rates, t=0):
    """reference.train_epoch's masks, after step t: those of the kernel, which test_dropout.py proves."""
    step = t

    def masks(n):
        nonlocal step
        step += 1
        return [
            _kernels.dropout(np.ones((n, size)), rate, SEED, l, step)
            for l, (size, rate) in enumerate(zip(p.sizes, rates, strict=False))
        ]

    return masks


def assert_near(got, expected, dtype, rtol64=1e-10, rtol32=1e-3):
    """max |difference| <= rtol max |value|, array by array."""
    rtol = rtol64 if dtype == np.float64 else rtol32
    for g, e in zip(got, expected, strict=True):
        assert g.shape == e.shape
        assert np.max(np.abs(g - e)) <= rtol * np.max(np.abs(e))


def assert_parameters_near(net, params, dtype, **tolerances):
    """Those of the network are the reference's list W[1:] + b[1:]."""
    coefs, intercepts = net.get_parameters()
    expected = [W.T for W in params[: len(coefs)]] + params[len(coefs) :]
    assert_near(coefs + intercepts, expected, dtype, **tolerances)


# --- training


@combined
def test_training_follows_the_reference(solver, option, dtype):
    """Three epochs of 61 rows in batches of 20 (the last has 1), shuffled and weighted; then the average."""
    p = random_net(*CASE, 61, dtype)
    net = network(p, solver, option)
    optimizer_options, epoch_options, rates = options_of(solver, option), OPTIONS[option][1], OPTIONS[option][2]
    clips = {k: v for k, v in optimizer_options.items() if k.startswith("clip")}
    params = p.W[1:] + p.b[1:]
    stepper = SOLVERS[solver][1](params, weight_decay=optimizer_options.get("weight_decay", 0.0), **SOLVERS[solver][2])
    average = reference.Average(params, optimizer_options["ema_decay"]) if "ema_decay" in optimizer_options else None
    masks = rates and masks_from(p, rates)
    rng = np.random.RandomState(1)
    for rate in (0.01, np.linspace(0.02, 0.001, 4), 0.003):
        epoch = dict(order=rng.permutation(61), learning_rate=rate, sample_weight=p.sample_weight, **epoch_options)
        got = net.train_epoch(*batch(p), batch_size=20, **epoch)
        layers = p.W, p.b, p.activations, p.output, p.loss
        expected = reference.train_epoch(
            layers, stepper, p.X, p.y, batch_size=20, average=average, masks=masks, **clips, **epoch
        )
        assert got == pytest.approx(expected, rel=1e-10 if dtype == np.float64 else 1e-3)
    assert_parameters_near(net, params, dtype)
    assert net.averages == (average is not None or solver == "schedule_free")
    if net.averages:
        net.exchange_average()
        assert_parameters_near(net, (average or stepper).x, dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dropout_with_each_activation(activation, dtype):
    """f' of a dropped layer is read from what f made of it before, or from z."""
    p = random_net([7, 20, 17, 3], [activation] * 2, "softmax", "log_loss", 50, dtype)
    net = network(p, "sgd", "dropout")
    net.train_epoch(*batch(p), None, 20, 0.05)
    stepper = reference.SGD(p.W[1:] + p.b[1:], **SOLVERS["sgd"][2])
    layers = p.W, p.b, p.activations, p.output, p.loss
    reference.train_epoch(layers, stepper, p.X, p.y, None, 20, 0.05, masks=masks_from(p, DROPPED))
    assert_parameters_near(net, p.W[1:] + p.b[1:], dtype)


def test_the_options_bind():
    """Each changes the weights, but for a bound that nothing reaches, and an average, which only watches."""
    p = random_net(*CASE, 61)
    trained = {}
    for option in OPTIONS:
        net = network(p, "adam", option)
        net.train_epoch(*batch(p), None, 20, 0.01, OPTIONS[option][1].get("alpha", 0.0))
        trained[option] = np.concatenate([coef.ravel() for coef in net.get_parameters()[0]])
    for option, weights in trained.items():
        same = option in ("plain", "ema", "clip_norm too high")
        assert np.array_equal(weights, trained["plain"]) == same, option


@combined
@pytest.mark.parametrize("n_threads", THREADS[1:])
def test_any_number_of_threads_gives_the_same_bits(solver, option, n_threads, dtype):
    p = random_net([40, 150, 70, 3], *CASE[1:], 300, dtype)
    net, other = network(p, solver, option, n_threads), network(p, solver, option)
    alpha = OPTIONS[option][1].get("alpha", 0.0)
    for batch_size in (128, 300):
        got = net.train_epoch(*batch(p), None, batch_size, 0.01, alpha)
        assert got == other.train_epoch(*batch(p), None, batch_size, 0.01, alpha)
    assert_same_parameters(net, other)


@solvers
def test_state_goes_on_to_the_same_bits(solver, dtype):
    p = random_net(*CASE, 61, dtype)
    whole = network(p, solver, "all")
    whole.train_epoch(*batch(p), None, 20, 0.01)
    resumed = network(p, solver, "all")
    resumed.set_parameters(*whole.get_parameters())
    resumed.set_optimizer_state(whole.get_optimizer_state())
    assert resumed.t == whole.t == 4
    for net in (whole, resumed):
        net.train_epoch(*batch(p), None, 20, 0.02)
        net.exchange_average()
    assert_same_parameters(whole, resumed)


@solvers
def test_setting_an_optimizer_again_forgets_all(solver, dtype):
    p = random_net(*CASE, 61, dtype)
    used, fresh = network(p, "schedule_free", "all"), network(p, solver, "all")
    used.train_epoch(*batch(p), None, 20, 0.01)
    used.exchange_average()
    used.set_parameters(p.coefs, p.intercepts)
    used.set_optimizer(SOLVERS[solver][0], **SOLVERS[solver][2], **options_of(solver, "all"))
    for net in (used, fresh):
        net.train_epoch(*batch(p), None, 20, 0.01)
        net.exchange_average()
    assert_same_parameters(used, fresh)


def test_state_of_another_kind_is_refused():
    p = random_net(*CASE, 10)
    with_average, without = network(p, "adam", "ema"), network(p, "adam")
    for net, other in ((with_average, without), (without, with_average)):
        with pytest.raises(ValueError, match="another solver"):
            net.set_optimizer_state(other.get_optimizer_state())
    with pytest.raises(ValueError, match="no average"):
        without.exchange_average()
    with pytest.raises(ValueError, match="average of its own"):
        without.set_optimizer("schedule_free", ema_decay=0.9)


@pytest.mark.parametrize(("solver", "option"), [("adam", "ema"), ("schedule_free", "plain")])
def test_exchanging_twice_changes_nothing(solver, option, dtype):
    """Not the weights, not the penalty (the sums of squares), not the training that follows."""
    p = random_net(*CASE, 61, dtype)
    net, other = network(p, solver, option), network(p, solver, option)
    for _ in range(3):
        got = net.train_epoch(*batch(p), None, 20, 0.01, alpha=0.1)
        assert got == other.train_epoch(*batch(p), None, 20, 0.01, alpha=0.1)
        trained = net.predict(batch(p)[0])
        net.exchange_average()
        assert not np.array_equal(net.predict(batch(p)[0]), trained)
        net.exchange_average()
        assert_same_bits([net.predict(batch(p)[0])], [trained])
    assert_same_parameters(net, other)


def test_rows_without_weight_teach_nothing():
    """A batch whose weights are all zero: no gradient, and no NaN out of 0 / 0, in any option."""
    p = random_net(*CASE, 20)
    net = network(p, "rmsprop", "both clips")
    net.train_epoch(*batch(p), None, 20, 0.1, sample_weight=np.zeros(20))
    assert_same_parameters(net, build(p))


def test_the_norm_is_that_of_the_mean_gradient(dtype):
    """Plain descent: one step is as long as the rate times clip_norm, or as the gradient where that is shorter."""
    p = random_net(*CASE, 40, dtype)
    net = build(p)
    _, coef_grads, intercept_grads = net.loss_gradient(*batch(p), p.sample_weight, alpha=0.5)
    norm = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in coef_grads + intercept_grads))
    for clip_norm in (0.1 * norm, 0.999 * norm, 1.001 * norm):
        net.set_parameters(p.coefs, p.intercepts)
        net.set_optimizer("sgd", momentum=0.0, nesterov=False, clip_norm=clip_norm)
        net.train_epoch(*batch(p), None, 40, 1.0, 0.5, p.sample_weight)
        moved = [a - b for new, old in zip(net.get_parameters(), (p.coefs, p.intercepts), strict=True)
                 for a, b in zip(new, old, strict=True)]  # fmt: skip
        length = np.sqrt(sum(np.sum(m.astype(np.float64) ** 2) for m in moved))
        assert length == pytest.approx(min(norm, clip_norm), rel=1e-9 if dtype == np.float64 else 1e-4)


def test_a_deadline_stops_after_whole_batches():
    p = random_net([50, 200, 3], ["tanh"], "softmax", "log_loss", 3000)
    net, other = network(p, "adam"), network(p, "adam")
    *_, n_seen = net.train_epoch(*batch(p), None, 10, 0.01, deadline=perf_counter())
    assert 0 < n_seen < 3000
    assert n_seen == 10 * net.t
    other.train_epoch(*batch(p), np.arange(n_seen), 10, 0.01)
    assert_same_parameters(net, other)
    assert net.train_epoch(*batch(p), None, 10, 0.01, deadline=perf_counter() + 1000)[2] == 3000


def test_options_that_do_not_fit_are_refused():
    p = random_net(*CASE, 10)
    net = build(p)
    for rates in ([0.1], [0.1, 0.2, 1.0], [-0.1, 0, 0]):
        with pytest.raises(ValueError, match="dropout"):
            net.set_dropout(rates, 0)
    with pytest.raises(ValueError, match="alpha"):
        net.train_epoch(*batch(p), None, 5, 0.1, alpha=[0.1, 0.2])
    with pytest.raises(ValueError, match="solver"):
        net.set_optimizer("adamax")
