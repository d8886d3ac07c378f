"""
Imbalanced classes
==================

Where one class is rare, a network that always says no is nearly always right. Weights of classes
and the focal loss change what training pays attention to; which rows they rank first is seen in a
precision-recall curve, and where the line between yes and no is drawn is another matter.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import PrecisionRecallDisplay, accuracy_score, balanced_accuracy_score, recall_score
from sklearn.model_selection import train_test_split

from fastbp import MLPClassifier

# %%
# Is it an 8? Digits, with three of four eights taken away: about one row in forty is left to find.

X, y = load_digits(return_X_y=True)
is_eight = y == 8
keep = ~is_eight | (np.cumsum(is_eight) % 4 == 0)
X, y = X[keep] / 16, is_eight[keep]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
print(f"{y_train.sum()} of {len(y_train)} rows are eights; always saying no is {100 * (1 - y_test.mean()):.1f} % right")

# %%
# The same small network, three ways.

models = {
    "plain": MLPClassifier((32,), alpha=1, max_iter=300, random_state=0),
    "balanced": MLPClassifier((32,), alpha=1, class_weight="balanced", max_iter=300, random_state=0),
    "balanced, focal": MLPClassifier(
        (32,), alpha=1, loss="focal", class_weight="balanced", max_iter=300, random_state=0
    ),
}
figure, axes = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
for name, model in models.items():
    model.fit(X_train, y_train)
    said = model.predict(X_test)
    accuracy, balanced = accuracy_score(y_test, said), balanced_accuracy_score(y_test, said)
    found = recall_score(y_test, said)
    print(f"{name:15}  accuracy {accuracy:.3f}  balanced accuracy {balanced:.3f}  eights found {found:.2f}")
    PrecisionRecallDisplay.from_estimator(model, X_test, y_test, name=name, ax=axes)
axes.set(title="Finding the eights", xlabel="share of the eights found", ylabel="share of right ones in what it found")
axes.legend(loc="lower left")
plt.show()
