"""Train on real images and compare with scikit-learn: digits, and Fashion-MNIST where it is at hand."""

import argparse
import io
import re
import sys
import time
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from fastbp import MLPClassifier, __version__, _kernels
from fastbp._config import _cpu_name
from fastbp._datasets import DEBIAN_FASHION_MNIST, Split, load_fashion_mnist
from fastbp._threads import effective_n_threads

SEED = 0


class EpochLine(io.TextIOBase):
    """Takes what a fit prints when verbose, and shows one line: in place on a terminal, else a line each tenth part."""

    def __init__(self, name: str, n_epochs: int, stream):
        self.name, self.n_epochs, self.stream = name, n_epochs, stream
        self.start, self.in_place = time.perf_counter(), stream.isatty()

    def write(self, text: str) -> int:
        if match := re.match(r"Iteration (\d+), loss = (\S+)", text):
            epoch, loss = int(match[1]), float(match[2])
            if self.in_place or epoch == self.n_epochs or epoch % -(-self.n_epochs // 10) == 0:
                elapsed = time.perf_counter() - self.start
                line = f"  {self.name:<13} epoch {epoch:>3} of {self.n_epochs}   loss {loss:<9.6f} {elapsed:7.2f} s"
                self.stream.write(f"\r{line}" if self.in_place else f"{line}\n")
                self.stream.flush()
        return len(text)

    def end(self):
        if self.in_place:
            self.stream.write("\n")


@dataclass
class Fit:
    """What one estimator reached, and on what it ran."""

    accuracy: float
    seconds: float
    n_samples: int
    loss_curve: np.ndarray
    instruction_set: str
    n_threads: int


def fit(name: str, model: BaseEstimator, data: Split, instruction_set: str, n_threads: int) -> Fit:
    """Train `model`, the last step of which is a multilayer perceptron, with a line of progress, and test it."""
    mlp = model[-1]
    progress = EpochLine(name, mlp.max_iter, sys.stdout)
    with warnings.catch_warnings(), redirect_stdout(progress):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs was the user's choice
        start = time.perf_counter()
        model.fit(data.X_train, data.y_train)
        seconds = time.perf_counter() - start
    progress.end()
    accuracy = model.score(data.X_test, data.y_test)
    n_samples = mlp.n_iter_ * len(data.X_train)
    return Fit(accuracy, seconds, n_samples, np.array(mlp.loss_curve_), instruction_set, n_threads)


def compare(data: Split, scale: bool, arguments: argparse.Namespace, **parameters) -> dict[str, Fit]:
    """The same fit by fastbp and, unless it is not wanted, by scikit-learn."""
    parameters |= {"random_state": SEED, "verbose": True}
    pipeline = partial(make_pipeline, *[StandardScaler()] * scale)
    n_threads = effective_n_threads(arguments.threads)
    ours = pipeline(MLPClassifier(**parameters, n_threads=arguments.threads))
    fits = {"fastbp": fit("fastbp", ours, data, _kernels.isa_selected(), n_threads)}
    if not arguments.no_sklearn:
        with threadpool_limits(n_threads, user_api="blas"):
            blas: dict = next((lib for lib in threadpool_info() if lib["user_api"] == "blas"), {})
            instruction_set = f"{blas.get('internal_api', 'unknown')} {blas.get('architecture', '')}".strip()
            theirs = pipeline(SklearnMLPClassifier(**parameters))
            fits["scikit-learn"] = fit("scikit-learn", theirs, data, instruction_set, blas.get("num_threads", 1))
    return fits


def table(fits: dict[str, Fit]) -> str:
    """The fits side by side."""
    all_fits = list(fits.values())
    rows = {
        "test accuracy": [f"{100 * f.accuracy:.2f} %" for f in all_fits],
        "training time": [f"{f.seconds:.3g} s" for f in all_fits],
        "samples per second": [f"{float(f'{f.n_samples / f.seconds:.3g}'):,.0f}" for f in all_fits],
        "last loss": [f"{f.loss_curve[-1]:.6f}" for f in all_fits],
        "instruction set": [f.instruction_set for f in all_fits],
        "threads": [str(f.n_threads) for f in all_fits],
    }
    if len(all_fits) == 2:
        ours, theirs = all_fits
        rows["training time"].append(f"{theirs.seconds / ours.seconds:.1f} times as fast")
        if len(ours.loss_curve) == len(theirs.loss_curve):
            error = np.max(np.abs(ours.loss_curve / theirs.loss_curve - 1))
            rows["last loss"].append(f"loss curves differ by {error:.0e} at most")
    width = max(len(text) for cells in [fits, *rows.values()] for text in list(cells)[: len(fits)]) + 3
    lines = [" " * 20 + "".join(f"{name:>{width}}" for name in fits), "-" * (20 + width * len(fits))]
    for title, cells in rows.items():
        remark = f"   {cells[len(fits)]}" if len(cells) > len(fits) else ""
        lines.append(f"{title:<20}" + "".join(f"{text:>{width}}" for text in cells[: len(fits)]) + remark)
    return "\n".join(f"  {line}" for line in lines)


def digits(arguments: argparse.Namespace):
    """scikit-learn's 8 x 8 digits in a Pipeline."""
    X, y = load_digits(return_X_y=True)
    X = X.astype(arguments.dtype)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=SEED)
    data = Split(X_train, y_train, X_test, y_test)
    n_epochs = arguments.epochs or 100
    print(f"\ndigits, 64-100-10 behind a StandardScaler, {n_epochs} epochs of {len(X_train):,} images, {X.dtype}")
    print("\n" + table(compare(data, True, arguments, hidden_layer_sizes=(100,), max_iter=n_epochs)))


