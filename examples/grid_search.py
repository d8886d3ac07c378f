"""
Grid search
===========

``GridSearchCV`` tries every combination of some parameters. fastbp is an ordinary estimator in it:
its parameters have names in a pipeline, and where workers run side by side each takes its share of
the processors.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastbp import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)

# %%
# Early stopping makes each fit as long as it needs to be. Single precision is enough for a search.

model = make_pipeline(
    MinMaxScaler(), MLPClassifier(early_stopping=True, n_iter_no_change=5, dtype="float32", random_state=0)
)
grid = {
    "mlpclassifier__hidden_layer_sizes": [(16,), (32,), (64,)],
    "mlpclassifier__learning_rate_init": [0.001, 0.003, 0.01, 0.03, 0.1],
}
start = time.perf_counter()
search = GridSearchCV(model, grid, cv=3).fit(X_train, y_train)
n_fits = len(search.cv_results_["params"]) * search.n_splits_ + 1
print(f"{n_fits} fits in {time.perf_counter() - start:.1f} s")
print(search.best_params_)
print(f"cross-validated {search.best_score_:.3f}, on new rows {search.score(X_test, y_test):.3f}")

# %%
# Two parameters fill a plane:

sizes, rates = grid.values()
accuracy = search.cv_results_["mean_test_score"].reshape(len(sizes), len(rates))
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
image = axes.imshow(accuracy, cmap="viridis", aspect="auto")
for (row, column), value in np.ndenumerate(accuracy):
    dark = value < (accuracy.min() + accuracy.max()) / 2
    axes.text(column, row, f"{value:.3f}", ha="center", va="center", color="white" if dark else "black")
axes.set_xticks(range(len(rates)), rates)
axes.set_yticks(range(len(sizes)), [size[0] for size in sizes])
axes.set(xlabel="learning_rate_init", ylabel="units", title="Accuracy in cross-validation")
plt.show()
