"""Change one import: scikit-learn's own tests and checks pass, and the estimators look and are reached as its do."""

import dataclasses
import importlib.util
import inspect
import re
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils._test_common.instance_generator import PER_ESTIMATOR_CHECK_PARAMS
from sklearn.utils._testing import assert_allclose_dense_sparse
from sklearn.utils.estimator_checks import check_regressor_multioutput, parametrize_with_checks

import fastbp
from fastbp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "learning_rate_init": 0.02, "random_state": 0}
WEIGHT = np.random.RandomState(0).randint(0, 4, 150).astype(float)


@pytest.fixture(params=["MLPClassifier", "MLPRegressor"])
def name(request):
    return request.param


def makers(name):
    """Constructors of the same small estimator: fastbp's and scikit-learn's."""
    return [partial(getattr(package, name), **SMALL) for package in (fastbp, sklearn.neural_network)]


# ---- scikit-learn's own tests, with fastbp's classes in place of its own

IMPORTS = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
# test_gradient differentiates a private method; `backprop` is the public way to the same loss and gradient
PRIVATE = re.compile(r"mlp\._loss_grad_lbfgs\(.*?\n +\)", re.DOTALL)


def loss_and_gradient(mlp, theta, X, y):
    """The mean loss with its penalty, and the derivatives by theta, for parameters theta."""
    shapes = [p.shape for p in mlp.coefs_ + mlp.intercepts_]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    parameters = [part.reshape(shape) for part, shape in zip(np.split(theta, ends), shapes, strict=True)]
    mlp.coefs_, mlp.intercepts_ = parameters[: mlp.n_layers_ - 1], parameters[mlp.n_layers_ - 1 :]
    computed = fastbp.backprop(mlp, X, y)
    loss = computed.loss + mlp.alpha / 2 * sum(np.sum(W**2) for W in mlp.coefs_)
    gradient = [dW.T + mlp.alpha * W for dW, W in zip(computed.dW[1:], mlp.coefs_, strict=True)] + computed.db[1:]
    return loss / len(X), np.concatenate([g.ravel() for g in gradient]) / len(X)


def scikit_learns_tests():
    """Its test module, compiled anew with the import of the estimators changed."""
    path = Path(importlib.util.find_spec("sklearn").origin).parent / "neural_network" / "tests" / "test_mlp.py"
    if not path.exists():
        return {}
    source = path.read_text()
    assert source.count(IMPORTS) == 1
    source = source.replace(IMPORTS, IMPORTS.replace("sklearn.neural_network", "fastbp"))
    source, n_private = PRIVATE.subn("loss_and_gradient(mlp, t, X, y)", source)
    assert n_private == 1
    module = ModuleType("scikit_learns_test_mlp")
    module.loss_and_gradient = loss_and_gradient
    exec(compile(source, path, "exec"), vars(module))
    return {name: test for name, test in vars(module).items() if name.startswith("test_")}


@pytest.fixture
def global_random_seed():
    return 42


class TestScikitLearnsOwn:
    """The names are scikit-learn's; none is left out."""

    for _name, _test in scikit_learns_tests().items():
        locals()[_name] = staticmethod(_test)


def test_scikit_learns_own_tests_were_found():
    assert len([name for name in vars(TestScikitLearnsOwn) if name.startswith("test_")]) >= 40


# ---- scikit-learn's checks of any estimator


@parametrize_with_checks(
    [
        Estimator(max_iter=100, **parameters)
        for Estimator in (MLPClassifier, MLPRegressor)
        for parameters in ({}, {"n_threads": 2}, {"dtype": "float32"})
    ]
)
def test_scikit_learn_checks(estimator, check, monkeypatch):
    """With the settings, where a check needs some, that scikit-learn chooses for its own: mini-batches of weighted rows
    are not those of repeated rows."""
    check_name = getattr(check, "func", check).__name__
    theirs = getattr(sklearn.neural_network, type(estimator).__name__)
    for settings in PER_ESTIMATOR_CHECK_PARAMS[theirs].get(check_name, [{}]):
        if estimator.dtype == "float32" and "equivalence" in check_name:  # asked for to 1e-7
            single = partial(assert_allclose_dense_sparse, rtol=1e-3, atol=1e-4)
            monkeypatch.setattr("sklearn.utils.estimator_checks.assert_allclose_dense_sparse", single)
        check(clone(estimator).set_params(**settings))


