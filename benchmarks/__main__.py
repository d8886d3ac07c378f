"""Command line of the benchmarks: measure, write JSON and print the table; or print the table of a JSON."""

import argparse
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np

from benchmarks.contestants import CONTESTANTS
from benchmarks.driver import PEAK, TASKS, run
from benchmarks.nets import NETS, Net
from benchmarks.table import table, time_text
from fastbp._threads import effective_n_threads

RESULTS = Path(__file__).parent / "results"


def net_argument(text):
    """A net of the standard list by its sizes, or any other as SIZES:BATCH[:ACTIVATION[:full]]."""
    for net in NETS:
        if text in (net.text, net.text.partition(":")[0]):
            return net
    try:
        return Net.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="what", metavar="")
    show = commands.add_parser("table", help="print the Markdown table of a JSON file and stop")
    show.add_argument("path", type=Path, metavar="PATH")
    names = ", ".join(net.text.partition(":")[0] for net in NETS)
    help_text = f"of {names}; or any other as SIZES:BATCH[:ACTIVATION]"
    parser.add_argument("--nets", nargs="+", type=net_argument, default=NETS, metavar="NET", help=help_text)
    parser.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=("float32", "float64"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    everyone = tuple(CONTESTANTS)
    help_text = f"of {', '.join(everyone)}"
    parser.add_argument("--contestants", nargs="+", choices=everyone, default=everyone, metavar="NAME", help=help_text)
    parser.add_argument("--threads", type=int, help="for all contestants alike (default: what the machine allows)")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each contestant, net and task (default: 2)")
    parser.add_argument("--output", type=Path, help="JSON to write (default: benchmarks/results/<date>-<cpu>.json)")
    return parser.parse_args(argv)


class Progress:
    """A line for each net as it is done; on a terminal, what is being measured is shown below, in place."""

    def __init__(self, n_nets, stream=sys.stderr):
        self.done, self.n_nets, self.stream = 0, n_nets, stream

    def status(self, net, dtype, text):
        if self.stream.isatty():
            self.stream.write(f"\r\x1b[K[{self.done + 1}/{self.n_nets}] {net.label}, {np.dtype(dtype).name}, {text}")
            self.stream.flush()

    def report(self, records):
        self.done += 1
        clear = "\r\x1b[K" if self.stream.isatty() else ""
        for task in dict.fromkeys(record["task"] for record in records):
            rows = [r for r in records if r["task"] == task and r["contestant"] != PEAK]
            times = "   ".join(f"{r['contestant']} {time_text(r['median'])}" for r in rows)
            where = f"[{self.done}/{self.n_nets}] {rows[0]['net']}, {rows[0]['dtype']}, {task}"
            self.stream.write(f"{clear}{where}:   {times}\n")
        self.stream.flush()


def new_path(document):
    """<date>-<cpu>.json; a second run of the day does not overwrite the first."""
    processor = re.sub(r"\(r\)|\(tm\)|@.*", "", document["machine"]["processor"].lower())
    cpu = re.sub(r"[^a-z0-9]+", "-", processor).strip("-")
    stem = f"{document['date'][:10]}-{cpu}"
    path, count = RESULTS / f"{stem}.json", 1
    while path.exists():
        count += 1
        path = RESULTS / f"{stem}-{count}.json"
    return path


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parse_arguments(argv)
    if arguments.what == "table":
        print(table(json.loads(arguments.path.read_text())))
        return
    progress = Progress(len(arguments.nets) * len(arguments.dtype))
    document = run(
        arguments.nets,
        [np.dtype(name).type for name in arguments.dtype],
        arguments.tasks,
        arguments.contestants,
        effective_n_threads(arguments.threads),
        arguments.seconds,
        command=shlex.join(["python", "-m", "benchmarks", *argv]),
        progress=progress.status,
        report=progress.report,
    )
    path = arguments.output or new_path(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(table(document))
    print(f"\nwritten: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
