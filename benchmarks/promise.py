"""What it costs that one seed gives one result: a training step here, and where the compiler may do as it likes.

    python -m benchmarks.promise [--pairs N]

The other build is a copy of this checkout, compiled with -ffast-math and -mrecip: operations may be contracted and put
in another order, a division may be an estimate, and subnormal numbers are zero. A process of each build times a few
steps of one thread, in turn with the other, so that a slow second of the machine hits both; and as one process differs
from the next by where its memory lies, there are several pairs of them. The cost is the median of all ratios of
neighbours. It needs a compiler, and some minutes.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import thread_time

import numpy as np

from benchmarks.contestants.fastbp_net import Fastbp
from benchmarks.nets import NETS, Data
from benchmarks.timer import repeats_for

ROOT = Path(__file__).resolve().parents[1]
PROMISE, LIBERTY = '"-ffp-contract=off"', '"-ffast-math", "-mrecip"'
NOT_COPIED = shutil.ignore_patterns("build", ".git", ".*cache*", "*venv*", "__pycache__", "*.so")
SECONDS = 0.05  # of steps in a turn
TURNS = 5  # of each of a pair of processes, for a net
CASES = [(net, dtype) for dtype in (np.float32, np.float64) for net in NETS]


def build_at_liberty(folder):
    """A copy whose compiler is bound to nothing."""
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    setup = folder / "setup.py"
    text = setup.read_text()
    if PROMISE not in text:
        raise SystemExit(f"setup.py has no {PROMISE}, which this script is to replace: bring the two together.")
    setup.write_text(text.replace(PROMISE, LIBERTY))
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, check=True)


def answer_requests():
    """For each number of a case on a line of stdin: print the processor's seconds of a step, by the build here."""
    ready = {}
    for line in sys.stdin:
        net, dtype = CASES[int(line)]
        if int(line) not in ready:
            epoch = Fastbp(net, Data(net, dtype), n_threads=1).epoch
            ready = {int(line): (epoch, repeats_for(epoch, SECONDS))}
        epoch, repeats = ready[int(line)]
        began = thread_time()
        for _ in range(repeats):
            epoch()
        print((thread_time() - began) / repeats / net.n_batches, flush=True)


class Build:
    """A process that times the steps of the build in a folder."""

    def __init__(self, folder):
        environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "-m", "benchmarks.promise", "--steps"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, text=True, bufsize=1, **pipes)

    def microseconds(self, case):
        self.process.stdin.write(f"{case}\n")
        return 1e6 * float(self.process.stdout.readline())


def compare(n_pairs):
    """Print a table: by net, microseconds of a step of each build, and how much longer the promise takes."""
    times = [[] for _ in CASES]  # (here, at liberty) of each turn
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "free"
        build_at_liberty(folder)
        for _ in range(n_pairs):
            promised, free = Build(ROOT), Build(folder)
            for case, of_case in enumerate(times):
                of_case += [(promised.microseconds(case), free.microseconds(case)) for _ in range(TURNS)]
            promised.process.communicate()
            free.process.communicate()
    print("| net | promised, µs | at liberty, µs | cost |\n|---|---|---|---|")
    costs = {np.float32: [], np.float64: []}
    for (net, dtype), pairs in zip(CASES, times, strict=True):
        a, b = (median(column) for column in zip(*pairs, strict=True))
        cost = median(a / b for a, b in pairs) - 1
        costs[dtype].append(cost)
        print(f"| {net.label}, {dtype.__name__} | {a:.4g} | {b:.4g} | {cost:+.1%} |")
    for dtype, of_nets in costs.items():
        print(f"median over the nets, {dtype.__name__}: {median(of_nets):+.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--steps", action="store_true", help="time the steps of this build, as asked on stdin")
    options = parser.parse_args()
    answer_requests() if options.steps else compare(options.pairs)