def test_the_check_of_several_outputs():
    """scikit-learn has it wait for a tag that its own regressor, which passes, lacks."""
    check_regressor_multioutput("MLPRegressor", MLPRegressor(max_iter=100))


# ---- the face of an estimator


def test_signatures_begin_with_scikit_learns(name):
    """What is added is keyword-only; the requests of metadata are that altogether, in alphabetical order."""
    Ours, Theirs = getattr(fastbp, name), getattr(sklearn.neural_network, name)
    methods = [m for m in dir(Theirs) if inspect.isfunction(getattr(Theirs, m)) and not m.startswith("_")]
    methods = [m for m in methods if not m.endswith("_request")]
    assert {"fit", "partial_fit", "predict", "score"} <= set(methods)
    for method in ["__init__", *methods]:
        theirs, ours = (inspect.signature(getattr(Class, method)).parameters for Class in (Theirs, Ours))
        assert list(ours)[: len(theirs)] == list(theirs)
        for parameter, expected in theirs.items():
            assert (ours[parameter].default, ours[parameter].kind) == (expected.default, expected.kind), parameter
        assert all(ours[added].kind is inspect.Parameter.KEYWORD_ONLY for added in list(ours)[len(theirs) :])


def test_get_params(name):
    ours, theirs = (getattr(package, name)().get_params() for package in (fastbp, sklearn.neural_network))
    assert theirs.items() <= ours.items()


def test_repr(name):
    for parameters in ({}, {"alpha": 0.1, "solver": "lbfgs"}, {"hidden_layer_sizes": (), "n_iter_no_change": np.inf}):
        ours, theirs = (repr(getattr(package, name)(**parameters)) for package in (fastbp, sklearn.neural_network))
        assert ours == theirs


def test_tags(name):
    """fastbp's models transform as well."""
    ours, theirs = (dataclasses.asdict(get_tags(new())) for new in makers(name))
    assert {**ours, "transformer_tags": None} == theirs


def test_html_links_to_the_documentation(name):
    model = getattr(fastbp, name)(alpha=0.123)
    link = model._get_doc_link()
    assert re.fullmatch(rf"https://\S*fastbp\S*{name}\S*", link)
    for shown in (model, clone(model).set_params(**SMALL).fit(IRIS, SPECIES), make_pipeline(StandardScaler(), model)):
        assert link in shown._repr_html_()


# ---- metadata routing


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("requested", [None, True, False, "importance"])
def test_metadata_requests(name, requested):
    ours, theirs = (
        new()
        .set_fit_request(sample_weight=requested)
        .set_partial_fit_request(sample_weight=requested)
        .set_score_request(sample_weight=requested)
        .get_metadata_routing()
        ._serialize()
        for new in makers(name)
    )
    assert set(ours) == set(theirs)
    for method, requests in theirs.items():
        assert requests["sample_weight"] == requested
        assert requests.items() <= ours[method].items()


@pytest.mark.usefixtures("routing")
def test_weights_reach_the_model(name):
    for new in makers(name):
        pipeline = make_pipeline(FunctionTransformer(), new().set_fit_request(sample_weight=True))
        pipeline.fit(IRIS, SPECIES, sample_weight=WEIGHT)
        assert pipeline[-1].loss_ == pytest.approx(new().fit(IRIS, SPECIES, WEIGHT).loss_, rel=1e-9)
        assert pipeline[-1].loss_ != pytest.approx(new().fit(IRIS, SPECIES).loss_, rel=1e-3)


@pytest.mark.usefixtures("routing")
def test_weights_reach_a_search(name):
    found = []
    for new in makers(name):
        model = new().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"alpha": [0.1, 10]}, cv=3).fit(IRIS, SPECIES, sample_weight=WEIGHT)
        found.append([*search.cv_results_["mean_test_score"], search.best_estimator_.loss_])
    np.testing.assert_allclose(*found, rtol=1e-6)


@pytest.mark.usefixtures("routing")
def test_weights_without_a_request(name):
    messages = []
    for new in makers(name):
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight") as caught:
            GridSearchCV(new(), {"alpha": [1, 10]}).fit(IRIS, SPECIES, sample_weight=WEIGHT)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
