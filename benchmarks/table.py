"""The Markdown table of a document that the driver made."""

from statistics import median

from benchmarks.driver import PEAK, TASKS

TITLES = {"training": "Training step (Adam)", "predict": "Predict one batch"}
TORCHES = ("PyTorch", "PyTorch compiled")


def table(document):
    """Markdown: a table for each task and precision, a row a net; times are medians of one step."""
    machine, n_threads = document["machine"], document["n_threads"]
    lines = [
        f"{machine['processor']}, {n_threads} thread{'s' * (n_threads != 1)}, {machine['instruction set'].split()[0]}, "
        f"{document['date'][:10]}; `{document['command']}`."
    ]
    results = document["results"]
    peaks = best_peaks(results)
    for task in TASKS:
        for dtype, peak in document["peak_of_one_core"].items():
            rows = [r for r in results if (r["task"], r["dtype"]) == (task, dtype)]
            if rows:
                lines += ["", f"**{TITLES[task]}, {dtype}** (FMA peak of one core: {peak / 1e9:.0f} GFLOP/s)", ""]
                lines += one_table(rows, peaks[dtype])
    loops = [r for r in results if r["contestant"] == PEAK]
    unsteady = [f"{r['net']}, {r['dtype']}, {r['task']}" for r in loops if is_unsteady(r, peaks[r["dtype"]])]
    if unsteady:
        where = "all of them" if len(unsteady) == len(loops) else "; ".join(unsteady)
        lines += ["", f"**The machine was not idle; measure again, these numbers mean little**: {where}."]
    if document["not_measured"]:
        lines += ["", "Not measured: " + "; ".join(document["not_measured"]) + "."]
    return "\n".join(lines)


def one_table(records, peak):
    """The lines of one table: fastbp, its fraction of peak, and the others with their ratio to fastbp."""
    by_net = {}
    for record in records:
        by_net.setdefault(record["net"], {})[record["contestant"]] = record
    names = dict.fromkeys(r["contestant"].replace(TORCHES[1], TORCHES[0]) for r in records)
    others = [name for name in names if name not in (PEAK, "fastbp")]
    header = ["net, batch", "fastbp", "of peak", *others]
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    for net, found in by_net.items():
        ours = found.get("fastbp")
        cells = [time_text(ours["median"]), f"{100 * ours['flop'] / ours['median'] / peak:.0f} %"] if ours else ["", ""]
        cells += [other_cell(found, name, ours) for name in others]
        lines.append("| " + " | ".join([net, *cells]) + " |")
    return lines


def other_cell(found, name, ours):
    """A contestant's time and how many times fastbp's that is; for PyTorch the better of eager and compiled."""
    names = [n for n in (TORCHES if name == "PyTorch" else (name,)) if n in found]
    if not names:
        return ""
    best = min((found[n] for n in names), key=lambda record: record["median"])
    notes = []
    if ours:
        ratio = best["median"] / ours["median"]
        notes.append(f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.3g}x")
    if best["contestant"] == TORCHES[1]:
        notes.append("compiled")
    return time_text(best["median"]) + (f" ({', '.join(notes)})" if notes else "")


def best_peaks(results):
    """FLOP a second of the FMA loops by precision, their best round of the run: no load can flatter a fraction."""
    peaks = {}
    for r in results:
        if r["contestant"] == PEAK:
            peaks[r["dtype"]] = max(peaks.get(r["dtype"], 0), r["flop"] / min(r["seconds"]))
    return peaks


def is_unsteady(record, peak):
    """Whether something else ran on the machine: a loop of FMAs in registers takes the same time in every round."""
    best = record["flop"] / peak
    return median(record["seconds"]) > 1.1 * best or max(record["seconds"]) > 1.5 * best


def time_text(seconds):
    """Three significant digits in µs, or in ms from 10 ms on."""
    value, unit = (seconds * 1e3, "ms") if seconds >= 0.01 else (seconds * 1e6, "µs")
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"
