"""The benchmarks on small nets: JSON, tables and pictures, the README's section, and that they refuse who disagrees."""

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

sys.path.append(str(Path(__file__).parents[1]))  # last, so that an installed fastbp is not shadowed

from benchmarks import peak, promise, timer
from benchmarks.__main__ import main
from benchmarks.agreement import check_agreement
from benchmarks.contestants import CONTESTANTS, TASKS, jax_net
from benchmarks.contestants.numpy_net import NumPy
from benchmarks.machine import without_folders
from benchmarks.nets import NETS, Data, Net
from benchmarks.parts import TITLES, by_net, estimators
from benchmarks.peak import PEAK
from benchmarks.report import readme
from benchmarks.report.document import load
from benchmarks.report.tables import tables

NAMES = [
    name
    for name, cls in CONTESTANTS.items()
    if name != "PyTorch compiled" and all(importlib.util.find_spec(package) for package in cls.requires)
]
SMALL = {
    "step": [Net.parse("6-7-3:20"), Net.parse("5-6-1:9:tanh:full")],
    "predict": [Net.parse("6-7-3:20")],
    "odd": [Net.parse("3-5-2:1")],
    "sweep": [Net.parse("4-4-4:16"), Net.parse("8-8-8:16")],
    "threads": [Net.parse("6-7-3:20")],
    "gradient": [Net.parse("5-4-2:30:tanh:full")],
    "sparse": [replace(Net.parse("50-6-3:20"), density=0.1)],
}


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    monkeypatch.setattr(timer, "SETTLE", 0)
    monkeypatch.setattr(timer, "ROUNDS", 1)
    monkeypatch.setattr(peak, "PEAK_SECONDS", 1e-4)
    monkeypatch.setattr(estimators, "SERVED_ROWS", (1, 20))
    X, y = estimators.load_digits(return_X_y=True)
    monkeypatch.setattr(estimators, "load_digits", lambda return_X_y: (X[:50], y[:50]))
    monkeypatch.setattr(Net, "n_batches", property(lambda net: 1 if net.full_batch else 3))
    jax_net.bind(1)


@pytest.fixture
def small_parts(monkeypatch):
    """Every part by nets on SMALL ones, on one thread."""
    for name, small in SMALL.items():
        dtype = np.float64 if name == "gradient" else np.float32
        cases = [(net, dtype, 1) for net in small]
        monkeypatch.setitem(by_net.PARTS, name, replace(by_net.PARTS[name], cases=lambda session, cases=cases: cases))


def run(path, *options):
    main(["--seconds", "0.002", "--threads", "1", "--output", str(path), "--contestants", *NAMES, *options])
    return load(path)


def test_all_parts_write_json_and_print_tables_which_can_be_printed_again(tmp_path, capsys, small_parts):
    path = tmp_path / "result.json"
    document = run(path)
    printed, told = capsys.readouterr()
    assert document["n_threads"] == 1
    assert document["command"].startswith("python -m benchmarks --seconds 0.002")
    assert {"processor", "instruction set", "BLAS of NumPy and SciPy"} <= set(document["machine"])
    assert document["versions"]["numpy"] == np.__version__
    assert all(len(r["seconds"]) == timer.ROUNDS and min(r["seconds"]) > 0 for r in document["results"])
    expected = set()
    for part, cases in SMALL.items():
        names = [name for name in NAMES if by_net.PARTS[part].wants(name)]
        names += [PEAK] if by_net.PARTS[part].count_flop else []
        expected |= {(part, net.label, name) for net in cases for name in names}
    found = {(r["part"], r["case"], r["contestant"]) for r in document["results"]}
    one_output = {("step", "5-6-1 tanh, 9 (full batch)", "textbook")}  # which it does not do, and says so
    assert expected - found == one_output & expected
    assert "textbook: measured on small nets with a softmax output (5-6-1 tanh, 9 (full batch))" in printed
    assert {part for part, _, _ in found} == set(TITLES)
    assert [int(n) for n in re.findall(r"^\[.*?(\d+)/14\]", told, re.MULTILINE)] == list(range(1, 15))

    main(["table", str(path)])
    assert capsys.readouterr().out == printed
    assert all(f"**{title}" in printed for title in TITLES.values())


