"""A few hundred spoiled files of models and checkpoints, as tests/fuzz/load.py makes them by the million."""

import tracemalloc

import numpy as np
import pytest

pytest.importorskip("safetensors")
hypothesis = pytest.importorskip("hypothesis")
from fuzz.load import mutant, originals, outcome  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

FILES = []


@pytest.fixture(scope="module", autouse=True)
def _files(tmp_path_factory):
    FILES.extend(originals(tmp_path_factory.mktemp("originals")))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("mutants") / "mutant"


@hypothesis.settings(max_examples=400, deadline=None, derandomize=True, database=None)
@hypothesis.given(entropy=st.binary(max_size=80))
def test_a_spoiled_file_is_refused_or_predicts(path, entropy):
    numbers = iter(np.frombuffer(entropy[: len(entropy) // 2 * 2], dtype=np.uint16).tolist())

    def choose(n):
        return next(numbers, 0) * n >> 16

    kind, original = FILES[choose(len(FILES))]
    path.write_bytes(mutant(original, choose))
    tracemalloc.start()
    try:
        assert outcome(path, kind) in ("refused", "loaded")
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_the_files_that_are_spoiled_can_be_loaded(path):
    for kind, original in FILES:
        path.write_bytes(original)
        assert outcome(path, kind) == "loaded"
