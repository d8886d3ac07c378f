"""The predictor: the model's own numbers for one row and for many, apart from the model, from any thread."""

import copy
import doctest
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from conftest import assert_same_bits
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from test_threads import in_fork, in_new_process, needs_fork

import fastbp._predictor
from fastbp import MLPClassifier, MLPRegressor, Predictor, from_sklearn
from fastbp._kernels import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
X = RNG.uniform(-1, 1, (300, 19))
REAL = X @ RNG.uniform(-1, 1, (19, 3)) + 5
SMALL = {"hidden_layer_sizes": (20, 9), "max_iter": 2, "random_state": 0}


def own_loss(y, z):
    return 0.5 * ((y - z) ** 2).sum(axis=1), z - y


MODELS = {
    "two classes": (MLPClassifier(**SMALL), np.where(REAL[:, 0] > 5, "yes", "no")),
    "one class": (MLPClassifier(**SMALL), np.zeros(300)),
    "classes": (MLPClassifier(**SMALL), np.arange(300) % 11),
    "labels": (MLPClassifier(**SMALL), (REAL > 5).astype(int)),
    "quadratic": (MLPClassifier(loss="squared_error", **SMALL), np.arange(300) % 11),
    "real": (MLPRegressor(**SMALL), REAL[:, 0]),
    "several": (MLPRegressor(**SMALL), REAL),
    "quantiles": (MLPRegressor(loss="quantile", quantile=[0.1, 0.5, 0.9], **SMALL), REAL[:, 0]),
    "one quantile": (MLPRegressor(loss="quantile", quantile=[0.5], **SMALL), REAL[:, 0]),
    "gamma": (MLPRegressor(loss="gamma", **SMALL), np.exp(X[:, 0])),
    "own loss": (MLPRegressor(loss=own_loss, **SMALL), REAL),
    "no hidden layer": (MLPRegressor(**SMALL | {"hidden_layer_sizes": ()}), REAL[:, 0]),
    "average": (MLPClassifier(ema_decay=0.5, dropout=0.5, **SMALL), np.arange(300) % 3),
}


def answers(model, X):
    return model.predict_proba(X) if isinstance(model, MLPClassifier) else model.predict(X)


def fitted(name="classes", dtype="float64", **parameters):
    model, y = MODELS[name]
    return copy.deepcopy(model).set_params(dtype=dtype, **parameters).fit(X, y)


def check_same(predictor, model, rows):
    """Many rows at once, each row alone as (n_features,) and as (1, n_features)."""
    expected = answers(model, rows)
    assert_same_bits([predictor(rows)], [expected])
    for row, answer in zip(rows[:20], expected[:20], strict=True):
        one = predictor(row)
        assert_same_bits([np.asarray(one), predictor(row[None])[0]], [np.asarray(answer), np.asarray(answer)])
        assert type(one) is type(answer)


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_the_models(name, dtype):
    model = fitted(name, dtype)
    check_same(model.predictor(), model, X.astype(dtype))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, dtype):
    model = fitted(dtype=dtype, activation=activation)
    check_same(model.predictor(), model, X.astype(dtype))


@pytest.mark.parametrize("n_units", [1, 3, 7, 8, 9, 15, 16, 17, 33, 65, 130])
def test_sizes(n_units, dtype):
    wide = RNG.uniform(-1, 1, (40, 300))
    model = MLPRegressor(hidden_layer_sizes=(n_units, 5), max_iter=1, dtype=dtype).fit(wide, wide[:, :n_units])
    check_same(model.predictor(), model, wide.astype(dtype))


@pytest.mark.parametrize("n_threads", [1, 2, 3, None])
def test_many_rows(n_threads, dtype):
    many = RNG.uniform(-1, 1, (10_001, 19)).astype(dtype)
    model = fitted(dtype=dtype, n_threads=n_threads)
    assert_same_bits([model.predictor()(many)], [answers(model, many)])


def test_precision_is_the_models_not_that_of_the_rows(dtype):
    model = MLPClassifier(**SMALL).fit(X.astype(dtype), MODELS["classes"][1])
    predictor = model.predictor()
    assert predictor.dtype == predictor(X).dtype == dtype
    assert_same_bits([predictor(X), predictor(X[0])], [*(answers(model, X.astype(dtype))[rows] for rows in (..., 0))])
    assert_same_bits([predictor(X.astype(np.float32))], [answers(model, X.astype(np.float32).astype(dtype))])


