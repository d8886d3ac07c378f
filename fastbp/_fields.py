"""What files say, checked: each check returns its argument, or raises a ValueError that says what was expected."""

from collections.abc import Callable
from itertools import pairwise
from reprlib import repr as shortened

import numpy as np

_REQUIRED = object()
MOST = 2**53  # what counts steps and rows: beyond it floats have gaps, and the engine soon no room


def refuse(value, expected: str):
    raise ValueError(f"got {shortened(value)}, expected {expected}.")


def take(tree, name: str, check: Callable, default=_REQUIRED):
    """A field, checked; without a default it must be there."""
    if not isinstance(tree, dict):
        refuse(tree, f"an object with the field {name!r}")
    if name not in tree:
        if default is _REQUIRED:
            raise ValueError(f"the field {name!r} is missing.")
        return default
    try:
        return check(tree[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


# ---- plain values


def flag(value):
    return value if type(value) is bool else refuse(value, "true or false")


def text(value):
    return value if type(value) is str else refuse(value, "a string")


def count(value):
    return value if type(value) is int and 0 <= value <= MOST else refuse(value, "a whole number from 0 to 2^53")


def number(value):
    """Any number; infinities and NaN are such."""
    is_number = type(value) is float or (type(value) is int and abs(value) <= MOST)
    return value if is_number else refuse(value, "a number")


def rate(value):
    return value if 0 <= number(value) < np.inf else refuse(value, "a finite number >= 0")


def fields(value):
    return value if isinstance(value, dict) else refuse(value, "an object")


# ---- checks made of checks


def one_of(*choices):
    return lambda value: value if value in choices else refuse(value, " or ".join(map(repr, choices)))


def maybe(check):
    return lambda value: None if value is None else check(value)


def several(check, n=None):
    """A list of checked items, of n if that is given."""

    def items(value):
        if not isinstance(value, list | tuple) or n not in (None, len(value)):
            refuse(value, f"a list of {'any length' if n is None else n}")
        return [check(item) for item in value]

    return items


# ---- arrays


def vector(*dtypes):
    def array(value):
        if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype not in dtypes:
            refuse(value, f"a vector of {' or '.join(dtypes)}")
        return value

    return array


def layers(value):
    """(coefs, intercepts): two lists of arrays of one precision, whose shapes chain."""
    coefs, intercepts = several(several(lambda array: array), 2)(value)
    arrays = [*coefs, *intercepts]
    if not coefs or not all(
        isinstance(array, np.ndarray) and array.dtype in ("float32", "float64") for array in arrays
    ):
        raise ValueError("expected coefs and intercepts, lists of arrays of float32 or float64.")
    if len({array.dtype for array in arrays}) > 1:
        raise ValueError("expected arrays of one precision, got some of float32 and some of float64.")
    got = [array.shape for array in arrays]
    sizes = [*(shape[0] for shape in got[: len(coefs)] if shape), *got[-1]]
    if min(sizes) < 1 or got != [*pairwise(sizes), *((size,) for size in sizes[1:])]:
        raise ValueError(f"got arrays of shapes {shortened(got)}, expected each (n_in, n_out) to begin with the n_out "
                         "before, and then a bias of (n_out,) for each.")  # fmt: skip
    return coefs, intercepts


def layers_like(pair):
    """`layers` of the same shapes and precision as others."""
    expected = [(array.dtype, array.shape) for array in (*pair[0], *pair[1])]

    def check(value):
        coefs, intercepts = layers(value)
        if [(array.dtype, array.shape) for array in (*coefs, *intercepts)] != expected:
            raise ValueError("expected arrays of the types and shapes of coefs_ and intercepts_.")
        return coefs, intercepts

    return check


# ---- what training needs to go on


def optimizer_state(pair):
    """What get_optimizer_state() of a network with such coefs and intercepts returned."""

    def check(value):
        same = layers_like(pair)
        state = {
            "solver": take(value, "solver", text),
            "t": take(value, "t", count),
            "moments": take(value, "moments", several(same, 2)),
        }
        if "average" in value:
            state["average"] = take(value, "average", same)
            state["rates_squared"] = take(value, "rates_squared", rate)
        return state

    return check


def generator(value) -> np.random.RandomState:
    """The generator of this state; NumPy itself would read beyond the end of a key at another position."""
    take(value, "bit_generator", one_of("MT19937"))
    inner = take(value, "state", fields)
    key, position = take(inner, "key", vector("uint32")), take(inner, "pos", count)
    if len(key) != 624 or position > 624:
        raise ValueError(f"got a key of {len(key)} words at position {position}, expected 624, at 624 at most.")
    gauss = {"has_gauss": take(value, "has_gauss", one_of(0, 1)), "gauss": take(value, "gauss", number)}
    made = np.random.RandomState()
    made.set_state({"bit_generator": "MT19937", "state": {"key": key, "pos": position}, **gauss})
    return made
