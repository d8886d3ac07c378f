"""No more threads than the machine, its administrator and the caller allow, counted where the system lists them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastbp import _kernels

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of threads"),
    pytest.mark.skipif(not _kernels.openmp(), reason="built without OpenMP"),
]

# Prints the threads that a fit and predictions added, and the bits of the predictions.
FIT = """
import hashlib, os, sys, warnings
import numpy as np
from fastbp import MLPClassifier
from fastbp._threads import effective_n_threads
warnings.simplefilter("ignore")
X = np.random.RandomState(0).uniform(-1, 1, (1000, 100))

def n_tasks():
    return len(os.listdir("/proc/self/task"))

def fit(n_threads=None):
    model = MLPClassifier((200, 200), batch_size=500, max_iter=8, n_threads=n_threads, random_state=0)
    return model.fit(X, np.arange(1000) % 3).predict_proba(X).tobytes()
"""
COUNT = """
before = n_tasks()
result = fit(*map(int, sys.argv[1:]))
print(n_tasks() - before, hashlib.sha256(result).hexdigest())
"""


def added_threads(code=COUNT, *arguments, command=(), **environment):
    """How many threads the code added in a new process, and its hash."""
    path = os.pathsep.join(filter(None, sys.path))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [*command, sys.executable, "-c", FIT + code, *map(str, arguments)],
        env={**plain, "PYTHONPATH": path, **environment}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    n, result = done.stdout.split()
    return int(n), result


@pytest.fixture(scope="module")
def on_one():
    """The hash on one thread, which adds none."""
    n, result = added_threads(COUNT, 1)
    assert n == 0
    return result


def test_the_count_sees_threads(on_one):
    assert added_threads(COUNT, 3) == (2, on_one)


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({}, os.cpu_count()), ({"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "2"}, 2), ({"OMP_THREAD_LIMIT": "1"}, 1),
    ],
    ids=str,
)  # fmt: skip
def test_what_openmp_is_told_is_a_bound(environment, allowed, on_one):
    n, result = added_threads(**environment)
    assert n <= allowed - 1
    assert result == on_one


def test_a_limit_on_threads_bounds_what_is_asked_for(on_one):
    n, result = added_threads(COUNT, 8, OMP_THREAD_LIMIT="2")
    assert n <= 1
    assert result == on_one


AFFINITY = """
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_an_affinity_mask_that_changes_is_a_bound(on_one):
    assert added_threads("effective_n_threads()\n" + AFFINITY + COUNT) == (0, on_one)


@pytest.mark.skipif(not shutil.which("taskset"), reason="needs taskset")
def test_taskset_is_a_bound(on_one):
    one = str(min(os.sched_getaffinity(0)))
    assert added_threads(command=["taskset", "-c", one]) == (0, on_one)


LIMITED = """
import joblib
from threadpoolctl import threadpool_limits

def count(_):
    return fit(), n_tasks()

def by_joblib(function):
    return joblib.Parallel(2, backend="threading")(joblib.delayed(function)(i) for i in range(4))

before = n_tasks()
with threadpool_limits(1, user_api="openmp"):
    result = fit()
added = n_tasks() - before
of_joblib = max(by_joblib(lambda _: n_tasks()))
fits = by_joblib(count)
assert {r for r, _ in fits} == {result}
print(added + max(0, max(n for _, n in fits) - of_joblib), hashlib.sha256(result).hexdigest())
"""


def test_threadpoolctl_is_a_bound_and_threads_of_joblib_add_none(on_one):
    assert added_threads(LIMITED) == (0, on_one)


LOKY = """
import joblib
def count(_):
    before = n_tasks()
    return fit(), n_tasks() - before
fits = joblib.Parallel(2, backend="loky")(joblib.delayed(count)(i) for i in range(2))
print(max(n for _, n in fits), hashlib.sha256(fits[0][0]).hexdigest())
"""


def test_processes_of_joblib_share_the_processors(on_one):
    n, result = added_threads(LOKY)
    assert n <= max(1, os.cpu_count() // 2) - 1
    assert result == on_one


def in_cgroup(tmp_path, files):
    """A command that shows the rest of its line such a /sys/fs/cgroup, in a mount namespace of its own."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = ["unshare", "--mount", "sh", "-c", f'mount --bind "{tmp_path}" /sys/fs/cgroup && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system of its own")
    return command


@pytest.mark.parametrize(
    "files",
    [{"cpu.max": "50000 100000\n"}, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}],
    ids=["version 2", "version 1"],
)
def test_a_quota_of_the_cgroup_is_a_bound(tmp_path, files):
    assert added_threads("print(effective_n_threads(), 0)\n", command=in_cgroup(tmp_path, files))[0] == 1
