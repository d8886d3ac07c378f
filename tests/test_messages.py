"""What scikit-learn prints, warns of and refuses, fastbp does in the same words; the same call goes to both."""

import contextlib
import io
import re
import warnings

import numpy as np
import pytest
import scipy.optimize
import sklearn.neural_network
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.fixes import parse_version

import fastbp

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
NAMES = ["MLPClassifier", "MLPRegressor"]
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "learning_rate_init": 0.02, "random_state": 0}
WEIGHT = np.random.RandomState(0).randint(0, 4, 150).astype(float)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def makers(name):
    """Constructors of the same small estimator: fastbp's and scikit-learn's."""
    for package in (fastbp, sklearn.neural_network):
        Estimator = getattr(package, name)
        yield lambda Estimator=Estimator, **parameters: Estimator(**{**SMALL, **parameters})


def said(call, *args):
    """What a call prints, warns of (overflow aside) and raises."""
    printed, error = io.StringIO(), None
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            call(*args)
        except Exception as exception:
            error = exception
    warned = [(w.category, str(w.message)) for w in caught if not issubclass(w.category, RuntimeWarning)]
    return printed.getvalue(), warned, type(error), str(error)


def spoiled(array, value):
    array = array.astype(float)
    array.flat[7] = value
    return array


def frame(columns, n_rows=150):
    return pytest.importorskip("pandas").DataFrame(IRIS[:n_rows], columns=list(columns))


# ---- warnings and errors

