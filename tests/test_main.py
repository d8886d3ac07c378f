"""python -m fastbp: the table it prints, what it says of what it leaves out, and its errors."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastbp
from fastbp.__main__ import main
from fastbp._datasets import load_fashion_mnist, read_idx

FASHION_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def run(*arguments, cwd):
    """`python -m fastbp` with the package that is under test, wherever it is installed."""
    environment = os.environ | {"PYTHONPATH": str(Path(fastbp.__file__).parents[1])}
    command = [sys.executable, "-m", "fastbp", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def write_idx(path, array, compress=True):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    raw = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if compress else raw)


@pytest.fixture
def fashion(tmp_path):
    """A folder that looks like Fashion-MNIST: 300 and 50 images of noise, two of its files not gzipped."""
    rng = np.random.default_rng(0)
    for name, n in zip(FASHION_FILES, (300, 300, 50, 50), strict=True):
        images = "images" in name
        array = rng.integers(256, size=(n, 28, 28)) if images else np.arange(n) % 10
        write_idx(tmp_path / (name + ".gz" * images), array, compress=images)
    return tmp_path


def row(table, title):
    """The cells of one row of the table."""
    return re.split(r" {2,}", re.search(rf"^ *{title} +(.*)$", table, re.MULTILINE)[1])


def test_digits_side_by_side(tmp_path):
    result = run("--epochs", "2", "--threads", "2", "--no-fashion-mnist", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    out = result.stdout
    assert re.search(r"fastbp +epoch +2 of 2 +loss", out)
    assert re.search(r"scikit-learn +epoch +2 of 2 +loss", out)
    assert re.search(r"^ +fastbp +scikit-learn$", out, re.MULTILINE)
    ours, theirs = row(out, "test accuracy")
    assert ours == theirs
    assert len(row(out, "training time")) == 3
    assert row(out, "threads")[0] == "2"
    # float64 on the same seed follows scikit-learn to rounding: the promise that the table puts on show
    assert float(re.search(r"loss curves differ by (\S+) at most", out)[1]) < 1e-6
    assert "Fashion-MNIST skipped, as --no-fashion-mnist asks." in out


def test_fashion_mnist_from_a_folder_without_sklearn(fashion):
    result = run("--epochs", "1", "--no-sklearn", "--dtype", "float64", "--fashion-mnist", str(fashion), cwd=fashion)
    assert result.returncode == 0, result.stderr
    assert "Fashion-MNIST, 784-256-128-10, 1 epochs of 300 images, float64" in result.stdout
    assert "scikit-learn's MLPClassifier skipped, as --no-sklearn asks." in result.stdout
    assert "times as fast" not in result.stdout


def test_missing_folder_is_an_error_that_names_the_file(tmp_path):
    result = run("--epochs", "1", "--no-sklearn", "--fashion-mnist", str(tmp_path / "nowhere"), cwd=tmp_path)
    assert result.returncode == 1
    assert "train-images-idx3-ubyte.gz is missing: Fashion-MNIST is four such files" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("option", [("--epochs", "0"), ("--threads", "-1"), ("--dtype", "float16")])
def test_bad_options_are_refused(option, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(option)
    assert option[0] in capsys.readouterr().err


def test_load_fashion_mnist(fashion):
    data = load_fashion_mnist(fashion)
    assert data.X_train.shape == (300, 784)
    assert data.X_test.shape == (50, 784)
    assert data.X_train.dtype == np.float32
    assert 0 <= data.X_train.min() < data.X_train.max() <= 1
    np.testing.assert_array_equal(data.y_test, np.arange(50) % 10)


def test_read_idx_refuses_what_is_not_idx(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"PNG or so")
    with pytest.raises(ValueError, match="is not an idx file of bytes"):
        read_idx(path)
    write_idx(path, np.zeros((3, 4)), compress=False)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="holds 11 bytes, its header promises 12"):
        read_idx(path)
