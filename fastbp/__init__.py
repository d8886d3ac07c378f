"""Backpropagation, compiled: scikit-learn's multilayer perceptron at the speed of the processor."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    __version__: str
    textbook: ModuleType  # for reading: not in __all__
    from fastbp import functional, inspection
    from fastbp._backprop import backprop
    from fastbp._callbacks import Epoch
    from fastbp._config import show_config
    from fastbp._convert import from_sklearn
    from fastbp._onnx import register_onnx_converters
    from fastbp._predictor import Predictor
    from fastbp._save import load
    from fastbp._torch import from_torch
    from fastbp.mlp import MLPClassifier, MLPRegressor

__all__ = [
    "Epoch",
    "MLPClassifier",
    "MLPRegressor",
    "Predictor",
    "__version__",
    "backprop",
    "from_sklearn",
    "from_torch",
    "functional",
    "inspection",
    "load",
    "register_onnx_converters",
    "show_config",
]

_MODULES = ("functional", "inspection", "textbook")
_HOME = {
    "Epoch": "fastbp._callbacks",
    "MLPClassifier": "fastbp.mlp",
    "MLPRegressor": "fastbp.mlp",
    "Predictor": "fastbp._predictor",
    "backprop": "fastbp._backprop",
    "from_sklearn": "fastbp._convert",
    "from_torch": "fastbp._torch",
    "register_onnx_converters": "fastbp._onnx",
    "load": "fastbp._save",
    "show_config": "fastbp._config",
}


def __getattr__(name):
    # scikit-learn is imported with the estimators, not with `import fastbp`
    if name in _MODULES:
        return import_module(f"fastbp.{name}")
    if name == "__version__":
        value = _installed_version()
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'fastbp' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def _installed_version():
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fastbp")
    except PackageNotFoundError:  # built in place, not installed
        return "0+unknown"


def __dir__():
    return __all__
