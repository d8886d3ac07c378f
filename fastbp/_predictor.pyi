"""The types of _predictor.pyx, whose docstrings say the rest."""

from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class Predictor:
    def __init__(self, architecture, coefs, intercepts, form, sorts, n_threads, classes) -> None: ...
    @property
    def classes_(self) -> np.ndarray | None: ...
    @property
    def n_features_in_(self) -> int: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __call__(self, X: ArrayLike) -> NDArray[np.floating] | np.floating: ...
