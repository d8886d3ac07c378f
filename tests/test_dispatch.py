"""Which instruction set runs: the best by default, the one FASTBP_ISA names, and never one that cannot."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastbp import _kernels

KNOWN = ("avx512", "avx2", "neon", "baseline")  # best first
LANES = {"avx512": (16, 8), "avx2": (8, 4), "neon": (4, 2)}  # of float32, float64


def import_with(isa):
    """A fresh interpreter that imports fastbp with FASTBP_ISA=isa and prints what it selected and compiled in."""
    code = "from fastbp import _kernels; print(_kernels.isa_selected(), _kernels.lanes('float32'))"
    environment = {k: v for k, v in os.environ.items() if k != "FASTBP_ISA"}
    if isa is not None:
        environment["FASTBP_ISA"] = isa
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_names_are_known_and_best_first():
    names = _kernels.isa_names()
    assert names == [name for name in KNOWN if name in names]
    assert names[-1] == "baseline"


def test_lanes_prove_which_set_was_compiled(isa, dtype):
    """The width is a constant of the compiled table, not of its name."""
    width = _kernels.lanes(dtype, isa=isa)
    if isa in LANES:
        assert width == LANES[isa][dtype == np.float64]
    assert _kernels.panel(dtype) % width == 0
    assert _kernels.panel(dtype) * np.dtype(dtype).itemsize == 64


def test_the_best_is_the_default():
    done = import_with(None)
    assert done.stdout.split()[0] == _kernels.isa_names()[0], done.stderr


def test_FASTBP_ISA_is_obeyed(isa):
    done = import_with(isa)
    assert done.stdout.split() == [isa, str(_kernels.lanes(np.float32, isa=isa))], done.stderr


@pytest.mark.parametrize("name", ["sse9", "AVX2 ", *(name for name in KNOWN if name not in _kernels.isa_names())])
def test_what_cannot_run_is_refused_with_the_list_of_what_can(name):
    done = import_with(name)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImportError" in last
    assert name.strip() in last
    assert all(f in last for f in _kernels.isa_names())


def test_a_kernel_refuses_an_unknown_set():
    with pytest.raises(ValueError, match="sse9"):
        _kernels.exp(np.ones((1, 1)), isa="sse9")


def test_a_kernel_refuses_other_precisions():
    with pytest.raises(TypeError, match="float16"):
        _kernels.exp(np.ones((1, 1), np.float16))
