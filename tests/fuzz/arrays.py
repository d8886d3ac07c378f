"""Arrays of any shape, type, layout and container, as small descriptions that hypothesis can draw, print and shrink."""

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse
from hypothesis import strategies as st

FLOATS = ("f8", "f4", "f2", "g", ">f8", ">f4")
TYPES = (*FLOATS, "i1", "i8", "u1", "u8", ">i4", "?", "O", "huge ints", "c16", "U", "S", "M8[D]", "mixed")
LAYOUTS = ("C", "F", "backwards", "strided", "read-only", "unaligned", "broadcast")
FORMATS = ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")
ODD = ("csr shuffled", "csr doubled", "csr int64", "csr mixed", "csr read-only", "csr zeros", "csr out of range")
TABLES = ("pandas", "polars", "pyarrow")
CONTAINERS = ("list", "memmap", "masked", "subclass", *(f"{f}_{k}" for f in FORMATS for k in ("array", "matrix")), *ODD)
SCALES = ("1e30", "1e-30", "1e150", "1e-300", "max", "min", "subnormal", "mixed ends")
VALUES = ("zeros", "ones", "a constant column", *SCALES, "a nan", "an inf", "a -inf")


class Array(NamedTuple):
    """What `build` makes an array of; `values` says how large its numbers are."""

    shape: tuple
    dtype: str = "f8"
    layout: str = "C"
    container: str = "array"
    values: str = "ordinary"
    seed: int = 0

    def build(self, folder):
        array = laid_out(as_type(self.numbers(), self.dtype), self.layout)
        try:
            with np.errstate(all="ignore"):
                return contained(array, self.container, folder)
        except Exception:  # the library has no such container of such a type
            return array

    def numbers(self):
        """The values before they are of the type asked for."""
        rng = np.random.RandomState(self.seed)
        x = rng.standard_normal(self.shape) * (rng.uniform(size=self.shape) < 0.8)
        ends = np.finfo(self.dtype if self.dtype in FLOATS else "f8")
        largest, least = min(float(ends.max), np.finfo("f8").max), max(float(ends.tiny), np.finfo("f8").tiny)
        if self.values in ("zeros", "ones"):
            x = np.full(self.shape, float(self.values == "ones"))
        elif self.values.startswith("1e"):
            x = x * float(self.values)
        elif self.values in ("max", "min", "subnormal"):
            x = np.sign(x) * {"max": largest, "min": least, "subnormal": float(ends.smallest_subnormal)}[self.values]
        elif self.values == "mixed ends":
            x = rng.choice(
                [0, -0.0, 1, -1, largest, -largest, least, 1e30, 1e-30, x.flat[0] if x.size else 0], self.shape
            )
        elif self.values == "a constant column" and x.ndim > 1 and x.shape[1]:
            x[:, 0] = 5
        elif self.values.startswith("a") and x.size:
            x.flat[rng.randint(x.size)] = {"a nan": np.nan, "an inf": np.inf, "a -inf": -np.inf}.get(self.values, 1)
        return x


def as_type(x, dtype):
    """The numbers in a type; those that it cannot hold become what NumPy makes of them."""
    with np.errstate(all="ignore"):
        if dtype == "huge ints":
            return np.array([int(np.sign(v)) * 10**400 for v in np.nan_to_num(x).flat], object).reshape(x.shape)
        if dtype == "mixed":
            values = [
                ["a", None, True, 1.5, np.float32(2)][int(abs(v) * 7) % 5] for v in np.nan_to_num(x).clip(-9, 9).flat
            ]
            return np.array(values, object).reshape(x.shape)
        if dtype == "M8[D]":
            return np.nan_to_num(x).clip(-9, 9).astype("i8").astype(dtype)
        return x.astype(dtype)


def laid_out(x, layout):
    """The same values elsewhere in memory."""
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "backwards":
        return x[::-1].copy()[::-1]
    if layout == "strided":
        return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x
    if layout == "unaligned" and x.dtype.kind in "fiuc" and x.size:
        block = np.zeros(x.nbytes + 1, np.uint8)[1:]
        unaligned = block.view(x.dtype).reshape(x.shape)
        unaligned[...] = x
        return unaligned
    if layout == "broadcast" and x.ndim and len(x):
        return np.broadcast_to(x[:1], x.shape)
    if layout == "read-only":
        x = x.copy()
        x.flags.writeable = False
    return x


class Subclass(np.ndarray):
    """An array that is not quite one."""


