"""The pictures of a document: step time by net, fraction of peak by width, scaling by threads, latency of rows."""

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.optimize import isotonic_regression

from benchmarks.progress import time_text
from benchmarks.report.document import OURS, best_peaks, by_case, columns, fraction_of_peak, records_of

# Colours that the colour-blind tell apart (Okabe and Ito 2008), each with its own mark.
STYLE = {
    "fastbp": ("#D55E00", "o"),
    "fastbp predictor": ("#D55E00", "o"),
    "fastbp predict_proba": ("#D55E00", "o"),
    "PyTorch": ("#0072B2", "s"),
    "JAX": ("#009E73", "^"),
    "onnxruntime": ("#CC79A7", "D"),
    "NumPy": ("#56B4E9", "v"),
    "scikit-learn": ("#E69F00", "P"),
    "textbook": ("#777777", "X"),
}
INK, FAINT = "#222222", "#d9d9d9"
RC = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",  # opaque: it reads on a dark page, too
    "savefig.facecolor": "white",
    "svg.hashsalt": "fastbp",  # the same document, the same file
}
time_axis = FuncFormatter(lambda seconds, _: time_on_axis(seconds))


def time_on_axis(seconds):
    """A power of ten as 1 µs, 10 µs, 100 µs, 1 ms, ..."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.999 * size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds / 1e-9:g} ns"


def log_time(axis):
    axis.set_major_locator(LogLocator(10))
    axis.set_major_formatter(time_axis)
    axis.set_minor_formatter(NullFormatter())


def step_plot(document):
    """A row for each net, a mark for each contestant, on a logarithmic axis of time."""
    dtype = records_of(document, "step")[0]["dtype"]
    records = records_of(document, "step", dtype=dtype)
    cases = by_case(records)
    figure = Figure(figsize=(8.5, 1.4 + 0.45 * len(cases)), layout="constrained")
    axes = figure.subplots()
    for row, found in enumerate(cases.values()):
        times = [r["median"] for r in found.values()]
        axes.plot([min(times), max(times)], [row, row], color="#bbbbbb", linewidth=1, zorder=1)
        if "fastbp" in found:
            ours = found["fastbp"]["median"]
            side = (-9, "right") if ours == min(times) else (9, "left")  # where no other mark is
            name_point(axes, time_text(ours), (ours if ours == min(times) else max(times), row), *side)
    for name in columns(records):
        colour, mark = STYLE[name]
        points = [(found[name]["median"], row) for row, found in enumerate(cases.values()) if name in found]
        size = {"o": 75, "P": 65, "X": 65}.get(mark, 45)
        axes.scatter(
            *zip(*points, strict=True),
            s=size,
            color=colour,
            marker=mark,
            edgecolor="white",
            zorder=4 if name == "fastbp" else 3,
            label=name,
        )
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xlim(min(r["median"] for r in records) / 4, None)
    log_time(axes.xaxis)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"time of a training step (Adam, {dtype}, {threads_text(document['n_threads'])})")
    figure.legend(
        loc="outside upper center", ncols=len(columns(records)), frameon=False, handletextpad=0.1, columnspacing=1.2
    )
    return figure


def sweep_plot(document):
    """The fraction of peak of each contestant against the width of the layers."""
    records = records_of(document, "sweep")
    peaks = best_peaks(document)
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    axes = figure.subplots()
    lines = {}
    for name in columns(records):
        mine = [r for r in records if r["contestant"] == name]
        lines[name] = [(r["sizes"][0], 100 * fraction_of_peak(r, peaks)) for r in mine]
        draw_line(axes, name, lines[name])
    label_ends(axes, lines, 5.5)
    widths = sorted({r["sizes"][0] for r in records})
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.set_xlim(widths[0] * 0.85, widths[-1] * 1.9)
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("width w of a net w-w-w, batch 256")
    axes.set_title(f"Training step (Adam, float32, {threads_text(document['n_threads'])}), of the measured FMA peak")
    return figure


def threads_plot(document):
    """A panel for each net: speed against threads, in multiples of fastbp's on one."""
    records = records_of(document, "threads")
    by_net = {}
    for r in records:
        by_net.setdefault(r["net"], {}).setdefault(r["contestant"], []).append((r["n_threads"], r["median"]))
    most = max(r["n_threads"] for r in records)
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    panels = figure.subplots(1, len(by_net), sharey=True, squeeze=False)[0]
    for axes, (net, found) in zip(panels, by_net.items(), strict=True):
        base = dict(found.get("fastbp") or next(iter(found.values())))[1]
        axes.plot([1, most], [1, most], color="#999999", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        lines = {name: [(n, base / seconds) for n, seconds in points] for name, points in found.items()}
        for name, points in lines.items():
            draw_line(axes, name, points)
        axes.set_title(net)
        axes.set_xlim(1 - 0.06 * most, most * 1.55)
        axes.set_ylim(0, most * 1.05)
        label_ends(axes, lines, 0.08 * most)
        counts = sorted({n for points in lines.values() for n, _ in points})
        axes.set_xticks(counts, [str(n) for n in counts])
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("threads")
        axes.grid(visible=False, axis="x")
    panels[0].set_ylabel("steps per second,\nfastbp on one thread = 1")
    return figure


def latency_plot(document):
    """A panel for each number of rows: a mark for each contestant, fastest first, on a logarithmic axis of time."""
    cases = by_case(records_of(document, "latency"))
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    panels = figure.subplots(1, len(cases), squeeze=False)[0]
    for axes, (case, found) in zip(panels, cases.items(), strict=True):
        ranked = sorted(found.values(), key=lambda r: r["median"])
        times = [r["median"] for r in ranked]
        for row, record in enumerate(ranked):
            colour, mark = STYLE[record["contestant"]]
            axes.plot(record["median"], row, color=colour, marker=mark, markersize=9)
            name_point(axes, time_text(record["median"]), (record["median"], row), 9, "left")
        axes.set_yticks(range(len(ranked)), [r["contestant"] for r in ranked])
        for label in axes.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() in OURS else "normal")
        axes.set_ylim(len(ranked) - 0.5, -0.5)
        axes.set_xscale("log")
        axes.set_xlim(min(times) / 2, max(times) * 8)
        log_time(axes.xaxis)
        axes.tick_params(axis="y", length=0)
        axes.set_title(case)
    figure.supxlabel("from a NumPy array to probabilities (64-100-10, float32)", fontsize="medium")
    return figure


