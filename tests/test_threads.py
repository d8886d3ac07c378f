"""How many threads a call may use: what the caller asks, within what the machine, OpenMP, joblib and fork allow."""

import multiprocessing
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastbp
from fastbp import MLPClassifier, _kernels
from fastbp._threads import effective_n_threads

X = np.random.RandomState(0).uniform(-1, 1, (400, 20))
y = (X[:, 0] > X[:, 1]).astype(int)

needs_openmp = pytest.mark.skipif(not _kernels.openmp(), reason="built without OpenMP")
needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")


def fitted(seed=0, n_threads=None):
    model = MLPClassifier(
        (64, 64), max_iter=3, batch_size=400, n_iter_no_change=50, random_state=seed, n_threads=n_threads
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        return model.fit(X, y)


def in_new_process(code, **environment):
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def in_fork(function):
    """What the function returns in a forked child; fails if the child hangs."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=lambda: send.send(function()))
    child.start()
    try:
        assert receive.poll(60), "the forked child hangs"
        return receive.recv()
    finally:
        child.kill()
        child.join()


def test_none_is_what_the_machine_allows(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert 1 <= effective_n_threads() <= joblib.cpu_count()


def test_negative_counts_back_from_all():
    allowed = effective_n_threads()
    assert effective_n_threads(-1) == allowed
    assert effective_n_threads(-2) == max(1, allowed - 1)
    assert effective_n_threads(-1000) == 1


def test_positive_is_taken_as_it_is():
    assert effective_n_threads(3) == 3


def test_zero_is_refused():
    with pytest.raises(ValueError, match="n_threads=0 is invalid"):
        effective_n_threads(0)
    with pytest.raises(ValueError, match="'n_threads' parameter"):
        MLPClassifier(n_threads=0).fit(X, y)


@needs_openmp
@pytest.mark.parametrize("told", ["1", "3"])
def test_omp_num_threads_is_obeyed(told):
    code = "from fastbp._threads import effective_n_threads as n; print(n())"
    assert in_new_process(code, OMP_NUM_THREADS=told) == told


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_is_obeyed():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    code += "from fastbp._threads import effective_n_threads as n; print(n())"
    assert in_new_process(code, OMP_NUM_THREADS="") == "1"


@needs_openmp
def test_threadpoolctl_is_obeyed():
    effective_n_threads()  # loads the engine, and OpenMP with it
    with threadpool_limits(1, user_api="openmp"):
        assert effective_n_threads() == 1


def test_a_thread_of_joblib_uses_one_thread():
    counts = joblib.Parallel(2, backend="threading")(joblib.delayed(effective_n_threads)() for _ in range(4))
    assert counts == [1] * 4
    asked = joblib.Parallel(2, backend="threading")(joblib.delayed(effective_n_threads)(2) for _ in range(4))
    assert asked == [2] * 4


@needs_fork
def test_a_forked_child_uses_one_thread():
    assert in_fork(effective_n_threads) == 1
    assert in_fork(lambda: effective_n_threads(4)) == 1


@needs_fork
def test_fit_and_predict_work_in_a_forked_child():
    model = fitted(n_threads=2)  # OpenMP has now run in the parent
    expected = model.predict_proba(X)
    assert np.array_equal(in_fork(lambda: model.predict_proba(X)), expected)
    assert np.array_equal(in_fork(lambda: fitted(n_threads=2).predict_proba(X)), expected)


@pytest.mark.parametrize("n_threads", [2, 3, -1])
def test_the_result_does_not_depend_on_the_number_of_threads(n_threads):
    one, many = fitted(n_threads=1), fitted(n_threads=n_threads)
    assert all(np.array_equal(a, b) for a, b in zip(one.coefs_, many.coefs_, strict=True))
    assert np.array_equal(one.predict_proba(X), many.predict_proba(X))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_concurrent_fits():
    expected = [fitted(seed).predict_proba(X) for seed in range(4)]
    models = [MLPClassifier((64, 64), max_iter=3, batch_size=400, random_state=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for model, proba in zip(pool.map(lambda model: model.fit(X, y), models), expected, strict=True):
            assert np.array_equal(model.predict_proba(X), proba)


def test_threads_sleep_after_a_fit():
    fitted(n_threads=2)
    began = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - began < 0.25  # of the processor; one thread that waits busily would take 0.5


def test_concurrent_predictions_of_one_model():
    model = fitted()
    parts = np.array_split(X, 16) * 8
    expected = [model.predict_proba(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for got, proba in zip(pool.map(model.predict_proba, parts), expected, strict=True):
            assert np.array_equal(got, proba)


def test_show_config_names_what_a_bug_report_needs(capsys):
    fastbp.show_config()
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.replace("n s", "n-s").splitlines())
    assert shown["fastbp"] == fastbp.__version__
    assert shown["instruction-set"].startswith(_kernels.isa_selected())
    assert shown["threads"] == str(effective_n_threads())
    assert shown["compiler"].split()[0] in ("GCC", "Clang", "unknown")
    assert shown["OpenMP"].startswith("yes (/") == _kernels.openmp()
    assert shown["processors"].split()[0] == str(os.cpu_count())
    for package in ("NumPy", "SciPy", "scikit-learn", "joblib", "threadpoolctl"):
        assert shown[package] == version(package)
    assert shown["Python"] == platform.python_version()
    assert shown["platform"] == platform.platform()
    assert shown["processor"]


def test_show_config_names_what_was_set_and_installed(capsys, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    fastbp.show_config()
    shown = capsys.readouterr().out
    assert "OMP_WAIT_POLICY=passive" in shown
    pytest.importorskip("safetensors")
    assert f"safetensors {version('safetensors')}" in shown


def test_more_threads_than_any_machine_gives():
    """The engine counts in 32 bits, and OpenMP ends the process that cannot have a thread."""
    assert effective_n_threads(10**15) == effective_n_threads(1025) == 1024
    model = fitted()
    assert np.array_equal(model.set_params(n_threads=2**62).predict(X), model.set_params(n_threads=1).predict(X))
