"""The Markdown tables of a document."""

from benchmarks.parts import TITLES
from benchmarks.progress import time_text
from benchmarks.report.document import (
    OURS,
    TORCHES,
    best_peaks,
    by_case,
    columns,
    fraction_of_peak,
    records_of,
    unsteady,
)

FEW = 6  # cases that are named


def tables(document):
    """A table for each part and precision, and what a reader must know to trust them."""
    lines = [f"{machine_line(document)}; `{document['command']}`."]
    for part, title in TITLES.items():
        for dtype in dict.fromkeys(r["dtype"] for r in records_of(document, part)):
            lines += ["", f"**{title}, {dtype}**", "", *table(document, records_of(document, part, dtype=dtype))]
    return "\n".join(lines + warnings_of(document))


def machine_line(document):
    machine, n = document["machine"], document["n_threads"]
    best = best_peaks(document)
    peaks = {dtype: best.get((dtype, 1), peak) for dtype, peak in document["peak_of_one_core"].items()}
    return (
        f"{machine['processor']}, {n} thread{'s' * (n != 1)}, {machine['instruction set'].split()[0]}, FMA peak of one "
        f"core {peaks['float32'] / 1e9:.0f} GFLOP/s in float32 and {peaks['float64'] / 1e9:.0f} in float64; "
        f"{document['date'][:10]}"
    )


def versions_line(document):
    versions = {name: version for name, version in document["versions"].items() if version}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def table(document, records, label=lambda record: record["case"]):
    """A row a case: our time, its fraction of peak where FLOP are counted, the others with their ratio to us."""
    peaks = best_peaks(document)
    names = columns(records)
    base = next((name for name in OURS if name in names), None)
    others = [name for name in names if name != base]
    counted = any(r["flop"] for r in records)
    header = ["", *([base] if base else []), *(["of peak"] if counted and base else []), *others]
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    for found in by_case(records).values():
        ours = found.get(base)
        cells = [label(next(iter(found.values())))]
        if base:
            cells.append(time_text(ours["median"]) if ours else "")
            if counted:
                cells.append(f"{100 * fraction_of_peak(ours, peaks):.0f} %" if ours else "")
        cells += [other_cell(found.get(name), ours) for name in others]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def other_cell(record, ours):
    """A contestant's time and how many times ours that is."""
    if record is None:
        return ""
    notes = []
    if ours:
        ratio = record["median"] / ours["median"]
        notes.append(f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.3g}x")
    if record["contestant"] == TORCHES[1]:
        notes.append("compiled")
    return time_text(record["median"]) + (f" ({', '.join(notes)})" if notes else "")


def warnings_of(document):
    """Paragraphs: whether the machine was idle, and what was not measured."""
    lines = []
    found, n = unsteady(document)
    if found:
        where = f"{len(found)} of {n} cases" + (f": {'; '.join(found)}" if len(found) <= FEW else "")
        lines += ["", f"**The machine was not idle; measure again, these numbers mean little**: {where}."]
    if document["not_measured"]:
        lines += ["", "Not measured: " + "; ".join(document["not_measured"]) + "."]
    return lines
