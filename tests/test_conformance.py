"""Every kernel gives the same bits on every instruction set, emulated where this processor lacks it."""

import re

import pytest
from conformance import run


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The first build that can be had, and its lines."""
    for build in run.BUILDS:
        if not run.missing(build):
            return build, run.lines(build, tmp_path_factory.mktemp("reference"))
    pytest.skip("no C compiler")


@pytest.mark.parametrize("build", run.BUILDS, ids=lambda build: build.name)
def test_one_hash_everywhere(build, reference, tmp_path):
    if reason := run.missing(build):
        pytest.skip(reason)
    first, first_lines = reference
    lines = first_lines if build == first else run.lines(build, tmp_path)
    assert run.problems(build, lines) == []
    assert run.differences({first.name: first_lines, build.name: lines}) == []


def test_a_difference_is_told(reference):
    """The comparison itself: one wrong bit is found and named."""
    _, lines = reference
    wrong = [run.Line(lines[0].kernel, lines[0].precision, "0" * 16, "other", "1"), *lines[1:]]
    assert len(run.differences({"right": lines, "wrong": wrong})) == 1


def test_every_kernel_is_run():
    """But for fma_peak, which counts lanes."""
    contract, program = (run.CSRC / "fastbp.h").read_text(), (run.HERE / "conformance.c").read_text()
    kernels = set(re.findall(r"\(\*(\w+)\)\(", contract))
    assert len(kernels) > 20
    assert set(re.findall(r"\bK->(\w+)\(", program)) == kernels - {"fma_peak"}
