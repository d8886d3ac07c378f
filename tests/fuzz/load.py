"""Spoiled files of models and checkpoints: each makes a model that predicts, or a ValueError that names the file.

    python tests/fuzz/load.py --minutes 10     mutants by chance
    python tests/fuzz/load.py --libfuzzer -max_total_time=600     guided by the coverage of fastbp's code: needs atheris

A mutant is a file with bits flipped, parts cut out or repeated, or its length, header or arrays edited; two in three
have a checksum that is right, so that what is behind it is reached. The process may have 2 GiB more than it begins
with: what allocates more by the word of a file fails. What is found is written to the working directory, as crash-*.
"""

import argparse
import json
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from copy import deepcopy
from pathlib import Path

import numpy as np
import safetensors.numpy

JUNK = [
    None, True, False, 0, 1, -1, 3, 2**31, 2**53 + 1, 2**63, -(2**63), 10**400, 0.5, -0.5, 1e308, 5e-324, "", "relu",
    "softmax", "identity", "log_loss", "quantile", "cosine", "adam", "multiclass", "float16", "a.b", "\ud800",
    "x" * 10_000,
    [], {}, [[]], [0, 1, 2], ["a", "b"], {"$float": "nan"}, {"$float": "inf"}, {"$float": "-inf"}, {"$tuple": []},
    {"$pairs": [[1, 2]]}, {"$pairs": [[[], 2]]}, {"$array": "missing"}, {"$array": "coefs_.0"}, {"$code": "1"},
]  # fmt: skip
DTYPES = ["F64", "F32", "F16", "BF16", "I64", "U64", "I32", "U32", "U8", "BOOL", "F8_E4M3", "F4", "C64", "S8"]
WORDS = [0, 1, 2**63 - 1, 2**64 - 1, *(struct.unpack("<Q", struct.pack("<d", x))[0] for x in (np.nan, np.inf, 1e308))]