def test_pictures_beside_the_json(tmp_path, small_parts):
    pytest.importorskip("matplotlib")
    path = tmp_path / "result.json"
    run(path, "--parts", "step", "sweep", "threads", "latency")
    names = [f"result-{part}.svg" for part in ("latency", "step", "sweep", "threads")]
    assert sorted(p.name for p in tmp_path.glob("*.svg")) == names
    drawn = {name: (tmp_path / name).read_bytes() for name in names}
    main(["plot", str(path)])
    assert {name: (tmp_path / name).read_bytes() for name in names} == drawn
    main(["plot", str(path), "--format", "png"])
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_without_matplotlib_the_run_is_complete_and_says_so(tmp_path, capsys, monkeypatch, small_parts):
    monkeypatch.delitem(sys.modules, "benchmarks.report.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run(tmp_path / "result.json", "--parts", "odd")
    assert "no pictures: matplotlib is not installed" in capsys.readouterr().err


def test_part_of_it(tmp_path):
    document = run(tmp_path / "result.json", "--nets", "5-4-2:10", "--dtype", "float64")
    assert {r["part"] for r in document["results"]} == {"step", "predict"}
    assert {(r["case"], r["dtype"]) for r in document["results"]} == {("5-4-2, 10", "float64")}
    document = run(tmp_path / "result.json", "--parts", "latency")
    assert {r["case"] for r in document["results"]} == {"1 row", "20 rows"}


def test_readme_shows_the_committed_run():
    """To renew: python -m benchmarks readme benchmarks/results/<the run>.json"""
    shown = readme.README.read_text().partition(readme.BEGIN)[2].partition(readme.END)[0].strip()
    path = readme.ROOT / re.search(r"python -m benchmarks readme (\S+)`", shown)[1]
    assert shown == readme.section(load(path), path)
    pictures = re.findall(r"!\[.*\]\((.*)\)", shown)
    assert pictures
    assert all((readme.ROOT / picture).exists() for picture in pictures)


def test_readme_is_rewritten_between_the_marks(tmp_path, monkeypatch, document):
    monkeypatch.setattr(readme, "README", tmp_path / "README.md")
    readme.README.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document))
    main(["readme", str(path)])
    text = readme.README.read_text()
    assert text.startswith(f"before\n{readme.BEGIN}\n")
    assert text.endswith(f"\n{readme.END}\nafter\n")
    assert "| a, 1 | 2.00 µs | 50 % | 8.00 µs (4x, compiled) |" in text
    assert "old" not in text


def test_flop_and_nets():
    net = Net.parse("28-2x30-1:100:tanh")
    assert net.sizes == (28, 30, 30, 1)
    assert net.output == "logistic"
    P_first, P = 28 * 30, 28 * 30 + 30 * 30 + 30
    assert net.flop("predict") == 2 * 100 * P
    assert net.flop("training") == net.flop("gradient") == 2 * 100 * (3 * P - P_first)
    assert [net.n_batches for net in NETS if net.full_batch] == [1]


@pytest.mark.parametrize("text", ["16-32-2", "16:5", "16-x-2:5", "16-2:0", "16-2:5:softsign"])
def test_what_is_not_a_net_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        Net.parse(text)


def enter(net, dtype, names, n_threads):
    """The contestants, checked to agree in all they do."""
    entered = by_net.enter(net, Data(net, dtype), names, n_threads, lambda *_: None)
    check_agreement(entered, net, TASKS)
    return set(entered)


