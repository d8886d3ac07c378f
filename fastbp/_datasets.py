"""Fashion-MNIST, read from its four idx files."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


class Split(NamedTuple):
    """Rows and labels to train on and to test with."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in an idx file, gzipped or not.

    The header is two zeros, the type (8: unsigned bytes), the number of axes, and each length as a big-endian uint32.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an idx file of bytes: it begins with {raw[:4].hex(' ')}, expected 00 00 08.")
    n_axes = raw[3]
    start = 4 + 4 * n_axes
    shape = np.frombuffer(raw[4:start], dtype=">u4").astype(int)
    if len(raw) - start != shape.prod():
        raise ValueError(f"{path} holds {len(raw) - start} bytes, its header promises {shape.prod()}; get it again.")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def load_fashion_mnist(folder: Path) -> Split:
    """60,000 and 10,000 images of clothes: rows of 784 pixels from 0 to 1, float32; ten classes."""
    arrays = []
    for part in ("train", "t10k"):
        for content in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            paths = [folder / f"{part}-{content}{suffix}" for suffix in (".gz", "")]
            path = next(filter(Path.exists, paths), None)
            if path is None:
                raise FileNotFoundError(f"{paths[0]} is missing: Fashion-MNIST is four such files in one folder.")
            arrays.append(read_idx(path))
    X_train, y_train, X_test, y_test = arrays
    X_train, X_test = (images.reshape(len(images), -1) / np.float32(255) for images in (X_train, X_test))
    return Split(X_train, y_train, X_test, y_test)
