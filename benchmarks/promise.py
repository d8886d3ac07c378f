"""What it costs that one seed gives one result: a training step here, and where the compiler may do as it likes.

    python -m benchmarks.promise [--rounds N]

The other build is a copy of this checkout, compiled with -ffast-math and -mrecip: operations may be contracted and put
in another order, a division may be an estimate, and subnormal numbers are zero. Steps are timed on one thread, in
turn, each time in a new process; the ratio is of medians, and of the quickest rounds. It needs a compiler, and some
minutes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.contestants.fastbp_net import Fastbp
from benchmarks.nets import NETS, Data
from benchmarks.timer import repeats_for

ROOT = Path(__file__).resolve().parents[1]
PROMISE, LIBERTY = '"-ffp-contract=off"', '"-ffast-math", "-mrecip"'
NOT_COPIED = shutil.ignore_patterns("build", ".git", ".*cache*", "*venv*", "__pycache__", "*.so")
SECONDS = 0.3  # a net and round


def build_at_liberty(folder):
    """A copy whose compiler is bound to nothing."""
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    setup = folder / "setup.py"
    text = setup.read_text()
    if PROMISE not in text:
        raise SystemExit(f"setup.py has no {PROMISE}, which this script is to replace: bring the two together.")
    setup.write_text(text.replace(PROMISE, LIBERTY))
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, check=True)


def steps():
    """Seconds of a step of each net, by the build in the working directory."""
    times = {}
    for dtype in (np.float32, np.float64):
        for net in NETS:
            epoch = Fastbp(net, Data(net, dtype), n_threads=1).epoch
            repeats = repeats_for(epoch, SECONDS)
            began = perf_counter()
            for _ in range(repeats):
                epoch()
            times[f"{net.label}, {dtype.__name__}"] = (perf_counter() - began) / repeats / net.n_batches
    return times


def steps_of(folder):
    command = [sys.executable, "-m", "benchmarks.promise", "--steps"]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    return json.loads(subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def compare(rounds):
    """Print a table: by net, microseconds of a step of each build, and how much longer the promise takes."""
    with tempfile.TemporaryDirectory() as temporary:
        free = Path(temporary) / "free"
        build_at_liberty(free)
        times = {ROOT: defaultdict(list), free: defaultdict(list)}
        for _ in range(rounds):
            for folder, of in times.items():
                for net, seconds in steps_of(folder).items():
                    of[net].append(1e6 * seconds)
    print("| net | promised, µs | at liberty, µs | cost by medians | cost by minima |\n|---|---|---|---|---|")
    for net, promised in times[ROOT].items():
        a, b = median(promised), median(times[free][net])
        least = min(promised) / min(times[free][net])
        print(f"| {net} | {a:.4g} | {b:.4g} | {a / b - 1:+.1%} | {least - 1:+.1%} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", action="store_true", help="print the times of this build alone, as JSON")
    options = parser.parse_args()
    if options.steps:
        print(json.dumps(steps()))
    else:
        compare(options.rounds)
