"""A fit that was interrupted and resumed ends with the bits of one that was not; and what a bad file says."""

import json
import os
import pickle
import sys
from dataclasses import asdict

import numpy as np
import pytest
from conftest import assert_same_bits, assert_same_parameters, draw

from fastbp import MLPClassifier, _checkpoint, _file
from fastbp._checkpoint import Checkpoint, compare, describe, load, save
from fastbp._engine import Network
from fastbp._initializers import glorot_uniform
from fastbp._schedules import schedule
from fastbp._solver import Solver
from fastbp._training import Progress, Stop, Training, Validation

safetensors = pytest.importorskip("safetensors.numpy")
SafetensorError = pytest.importorskip("safetensors").SafetensorError

N_EPOCHS = 7
SIZES = (4, 6, 2)

FITS = {
    "adam": {},
    "sgd": {"solver": "sgd", "settings": {"momentum": 0.9}},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "patience": 1},
    "in order": {"shuffle": False},
    "early stopping": {"early_stopping": True},
    "best by training loss": {"restore_best": True, "rate": 0.5},
    "converged": {"tol": 10.0, "patience": 3},
    "clipped adamw": {"settings": {"weight_decay": 0.1, "clip_norm": 0.5}},
    "cosine with warm-up": {"learning_rate": "cosine", "warmup": 5},
    "average": {"settings": {"ema_decay": 0.9}, "early_stopping": True},
    "schedule-free": {"solver": "schedule_free", "settings": {}},
    "dropout": {"dropout": 0.3},
    "float32": {"dtype": np.float32},
}


def fit(
    *, solver="adam", settings=None, learning_rate="constant", rate=0.01, warmup=0, early_stopping=False,
    restore_best=None, shuffle=True, dropout=0.0, dtype=np.float64, tol=0.0, patience=np.inf, max_epochs=N_EPOCHS,
    n_rows=50, sizes=SIZES, random_state=3, checkpoint=None, checkpoint_every=1, resume_from=None, callbacks=(),
):  # fmt: skip
    """Fit as the estimators do; return the training, which holds all that came of it, and why it stopped."""
    parameters = {
        "solver": solver, "random_state": random_state, "max_iter": max_epochs, "checkpoint": checkpoint,
        "checkpoint_every": checkpoint_every, "resume_from": resume_from,
    }  # fmt: skip
    checkpoint, random_state = Checkpoint.begin(parameters, np.random.RandomState(random_state), data=0)
    data = np.random.RandomState(0)
    X, y = draw(data, (n_rows, sizes[0]), dtype), draw(data, (n_rows, sizes[-1]), dtype)
    network = Network(sizes, ("tanh",) * (len(sizes) - 2), "identity", "squared_error", dtype)
    network.set_parameters(*glorot_uniform(sizes, "tanh", random_state, dtype))
    rows = validate = None
    if early_stopping:
        rows, held_out = np.split(random_state.permutation(n_rows), [40])

        def validate():
            loss = network.evaluate(X[held_out], y[held_out])[1]
            return Validation(-loss, loss)

    network.set_dropout([0.0, dropout] if dropout else None, int(random_state.randint(2**31)))
    training = Training(
        network=network,
        optimizer=Solver(solver, settings or {}, schedule(learning_rate, rate, n_steps=35, warmup=warmup)),
        progress=Progress(),
        batch_size=12,
        alpha=0.01,
        loss_divisor=2,
        random_state=random_state if shuffle else None,
        validate=validate,
        decides=early_stopping,
        restore_best=early_stopping if restore_best is None else restore_best,
        tol=tol,
        patience=patience,
        callbacks=callbacks,
        checkpoint=checkpoint,
    )
    return training, training.run(X, y, rows=rows, max_epochs=max_epochs)


def leaves(tree):
    """The arrays and numbers of an optimizer's state, in order."""
    if isinstance(tree, dict):
        tree = [item for item in tree.values() if not isinstance(item, str)]
    return [leaf for item in tree for leaf in leaves(item)] if isinstance(tree, list | tuple) else [np.asarray(tree)]


def assert_same_fit(one, other):
    assert one[1] is other[1]
    one, other = one[0], other[0]
    assert_same_parameters(one.network, other.network)
    assert_same_bits(leaves(one.optimizer.state), leaves(other.optimizer.state))
    assert one.optimizer.learning_rate == other.optimizer.learning_rate
    assert asdict(one.progress) == asdict(other.progress)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.safetensors"


# ---- resuming


@pytest.mark.parametrize("epoch", range(1, N_EPOCHS + 1))
@pytest.mark.parametrize("options", FITS.values(), ids=FITS)
def test_a_resumed_fit_ends_with_the_same_bits(options, epoch, path):
    whole = fit(**options)
    fit(**options, checkpoint=path, callbacks=[lambda e: e.epoch == epoch])
    assert_same_fit(fit(**options, resume_from=path), whole)


