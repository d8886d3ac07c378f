"""A model in ONNX answers in onnxruntime what it answers here, alone and at the end of a Pipeline."""

import json
import sys

import numpy as np
import pytest
from portable import ALL, IRIS, NAMES, SPECIES, answer, fitted
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp import MLPClassifier, MLPRegressor

onnx = pytest.importorskip("onnx")
skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def run(graph, **inputs):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def assert_answers(outputs, model, X, tolerance=1e-5):
    """outputs: of a graph, without ZipMap."""
    expected = answer(model, X)
    assert outputs[-1].dtype == X.dtype
    assert outputs[-1].shape == expected.shape
    np.testing.assert_allclose(outputs[-1], expected, rtol=tolerance, atol=tolerance)
    if hasattr(model, "predict_proba"):
        assert outputs[0].tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("case", ALL)
def test_same_answer(case, dtype):
    model, X = fitted(case, dtype)
    graph = model.to_onnx()
    onnx.checker.check_model(graph, full_check=True)
    # gelu is a float's in a graph of doubles, too
    assert_answers(run(graph, X=X), model, X, 1e-5 if dtype == np.float32 or "gelu" in case else 1e-12)


@pytest.mark.parametrize("case", ["gelu", "mish", "logistic outputs", "labels", "quantiles"])
@pytest.mark.parametrize("target_opset", [11, 13, 17])
def test_older_operators(case, target_opset, dtype):
    model, X = fitted(case, dtype)
    graph = model.to_onnx(target_opset=target_opset)
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] <= target_opset
    assert_answers(run(graph, X=X), model, X)


def test_the_cases_try_what_they_say():
    model, X = fitted("quantiles", np.float64)
    raw = model._answer(X)
    assert (np.diff(raw, axis=1) < 0).any()  # quantiles do cross before they are sorted
    model, X = fitted("three classes", np.float64)
    assert set(model.predict(X)) == set(NAMES)
    model, X = fitted("labels", np.float64)
    assert len(np.unique(model.predict(X))) == 2


def test_rows_and_names():
    model, X = fitted("three classes", np.float32)
    graph = model.to_onnx()
    (x,), outputs = graph.graph.input, graph.graph.output
    assert x.name == "X"
    assert [output.name for output in outputs] == ["label", "probabilities"]
    rows, columns = x.type.tensor_type.shape.dim
    assert not rows.HasField("dim_value")
    assert columns.dim_value == 4
    for n in (1, 7):
        assert_answers(run(graph, X=X[:n]), model, X[:n])
    regressor, X = fitted("real", np.float32)
    assert [output.name for output in regressor.to_onnx().graph.output] == ["variable"]


def test_a_file_with_metadata(tmp_path):
    pandas = pytest.importorskip("pandas")
    model = MLPClassifier(5, max_iter=2, dtype="float32").fit(pandas.DataFrame(IRIS, columns=list("abcd")), NAMES)
    path = tmp_path / "model.onnx"
    assert model.to_onnx(path) == onnx.load(path)
    graph = onnx.load(path)
    metadata = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert metadata == {"feature_names": list("abcd"), "classes": sorted(set(NAMES))}
    assert (graph.producer_name, graph.producer_version) == ("fastbp", fastbp.__version__)
    assert graph.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("case", ["two classes", "three classes", "labels", "real", "several", "gelu"])
def test_in_a_pipeline(case, dtype):
    fastbp.register_onnx_converters()
    model, X = fitted(case, dtype)
    pipe = make_pipeline(StandardScaler().fit(X), model)
    is_classifier = hasattr(model, "predict_proba")
    graph = skl2onnx.to_onnx(pipe, X[:1], options={"zipmap": False} if is_classifier else None)
    onnx.checker.check_model(graph, full_check=True)
    assert_answers(run(graph, X=X), pipe, X)


def test_options_of_skl2onnx():
    fastbp.register_onnx_converters()
    model, X = fitted("three classes", np.float32)
    _, maps = run(skl2onnx.to_onnx(model, X[:1]), X=X)
    np.testing.assert_allclose([list(row.values()) for row in maps], model.predict_proba(X), atol=1e-5)
    assert set(maps[0]) == set(NAMES)
    graph = skl2onnx.to_onnx(model, X[:1], options={"zipmap": "columns"})
    assert len(graph.graph.output) == 1 + 3
    graph = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False, "output_class_labels": True})
    assert run(graph, X=X)[-1].tolist() == sorted(set(NAMES))
    numbers, _ = run(skl2onnx.to_onnx(model, X[:1], options={"zipmap": False, "nocl": True}), X=X)
    assert (model.classes_[numbers] == model.predict(X)).all()


def test_in_a_search_and_after_a_column_transformer():
    fastbp.register_onnx_converters()
    X = IRIS.astype(np.float32)
    network = MLPRegressor(hidden_layer_sizes=6, activation="silu", max_iter=3, random_state=0)
    pipe = make_pipeline(make_column_transformer((StandardScaler(), [0, 2]), remainder="passthrough"), network)
    search = GridSearchCV(pipe, {"mlpregressor__alpha": [0.1, 1]}, cv=2).fit(X, SPECIES)
    assert_answers(run(skl2onnx.to_onnx(search, X[:1]), X=X), search, X)


def test_integers_are_cast():
    fastbp.register_onnx_converters()
    X = np.round(IRIS).astype(np.int64)
    model = MLPRegressor(hidden_layer_sizes=6, max_iter=3, random_state=0).fit(X, SPECIES)
    (predictions,) = run(skl2onnx.to_onnx(model, X[:1]), X=X)
    np.testing.assert_allclose(predictions[:, 0], model.predict(X), rtol=1e-5, atol=1e-5)


def test_several_inputs_are_refused():
    fastbp.register_onnx_converters()
    model, _ = fitted("real", np.float32)
    columns = [(name, skl2onnx.common.data_types.FloatTensorType([None, 2])) for name in "ab"]
    with pytest.raises(ValueError, match="MLPRegressor takes one matrix, got the inputs a, b"):
        skl2onnx.to_onnx(model, initial_types=columns)


def test_what_cannot_be_converted(monkeypatch):
    with pytest.raises(NotFittedError):
        MLPClassifier().to_onnx()
    model, _ = fitted("real", np.float32)
    for target_opset in (10, "x", 12.5):
        with pytest.raises(ValueError, match=f"got target_opset={target_opset!r}, expected a whole number, 11 or more"):
            model.to_onnx(target_opset=target_opset)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    for call in (model.to_onnx, fastbp.register_onnx_converters):
        with pytest.raises(ImportError, match=r'pip install "fastbp\[export\]"'):
            call()
