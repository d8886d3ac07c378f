"""What a bug report needs to know about this installation."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import fastbp
from fastbp import _kernels
from fastbp._threads import effective_n_threads


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


def _config() -> dict[str, str]:
    lanes = ", ".join(f"{_kernels.lanes(dtype)} of {np.dtype(dtype)}" for dtype in (np.float32, np.float64))
    return {
        "fastbp": fastbp.__version__,
        "instruction set": f"{_kernels.isa_selected()} (can run: {', '.join(_kernels.isa_names())})",
        "vector": lanes,
        "OpenMP": "yes" if _kernels.openmp() else "no (one thread)",
        "threads": str(effective_n_threads()),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": _version("scipy"),
        "scikit-learn": _version("scikit-learn"),
        "processor": _cpu_name(),
        "platform": platform.platform(),
    }


def show_config() -> None:
    """Print versions, instruction set, threads and processor, as a bug report needs them.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.show_config()  # doctest: +ELLIPSIS
    fastbp           ...
    instruction set  ...
    """
    for name, value in _config().items():
        print(f"{name:<16} {value}")