def test_saving_changes_nothing(path):
    for options in FITS.values():
        assert_same_fit(fit(**options, checkpoint=path), fit(**options))


def test_the_cases_are_what_they_are_named():
    assert fit(**FITS["converged"])[1] is Stop.CONVERGED
    assert fit(**FITS["adaptive"])[0].optimizer.learning_rate < 0.01
    losses = fit(**FITS["best by training loss"])[0].progress.losses
    assert np.argmin(losses) < N_EPOCHS - 1


def test_resuming_again_and_again(path):
    """An epoch at a time, each in another process as it were."""
    fit(**FITS["average"], checkpoint=path, max_epochs=1)
    for n_epochs in range(2, N_EPOCHS + 1):
        resumed = fit(**FITS["average"], checkpoint=path, resume_from=path, max_epochs=n_epochs)
    assert_same_fit(resumed, fit(**FITS["average"]))


def test_going_on_for_longer(path):
    fit(checkpoint=path)
    assert_same_fit(fit(resume_from=path, max_epochs=10), fit(max_epochs=10))


def test_after_an_interruption_the_last_whole_epoch_is_resumed(path):
    def interrupt(epoch):
        if epoch.epoch == 5:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        fit(checkpoint=path, checkpoint_every=2, callbacks=[interrupt])
    assert load(path)["progress"]["n_epochs"] == 4
    assert_same_fit(fit(resume_from=path), fit())


def test_part_of_an_epoch_is_not_saved(path):
    training, _ = fit(checkpoint=path)
    training.max_time = 1e-9
    before = path.read_bytes()
    n_rows = 500_000  # longer than the engine goes without a look at the clock
    assert training.run(np.ones((n_rows, 4)), np.zeros((n_rows, 2))) is Stop.MAX_TIME
    assert N_EPOCHS * 50 < training.progress.n_seen < N_EPOCHS * 50 + n_rows
    assert path.read_bytes() == before


@pytest.mark.parametrize(("every", "saved"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (100, [7])])
def test_every_so_many_epochs_and_at_the_end(path, monkeypatch, every, saved):
    epochs = []
    monkeypatch.setattr(_checkpoint, "save", lambda path, content: epochs.append(content["progress"]["n_epochs"]))
    fit(checkpoint=path, checkpoint_every=every)
    assert epochs == saved


def test_without_a_path_there_is_no_checkpoint():
    random_state = np.random.RandomState(0)
    parameters = {"checkpoint": None, "resume_from": None}
    assert Checkpoint.begin(parameters, random_state, data=0) == (None, random_state)


def test_the_generator_of_the_caller_is_left_alone(path):
    fit(checkpoint=path)
    mine = np.random.RandomState(9)
    parameters = load(path)["parameters"] | {"resume_from": path, "checkpoint": None}
    _, random_state = Checkpoint.begin(parameters, mine, data=0)
    assert mine.randint(1000) == np.random.RandomState(9).randint(1000)
    assert random_state.randint(1000) == np.random.RandomState(3).randint(1000)


# ---- what has to agree


def test_other_parameters_are_refused(path):
    fit(checkpoint=path)
    with pytest.raises(
        ValueError, match="saved with solver='adam', random_state=3, but now solver='sgd', random_state=4"
    ):
        fit(solver="sgd", random_state=4, resume_from=path)


def test_compare_ignores_what_makes_no_difference():
    compare({"alpha": 1, "n_threads": 1, "max_iter": 5}, {"alpha": 1.0, "n_threads": 2, "max_iter": 9, "verbose": 2})
    with pytest.raises(ValueError, match=r"with dropout=None, but now dropout=0\.5"):
        compare({}, {"dropout": 0.5})


def test_parameters_are_described_as_json_has_them():
    parameters = {
        "hidden_layer_sizes": (3, np.int64(4)), "alpha": np.float32(0.5), "n_iter_no_change": np.inf,
        "class_weight": {1: 2.0, np.str_("b"): 3}, "learning_rate": test_compare_ignores_what_makes_no_difference,
        "random_state": np.random.RandomState(0), "dtype": np.float32, "quantile": np.array([0.1, 0.9]), "loss": None,
    }  # fmt: skip
    described = describe(parameters)
    assert json.loads(json.dumps(described)) == described
    assert described == {
        "hidden_layer_sizes": [3, 4], "alpha": 0.5, "n_iter_no_change": np.inf, "class_weight": {"1": 2.0, "b": 3},
        "learning_rate": f"{__name__}.test_compare_ignores_what_makes_no_difference",
        "random_state": "numpy.random.mtrand.RandomState", "dtype": "float32", "quantile": [0.1, 0.9],
        "loss": None,
    }  # fmt: skip


@pytest.mark.parametrize("options", [{"sizes": (4, 7, 2)}, {"sizes": (4, 6, 6, 2)}, {"dtype": np.float32}])
def test_other_weights_are_refused(path, options):
    fit(checkpoint=path)
    with pytest.raises(ValueError, match=r"holds weights of float64 \(4, 6\), .* but X, y and the parameters ask for"):
        fit(resume_from=path, **options)