FAULTS = {
    "X has a NaN": lambda new: new().fit(spoiled(IRIS, np.nan), SPECIES),
    "X has an inf": lambda new: new().fit(spoiled(IRIS, np.inf), SPECIES),
    "X has a -inf": lambda new: new().fit(spoiled(IRIS, -np.inf), SPECIES),
    "y has a NaN": lambda new: new().fit(IRIS, spoiled(SPECIES, np.nan)),
    "y has an inf": lambda new: new().fit(IRIS, spoiled(SPECIES, np.inf)),
    "X has one dimension": lambda new: new().fit(IRIS[0], SPECIES),
    "X has three dimensions": lambda new: new().fit(IRIS[None], SPECIES),
    "X has no rows": lambda new: new().fit(IRIS[:0], SPECIES[:0]),
    "X has no columns": lambda new: new().fit(IRIS[:, :0], SPECIES),
    "X is of strings": lambda new: new().fit(IRIS.astype(str).astype(object) + "a", SPECIES),
    "X is complex": lambda new: new().fit(IRIS + 1j, SPECIES),
    "X is None": lambda new: new().fit(None, SPECIES),
    "X and y differ in length": lambda new: new().fit(IRIS[:10], SPECIES),
    "y is None": lambda new: new().fit(IRIS, None),
    "y is a column": lambda new: new().fit(IRIS, SPECIES[:, None]),
    "y has three dimensions": lambda new: new().fit(IRIS, SPECIES[:, None, None]),
    "weights are too few": lambda new: new().fit(IRIS, SPECIES, WEIGHT[:3]),
    "weights are a matrix": lambda new: new().fit(IRIS, SPECIES, np.ones((150, 2))),
    "weights have a NaN": lambda new: new().fit(IRIS, SPECIES, spoiled(WEIGHT, np.nan)),
    "no units": lambda new: new(hidden_layer_sizes=(3, 0)).fit(IRIS, SPECIES),
    "fewer units than none": lambda new: new(hidden_layer_sizes=[-1]).fit(IRIS, SPECIES),
    "units that are not whole": lambda new: new(hidden_layer_sizes=(5.5,)).fit(IRIS, SPECIES),
    "an unknown parameter": lambda new: new(depth=3),
    "not fitted": lambda new: new().predict(IRIS),
    "not fitted, scored": lambda new: new().score(IRIS, SPECIES),
    "predict fewer features": lambda new: new().fit(IRIS, SPECIES).predict(IRIS[:, :3]),
    "predict one dimension": lambda new: new().fit(IRIS, SPECIES).predict(IRIS[0]),
    "predict a NaN": lambda new: new().fit(IRIS, SPECIES).predict(spoiled(IRIS, np.nan)),
    "go on with fewer features": lambda new: new(warm_start=True).fit(IRIS, SPECIES).fit(IRIS[:, :3], SPECIES),
    "partial_fit of fewer features": lambda new: new().fit(IRIS, SPECIES).partial_fit(IRIS[:, :3], SPECIES),
    "partial_fit stopped early": lambda new: new(early_stopping=True).fit(IRIS, SPECIES).partial_fit(IRIS, SPECIES),
    "one row to validate on": lambda new: new(early_stopping=True).fit(IRIS[95:105], SPECIES[95:105]),
    "no row to validate on": lambda new: new(early_stopping=True, validation_fraction=0).fit(IRIS, SPECIES),
    "no row to train on": lambda new: new(early_stopping=True, validation_fraction=0.99).fit(IRIS[:3], SPECIES[:3]),
    "not converged": lambda new: new().fit(IRIS, SPECIES),
    "converged": lambda new: new(max_iter=100, tol=1.0, n_iter_no_change=1).fit(IRIS, SPECIES),
    "endless patience": lambda new: new(max_iter=30, tol=1.0, n_iter_no_change=np.inf).fit(IRIS, SPECIES),
    "lbfgs has not converged": lambda new: new(solver="lbfgs").fit(IRIS, SPECIES),
    "lbfgs spent its evaluations": lambda new: new(solver="lbfgs", max_iter=99, max_fun=5).fit(IRIS, SPECIES),
    "lbfgs has converged": lambda new: new(solver="lbfgs", max_iter=99, tol=1.0).fit(IRIS, SPECIES),
    "a column is missing": lambda new: new().fit(frame("abcd"), SPECIES).predict(frame("abcd")[["a", "b"]]),
    "columns in another order": lambda new: new().fit(frame("abcd"), SPECIES).predict(frame("bacd")),
    "other columns": lambda new: new().fit(frame("abcd"), SPECIES).predict(frame("abce")),
    "other columns in partial_fit": lambda new: new().fit(frame("abcd"), SPECIES).partial_fit(frame("abce"), SPECIES),
    "no names where there were some": lambda new: new().fit(frame("abcd"), SPECIES).predict(IRIS),
    "names where there were none": lambda new: new().fit(IRIS, SPECIES).predict(frame("abcd")),
    "names of columns and early stopping": lambda new: new(early_stopping=True).fit(frame("abcd"), SPECIES),
    "names of mixed types": lambda new: new().fit(frame(["a", 1, "c", 2]), SPECIES),
}
FAULTS_OF = {
    "MLPClassifier": {
        "real y": lambda new: new().fit(IRIS, IRIS[:, 0]),
        "several outputs": lambda new: new().fit(IRIS, np.column_stack([SPECIES, SPECIES])),
        "not fitted, probabilities": lambda new: new().predict_proba(IRIS),
        "no classes": lambda new: new().partial_fit(IRIS, SPECIES),
        "unseen classes": lambda new: new().partial_fit(IRIS, SPECIES, classes=[0, 1]),
        "unseen classes, later": lambda new: new().fit(IRIS[:99], SPECIES[:99]).partial_fit(IRIS, SPECIES),
        "other classes": lambda new: new().fit(IRIS, SPECIES).partial_fit(IRIS, SPECIES, classes=[0, 1]),
        "a class less": lambda new: new(warm_start=True).fit(IRIS, SPECIES).fit(IRIS[:99], SPECIES[:99]),
        "a class more": lambda new: new(warm_start=True).fit(IRIS[:99], SPECIES[:99]).fit(IRIS, SPECIES),
        "classes, then labels": lambda new: new().fit(IRIS, SPECIES).partial_fit(IRIS, np.eye(3, dtype=int)[SPECIES]),
        "a class of one": lambda new: new(early_stopping=True).fit(IRIS[49:99], SPECIES[49:99]),
        "lbfgs has no partial_fit": lambda new: new(solver="lbfgs").partial_fit(IRIS, SPECIES, classes=[0, 1, 2]),
    },
    "MLPRegressor": {
        "outputs with a NaN": lambda new: new().fit(IRIS, spoiled(IRIS, np.nan)),
    },
}
# fastbp says what scikit-learn says, and then what to do
SAYS_MORE = {
    "divergence": lambda new: new(solver="sgd", activation="identity", learning_rate_init=1e200).fit(IRIS, SPECIES),
    "a batch larger than the data": lambda new: new(batch_size=151).fit(IRIS, SPECIES),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_words(name, fault):
    ours, theirs = (said(FAULTS[fault], new) for new in makers(name))
    assert ours == theirs


@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name in NAMES for fault in FAULTS_OF[name]])
def test_the_same_words_of_one(name, fault):
    ours, theirs = (said(FAULTS_OF[name][fault], new) for new in makers(name))
    assert ours == theirs


