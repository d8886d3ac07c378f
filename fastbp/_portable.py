"""A fitted model in the forms of other libraries, in files and in pickles."""

import warnings

from sklearn.exceptions import InconsistentVersionWarning

import fastbp
from fastbp._convert import to_sklearn


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

    def to_sklearn(self):
        """Return scikit-learn's estimator with the weights of this fitted model, and the same predictions.

        Parameters of training that scikit-learn's does not have are left out.

        Returns
        -------
        mlp : sklearn.neural_network.MLPClassifier or MLPRegressor

        Raises
        ------
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

    def save(self, path):
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
            The file, replaced if it is there. Its name may be any; ".safetensors" is usual.

        Raises
        ------
        ValueError
            If the model could not be loaded again: weights that are not finite, labels that are neither numbers nor
            strings, a class derived from MLPClassifier or MLPRegressor.
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