def test_other_rows_are_refused(path):
    fit(checkpoint=path)
    with pytest.raises(ValueError, match="trained on 50 rows, but now there are 51"):
        fit(resume_from=path, n_rows=51)


# ---- files


def test_there_and_back(path):
    fit(**FITS["average"], checkpoint=path)
    content = load(path)
    save(path, content | {"random_state": content["random_state"].get_state(legacy=False)})
    again = load(path)
    assert_same_bits(leaves(again["weights"]), leaves(content["weights"]))
    assert again["progress"] == content["progress"]
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    fit(checkpoint=path)
    before = path.read_bytes()

    def disk_full(arrays, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(safetensors, "save_file", disk_full)
    with pytest.raises(OSError, match="No space left"):
        fit(checkpoint=path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_directory_that_is_not_there_is_told_of_before_training(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        fit(checkpoint=tmp_path / "missing" / "fit", callbacks=[lambda epoch: pytest.fail("it has trained")])


def test_a_library_that_is_missing_is_told_of_before_training(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r'pip install "fastbp\[save\]"'):
        fit(checkpoint=path, callbacks=[lambda epoch: pytest.fail("it has trained")])


def test_a_file_that_is_not_there(path):
    with pytest.raises(FileNotFoundError):
        fit(resume_from=path)


def save_pickle(path):
    path.write_bytes(pickle.dumps({"weights": []}))


def save_other_arrays(path):
    safetensors.save_file({"a": np.zeros(3)}, path)


def save_archive(path):
    with open(path, "wb") as file:
        np.savez(file, a=np.zeros(3))


def save_other_json(path):
    safetensors.save_file({}, path, metadata={"fastbp": '["fastbp"]'})


def save_too_little(path):
    save(path, {"weights": [[np.zeros((3, 1))], [np.zeros(1)]]})


def save_other_fields(path):
    save(path, {"weights": [np.zeros(3)]})


def save_a_model(path):
    _file.write(path, "model", {})


@pytest.mark.parametrize(
    "write",
    [
        save_pickle, save_other_arrays, save_archive, save_other_json, save_too_little, save_other_fields, save_a_model,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no checkpoint"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_checkpoint(path, write):
    write(path)
    with pytest.raises(ValueError, match=r"fit\.safetensors' is no checkpoint that this fastbp can read"):
        load(path)


# each with a checksum that is right
SPOILED = {
    "an array of weights": lambda content: content["weights"][0].pop(),
    "shapes that do not chain": lambda content: content["weights"][0].reverse(),
    "moments of other shapes": lambda content: content["optimizer"]["moments"][1][0].reverse(),
    "a step before the first": lambda content: content["optimizer"].update(t=-1),
    "best weights of other shapes": lambda content: content.update(best=[0.0, content["weights"][::-1]]),
    "a generator that would read beyond its key": lambda content: content["random_state"]["state"].update(pos=700),
    "a generator of a short key": lambda content: content["random_state"]["state"].update(key=np.zeros(3, np.uint32)),
    "losses of words": lambda content: content["progress"].update(losses=["1.0"]),
    "epochs that are no number": lambda content: content["progress"].update(n_epochs=None),
    "a rate that is none": lambda content: content.update(learning_rate=np.nan),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_fields_are_checked(path, spoil):
    fit(checkpoint=path)
    content = _file.read(path, "checkpoint")
    content["weights"] = [list(arrays) for arrays in content["weights"]]
    save(path, content)
    load(path)
    spoil(content)
    save(path, content)
    with pytest.raises(ValueError, match=r"is no checkpoint that this fastbp can read: \w+: "):
        load(path)


def test_a_truncated_file(path):
    fit(checkpoint=path)
    content = path.read_bytes()
    for length in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is no checkpoint"):
            load(path)


def test_a_damaged_file(path):
    """A flipped byte is noticed, wherever it is."""
    fit(checkpoint=path)
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
        with pytest.raises(ValueError, match="is no checkpoint"):
            load(path)


def test_other_data_are_refused(tmp_path):
    data = np.random.RandomState(0)
    X, y = data.randn(40, 3), data.randint(2, size=40)
    half = MLPClassifier((4,), max_iter=2, random_state=0, checkpoint=tmp_path / "half").fit(X, y)
    resumed = MLPClassifier((4,), max_iter=4, random_state=0, resume_from=tmp_path / "half")
    for other in ((X + 1, y), (X, 1 - y), (X, y, np.full(40, 2.0)), (X, y.astype(str))):
        with pytest.raises(ValueError, match="trained on other X, y"):
            resumed.fit(*other)
    with pytest.raises(ValueError, match="validation rows"):
        resumed.fit(X, y, X_val=X, y_val=y)
    assert resumed.fit(X, y).loss_curve_[:2] == half.loss_curve_