def fashion_mnist(arguments: argparse.Namespace):
    """Fashion-MNIST, pixels from 0 to 1."""
    folder = arguments.fashion_mnist or DEBIAN_FASHION_MNIST
    if arguments.no_fashion_mnist:
        print("\nFashion-MNIST skipped, as --no-fashion-mnist asks.")
        return
    if arguments.fashion_mnist is None and not folder.exists():
        print(f"\nFashion-MNIST skipped: there is no {folder}. On Debian, install the package dataset-fashion-mnist;")
        print("elsewhere, download the four files and give their folder: --fashion-mnist PATH.")
        return
    data = load_fashion_mnist(folder)
    data = data._replace(X_train=data.X_train.astype(arguments.dtype), X_test=data.X_test.astype(arguments.dtype))
    n_epochs = arguments.epochs or 10
    print(f"\nFashion-MNIST, 784-256-128-10, {n_epochs} epochs of {len(data.X_train):,} images, {arguments.dtype}")
    parameters = {"hidden_layer_sizes": (256, 128), "batch_size": 128, "max_iter": n_epochs}
    print("\n" + table(compare(data, False, arguments, **parameters)))


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected 1 or more")
    return value


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m fastbp", description=__doc__)
    parser.add_argument("--epochs", type=positive, help="epochs of each fit (default: digits 100, Fashion-MNIST 10)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float64",
        help="of the images (default: float64, in which both libraries compute the same numbers)",
    )
    parser.add_argument("--threads", type=positive, help="for both libraries (default: what the machine allows)")
    parser.add_argument(
        "--fashion-mnist", type=Path, metavar="PATH", help=f"default: {DEBIAN_FASHION_MNIST}, if it exists"
    )
    parser.add_argument("--no-fashion-mnist", action="store_true", help="leave out Fashion-MNIST")
    parser.add_argument("--no-sklearn", action="store_true", help="leave out scikit-learn's MLPClassifier")
    arguments = parser.parse_args(argv)
    print(f"fastbp {__version__} on {_cpu_name()}")
    digits(arguments)
    try:
        fashion_mnist(arguments)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    if arguments.no_sklearn:
        print("\nscikit-learn's MLPClassifier skipped, as --no-sklearn asks.")


if __name__ == "__main__":
    main()
