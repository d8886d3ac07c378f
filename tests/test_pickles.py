"""Pickles say when another version of fastbp made them; skops and joblib keep models, too."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import InconsistentVersionWarning

import fastbp
from fastbp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}


@pytest.fixture(params=[MLPClassifier, MLPRegressor])
def model(request):
    return request.param(**SMALL).fit(IRIS, SPECIES)


def pickled(model, version, monkeypatch):
    """A pickle of another version of fastbp, and this version, so that releases do not matter here."""
    monkeypatch.setattr(fastbp, "__version__", version)
    content = pickle.dumps(model)
    monkeypatch.setattr(fastbp, "__version__", "1.2.3")
    return content


@pytest.mark.parametrize("version", ["1.1.0", "1.3.0", "0.1.0", "2.2.3", "1.20.0"])
def test_a_pickle_of_another_version_warns(model, version, monkeypatch):
    content, name = pickled(model, version, monkeypatch), type(model).__name__
    message = rf"This {name} was pickled by fastbp {version} and may not .* in fastbp 1\.2\.3\. .*model\.save"
    with pytest.warns(InconsistentVersionWarning, match=message):
        other = pickle.loads(content)
    assert np.array_equal(other.predict(IRIS), model.predict(IRIS))


@pytest.mark.parametrize("version", ["1.2.3", "1.2.0", "1.2.3.dev1"])
def test_a_pickle_of_this_version_does_not(model, version, monkeypatch):
    content = pickled(model, version, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vars(pickle.loads(content)).keys() == vars(model).keys()


def test_a_pickle_without_a_version_warns(model):
    state = model.__getstate__()
    del state["_fastbp_version"]
    with pytest.warns(InconsistentVersionWarning, match=r"pickled by fastbp before 0\.1"):
        type(model)().__setstate__(state)


def test_copies_know_nothing_of_versions(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in (copy.copy(model), copy.deepcopy(model), clone(model)):
            assert "_fastbp_version" not in vars(other)
        assert "_fastbp_version" in pickle.loads(pickle.dumps(model)).__getstate__()


def test_joblib_may_map_the_weights(model, tmp_path):
    """They cannot be written then, and training makes new ones."""
    joblib.dump(model, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    assert not mapped.coefs_[0].flags.writeable
    assert np.array_equal(mapped.predict(IRIS), model.predict(IRIS))
    assert np.array_equal(mapped.partial_fit(IRIS, SPECIES).coefs_[0], model.partial_fit(IRIS, SPECIES).coefs_[0])


def test_skops(model):
    """The types to be trusted are those of the estimator and of what goes on training."""
    io = pytest.importorskip("skops.io")
    content = io.dumps(model)
    types = set(io.get_untrusted_types(data=content))
    home = f"fastbp._{type(model).__name__[3:].lower()}.{type(model).__name__}"
    parts = {"_losses.Loss", "_model.NetworkPool", "_schedules.ConstantRate", "_solver.Solver"}
    assert types == {home, *(f"fastbp.{part}" for part in parts)}
    other = io.loads(content, trusted=sorted(types))
    assert np.array_equal(other.predict(IRIS), model.predict(IRIS))
    assert np.array_equal(other.partial_fit(IRIS, SPECIES).coefs_[0], model.partial_fit(IRIS, SPECIES).coefs_[0])
    assert not np.array_equal(other.coefs_[0], type(model)(**SMALL).fit(IRIS, SPECIES).coefs_[0])


def test_skops_keeps_predictors(model):
    io = pytest.importorskip("skops.io")
    predictor = model.predictor()
    other = io.loads(io.dumps(predictor), trusted=["fastbp._predictor.Predictor", "numpy.dtype"])
    assert np.array_equal(other(IRIS), predictor(IRIS))
