"""The contestants, one a file: each trains the same net on the same batches with Adam, and predicts."""

from benchmarks.contestants.base import TASKS, Contestant, UnavailableError
from benchmarks.contestants.fastbp_net import Fastbp
from benchmarks.contestants.jax_net import Jax
from benchmarks.contestants.numpy_net import NumPy, Textbook
from benchmarks.contestants.onnx_net import OnnxRuntime
from benchmarks.contestants.sklearn_net import ScikitLearn
from benchmarks.contestants.torch_net import PyTorch, PyTorchCompiled

CONTESTANTS = {
    cls.name: cls for cls in (Fastbp, PyTorch, PyTorchCompiled, Jax, OnnxRuntime, NumPy, ScikitLearn, Textbook)
}

__all__ = ["CONTESTANTS", "TASKS", "Contestant", "UnavailableError"]
