"""The estimators: scikit-learn's multilayer perceptrons, compiled, and what their users have asked for."""

from fastbp._classifier import MLPClassifier
from fastbp._convert import from_sklearn
from fastbp._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn"]
