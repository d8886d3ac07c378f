"""The yardstick: a loop of independent fused multiply-adds on each core."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from benchmarks.timer import alternate, repeats_for
from fastbp import _kernels

PEAK = "FMA peak"
# Seconds of one call: starting the threads takes some 0.1 ms, which a call of 1 ms would show as a lower peak.
PEAK_SECONDS = 0.03


class Peak:
    """A call runs the loop on `n_threads` cores and returns its FLOP, the same in every call."""

    def __init__(self, dtype, n_threads):
        self.dtype, self.n_threads = dtype, n_threads
        self.pool = ThreadPoolExecutor(n_threads)
        self.n_rounds = 1000 * repeats_for(lambda: _kernels.fma_peak(dtype, 1000), PEAK_SECONDS)
        self.flop = self()

    def __call__(self):
        return sum(self.pool.map(lambda _: _kernels.fma_peak(self.dtype, self.n_rounds), range(self.n_threads)))


peak_of = cache(Peak)


def one_core_peak(dtype, seconds):
    """FLOP a second of one core."""
    peak = peak_of(dtype, 1)
    return peak.flop / min(alternate({PEAK: peak}, seconds)[PEAK])
