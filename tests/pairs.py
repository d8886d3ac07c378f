"""The options and their values, which pairs of them are refused or have no effect, and a tiny fit of any of them."""

import itertools

import numpy as np
import scipy.sparse

from fastbp import MLPClassifier, MLPRegressor
from fastbp._sklearn_callbacks import CallbackSupportMixin

N, N_FEATURES, N_EPOCHS = 40, 9, 4
BASE = {"hidden_layer_sizes": (7,), "batch_size": 16, "max_iter": N_EPOCHS, "learning_rate_init": 0.01}
BASE |= {"random_state": 0, "n_threads": 1}
TASKS = {"classifier": (MLPClassifier, "multiclass"), "regressor": (MLPRegressor, "a column")}

# ---- the options and their values


def halving(step, n_steps):
    return 0.5**step


def log_cosh(y, z):
    return np.logaddexp(z - y, y - z).sum(axis=1), np.tanh(z - y)


def predicts(epoch):
    assert np.isfinite(epoch.loss)
    assert len(epoch.model.predict(np.zeros((2, N_FEATURES)))) == 2


def stops(epoch):
    return epoch.epoch == 2


def scores(model, X, y):
    return model.score(X, y) + model.predict(X).shape[0]


class Listener:
    """A callback of scikit-learn's kind."""

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        assert len(fitted_estimator.predict(X)) == len(y)


# Lists are cut to the number of layers. Besides parameters: task, y, X (its precision), sample_weight, X_val, calls
# (how training is called), set_callbacks.
OPTIONS = {
    "hidden_layer_sizes": [(), (6, 5)],
    "activation": ["gelu", ["tanh", "gelu"]],
    "solver": ["sgd", "adamw", "rmsprop", "schedule_free", "lbfgs"],
    "alpha": [[0.1, 0.0, 1.0]],
    "batch_size": [1],
    "shuffle": [False],
    "learning_rate": {
        "invscaling": {"learning_rate": "invscaling", "solver": "sgd"},
        "adaptive": {"learning_rate": "adaptive", "solver": "sgd", "tol": 1e9, "n_iter_no_change": 1},
        "cosine": {"learning_rate": "cosine"},
        "callable": {"learning_rate": halving},
    },
    "warmup": [4, 0.5],
    "early_stopping": [True],
    "X_val": ["weighted"],
    "scoring": {
        "loss": {"scoring": "loss", "early_stopping": True},
        "callable": {"scoring": scores, "X_val": "weighted"},
        "r2": {"scoring": "r2", "early_stopping": True, "task": "regressor"},
    },
    "restore_best": [True],
    "tol": {"inf": {"tol": 1e9, "n_iter_no_change": 1}},
    "dropout": [0.3, [0.5, 0.1]],
    "input_dropout": [0.2],
    "weight_decay": [0.1],
    "clip_norm": [0.05],
    "clip_value": [0.01],
    "ema_decay": [0.9],
    "dtype": {"float32": {"dtype": "float32"}, "float64": {"dtype": "float64", "X": np.float32}},
    "X": [np.float32],
    "sample_weight": ["some 0"],
    "calls": {
        "fit twice": {"calls": ("fit", "fit")},
        "warm start": {"calls": ("fit", "fit"), "warm_start": True},
        "partial_fit": {"calls": ("partial_fit",) * 3},
        "both": {"calls": ("fit", "partial_fit")},
    },
    "callbacks": [predicts, [predicts, stops]],
    "max_time": {"short": {"max_time": 1e-9}, "long": {"max_time": 1e9}},
    "checkpoint": ["fit.npz"],
    "verbose": [2],
    "y": {
        "binary": {"y": "binary", "task": "classifier"},
        "multilabel": {"y": "multilabel", "task": "classifier"},
        "columns": {"y": "columns", "task": "regressor"},
    },
    "loss": {
        **{loss: {"loss": loss, "task": "classifier"} for loss in ("focal", "squared_error")},
        **{loss: {"loss": loss, "task": "regressor"} for loss in ("absolute_error", "poisson")},
        "quantiles": {"loss": "quantile", "quantile": [0.1, 0.5, 0.9], "task": "regressor"},
        "custom": {"loss": log_cosh},
    },
    "class_weight": {name: {"class_weight": name, "task": "classifier"} for name in ("balanced", "uneven")},
    "label_smoothing": {"0.1": {"label_smoothing": 0.1, "task": "classifier"}},
}
if hasattr(CallbackSupportMixin, "set_callbacks"):
    OPTIONS["set_callbacks"] = [True]