def test_attributes():
    predictor = fitted("two classes", "float32").predictor()
    assert isinstance(predictor, Predictor)
    assert predictor.classes_.tolist() == ["no", "yes"]
    assert predictor.n_features_in_ == 19
    assert fitted("real").predictor().classes_ is None
    assert repr(predictor) == "<fastbp predictor 19-20-9-1, float32>"


def test_of_scikit_learns_weights():
    model = from_sklearn(fitted("labels").to_sklearn())
    check_same(model.predictor(), model, X)


# ---- apart from the model


def test_later_changes_of_the_model_do_not_matter():
    model = fitted()
    predictor, before = model.predictor(), answers(model, X)
    model.coefs_[0][:] = 0
    model.classes_[:] = -1
    model.set_params(max_iter=1, n_threads=1)
    assert_same_bits([predictor(X)], [before])
    model.fit(X[:50], np.arange(50) % 2)
    assert_same_bits([predictor(X), predictor(X[0])], [before, before[0]])
    assert predictor.classes_.tolist() == list(range(11))


def test_immutable():
    predictor = fitted().predictor()
    for name in ("classes_", "dtype", "n_features_in_", "network", "anything"):
        with pytest.raises(AttributeError):
            setattr(predictor, name, None)
    with pytest.raises(ValueError, match="read-only"):
        predictor.classes_[0] = 5
    predictor(X)[:] = -1  # an answer is the caller's own
    assert predictor(X).min() >= 0


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
@pytest.mark.parametrize("name", ["two classes", "quadratic", "quantiles"])
def test_copies(twin, name, dtype):
    predictor = fitted(name, dtype).predictor()
    other = twin(predictor)
    assert_same_bits([other(X), other(X[:1])], [predictor(X), predictor(X[:1])])
    assert repr(other) == repr(predictor)
    assert np.array_equal(other.classes_, predictor.classes_)


def test_threads_at_once():
    predictor = fitted("quantiles", n_threads=2).predictor()
    many = RNG.uniform(-1, 1, (3000, 19))
    expected, start = predictor(many), threading.Barrier(8)

    def serve(seed):
        start.wait()
        rng = np.random.RandomState(seed)
        for n in range(300):
            row = rng.randint(len(many))
            assert_same_bits([predictor(many[row])], [expected[row]])
            if n % 30 == 0:  # long enough for the others to run meanwhile
                assert_same_bits([predictor(many)], [expected])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(serve, range(8)))


@needs_fork
def test_after_a_fork():
    predictor = fitted(n_threads=2).predictor()
    many = np.tile(X, (50, 1))
    expected = predictor(many)
    assert in_fork(lambda: np.array_equal(predictor(many), expected))


# ---- what it takes


def test_arrays_of_all_kinds(tmp_path, dtype):
    predictor, rows = fitted(dtype=dtype).predictor(), X.astype(dtype)
    expected = predictor(rows)
    frozen = rows.copy()
    frozen.flags.writeable = False
    wide = np.repeat(np.repeat(rows, 2, axis=0), 3, axis=1)
    packed = np.zeros(300, [("pad", "u1"), ("x", dtype, (19,))])  # rows that are not aligned
    packed["x"] = rows
    np.save(tmp_path / "rows.npy", rows)
    kinds = [
        frozen,
        np.asfortranarray(rows),
        wide[::2, ::3],
        rows[::-1, ::-1].copy()[::-1, ::-1],
        packed["x"],
        rows.astype(rows.dtype.newbyteorder()),
        np.load(tmp_path / "rows.npy", mmap_mode="r"),
        pd.DataFrame(rows),
        rows.astype(object),
        rows.tolist(),
    ]
    for kind in kinds:
        row = kind.iloc[7] if isinstance(kind, pd.DataFrame) else kind[7]
        assert_same_bits([predictor(kind), predictor(row)], [expected, expected[7]])
    assert type(predictor(kinds[6])) is np.ndarray


@pytest.mark.parametrize("kind", [np.int8, np.uint64, bool, np.float16, np.longdouble])
def test_numbers_of_other_types(kind):
    predictor = fitted().predictor()
    whole = (X > 0).astype(kind)
    assert_same_bits(
        [predictor(whole), predictor(whole[0])], [predictor(whole.astype(float))[rows] for rows in (..., 0)]
    )


def test_no_rows():
    assert fitted().predictor()(X[:0]).shape == (0, 11)
    assert fitted("real").predictor()(X[:0]).shape == (0,)


