"""
A model without fastbp
======================

A network is trained in one place and used in another: by onnxruntime in a service, by PyTorch in a larger model, by a
microcontroller that has a C compiler and nothing else. One fitted model, in its three other forms, gives the same
probabilities to the last digits.

It needs ``pip install "fastbp[export]" onnxruntime torch``, and ``gcc``.
"""

# %%
# A classifier of handwritten digits, in single precision, as small devices want it.

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastbp

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = fastbp.MLPClassifier((32, 16), activation="gelu", alpha=1, max_iter=500, random_state=0).fit(X_train, y_train)
probabilities = model.predict_proba(X_test)
print(f"accuracy {model.score(X_test, y_test):.3f}")

# %%
# ONNX
# ----
# ``to_onnx`` returns the graph, and writes it if it is given a path. The outputs are a label and the probabilities, for
# any number of rows.

graph = model.to_onnx()
session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
labels, by_onnx = session.run(["label", "probabilities"], {"X": X_test})
print("labels agree:", (labels == model.predict(X_test)).all())

# %%
# PyTorch
# -------
# ``to_torch`` gives layers that can be trained on or built into something larger. As usual there, the outputs are
# logits; ``fastbp.from_torch`` is the way back.

module = model.to_torch()
print(module)
with torch.no_grad():
    by_torch = torch.softmax(module(torch.from_numpy(X_test)), dim=1).numpy()
back = fastbp.from_torch(module, classes=model.classes_)
print("there and back, bit for bit:", np.array_equal(back.predict_proba(X_test), probabilities))

# %%
# C
# -
# ``to_c`` writes one file with the weights and two functions, for one row each. Here Python calls them by ctypes.

with tempfile.TemporaryDirectory() as folder:
    source, library = Path(folder) / "digits.c", Path(folder) / "digits.so"
    text = model.to_c(source, name="digits")
    command = ["gcc", "-std=c99", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", source, "-o", library, "-lm"]
    subprocess.run(command, check=True)
    digits = ctypes.CDLL(str(library))
for line in text.splitlines():
    if line.startswith(("enum", "extern", "void", "int")) and line.endswith(";"):
        print(line)


def pointer(row):
    return row.ctypes.data_as(ctypes.c_void_p)


by_c = np.empty_like(probabilities)
for row, answer in zip(X_test, by_c, strict=True):
    digits.digits_predict_proba(pointer(row), pointer(answer))
print("first digits:", [digits.digits_predict(pointer(row)) for row in X_test[:5]], "of", y_test[:5].tolist())

# %%
# Side by side
# ------------
# All four differ by rounding alone: a few units of the last of a float's seven digits.

doubtful = probabilities.max(axis=1).argmin()
for name, theirs in {"fastbp": probabilities, "onnxruntime": by_onnx, "PyTorch": by_torch, "C": by_c}.items():
    most, difference = theirs[doubtful].max(), np.abs(theirs - probabilities).max()
    print(f"{name:<12} {most:.9f}   largest difference {difference:.1e}")
