"""
Mixed columns of a data frame
=============================

A table has numbers on many scales and columns that name a category. A ``ColumnTransformer`` scales
the first and encodes the second, a network learns from both, and the pipeline of the two takes data
frames as they come.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.inspection import permutation_importance
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import RepeatedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastbp import MLPRegressor

# %%
# The data: 442 patients with diabetes, ten measurements a year before, and how the disease went on.
# The sex is coded 1 and 2 in this set, which is a name, not an amount; and age matters in decades.

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X["sex"] = X["sex"].map({1: "one", 2: "two"})
X["decade"] = (X.pop("age") // 10 * 10).astype(int).astype(str) + "s"
print(X.head())

# %%
# With 442 rows a network must be small and held back, here by a penalty and dropout. The targets
# are numbers up to 346; dividing them by their spread puts them on the scale on which networks
# learn.

columns = make_column_transformer(
    (StandardScaler(), make_column_selector(dtype_include=np.number)),
    (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=np.number)),
)
network = MLPRegressor(
    hidden_layer_sizes=(16,),
    activation="tanh",
    alpha=10,
    dropout=0.2,
    learning_rate_init=0.003,
    max_iter=400,
    random_state=0,
)
model = make_pipeline(columns, network)
linear = make_pipeline(columns, RidgeCV(np.logspace(-2, 3, 20)))

target = y / y.std()
folds = RepeatedKFold(n_splits=5, n_repeats=2, random_state=0)
for name, candidate in {"network": model, "ridge": linear}.items():
    scores = cross_val_score(candidate, X, target, cv=folds)
    print(f"{name:8} R2 {scores.mean():.3f} ± {scores.std():.3f}")

# %%
# Which columns does it need? Shuffling one at a time on held-out rows tells; the pipeline is asked
# with the columns of the table, before encoding.

X_train, X_test, y_train, y_test = train_test_split(X, target, random_state=0)
model.fit(X_train, y_train)
found = permutation_importance(model, X_test, y_test, n_repeats=30, random_state=0)

order = np.argsort(found.importances_mean)
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.boxplot(found.importances[order].T, orientation="horizontal", tick_labels=X.columns[order])
axes.axvline(0, color="grey", linewidth=1)
axes.set(xlabel="loss of R2 when the column is shuffled", title="What the network needs")
plt.show()