def threads_text(n):
    return f"{n} thread{'s' * (n != 1)}"


def name_point(axes, text, point, offset, side, colour=INK, **style):
    """Write beside a point, on white, so that no line runs through the letters."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    style |= {"color": colour, "ha": side, "va": "center", "bbox": box, "annotation_clip": False}
    axes.annotate(text, point, (offset, 0), textcoords="offset points", **style)


def draw_line(axes, name, points):
    colour, mark = STYLE[name]
    width = 2.4 if name == "fastbp" else 1.6
    axes.plot(*zip(*points, strict=True), color=colour, marker=mark, linewidth=width, markersize=6, clip_on=False)


def label_ends(axes, lines, gap):
    """Name each line at its right end, in a darker tone; names nearer than `gap` move apart as little as they must."""
    ends = sorted((points[-1][1], points[-1][0], name) for name, points in lines.items())
    stack = gap * np.arange(len(ends))
    heights = stack + np.maximum(isotonic_regression([y for y, _, _ in ends] - stack).x, gap / 2)
    for (_, x, name), y in zip(ends, heights, strict=True):
        weight = "bold" if name in OURS else "normal"
        tone = 0.75 * np.array(to_rgb(STYLE[name][0]))
        name_point(axes, name, (x, y), 10, "left", colour=tone, fontweight=weight)


PLOTS = {"step": step_plot, "sweep": sweep_plot, "threads": threads_plot, "latency": latency_plot}


def plot(document, path, suffix="svg"):
    """Draw the pictures of the parts that the document has, beside its JSON at `path`; return their paths."""
    written = []
    with matplotlib.rc_context(RC):
        for part, draw in PLOTS.items():
            if records_of(document, part):
                picture = path.with_name(f"{path.stem}-{part}.{suffix}")
                draw(document).savefig(picture, dpi=150, metadata={"Date": None} if suffix == "svg" else {})
                written.append(picture)
    return written
