"""Initial weights, drawn from a NumPy RandomState in scikit-learn's order."""

from itertools import pairwise

import numpy as np


def glorot_bound(fan_in: int, fan_out: int, activation: str) -> float:
    """Half-width of Glorot's uniform distribution; the logistic function saturates sooner and gets a narrower one."""
    factor = 2.0 if activation == "logistic" else 6.0
    return np.sqrt(factor / (fan_in + fan_out))


def glorot_uniform(sizes, activation, random_state: np.random.RandomState, dtype):
    """Return (coefs, intercepts) for layers of these sizes: U(-bound, bound), for each layer W first, then b.

    `activation` is one for all, or a list of one for each layer of weights.
    """
    _check_room(sizes, dtype)
    names = [activation] * (len(sizes) - 1) if isinstance(activation, str) else activation
    coefs, intercepts = [], []
    for (fan_in, fan_out), name in zip(pairwise(sizes), names, strict=True):
        bound = glorot_bound(fan_in, fan_out, name)
        coefs.append(random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
        intercepts.append(random_state.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
    return coefs, intercepts


def _check_room(sizes, dtype):
    """Ask for the memory of all weights at once, and give it back: none is touched where there is not enough."""
    n = sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    try:
        np.empty(n, dtype)
    except (MemoryError, ValueError) as error:  # more than there is; more than can be addressed
        raise MemoryError(
            f"Layers of {sizes} units have {n} weights, for which there is no memory. Lower hidden_layer_sizes, or the "
            "number of features."
        ) from error
