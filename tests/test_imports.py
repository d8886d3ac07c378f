"""What importing fastbp brings along: nothing before it is needed, then what scikit-learn's networks import, too."""

import subprocess
import sys


def imported(*statements):
    """The modules that a fresh interpreter holds after each of these statements."""
    lines = ["import sys", *(f"{statement}; print(*sys.modules)" for statement in statements)]
    process = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return [set(line.split()) for line in process.stdout.splitlines()]


def test_the_package_alone_imports_nothing_large():
    (modules,) = imported("import fastbp")
    assert "fastbp" in modules
    assert not modules & {"numpy", "scipy", "sklearn", "joblib", "importlib.metadata", "email"}
    assert not [name for name in modules if name.startswith("fastbp.")]


def test_the_estimators_import_only_what_those_of_sklearn_do():
    theirs, ours = imported("import sklearn.neural_network", "from fastbp import MLPClassifier, MLPRegressor")
    packages = {name.partition(".")[0] for name in ours - theirs}
    assert packages - sys.stdlib_module_names <= {"fastbp", "sklearn"}
    unneeded = {"textbook", "functional", "_backprop", "_config", "_datasets"}
    assert not ours & {f"fastbp.{name}" for name in unneeded}


def test_the_version_is_there_when_asked_for():
    lines = "import fastbp; assert '__version__' not in vars(fastbp); print(fastbp.__version__)"
    process = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert process.stdout.strip()


def test_modules_are_there_when_asked_for():
    lines = "import fastbp; print(fastbp.functional.__name__, fastbp.inspection.__name__, fastbp.textbook.__name__)"
    process = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["fastbp.functional", "fastbp.inspection", "fastbp.textbook"]
