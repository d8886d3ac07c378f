"""Allocations that fail: a MemoryError, nothing held, and the model goes on."""

import pytest
from faults import allocations

CASES = ["network", "partial_fit", "more partial_fit", "rows", "functional"]
LONG_CASES = ["refit", "lbfgs", "sparse", "early stopping"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return allocations.build(tmp_path_factory.mktemp("faults")) or pytest.skip("needs gcc and glibc")


@pytest.mark.parametrize(("cases", "options"), [(CASES, []), (LONG_CASES, ["--every=15"])], ids=["all", "every 15th"])
def test_each_failed_allocation_is_a_memory_error(library, cases, options):
    done = allocations.run(library, cases, *options)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.count(" 0 findings") == len(cases)
    assert " 0 faults" not in done.stdout