@pytest.mark.parametrize("shape", [(), (18,), (20,), (300, 18), (19, 300), (2, 3, 19), (0,)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match=r"got X of shape .*expected \(19,\), one row, or \(n_rows, 19\)"):
        fitted().predictor()(np.zeros(shape))


@pytest.mark.parametrize("rows", [X.astype(complex), X.astype(str), X.astype("M8[s]")])
def test_wrong_types(rows):
    with pytest.raises(TypeError, match="expected real numbers"):
        fitted().predictor()(rows)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.coo_matrix])
def test_sparse(kind):
    with pytest.raises(TypeError, match=r"got a sparse .*toarray"):
        fitted().predictor()(kind(X))


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN"), (np.inf, "infinity or a value too large"), (-np.inf, "infinity or a value")]
)
@pytest.mark.parametrize("n", [1, 5, 96, 97, 300])
def test_not_finite(value, words, n, dtype):
    """Wherever it is: the first and last row and feature, in any block, for any thread."""
    model = fitted(dtype=dtype, n_threads=2)
    predictor = model.predictor()
    for row, feature in {(0, 0), (n - 1, 18), (n // 2, 16), (n // 2, 8)}:
        rows = np.tile(X[:n], (1 if n < 300 else 40, 1)).astype(dtype)
        rows[row, feature] = value
        for refuses in (predictor, model.predict_proba, model.predict, model.transform):
            with pytest.raises(ValueError, match=f"Input X contains {words}"):
                refuses(rows)
        with pytest.raises(ValueError, match=rf"{words}.*X\[{row}, {feature}\] = {value}"):
            predictor(rows)
    assert np.isfinite(predictor(X[:n])).all()


def test_too_large_for_single_precision():
    model, rows = fitted(dtype="float32"), X.copy()
    rows[3, 4] = 1e39
    for refuses in (model.predictor(), model.predictor().__call__, model.predict_proba, model.transform):
        with pytest.raises(ValueError, match=r"infinity or a value too large for dtype\('float32'\)"):
            refuses(rows)
    assert np.isfinite(fitted().predictor()(rows)).all()
    huge = np.full(19, np.finfo(np.float32).max)
    assert model.predictor()(huge).shape == (11,)  # what it makes of it is another matter


def test_scikit_learn_may_assume_finite():
    model = fitted()
    rows = X.copy()
    rows[1] = np.nan
    with config_context(assume_finite=True):
        answer = model.predict_proba(rows)
    assert np.isnan(answer[1]).all()
    assert_same_bits([answer[:1], answer[2:]], [model.predict_proba(X)[:1], model.predict_proba(X)[2:]])


def test_example():
    results = doctest.testmod(fastbp._predictor)
    assert results.attempted > 0
    assert results.failed == 0


def test_bad_n_threads_are_refused_before_they_are_needed():
    with pytest.raises(ValueError, match="n_threads=0 is invalid"):
        fitted().set_params(n_threads=0).predictor()


def test_unfitted():
    for Estimator in (MLPClassifier, MLPRegressor):
        with pytest.raises(NotFittedError):
            Estimator().predictor()


# ---- memory

PEAK = """
import warnings
import numpy as np
import fastbp._predictor
from fastbp import MLPClassifier

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024

warnings.simplefilter("ignore")
X = np.empty((300_000, 40))
X[:] = np.linspace(-1, 1, 40)
model = MLPClassifier((64,), max_iter=1, dtype="float32", n_threads=2, random_state=0)
model = model.fit(X[:500], np.arange(500) % {n_classes})
call = {call}
call(X[:5000])
before = status("VmRSS")
answer = call(X)
print(status("VmHWM") - before - answer.nbytes)
"""


@pytest.mark.skipif("not __import__('os').path.exists('/proc/self/status')", reason="asks Linux for the peak")
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("call", ["model.predict", "model.predict_proba", "model.predictor()"])
def test_predictions_need_no_more_memory_than_the_answer(call, n_classes):
    """X has 96 MB, in the other precision: its rows are converted as they are read. `predict` counts classes first."""
    beyond = int(in_new_process(PEAK.format(call=call, n_classes=n_classes)))
    assert beyond < (2.4e6 if call == "model.predict" else 0) + 1e6


def test_weights_of_other_outputs_than_the_models_are_refused():
    model = MLPClassifier(8, max_iter=3).fit(X, REAL[:, 0] > 5)
    model.coefs_[-1], model.intercepts_[-1] = np.ones((8, 3)), np.ones(3)
    for refuses in (model.predict_proba, lambda X: model.predictor()):
        with pytest.raises(ValueError, match="got 3 outputs, expected one"):
            refuses(X)
