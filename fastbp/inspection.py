"""Plots of what is inside a network, in scikit-learn's Display convention.

A display is made by ``from_estimator``, which draws it at once. It keeps the numbers drawn, ``ax_`` and ``figure_``,
and ``plot(ax=...)`` draws it again elsewhere. matplotlib is needed: ``pip install "fastbp[plot]"``.

>>> import fastbp
>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True)
>>> model = fastbp.MLPClassifier((8, 8), learning_rate_init=0.01, random_state=0).fit(X, y)
>>> display = fastbp.inspection.LossCurveDisplay.from_estimator(model, log_scale=True)
>>> len(display.loss) == model.n_iter_
True
"""

from fastbp._plot_distribution import DistributionDisplay
from fastbp._plot_first_layer import FirstLayerDisplay
from fastbp._plot_gradients import GradientFlow, GradientFlowDisplay
from fastbp._plot_loss import LossCurveDisplay
from fastbp._plot_network import NetworkDisplay

__all__ = [
    "DistributionDisplay",
    "FirstLayerDisplay",
    "GradientFlow",
    "GradientFlowDisplay",
    "LossCurveDisplay",
    "NetworkDisplay",
]
