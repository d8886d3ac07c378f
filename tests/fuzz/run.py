"""Asks the package for anything at all, and looks whether it ends as promised: an answer, or an error that says why.

    python tests/fuzz/run.py [n] [seed]

runs n cases (10 000 if not told), another choice for each seed (0 if not told). Each is a model with some parameters,
some data and some calls, or a function of arrays (sessions.py): any shape, type, layout, container and size of numbers
(arrays.py), any value of any parameter (parameters.py). It breaks a promise to

- crash, or not to end within LIMIT seconds: the cases run in processes of their own, and the last one begun is named;
- raise what is not in DOCUMENTED of sessions.py;
- modify an argument;
- make NaN or infinity of finite data without a RuntimeWarning.

What is found is shrunk and printed; the exit status is then 1.
"""

import faulthandler
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHUNK = 250  # cases of a process
LIMIT = 120  # seconds a case may take, on a busy machine


def work(n, seed, note):
    """Run n cases in this process; `note` is the file that tells the parent which one was begun last."""
    import hypothesis
    from fuzz.sessions import CASES

    faulthandler.enable()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=n,
        phases=set(hypothesis.Phase) - {hypothesis.Phase.explain},
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )
    @hypothesis.given(CASES)
    def any_case(case):
        Path(note).write_text(repr(case))
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        try:
            case.run()
        finally:
            faulthandler.cancel_dump_traceback_later()

    any_case()


def chunk(n, seed):
    """What a process of n cases found, "" for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "note"
        path = os.pathsep.join([str(HERE.parent), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, __file__, str(n), str(seed), str(note)],
            env={**os.environ, "PYTHONPATH": path},
            cwd=folder,  # where hypothesis may leave what it likes
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return ""
        last = f"The last case begun: {note.read_text()}\n" if note.exists() else ""
        return f"{done.stdout}{done.stderr}{last}Exit status {done.returncode}, seed {seed}."


def main(n=10_000, seed=0):
    sizes = [min(CHUNK, n - first) for first in range(0, n, CHUNK)]
    seeds = range(seed * 1_000_000, seed * 1_000_000 + len(sizes))
    n_done, findings = 0, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for size, found in zip(sizes, pool.map(chunk, sizes, seeds), strict=True):
            n_done += size
            if found:
                findings.append(found)
                print(found, flush=True)
            print(f"{n_done} cases, {len(findings)} processes with findings", flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    given = sys.argv[1:]
    if len(given) == 3:
        work(int(given[0]), int(given[1]), given[2])
    else:
        sys.exit(main(*map(int, given)))
