"""What a bug report needs to know about this installation."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import joblib
import numpy as np
from threadpoolctl import threadpool_info

import fastbp
from fastbp import _kernels
from fastbp._threads import effective_n_threads

_EXTRAS = ("safetensors", "onnx", "skl2onnx", "matplotlib", "tqdm", "rich", "pandas", "polars", "pyarrow", "torch")


def _cpu_name() -> str:
    """The processor's trade name where the system tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        answer = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _extras() -> str:
    versions = {package: _version(package) for package in _EXTRAS}
    return ", ".join(f"{package} {number}" for package, number in versions.items() if number != "not installed")


def _openmp() -> str:
    """Whether there is any, and all runtimes in this process: two of a kind get in each other's way."""
    if not _kernels.openmp():
        return "no (one thread)"
    runtimes = [library["filepath"] for library in threadpool_info() if library["user_api"] == "openmp"]
    return f"yes ({', '.join(runtimes) or 'unknown runtime'})"


def _environment() -> str:
    """The variables that decide on instruction sets and threads."""
    names = [name for name in sorted(os.environ) if name.startswith(("FASTBP_", "OMP_", "GOMP_", "KMP_"))]
    return ", ".join(f"{name}={os.environ[name]}" for name in names)


def _config() -> dict[str, str]:
    lanes = ", ".join(f"{_kernels.lanes(dtype)} of {np.dtype(dtype)}" for dtype in (np.float32, np.float64))
    return {
        "fastbp": fastbp.__version__,
        "instruction set": f"{_kernels.isa_selected()} (can run: {', '.join(_kernels.isa_names())})",
        "vector": lanes,
        "compiler": _kernels.compiler(),
        "OpenMP": _openmp(),
        "threads": str(effective_n_threads()),
        "processors": f"{os.cpu_count()} ({joblib.cpu_count()} for this process)",
        "environment": _environment() or "none of FASTBP_, OMP_, GOMP_, KMP_",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": _version("scipy"),
        "scikit-learn": _version("scikit-learn"),
        "joblib": _version("joblib"),
        "threadpoolctl": _version("threadpoolctl"),
        "extras": _extras() or "none",
        "processor": _cpu_name(),
        "platform": platform.platform(),
    }


def show_config() -> None:
    """Print what a bug report needs: versions, compiler, instruction set, OpenMP, threads, processor and platform.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.show_config()  # doctest: +ELLIPSIS
    fastbp           ...
    instruction set  ...
    """
    for name, value in _config().items():
        print(f"{name:<16} {value}")
