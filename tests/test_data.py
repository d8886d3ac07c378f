"""Data of every kind, in every layout: the same predictions as from the plain array, and nothing of it is changed."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp import MLPClassifier, MLPRegressor
from fastbp._engine import Network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
WHOLE = np.random.RandomState(0).poisson(0.6, (150, 12)) * np.arange(1, 13)  # about half of them 0
WEIGHT = np.random.RandomState(1).randint(0, 4, 150).astype(float)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.02, "random_state": 0}
SOLVERS = {"adam": {}, "early stopping": {"early_stopping": True}, "lbfgs": {"solver": "lbfgs"}}


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def assert_same_model(model, other, X, plain):
    """Fitted to the same bits, and of the same outputs whichever form of the data they get."""
    assert same_bits(model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_)
    assert np.array_equal(outputs(model, X), outputs(other, plain))
    assert np.array_equal(outputs(model, plain), outputs(other, plain))


@contextmanager
def unchanged(*data):
    """Values, and of a sparse matrix the order of its entries, are as before."""
    before = copy.deepcopy(data)
    yield
    for now, was in zip(data, before, strict=True):
        parts = ("data", "indices", "indptr") if scipy.sparse.issparse(was) and hasattr(was, "indptr") else ()
        assert type(now) is type(was)
        assert all(np.array_equal(getattr(now, part), getattr(was, part)) for part in parts)
        if not scipy.sparse.issparse(was):
            assert np.array_equal(np.asarray(now), np.asarray(was))


@pytest.fixture(params=[MLPClassifier, MLPRegressor])
def Estimator(request):
    return request.param


@pytest.fixture(params=SOLVERS)
def parameters(request):
    return {**SMALL, **SOLVERS[request.param]}


# ---- tables


def table(library, X):
    library = pytest.importorskip(library)
    columns = dict(zip("abcd", X.T, strict=True))
    return library.table(columns) if library.__name__ == "pyarrow" else library.DataFrame(columns)


def column(library, values):
    library = pytest.importorskip(library)
    return library.array(values) if library.__name__ == "pyarrow" else library.Series(values)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables(Estimator, parameters, library):
    X, y, weight = table(library, IRIS), column(library, SPECIES), column(library, WEIGHT)
    with unchanged(X, y, weight):
        model = Estimator(**parameters).fit(X, y, sample_weight=weight)
        expected = Estimator(**parameters).fit(IRIS, SPECIES, sample_weight=WEIGHT)
        assert np.array_equal(outputs(model, X), outputs(expected, IRIS))
        assert model.score(X, y, sample_weight=weight) == expected.score(IRIS, SPECIES, sample_weight=WEIGHT)
    assert same_bits(model.coefs_, expected.coefs_)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_names_of_columns_are_kept_as_by_scikit_learn(Estimator, library):
    X = table(library, IRIS)
    ours, theirs = (
        getattr(package, Estimator.__name__)(**SMALL).fit(X, SPECIES) for package in (fastbp, sklearn.neural_network)
    )
    assert hasattr(ours, "feature_names_in_") == hasattr(theirs, "feature_names_in_")
    if hasattr(theirs, "feature_names_in_"):
        assert list(ours.feature_names_in_) == list(theirs.feature_names_in_) == list("abcd")
    assert library != "pandas" or hasattr(ours, "feature_names_in_")


def test_a_table_of_mixed_types(Estimator):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame({"a": IRIS[:, 0], "b": SPECIES, "c": SPECIES > 0, "d": IRIS[:, 1].astype(np.float32)})
    plain = X.to_numpy(dtype=np.float64)
    assert_same_model(Estimator(**SMALL).fit(X, SPECIES), Estimator(**SMALL).fit(plain, SPECIES), X, plain)


def test_lists(Estimator, parameters):
    X, y, weight = IRIS.tolist(), SPECIES.tolist(), WEIGHT.tolist()
    model = Estimator(**parameters).fit(X, y, weight)
    assert_same_model(model, Estimator(**parameters).fit(IRIS, SPECIES, WEIGHT), X, IRIS)


# ---- sparse matrices


def unsorted(X):
    X = scipy.sparse.csr_array(X)
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:end] = X.indices[start:end][::-1]
        X.data[start:end] = X.data[start:end][::-1]
    X.has_sorted_indices = False
    return X


def with_explicit_zeros(X):
    """Every element is stored."""
    rows, columns = np.indices(X.shape)
    return scipy.sparse.csr_array(scipy.sparse.coo_array((X.ravel(), (rows.ravel(), columns.ravel())), X.shape))


def with_duplicates(X):
    """Every nonzero is stored as the sum of two."""
    X = scipy.sparse.csr_array(X)
    X = scipy.sparse.csr_array((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), X.shape)
    X.has_canonical_format = False
    return X


def of_int64(X):
    X = scipy.sparse.csr_array(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def sparse_read_only(X):
    X = scipy.sparse.csr_array(X)
    for part in (X.data, X.indices, X.indptr):
        part.setflags(write=False)
    return X


SPARSE = [
    scipy.sparse.csr_array, scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.csc_matrix,
    scipy.sparse.coo_array, scipy.sparse.lil_matrix,
    unsorted, with_explicit_zeros, with_duplicates, of_int64, sparse_read_only,
]  # fmt: skip


@pytest.mark.parametrize("container", SPARSE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sparse_matrices(Estimator, parameters, container, dtype):
    plain = (WHOLE / 8).astype(dtype)
    X, canonical = container(plain), scipy.sparse.csr_array(plain)
    with unchanged(X, canonical):
        model = Estimator(**parameters).fit(X, SPECIES, WEIGHT)
        assert_same_model(model, Estimator(**parameters).fit(canonical, SPECIES, WEIGHT), X, canonical)
        assert {p.dtype for p in model.coefs_} == {np.dtype(dtype)}
    dense = Estimator(**parameters).fit(plain, SPECIES, WEIGHT)
    close = {"rtol": 1e-9, "atol": 1e-12} if dtype is np.float64 else {"rtol": 1e-3, "atol": 1e-5}
    np.testing.assert_allclose(outputs(model, X), outputs(dense, plain), **close)
    np.testing.assert_allclose(outputs(dense, X), outputs(dense, plain), **close)
    np.testing.assert_allclose(outputs(model, plain), outputs(model, X), **close)


@pytest.mark.parametrize("container", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, unsorted])
def test_partial_fit_of_sparse_chunks(Estimator, container):
    model, expected = Estimator(**SMALL), Estimator(**SMALL)
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    X = container(WHOLE / 8)
    for start in range(0, 150, 40):
        rows = slice(start, start + 40)
        model.partial_fit(X[rows], SPECIES[rows], **classes)
        expected.partial_fit(WHOLE[rows] / 8, SPECIES[rows], **classes)
    np.testing.assert_allclose(outputs(model, X), outputs(expected, WHOLE / 8), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, np.bool_])
def test_sparse_whole_numbers(Estimator, dtype):
    X = scipy.sparse.csr_array(WHOLE.astype(dtype))
    plain = X.astype(np.float64)
    with unchanged(X):
        assert_same_model(Estimator(**SMALL).fit(X, SPECIES), Estimator(**SMALL).fit(plain, SPECIES), X, plain)


def test_sparse_X_without_an_entry(Estimator):
    X = scipy.sparse.csr_array((150, 12))
    model = Estimator(**SMALL).fit(X, SPECIES)
    np.testing.assert_allclose(outputs(model, X), outputs(Estimator(**SMALL).fit(X.toarray(), SPECIES), X), rtol=1e-9)


def test_sparse_X_of_another_precision(Estimator):
    X = scipy.sparse.csr_array(WHOLE / 8)
    model = Estimator(**SMALL, dtype="float32").fit(X, SPECIES)
    expected = Estimator(**SMALL, dtype="float32").fit(X.astype(np.float32), SPECIES)
    assert outputs(model, X).dtype == np.float32
    assert_same_model(model, expected, X, X.astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_sparse_nan_and_inf_are_refused(Estimator, bad):
    X = scipy.sparse.csr_array(WHOLE / 8)
    model = Estimator(**SMALL).fit(X, SPECIES)
    X.data[7] = bad
    for call in (lambda: Estimator().fit(X, SPECIES), lambda: model.predict(X)):
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            call()


def test_sparse_labels(parameters):
    labels = np.eye(3, dtype=int)[SPECIES]
    sparse = scipy.sparse.csr_matrix(labels)
    with unchanged(sparse):
        model = MLPClassifier(**parameters).fit(IRIS, sparse, WEIGHT)
    expected = MLPClassifier(**parameters).fit(IRIS, labels, WEIGHT)
    assert_same_model(model, expected, IRIS, IRIS)
    assert np.array_equal(model.predict(IRIS).toarray(), expected.predict(IRIS))


# ---- memory


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mode", ["r", "c"])
def test_memory_maps(Estimator, parameters, tmp_path, order, mode):
    np.save(tmp_path / "X.npy", np.asarray(IRIS, order=order))
    np.save(tmp_path / "y.npy", SPECIES)
    X, y = np.load(tmp_path / "X.npy", mmap_mode=mode), np.load(tmp_path / "y.npy", mmap_mode=mode)
    assert isinstance(X, np.memmap)
    assert X.flags[f"{order}_CONTIGUOUS"]
    with unchanged(X, y):
        assert_same_model(Estimator(**parameters).fit(X, y), Estimator(**parameters).fit(IRIS, SPECIES), X, IRIS)


def test_chunks_of_a_memory_map(Estimator, tmp_path):
    np.save(tmp_path / "X.npy", IRIS)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    model, expected = Estimator(**SMALL), Estimator(**SMALL)
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    for start in range(0, 150, 40):
        rows = slice(start, start + 40)
        model.partial_fit(X[rows], SPECIES[rows], **classes)
        expected.partial_fit(IRIS[rows], SPECIES[rows], **classes)
    assert_same_model(model, expected, X, IRIS)


def strided(X):
    wide = np.zeros((2 * X.shape[0], 2 * X.shape[1]))
    wide[::2, ::2] = X
    return wide[::2, ::2]


def backwards(X):
    return X[::-1, ::-1].copy()[::-1, ::-1]


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def misaligned(X):
    shifted = np.ndarray(X.shape, X.dtype, buffer=bytearray(X.nbytes + 1), offset=1)
    shifted[:] = X
    return shifted


@pytest.mark.parametrize("layout", [np.asfortranarray, strided, backwards, read_only, misaligned])
def test_any_layout_gives_the_same_bits(Estimator, parameters, layout):
    X, y, weight = layout(IRIS), read_only(SPECIES), read_only(WEIGHT)
    expected = Estimator(**parameters).fit(IRIS, SPECIES, WEIGHT)
    with unchanged(X):
        assert_same_model(Estimator(**parameters).fit(X, y, weight), expected, X, IRIS)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_network_gets_X_itself(Estimator, monkeypatch, early_stopping):
    seen = []

    class Spy(Network):
        def train_epoch(self, X, *args, **kwargs):
            seen.append(X)
            return super().train_epoch(X, *args, **kwargs)

    monkeypatch.setattr("fastbp._model.Network", Spy)
    X = np.asfortranarray(IRIS)
    Estimator(**SMALL, dtype="float32", early_stopping=early_stopping).fit(X, SPECIES)
    assert seen
    assert all(array.base is X or array is X for array in seen)


# ---- precision


@pytest.mark.parametrize(
    ("X_dtype", "dtype", "expected"),
    [
        (np.float64, None, np.float64),
        (np.float32, None, np.float32),
        (np.int64, None, np.float64),
        (np.float16, None, np.float64),
        (np.dtype(">f8"), None, np.float64),
        (np.float64, "float32", np.float32),
        (np.int64, "float32", np.float32),
        (np.float32, "float64", np.float64),
        (np.float64, np.float32, np.float32),
    ],
)
def test_precision_follows_X_unless_told(Estimator, X_dtype, dtype, expected):
    X = (4 * IRIS).astype(X_dtype)
    model = Estimator(**SMALL, dtype=dtype).fit(X, SPECIES)
    assert {p.dtype for p in model.coefs_ + model.intercepts_} == {np.dtype(expected)}
    assert outputs(model, X).dtype == expected
    model.partial_fit(X, SPECIES)
    assert {p.dtype for p in model.coefs_ + model.intercepts_} == {np.dtype(expected)}


def test_a_float32_model_predicts_float64_data_in_float64(Estimator):
    model = Estimator(**SMALL).fit(IRIS.astype(np.float32), SPECIES)
    assert outputs(model, IRIS.astype(np.float32)).dtype == np.float32
    assert outputs(model, IRIS).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.int8, np.uint32, np.bool_, np.dtype(">f8"), object])
def test_other_types_are_taken_as_float64(Estimator, parameters, dtype):
    X = (WHOLE % 100).astype(dtype)
    plain = X.astype(np.float64)
    with unchanged(X):
        assert_same_model(
            Estimator(**parameters).fit(X, SPECIES), Estimator(**parameters).fit(plain, SPECIES), X, plain
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint32])
def test_types_of_targets(Estimator, dtype):
    y = SPECIES.astype(dtype)
    with unchanged(y):
        model, expected = Estimator(**SMALL).fit(IRIS, y), Estimator(**SMALL).fit(IRIS, SPECIES)
    assert_same_model(model, expected, IRIS, IRIS)
