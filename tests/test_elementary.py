"""exp, log, tanh, the logistic function and what is made of their like: our own polynomials, held to a few ulp and to
IEEE 754 at the ends. tests/accuracy/run.py does the same on all floats."""

import numpy as np
import pytest
import reference
from conftest import assert_same_bits
from scipy.special import erfcx

from fastbp import _kernels

WIDER = {np.float32: np.float64, np.float64: np.longdouble}


def activation(name):
    return lambda x, isa: _kernels.activate(x, name, isa=isa)


def softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


FUNCTIONS = {  # name: (ours, the same in any type)
    "exp": (_kernels.exp, np.exp),
    "log": (_kernels.log, np.log),
    "tanh": (activation("tanh"), np.tanh),
    "logistic": (activation("logistic"), reference.logistic),
    "elu": (activation("elu"), lambda z: np.where(z < 0, np.expm1(np.minimum(z, 0)), z)),
    "softplus": (activation("softplus"), softplus),
    "silu": (activation("silu"), lambda z: z * reference.logistic(z)),
    "mish": (activation("mish"), lambda z: z * np.tanh(softplus(z))),
}

BENDS = {  # the interval in which the function is neither 0, 1, infinite nor z: (float32, float64)
    "exp": ((-104, 88.8), (-746, 709.8)),
    "log": ((0, 4), (0, 4)),
    "tanh": ((-10, 10), (-20, 20)),
    "logistic": ((-104, 18), (-746, 38)),
    "elu": ((-18, 2), (-38, 2)),
    "softplus": ((-104, 18), (-746, 38)),
    "silu": ((-87, 18), (-708, 38)),
    "mish": ((-87, 18), (-708, 38)),
}

ULPS = {"silu": 3, "mish": 3}  # what is not among these is held to 2


def arguments(name, dtype):
    """Where the function bends, close to 0, and every nth bit pattern of all floats, subnormals included."""
    bits = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    rng = np.random.RandomState(1)
    low, high = BENDS[name][dtype == np.float64]
    last = int(np.iinfo(bits).max)
    anywhere = np.arange(0, last, last // 200_003, dtype=bits).view(dtype)
    near_zero = rng.uniform(-1, 1, 100_000) * 2.0 ** rng.randint(-40, 0, 100_000)
    x = np.concatenate([rng.uniform(low, high, 200_000), near_zero, 1 + near_zero]).astype(dtype)
    x = np.concatenate([x, anywhere[np.isfinite(anywhere)]])
    if name in ("silu", "mish"):  # z e^z below is as inexact as e^z, which is subnormal
        return np.maximum(x, dtype(low))
    return np.abs(x) if name == "log" else x


def skip_without_a_wider_type(dtype):
    if np.finfo(WIDER[dtype]).eps >= np.finfo(dtype).eps:
        pytest.skip("long double is double here")


def ulps(got, exact):
    """The error in units of the last place of the exact value, rounded to got's type."""
    with np.errstate(over="ignore"):
        rounded = np.abs(exact.astype(got.dtype))
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], exact.astype(got.dtype)[~finite])
    return np.max(np.abs(got[finite] - exact[finite]) / np.spacing(rounded[finite]).astype(exact.dtype))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_within_few_ulp(isa, dtype, name, record_property):
    skip_without_a_wider_type(dtype)
    function, exact = FUNCTIONS[name]
    x = arguments(name, dtype)
    error = ulps(function(x[None], isa=isa)[0], exact(x.astype(WIDER[dtype])))
    record_property("ulp", float(error))
    assert error < ULPS.get(name, 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_instruction_set_gives_the_same_bits(isa, dtype, name):
    x = arguments(name, dtype)[None, ::3]
    function = FUNCTIONS[name][0]
    assert_same_bits([function(x, isa=isa)], [function(x, isa="baseline")])


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "logistic", "elu"])
def test_it_does_not_fall(isa, dtype, name):
    """From a float to the next ones up."""
    x = np.abs(arguments(name, dtype)[::10])
    x = np.concatenate([x, -x]) if name != "log" else x
    runs = [x]
    for _ in range(7):
        runs.append(np.nextafter(runs[-1], dtype(np.inf)))
    x = np.stack(runs, axis=1)
    y = FUNCTIONS[name][0](x, isa=isa)
    assert np.all(y[:, 1:] >= y[:, :-1])


