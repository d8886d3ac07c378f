"""Memory does not grow with the number of calls: a short run of tests/soak/run.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak") / "run.py"
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's account of memory")


@needs_proc
def test_memory_stays_flat(monkeypatch):
    done = subprocess.run(
        [sys.executable, SOAK, "350", "20000"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.stdout.endswith("flat\n"), done.stdout + done.stderr


@needs_proc
@pytest.mark.filterwarnings("ignore")
def test_a_leak_is_seen():
    from soak import run

    kept = []
    assert run.soak("leak", iter([lambda i: kept.append(b"x" * 3_000_000)] * 100), 100)
