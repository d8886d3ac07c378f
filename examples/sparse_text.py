"""
Text, as a sparse matrix
========================

Counts of words make a wide matrix of which nearly everything is zero. fastbp never makes it dense:
the first layer works on the nonzeros alone.

The texts are the docstrings of NumPy, SciPy and scikit-learn. The question: which of the three does
a sentence come from? The names of the packages are taken out of the sentences, as they would tell.
"""

import importlib
import inspect
import pkgutil
import re
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GroupShuffleSplit

from fastbp import MLPClassifier

PACKAGES = {
    "numpy": ["numpy", "numpy.linalg", "numpy.fft", "numpy.random", "numpy.ma", "numpy.polynomial"],
    "scipy": [f"scipy.{name}" for name in ("stats", "signal", "optimize", "linalg")],
    "sklearn": [
        f"sklearn.{module.name}" for module in pkgutil.iter_modules(importlib.import_module("sklearn").__path__)
    ],
}


def documented(package):
    """Everything public in a package that has a docstring of its own, once."""
    found = {}
    for name in PACKAGES[package]:
        if name.rpartition(".")[2].startswith("_") or name.endswith(("conftest", "externals")):
            continue
        module = importlib.import_module(name)
        for attribute in dir(module):
            value = getattr(module, attribute, None)
            own = (getattr(value, "__module__", None) or name).partition(".")[0] == package
            if not attribute.startswith("_") and callable(value) and own and inspect.getdoc(value):
                found[inspect.getdoc(value)] = f"{name}.{attribute}"
    return found


sentences, labels, sources = [], [], []
for package in PACKAGES:
    for text, source in documented(package).items():
        prose = re.sub(r"(?s)(>>>|\.\. ).*?(\n\n|$)", " ", text)  # without examples and directives
        for sentence in re.split(r"(?<=\.)\s+", prose):
            sentence = re.sub(r"(?i)\b(numpy|np|scipy|sklearn|scikit-learn|scikits?)\b", " ", sentence)
            if len(sentence.split()) >= 6:
                sentences.append(" ".join(sentence.split()))
                labels.append(package)
                sources.append(source)
labels = np.array(labels)
print({package: int((labels == package).sum()) for package in PACKAGES}, "sentences")
print("One of them:", sentences[1000])

# %%
# All sentences of a docstring go to one side of the split; otherwise the network would be tested on
# texts that it has half read.

train, test = next(GroupShuffleSplit(test_size=0.25, random_state=0).split(sentences, labels, groups=sources))
vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
X_train = vectorizer.fit_transform([sentences[i] for i in train])
X_test = vectorizer.transform([sentences[i] for i in test])
density = X_train.nnz / np.prod(X_train.shape)
print(f"{X_train.shape[0]} x {X_train.shape[1]}, {100 * density:.2f} % of it not zero")

# %%
# Few epochs and dropout on the inputs keep the network from learning sentences by heart; classes
# are weighted by their rarity.

model = MLPClassifier(
    (32,),
    input_dropout=0.3,
    class_weight="balanced",
    max_iter=5,
    n_iter_no_change=np.inf,
    dtype="float32",
    random_state=0,
)
linear = LogisticRegression(C=5, class_weight="balanced", max_iter=100)
for name, candidate in {"network": model, "logistic regression": linear}.items():
    start = time.perf_counter()
    candidate.fit(X_train, labels[train])
    print(f"{name:20} accuracy {candidate.score(X_test, labels[test]):.3f}, {time.perf_counter() - start:.1f} s")

# %%
# Where does it err?

figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
ConfusionMatrixDisplay.from_estimator(model, X_test, labels[test], normalize="true", cmap="Blues", ax=axes)
axes.set_title("Which package is the sentence from?")
plt.show()