def contained(x, container, folder):
    """The array as another library, or another part of NumPy, holds it."""
    if container == "list":
        return x.tolist()
    if container == "memmap":
        path = Path(folder) / f"{x.dtype.kind}{x.size}.npy"
        np.save(path, x, allow_pickle=False)
        return np.load(path, mmap_mode="r")
    if container == "masked":
        return np.ma.masked_array(x, mask=np.arange(x.size).reshape(x.shape) % 7 == 3)
    if container == "subclass":
        return x.view(Subclass)
    if container in TABLES:
        return table(x, container)
    if container.startswith("csr "):
        return odd_csr(scipy.sparse.csr_array(x), container.removeprefix("csr "))
    if container != "array":
        return getattr(scipy.sparse, container)(x)
    return x


def table(x, library):
    if library == "pandas":
        import pandas

        return pandas.DataFrame(x) if x.ndim > 1 else pandas.Series(x)
    columns = {f"x{j}": x[:, j].copy() for j in range(x.shape[1])}
    if library == "polars":
        import polars

        return polars.DataFrame(columns)
    import pyarrow

    return pyarrow.table(columns)


def odd_csr(X, how):
    """The same matrix (but for "out of range") in a form that few expect."""
    if how == "shuffled":
        order = np.concatenate([np.arange(*ends)[::-1] for ends in zip(X.indptr, X.indptr[1:], strict=False)] or [[]])
        X.indices, X.data, X.has_sorted_indices = X.indices[order.astype(int)], X.data[order.astype(int)], False
    elif how == "doubled":
        parts = np.repeat(X.data, 2), np.repeat(X.indices, 2), X.indptr * 2
        X = scipy.sparse.csr_array(parts, shape=X.shape)
    elif how in ("int64", "mixed"):
        X.indices = X.indices.astype(np.int64)
        X.indptr = X.indptr.astype(np.int64 if how == "int64" else np.int32)
    elif how == "read-only":
        for part in (X.data, X.indices, X.indptr):
            part.flags.writeable = False
    elif how == "zeros":
        X.data[::2] = 0
    elif how == "out of range" and len(X.indices):
        X.indices[-1] = X.shape[1] + 3
    return X


# ---- what was there before and after


def contents(x):
    """All that an array, matrix, table or list holds, to compare before and after."""
    if x is None or np.isscalar(x):
        return repr(x)
    if scipy.sparse.issparse(x):
        names = ("data", "indices", "indptr", "offsets", "coords", "rows")
        return [type(x), x.shape, *(contents(getattr(x, name)) for name in names if hasattr(x, name))] + (
            [sorted(map(repr, x.items()))] if x.format == "dok" else []
        )
    if isinstance(x, np.ma.MaskedArray):
        return [contents(x.data), contents(x.mask)]
    if isinstance(x, np.ndarray):
        flags = x.flags.writeable, x.strides, x.dtype.str
        return [flags, repr(x.tolist()) if x.dtype.hasobject else np.asarray(x).tobytes()]
    if isinstance(x, (list, tuple)):
        return repr(x)
    return repr(copy.deepcopy(x).to_dict()) if hasattr(x, "to_dict") else repr(x.to_pydict())


def is_finite(x):
    """Whether all numbers in it are finite in float64; what holds no numbers is not."""
    try:
        x = x.tocsr().data if scipy.sparse.issparse(x) else np.ma.getdata(x)
        return np.asarray(x).dtype.kind != "c" and bool(np.isfinite(np.asarray(x, dtype=np.float64)).all())
    except (TypeError, ValueError, OverflowError):
        return False


# ---- strategies


def often(usual, *others):
    """The usual value in most draws; hypothesis shrinks towards it."""
    rare = st.sampled_from(others)
    return st.integers(0, 9).flatmap(lambda i: rare if i == 9 else st.just(usual))


SEEDS = st.integers(0, 99)
ROWS = often(17, 0, 1, 2, 3, 40, 200)
COLUMNS = often(4, 0, 1, 2, 17, 33)


def arrays(shape):
    """A strategy: some array of this shape, mostly of ordinary numbers."""
    return st.builds(
        Array,
        st.just(shape),
        st.sampled_from(("f8", "f4")).flatmap(lambda usual: often(usual, *TYPES)),
        often("C", *LAYOUTS),
        often("array", *CONTAINERS, *TABLES),
        often("ordinary", *VALUES, *SCALES),
        SEEDS,
    )


def shapes(n, m):
    """(n, m), and rarely something else."""
    return often((n, m), (n,), (n + 1, m), (n, m + 1), (n, m, 1), (), (1, n, m), (m, n), (0, m), (n, 0))
