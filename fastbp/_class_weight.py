"""class_weight: a weight for each row where a row has one class, a pair for each output where it has several labels."""

import sys

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

LARGEST = sys.float_info.max  # Python's integers go on


def check_class_weight(class_weight, multilabel, incremental):
    """Refuse forms that do not suit the targets."""
    if incremental and isinstance(class_weight, str):
        raise ValueError(
            "class_weight 'balanced' is not supported for partial_fit, which cannot know the frequencies in the rows "
            "to come. Count them in all rows, or in a sample: sklearn.utils.class_weight.compute_class_weight("
            "'balanced', classes=classes, y=y), and give the weights as a dict."
        )
    for weights in class_weight if isinstance(class_weight, list) else [class_weight]:
        if isinstance(weights, dict) and not all(0 <= weight <= LARGEST for weight in weights.values()):
            raise ValueError(f"class_weight must hold finite weights that are not negative. Got {weights!r}.")
    if multilabel and isinstance(class_weight, dict):
        raise ValueError(
            f"class_weight={class_weight!r} is one dict, but y is multilabel. Give a list with a dict "
            "{0: weight, 1: weight} for each label, or 'balanced'."
        )
    if not multilabel and isinstance(class_weight, list):
        raise ValueError(
            "class_weight is a list, which is for multilabel targets, but each row of y has one class. Give a dict "
            "{class: weight}, or 'balanced'."
        )


def class_weights(class_weight, classes, y):
    """Return the weight of each of `classes`, counted in y if 'balanced'."""
    return compute_class_weight(class_weight, classes=classes, y=y)


def label_weights(class_weight, indicators):
    """Return, for each label, (what its cost counts at 0, at 1); `indicators` is the matrix of 0 and 1."""
    n_samples, n_labels = indicators.shape
    if isinstance(class_weight, str):
        positives = np.asarray(indicators.sum(axis=0), dtype=np.float64).ravel()
        counts = np.column_stack([n_samples - positives, positives])
        # n / (2 count), as for two classes; of a value that never occurs nobody asks
        return tuple(map(tuple, n_samples / (2 * np.maximum(counts, 1))))
    if len(class_weight) != n_labels:
        raise ValueError(f"class_weight has {len(class_weight)} dicts, expected {n_labels}: one for each label.")
    for weights in class_weight:
        if not isinstance(weights, dict) or not weights.keys() <= {0, 1}:
            raise ValueError(f"class_weight must hold a dict {{0: weight, 1: weight}} for each label. Got {weights!r}.")
    return tuple((float(weights.get(0, 1)), float(weights.get(1, 1))) for weights in class_weight)
