"""scikit-learn's own callbacks follow a fit of ours; before scikit-learn 1.9 there are none."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, MLPRegressor

callback = pytest.importorskip("sklearn.callback")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 6, "learning_rate_init": 0.02, "random_state": 0}


class Recorder:
    """Notes what it is told; stops after so many epochs."""

    def __init__(self, n_epochs=1000):
        self.events, self.models, self.n_epochs = [], [], n_epochs

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.events.append(("end", context.task_name, context.task_id))
        self.metadata = metadata
        if context.task_name == "epoch":
            self.models.append(fitted_estimator)
            assert fitted_estimator.predict(X).shape == np.shape(y)
        return len(self.models) >= self.n_epochs


@pytest.fixture(params=[MLPClassifier, MLPRegressor])
def Estimator(request):
    return request.param


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_what_callbacks_are_told(Estimator, solver):
    recorder = Recorder()
    model = Estimator(**SMALL, solver=solver).set_callbacks(recorder).fit(IRIS, SPECIES)
    epochs = [(kind, "epoch", i) for i in range(model.n_iter_) for kind in ("begin", "end")]
    assert recorder.events == ["setup", ("begin", "fit", 0), *epochs, ("end", "fit", 0), "teardown"]
    assert recorder.metadata is None
    last = recorder.models[-1]
    assert all(np.array_equal(a, b) for a, b in zip(last.coefs_, model.coefs_, strict=True))
    assert not np.array_equal(recorder.models[0].coefs_[0], model.coefs_[0])


def test_callbacks_change_nothing(Estimator):
    told = Estimator(**SMALL).set_callbacks(Recorder()).fit(IRIS, SPECIES)
    assert np.array_equal(told.coefs_[0], Estimator(**SMALL).fit(IRIS, SPECIES).coefs_[0])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_stops_training(Estimator, solver):
    model = Estimator(**SMALL, solver=solver).set_callbacks(Recorder(n_epochs=3)).fit(IRIS, SPECIES)
    assert model.n_iter_ == 3


def test_weights_and_tables_are_passed_on(Estimator, recwarn):
    pandas = pytest.importorskip("pandas")
    recorder, weight = Recorder(), np.ones(150)
    table = pandas.DataFrame(IRIS, columns=list("abcd"))
    Estimator(**SMALL, early_stopping=True).set_callbacks(recorder).fit(table, SPECIES, weight)
    assert recorder.metadata["sample_weight"] is weight
    assert not [w for w in recwarn if "feature names" in str(w.message)]


def test_partial_fit_is_an_epoch(Estimator):
    recorder = Recorder()
    model = Estimator(**SMALL).fit(IRIS, SPECIES).set_callbacks(recorder)
    model.partial_fit(IRIS, SPECIES)
    assert recorder.events.count(("end", "epoch", 0)) == 1


def test_teardown_after_an_error(Estimator):
    recorder = Recorder()
    model = Estimator(**{**SMALL, "solver": "sgd", "learning_rate_init": 1e300}).set_callbacks(recorder)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"finite|infinity|NaN"):
        model.fit(IRIS, SPECIES)
    assert recorder.events[-1] == "teardown"


def test_scoring_monitor(Estimator):
    scoring = "neg_log_loss" if Estimator is MLPClassifier else "r2"
    monitor = callback.ScoringMonitor(scoring=scoring)
    model = Estimator(**SMALL).set_callbacks(monitor).fit(IRIS, SPECIES)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in rows] == list(range(6))
    if Estimator is MLPRegressor:
        assert rows[-1]["r2"] == pytest.approx(model.score(IRIS, SPECIES))


def test_progress_bar(Estimator, capsys):
    pytest.importorskip("rich")
    Estimator(**SMALL).set_callbacks(callback.ProgressBar()).fit(IRIS, SPECIES)
    assert Estimator.__name__ in capsys.readouterr().out


def test_callbacks_of_a_pipeline_and_a_search(Estimator, capsys):
    pytest.importorskip("rich")
    bar = callback.ProgressBar(max_propagation_depth=None)
    pipeline = make_pipeline(StandardScaler(), Estimator(**SMALL)).set_callbacks(bar)
    pipeline.fit(IRIS, SPECIES)
    assert Estimator.__name__ in capsys.readouterr().out
    search = GridSearchCV(Estimator(**SMALL), {"alpha": [1e-4, 1]}, cv=2).set_callbacks(callback.ProgressBar())
    search.fit(IRIS, SPECIES)
    assert search.best_estimator_.n_iter_ == 6


def test_copies(Estimator):
    model = Estimator(**SMALL).set_callbacks(Recorder()).fit(IRIS, SPECIES)
    assert isinstance(clone(model)._skl_callbacks[0], Recorder)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict(IRIS), model.predict(IRIS))
