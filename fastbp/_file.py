"""Numbers, words and arrays in one safetensors file: written whole or not at all, read without running anything.

The arrays are the file's tensors, named by their places in the tree. All else is JSON, under "fastbp" in the metadata:
an object with the kind of file, the version of the format, the fastbp that wrote it, a checksum, and the content.
"""

import json
import math
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import numpy as np

import fastbp

# A file of a later minor version holds fields that this one can do without, one of a later major version others.
MAJOR, MINOR = 1, 0

_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no words for them


def library():
    """The safetensors package, which is imported where files are written or read."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError('Models and checkpoints are safetensors files: pip install "fastbp[save]".') from error
    return safetensors


def destination(path) -> Path:
    """The path, if a file can stand there."""
    given, path = os.fspath(path), Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"got the path {given!r}, a directory: name a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"got the path {given!r}: there is no directory {str(path.parent)!r}. Make it first.")
    return path


def write(path, kind: str, content: dict):
    """Replace the file by `content`, at once: whoever reads it finds the old one or the new one."""
    safetensors, path = library(), destination(path)
    arrays: dict[str, np.ndarray] = {}
    header: dict = {"format": f"fastbp {kind}", "version": f"{MAJOR}.{MINOR}", "fastbp": fastbp.__version__}
    header["content"] = _without_arrays(content, arrays, ())
    header["crc32"] = checksum(header, arrays)
    # a directory of its own, beside it: others may write the same path at this time
    with TemporaryDirectory(prefix=".fastbp-", dir=path.parent) as place:
        unfinished = Path(place, "unfinished")
        unfinished.touch()
        mode = unfinished.stat().st_mode  # the library makes files that only their owner may read
        try:
            safetensors.numpy.save_file(arrays, unfinished, metadata={"fastbp": json.dumps(header, allow_nan=False)})
        except safetensors.SafetensorError as error:  # a full disk, say
            raise OSError(f"{str(path)!r} could not be written: {error}") from error
        unfinished.chmod(mode)
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)


def read(path, kind: str) -> dict:
    """Return what `write` was given."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"got the path {os.fspath(path)!r}, a directory, expected a file that fastbp wrote.")
    with library().safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if "fastbp" not in metadata:
            raise ValueError("it was not written by fastbp.")
        header = json.loads(metadata["fastbp"])
        _check_header(header, kind)
        names = file.keys()
        arrays = {name: file.get_tensor(name) for name in names}
    if header.pop("crc32", None) != checksum(header, arrays):
        raise ValueError("its checksum differs: it is damaged, or was edited.")
    return _with_arrays(header["content"], arrays)


def round_trip(content: dict) -> dict:
    """What `read` will return of it."""
    arrays: dict[str, np.ndarray] = {}
    return _with_arrays(json.loads(json.dumps(_without_arrays(content, arrays, ()))), arrays)


@contextmanager
def named(path, kind: str):
    """Turn whatever the content of a file brings about into a ValueError that names the file."""
    try:
        yield
    except (OSError, MemoryError, ImportError):
        raise
    except Exception as error:  # safetensors, json and NumPy have many for a malformed file
        raise ValueError(f"{os.fspath(path)!r} is no {kind} that this fastbp can read: {error}") from error


def _check_header(header, kind):
    if not isinstance(header, dict) or header.get("format") != f"fastbp {kind}":
        got = header.get("format") if isinstance(header, dict) else header
        raise ValueError(f"got the format {got!r:.60}, expected 'fastbp {kind}'.")
    version = header.get("version")
    major, _, minor = version.partition(".") if isinstance(version, str) else ("", "", "")
    if not (major.isdecimal() and minor.isdecimal()):
        raise ValueError(f"got the version {version!r:.60}, expected '{MAJOR}.{MINOR}' or the like.")
    if int(major) != MAJOR:
        raise ValueError(
            f"fastbp {header.get('fastbp')!s:.60} wrote it in version {version:.60} of the format, but fastbp "
            f"{fastbp.__version__} reads versions {MAJOR}.x. Upgrade fastbp, or train the model again."
        )


def checksum(header: dict, arrays: dict) -> int:
    """CRC-32 of the header without its checksum, and of the names, types, shapes and bytes of the arrays."""
    known = crc32(json.dumps(header).encode())
    for name, array in sorted(arrays.items()):
        known = crc32(array, crc32(f"{name} {array.dtype} {array.shape}".encode(), known))
    return known


# ---- the tree <-> JSON and arrays. Objects with a key that begins with $ stand for what JSON lacks.


def _without_arrays(tree, arrays, place):
    """The tree as JSON takes it; its arrays go to `arrays`, named by their places."""
    if isinstance(tree, np.ndarray):
        name = ".".join(map(str, place))
        arrays[name] = np.ascontiguousarray(tree)
        return {"$array": name}
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"$float": str(tree)}
    if isinstance(tree, dict) and all(isinstance(key, str) and not key.startswith("$") for key in tree):
        return {key: _without_arrays(item, arrays, (*place, key)) for key, item in tree.items()}
    if isinstance(tree, dict):
        return {"$pairs": _without_arrays([[key, item] for key, item in tree.items()], arrays, place)}
    if isinstance(tree, list | tuple):
        items = [_without_arrays(item, arrays, (*place, i)) for i, item in enumerate(tree)]
        return {"$tuple": items} if isinstance(tree, tuple) else items
    return tree


def _with_arrays(tree, arrays):
    if isinstance(tree, list):
        return [_with_arrays(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match len(tree), tree:
        case 1, {"$array": str(name)} if name in arrays:
            return arrays[name]
        case 1, {"$float": "nan" | "inf" | "-inf" as name}:
            return _FLOATS[name]
        case 1, {"$pairs": list(pairs)}:
            return dict(_with_arrays(pairs, arrays))
        case 1, {"$tuple": list(items)}:
            return tuple(_with_arrays(items, arrays))
    unknown = [key for key in tree if key.startswith("$")]
    if unknown:
        raise ValueError(f"got {unknown[0]!r:.60} in the header, or what it stands for is missing.")
    return {key: _with_arrays(item, arrays) for key, item in tree.items()}
