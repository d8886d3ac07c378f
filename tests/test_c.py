"""A model as a C file: it compiles without a warning, keeps no state, and answers what the model does."""

import copy
import ctypes
import re
import shutil
import subprocess
from itertools import product

import numpy as np
import pytest
from portable import ALL, IRIS, SPECIES, answer, fitted, is_multilabel
from sklearn.exceptions import NotFittedError

from fastbp import MLPClassifier

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Wmissing-declarations", "-pedantic"]
# all that could end a string or a comment, or begin something else
UGLY = ['"', "\\", "??/", "*/", "/*", "//", "%d", "a\nb", "é", "\x07" + "7", "", " ", "漢字", "/*/", "\\n"]


def gcc(*arguments):
    done = subprocess.run(["gcc", "-Werror", *STRICT, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def symbol(case, dtype):
    return re.sub(r"\W", "_", f"{case}_{np.dtype(dtype)}")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """All models in one library: their names do not meet, not even in one compilation."""
    folder = tmp_path_factory.mktemp("c")
    with open(folder / "models.c", "w") as models:
        for case, dtype in product(ALL, ("float32", "float64")):
            file = folder / f"{symbol(case, dtype)}.c"
            text = fitted(case, dtype)[0].to_c(file, name=file.stem)
            assert file.read_text(encoding="ascii") == text
            models.write(f'#include "{file}"\n')
    gcc("-std=c99", "-O1", "-shared", "-fPIC", folder / "models.c", "-o", folder / "models.so", "-lm")
    return ctypes.CDLL(str(folder / "models.so"))


def call(function, X, n_columns, real, answers=None):
    """Row by row."""
    result = np.full((len(X), n_columns), -7, answers or real)
    for row, into in zip(np.ascontiguousarray(X), result, strict=True):
        function(row.ctypes.data_as(ctypes.c_void_p), into.ctypes.data_as(ctypes.c_void_p))
    return result


@pytest.mark.parametrize("case", ALL)
def test_same_answer(library, case, dtype):
    model, X = fitted(case, dtype)
    name, expected = symbol(case, dtype), answer(model, X)
    is_classifier = hasattr(model, "predict_proba")
    compute = getattr(library, f"{name}_predict_proba" if is_classifier else f"{name}_predict")
    got = call(compute, X, expected.shape[1], dtype)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    if is_multilabel(model):
        labels = call(getattr(library, f"{name}_predict"), X, expected.shape[1], dtype, ctypes.c_int)
        assert np.array_equal(labels, model.predict(X))
    elif is_classifier:
        predict = getattr(library, f"{name}_predict")
        numbers = [predict(row.ctypes.data_as(ctypes.c_void_p)) for row in np.ascontiguousarray(X)]
        assert (model.classes_.take(numbers, mode="clip") == model.predict(X)).all()


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("two classes", ctypes.c_longlong),
        ("true or false", ctypes.c_longlong),
        ("logistic outputs", ctypes.c_double),
        ("three classes", ctypes.c_char_p),
        ("one class", ctypes.c_longlong),
    ],
)
def test_labels(library, case, kind):
    model, _ = fitted(case, np.float32)
    table = (kind * max(2, len(model.classes_))).in_dll(library, f"{symbol(case, np.float32)}_classes")
    labels = [label.decode() if isinstance(label, bytes) else label for label in table]
    assert labels[: len(model.classes_)] == model.classes_.tolist()


def test_text_that_could_be_code(tmp_path):
    pandas = pytest.importorskip("pandas")
    y = np.array(UGLY, dtype=object)[np.arange(150) % len(UGLY)]
    X = pandas.DataFrame(np.tile(IRIS, 4)[:, : len(UGLY)], columns=UGLY)
    model = MLPClassifier(4, max_iter=1).fit(X, y)
    text = model.to_c(tmp_path / "ugly.c")
    assert all(line.isprintable() and line.isascii() for line in text.splitlines())
    gcc("-std=c99", "-shared", "-fPIC", tmp_path / "ugly.c", "-o", tmp_path / "ugly.so", "-lm")
    table = (ctypes.c_char_p * len(UGLY)).in_dll(ctypes.CDLL(str(tmp_path / "ugly.so")), "mlp_classes")
    assert [label.decode() for label in table] == sorted(UGLY)


def test_nothing_but_constants_and_the_mathematics_of_c(tmp_path):
    for case in ("logistic outputs", "quantiles", "mish"):
        model, _ = fitted(case, np.float32)
        model.to_c(tmp_path / "model.c", name="Net_2")
        gcc("-std=c99", "-fno-pie", "-c", tmp_path / "model.c", "-o", tmp_path / "model.o")
        table = subprocess.run(["nm", tmp_path / "model.o"], capture_output=True, text=True, check=True).stdout
        symbols = [line.split()[-2:] for line in table.splitlines()]
        assert {kind for kind, _ in symbols} <= set(
            "TtRrU"
        )  # code, constants, what is elsewhere; no data that may change
        assert {name for kind, name in symbols if kind == "U"} <= {"expf", "expm1f", "log1pf", "tanhf", "erfcf"}
        assert all(name.startswith("Net_2_") for kind, name in symbols if kind in "TR")


def test_it_is_cpp_too(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    for case in ("three classes", "labels", "quantiles", "logistic outputs"):
        model, _ = fitted(case, np.float32)
        model.to_c(tmp_path / "model.cpp")
        gcc("-x", "c++", "-std=c++11", "-fsyntax-only", tmp_path / "model.cpp")


def test_precision_is_the_models(tmp_path):
    model, _ = fitted("real", np.float64)
    assert "double" in model.to_c()
    assert "float" not in model.to_c().replace("<float.h>", "")
    text = copy.deepcopy(model).set_params(dtype="float32").to_c()
    assert "double" not in text
    weights = re.search(r"mlp_W1\[\d+\] = \{(.*?)\}", text, flags=re.DOTALL)[1].replace("f", "").split(",")[:-1]
    assert np.array_equal(np.array(weights, np.float32), model.coefs_[0].T.ravel().astype(np.float32))


@pytest.mark.parametrize("name", ["", "2net", "my net", "_net", "a-b", "é", None])
def test_names_that_c_does_not_have(name):
    model, _ = fitted("real", np.float32)
    with pytest.raises(ValueError, match="expected letters, digits and underscores, a letter first"):
        model.to_c(name=name)


def test_the_name_stands_as_it_was_given():
    model, _ = fitted("real", np.float32)
    text = model.to_c(name="MLP_foo")
    assert "void MLP_foo_predict(const float x[MLP_FOO_N_FEATURES], float y[MLP_FOO_N_OUTPUTS]);" in text
    assert "mlp_" not in text


def test_what_cannot_be_written():
    with pytest.raises(NotFittedError):
        MLPClassifier().to_c()
    model = MLPClassifier(3, max_iter=1).fit(IRIS, SPECIES)
    model.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="non-finite"):
        model.to_c()
    model.coefs_[0][0, 0] = 1e300
    assert "1e+300" in model.to_c()
    with pytest.raises(ValueError, match="non-finite in float32"):
        model.set_params(dtype="float32").to_c()
