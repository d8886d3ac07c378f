"""Ctrl-C and other signals are served within long work, which leaves the model so far."""

import gc
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from conftest import assert_same_bits

from fastbp import MLPClassifier, MLPRegressor, _memory
from fastbp._engine import Network
from fastbp._initializers import glorot_uniform

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
]

SIZES = 256, 512, 512, 3
X = np.random.RandomState(0).uniform(-1, 1, (8000, SIZES[0])).astype(np.float32)
Y = (np.arange(len(X)) % 3).astype(np.float32).reshape(-1, 1)
ENDLESS = {"max_iter": 10**6, "tol": 0, "n_iter_no_change": np.inf, "random_state": 0}


@contextmanager
def ticks(raising=None, at=2, every=0.03):
    """A timer's handler, run every so many seconds; yields when it ran. From the `at`-th time on it raises."""
    times = []

    def handler(*_):
        times.append(time.perf_counter())
        if raising is not None and len(times) >= at:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise raising

    before = signal.signal(signal.SIGALRM, handler)
    gc.disable()  # what is raised while it calls back is lost
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield times
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.enable()
        signal.signal(signal.SIGALRM, before)


def network(n_threads=1, **optimizer):
    rng = np.random.RandomState(0)
    net = Network(SIZES, ["relu", "gelu"], "softmax", "log_loss", np.float32, n_threads=n_threads)
    coefs = [rng.uniform(-0.1, 0.1, shape) for shape in pairwise(SIZES)]
    net.set_parameters(coefs, [np.zeros(size) for size in SIZES[1:]])
    net.set_optimizer("adam", **optimizer)
    return net


WORK = {
    "a batch": lambda net: net.train_epoch(X, Y, None, len(X), 0.001),
    "a batch with its norm": lambda net: net.train_epoch(X, Y, None, len(X), 0.001),
    "a gradient": lambda net: net.loss_gradient(X, Y),
    "predictions": lambda net: net.predict(np.broadcast_to(X, (2, *X.shape)).reshape(-1, SIZES[0])),
    "an evaluation": lambda net: net.evaluate(X, Y),
    "input gradients": lambda net: net.input_gradients(X[:4000], 0),
    "everything of a pass": lambda net: net.backprop(X, Y),
}


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("what", WORK)
def test_handlers_run_within_the_work_and_change_nothing(what, n_threads):
    options = {"clip_norm": 1.0} if "norm" in what else {}
    net, undisturbed = network(n_threads, **options), network(n_threads, **options)
    WORK[what](undisturbed)
    with ticks(every=0.01) as times:
        WORK[what](net)
    assert len(times) >= 2  # all in one go of compiled code, at whose end a single one would run
    assert_same_bits(net.get_parameters()[0], undisturbed.get_parameters()[0])


def test_handlers_run_while_memory_is_first_touched(monkeypatch):
    monkeypatch.setattr(_memory, "APART", False)  # a sanitizer's build has True, and takes memory later
    with ticks(every=0.005) as times:
        _memory.Arena(2**23)  # half a gigabyte
    assert len(times) >= 2


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("what", WORK)
def test_what_a_handler_raises_ends_the_work_and_the_network_goes_on(what, n_threads):
    net = network(n_threads, **({"clip_norm": 1.0} if "norm" in what else {}))

    ended = []

    def work():
        WORK[what](net)
        ended.append(what)
        time.sleep(60)  # until the timer

    with ticks(ZeroDivisionError, at=1, every=0.005), pytest.raises(ZeroDivisionError):
        work()
    assert not ended
    other = network()
    other.set_parameters(*net.get_parameters())  # whole: W, its mirror and the biases
    assert_same_bits([net.predict(X[:500])], [other.predict(X[:500])])
    net.train_epoch(X[:500], Y[:500], None, 100, 0.001)
    assert all(np.isfinite(coef).all() for coef in net.get_parameters()[0])


FITS = {
    "long batches": lambda: MLPClassifier((512, 512), batch_size=len(X), **ENDLESS),
    "short batches": lambda: MLPClassifier(8, batch_size=10, **ENDLESS),
    "lbfgs": lambda: MLPClassifier(32, solver="lbfgs", max_iter=10**6, tol=0, max_fun=10**6, random_state=0),
    "custom loss": lambda: MLPRegressor(
        hidden_layer_sizes=8, batch_size=1000, loss=lambda y, z: (((z - y) ** 2).sum(1) / 2, z - y), **ENDLESS
    ),
    "early stopping": lambda: MLPClassifier(8, early_stopping=True, **ENDLESS),
}


def initial_weights(model):
    """coefs_ before the first step."""
    rng = np.random.RandomState(0)
    hidden = np.atleast_1d(model.hidden_layer_sizes)
    n_outputs = 3 if isinstance(model, MLPClassifier) else 1
    return glorot_uniform([X.shape[1], *hidden, n_outputs], model.activation, rng, np.float32)[0]


@pytest.mark.parametrize("name", FITS)
def test_an_interrupted_fit_returns_the_model_so_far(name):
    def interrupt_soon(epoch):
        if epoch.epoch == 1:
            signal.setitimer(signal.ITIMER_REAL, 0.1)

    model, start = FITS[name]().set_params(callbacks=interrupt_soon), time.perf_counter()
    initial = initial_weights(model)
    with ticks(KeyboardInterrupt, at=1, every=3600), pytest.warns(UserWarning, match="interrupted by user"):
        assert model.fit(X, Y.ravel()) is model
    assert time.perf_counter() - start < 30
    assert np.isfinite(model.predict(X[:10])).all()
    assert not any(map(np.array_equal, model.coefs_, initial))


def test_lbfgs_that_is_interrupted_keeps_its_last_iteration():
    losses, weights = [], []

    def interrupt_soon(epoch):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # not between the two
        losses.append(epoch.loss)
        weights.append(epoch.model.coefs_)
        if len(losses) == 2:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    model = FITS["lbfgs"]().set_params(callbacks=interrupt_soon)
    with ticks(KeyboardInterrupt, at=1, every=3600), pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, Y.ravel())
    assert model.n_iter_ == len(losses) >= 2
    assert model.loss_ == losses[-1]
    assert_same_bits(model.coefs_, weights[-1])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_handler_that_exits_ends_the_fit_with_the_model_so_far(solver):
    model = MLPClassifier((512, 512), solver=solver, batch_size=len(X), random_state=0)
    with ticks(SystemExit, at=5), pytest.raises(SystemExit):
        model.fit(X, Y.ravel())
    assert model.predict(X[:10]).shape == (10,)


FOREVER = """
import signal, sys
import numpy as np
from fastbp import MLPClassifier
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
X = np.ones((12000, 256), np.float32)
print("begins", flush=True)
model = MLPClassifier((512, 512), batch_size=len(X), max_iter=10**6, tol=0, n_iter_no_change=np.inf)
model.fit(X, np.arange(12000) % 3)
"""


def test_the_handler_of_sigterm_ends_the_process():
    process = subprocess.Popen([sys.executable, "-c", FOREVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begins\n"
    time.sleep(0.3)
    process.terminate()
    assert process.wait(timeout=30) == 5
    process.stdout.close()