@pytest.mark.parametrize("text", ["5-20-9-3:4000:tanh", "5-20-1:9000:logistic", "5-20-9-4:4000:relu:full"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_contestants_train_the_same_net(text, dtype):
    """On batches worth two threads to fastbp; the BLAS gets one, for on a busy machine two wait for each other."""
    with threadpool_limits(1, user_api="blas"):
        entered = enter(Net.parse(text), dtype, [name for name in NAMES if name != "JAX"], 2)
    assert set(NAMES) - entered <= {"JAX", "textbook"}


@pytest.mark.skipif("JAX" not in NAMES, reason="jax is not installed")
@pytest.mark.parametrize("text", ["5-20-9-3:40:tanh", "5-20-1:90:logistic", "5-20-9-4:40:relu:full"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jax_trains_the_same_net_on_the_threads_it_was_started_with(text, dtype):
    assert enter(Net.parse(text), dtype, ["NumPy", "JAX"], 1) == {"NumPy", "JAX"}
    assert enter(Net.parse(text), dtype, ["NumPy", "JAX"], 2) == {"NumPy"}


def test_sparse_inputs_train_the_net_of_the_dense_ones():
    sparse = replace(Net.parse("50-6-3:20"), density=0.1)
    assert enter(sparse, np.float64, ["fastbp", "scikit-learn"], 1) == {"fastbp", "scikit-learn"}
    data = Data(sparse, np.float64)
    assert data.X.has_canonical_format
    assert data.X.nnz == 0.1 * 60 * 50


@pytest.mark.parametrize(
    ("method", "wrong", "tasks", "what"),
    [
        ("predict", lambda self: 1.01 * self.forward(self.data.X_batch), ["predict"], "outputs"),
        ("multiply_by_derivative", lambda self, l: None, ["training"], "changes of the outputs over one epoch"),
        ("multiply_by_derivative", lambda self, l: None, ["gradient"], "gradient"),
    ],
)
def test_a_contestant_that_computes_something_else_is_refused(method, wrong, tasks, what, monkeypatch):
    monkeypatch.setitem(CONTESTANTS, "lazy", type("Lazy", (NumPy,), {method: wrong}))
    net = Net.parse("5-20-9-3:40")
    entered = by_net.enter(net, Data(net, np.float64), ["NumPy", "lazy"], 1, lambda *_: None)
    with pytest.raises(RuntimeError, match=f"lazy and NumPy do not agree on the {what} of 5-20-9-3, 40"):
        check_agreement(entered, net, tasks)


def test_one_that_cannot_take_part_is_named_with_the_reason(tmp_path, capsys, monkeypatch, small_parts):
    monkeypatch.setattr(NumPy, "requires", ("no_such_package",))
    run(tmp_path / "result.json", "--parts", "odd")
    assert "Not measured: NumPy: no_such_package is not installed (3-5-2, 1)" in capsys.readouterr().out


@pytest.fixture
def document():
    def record(contestant, median):
        keys = {"part": "step", "case": "a, 1", "dtype": "float32", "n_threads": 2, "flop": 1000}
        return keys | {"contestant": contestant, "median": median, "seconds": [median]}

    results = [
        record("fastbp", 2e-6),
        record("PyTorch", 9e-6),
        record("PyTorch compiled", 8e-6),
        record(PEAK, 1e-6),
    ]
    return {
        "machine": {"processor": "P", "instruction set": "avx2"},
        "n_threads": 2,
        "date": "2026-01-02T",
        "command": "c",
        "versions": {"numpy": "1", "torch": None},
        "peak_of_one_core": {"float32": 5e8, "float64": 2e8},
        "not_measured": [],
        "results": results,
    }


def test_table_takes_the_better_of_eager_and_compiled(document):
    assert "| a, 1 | 2.00 µs | 50 % | 8.00 µs (4x, compiled) |" in tables(document)
    assert "not idle" not in tables(document)


def test_table_says_that_the_machine_was_busy_and_takes_the_best_round_as_the_peak(document):
    document["results"][-1] |= {"seconds": [1e-6, 4e-6, 4e-6], "median": 4e-6}
    assert "| 50 % |" in tables(document)
    assert "The machine was not idle; measure again, these numbers mean little**: 1 of 1 cases" in tables(document)


def test_a_load_that_is_the_same_in_all_rounds_is_seen_in_other_measurements(document):
    idle = document["results"][-1] | {"part": "predict"}
    document["results"][-1] |= {"seconds": [2e-6, 2e-6, 2e-6], "median": 2e-6}
    document["results"].append(idle)
    assert "| a, 1 | 2.00 µs | 50 % |" in tables(document)
    assert "these numbers mean little**: 1 of 2 cases: step: a, 1, float32." in tables(document)


@pytest.mark.skipif(not (promise.ROOT / "setup.py").exists(), reason="tested without its sources")
def test_the_cost_of_the_promise_is_that_of_flags_of_setup_py():
    assert promise.PROMISE in (promise.ROOT / "setup.py").read_text()
    build = promise.Build(promise.ROOT)
    assert build.microseconds(0) > 0
    build.process.communicate()


def test_a_document_names_no_folders():
    files = "yes (/home/me/venv/lib/libgomp-1.so.1.0.0, /usr/lib/x86_64-linux-gnu/libgomp.so.1)"
    assert without_folders(files) == "yes (libgomp-1.so.1.0.0, libgomp.so.1)"
    assert without_folders("3 of 4 s, avx2/baseline, 1 / 2") == "3 of 4 s, avx2/baseline, 1 / 2"
