"""What training needs besides X and y: weights, a batch of activations, some bytes a row; never a copy of X."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastbp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

N_ROWS = 20000
LABELS = np.arange(N_ROWS) % 3
SETTINGS = {"hidden_layer_sizes": 16, "max_iter": 2, "batch_size": 100, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).standard_normal((N_ROWS, 200))


def peak(action):
    """Bytes that NumPy, and with it the engine, held at once; pages of a mapped file are not among them."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def memory_map(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def test_the_measure_sees_a_copy(X):
    assert peak(X.copy) >= X.nbytes


@pytest.mark.parametrize("layout", ["C", "F", "every second row", "memory map"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"dtype": "float32"},
        {"early_stopping": True, "validation_fraction": 0.5},
        {"early_stopping": True, "validation_fraction": 0.5, "scoring": "loss", "class_weight": "balanced"},
    ],
    ids=str,
)
def test_fit_does_not_copy_X(X, layout, parameters, tmp_path):
    X = {
        "C": lambda: X,
        "F": lambda: np.asfortranarray(X),
        "every second row": lambda: np.repeat(X, 2, axis=0)[::2],
        "memory map": lambda: memory_map(X, tmp_path),
    }[layout]()
    assert peak(lambda: MLPClassifier(**SETTINGS, **parameters).fit(X, LABELS)) < X.nbytes / 4


@pytest.mark.parametrize(
    "train",
    [
        lambda X: MLPClassifier(**SETTINGS).fit(X, LABELS, X_val=X, y_val=LABELS),
        lambda X: MLPClassifier(**SETTINGS).fit(X, LABELS, np.ones(N_ROWS)),
        lambda X: MLPClassifier(**SETTINGS).partial_fit(X, LABELS, classes=[0, 1, 2]),
        lambda X: MLPRegressor(**SETTINGS).fit(X, LABELS.astype(float)),
        lambda X: MLPRegressor(**SETTINGS, early_stopping=True, validation_fraction=0.5).fit(X, LABELS.astype(float)),
    ],
    ids=["X_val", "sample_weight", "partial_fit", "regressor", "regressor stops early"],
)
def test_nor_do_other_ways_to_train(X, train):
    assert peak(lambda: train(X)) < X.nbytes / 4


# RLIMIT_DATA bounds what a process may write to of its own: its heap and private pages, in NumPy, C and elsewhere. The
# pages of a file mapped to be read are the page cache's, which the system takes back as it likes.
MAPPED_TRAINING = """
import resource, sys
import numpy as np
from fastbp import MLPClassifier
X = np.memmap(sys.argv[1], np.float32, "r", shape=(75_000, 1000))
y = np.arange(len(X)) % 2
model = MLPClassifier(8, batch_size=200, early_stopping=True, max_iter=1, n_threads=2, random_state=0)
model.fit(X[:5000], y[:5000])  # modules, threads and their stacks
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
allowed = X.nbytes // 10
resource.setrlimit(resource.RLIMIT_DATA, (int(status["VmData"].split()[0]) * 1024 + allowed,) * 2)
try:
    np.ones(allowed + 2**20, np.uint8)
    print("no limit")
except MemoryError:
    model.fit(X, y)
    print("trained on", model.t_)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's memory")
def test_a_memory_map_trains_in_a_tenth_of_its_size(tmp_path):
    path = tmp_path / "X.float32"
    with open(path, "wb") as file:
        file.truncate(75_000 * 1000 * 4)  # zeros, which take no space on the disk
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MAPPED_TRAINING, str(path)], capture_output=True, text=True, check=False
    )
    if process.stdout.strip() == "no limit":
        pytest.skip("this system does not enforce RLIMIT_DATA")
    assert process.stdout.strip() == "trained on 67500", process.stderr
