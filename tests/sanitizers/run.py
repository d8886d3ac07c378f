"""Looks for what tests do not see: accesses out of bounds, undefined behaviour, uninitialised values, leaks, races.

    python tests/sanitizers/run.py [core] [address] [valgrind] [thread]

core      the kernels alone, by the programs of ../conformance, with AddressSanitizer and UndefinedBehaviorSanitizer
address   the package compiled with both, under the test suite; and what LeakSanitizer says after a part of it
valgrind  memcheck over the same programs and a part of the tests
thread    ThreadSanitizer, told by Archer what OpenMP orders, over the engine on 1, 2, 3 and 5 threads; then without
          each barrier of the engine in turn, which it must notice

All of them if none is named: core takes a minute, the others take twenty each. Each builds what it needs in a
temporary folder, with every buffer of the engine a block of its own, and sees to it that a fault is seen. The exit
status is 1 if anything was found. Needed are gcc with its sanitizers; for the last two valgrind, and clang with libomp.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from conformance import run as conformance  # noqa: E402

SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1")
NOT_COPIED = shutil.ignore_patterns("build", ".git", ".*cache*", "*venv*", "__pycache__", "*.so", "*.o")

# Of the sources in the temporary folder: (file, as it is, as it is to be).
APART = ("fastbp/_memory.pyx", "APART = False", "APART = True")
QUICK_TO_BUILD = ("setup.py", '"-O3"', '"-O1"')
ALL_THREADS = (  # as many as were asked for, in each batch
    ("fastbp/_pace.py", "sorted({min(2**i, n_threads) for i in range(n_threads.bit_length() + 1)})", "[n_threads]"),
    ("fastbp/_team.pyx", "WORK_PER_THREAD = 1e6", "WORK_PER_THREAD = 1"),
)
BARRIER = "omp_barrier()\n"
OUR_LEAK = re.compile(r"leak of .*\n.*\n.*#1 .*(fastbp/|csrc/)")  # what our own code allocated, not CPython for it
NO_MEMORY = re.compile(r"^==\d+==WARNING: AddressSanitizer failed to allocate .*\n", re.MULTILINE)

# What is not run with AddressSanitizer, and why.
NOT_WITH_ADDRESS = {
    "tests/test_conformance.py": "compiles programs of its own; core has them",
    "tests/test_against_torch.py": "PyTorch's libraries and allocator would be under test",
    "tests/test_benchmarks.py": "so would the contestants",
    "tests/test_memory.py": "limits and measures memory, of which the sanitizer takes its own",
    "tests/test_soak.py": "likewise",
    "tests/test_predictor.py::test_predictions_need_no_more_memory_than_the_answer": "likewise",
    "tests/test_faults.py": "preloads a library of its own, and the sanitizer's must be the first",
    "tests/test_guard_pages.py": "dies of a signal that the sanitizer catches",
}
FOR_LEAKS = ("tests/test_engine.py", "tests/test_mlp.py", "tests/test_predictor.py", "-k", "not no_more_memory")
OF_VALGRIND = (
    *(f"tests/test_{name}.py" for name in ("forward", "delta", "gradient", "dropout", "reproducibility")),
    "-k",
    "33x17 or 10x15x2 or committed and -2- and (everything or narrow or clipped)",
)
OF_THREAD = (
    *(f"tests/test_{name}.py" for name in ("engine_options", "sparse", "lbfgs", "custom_loss")),
    "-k",
    "not avx",  # of vectors so wide ThreadSanitizer sees nothing
)
# Fits of the nets named, else of all, in which all threads take part.
FITS = """
import sys
import numpy as np
sys.path.insert(0, "tests")
from fits import NETS, fingerprint
for name in sys.argv[1:] or NETS:
    for n_threads in (2, 3, 5):
        fingerprint(name, np.float32, n_threads, "baseline", work_per_thread=1e-3)
"""

# A row of X that is not there: a read past the end.
FAULT = """
import numpy as np
from fastbp import _kernels
X = np.ones((5, 7))
class Longer:
    __array_interface__ = dict(X.__array_interface__, shape=(6, 7))
