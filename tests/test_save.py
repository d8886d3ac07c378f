"""model.save and fastbp.load: the model that comes back predicts the same and learns on to the same bits."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from data.write import numbers
from pairs import CASES, DATA, VALUES, Case, halving, log_cosh, predicts, result, scores
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from test_file import edit

import fastbp
from fastbp import MLPClassifier, MLPRegressor, _file

pytest.importorskip("safetensors")
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
]

IRIS, SPECIES = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0}
SINGLES = [(task, names) for task, names in CASES if len(names) == 1 and names[0] != "solver=lbfgs"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def again(model, path, **functions):
    model.save(path)
    return fastbp.load(path, **functions)


def functions_of(model):
    """The parameters that no file holds."""
    names = ("loss", "learning_rate", "scoring", "callbacks")
    given = {name: getattr(model, name) for name in names}
    return {name: value for name, value in given.items() if callable(value) or (isinstance(value, list) and value)}


def plain(value):
    """Whatever a model holds, so that == compares all of it."""
    if isinstance(value, np.ndarray):
        return value.dtype.name.rstrip("0123456789") if value.dtype.kind == "U" else value.dtype, value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.random.RandomState):
        return plain(value.get_state(legacy=False))
    if isinstance(value, partial):
        return value.func, plain(value.args)
    if hasattr(value, "__dict__") and not callable(value):
        return type(value), plain(value.__getstate__() if hasattr(value, "attach") else vars(value))
    return value


LEFT_OUT = {"_networks", "_skl_callbacks", "checkpoint", "resume_from"}


def kept(model):
    """The attributes, without what a file leaves out."""
    return {name: plain(value) for name, value in vars(model).items() if name not in LEFT_OUT}


# ---- there and back


@pytest.mark.parametrize(
    ("task", "names"), [case for case in CASES if len(case[1]) == 1], ids=lambda value: "".join(value)
)
def test_every_attribute_comes_back(task, names, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    case = Case(task, names)
    model = case.run(case.model())
    same = again(model, path, **functions_of(model))
    assert kept(same) == kept(model)
    X, _, _ = case.rows(DATA, False, False)
    assert same.predict(X).tobytes() == model.predict(X).tobytes()
    assert same.predict(X).dtype == model.predict(X).dtype


def goes_on(names, calls):
    """Whether these options allow such calls, and end each of them at the same epoch."""
    option = names[0].split("=")[0]
    if option in ("calls", "set_callbacks", "max_time"):
        return False
    is_refused = {"early_stopping", "restore_best", "checkpoint"} & VALUES[names[0]].keys() or "balanced" in names[0]
    return calls == "warm start" or not is_refused


CONTINUED = [(*case, calls) for case in SINGLES for calls in ("partial_fit", "warm start") if goes_on(case[1], calls)]


@pytest.mark.parametrize(("task", "names", "calls"), CONTINUED, ids=lambda value: "".join(value))
def test_training_goes_on_to_the_same_bits(task, names, calls, path, monkeypatch):
    """Saved and loaded after each call."""
    monkeypatch.chdir(path.parent)
    case = Case(task, (*names, f"calls={calls}"))
    whole = case.run(case.model(random_state=np.random.RandomState(0)))
    model = case.model(random_state=np.random.RandomState(0))  # a generator that goes on, too
    assert result(case.run(model, keep=lambda model: again(model, path, **functions_of(model)))) == result(whole)


def test_early_stopping_goes_on_across_calls(path):
    """The best weights so far, and the epochs since, are kept as well."""
    X, y = load_diabetes(return_X_y=True)
    new = partial(MLPRegressor, hidden_layer_sizes=8, early_stopping=True, n_iter_no_change=2, tol=1e9, random_state=0)
    whole, saved = new(), new()
    for _ in range(4):
        whole.partial_fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
        saved = again(saved.partial_fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:]), path)
        assert kept(saved) == kept(whole)
        if whole.stopped_:
            break
    assert whole.stopped_
    assert whole.coefs_[0].tobytes() == whole._best_weights[0][0].tobytes()


@pytest.mark.parametrize("dtype", ["int8", "uint64", "int32", "bool", "float16", "float64", "<U7", "object"])
@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_labels_of_all_types(dtype, n_classes, path):
    labels = np.array(["a", "ß\ud800", "c d"] if dtype in ("<U7", "object") else [0, 1, 3]).astype(dtype)
    y = labels[SPECIES % n_classes]
    model = MLPClassifier(**SMALL).partial_fit(IRIS, y, classes=np.unique(y))
    same = again(model, path)
    assert same.classes_.tolist() == model.classes_.tolist()
    assert same.predict(IRIS).tolist() == model.predict(IRIS).tolist()
    if dtype != "<U7":
        assert same.classes_.dtype == model.classes_.dtype


def test_labels_without_a_form(path):
    model = MLPClassifier(**SMALL).fit(IRIS, np.array(["2020-01-01", "2021-01-01"], "M8[D]")[SPECIES % 2])
    with pytest.raises(
        ValueError, match=r"MLPClassifier cannot be saved: a file has no form for labels of datetime64\[D\]"
    ):
        model.save(path)


def test_sparse_labels(path):
    Y = scipy.sparse.csr_array(np.eye(3, dtype=int)[SPECIES])
    model = MLPClassifier(**SMALL).fit(IRIS, Y)
    same = again(model, path)
    assert scipy.sparse.issparse(same.predict(IRIS))
    assert (same.predict(IRIS) != model.predict(IRIS)).nnz == 0


def test_names_of_columns_and_the_form_of_features(path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(IRIS, columns=list("abcd"))
    model = MLPClassifier(**SMALL).set_output(transform="pandas").fit(table, SPECIES)
    same = again(model, path)
    assert same.feature_names_in_.tolist() == list("abcd")
    pandas.testing.assert_frame_equal(same.transform(table), model.transform(table))
    with pytest.raises(ValueError, match="feature names"):
        same.predict(table[list("bacd")])


def test_parameters_in_all_their_forms(path):
    parameters = {
        "hidden_layer_sizes": np.array([5, 4]), "activation": np.array(["tanh", "relu"]),
        "alpha": (0.1, 0.5, np.int8(1)),
        "batch_size": np.int64(7), "dtype": np.float32, "class_weight": {np.int64(0): 2.0, 1: np.float64(0.5)},
        "n_iter_no_change": np.inf, "shuffle": np.True_, "dropout": [0.5, 0.0], "max_iter": 2,
    }  # fmt: skip
    same = again(MLPClassifier(**parameters).fit(IRIS, SPECIES), path)
    assert {name: getattr(same, name) for name in parameters} == {
        "hidden_layer_sizes": [5, 4], "activation": ["tanh", "relu"], "alpha": (0.1, 0.5, 1), "batch_size": 7,
        "dtype": "float32", "class_weight": {0: 2.0, 1: 0.5}, "n_iter_no_change": np.inf, "shuffle": True,
        "dropout": [0.5, 0.0], "max_iter": 2,
    }  # fmt: skip
    assert same.fit(IRIS, SPECIES).n_iter_ == 2


def test_paths_of_this_machine_are_left_out(path):
    model = MLPRegressor(**SMALL, checkpoint=path.with_name("checkpoint")).fit(IRIS, SPECIES)
    same = again(model, path)
    assert same.checkpoint is same.resume_from is None


def test_a_model_from_scikit_learn(path):
    import sklearn.neural_network

    for name, X in (("MLPClassifier", IRIS), ("MLPRegressor", IRIS)):
        theirs = getattr(sklearn.neural_network, name)(**SMALL).fit(X, SPECIES)
        model = fastbp.from_sklearn(theirs)
        same = again(model, path)
        assert np.array_equal(same.predict(X), model.predict(X))
        assert same.partial_fit(X, SPECIES).coefs_[0].tobytes() == model.partial_fit(X, SPECIES).coefs_[0].tobytes()


def test_a_model_that_was_changed_by_hand(path):
    model = MLPRegressor(**SMALL).fit(IRIS, SPECIES)
    model.coefs_[0] = np.asfortranarray(model.coefs_[0] * 2)
    model.set_params(loss="huber", alpha=[1, 2, 3, 4], hidden_layer_sizes=7)
    same = again(model, path)
    assert np.array_equal(same.predict(IRIS), model.predict(IRIS))
    model.intercepts_[0] = model.intercepts_[0][1:]
    with pytest.raises(ValueError, match="cannot be saved: got arrays of shapes"):
        model.save(path)
    assert np.array_equal(fastbp.load(path).predict(IRIS), same.predict(IRIS))


def test_models_that_cannot_be_saved(path):
    class Derived(MLPClassifier):
        pass

    with pytest.raises(NotFittedError):
        MLPClassifier().save(path)
    with pytest.raises(ValueError, match=r"Derived cannot be saved: fastbp\.load knows MLPClassifier"):
        Derived(**SMALL).fit(IRIS, SPECIES).save(path)
    model = MLPClassifier(**SMALL).fit(IRIS, SPECIES)
    model.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        model.save(path)
    assert not path.exists()


# ---- functions

FUNCTIONS = [
    (MLPRegressor, {"loss": log_cosh}),
    (MLPClassifier, {"loss": log_cosh}),
    (MLPRegressor, {"learning_rate": halving}),
    (MLPClassifier, {"callbacks": [predicts, print]}),
    (MLPRegressor, {"scoring": scores, "early_stopping": True}),
]


@pytest.mark.parametrize(("Estimator", "parameters"), FUNCTIONS)
def test_functions_are_needed_for_training_alone(Estimator, parameters, path):
    X, _, _ = Case("regressor", ()).rows(DATA, False, False)
    y = (X[:, 0] > 0).astype(int)
    model = Estimator(**SMALL, **parameters, warm_start=True).fit(X, y)
    (name, function), *_ = parameters.items()
    lost = again(model, path)
    assert np.array_equal(lost.predict(X), model.predict(X))
    for same in (lost, again(lost, path), clone(lost)):
        with pytest.raises(ValueError, match=rf"{name} was pairs\.\w+.* fastbp\.load\(path, {name}=\.\.\.\)"):
            same.fit(X, y)
    given = again(lost, path, **{name: function})
    assert kept(given) == kept(model)
    assert result(given.fit(X, y)) == result(model.fit(X, y))


def test_functions_that_the_model_did_not_have(path):
    MLPRegressor(**SMALL, loss=log_cosh).fit(IRIS, SPECIES).save(path)
    with pytest.raises(TypeError, match="got scoring, but the functions of this model are loss"):
        fastbp.load(path, scoring=scores)
    with pytest.raises(ValueError, match="'loss' parameter of MLPRegressor must be"):
        fastbp.load(path, loss=3)


# ---- files


def test_loading_runs_no_code_and_imports_nothing_that_is_named(path):
    MLPRegressor(**SMALL, loss=log_cosh).fit(IRIS, SPECIES).save(path)
    lines = f"import fastbp, sys; fastbp.load({str(path)!r}); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True).stdout.split()
    assert "fastbp._save" in modules
    assert "pairs" not in modules


def test_a_missing_library(path, monkeypatch):
    model = MLPClassifier(**SMALL).fit(IRIS, SPECIES)
    model.save(path)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: model.save(path), lambda: fastbp.load(path)):
        with pytest.raises(ImportError, match=r'pip install "fastbp\[save\]"'):
            call()


def test_a_file_that_is_not_there(path):
    with pytest.raises(FileNotFoundError):
        fastbp.load(path)


def test_fields_of_a_later_version_are_ignored(path):
    model = MLPClassifier(**SMALL).fit(IRIS, SPECIES)
    model.save(path)

    def later(header):
        header["version"] = "1.8"
        content = header["content"]
        solver = content["optimizer"]
        parts = [content[name] for name in ("parameters", "history", "targets", "loss")] + [content["loss"]["settings"]]
        for tree in (header, content, *parts, solver, solver["rate"], solver["state"], solver["settings"]):
            tree["unheard_of"] = {"a": [1, None]}
        content["functions"]["unheard_of"] = "package.function"
        del content["parameters"]["focal_gamma"]  # what an earlier version did not have is what it is by default

    edit(path, later)
    same = fastbp.load(path)
    assert kept(same) == kept(model)


def test_a_later_major_version_is_refused(path):
    MLPClassifier(**SMALL).fit(IRIS, SPECIES).save(path)
    edit(path, lambda header: header.update(version="2.0", fastbp="3.0.0", content="who knows"))
    with pytest.raises(
        ValueError, match=r"model\.safetensors' is no model.*fastbp 3\.0\.0 wrote it in version 2\.0.*Upgrade"
    ):
        fastbp.load(path)


def test_a_checkpoint_is_no_model(path):
    MLPClassifier(**SMALL, checkpoint=path).fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="got the format 'fastbp checkpoint', expected 'fastbp model'"):
        fastbp.load(path)


# What a file may say wrongly, each with a checksum that is right, and where the error finds it.
SPOILED = {
    "an estimator by another name": (lambda c: c.update(estimator="os.system"), "estimator: got 'os.system'"),
    "no weights": (lambda c: c.pop("coefs_"), "the field 'coefs_' is missing"),
    "weights that do not chain": (lambda c: c["coefs_"].reverse(), "arrays of shapes"),
    "a layer too many": (lambda c: c["coefs_"].append(np.zeros((3, 3))), "arrays of shapes"),
    "whole numbers as weights": (lambda c: c["coefs_"].__setitem__(0, np.ones((4, 5), int)), "float32 or"),
    "two precisions": (lambda c: c["intercepts_"].__setitem__(0, np.ones(5, np.float32)), "one precision"),
    "weights that are no numbers": (lambda c: c["coefs_"][0].fill(np.nan), "NaN or infinity"),
    "a parameter out of range": (lambda c: c["parameters"].update(alpha=-1), "'alpha' parameter"),
    "a parameter of another type": (lambda c: c["parameters"].update(solver=["adam"]), "'solver' parameter"),
    "an activation for another net": (lambda c: c["parameters"].update(activation=["relu"]), "has 1 values"),
    "an unknown activation": (lambda c: c["parameters"].update(activation="step"), "'activation' parameter"),
    "a function that is no name": (lambda c: c["functions"].update(scoring=[1]), "expected a string"),
    "an unknown loss": (lambda c: c["loss"].update(name="hinge"), "'hinge'"),
    "an output of another kind": (lambda c: c["loss"].update(output="exp"), "do not go together"),
    "levels of a loss without": (lambda c: c["loss"]["settings"].update(levels=[0.5]), "levels"),
    "levels out of range": (lambda c: c["loss"]["settings"].update(levels=[2]), "levels: got 2"),
    "too few classes": (lambda c: c["classes_"]["values"].pop(), "2 classes, multiclass targets and 3 outputs"),
    "classes of another type": (lambda c: c["classes_"].update(values=["a", "b", "c"]), "labels of int64"),
    "classes out of order": (lambda c: c["classes_"]["values"].reverse(), "ascending order"),
    "classes that overflow": (lambda c: c["classes_"].update(values=[0, 1, 2**63]), "classes_: got .*of int64"),
    "classes of objects": (lambda c: c["classes_"].update(dtype="O"), "classes_: dtype: got 'O'"),
    "two classes": (lambda c: c["targets"].update(kind="binary"), "do not go together"),
    "negative class weights": (lambda c: c.update(class_weights=np.array([1, -1, 1.0])), "class_weights: |>= 0"),
    "a curve of words": (lambda c: c["history"].update(loss_curve_=["0.5"]), r"loss_curve_: got \['0\.5'\]"),
    "epochs before the first": (lambda c: c.update(n_iter_=-1), "n_iter_: got -1"),
    "names for other columns": (lambda c: c.update(feature_names_in_=["a"]), "feature_names_in_: got"),
    "features in an unknown form": (lambda c: c.update(set_output="xml"), "set_output: got 'xml'"),
    "an unknown solver": (lambda c: c["optimizer"].update(name="lion"), "'lion'"),
    "another solver's state": (lambda c: c["optimizer"]["state"].update(solver="sgd"), "state is that of 'sgd'"),
    "a setting out of range": (lambda c: c["optimizer"]["settings"].update(beta_1=1.0), "beta_1: got 1.0"),
    "moments of other shapes": (lambda c: c["optimizer"]["state"]["moments"][0][0].pop(), "moments: "),
    "an unknown schedule": (lambda c: c["optimizer"]["rate"].update(schedule="step"), "rate: schedule: got"),
    "a rate without end": (lambda c: c["optimizer"]["rate"].update(initial=np.inf), "rate: initial: got inf"),
    "a generator that reads beyond its key": (
        lambda c: c["random_state"]["state"].update(pos=700), "random_state: got a key of 624 words at"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), SPOILED.values(), ids=SPOILED)
def test_fields_are_checked(spoil, message, path):
    MLPClassifier(**SMALL | {"random_state": np.random.RandomState(0)}).fit(IRIS, SPECIES).save(path)
    content = _file.read(path, "model")
    _file.write(path, "model", content)
    fastbp.load(path)
    spoil(content)
    _file.write(path, "model", content)
    with pytest.raises(ValueError, match=rf"model\.safetensors' is no model that this fastbp can read: .*{message}"):
        fastbp.load(path)


def test_labels_as_wide_as_one_of_them_take_no_memory(path):
    MLPClassifier(**SMALL).fit(IRIS, SPECIES.astype(str)).save(path)
    content = _file.read(path, "model")
    content["classes_"]["values"] = [f"{i:06}" for i in range(10**5)] + ["x" * 10**5]  # 40 GB as an array
    content["coefs_"][-1], content["intercepts_"][-1] = np.zeros((4, 100_001)), np.zeros(100_001)
    del content["optimizer"]
    _file.write(path, "model", content)
    with pytest.raises(ValueError, match="classes_: got 100001 labels of up to 100000 characters"):
        fastbp.load(path)


def test_a_file_does_not_say_what_is_overwritten_here(path):
    MLPClassifier(**SMALL).fit(IRIS, SPECIES).save(path)
    content = _file.read(path, "model")
    content["parameters"] |= {"checkpoint": str(path.with_name("precious")), "resume_from": str(path)}
    _file.write(path, "model", content)
    assert fastbp.load(path).fit(IRIS, SPECIES).checkpoint is None
    assert not path.with_name("precious").exists()


HERE = Path(__file__).parent / "data"
WRITTEN = sorted(HERE.glob("*.safetensors"))


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_files_of_all_versions_are_read(file):
    """What tests/data/write.py wrote then gives the numbers that it noted, and is trained further to the same."""
    name, version = file.stem.split("-")
    expected = json.loads((HERE / f"numbers-{version}.json").read_text())
    X, model = np.array(expected["X"]), fastbp.load(file)
    assert type(model).__name__ == name
    assert numbers(model, X) == expected[name]


def test_there_are_such_files():
    assert {f"{name}-1.0" for name in ("MLPClassifier", "MLPRegressor")} <= {file.stem for file in WRITTEN}
