"""Fails each allocation of a call in turn: it ends in a MemoryError, holds nothing, and the model goes on.

    python tests/faults/allocations.py [--all] [--every k] [--from n] [case ...]

runs the cases, each in a process of its own under allocations.c, which fails allocation n for n = 1, 2, ... until the
call needs no more. Failed are those of NumPy's arrays and of fastbp's compiled modules; with --all those of Python's
objects, too, of which CPython, NumPy and Cython lose some themselves: read what it says. After each failure the call
is made again and has to give what it gives without one. A leak is a number of blocks held that grows with each of five
such failures. Left out are the allocations of OpenMP: libgomp ends the process when it gets no memory or no thread.
"""

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import warnings
from array import array
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

SOURCE = Path(__file__).with_name("allocations.c")
N_REPEATS = 5  # growth in so many failures alike is a leak: a cache fills once

warnings.simplefilter("ignore")


def build(folder):
    """Compile what is preloaded; None without gcc or glibc."""
    library = Path(folder) / "allocations.so"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", SOURCE, "-o", library, "-lpthread"]
    try:
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    done = subprocess.run(["true"], env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, check=False)
    return library if done.returncode == 0 and not done.stderr else None


def run(library, cases, *options):
    """Run cases in one process under the preloaded library: its exit status and what it printed."""
    environment = {
        **os.environ, "LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc", "OMP_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONFAULTHANDLER": "1",
    }  # fmt: skip
    command = [sys.executable, __file__, "--inside", *options, *cases]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


# ---- the cases: a function that makes what the call needs, and the call


def cases():
    import numpy as np
    from scipy.sparse import csr_array

    from fastbp import MLPClassifier, MLPRegressor, backprop
    from fastbp import functional as F
    from fastbp._engine import Network

    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, (300, 20))
    y = (X[:, 0] > X[:, 1]) + (X[:, 2] > 0.5).astype(int)
    sparse = csr_array(X * (rng.uniform(size=X.shape) < 0.3))
    settings = {"hidden_layer_sizes": (40, 30), "max_iter": 2, "batch_size": 100, "random_state": 0}

    def classifier(**more):
        return lambda: MLPClassifier(**settings | more)

    def fitted(**more):
        return lambda: classifier(**more)().fit(X, y)

    def fit(model):
        model.fit(X, y)
        return [*model.coefs_, *model.intercepts_, model.predict_proba(X)]

    def fit_sparse(model):
        return model.fit(sparse, y).coefs_

    def regress(model):
        return [*model.fit(X, X[:, 0]).coefs_, model.predict(X)]

    def go_on(model):
        model.partial_fit(X, y, classes=[0, 1, 2])
        return [model.predict_proba(X).sum(axis=1).round(9)]  # ones, whatever was learned before

    def network():
        return Network((20, 40, 3), ["gelu"], "softmax", "log_loss", np.float32, n_threads=2)

    coefs = [rng.uniform(-0.1, 0.1, shape) for shape in ((20, 40), (40, 3))]

    def everything(_):
        net = network()
        net.set_parameters(coefs, [np.zeros(40), np.zeros(3)])
        net.set_optimizer("adam", clip_norm=1.0, ema_decay=0.9)
        net.set_dropout([0.1, 0.5], 0)
        target = y[:, None].astype(np.float32)
        net.train_epoch(X, target, None, 64, 0.01, 0.1, np.ones(len(X)))
        net.set_optimizer_state(net.get_optimizer_state())
        _, coef_grads, _ = net.loss_gradient(X, target)
        a, loss = net.evaluate(X, target)
        return [*net.get_parameters()[0], *coef_grads, a, np.array(loss), net.predict(X), net.input_gradients(X, 0)]

    def functional(_):
        x, w, dy = X[:8], np.full((30, 20), 0.1), np.ones((8, 30))
        z = F.linear_forward(x, w, np.ones(30))
        a = F.softmax_forward(z)
        return [a, F.softmax_backward(dy, a), *F.linear_backward(dy, x, w), F.gelu_backward(dy, z),
                F.cross_entropy_backward(a, a)]  # fmt: skip

    return {
        "network": (lambda: None, everything),
        "functional": (lambda: None, functional),
        "fit": (classifier(), fit),
        "fit on one thread": (classifier(n_threads=1), fit),
        "early stopping": (classifier(early_stopping=True), fit),
        "sparse": (classifier(), fit_sparse),
        "lbfgs": (classifier(solver="lbfgs"), fit),
        "custom loss": (lambda: MLPRegressor(**settings, loss=half_square), regress),
        "average and clipping": (classifier(ema_decay=0.9, clip_norm=0.1, dropout=0.5, activation="gelu"), fit),
        "partial_fit": (classifier(), go_on),
        "more partial_fit": (lambda: fitted()().partial_fit(X, y), go_on),
        "warm start": (fitted(warm_start=True, max_iter=1), lambda model: [np.ones(model.fit(X, y).n_layers_)]),
        "refit": (fitted(), fit),
        "predict": (fitted(), lambda model: [model.predict(X), model.predict_proba(X), model.transform(X)]),
        "input_gradients": (fitted(), lambda model: [model.input_gradients(X)]),
        "predictor": (fitted(), lambda model: [model.predictor()(X)]),
        "rows": (lambda: fitted()().predictor(), lambda predictor: [predictor(X), predictor(X[0])]),
        "backprop": (fitted(), lambda model: backprop(model, X, y).dW[1:]),
    }