_kernels.forward(np.asarray(Longer()), np.ones((3, 7)), np.zeros(3), "tanh")
"""


@dataclass(frozen=True)
class Tool:
    """How to compile for a tool, and to run Python under it, so that it writes what it finds to files in `reports`."""

    compiler: str
    reports: Path
    environment: dict = field(default_factory=dict)
    prefix: tuple[str, ...] = ()

    def run(self, folder, *arguments, **environment):
        """Python in the folder; its exit status."""
        environment = (
            os.environ | {"PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"} | self.environment | environment
        )
        return subprocess.run([*self.prefix, sys.executable, *arguments], cwd=folder, env=environment).returncode

    def findings(self):
        """The texts of the reports, which are taken away."""
        texts = []
        for report in sorted(self.reports.iterdir()):
            texts.append(NO_MEMORY.sub("", report.read_text(errors="replace")))
            report.unlink()
        return [text for text in texts if text.strip()]


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def edit(folder, *edits):
    """Replace once in each (file, as it is, as it is to be) of the folder."""
    for file, old, new in edits:
        source = (folder / file).read_text()
        if old not in source:
            raise ValueError(f"{file} has no {old!r}, which this script is to replace: bring the two together.")
        (folder / file).write_text(source.replace(old, new, 1))


def build(folder, tool):
    """Compile the package in the folder, in place."""
    environment = os.environ | {"CC": tool.compiler, "CFLAGS": "-g1 -fno-omit-frame-pointer"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, env=environment, check=True)


def copy(folder, tool, *edits):
    """The package, compiled for the tool."""
    tool.reports.mkdir(parents=True)
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    edit(folder, APART, QUICK_TO_BUILD, *edits)
    build(folder, tool)


def tests(tool, folder, *arguments, **environment):
    """What the tool found in these tests; that they fail is a finding, too."""
    status = tool.run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, **environment)
    return tool.findings() + ([f"pytest ended with {status}"] if status else [])


def blind(tool, folder):
    """In words: that the tool does not see a fault."""
    tool.run(folder, "-c", FAULT)
    return [] if any("gather" in text for text in tool.findings()) else ["a read past the end of X was not seen"]


def kernels(build, folder):
    """Runs the programs of ../conformance; what was found is an error of theirs."""
    folder.mkdir(parents=True)
    try:
        isas = {line.isa for line in conformance.lines(build, folder)}
    except RuntimeError as error:
        return [str(error)]
    print(f"ran {', '.join(sorted(isas))}", flush=True)
    return []


# --- the parts: what each found


def core(folder):
    return kernels(conformance.Build("sanitized", ("gcc",), ("-O1", *SANITIZED)), folder)


def address(folder):
    reports = folder / "reports"
    # Sizes beyond all memory are asked for by tests: NULL, not the end of the process.
    log = f"log_path={reports}/report:halt_on_error=1:allocator_may_return_null=1"
    tool = Tool(
        " ".join(("gcc", *SANITIZED)),
        reports,
        {
            "LD_PRELOAD": " ".join(output_of("gcc", f"-print-file-name=lib{name}.so") for name in ("asan", "ubsan")),
            "ASAN_OPTIONS": f"{log}:detect_leaks=0",
            "UBSAN_OPTIONS": f"{log}:print_stacktrace=1",
        },
    )
    package = folder / "package"
    copy(package, tool)
    found = blind(tool, package) + tests(tool, package, *(f"--deselect={name}" for name in NOT_WITH_ADDRESS))
    leaks = tests(tool, package, *FOR_LEAKS, ASAN_OPTIONS=f"{log}:detect_leaks=1", LSAN_OPTIONS="exitcode=0")
    for text in leaks:
        parts = text.split("\n\n") if "LeakSanitizer" in text else []
        found += [part for part in parts if OUR_LEAK.search(part)] if parts else [text]
    return found


def valgrind(folder):
    reports = folder / "reports"
    options = ("-q", "--error-exitcode=66", f"--log-file={reports}/%p", f"--suppressions={HERE / 'valgrind.supp'}")
    tool = Tool("gcc", reports, prefix=("valgrind", *options))
    package = folder / "package"
    copy(package, tool)
    programs = conformance.Build("valgrind", ("gcc",), ("-O1", "-g1"), emulator=tool.prefix)
    found = kernels(programs, folder / "kernels") + tool.findings()
    return found + blind(tool, package) + tests(tool, package, *OF_VALGRIND)


def thread(folder):
    archer = Path(output_of("clang", "-print-resource-dir")).parents[1] / "libarcher.so"
    if not archer.exists():
        raise FileNotFoundError(f"got no {archer}, which knows OpenMP's barriers: install libomp-dev.")
    reports = folder / "reports"
    tool = Tool(
        "clang -fsanitize=thread",
        reports,
        {
            "LD_PRELOAD": output_of("gcc", "-print-file-name=libtsan.so"),  # clang's own cannot be preloaded
            "OMP_TOOL_LIBRARIES": str(archer),
            "OMP_WAIT_POLICY": "passive",
            "TSAN_OPTIONS": f"log_path={reports}/report:halt_on_error=1:ignore_noninstrumented_modules=1",
            "FASTBP_ISA": "baseline",
        },
        prefix=("setarch", "--addr-no-randomize"),
    )
    package = folder / "package"
    copy(package, tool, *ALL_THREADS)
    found = races(tool, package) + tests(tool, package, *OF_THREAD)
    team = package / "fastbp" / "_team.pyx"
    parts = team.read_text().split(BARRIER)
    for i in range(1, len(parts)):
        team.write_text(BARRIER.join(parts[:i]) + "pass\n" + BARRIER.join(parts[i:]))
        build(package, tool)
        if not any("data race" in text for text in races(tool, package, "clipped")):
            found.append(
                f"no race was seen without barrier {i} of {len(parts) - 1}: the tool is blind, or it is needless"
            )
    return found


def races(tool, folder, *names):
    """What the tool found in the fits of these nets."""
    status = tool.run(folder, "-c", FITS, *names)
    return tool.findings() + ([f"the fits ended with {status}"] if status else [])


PARTS = {"core": core, "address": address, "valgrind": valgrind, "thread": thread}


def main(names, place):
    found = {}
    for name in names or PARTS:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        found[name] = PARTS[name](Path(place) / name)
        for text in found[name]:
            print(text)
        print(f"{name}: {len(found[name])} findings, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(PARTS):
        sys.exit(f"got {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}.")
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(sys.argv[1:], temporary))
