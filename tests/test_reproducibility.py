"""One seed, one result: the bits of a fixed list of fits (fits.py) are the committed ones, whatever computes them.

`python tests/test_reproducibility.py` prints the hashes of the machine at hand, to paste into fits.py after a
deliberate change of the arithmetic; with `--all` it compares every combination of net, precision, instruction set,
number of threads and cut of the work instead, of which the tests take a part.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from conftest import OUTPUTS, assert_same_parameters, batch, build, random_net
from fits import ANSWERS, EXPECTED, NETS, digest, fingerprint
from sklearn.base import clone

from fastbp import MLPClassifier, MLPRegressor, _kernels
from fastbp._engine import Network

THREADS = (1, 2, 3, 5, 8)
ALL_TAKE_PART = dict(work_per_thread=1e-3)
CUTS = {  # of the work: rows of a shard and of a block of predictions, panels of a tile
    "as ever": {},
    "least": dict(shard_rows=1, shard_unit=1, answer_rows=1, tile_panels=1, **ALL_TAKE_PART),
    "odd": dict(shard_rows=37, shard_unit=3, answer_rows=7, tile_panels=3, **ALL_TAKE_PART),
    "one": dict(shard_rows=2**40, shard_unit=2**40, answer_rows=2**40, tile_panels=8, **ALL_TAKE_PART),
}
COMBINATIONS = list(product(THREADS, CUTS))
DTYPES = {"float32": np.float32, "float64": np.float64}


def expected(name, dtype):
    precision = list(DTYPES.values()).index(dtype)
    return EXPECTED[name][precision], ANSWERS[name][precision]


def some_combinations(name, isa):
    """Each number of threads with one of the cuts, for the next net with the next; a single one for slow baseline C."""
    turn = list(NETS).index(name)
    if isa == "baseline":
        return [COMBINATIONS[turn % len(COMBINATIONS)]]
    return [(n_threads, list(CUTS)[(turn + i) % len(CUTS)]) for i, n_threads in enumerate(THREADS)]


@pytest.mark.parametrize("name", NETS)
def test_the_bits_are_the_committed_ones(isa, dtype, name):
    some = some_combinations(name, isa)
    got = {(n_threads, cut): fingerprint(name, dtype, n_threads, isa, **CUTS[cut]) for n_threads, cut in some}
    assert got == dict.fromkeys(some, expected(name, dtype))


@pytest.mark.parametrize("name", NETS)
def test_the_bits_do_not_depend_on_how_the_first_layer_is_stored(isa, dtype, name):
    if isa == "baseline" and list(NETS).index(name) % 3:
        pytest.skip("slow, and by inputs is no part of a kernel's arithmetic: every third net will do")
    assert fingerprint(name, dtype, 2, isa, by_inputs=True) == expected(name, dtype)


def test_every_pair_of_threads_and_cuts_is_among_them():
    assert {pair for name in NETS for pair in some_combinations(name, None)} == set(COMBINATIONS)
    assert {pair for name in NETS for pair in some_combinations(name, "baseline")} == set(COMBINATIONS)


def test_every_activation_and_loss_is_among_them():
    activations, outputs, losses, optimizers = ({net[i] for net in map(hashable, NETS.values())} for i in range(4))
    assert set().union(*activations) == set(_kernels.ACTIVATIONS)
    assert outputs == set(OUTPUTS)
    assert {loss for loss in losses if not callable(loss)} == set(_kernels.LOSSES)
    assert optimizers == {"momentum", "nesterov", *_kernels.SOLVERS}


def hashable(net):
    _, activations, *others = net
    return tuple(activations), *others


# --- the cuts are real


def cut_network(cut, sizes=(3, 40, 2)):
    net = Network(sizes, ["relu"] * (len(sizes) - 2), "identity", "squared_error", np.float32, n_threads=8)
    settings = dict(CUTS[cut])
    net.cut_tiles(settings.pop("tile_panels", 2))
    net.cut_rows(**settings)
    return net


def test_the_cuts_take_effect():
    """Shards of 100 rows for 3 threads, and tiles: of 16 outputs by the panels of inputs that they may have."""
    shards = {cut: cut_network(cut).shards(100, 3) for cut in CUTS}
    assert shards["least"] == list(range(101))
    assert shards["one"] == [0, 100]
    assert shards["odd"] == [0, 33, 66, 100]
    assert shards["as ever"] == [0, 32, 64, 100]
    n_tiles = {cut: cut_network(cut, (128, 16, 16)).n_tiles for cut in CUTS}
    assert n_tiles == {"least": 8 + 1, "odd": 3 + 1, "as ever": 4 + 1, "one": 1 + 1}


def test_cuts_that_are_none_are_refused():
    net = cut_network("as ever")
    for wrong in ("shard_rows", "shard_unit", "answer_rows", "work_per_thread"):
        with pytest.raises(ValueError, match="expected at least 1 row"):
            net.cut_rows(**{wrong: 0})


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list a process's threads")
@pytest.mark.skipif(not _kernels.openmp(), reason="built without OpenMP")
def test_all_threads_take_part():
    """The runtime keeps the threads of the last parallel region until the next one wants fewer."""

    def threads_after(n_threads):
        net = cut_network("least")
        net.n_threads = n_threads
        net.train_epoch(np.ones((64, 3), np.float32), np.ones((64, 2), np.float32), None, 64, 0.01)
        return len(list(Path("/proc/self/task").iterdir()))

    with_2, until = threads_after(2), time.monotonic() + 10
    while threads_after(8) - with_2 != 6 and time.monotonic() < until:  # those that go may be about to
        with_2 = threads_after(2)
    assert threads_after(8) - with_2 == 6


def test_the_number_of_threads_can_change_between_epochs(dtype):
    p = random_net([16, 64, 40, 3], ["relu", "relu"], "softmax", "log_loss", 300, dtype)
    changing, steady = build(p, 1, "adam"), build(p, 1, "adam")
    for n_threads in (1, 5, 2, 3):
        changing.n_threads = n_threads
        assert changing.n_threads == n_threads
        assert changing.train_epoch(*batch(p), None, 128, 0.01) == steady.train_epoch(*batch(p), None, 128, 0.01)
    assert_same_parameters(changing, steady)


# --- while the machine is loaded


@pytest.fixture
def load():
    """Two processes a core that do nothing but burn it."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
    yield
    for burner in burners:
        burner.kill()
        burner.wait()


