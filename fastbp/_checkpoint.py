"""A fit on disk: written whole or not at all, and read without running anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.sparse import issparse

from fastbp import _file
from fastbp._fields import (
    count,
    fields,
    generator,
    layers,
    layers_like,
    maybe,
    number,
    optimizer_state,
    rate,
    several,
    take,
)

# What may change between a fit and its resumption; random_state is compared, but as given, not as drawn from.
_FREE = {
    "n_threads", "verbose", "callbacks", "max_iter", "max_time", "checkpoint", "checkpoint_every", "resume_from",
    "warm_start",
}  # fmt: skip


@dataclass
class Checkpoint:
    """Where and how often a fit is saved, and the fit that it goes on from, if any."""

    path: Path | None  # None: it only resumes
    every: int  # epochs between two files
    parameters: dict  # of the estimator
    random_state: dict  # as it was when the initial weights, if any, were drawn
    data: int  # a fingerprint
    saved: dict | None = None

    @classmethod
    def begin(cls, parameters: dict, random_state: np.random.RandomState, data: int):
        """Return the checkpoint that an estimator's parameters ask for, or None, and the generator to draw from.

        It is `random_state`, or in a resumed fit one that draws the same numbers again.
        """
        path, resume_from = parameters["checkpoint"], parameters["resume_from"]
        if path is None and resume_from is None:
            return None, random_state
        described = describe(parameters)
        saved = None
        if resume_from is not None:
            saved = load(resume_from)
            compare(saved["parameters"], described)
            if saved["data"] != data:
                raise ValueError("The checkpoint was trained on other X, y, sample_weight or validation rows.")
            random_state = saved["random_state"]
        if path is not None:
            _file.library()  # if it is missing, that is told before training
            path = _file.destination(path)
        drawn_from = random_state.get_state(legacy=False)
        return cls(path, parameters["checkpoint_every"], described, drawn_from, data, saved), random_state

    def epoch_ends(self, epoch: int, is_last: bool, state: Callable[[], dict]):
        """Save state(), the training's part of the file, if it is time to."""
        if self.path is not None and (is_last or epoch % self.every == 0):
            fixed = {"parameters": self.parameters, "random_state": self.random_state, "data": self.data}
            save(self.path, {**fixed, **state()})


def save(path, content: dict):
    """Replace the file by `content`, at once."""
    _file.write(path, "checkpoint", content)


def load(path) -> dict:
    """Return what `save` was given, checked, and the generator itself; a ValueError says what is wrong."""
    with _file.named(path, "checkpoint"):
        content = _file.read(path, "checkpoint")
        weights = take(content, "weights", layers)
        checks = {
            "parameters": fields,
            "random_state": generator,
            "data": count,
            "n_rows": count,
            "best": _best_like(weights),
            "optimizer": optimizer_state(weights),
            "learning_rate": rate,
            "progress": _progress,
        }
        return {"weights": weights} | {name: take(content, name, check) for name, check in checks.items()}


def _best_like(weights):
    def check(best):
        value, parameters = several(lambda part: part, n=2)(best)
        return [number(value), maybe(layers_like(weights))(parameters)]

    return check


def _progress(progress):
    curves = dict.fromkeys(("losses", "scores", "validation_losses"), several(number))
    checks = {"n_epochs": count, "n_seen": count, "stale": count, "best": number, **curves}
    return {name: take(progress, name, check) for name, check in checks.items()}


def fingerprint(rows, validation, classes) -> int:
    """A number that tells data apart: of all targets and weights, the classes, and some rows of X."""
    known = 0 if classes is None else crc32(repr(classes.tolist()).encode())
    for part in (rows, validation):
        if part is None:
            continue
        some = part.X[np.unique(np.linspace(0, len(part.targets) - 1, 20).astype(np.intp))]
        some = some.toarray() if issparse(some) else np.ascontiguousarray(some)
        for array in (part.targets, part.sample_weight, some.astype(part.targets.dtype)):
            known = crc32(b"" if array is None else np.ascontiguousarray(array).tobytes(), known)
    return known


def describe(parameters: dict) -> dict:
    """The parameters as JSON has them; functions and other objects by their names."""
    return {name: _describe(value) for name, value in parameters.items()}


def _describe(value):
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_describe(item) for item in value]
    if isinstance(value, type) and issubclass(value, np.generic):
        return np.dtype(value).name
    return name_of(value)


def name_of(value) -> str:
    """What to call a function, another object, or a list of such."""
    if isinstance(value, list | tuple):
        return ", ".join(map(name_of, value))
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}".lstrip(".")


def compare(saved: dict, now: dict):
    """Refuse to resume with parameters that would give another fit."""
    free = _FREE - {"max_iter"} if _counts_steps(now) else _FREE
    names = [name for name in {**saved, **now} if name not in free and saved.get(name) != now.get(name)]
    if names:
        was = ", ".join(f"{name}={saved.get(name)!r}" for name in names)
        is_ = ", ".join(f"{name}={now.get(name)!r}" for name in names)
        raise ValueError(
            f"The checkpoint was saved with {was}, but now {is_}. Set them as they were, or fit without resume_from."
        )


def _counts_steps(parameters):
    """Whether the learning rate depends on the number of all steps."""
    is_scheduled = parameters.get("learning_rate", "constant") not in ("constant", "invscaling", "adaptive")
    return is_scheduled or 0 < parameters.get("warmup", 0) < 1


def check_fits(saved: dict, parameters, n_rows: int):
    """Refuse weights of other shapes or precision than the (coefs, intercepts) here, or other numbers of rows."""
    was, is_ = (_layout(*pair) for pair in (saved["weights"], parameters))
    if was != is_:
        raise ValueError(f"The checkpoint holds weights of {was}, but X, y and the parameters ask for {is_}.")
    if saved["n_rows"] != n_rows:
        raise ValueError(f"The checkpoint was trained on {saved['n_rows']} rows, but now there are {n_rows}.")


def _layout(coefs, intercepts):
    return ", ".join(f"{p.dtype} {p.shape}" for p in [*coefs, *intercepts])
