"""The section of README.md that shows a run, made from its JSON."""

from pathlib import Path

from benchmarks.report.document import records_of
from benchmarks.report.tables import machine_line, table, versions_line, warnings_of

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
PICTURES = {
    "step": "Time of a training step, by net and contestant",
    "sweep": "Fraction of the FMA peak in training, by width",
    "latency": "Time to answer one row and 10 000 rows",
}


def section(document, path):
    """What stands between the marks; `path` is the JSON's."""
    path = Path(path).resolve()
    shown = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    paragraphs = [
        f"{machine_line(document)}. Medians of one alternating run; (2x) is how many times fastbp's time a "
        f"contestant takes; PyTorch is eager, or compiled where a cell says so. {versions_line(document)}."
    ]
    for part, title, dtype in (
        ("step", "Training step (Adam), float32", "float32"),
        ("sweep", None, None),
        ("predict", "Predict one batch, float32", "float32"),
        ("latency", "Probabilities for rows of a NumPy array, 64-100-10, by what a user calls", None),
    ):
        records = records_of(document, part, dtype=dtype)
        if records and part in PICTURES:
            paragraphs.append(f"![{PICTURES[part]}]({shown.removesuffix('.json')}-{part}.svg)")
        if records and title:
            paragraphs += [f"**{title}**", "\n".join(table(document, records))]
    paragraphs += rest(document)
    paragraphs += [line for line in warnings_of(document) if line]
    paragraphs.append(
        f"`python -m benchmarks table {shown}` prints all tables, those for float64, odd sizes, widths and "
        f"threads too; `python -m benchmarks readme {shown}` made this section."
    )
    return "\n\n".join(paragraphs)


def rest(document):
    """One table of the parts that have a row or two each."""
    records = [r | {"flop": None} for r in records_of(document, "gradient", "sparse", "lbfgs", "fixed")]
    labels = {
        "gradient": "loss and gradient of {}, float64, 1 thread",
        "sparse": "training step of {}, float32",
        "lbfgs": "L-BFGS fit of digits, {}",
        "fixed": "{}",
    }
    lines = table(document, records, lambda r: labels[r["part"]].format(r["net"] if "net" in r else r["case"]))
    return ["**And**", "\n".join(lines)] if records else []


def rewrite(document, path):
    """Put the section into README.md."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{section(document, path)}\n{END}{after}")