def label(value):
    """What the value is called: functions by their names; the last one of a list says enough."""
    value = value[-1] if isinstance(value, list) and callable(value[-1]) else value
    return getattr(value, "__name__", str(value))


VALUES = {}
for option, values in OPTIONS.items():
    if isinstance(values, list):
        values = {label(value): {option: value} for value in values}
    VALUES |= {f"{option}={name}": changes for name, changes in values.items()}

# Pairs that are refused, of options or of single values, and a part of what the message says.
REFUSED = {
    **{
        ("solver=lbfgs", other): "solver='lbfgs' takes all rows at once"
        for other in (
            "dropout", "input_dropout", "weight_decay", "clip_norm", "clip_value", "ema_decay", "warmup", "scoring",
            "checkpoint", "restore_best", "X_val", "learning_rate=cosine", "learning_rate=callable",
        )
    },
    ("solver=lbfgs", "calls=partial_fit"): "has no attribute 'partial_fit'",
    ("solver=lbfgs", "calls=both"): "has no attribute 'partial_fit'",
    ("solver=schedule_free", "ema_decay"): "averages the weights itself",
    ("hidden_layer_sizes=()", "dropout=0.3"): "acts on hidden layers, but there are none",
    ("loss=squared_error", "label_smoothing"): "softens the targets of loss='log_loss' and 'focal'",
    ("loss=custom", "label_smoothing"): "softens the targets of loss='log_loss' and 'focal'",
    ("loss=quantiles", "y=columns"): "A list of quantiles predicts a column for each from one y",
    ("loss=quantiles", "scoring=r2"): "compares one column of predictions with y",
    **{
        (calls, other): message
        for calls in ("calls=partial_fit", "calls=both")
        for other, message in {
            "early_stopping": "partial_fit does not support early_stopping=True",
            "scoring=loss": "partial_fit does not support early_stopping=True",
            "scoring=r2": "partial_fit does not support early_stopping=True",
            "restore_best": "partial_fit does not support restore_best=True",
            "checkpoint": "partial_fit does not support checkpoint",
            "class_weight=balanced": "'balanced' is not supported for partial_fit",
        }.items()
    },
}  # fmt: skip


# Values that change no bit in any company, those that need not, and values that have nothing to do beside another one.
NEUTRAL = {
    "calls=fit twice",
    "callbacks=predicts",
    "checkpoint=fit.npz",
    "max_time=long",
    "set_callbacks=True",
    "verbose=2",
}
UNSURE = {"restore_best=True"}  # the last weights may be the best ones
IDLE = {
    *itertools.product(["batch_size=1", "shuffle=False", "early_stopping=True"], ["solver=lbfgs"]),
    *itertools.product(["activation=gelu", "activation=['tanh', 'gelu']"], ["hidden_layer_sizes=()"]),
    ("dropout=[0.5, 0.1]", "hidden_layer_sizes=()"),
    ("solver=sgd", "learning_rate=invscaling"),
    ("solver=sgd", "learning_rate=adaptive"),
    ("solver=adamw", "weight_decay=0.1"),  # adam with weight decay is adamw
    ("X=float32", "dtype=float32"),
    ("X=float32", "dtype=float64"),
    ("dtype=float32", "X=float32"),
    *itertools.product(["early_stopping=True"], ["scoring=loss", "scoring=r2"]),
    ("X_val=weighted", "scoring=callable"),
    ("scoring=r2", "early_stopping=True"),  # the default
    # partial_fit, or a fit that ends early, never comes so far
    ("solver=schedule_free", "max_time=short"),  # its first step is Adam's
    ("callbacks=stops", "calls=partial_fit"),
    ("tol=inf", "calls=partial_fit"),
    ("tol=inf", "learning_rate=adaptive"),
    ("tol=inf", "callbacks=stops"),
    *itertools.product(
        ["tol=inf", "callbacks=stops", "learning_rate=cosine", "learning_rate=callable"], ["max_time=short"]
    ),
}


def matches(name, pattern):
    """Whether the pattern is the option or the value of this name."""
    return f"{name}=".startswith(f"{pattern}=")


def refusal(names):
    """The entry of REFUSED that these values fall under, or None."""
    for one, other in REFUSED:
        if any(matches(a, one) and matches(b, other) for a, b in itertools.permutations(names, 2)):
            return one, other
    return None


