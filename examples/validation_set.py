"""
Early stopping with a validation set of your own
================================================

Early stopping holds out random rows, unless it is told which. Where rows belong together, random
ones flatter: their neighbours are in the training set. The digits of scikit-learn were written by
thirteen people one after another; the question is how well the hand of somebody else will be read.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from fastbp import MLPClassifier

X, y = load_digits(return_X_y=True)
X = X / 16
settings = {
    "hidden_layer_sizes": (32,),
    "learning_rate_init": 0.003,
    "early_stopping": True,
    "scoring": "loss",
    "n_threads": 1,
    "random_state": 0,
}

# %%
# The same network, with random rows held out and with the rows of other writers, and the log loss
# that these promise beside what it is on writers who were in neither. The rows are taken in the
# order in which they were written, in five turns, so that each writer is a stranger once.
# ``scoring`` says what the validation rows are asked.

losses = []
print("                    random rows       other writers\nstrangers        promised  found    promised  found")
for turn in range(5):
    first = turn * len(X) // 5
    X_turn, y_turn = np.roll(X, -first, axis=0), np.roll(y, -first)
    X_new, y_new = X_turn[:360], y_turn[:360]
    models = {
        "random rows": MLPClassifier(validation_fraction=0.25, **settings).fit(X_turn[360:], y_turn[360:]),
        "other writers": MLPClassifier(**settings).fit(
            X_turn[720:], y_turn[720:], X_val=X_turn[360:720], y_val=y_turn[360:720]
        ),
    }
    losses.append([])
    for model in models.values():
        losses[-1] += [-model.best_validation_score_, log_loss(y_new, model.predict_proba(X_new))]
    print("rows {:4} to {:4}  {:7.3f} {:6.3f} {:11.3f} {:6.3f}".format(first, first + 359, *losses[-1]))
print("mean               {:7.3f} {:6.3f} {:11.3f} {:6.3f}".format(*np.mean(losses, axis=0)))

# %%
# What random rows promise is not kept. Other writers promise, on average, about what is found,
# though two or three of them are few, and each of them is different.
#
# Both curves of each fit are there, here those of the last turn. The weights are those of the best
# epoch, not of the last.

figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for axes, (name, model) in zip(panels, models.items(), strict=True):
    epochs = np.arange(1, model.n_iter_ + 1)
    best = np.argmax(model.validation_scores_)
    axes.plot(epochs, model.loss_curve_, label="training")
    axes.plot(epochs, model.validation_loss_curve_, label="validation")
    axes.plot(epochs[best], model.validation_loss_curve_[best], "o", color="black", label="kept")
    axes.set(title=f"validated on {name}", xlabel="epoch", yscale="log")
panels[0].set_ylabel("log loss")
panels[0].legend()
plt.show()
