"""Everything that a reader needs to judge the numbers or to repeat them."""

import datetime
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

from benchmarks.contestants import CONTESTANTS
from fastbp._config import _config

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "jax", "jaxlib", "onnxruntime")


def package_version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit():
    """The commit that is measured, with "-dirty" where files differ from it; None outside of a checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def without_folders(text):
    """Files by their names alone: where they lie is the machine's own matter."""
    return re.sub(r"(/[^/,()]+)+/", "", text)


def describe(command, n_threads, seconds):
    """The head of a document."""
    libraries = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    blas = {f"{lib['internal_api']} {lib['version']} ({lib.get('architecture')})" for lib in libraries}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "commit": commit(),
        "n_threads": n_threads,
        "seconds_per_contestant": seconds,
        "machine": {name: without_folders(value) for name, value in _config().items()}
        | {"kernel": platform.release(), "BLAS of NumPy and SciPy": ", ".join(sorted(blas))},
        "versions": {name: package_version(name) for name in PACKAGES},
        "contestants": {name: cls.what for name, cls in CONTESTANTS.items()},
    }


def file_stem(document):
    """<date>-<cpu>."""
    processor = re.sub(r"\(r\)|\(tm\)|@.*", "", document["machine"]["processor"].lower())
    return f"{document['date'][:10]}-" + re.sub(r"[^a-z0-9]+", "-", processor).strip("-")
