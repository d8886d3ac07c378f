"""Measures how far the elementary functions of csrc/kernels are from the exact values.

    python tests/accuracy/run.py [--every N] [--sample N] [name ...]

In float32 it tries all 2^32 inputs in the domain in which the kernels use a function (or every Nth), in float64 a
sample: N points spread evenly over the bit patterns and over [-40, 40], each with the three floats next to it. For each
function it tells the greatest error in units of the last place, where it is, and how often the function falls though
its argument rises; it fails if an error is beyond its limit, if a function falls that must not, or if two instruction
sets differ in a bit. Infinities, NaN, both zeros and the subnormal numbers are among the inputs; a NaN or a zero of the
wrong sign is an infinite error.

The exact values are those of the C library in double for float32, and of GCC's libquadmath for float64 (oracle.c); they
are themselves compared with mpmath, where it is installed. It needs gcc, and a minute or two for each function.
"""

import argparse
import ctypes
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastbp._kernels import isa_names

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
FLAGS = ("-O3", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared", f"-I{CSRC}")  # setup.py
AVX2 = ("-mavx2", "-mfma")  # for baseline, too: its fma() is exact either way, and so comes sooner
ISA_FLAGS = {"avx512": ("-mavx512f", "-mavx512dq", *AVX2), "avx2": AVX2}
BITS = {np.float32: np.uint32, np.float64: np.uint64}
CHUNK = 1 << 20
INF = np.inf


@dataclass(frozen=True)
class Function:
    """A function and the inputs on which it is used.

    `limit`, `limit64`: of the error in float32 and float64, in ulp; `falls`: by how many floats it may fall though its
    argument rises, None where it is not monotone.
    """

    name: str
    float32: tuple[float, float] = (-INF, INF)
    float64: tuple[float, float] = (-INF, INF)
    limit: float = 2
    limit64: float = 2
    falls: int | None = 0

    def domain(self, dtype):
        return self.float32 if dtype == np.float32 else self.float64


FUNCTIONS = (
    Function("exp"),
    Function("log"),
    Function("log1p", (0, 1), (0, 1)),
    Function("expm1", (-INF, -(2.0**-149)), (-INF, -5e-324)),
    Function("normal", (-14.5, 14.5), (-39, 39), limit64=3.5),
    Function("bell", (-14.5, 14.5), (-39, 39), falls=None),
    Function("tanh"),
    Function("logistic"),
    Function("softplus", falls=2),
    Function("elu"),
    Function("selu"),
    # Below, Phi(z) and e^z are subnormal, and z times them is as inexact as they are.
    Function("gelu", (-12.8, INF), (-37.5, INF), limit=3.5, limit64=4.5, falls=None),
    Function("gelu", (-INF, -12.8), (-INF, -37.5), limit=INF, limit64=INF, falls=None),
    Function("silu", (-87.3, INF), (-708.3, INF), limit=3, limit64=3, falls=None),
    Function("silu", (-INF, -87.3), (-INF, -708.3), limit=INF, limit64=INF, falls=None),
    Function("mish", (-87.3, INF), (-708.3, INF), limit=3, limit64=3, falls=None),
    Function("mish", (-INF, -87.3), (-INF, -708.3), limit=INF, limit64=INF, falls=None),
)


class Report(ctypes.Structure):
    """The struct `report` of oracle.c."""

    _fields_ = [
        ("ulps", ctypes.c_double), ("ulps_at", ctypes.c_double),
        ("share", ctypes.c_double), ("share_at", ctypes.c_double),
        ("falls", ctypes.c_int64), ("deepest", ctypes.c_double), ("deepest_at", ctypes.c_double),
    ]  # fmt: skip


@dataclass
class Total:
    """What the Reports of all parts of the inputs say together."""

    ulps: float = 0.0
    ulps_at: float = np.nan
    share: float = 0.0
    share_at: float = np.nan
    falls: int = 0
    deepest: float = 0.0
    deepest_at: float = np.nan
    differing: int = 0
    tried: int = 0

    def add(self, report, differing, tried):
        for name in ("ulps", "share", "deepest"):
            if getattr(report, name) > getattr(self, name):
                setattr(self, name, getattr(report, name))
                setattr(self, f"{name}_at", getattr(report, f"{name}_at"))
        self.falls += report.falls
        self.differing += differing
        self.tried += tried


def compiled(folder, dtype):
    """The oracle of a precision, and {instruction set: its functions} for those that run here."""
    precision = 8 * dtype().itemsize

    best = ISA_FLAGS.get(isa_names()[0], ())

    def library(name, source, *options):
        made = Path(folder) / f"{name}_f{precision}.so"
        subprocess.run(["gcc", *FLAGS, *options, str(HERE / source), "-o", str(made), "-lquadmath", "-lm"], check=True)
        return ctypes.CDLL(str(made))

    def functions(isa):
        source = f'-DISA_SOURCE="isa/{isa}_f{precision}.c"'
        return library(isa, "functions.c", "-std=c11", *ISA_FLAGS.get(isa, best), source)

    oracle = library("oracle", "oracle.c", "-std=gnu11", "-fopenmp-simd", *best, f"-DFB_REAL={precision}")
    return oracle, {isa: functions(isa) for isa in isa_names()}


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def values(library, name, x):
    y = np.empty_like(x)
    getattr(library, f"fastbp_{name}")(address(x), address(y), ctypes.c_ssize_t(len(x)))
    return y


def whole_vectors(x):
    """x with its last element repeated, as long as whole vectors of any instruction set."""
    return np.pad(x, (0, -len(x) % 16), mode="edge")


def difference(y, other):
    """In how many elements the bits differ; a NaN equals a NaN."""
    bits = BITS[y.dtype.type]
    return int(np.count_nonzero((y.view(bits) != other.view(bits)) & ~(np.isnan(y) & np.isnan(other))))


def survey(oracle, libraries, name, x):
    """(Report, elements in which the instruction sets differ, elements) of a function on x."""
    padded, report = whole_vectors(x), Report()
    first, *others = (values(library, name, padded) for library in libraries.values())
    getattr(oracle, f"survey_{name}")(address(padded), address(first), ctypes.c_ssize_t(len(x)), ctypes.byref(report))
    oracle.falls(address(padded), address(first), ctypes.c_ssize_t(len(x)), ctypes.byref(report))
    return report, sum(difference(first, other) for other in others), len(x)


def patterns(dtype, low, high):
    """The ranges of bit patterns of the floats in [low, high], from 0 outwards; with infinity, NaN too."""
    bits = BITS[dtype]
    sign = 1 << (8 * dtype().itemsize - 1)

    def end(bound):
        return sign - 1 if np.isinf(bound) else int(dtype(abs(bound)).view(bits))

    upwards = [(end(low) if low > 0 else 0, end(high))] if high >= 0 else []
    downwards = [(sign + (end(high) if high < 0 else 0), sign + end(low))] if low < 0 else []
    return upwards + downwards


def all_inputs(dtype, low, high, every):
    """Stretches of neighbouring floats, each of which begins with the last of the one before."""
    for start, stop in patterns(dtype, low, high):
        for first in range(start, stop + 1, CHUNK * every):
            last = min(stop, first + CHUNK * every)
            yield np.arange(first, last + 1, every, dtype=np.uint64).astype(BITS[dtype]).view(dtype)


def sampled_inputs(dtype, low, high, n):
    """n / 2 floats evenly spread over the bit patterns, n / 2 over the values in [-40, 40], four neighbours each."""
    bits = BITS[dtype]
    ranges = patterns(dtype, low, high)
    steps = [(start, stop - 3, max(1, (stop - start) * len(ranges) * 2 // n)) for start, stop in ranges]
    starts = [np.arange(*step, dtype=np.uint64).astype(bits) for step in steps]
    near = np.linspace(max(low, -40), min(high, 40), n // 2)
    for part in (*starts, near[near < 0].view(bits), near[near >= 0].view(bits)):
        every = (part[:, None] + np.arange(4, dtype=bits)).ravel()
        for first in range(0, len(every), 1 << 14):
            yield every[first : first + (1 << 14)].view(dtype)
    yield np.array([x for x in (-INF, -0.0, 0.0, INF, np.nan) if not (x < low or x > high)], dtype=dtype)


def total(pool, oracle, libraries, function, inputs):
    result = Total()
    waiting = []
    for x in inputs:
        waiting.append(pool.submit(survey, oracle, libraries, function.name, x))
        if len(waiting) > 64:
            result.add(*waiting.pop(0).result())
    for future in waiting:
        result.add(*future.result())
    return result


def exact_by_mpmath():
    """{name: the function in mpmath}, or nothing without it."""
    try:
        import mpmath as mp
    except ImportError:
        return {}
    mp.mp.prec = 400
    root = mp.sqrt(2)
    scale, alpha = mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717")

    def softplus(x):
        return mp.log1p(mp.exp(x))

    def normal(x):
        return mp.erfc(-x / root) / 2

    def logistic(x):
        return 1 / (1 + mp.exp(-x))

    functions = {
        "exp": mp.exp, "log": mp.log, "log1p": mp.log1p, "expm1": mp.expm1, "tanh": mp.tanh,
        "normal": normal, "logistic": logistic, "softplus": softplus,
        "bell": lambda x: mp.exp(-x * x / 2),
        "elu": lambda x: x if x > 0 else mp.expm1(x),
        "selu": lambda x: scale * (x if x > 0 else alpha * mp.expm1(x)),
        "gelu": lambda x: x * normal(x),
        "silu": lambda x: x * logistic(x),
        "mish": lambda x: x * mp.tanh(softplus(x)),
    }  # fmt: skip
    return {name: lambda x, exact=exact: float(exact(mp.mpf(float(x)))) for name, exact in functions.items()}


def error_of_the_oracle(oracle, name, dtype, low, high, exact):
    """The error that the oracle gives to values rounded correctly, beyond the half unit that rounding makes."""
    x = np.random.RandomState(0).uniform(max(low, -12), min(high, 12), 500).astype(dtype)
    x = np.abs(x) if name == "log" else x
    rounded = np.array([exact(value) for value in x], dtype=dtype)
    report = Report()
    getattr(oracle, f"survey_{name}")(address(x), address(rounded), ctypes.c_ssize_t(len(x)), ctypes.byref(report))
    return max(0, report.ulps - 0.5)


def problems(function, dtype, result):
    """In words: what of the result is not as promised."""
    title = f"{function.name} in {dtype.__name__}"
    limit = function.limit if dtype == np.float32 else function.limit64
    if not result.ulps < limit and not np.isinf(limit):
        yield f"{title}: {result.ulps:.3f} ulp at {result.ulps_at!r}, expected less than {limit}"
    if function.falls is not None and result.deepest > function.falls:
        yield f"{title}: falls {result.falls} times, by up to {result.deepest:.0f} floats, at {result.deepest_at!r}"
    if result.differing:
        yield f"{title}: the instruction sets differ in {result.differing} of {result.tried}"


def line(function, dtype, result):
    """A row of the table."""
    low, high = function.domain(dtype)
    falls = "-" if function.falls is None else f"{result.falls}, by {result.deepest:.0f}" if result.falls else "0"
    share = f"{result.share:.2f}" if result.share < 10 else "-"  # of use where f(z) has the size of z, or less
    return (
        f"| {function.name}, {dtype.__name__} | [{low:.4g}, {high:.4g}] | {result.tried:,} | {result.ulps:.3f} "
        f"| {result.ulps_at:.9g} | {share} | {falls} |"
    )


def main(names, every, sample):
    n_threads = len(os.sched_getaffinity(0))
    mpmath = exact_by_mpmath()
    wrong = []
    print(f"{', '.join(isa_names())} on {platform.machine()}, {n_threads} threads\n")
    print("| function | of | inputs | ulp | at | of \\|x\\| eps | falls |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(n_threads) as pool:
        for dtype in (np.float32, np.float64):
            oracle, libraries = compiled(folder, dtype)
            for function in (f for f in FUNCTIONS if not names or f.name in names):
                domain = function.domain(dtype)
                wide = dtype == np.float64
                inputs = sampled_inputs(dtype, *domain, sample) if wide else all_inputs(dtype, *domain, every)
                result = total(pool, oracle, libraries, function, inputs)
                print(line(function, dtype, result), flush=True)
                wrong += problems(function, dtype, result)
                if function.name in mpmath:
                    off = error_of_the_oracle(oracle, function.name, dtype, *domain, mpmath[function.name])
                    wrong += [f"the oracle of {function.name} is {off:.3f} ulp off"] if off > 0.01 else []
    print("\n" + ("\n".join(wrong) or f"all as promised{'' if mpmath else '; no mpmath to check the oracle by'}"))
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ", ".join(dict.fromkeys(f.name for f in FUNCTIONS))
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {known} (default: all)")
    parser.add_argument("--every", type=int, default=1, help="try every Nth float32 (default: all)")
    parser.add_argument("--sample", type=int, default=1 << 22, help="float64 inputs (default: 4 million)")
    sys.exit(main(**vars(parser.parse_args())))