@pytest.mark.parametrize("fault", SAYS_MORE)
def test_the_same_words_and_more(name, fault):
    (_, warned, error, text), (_, their_warned, their_error, their_text) = (
        said(SAYS_MORE[fault], new) for new in makers(name)
    )
    assert (error, text.startswith(their_text)) == (their_error, True)
    assert [category for category, _ in warned] == [category for category, _ in their_warned]
    assert all(message.startswith(theirs) for (_, message), (_, theirs) in zip(warned, their_warned, strict=True))


def test_the_faults_are_faults(name):
    """Nearly all have scikit-learn complain, so that there are words to compare."""
    quiet = {"converged", "lbfgs has converged"}
    _, new = makers(name)
    for fault, call in {**FAULTS, **FAULTS_OF[name], **SAYS_MORE}.items():
        _, warned, error, _ = said(call, new)
        assert (not warned and error is type(None)) == (fault in quiet), fault


def test_weights_that_are_all_zero(name):
    """Older versions of scikit-learn divide by zero."""
    new, _ = makers(name)
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        new().fit(IRIS, SPECIES, np.zeros(150))


def test_targets_of_strings():
    """scikit-learn fails in a subtraction."""
    new, _ = makers("MLPRegressor")
    with pytest.raises(ValueError, match="could not convert string to float"):
        new().fit(IRIS, np.array(["a", "b", "c"])[SPECIES])


# ---- verbose lines

VERBOSE = {
    "adam": {},
    "sgd": {"solver": "sgd", "max_iter": 60, "tol": 0.01, "n_iter_no_change": 2},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "max_iter": 100, "tol": 0.1, "n_iter_no_change": 1},
    "early stopping": {"early_stopping": True, "max_iter": 60, "n_iter_no_change": 3},
    "both": {"solver": "sgd", "learning_rate": "adaptive", "early_stopping": True, "max_iter": 100, "tol": 0.05},
}


@pytest.mark.parametrize("setting", VERBOSE)
@pytest.mark.parametrize("verbose", [True, 1])
def test_verbose_lines(name, setting, verbose):
    ours, theirs = (
        said(lambda new: new(verbose=verbose, **VERBOSE[setting]).fit(IRIS, SPECIES, WEIGHT), new)
        for new in makers(name)
    )
    assert ours == theirs
    assert ours[0].count("Iteration") >= 4
    assert ("Setting learning rate to" in ours[0]) == (VERBOSE[setting].get("learning_rate") == "adaptive")
    assert ("Validation score" in ours[0]) == VERBOSE[setting].get("early_stopping", False)
    assert ("did not improve more than tol" in ours[0]) == (setting != "adam")


def test_verbose_partial_fit(name):
    def call(new):
        model = new(verbose=True).fit(IRIS, SPECIES)
        model.partial_fit(IRIS, SPECIES).partial_fit(IRIS, SPECIES)

    ours, theirs = (said(call, new) for new in makers(name))
    assert ours == theirs
    assert ours[0].count("Iteration 1") == 3


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose_lbfgs(name, verbose, monkeypatch):
    """The lines are SciPy's, from below Python, where SciPy < 1.15 is asked for them; newer ones have none."""
    asked = []
    minimize = scipy.optimize.minimize

    def spy(*args, options, **kwargs):
        asked.append(options)
        return minimize(*args, options=options, **kwargs)

    monkeypatch.setattr("scipy.optimize.minimize", spy)
    for new in makers(name):
        said(lambda new: new(solver="lbfgs", verbose=verbose).fit(IRIS, SPECIES), new)
    ours, theirs = asked
    if parse_version(scipy.__version__) >= parse_version("1.15"):
        theirs.pop("iprint", None)
    assert ours == theirs


