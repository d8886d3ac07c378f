"""The benchmark driver on the smallest net: its JSON, its table, and that it refuses contestants that disagree."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

sys.path.append(str(Path(__file__).parents[1]))  # last, so that an installed fastbp is not shadowed

from benchmarks import contestants, driver, timer
from benchmarks.__main__ import main
from benchmarks.nets import NETS, Data, Net
from benchmarks.table import table

NET = "16-32-2:32:relu:full"  # the smallest of the list, one batch an epoch
NAMES = ["fastbp", "NumPy", "scikit-learn", "textbook"]
if importlib.util.find_spec("torch"):
    NAMES.append("PyTorch")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(timer, "SETTLE", 0)
    monkeypatch.setattr(driver, "PEAK_SECONDS", 1e-4)


def test_run_writes_json_and_prints_the_table_which_can_be_printed_again(tmp_path, capsys):
    path = tmp_path / "result.json"
    main(["--nets", NET, "--seconds", "0.01", "--threads", "1", "--output", str(path), "--contestants", *NAMES])
    printed = capsys.readouterr().out
    document = json.loads(path.read_text())
    assert document["n_threads"] == 1
    assert document["command"].startswith(f"python -m benchmarks --nets {NET}")
    assert {"processor", "instruction set", "BLAS of NumPy and SciPy"} <= set(document["machine"])
    assert document["versions"]["numpy"] == np.__version__
    found = {(r["dtype"], r["task"], r["contestant"]) for r in document["results"]}
    expected = {(d, t, n) for d in ("float32", "float64") for t in driver.TASKS for n in [*NAMES, driver.PEAK]}
    assert found == {key for key in expected if key[1:] != ("predict", "textbook")}
    assert all(len(r["seconds"]) == timer.ROUNDS and min(r["seconds"]) > 0 for r in document["results"])

    main(["table", str(path)])
    assert capsys.readouterr().out == printed
    assert printed.count("| 16-32-2, 32 (full batch) |") == 4
    assert "**Training step (Adam), float32**" in printed


def test_flop_and_nets():
    net = Net.parse("28-2x30-1:100:tanh")
    assert net.sizes == (28, 30, 30, 1)
    assert net.output == "logistic"
    P_first, P = 28 * 30, 28 * 30 + 30 * 30 + 30
    assert net.flop("predict") == 2 * 100 * P
    assert net.flop("training") == 2 * 100 * (3 * P - P_first)
    assert [net.n_batches for net in NETS if net.full_batch] == [1]


@pytest.mark.parametrize("text", ["16-32-2", "16:5", "16-x-2:5", "16-2:0", "16-2:5:softsign"])
def test_what_is_not_a_net_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        Net.parse(text)


@pytest.mark.parametrize("text", ["5-20-9-3:4000:tanh", "5-20-1:9000:logistic", "5-20-9-4:4000:relu:full"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_contestants_train_the_same_net(text, dtype, monkeypatch):
    """On batches worth two threads to fastbp; the BLAS gets one, for on a busy machine two wait for each other."""
    monkeypatch.setattr(Net, "n_batches", property(lambda net: 1 if net.full_batch else 3))
    net = Net.parse(text)
    with threadpool_limits(1, user_api="blas"):
        entered = driver.enter(net, Data(net, dtype), NAMES, 2, lambda reason: None)
        assert set(NAMES) - set(entered) <= {"textbook"}
        driver.check_agreement(entered, net)


def test_a_contestant_that_computes_something_else_is_refused(monkeypatch):
    class Lazy(contestants.NumPy):
        def multiply_by_derivative(self, l):
            pass

    monkeypatch.setitem(contestants.CONTESTANTS, "lazy", Lazy)
    net = Net.parse("5-20-9-3:40")
    entered = driver.enter(net, Data(net, np.float64), ["NumPy", "lazy"], 1, lambda reason: None)
    with pytest.raises(RuntimeError, match="lazy and NumPy do not train the same net"):
        driver.check_agreement(entered, net)


def test_one_that_cannot_take_part_is_named_with_the_reason(monkeypatch):
    monkeypatch.setattr(contestants.NumPy, "requires", "no_such_package")
    notes = []
    net = Net.parse("5-20-3:40")
    assert driver.enter(net, Data(net, np.float32), ["NumPy"], 1, notes.append) == {}
    assert notes == ["NumPy on 5-20-3, 40: no_such_package is not installed"]


@pytest.fixture
def document():
    def record(contestant, median):
        keys = {"net": "a, 1", "batch": 1, "dtype": "float32", "task": "training", "flop": 1000}
        return keys | {"contestant": contestant, "median": median, "seconds": [median]}

    results = [
        record("fastbp", 2e-6),
        record("PyTorch", 9e-6),
        record("PyTorch compiled", 8e-6),
        record("FMA peak", 1e-6),
    ]
    return {
        "machine": {"processor": "P", "instruction set": "avx2"},
        "n_threads": 2,
        "date": "2026-01-02T",
        "command": "c",
        "peak_of_one_core": {"float32": 5e8},
        "not_measured": [],
        "results": results,
    }


def test_table_takes_the_better_of_eager_and_compiled(document):
    assert "| a, 1 | 2.00 µs | 50 % | 8.00 µs (4x, compiled) |" in table(document)
    assert "not idle" not in table(document)


def test_table_says_that_the_machine_was_busy_and_takes_the_best_round_as_the_peak(document):
    document["results"][-1] |= {"seconds": [1e-6, 4e-6, 4e-6], "median": 4e-6}
    assert "| 50 % |" in table(document)
    assert "The machine was not idle; measure again, these numbers mean little**: all of them." in table(document)


def test_a_load_that_is_the_same_in_all_rounds_is_seen_in_other_measurements(document):
    idle = document["results"][-1] | {"task": "predict"}
    document["results"][-1] |= {"seconds": [2e-6, 2e-6, 2e-6], "median": 2e-6}
    document["results"].append(idle)
    assert "| a, 1 | 2.00 µs | 50 % |" in table(document)
    assert "these numbers mean little**: a, 1, float32, training." in table(document)
