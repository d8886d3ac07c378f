"""The parts of a run, each of which can be run alone."""

import numpy as np

from benchmarks.contestants.jax_net import bind
from benchmarks.parts import by_net, estimators
from benchmarks.peak import one_core_peak

MODULES = (by_net, estimators)
TITLES = {name: title for module in MODULES for name, title in module.TITLES.items()}


def run(session, parts, document):
    """Measure `parts` into the document, case by case, so that one that is interrupted holds what was done."""
    bind(session.n_threads)
    session.progress.expect(sum(module.count(session, parts) for module in MODULES))
    document["peak_of_one_core"] = {
        np.dtype(dtype).name: one_core_peak(dtype, session.seconds) for dtype in (np.float32, np.float64)
    }
    document["results"] = []
    for module in MODULES:
        for record in module.measure(session, parts):
            document["results"].append(record)
            document["not_measured"] = session.not_measured()
