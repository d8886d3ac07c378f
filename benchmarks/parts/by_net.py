"""The parts that time one call of the same net in the hands of every contestant."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import nets
from benchmarks.agreement import check_agreement
from benchmarks.contestants import CONTESTANTS, TASKS, UnavailableError
from benchmarks.nets import Data

EAGER = tuple(name for name in CONTESTANTS if name != "PyTorch compiled")


@dataclass(frozen=True)
class Part:
    """What is timed, of whom, and `cases(session)`: (net, dtype, threads) of each."""

    title: str
    task: str
    cases: Callable
    names: tuple = tuple(CONTESTANTS)
    count_flop: bool = True

    def wants(self, name):
        return name in self.names and getattr(CONTESTANTS[name], TASKS[self.task]) is not None


def at_threads(task_nets):
    """The nets on all threads, in single precision."""
    return lambda session: [(net, np.float32, session.n_threads) for net in task_nets]


def main_nets(session):
    return [(net, dtype, session.n_threads) for dtype in session.dtypes for net in session.nets or nets.NETS]


def forward_nets(session):
    alone = [(nets.FORWARD_NET, dtype, 1) for dtype in session.dtypes]
    return main_nets(session) + (alone if session.nets is None else [])


def scaling_nets(session):
    counts = {2**i for i in range(session.n_threads.bit_length()) if 2**i <= session.n_threads} | {session.n_threads}
    return [(net, np.float32, count) for net in nets.SCALING_NETS for count in sorted(counts)]


PARTS = {
    "step": Part("Training step (Adam)", "training", main_nets),
    "predict": Part("Predict one batch", "predict", forward_nets),
    "odd": Part("Training step of sizes that fit nothing", "training", at_threads(nets.ODD_NETS), EAGER),
    "sweep": Part(
        "Training step by width",
        "training",
        at_threads(nets.SQUARE_NETS),
        ("fastbp", "PyTorch", "JAX", "NumPy"),
    ),
    "threads": Part(
        "Training step by threads", "training", scaling_nets, ("fastbp", "PyTorch", "NumPy", "scikit-learn")
    ),
    "gradient": Part(
        "Loss and gradient of all rows",
        "gradient",
        lambda session: [(nets.GRADIENT_NET, np.float64, 1)],
    ),
    "sparse": Part(
        "Training step on sparse inputs", "training", at_threads([nets.SPARSE_NET]), ("fastbp", "scikit-learn"), False
    ),
}
TITLES = {name: part.title for name, part in PARTS.items()}


def enter(net, data, names, n_threads, note):
    """The contestants that can take part, by name; `note` is told why another one cannot."""
    entered = {}
    for name in names:
        try:
            entered[name] = CONTESTANTS[name](net, data, n_threads)
        except UnavailableError as reason:
            note(name, str(reason), net.label)
    return entered


def count(session, parts):
    """How many cases `measure` reports."""
    return sum(len(part.cases(session)) for name, part in PARTS.items() if name in parts)


def measure(session, parts):
    """Yield the records; a net that several parts want in one precision on as many threads is entered once."""
    wanted = {}
    for name in [name for name in PARTS if name in parts]:
        for case in PARTS[name].cases(session):
            wanted.setdefault(case, []).append(name)
    for (net, dtype, n_threads), names in wanted.items():
        with threadpool_limits(n_threads):
            yield from measure_net(session, net, dtype, n_threads, names)


def measure_net(session, net, dtype, n_threads, parts):
    """Yield the records of a net that is entered once."""
    other_threads = f", {n_threads} thread{'s' * (n_threads > 1)}" * (n_threads != session.n_threads)
    session.progress.status(net.label + other_threads, "preparing")
    able = {part: [name for name in session.names if PARTS[part].wants(name)] for part in parts}
    data = Data(net, dtype)
    anyone = [name for name in session.names if any(name in names for names in able.values())]
    entered = enter(net, data, anyone, n_threads, session.note)
    check_agreement(entered, net, {PARTS[part].task for part in parts})
    for name in parts:
        part = PARTS[name]
        yield from session.time(
            name,
            net.label + other_threads,
            {c: getattr(entered[c], TASKS[part.task]) for c in able[name] if c in entered},
            dtype,
            n_threads,
            flop=net.flop(part.task) if part.count_flop else None,
            per_call=net.n_batches if part.task == "training" else 1,
            net=net.label,
            sizes=net.sizes,
        )
