"""A fitted model in the forms of other libraries."""

from fastbp._convert import to_sklearn


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
