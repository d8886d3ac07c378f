"""Processes and threads around a fit: fork before and after OpenMP ran, other ways to start, exits, subinterpreters."""

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from children import X, new, trained, trained_within, y
from threadpoolctl import threadpool_info

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed", "ignore:This process")
METHODS = multiprocessing.get_all_start_methods()
needs_fork = pytest.mark.skipif("fork" not in METHODS, reason="this system cannot fork")

# ---- children


@needs_fork
def test_many_short_fits_in_a_forked_pool():
    expected = [trained(seed) for seed in range(4)]  # OpenMP has run in the parent
    with multiprocessing.get_context("fork").Pool(2) as pool:
        fits = pool.map_async(trained, [seed % 4 for seed in range(100)], chunksize=5)
        assert fits.get(timeout=120) == expected * 25


@needs_fork
def test_a_fork_while_another_thread_trains():
    stop = threading.Event()
    model = new(max_iter=10**6, tol=0, n_iter_no_change=np.inf, callbacks=lambda epoch: stop.is_set())
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(model.fit, X, y)
        try:
            for _ in range(5):
                with multiprocessing.get_context("fork").Pool(1) as children:
                    assert children.apply_async(trained).get(timeout=60) == trained()
        finally:
            stop.set()
        assert np.isfinite(training.result(timeout=60).predict_proba(X)).all()


@needs_fork
def test_a_child_may_leave_at_once():
    before = trained()
    for work in (lambda: None, trained):
        child = os.fork()
        if child == 0:
            work()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert trained() == before


@pytest.mark.parametrize("method", [method for method in ("spawn", "forkserver") if method in METHODS])
def test_processes_started_anew(method):
    trained()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(trained).result(timeout=120) == trained()
        assert pool.submit(trained_within).result(timeout=120) == [trained()] * 2


def test_processes_of_joblib():
    fits = joblib.Parallel(2, backend="loky")(joblib.delayed(trained_within)(seed) for seed in range(3))
    assert fits == [[trained(seed)] * 2 for seed in range(3)]


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if sys.argv[1] == "loaded":
    import fastbp._engine
other = interpreters.create()
code = '''
try:
    import fastbp._engine
except ImportError as error:
    print("refused", flush=True)
'''
failed = interpreters.run_string(other, code)
print(failed or "", end="")
interpreters.destroy(other)
if sys.argv[1] == "loaded":  # else NumPy, which was loaded in the other one, cannot be loaded here
    from fastbp import MLPRegressor
    print(MLPRegressor(hidden_layer_sizes=3, solver="lbfgs").fit([[0.0], [1.0]], [0.0, 1.0]).n_outputs_)
"""


@pytest.mark.parametrize("order", ["loaded", "not loaded"])
def test_a_subinterpreter_is_refused(order):
    """By an ImportError, of NumPy or of ours; the main interpreter goes on."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SUBINTERPRETER, order],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["refused", *(["1"] if order == "loaded" else [])], done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


# ---- threads


def in_threads(work, n=8, times=3):
    with ThreadPoolExecutor(n) as pool:
        return [future.result(timeout=120) for future in [pool.submit(work, i) for i in range(n * times)]]


def test_one_model_predicts_for_many_threads():
    model, predictor = new().fit(X, y), new().fit(X, y).predictor()
    expected = model.predict_proba(X)
    for proba in in_threads(lambda i: (predictor if i % 2 else model.predict_proba)(X[i:]), times=8):
        assert np.array_equal(proba, expected[-len(proba) :])


def test_fits_of_one_model_by_many_threads_take_turns():
    """Each is whole, with the data of its own; the last one stays."""
    model = new(max_iter=5, batch_size=392)
    expected = [new(max_iter=5, batch_size=392).fit(X[i:][:392], y[i:][:392]) for i in range(8)]

    def fit(i):
        model.fit(X[i:][:392], y[i:][:392])
        return None

    in_threads(lambda i: fit(i % 8))
    of = [i for i in range(8) if model.loss_curve_ == expected[i].loss_curve_]
    assert len(of) == 1
    assert np.array_equal(model.predict_proba(X), expected[of[0]].predict_proba(X))
    n_seen = model.t_
    in_threads(lambda _: model.partial_fit(X, y))
    assert model.t_ == n_seen + 24 * len(X)


def test_a_callback_may_fit_its_own_model():
    model, other = new(), new()

    def learn(epoch):
        model.set_params(callbacks=None).partial_fit(X, y)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(model.set_params(callbacks=learn).fit, X, y).result(timeout=60)
    assert np.array_equal(model.predict_proba(X), other.fit(X, y).predict_proba(X))


@needs_fork
def test_a_child_fits_a_model_that_is_being_fitted_by_a_thread_it_does_not_have():
    model, children = new(), []

    def fork(epoch):
        children.append(os.fork())
        if children[-1] == 0:
            status = 1
            try:
                model.set_params(callbacks=None)
                status = 0 if ThreadPoolExecutor(1).submit(model.fit, X, y).result(timeout=60) is model else 1
            finally:
                os._exit(status)
        return True

    model.set_params(callbacks=fork).fit(X, y)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


@pytest.mark.parametrize("learn", ["fit", "partial_fit"])
def test_predictions_while_the_model_is_fitted_anew(learn):
    """Are those of one set of weights, of before or after: never of both, or of weights that have not learned."""
    model, seen = new(max_iter=1).fit(X, y), {}
    weights = {model.predict_proba(X).tobytes()}
    done = threading.Event()

    def watch(_):
        while not done.is_set():
            seen[model.predict_proba(X).tobytes()] = model.input_gradients(X[:2], 0).shape

    with ThreadPoolExecutor(4) as pool:
        watching = [pool.submit(watch, i) for i in range(4)]
        try:
            for seed in range(30):
                getattr(model.set_params(random_state=seed), learn)(X, y)
                weights.add(model.predict_proba(X).tobytes())
        finally:
            done.set()
        for future in watching:
            future.result(timeout=60)
    assert len(seen) > 1
    assert set(seen) <= weights


def test_fits_by_lbfgs_in_many_threads_leave_blas_as_it_was():
    def blas():
        return sorted((lib["filepath"], lib["num_threads"]) for lib in threadpool_info() if lib["user_api"] == "blas")

    before = blas()
    settings = {"hidden_layer_sizes": 4, "solver": "lbfgs", "n_threads": 1}
    in_threads(lambda i: new(max_iter=2 + i % 5, **settings).fit(X, y), times=2)
    assert blas() == before


@needs_fork
def test_a_child_forked_within_a_fit_by_lbfgs_has_its_threads_in_blas():
    """And the fit goes on in it, if it was its own."""

    def blas():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before, children = blas(), []

    def fork(epoch):
        if not children:
            children.append(os.fork())

    model = new(solver="lbfgs", max_iter=5, hidden_layer_sizes=4)
    try:
        model.set_params(callbacks=fork).fit(X, y)
    finally:
        if children and children[0] == 0:
            os._exit(0 if blas() == before and model.n_iter_ == 5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert blas() == before
