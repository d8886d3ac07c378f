"""The page of measurements: the pictures and tables of the run that the README shows, made from its JSON."""

import os
import re
from pathlib import Path

from benchmarks.parts import TITLES
from benchmarks.report.document import load, records_of
from benchmarks.report.readme import BEGIN, END, README, ROOT
from benchmarks.report.tables import machine_line, table, versions_line, warnings_of

DOCS = Path(__file__).parent.parent


def page():
    """Markdown: what was measured on, a section for each part, and what a reader must know to trust them."""
    shown = README.read_text().partition(BEGIN)[2].partition(END)[0]
    path = ROOT / re.search(r"benchmarks/results/\S+\.json", shown)[0]
    document = load(path)
    lines = [f"{machine_line(document)}. {versions_line(document)}. `{document['command']}`.", *warnings_of(document)]
    for part, title in TITLES.items():
        if not records_of(document, part):
            continue
        lines += ["", f"## {title[0].upper()}{title[1:]}"]
        picture = path.with_name(f"{path.stem}-{part}.svg")
        if picture.exists():
            lines += ["", f"![{title}]({os.path.relpath(picture, DOCS)})"]
        for dtype in dict.fromkeys(record["dtype"] for record in records_of(document, part)):
            lines += ["", f"In {dtype}:", "", *table(document, records_of(document, part, dtype=dtype))]
    return "\n".join(lines) + "\n"


def setup(app):
    app.connect("builder-inited", lambda app: (DOCS / "measurements.inc").write_text(page()))
    return {"parallel_read_safe": True}
