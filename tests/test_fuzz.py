"""Whatever is asked of the package ends as promised: a few hundred cases here, thousands with tests/fuzz/run.py.

A case is a model with some parameters, some data and some calls, or a function of arrays; see fuzz/sessions.py.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")

from fuzz.arrays import Array  # noqa: E402
from fuzz.sessions import BrokenPromiseError, Session, Targets, function_calls, sessions, watched  # noqa: E402

# what hypothesis writes even without a database
hypothesis.configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")

settings = hypothesis.settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@settings
@hypothesis.given(sessions())
def test_models(session):
    session.run()


@settings
@hypothesis.given(function_calls())
def test_functions(call):
    call.run()


# ---- the watch itself


def test_an_undocumented_error_passes():
    with pytest.raises(ZeroDivisionError):
        watched(lambda: 1 / 0, [], True)


def test_a_documented_error_is_an_answer_if_it_says_something():
    result, error = watched(lambda: int("a"), [], True)
    assert result is None
    assert isinstance(error, ValueError)
    with pytest.raises(BrokenPromiseError, match="without a word"):
        watched(lambda: exec("raise ValueError"), [], True)


@pytest.mark.parametrize("result", [np.nan, [1.0, np.inf], np.array([1.0, -np.inf])])
def test_a_number_that_is_not_finite_needs_a_word(result):
    with pytest.raises(BrokenPromiseError, match="not finite"):
        watched(lambda: result, [], True)
    watched(lambda: result, [], False)

    def warned():
        warnings.warn("overflow", RuntimeWarning, stacklevel=2)
        return result

    watched(warned, [], True)


@pytest.mark.parametrize(
    "container", ["array", "list", "masked", "csr_array", "coo_matrix", "lil_array", "dia_array", "dok_array"]
)
def test_a_change_of_an_argument_is_seen(container, tmp_path):
    x = Array((4, 3), container=container, values="ones").build(tmp_path)

    def spoil():
        if container == "list":
            x[0][0] = 7.0
        elif container in ("coo_matrix", "dia_array"):
            x.data.flat[0] = 7.0
        else:
            x[0, 0] = 7.0

    watched(lambda: None, [x], False)
    with pytest.raises(BrokenPromiseError, match="modified"):
        watched(spoil, [x], False)


def test_an_ordinary_session_has_no_errors():
    """So that what is tested above is not refused for a reason of its own."""
    calls = (
        "fit",
        "partial_fit",
        "predict",
        "transform",
        "input_gradients",
        "predictor",
        "pickle",
        "copy",
        "backprop",
        "score",
    )
    for task, kind in (("classifier", "strings"), ("classifier", "labels"), ("regressor", "columns")):
        data = Array((17, 4)), Targets(17, kind, 0), Array((17,), values="ones"), ()
        assert Session(task, {}, *data, Array((3, 4)), (*calls, "predict"), {}).run() == [None] * 11
