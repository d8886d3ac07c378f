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
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import fastbp._engine
other = interpreters.create()
code = '''
try:
    import fastbp._engine
except ImportError as error:
    print("refused")
'''
failed = interpreters.run_string(other, code)
print(failed or "", end="")
interpreters.destroy(other)
from fastbp import MLPRegressor
print(MLPRegressor(hidden_layer_sizes=3, solver="lbfgs").fit([[0.0], [1.0]], [0.0, 1.0]).n_outputs_)
"""


def test_a_subinterpreter_is_refused():
    """By an ImportError, of NumPy or of ours; the main interpreter goes on."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SUBINTERPRETER],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["refused", "1"], done.stdout + done.stderr
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
