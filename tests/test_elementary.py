"""exp, log, tanh and the logistic function: our own polynomials, held to 2 ulp and to IEEE 754 at the ends."""

import numpy as np
import pytest
import reference
from conftest import assert_same_bits

from fastbp import _kernels

WIDER = {np.float32: np.float64, np.float64: np.longdouble}

FUNCTIONS = {  # name: (ours, the same in any type)
    "exp": (_kernels.exp, np.exp),
    "log": (_kernels.log, np.log),
    "tanh": (lambda x, isa: _kernels.activate(x, "tanh", isa=isa), np.tanh),
    "logistic": (lambda x, isa: _kernels.activate(x, "logistic", isa=isa), reference.logistic),
}

BENDS = {  # the interval in which the function is neither 0, 1 nor infinite: (float32, float64)
    "exp": ((-104, 88.8), (-746, 709.8)),
    "log": ((0, 4), (0, 4)),
    "tanh": ((-10, 10), (-20, 20)),
    "logistic": ((-104, 18), (-746, 38)),
}


def arguments(name, dtype):
    """Where the function bends, close to 0, and bit patterns evenly spread over all floats, subnormals included."""
    bits = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    rng = np.random.RandomState(1)
    low, high = BENDS[name][dtype == np.float64]
    anywhere = rng.randint(np.iinfo(bits).max, size=200_000, dtype=bits).view(dtype)
    near_zero = rng.uniform(-1, 1, 100_000) * 2.0 ** rng.randint(-40, 0, 100_000)
    x = np.concatenate([rng.uniform(low, high, 200_000), near_zero, 1 + near_zero]).astype(dtype)
    x = np.concatenate([x, anywhere[np.isfinite(anywhere)]])
    return np.abs(x) if name == "log" else x


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
def test_within_2_ulp(isa, dtype, name, record_property):
    if np.finfo(WIDER[dtype]).eps >= np.finfo(dtype).eps:
        pytest.skip("long double is double here")
    function, exact = FUNCTIONS[name]
    x = arguments(name, dtype)
    error = ulps(function(x[None], isa=isa)[0], exact(x.astype(WIDER[dtype])))
    record_property("ulp", float(error))
    assert error < 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_instruction_set_gives_the_same_bits(isa, dtype, name):
    x = arguments(name, dtype)[None, ::3]
    function = FUNCTIONS[name][0]
    assert_same_bits([function(x, isa=isa)], [function(x, isa="baseline")])


ENDS = {  # f(x) exactly; the sign of a zero counts
    "exp": [(0.0, 1), (-0.0, 1), (np.inf, np.inf), (-np.inf, 0.0), (1e4, np.inf), (-1e4, 0.0)],
    "log": [(1, 0.0), (0.0, -np.inf), (-0.0, -np.inf), (np.inf, np.inf), (-1, np.nan), (-np.inf, np.nan)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1), (-np.inf, -1), (1e4, 1), (-1e4, -1)],
    "logistic": [(0.0, 0.5), (-0.0, 0.5), (np.inf, 1), (-np.inf, 0.0), (1e4, 1), (-1e4, 0.0)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ends(isa, dtype, name):
    x, expected = np.array([*ENDS[name], (np.nan, np.nan)], dtype=dtype).T
    # Wide enough to reach the vector loop and its remainder alike.
    x, expected = (np.tile(v, (1, 5)) for v in (x, expected))
    assert_same_bits([FUNCTIONS[name][0](x, isa=isa)], [expected])


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
