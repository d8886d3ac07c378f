"""The JSON of a run, and what can be read from it."""

import json
from statistics import median

from benchmarks.peak import PEAK

TORCHES = ("PyTorch", "PyTorch compiled")
# Whose time the ratios refer to: the first that was measured.
OURS = ("fastbp", "fastbp predictor", "fastbp predict_proba")


def save(document, path):
    """Write it with a line for each record, so that two runs can be compared by eye."""
    head = json.dumps({key: value for key, value in document.items() if key != "results"}, indent=1)
    lines = ",\n".join("  " + json.dumps(record, ensure_ascii=False) for record in document["results"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head[:-2]},\n "results": [\n{lines}\n ]\n}}\n')


def load(path):
    return json.loads(path.read_text())


def records_of(document, *parts, dtype=None):
    """The records of some parts, those of the FMA loop left out."""
    return [
        r for r in document["results"] if r["part"] in parts and dtype in (None, r["dtype"]) and r["contestant"] != PEAK
    ]


def by_case(records):
    """{case: {contestant: record}}; the record under PyTorch is the better of eager and compiled."""
    cases = {}
    for record in records:
        cases.setdefault(record["case"], {})[record["contestant"]] = record
    for found in cases.values():
        torches = [found.pop(name) for name in TORCHES if name in found]
        if torches:
            found[TORCHES[0]] = min(torches, key=lambda record: record["median"])
    return cases


def columns(records):
    """The contestants in the order of the run; PyTorch's two are one."""
    return list(dict.fromkeys(TORCHES[0] if r["contestant"] in TORCHES else r["contestant"] for r in records))


def best_peaks(document):
    """FLOP a second of the FMA loops by (precision, threads): the best round, so that no load flatters a fraction."""
    peaks = {}
    for r in document["results"]:
        if r["contestant"] == PEAK:
            key = r["dtype"], r["n_threads"]
            peaks[key] = max(peaks.get(key, 0), r["flop"] / min(r["seconds"]))
    return peaks


def fraction_of_peak(record, peaks):
    return record["flop"] / record["median"] / peaks[record["dtype"], record["n_threads"]]


def unsteady(document):
    """The cases in which something else ran on the machine, and the number of those in which one could see that.

    A loop of FMAs in registers takes the same time in every round of an idle machine.
    """
    peaks = best_peaks(document)
    loops = [r for r in document["results"] if r["contestant"] == PEAK]
    found = []
    for r in loops:
        best = r["flop"] / peaks[r["dtype"], r["n_threads"]]
        if median(r["seconds"]) > 1.1 * best or max(r["seconds"]) > 1.5 * best:
            found.append(f"{r['part']}: {r['case']}, {r['dtype']}")
    return found, len(loops)
