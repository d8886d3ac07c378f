"""A fitted model in the forms of other libraries, in files and in pickles."""

import warnings
from os import PathLike
from typing import TYPE_CHECKING

from sklearn.exceptions import InconsistentVersionWarning

import fastbp
from fastbp._convert import to_sklearn

if TYPE_CHECKING:
    import onnx
    import sklearn.neural_network
    import torch


class PickledByAnotherVersion(InconsistentVersionWarning):
    """A pickle was made by a fastbp that may keep other things in a model."""

    def __str__(self):
        return (
            f"This {self.estimator_name} was pickled by fastbp {self.original_sklearn_version} and may not work as it "
            f"should in fastbp {self.current_sklearn_version}. Train it again, or take models from one version to "
            "another by model.save(path) and fastbp.load(path)."
        )


class Portable:
    """What takes a fitted model elsewhere."""

    def to_sklearn(self) -> "sklearn.neural_network.MLPClassifier | sklearn.neural_network.MLPRegressor":
        """Return scikit-learn's estimator with the weights of this fitted model, and the same predictions.

        Parameters of training that scikit-learn's does not have are left out.

        Returns
        -------
        mlp : sklearn.neural_network.MLPClassifier or MLPRegressor

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If it could not predict the same: other activations, a list of quantiles, one logistic output per class.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastbp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(max_iter=500, random_state=0).fit(X, y)
        >>> bool((model.to_sklearn().predict(X) == model.predict(X)).all())
        True
        """
        return to_sklearn(self)

    def to_onnx(self, path: str | PathLike[str] | None = None, *, target_opset: int | None = None) -> "onnx.ModelProto":
        """Return the fitted model as an ONNX model, which onnxruntime and many others run without fastbp.

        Its input is "X", (n_rows, n_features) of any number of rows, in the precision of the model: a float32 model
        gives a graph of floats, a float64 model one of doubles (but for the error function of gelu, which
        onnxruntime has in single precision alone); ``set_params(dtype="float32")`` first asks for floats. Its outputs
        are skl2onnx's: of a classifier "label", int64 or string, (n_rows,), and "probabilities", (n_rows, n_classes);
        for multilabel targets both (n_rows, n_labels), labels 0 or 1; of a regressor "variable", (n_rows, n_outputs).
        The metadata hold the labels and the names of the columns, "classes" and "feature_names", as JSON.

        A Pipeline that ends with the model is converted by skl2onnx: see :func:`fastbp.register_onnx_converters`.

        Parameters
        ----------
        path : path or None, default=None
            File to write as well.
        target_opset : int or None, default=None
            Version of ONNX's operators, 11 or later; None is the latest that skl2onnx knows.

        Returns
        -------
        graph : onnx.ModelProto

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If a weight is not finite in the precision of the graph, or `target_opset` is below 11.
        ImportError
            If skl2onnx is not installed: ``pip install "fastbp[export]"``.

        Examples
        --------
        >>> import onnx
        >>> from sklearn.datasets import load_iris
        >>> from fastbp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(max_iter=500, random_state=0).fit(X, y)
        >>> graph = model.to_onnx()
        >>> onnx.checker.check_model(graph)
        >>> [value.name for value in (*graph.graph.input, *graph.graph.output)]
        ['X', 'label', 'probabilities']
        """
        from fastbp._onnx import to_onnx

        return to_onnx(self, path, target_opset)

    def to_torch(self) -> "torch.nn.Sequential":
        """Return the fitted model as a PyTorch module of Linear layers and activations, with copies of its weights.

        It gives the outputs before their activation (logits), (n_rows, n_outputs), as PyTorch's losses take them:
        ``torch.softmax(z, 1)`` of several classes, ``torch.sigmoid(z)`` of two classes (the probability of the second)
        or of multilabel targets, and ``torch.exp(z)`` of the losses 'poisson' and 'gamma' make them predictions;
        quantiles are not sorted yet, logistic outputs of several classes not yet divided by their sum.

        Its tensors have the precision of the model. Dropout comes along, so the module is returned in evaluation mode:
        call its `train` before training it. :func:`fastbp.from_torch` is the way back.

        Returns
        -------
        module : torch.nn.Sequential

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If a weight is not finite in the precision of the model.
        ImportError
            If PyTorch is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import torch
        >>> from sklearn.datasets import load_iris
        >>> from fastbp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(hidden_layer_sizes=8, max_iter=500, random_state=0).fit(X, y)
        >>> module = model.to_torch()
        >>> module
        Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=3, bias=True)
        )
        >>> probabilities = torch.softmax(module(torch.tensor(X)), dim=1)
        >>> np.allclose(probabilities.detach(), model.predict_proba(X))
        True
        """
        from fastbp._torch import to_torch

        return to_torch(self)

    def to_c(self, path: str | PathLike[str] | None = None, *, name: str = "mlp") -> str:
        """Return the fitted model as a C file, weights and all, for a device that has a C compiler and no more.

        The file is ISO C99 (and C++), needs the C library's ``<math.h>`` alone, allocates nothing and keeps no state:
        the weights are ``static const``, in the precision of the model, and ``set_params(dtype="float32")`` first asks
        for floats. With the default name a classifier has, declared at the top of the file,
        ``void mlp_predict_proba(const float x[], float probabilities[])``, ``int mlp_predict(const float x[])``, which
        returns a number of a class, and the labels, ``mlp_classes[]``; for multilabel targets
        ``void mlp_predict(const float x[], int labels[])``. A regressor has
        ``void mlp_predict(const float x[], float y[])``. Each takes one row. The sizes are ``MLP_N_FEATURES`` and
        ``MLP_N_CLASSES``, ``MLP_N_LABELS`` or ``MLP_N_OUTPUTS``.

        Parameters
        ----------
        path : path or None, default=None
            File to write as well.
        name : str, default='mlp'
            What all names in the file begin with: letters, digits and underscores, a letter first.

        Returns
        -------
        text : str

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `name` is none of C's, or a weight is not finite in the precision of the model.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastbp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(max_iter=500, random_state=0).fit(X, y)
        >>> text = model.set_params(dtype="float32").to_c(name="iris")
        >>> for line in [line for line in text.splitlines() if line.endswith(";")][:4]:
        ...     print(line)
        enum { IRIS_N_FEATURES = 4, IRIS_N_CLASSES = 3 };
        extern const long long iris_classes[IRIS_N_CLASSES];
        void iris_predict_proba(const float x[IRIS_N_FEATURES], float probabilities[IRIS_N_CLASSES]);
        int iris_predict(const float x[IRIS_N_FEATURES]);
        """
        from fastbp._c import to_c

        return to_c(self, path, name)

    def save(self, path: str | PathLike[str]) -> None:
        """Write this fitted model to a file, from which :func:`fastbp.load` makes it again.

        It is a safetensors file: the arrays as such, all else as JSON in its metadata, and no code. The file appears
        at once, when it is whole.

        Parameters, weights, classes, history and the state of the optimizer are kept, so that training goes on to the
        same bits. Functions, as values of `loss`, `learning_rate`, `scoring` or `callbacks`, are not: the loaded model
        predicts without them, and is trained again when they are given to :func:`fastbp.load`. `checkpoint` and
        `resume_from`, which are of this machine, come back as None; what `set_callbacks` and ``set_..._request`` have
        set is left out; parameters that are arrays come back as lists.

        Parameters
        ----------
        path : str or path-like
            The file, replaced if it is there; a symbolic link, too, is replaced, not followed. Its name may be any;
            ".safetensors" is usual.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If the model could not be loaded again: weights that are not finite, labels that are neither numbers nor
            strings, a class derived from MLPClassifier or MLPRegressor.
        OSError
            If the file cannot be written: FileNotFoundError if there is no such directory, IsADirectoryError if the
            path is one. What was there before is left.
        ImportError
            If safetensors is missing: ``pip install "fastbp[save]"``.

        Examples
        --------
        >>> import os, tempfile
        >>> import fastbp
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = fastbp.MLPRegressor(max_iter=5, random_state=0).fit(X, y)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> model.save(path)
        >>> again = fastbp.load(path)
        >>> bool((again.partial_fit(X, y).coefs_[0] == model.partial_fit(X, y).coefs_[0]).all())
        True
        """
        from fastbp._save import save

        save(self, path)

    # ---- pickles

    def __getstate__(self):
        return {**super().__getstate__(), "_fastbp_version": fastbp.__version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_fastbp_version", "before 0.1")
        if _compatible(version) != _compatible(fastbp.__version__):
            warnings.warn(
                PickledByAnotherVersion(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=fastbp.__version__,
                    original_sklearn_version=version,
                ),
                stacklevel=2,
            )
        super().__setstate__(state)


def _compatible(version):
    """What versions share that can read each other's pickles: all but the patch."""
    return version.split(".")[:2]
