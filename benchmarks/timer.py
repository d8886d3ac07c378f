"""The one timer: every number of the benchmarks comes from `alternate`."""

import gc
import time

ROUNDS = 9
SETTLE = 0.05  # seconds; the waiting threads of OpenBLAS spin for some 30 ms after a product, on their neighbour's core
LONG = 0.1  # seconds; a call that takes so long warms itself up


def _seconds(call, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start


def repeats_for(call, seconds):
    """How many calls take `seconds`, at least 1; finding out is the warm-up, too."""
    call()
    repeats, taken = 1, _seconds(call, 1)
    while taken < 0.2 * seconds:
        repeats = max(2 * repeats, int(repeats * 0.25 * seconds / max(taken, 1e-9)))
        taken = _seconds(call, repeats)
    return max(1, round(repeats * seconds / taken))


def alternate(calls, seconds, on_round=lambda round: None):
    """Time `calls` (a dict of functions) in turn, A B C A B C ..., so that a slow minute of the machine hits all alike.

    Each call is measured for about `seconds` in all, in ROUNDS turns; a turn begins with a pause and,
    unless calls are LONG, an untimed one.
    Returns a dict of lists: the seconds of one call, one value a round.
    """
    repeats = {name: repeats_for(call, seconds / ROUNDS) for name, call in calls.items()}
    times = {name: [] for name in calls}
    gc_was_enabled = gc.isenabled()
    gc.disable()
    try:
        for round in range(ROUNDS):
            on_round(round)
            for name, call in calls.items():
                time.sleep(SETTLE)
                if not times[name] or times[name][-1] < LONG:
                    call()
                times[name].append(_seconds(call, repeats[name]) / repeats[name])
    finally:
        if gc_was_enabled:
            gc.enable()
    return times