def cases():
    """(task, names): each value alone, then with all values of other options that do not contradict it."""
    for task, name in itertools.product(TASKS, VALUES):
        if VALUES[name].get("task", task) == task:
            yield task, (name,)
    turns = itertools.cycle(TASKS)
    for names in itertools.combinations(VALUES, 2):
        one, other = (VALUES[name] for name in names)
        same_option = len({name.split("=")[0] for name in names}) == 1
        if not same_option and all(one[key] == other[key] for key in one.keys() & other.keys()):
            yield {**one, **other}.get("task") or next(turns), names


CASES = list(cases())

# ---- data and fits


def draw(n, seed):
    """X, with zeros for the sake of sparse matrices; and y of each kind."""
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((n, N_FEATURES)) * (rng.uniform(size=(n, N_FEATURES)) < 0.6)
    scores = X @ rng.standard_normal((N_FEATURES, 3))
    kinds = {
        "multiclass": np.array(["a", "b", "c"])[scores.argmax(axis=1)],
        "binary": (scores[:, 0] > 0).astype(int),
        "multilabel": (scores > 0).astype(int),
        "a column": np.exp(scores[:, 0] / 3),
        "columns": np.exp(scores[:, :2] / 3),
    }
    return X, kinds, rng.randint(0, 4, n) / 2


DATA, VALIDATION = draw(N, seed=0), draw(12, seed=1)
UNEVEN = {
    "multiclass": {"a": 2.0, "c": 0.5},
    "binary": {0: 2.0},
    "multilabel": [{0: 2.0}, {1: 0.5}, {0: 1.0, 1: 3.0}],
}


class Case:
    """Values of options: the estimator, and how it is fitted."""

    def __init__(self, task, names):
        changes = {key: value for name in names for key, value in VALUES[name].items() if key != "task"}
        self.Estimator, kind = TASKS[task]
        self.kind, self.precision = changes.pop("y", kind), changes.pop("X", np.float64)
        self.weighted, self.validated = changes.pop("sample_weight", False), changes.pop("X_val", None)
        self.calls, self.listens = changes.pop("calls", ("fit",)), changes.pop("set_callbacks", False)
        self.parameters = {**BASE, **changes}
        self.n_hidden = len(self.parameters["hidden_layer_sizes"])
        for name, n_layers in {"activation": 0, "dropout": 0, "alpha": 1}.items():
            if isinstance(self.parameters.get(name), list):
                self.parameters[name] = self.parameters[name][: self.n_hidden + n_layers]
        if self.parameters.get("class_weight") == "uneven":
            self.parameters["class_weight"] = UNEVEN[self.kind]

    def model(self, **parameters):
        """The estimator, with other parameters."""
        model = self.Estimator(**{**self.parameters, **parameters})
        return model.set_callbacks(Listener()) if self.listens else model

    def rows(self, data, weighted, sparse):
        X, kinds, weight = data
        X = X.astype(self.precision)
        return [
            scipy.sparse.csr_array(X) if sparse else X,
            kinds[self.kind].copy(),
            weight.copy() if weighted else None,
        ]

    def run(self, model, sparse=False, keep=lambda model: model):
        """Fit the model; `keep` returns what each call leaves to the next one."""
        given = [*self.rows(DATA, self.weighted, sparse)]
        names = ("X_val", "y_val", "sample_weight_val")
        if self.validated:
            given += self.rows(VALIDATION, self.validated == "weighted", not sparse)
        before = [as_bytes(array) for array in given]
        X, y, weight, *validation = given
        for call in self.calls:
            options = dict(zip(names, validation, strict=False))
            if call == "partial_fit" and isinstance(model, MLPClassifier):
                options["classes"] = np.arange(3) if self.kind == "multilabel" else np.unique(y)
            model = keep(getattr(model, call)(X, y, weight, **options))
        assert [as_bytes(array) for array in given] == before
        return model


def as_bytes(array):
    if array is None:
        return b""
    return b"".join(
        part.tobytes() for part in ([array.data, array.indices] if scipy.sparse.issparse(array) else [array])
    )


def result(model):
    """All that a fit leaves, as bytes."""
    curves = ("loss_curve_", "validation_scores_", "validation_loss_curve_", "best_loss_", "best_validation_score_")
    numbers = [getattr(model, name, None) for name in (*curves, "loss_", "n_iter_", "t_")]
    arrays = [np.array([np.nan if number is None else number], dtype=np.float64) for number in numbers]
    return [array.tobytes() for array in (*model.coefs_, *model.intercepts_, *arrays)]
