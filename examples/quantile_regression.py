"""
Quantile regression
===================

A prediction without its uncertainty says half. With ``loss="quantile"`` and a list of levels one
network predicts several quantiles of what may come; they never cross.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPRegressor

X, y = load_diabetes(return_X_y=True)
y = y / 100
levels = [0.05, 0.25, 0.5, 0.75, 0.95]

# %%
# Is the band honest? On rows that the network has not seen, a share of about ``level`` of the
# targets should lie below the prediction of that level.

model = make_pipeline(
    StandardScaler(),
    MLPRegressor(
        loss="quantile",
        quantile=levels,
        hidden_layer_sizes=(16,),
        alpha=3,
        dropout=0.2,
        ema_decay=0.99,
        learning_rate_init=0.003,
        max_iter=200,
        n_iter_no_change=np.inf,
        random_state=0,
    ),
)
predicted = cross_val_predict(model, X, y, cv=KFold(10, shuffle=True, random_state=0))
for level, column in zip(levels, predicted.T, strict=True):
    print(f"level {level:.2f}: {np.mean(y <= column):.3f} of the targets lie below")
inside = np.mean((predicted[:, 0] <= y) & (y <= predicted[:, -1]))
print(
    f"the band from 5 % to 95 % holds {100 * inside:.0f} % of the targets; ascending in each row: "
    f"{bool(np.all(np.diff(predicted, axis=1) >= 0))}"
)

# %%
# With one input, the body mass index, the bands can be drawn: the disease goes on faster with it,
# and less predictably.

bmi = X[:, [2]]
model.fit(bmi, y)
grid = np.linspace(bmi.min(), bmi.max(), 200)[:, None]
low, lower, median, upper, high = model.predict(grid).T
figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
axes.scatter(bmi, y, s=10, color="grey", label="patients")
axes.fill_between(grid[:, 0], low, high, alpha=0.2, color="tab:blue", label="5 % to 95 %")
axes.fill_between(grid[:, 0], lower, upper, alpha=0.35, color="tab:blue", label="25 % to 75 %")
axes.plot(grid, median, color="tab:red", label="median")
axes.set(
    xlabel="body mass index (standardised)",
    ylabel="progression of the disease / 100",
    title="Five quantiles, one network",
)
axes.legend(loc="upper left")
plt.show()