def test_the_bits_on_a_loaded_machine(load):
    """Some of the fits, all at once from eight threads of Python, each with threads of its own."""
    some = list(product(("narrow", "deep", "multilabel", "everything"), DTYPES.values(), (1, 3, 8), ("odd", "as ever")))
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda fit: fingerprint(*fit[:3], **CUTS[fit[3]]), some))
    assert dict(zip(some, got, strict=True)) == {fit: expected(*fit[:2]) for fit in some}


# --- the estimators

X = np.random.RandomState(1).randint(-1024, 1025, (150, 20)) / 1024
CLASSES = np.abs(X[:, :4]).argmax(axis=1)
WEIGHT = np.random.RandomState(2).randint(1, 9, 150) / 4
SHORT = dict(max_iter=6, n_iter_no_change=99, batch_size=64, random_state=0)
MODELS = {  # the model and its y
    "classes": (
        MLPClassifier((24, 17), dropout=0.25, class_weight="balanced", label_smoothing=0.125, **SHORT),
        CLASSES,
    ),
    "labels": (
        MLPClassifier((24,), "tanh", loss="focal", class_weight=[{1: 2}] * 4, **SHORT),
        np.eye(4, dtype=int)[CLASSES],
    ),
    "values": (
        MLPRegressor(hidden_layer_sizes=24, activation="gelu", solver="sgd", loss="huber", clip_norm=0.5, **SHORT),
        X[:, :2] * X[:, 2:4],
    ),
    "quantiles": (
        MLPRegressor(hidden_layer_sizes=24, loss="quantile", quantile=[0.25, 0.75], dtype="float32", **SHORT),
        X[:, 0] * X[:, 1],
    ),
}
# SHA-256, shortened as in fits.py, of their weights, losses, predictions and transformed rows.
OF_MODELS = {
    "classes": "1f1b5fc7557ad002",
    "labels": "46d6bb531b2b3c22",
    "values": "837b782563d08535",
    "quantiles": "e47d6658ed1dfbab",
}


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_models_have_the_committed_bits(name, n_threads):
    model, y = MODELS[name]
    for sparse in (False, True):
        rows = scipy.sparse.csr_array(X) if sparse else X
        fitted = clone(model).set_params(n_threads=n_threads).fit(rows, y, WEIGHT)
        answer = fitted.predict_proba if hasattr(fitted, "predict_proba") else fitted.predict
        learnt = [*fitted.coefs_, *fitted.intercepts_, np.array(fitted.loss_curve_)]
        assert digest(name, [*learnt, answer(rows), fitted.transform(rows)]) == OF_MODELS[name]


def compare_all():
    """Print each combination whose bits are others and count them; return whether there are any."""
    n_wrong = n = 0
    for name, isa, precision, by_inputs in product(NETS, _kernels.isa_names(), DTYPES, (False, True)):
        for n_threads, cut in COMBINATIONS:
            got = fingerprint(name, DTYPES[precision], n_threads, isa, by_inputs, **CUTS[cut])
            n += 1
            if got != expected(name, DTYPES[precision]):
                n_wrong += 1
                print(f"{name}, {isa}, {precision}, {n_threads} threads, cut {cut!r}, by inputs {by_inputs}: {got}")
        print(f"\r{n} combinations, {n_wrong} wrong", end="", file=sys.stderr, flush=True)
    print(f"\n{n} combinations, {n_wrong} wrong")
    return n_wrong > 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--all"]:
        sys.exit(compare_all())
    hashes = {name: [fingerprint(name, dtype) for dtype in DTYPES.values()] for name in NETS}
    for i, table in enumerate(("EXPECTED", "ANSWERS")):
        print(f"{table} = {{")
        for name, pairs in hashes.items():
            print(f'    "{name}": ("{pairs[0][i]}", "{pairs[1][i]}"),')
        print("}")