ENDS = {  # f(x) exactly; the sign of a zero counts
    "exp": [(0.0, 1), (-0.0, 1), (np.inf, np.inf), (-np.inf, 0.0), (1e4, np.inf), (-1e4, 0.0)],
    "log": [(1, 0.0), (0.0, -np.inf), (-0.0, -np.inf), (np.inf, np.inf), (-1, np.nan), (-np.inf, np.nan)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1), (-np.inf, -1), (1e4, 1), (-1e4, -1)],
    "logistic": [(0.0, 0.5), (-0.0, 0.5), (np.inf, 1), (-np.inf, 0.0), (1e4, 1), (-1e4, 0.0)],
    "elu": [(0.0, 0.0), (-0.0, -0.0), (np.inf, np.inf), (-np.inf, -1), (1e4, 1e4), (-1e4, -1)],
    "softplus": [(np.inf, np.inf), (-np.inf, 0.0), (1e4, 1e4), (-1e4, 0.0)],
    "silu": [(0.0, 0.0), (-0.0, -0.0), (np.inf, np.inf), (-np.inf, -0.0), (1e4, 1e4), (-1e4, -0.0)],
    "mish": [(0.0, 0.0), (-0.0, -0.0), (np.inf, np.inf), (-np.inf, -0.0), (1e4, 1e4), (-1e4, -0.0)],
    "gelu": [(0.0, 0.0), (-0.0, -0.0), (np.inf, np.inf), (-np.inf, -0.0), (1e4, 1e4), (-1e4, -0.0)],
}


@pytest.mark.parametrize("name", ENDS)
def test_ends(isa, dtype, name):
    x, expected = np.array([*ENDS[name], (np.nan, np.nan)], dtype=dtype).T
    # Wide enough to reach the vector loop and its remainder alike.
    x, expected = (np.tile(v, (1, 5)) for v in (x, expected))
    function = FUNCTIONS[name][0] if name in FUNCTIONS else activation(name)
    assert_same_bits([function(x, isa=isa)], [expected])


def test_normal_distribution(isa, dtype):
    """gelu(z) / z is Φ(z) to rounding beside 1, and in the lower tail to some ulp of its own."""
    skip_without_a_wider_type(dtype)
    eps = np.finfo(dtype).eps
    beside_1, of_its_own = (1, 3) if dtype == np.float32 else (3, 8)  # SciPy's erfcx is 4 eps off near 0
    z = np.concatenate([np.linspace(-14, 14, 100_000), 2.0 ** -np.linspace(1, 100, 1000)]).astype(dtype)
    wide = z.astype(WIDER[dtype])
    tail = np.exp(-(wide**2) / 2) * erfcx(np.abs(z.astype(np.float64)) / np.sqrt(2)) / 2
    exact = wide * np.where(z < 0, tail, 1 - tail)
    error = np.abs(activation("gelu")(z[None], isa=isa)[0] - exact)
    assert np.all(error <= beside_1 * eps * np.abs(z))
    normal = np.abs(exact) > 100 * np.finfo(dtype).tiny
    assert np.all(error[normal] <= of_its_own * eps * np.abs(exact[normal]))


def test_subnormals(isa, dtype):
    """Nothing is flushed to zero, neither what comes in nor what goes out."""
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([[tiny, -tiny, 3 * tiny, np.finfo(dtype).tiny / 2]], dtype=dtype)
    assert_same_bits([FUNCTIONS["tanh"][0](x, isa=isa)], [x])
    np.testing.assert_allclose(_kernels.log(np.abs(x), isa=isa), np.log(np.abs(x)), rtol=4 * np.finfo(dtype).eps)
    lowest = np.log(np.longdouble(tiny)).astype(dtype)
    assert _kernels.exp(np.full((1, 1), lowest), isa=isa)[0, 0] > 0


def test_bounds_and_symmetry(isa, dtype):
    x = arguments("tanh", dtype)[None]
    y = FUNCTIONS["tanh"][0](x, isa=isa)
    assert np.all(np.abs(y) <= 1)
    assert_same_bits([-y], [FUNCTIONS["tanh"][0](-x, isa=isa)])
    p = FUNCTIONS["logistic"][0](x, isa=isa)
    assert np.all((p >= 0) & (p <= 1))
