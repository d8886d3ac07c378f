"""
Looking inside
==============

The displays of ``fastbp.inspection`` draw how a network learned, what it holds, and where its gradients get lost. They
work as scikit-learn's do: ``from_estimator`` draws, ``ax=`` says where.

They need matplotlib: ``pip install "fastbp[plot]"``.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastbp import MLPClassifier
from fastbp.inspection import (
    DistributionDisplay,
    FirstLayerDisplay,
    GradientFlow,
    GradientFlowDisplay,
    LossCurveDisplay,
    NetworkDisplay,
)

warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is chosen here
X, y = load_digits(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(X / 16, y, random_state=0, stratify=y)


def side_by_side():
    """Return two Axes of one figure."""
    return plt.subplots(ncols=2, figsize=(9, 4), layout="constrained")[1]


# %%
# How it learned
# --------------
# Several models on one axis: solid is the training loss, dashed the validation loss. The scores have an axis of their
# own.

left, right = side_by_side()
for rate in (0.001, 0.01):
    model = MLPClassifier((16,), learning_rate_init=rate, max_iter=60, random_state=0)
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    LossCurveDisplay.from_estimator(model, ax=left, name=f"rate {rate}", log_scale=True)
    LossCurveDisplay.from_estimator(model, ax=right, name=f"rate {rate}", curve="score")
left.set(title="Loss", ylim=(0.003, 4))  # room for the legend
right.set_title("Accuracy")
plt.show()

# %%
# Where gradients get lost
# ------------------------
# ``GradientFlow`` is a callback: after each epoch it writes down the norms of delta[l] and dW[l] on rows of ours. Below
# layers of logistic units each delta is several times smaller than the one above it, so the first layers stand still at
# first; relu passes delta on. :doc:`/backprop` says why.

flows = {}
for activation in ("logistic", "relu"):
    flow = flows[activation] = GradientFlow(X_val, y_val)
    deep = MLPClassifier((32,) * 5, activation=activation, max_iter=40, callbacks=flow, random_state=0)
    deep.fit(X_train, y_train)

for quantity in ("delta", "dW"):
    for ax, (activation, flow) in zip(side_by_side(), flows.items(), strict=True):
        GradientFlowDisplay.from_recorder(flow, ax=ax, quantity=quantity)
        ax.set(title=activation, ylim=(1e-5, 10))
    plt.show()

# %%
# What it holds
# -------------
# Histograms by layer: of the weights, and, given rows, of the activations. Units of tanh that saturate stand at -1 and
# 1, where f' is 0.

tanh = MLPClassifier((32, 32), activation="tanh", learning_rate_init=0.01, random_state=0).fit(X_train, y_train)
left, right = side_by_side()
DistributionDisplay.from_estimator(tanh, ax=left)
DistributionDisplay.from_estimator(tanh, X_val, ax=right)
left.set_title("Weights")
right.set_title("Activations")
plt.show()

# %%
# What the first layer looks for
# ------------------------------
# The weights of each unit as an image: pixels that switch it on are red, those that switch it off blue. The penalty
# ``alpha`` holds pixels that say nothing near 0; units without a picture it has silenced altogether.

smooth = MLPClassifier((20,), alpha=3, learning_rate_init=0.01, random_state=0).fit(X_train, y_train)
print(f"accuracy {smooth.score(X_val, y_val):.3f}")
FirstLayerDisplay.from_estimator(smooth, (8, 8), n_columns=5)
plt.show()

# %%
# All of a small network
# ----------------------

X, y = load_iris(return_X_y=True, as_frame=True)
species = load_iris().target_names[y]
small = MLPClassifier((5, 4), solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0).fit(X, species)
NetworkDisplay.from_estimator(small)
plt.show()
