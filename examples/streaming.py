"""
Warm start and streaming
========================

Rows may arrive over time. ``partial_fit`` learns from each chunk as it comes and keeps the state of
the optimizer; ``warm_start`` fits again, from where the last fit ended, when there are more rows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

from fastbp import MLPClassifier

X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
X = X / 16

# %%
# A stream: 400 chunks of 50 digits. Halfway the scanner is replaced, and from then on all images
# are negatives. Each chunk is first predicted, then learned, so that the accuracy is always that on
# rows not seen before in this form.

rng = np.random.default_rng(0)
n_chunks, change = 400, 200


def chunk(number):
    """Rows with a little noise, negatives after the change."""
    rows = rng.integers(len(X), size=50)
    images = np.clip(X[rows] + rng.normal(scale=0.1, size=(50, 64)), 0, 1)
    return (1 - images if number >= change else images), y[rows]


models = {
    "goes on learning": MLPClassifier((64,), learning_rate_init=0.005, random_state=0),
    "learned until the change": MLPClassifier((64,), learning_rate_init=0.005, random_state=0),
}
accuracy = {name: [] for name in models}
for number in range(n_chunks):
    images, digits = chunk(number)
    for name, model in models.items():
        accuracy[name].append(model.score(images, digits) if number else 0.1)
        if number < change or name == "goes on learning":
            model.partial_fit(images, digits, classes=np.arange(10))

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name, curve in accuracy.items():
    axes.plot(np.convolve(curve, np.ones(10) / 10, mode="valid"), label=name)
axes.axvline(change, color="grey", linestyle=":")
axes.text(change + 4, 0.02, "images become negatives", color="grey")
axes.set(xlabel="chunk", ylabel="accuracy (mean of ten chunks)", ylim=(0, 1), title="Test, then train")
axes.legend(loc="lower left")
plt.show()

# %%
# Warm start: the table grows, and each time ten epochs are spent on it. A fit that begins with the
# weights of the last one has ten more behind it each time; one that begins anew has ten.
# (``n_iter_no_change`` is infinite because patience, too, goes on over warm starts, as in scikit-
# learn.)

X_test, y_test = X[1400:], y[1400:]
settings = {"hidden_layer_sizes": (64,), "max_iter": 10, "n_iter_no_change": np.inf, "random_state": 0}
warm = MLPClassifier(warm_start=True, **settings)
print("rows   accuracy, warm   cold")
for n_rows in (200, 500, 800, 1100, 1400):
    cold = MLPClassifier(**settings)
    for model in (warm, cold):
        model.fit(X[:n_rows], y[:n_rows])
    print(f"{n_rows:4}   {warm.score(X_test, y_test):14.3f}   {cold.score(X_test, y_test):.3f}")