# ---- parameters

WIDENED = {"activation", "solver", "alpha", "learning_rate", "loss", "verbose"}  # fastbp takes more of them


def constraints(name):
    return getattr(sklearn.neural_network, name)._parameter_constraints


@pytest.mark.parametrize(("name", "parameter"), [(name, p) for name in NAMES for p in constraints(name)])
def test_invalid_parameters(name, parameter):
    n_refused = 0
    for value in ("nonsense", -1, 1.5, None, {"a": 1}, (), np.nan):
        ours, theirs = (said(lambda new: new(**{parameter: value}).fit(IRIS, SPECIES), new) for new in makers(name))  # noqa: B023
        if theirs[2] is not InvalidParameterError or (parameter in WIDENED and value == ()):
            continue
        n_refused += 1
        assert ours[2] is InvalidParameterError
        if parameter not in WIDENED:
            assert ours[3] == theirs[3]
            continue
        (our_options, our_got), (their_options, their_got) = (text.split(" Got ") for text in (ours[3], theirs[3]))
        assert our_got == their_got
        assert words(their_options) <= words(our_options)
    assert n_refused >= 3


def words(text):
    """The words of a message: its options come in no order."""
    return set(re.findall(r"[\w'-]+", text))


def test_invalid_parameters_are_refused_by_every_method_that_trains(name):
    for new in makers(name):
        for method in ("fit", "partial_fit"):
            with pytest.raises(InvalidParameterError, match=r"The 'momentum' parameter of MLP.* must be a float in"):
                getattr(new(momentum=2), method)(IRIS, SPECIES)


def test_set_params_of_an_unknown_name(name):
    ours, theirs = (said(lambda new: new().set_params(depth=3), new) for new in makers(name))
    assert ours[2] is theirs[2] is ValueError
    assert ours[3].split("Valid")[0] == theirs[3].split("Valid")[0]
    assert words(theirs[3]) <= words(ours[3])


# ---- what only fastbp says


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("parameters", [{"dtype": "float16"}, {"n_threads": 0}, {"n_threads": 1.5}], ids=str)
def test_bad_parameters(name, parameters):
    with pytest.raises(InvalidParameterError, match=f"The '{next(iter(parameters))}' parameter of {name} must be"):
        getattr(fastbp, name)(**parameters).fit(IRIS, SPECIES)


def test_values_too_large_for_float32(name):
    new, _ = makers(name)
    X = spoiled(IRIS, -1e39)
    message = r"Input X contains infinity or a value too large for dtype\('float32'\)"
    with pytest.raises(ValueError, match=message):
        new(dtype="float32").fit(X, SPECIES)
    with pytest.raises(ValueError, match=message):
        new(dtype="float32").fit(IRIS, SPECIES).predict(X)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        new(dtype="float32").fit(spoiled(IRIS, np.nan), SPECIES)


def test_targets_too_large_for_float32():
    with pytest.raises(ValueError, match="Input y contains infinity or a value too large"):
        fastbp.MLPRegressor(dtype="float32").fit(IRIS, SPECIES * 1e39)


def test_divergence_names_the_learning_rate():
    model = fastbp.MLPRegressor(solver="sgd", activation="identity", learning_rate_init=1e10, random_state=0)
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*learning_rate_init=10000000000.0"):
        model.fit(IRIS, SPECIES)


def test_negative_counts():
    with pytest.raises(ValueError, match="loss='poisson' needs y >= 0, got -1"):
        fastbp.MLPRegressor("poisson").fit(IRIS, SPECIES - 1)


def test_a_warm_start_keeps_its_layers(name):
    new, _ = makers(name)
    model = new(warm_start=True).fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="continues a network with layers of"):
        model.set_params(hidden_layer_sizes=9).fit(IRIS, SPECIES)


def test_regressors_by_lbfgs_have_no_partial_fit():
    """scikit-learn's runs all of L-BFGS."""
    assert hasattr(fastbp.MLPRegressor(), "partial_fit")
    assert not hasattr(fastbp.MLPRegressor(solver="lbfgs"), "partial_fit")
