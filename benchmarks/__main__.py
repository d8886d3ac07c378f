"""Command line of the benchmarks: measure and write JSON, tables and pictures; or remake those from a JSON."""

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np

from benchmarks import nets
from benchmarks.contestants import CONTESTANTS
from benchmarks.machine import describe, file_stem
from benchmarks.parts import TITLES, run
from benchmarks.progress import Progress
from benchmarks.report import document as report
from benchmarks.report.readme import rewrite
from benchmarks.report.tables import tables
from benchmarks.session import Session
from fastbp._threads import effective_n_threads

RESULTS = Path(__file__).parent / "results"
REMAKES = {
    "table": "print all tables of PATH",
    "plot": "draw the pictures of PATH beside it",
    "readme": "rewrite the section of README.md that shows PATH",
}


def net_argument(text):
    """A net of the standard list by its sizes, or any other as SIZES:BATCH[:ACTIVATION[:full]]."""
    for net in nets.NETS:
        if text in (net.text, net.text.partition(":")[0]):
            return net
    try:
        return nets.Net.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="parts: " + "; ".join(f"{name}: {title}" for name, title in TITLES.items()),
    )
    commands = parser.add_subparsers(dest="what", metavar="")
    for name, text in REMAKES.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("path", type=Path, metavar="PATH")
        if name == "plot":
            command.add_argument("--format", choices=("svg", "png"), default="svg")
    parts, everyone, dtypes = tuple(TITLES), tuple(CONTESTANTS), ("float32", "float64")
    parser.add_argument("--parts", nargs="+", choices=parts, metavar="PART", help=f"of {', '.join(parts)}")
    names = ", ".join(net.text.partition(":")[0] for net in nets.NETS)
    help_text = (
        f"for the parts step and predict, alone unless --parts: of {names}; or any other as SIZES:BATCH[:ACTIVATION]"
    )
    parser.add_argument("--nets", nargs="+", type=net_argument, metavar="NET", help=help_text)
    help_text = "for the parts step and predict"
    parser.add_argument("--dtype", nargs="+", choices=dtypes, default=dtypes, help=help_text)
    help_text = f"of {', '.join(everyone)}"
    parser.add_argument("--contestants", nargs="+", choices=everyone, default=everyone, metavar="NAME", help=help_text)
    parser.add_argument("--threads", type=int, help="for all contestants alike (default: what the machine allows)")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each contestant and case (default: 0.5)")
    parser.add_argument("--output", type=Path, help="JSON to write (default: benchmarks/results/<date>-<cpu>.json)")
    return parser.parse_args(argv)


def new_path(document):
    """<date>-<cpu>.json; a second run of the day does not overwrite the first."""
    stem = file_stem(document)
    path, count = RESULTS / f"{stem}.json", 1
    while path.exists():
        count += 1
        path = RESULTS / f"{stem}-{count}.json"
    return path


def draw(document, path, suffix="svg"):
    """The pictures of a document beside its JSON, where matplotlib is installed."""
    try:
        from benchmarks.report.plots import plot
    except ModuleNotFoundError as error:
        print(f"no pictures: {error.name} is not installed", file=sys.stderr)
        return
    for picture in plot(document, path, suffix):
        print(f"written: {picture}", file=sys.stderr)


def measure(arguments, argv):
    """Run, write the JSON and the pictures, print the tables."""
    session = Session(
        n_threads=effective_n_threads(arguments.threads),
        seconds=arguments.seconds,
        dtypes=tuple(np.dtype(name).type for name in arguments.dtype),
        progress=Progress(),
        nets=arguments.nets,
        names=tuple(arguments.contestants),
    )
    parts = arguments.parts or (("step", "predict") if arguments.nets else tuple(TITLES))
    command = shlex.join(["python", "-m", "benchmarks", *argv])
    document = describe(command, session.n_threads, session.seconds)
    path = arguments.output or new_path(document)
    try:
        run(session, parts, document)
    finally:
        if document.get("results"):
            report.save(document, path)
            print(f"written: {path}", file=sys.stderr)
    print(tables(document))
    draw(document, path)


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parse_arguments(argv)
    if arguments.what is None:
        return measure(arguments, argv)
    document = report.load(arguments.path)
    if arguments.what == "table":
        print(tables(document))
    elif arguments.what == "plot":
        draw(document, arguments.path, arguments.format)
    else:
        rewrite(document, arguments.path)


if __name__ == "__main__":
    main()