def originals(directory):
    """(kind, bytes) of files in which there is something of everything."""
    from fastbp import MLPClassifier, MLPRegressor

    X = np.random.RandomState(0).standard_normal((30, 3))
    small = {"hidden_layer_sizes": (4, 3), "max_iter": 2, "random_state": 0, "batch_size": 10}
    labels = np.array(["a", "b", "ß"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    models = [
        MLPClassifier(**small, class_weight={"a": 2.0}, learning_rate="cosine", ema_decay=0.9).fit(X, labels),
        MLPClassifier(**small | {"random_state": np.random.RandomState(0)}, solver="sgd").fit(X, X > 0),
        MLPClassifier(**small, early_stopping=True).partial_fit(
            X, X[:, 0] > 0, classes=[0, 1], X_val=X, y_val=X[:, 0] > 0
        ),
        MLPRegressor("quantile", **small, quantile=[0.1, 0.9], dtype="float32", activation=["gelu", "tanh"]).fit(
            X, X[:, 0]
        ),
        MLPRegressor(**small, learning_rate=lambda step, n_steps: 1.0, solver="schedule_free").fit(X, X[:, :2]),
    ]
    path = Path(directory) / "original"
    for model in models:
        model.save(path)
        yield "model", path.read_bytes()
    MLPClassifier(**small, checkpoint=path, early_stopping=True).fit(X, labels)
    yield "checkpoint", path.read_bytes()


# ---- mutants; choose(n) is a number from 0 to n - 1


def nodes(tree):
    """(container, key) of all that is in a tree of dicts and lists."""
    for key, item in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(item, dict | list):
            yield from nodes(item)


def edit(tree, choose):
    """Put something else into one place of a tree."""
    places = list(nodes(tree))
    if not places:
        return
    (container, key), (other, other_key) = (places[choose(len(places))] for _ in range(2))
    match choose(5):
        case 0:
            del container[key]
        case 1:
            container[key] = deepcopy(other[other_key])
        case 2 if isinstance(container, list):
            container.append(deepcopy(container[key]))
        case 3 if isinstance(container[key], int | float):
            container[key] = -container[key] if choose(2) else container[key] * 2 + 1
        case _:
            container[key] = deepcopy(JUNK[choose(len(JUNK))])


def flip(data, choose):
    """Change the bytes of a file, whatever they are."""
    start = choose(len(data) + 1)
    end = min(len(data), start + 1 + choose(64))
    match choose(5):
        case 0:
            return data[:start]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:end] + data[start:]
        case 3:
            return struct.pack("<Q", WORDS[choose(len(WORDS))] if choose(2) else start) + data[8:]
        case _ if start < len(data):
            return data[:start] + bytes([data[start] ^ (1 << choose(8))]) + data[start + 1 :]
    return data


def mutant(data, choose):
    """The bytes of a file with one thing to four changed."""
    if choose(3) == 0:
        return flip(data, choose)
    length = 8 + struct.unpack("<Q", data[:8])[0]
    table, values = json.loads(data[8:length]), bytearray(data[length:])
    header = json.loads(table.pop("__metadata__")["fastbp"])
    for _ in range(1 + choose(4)):
        match choose(8):
            case 0 if table:  # a type, a shape or an offset
                tensor = table[list(table)[choose(len(table))]]
                if choose(2):
                    tensor["dtype"] = DTYPES[choose(len(DTYPES))]
                else:
                    edit(tensor, choose)
            case 1 if table:  # two arrays of one name, or turned
                names = list(table)
                first, second = (names[choose(len(names))] for _ in range(2))
                table[first], table[second] = table[second], table[first]
            case 2 if len(values) >= 8:  # numbers
                struct.pack_into("<Q", values, 8 * choose(len(values) // 8), WORDS[choose(len(WORDS))])
            case 3:
                edit(header, choose)
            case _ if isinstance(header.get("content"), dict):
                edit(header["content"], choose)
    return packed(table, header, values)


def packed(table, header, values):
    """The file, with a checksum that is right if the arrays can be read at all."""
    from fastbp._file import checksum

    def file(metadata):
        text = json.dumps({"__metadata__": metadata, **table}).encode()
        return struct.pack("<Q", len(text)) + text + values

    header.pop("crc32", None)
    try:
        header["crc32"] = checksum(header, safetensors.numpy.load(file({})))
    except Exception:  # whatever the library finds
        header["crc32"] = 0
    return file({"fastbp": json.dumps(header)})


# ---- what must hold


def outcome(path, kind):
    """Load the file and predict; how it went."""
    import fastbp
    from fastbp import _checkpoint

    try:
        loaded = fastbp.load(path) if kind == "model" else _checkpoint.load(path)
    except ValueError as error:
        if repr(str(path)) not in str(error):
            raise AssertionError("the error does not name the file") from error
        return "refused"
    if kind == "model":
        X = np.linspace(-1, 1, 5 * loaded.n_features_in_).reshape(5, -1)
        assert loaded.predict(X).shape[0] == 5
        if hasattr(loaded, "predict_proba"):
            assert loaded.predict_proba(X).shape[0] == 5
    return "loaded"


def report(path, kind, data):
    try:
        return outcome(path, kind)
    except BaseException:
        Path(f"crash-{kind}-{time.time_ns()}").write_bytes(data)
        raise


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--libfuzzer", action="store_true")
    options, others = parser.parse_known_args()
    warnings.simplefilter("ignore")
    directory = tempfile.mkdtemp()
    path, counts = Path(directory) / "mutant", Counter()
    if options.libfuzzer:
        import atheris

        with atheris.instrument_imports(include=["fastbp"]):
            import fastbp._checkpoint
            import fastbp._save  # noqa: F401
    files = list(originals(directory))
    limit = 2**31 + 1024 * int(Path("/proc/self/statm").read_text().split()[0]) * 4
    if not options.libfuzzer:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def one(choose):
        kind, original = files[choose(len(files))]
        data = mutant(original, choose)
        path.write_bytes(data)
        counts[report(path, kind, data)] += 1

    if options.libfuzzer:

        def guided(entropy):
            provider = atheris.FuzzedDataProvider(entropy)
            one(lambda n: provider.ConsumeIntInRange(0, n - 1))

        atheris.Setup(
            [sys.argv[0], "-rss_limit_mb=4096", "-timeout=60", "-max_len=64", "-len_control=0", *others], guided
        )
        atheris.Fuzz()
    rng, end = np.random.RandomState(options.seed), time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        one(lambda n: int(rng.randint(n)))
    print(", ".join(f"{count} {how}" for how, count in counts.items()))


if __name__ == "__main__":
    main()
