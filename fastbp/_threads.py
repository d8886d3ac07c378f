"""How many threads this process may use."""

import os
import threading
from functools import lru_cache

import joblib
from joblib.parallel import get_active_backend

from fastbp._engine import omp_max_threads

# More are refused by the system, in OpenMP by ending the process.
MOST_THREADS = 1024

_in_forked_child = False


def _note_fork():
    global _in_forked_child
    _in_forked_child = True


# OpenMP's thread pool does not survive fork: a parallel region in the child waits for threads that only the parent has.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@lru_cache(maxsize=1)
def _n_cpus() -> int:
    """Processors of this process: affinity and cgroup quota; read once, for it costs more than a small prediction."""
    return joblib.cpu_count()


def _in_joblib_thread() -> bool:
    """True in a worker of joblib's threading backend, whose siblings already occupy the processors."""
    return threading.current_thread() is not threading.main_thread() and get_active_backend()[0].nesting_level > 0


def effective_n_threads(n_threads: int | None = None) -> int:
    """Return the number of threads that `n_threads` stands for on this machine, now.

    Parameters
    ----------
    n_threads : int or None, default=None
        None: all that the machine allows, which is the least of the CPU affinity, the cgroup quota and what OpenMP
        was told (``OMP_NUM_THREADS``, threadpoolctl); one inside a worker thread of joblib. A positive number is
        taken as it is, up to 1024. -1 is all, -2 all but one, and so on.

    Returns
    -------
    n_threads : int
        At least 1; always 1 in a forked child, where OpenMP cannot be used safely.

    Examples
    --------
    >>> from fastbp._threads import effective_n_threads
    >>> effective_n_threads(1)
    1
    """
    if n_threads == 0:
        raise ValueError("n_threads=0 is invalid: give a positive number, -1 for all processors, or None.")
    if _in_forked_child:
        return 1
    if n_threads is not None and n_threads > 0:
        return min(int(n_threads), MOST_THREADS)
    if n_threads is None and _in_joblib_thread():
        return 1
    allowed = omp_max_threads()
    if not os.environ.get("OMP_NUM_THREADS"):
        allowed = min(allowed, _n_cpus())
    return allowed if n_threads is None else max(1, allowed + n_threads + 1)