def half_square(y, raw):
    return ((raw - y) ** 2).sum(axis=1) / 2, raw - y


# ---- one case, in the process where allocations fail


class ArrayMemory(ctypes.Structure):
    """NumPy's PyDataMem_Handler: whence the memory of arrays comes, of this thread's from `install` on."""

    _fields_ = (
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("malloc", "calloc", "realloc", "free")),
    )  # fmt: skip

    def install(self, library):
        from numpy._core import _multiarray_umath

        self.name, self.version = b"faults", 1
        for name in ("malloc", "calloc", "realloc", "free"):
            setattr(self, name, ctypes.cast(getattr(library, f"faults_array_{name}"), ctypes.c_void_p))
        api, object_ = ctypes.pythonapi, ctypes.py_object
        open_capsule = ctypes.PYFUNCTYPE(ctypes.c_void_p, object_, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
        make_capsule = ctypes.PYFUNCTYPE(object_, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
            ("PyCapsule_New", api)
        )
        functions = ctypes.cast(open_capsule(_multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
        set_handler = ctypes.PYFUNCTYPE(object_, object_)(functions[304])  # PyDataMem_SetHandler
        set_handler(make_capsule(ctypes.addressof(self), b"mem_handler", None))


array_memory = ArrayMemory()  # arrays refer to it until the end


class Faults:
    """The preloaded library; `fail` makes one call with its n-th allocation failed."""

    def __init__(self, of_python_too):
        self.library = ctypes.CDLL(None)
        self.library.faults_include(b"/fastbp/")
        array_memory.install(self.library)
        if of_python_too:
            self.library.faults_include(b"libpython")
            self.library.faults_include(b"")  # the program, which may be linked with its interpreter

    def fail(self, n, call):
        """What `call` returns, or None if it raises MemoryError; and how many allocations there were."""
        seen = result = None
        try:
            self.library.faults_arm(n)
            result = call()
        except MemoryError:
            pass
        except BaseException as error:  # of another library, which lost its own MemoryError
            result = [f"{type(error).__name__}: {error}"]
        while seen is None:
            with suppress(MemoryError):  # of ctypes itself, if the call needed fewer
                seen = self.library.faults_disarm()
        return result, seen

    def held(self):
        gc.collect()
        return self.library.faults_held()


def same(results, expected):
    import numpy as np

    return len(results) == len(expected) and all(map(np.array_equal, results, expected))


def inject(faults, name, make, call, every, first):
    """Fail allocation after allocation of the call; print how many were and what went wrong."""
    expected = call(make())
    call(make())  # what is made once and kept, is made
    gc.collect()
    gc.freeze()
    n, n_failed, n_survived, wrong = first, 0, 0, []
    while True:
        print(n, end=" ", file=sys.stderr, flush=True)  # what a crash leaves behind
        held = array("l", [])
        for _ in range(N_REPEATS):
            state = make()
            result, n_seen = faults.fail(n, lambda: call(state))  # noqa: B023
            if n_seen < n:
                break
            if result is None:
                n_failed += 1
                if not same(call(state), expected):
                    wrong.append(f"allocation {n}: the call after it gives something else")
            else:
                n_survived += 1
                if not same(result, expected):
                    wrong.append(f"allocation {n}: no MemoryError, but {result}")
            del state, result
            held.append(faults.held())
            if len(held) > 1 and held[-1] <= held[-2]:
                break
        if n_seen < n:
            break
        if len(held) == N_REPEATS and all(a < b for a, b in pairwise(held)):
            wrong.append(f"allocation {n}: blocks held {list(held)}")
        n += every
    print(f"{name}: {n_failed + n_survived} faults at {(n - first) // every} allocations, {n_failed} MemoryErrors, "
          f"{len(wrong)} findings", *wrong, sep="\n  ")  # fmt: skip
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--all", action="store_true", help="Python's own allocations, too")
    parser.add_argument("--every", type=int, default=1, help="fail only each k-th")
    parser.add_argument("--from", type=int, default=1, dest="first", help="begin with this one")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", default=[])
    options = parser.parse_args()
    if options.inside:
        known = cases()
        faults = Faults(options.all)  # after fastbp was loaded
        return min(1, sum([inject(faults, case, *known[case], options.every, options.first) for case in options.cases]))
    given = [f"--every={options.every}", f"--from={options.first}", *(["--all"] if options.all else [])]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        library = build(folder)
        if library is None:
            print("skipped: needs gcc and glibc")
            return 0
        for case in options.cases or cases():
            done = run(library, [case], *given)
            failures += done.returncode != 0
            print(done.stdout.strip() or f"{case}: ended with {done.returncode}\n{done.stderr[-3000:]}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
