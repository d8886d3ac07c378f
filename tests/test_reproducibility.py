"""One seed, one result: the bits after training are the committed ones for any instruction set and number of threads.

`python tests/test_reproducibility.py` prints the table of the machine at hand, to paste below after a deliberate change
of the arithmetic. The data come from NumPy's RandomState and exact arithmetic alone, so that no libm has a say.
"""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from conftest import assert_same_bits, assert_same_parameters, batch, build, random_net

from fastbp._engine import Network

THREADS = (1, 2, 3, 5)

NETS = {  # name: sizes, activations, output, loss, optimizer, rows, batch size
    "narrow": ([3, 5, 1], ["tanh"], "identity", "squared_error", "adam", 70, 32),
    "one layer": ([9, 4], [], "softmax", "log_loss", "momentum", 65, 20),
    "wide": ([70, 300, 130, 10], ["relu", "relu"], "softmax", "log_loss", "adam", 400, 200),
    "deep": ([28, 33, 31, 17, 16, 15, 2], ["tanh"] * 5, "logistic", "binary_log_loss", "nesterov", 900, 400),
    "logistic": ([64, 100, 10], ["logistic"], "softmax", "log_loss", "adam", 700, 300),
    "identity": ([10, 12, 3], ["identity"], "identity", "squared_error", "sgd", 90, 30),
    "mixed": ([12, 20, 19, 18, 5], ["relu", "logistic", "tanh"], "exp", "poisson", "adam", 120, 50),
    "quadratic": ([8, 30, 2], ["logistic"], "logistic", "squared_error", "momentum", 100, 25),
    "softmax quadratic": ([40, 80, 6], ["tanh"], "softmax", "squared_error", "adam", 500, 200),
    "tanh output": ([6, 17, 3], ["relu"], "tanh", "squared_error", "adam", 100, 33),
    "one against all": ([6, 20, 4], ["tanh"], "logistic", "log_loss", "adam", 100, 50),
    "full batch": ([4, 32, 16, 4], ["tanh", "tanh"], "softmax", "log_loss", "nesterov", 1000, 1000),
    "from a": ([12, 20, 19, 18, 17, 5], ["leaky_relu", "elu", "selu", "softplus"], "exp", "gamma", "adam", 120, 50),
    "from z": ([12, 40, 19, 18, 5], ["gelu", "silu", "mish"], "softmax", "focal", "adam", 120, 50),
    "huber": ([12, 40, 5], ["mish"], "identity", "huber", "adam", 120, 50),
    "quantiles": ([12, 40, 3], ["silu"], "identity", "quantile", "adam", 120, 50),
    "smoothed": ([12, 40, 5], ["relu"], "softmax", "log_loss", "adam", 120, 50),
    "weighted labels": ([12, 40, 4], ["relu"], "logistic", "binary_focal", "adam", 120, 50),
    "rmsprop": ([20, 50, 3], ["tanh"], "softmax", "log_loss", "rmsprop", 200, 64),
    "adamw": ([20, 50, 3], ["relu"], "identity", "squared_error", "adam", 200, 64),
    "average": ([20, 50, 3], ["tanh"], "softmax", "log_loss", "nesterov", 200, 64),
    "schedule free": ([20, 50, 33, 3], ["tanh", "tanh"], "softmax", "log_loss", "schedule_free", 300, 128),
    "clipped": ([40, 150, 5], ["tanh"], "softmax", "log_loss", "adam", 300, 128),
    "dropout": ([40, 150, 33, 5], ["relu", "tanh"], "softmax", "log_loss", "adam", 300, 128),
    "sparse": ([150, 70, 33, 5], ["relu", "tanh"], "softmax", "log_loss", "adam", 300, 128),
    "everything": ([150, 70, 33, 5], ["relu", "tanh"], "softmax", "log_loss", "rmsprop", 300, 128),
}

CLIPS, DROPPED = dict(clip_norm=2**-4, clip_value=2**-8), [0.2, 0.5, 0.3]
SETTINGS = {  # of some losses
    "from z": dict(parameter=1.5),
    "huber": dict(parameter=0.25),
    "quantiles": dict(levels=(0.25, 0.5, 0.875)),
    "smoothed": dict(smoothing=0.125),
    "weighted labels": dict(parameter=2.0, smoothing=0.25, class_weights=((1, 2), (0.5, 1), (1, 1), (3, 0.25))),
}
OPTIONS = {  # of some nets
    "adamw": dict(weight_decay=0.5),
    "average": dict(ema_decay=0.75),
    "clipped": CLIPS,
    "dropout": dict(dropout=DROPPED),
    "sparse": dict(sparse=True),
    "everything": dict(sparse=True, dropout=DROPPED, weight_decay=0.5, ema_decay=0.75, **CLIPS),
}

# SHA-256, shortened to 16 hexadecimal digits, of the weights, losses and predictions: (float32, float64).
EXPECTED = {
    "narrow": ("80f671edc8e7c2d4", "a145220005ee2ae7"),
    "one layer": ("b08cd15138372c90", "a69d156bba5d39d3"),
    "wide": ("0dd198708385bff9", "e5f5838645681c2d"),
    "deep": ("6ee986c6032774bf", "7d3c76b14d927548"),
    "logistic": ("46d91044965cf3d9", "b80ff308ca9134cb"),
    "identity": ("2f1f3d405ee038e2", "536273e247c1d3a0"),
    "mixed": ("719ba29cbcafac2a", "10469e355b98a1f4"),
    "quadratic": ("ec64c3954154c080", "e633d2ead5dee8f1"),
    "softmax quadratic": ("9166c01666fafe8c", "7a0877c771033952"),
    "tanh output": ("68b23e3550f71fd2", "0e6b4a74d670847c"),
    "one against all": ("8ecb3b2725809925", "884a416b65ae43bb"),
    "full batch": ("5864277145c09dc7", "18b9280c3d0bff14"),
    "from a": ("a98e6b61c2dfdd3c", "3661350ea86fa981"),
    "from z": ("03bbf7fb224e8081", "afe705d35aced41d"),
    "huber": ("d04f844d2b44fc73", "5c320108a6106ab0"),
    "quantiles": ("a6165ed843fb6826", "121038fb56aa8a9c"),
    "smoothed": ("a44d2a53450edfbb", "fb8ceae5c085cca8"),
    "weighted labels": ("512da9d5e5689398", "c1607df9d76e943d"),
    "rmsprop": ("6aa8d132d8ae793d", "a23fb104c886f428"),
    "adamw": ("873e94691544271d", "17b05e36b113d23e"),
    "average": ("761f1e1d98f32c83", "5ec5e8529df539b7"),
    "schedule free": ("93bfdaa82421b707", "38a48a455db568a3"),
    "clipped": ("ee0b64b3426d66e1", "ccb3fdc0b49a0e76"),
    "dropout": ("97d1cfaea5adc572", "6f65cbbeeab039c5"),
    "sparse": ("e97fc53d43bbf56e", "6cabdf05e32c6417"),
    "everything": ("e6ccc2ec63cce168", "4855135131537514"),
}


def data(sizes, loss, n):
    """Integers / 2^k throughout: exact in float32."""
    rng = np.random.RandomState(42)
    X = rng.randint(-1024, 1025, (n, sizes[0])) / 1024
    if loss in ("log_loss", "focal"):
        y = rng.randint(sizes[-1], size=(n, 1))
    elif loss in ("squared_error", "huber", "quantile"):
        y = rng.randint(-512, 513, (n, sizes[-1])) / 1024
    else:
        y = rng.randint(2 if loss.startswith("binary") else 5, size=(n, sizes[-1])) + (loss == "gamma")
    scales = [2.0 ** -(1 + int(fan_in).bit_length() // 2) for fan_in in sizes[:-1]]
    coefs = [rng.randint(-2048, 2049, shape) / 1024 * s for shape, s in zip(pairwise(sizes), scales, strict=True)]
    intercepts = [rng.randint(-512, 513, size) / 1024 for size in sizes[1:]]
    return X, y, coefs, intercepts, rng.permutation(n), rng.randint(1, 9, n) / 4


def fingerprint(name, dtype, n_threads=1, isa=None, by_inputs=False):
    """Three epochs, then the hash of all that came out, with the average of the weights if there is one."""
    sizes, activations, output, loss, optimizer, n, batch_size = NETS[name]
    options = dict(OPTIONS.get(name, {}))
    X, y, coefs, intercepts, order, weight = data(sizes, loss, n)
    X, y = X.astype(dtype), y.astype(dtype)
    if options.pop("sparse", False):
        X = scipy.sparse.csr_array(np.where(X * 1024 % 4 == 0, X, 0))
    settings = dict(n_threads=n_threads, isa=isa, by_inputs=by_inputs) | SETTINGS.get(name, {})
    net = Network(sizes, activations, output, loss, dtype, **settings)
    net.set_parameters([c.astype(dtype) for c in coefs], [i.astype(dtype) for i in intercepts])
    net.set_dropout(options.pop("dropout", None), seed=42)
    if optimizer in ("sgd", "momentum", "nesterov"):
        options |= dict(momentum=0.0 if optimizer == "sgd" else 0.9, nesterov=optimizer == "nesterov")
        optimizer = "sgd"
    net.set_optimizer(optimizer, **options)
    losses = [
        net.train_epoch(X, y, None, batch_size, 2**-6),
        net.train_epoch(X, y, order, batch_size, 2**-7, alpha=2**-4),
        net.train_epoch(X, y, order[::-1].copy(), batch_size, 2**-8, alpha=2**-4, sample_weight=weight),
    ]
    if net.averages:
        net.exchange_average()
    loss, coef_grads, intercept_grads = net.loss_gradient(X, y, alpha=2**-4)
    trained, biases = net.get_parameters()
    results = [*trained, *biases, *coef_grads, *intercept_grads, net.predict(X), np.array([*losses, (loss, 0, 0)])]
    assert all(np.all(np.isfinite(r)) for r in results), name
    digest = hashlib.sha256()
    for result in results:
        digest.update(np.ascontiguousarray(result, result.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("name", NETS)
def test_the_bits_are_the_committed_ones(isa, dtype, n_threads, name):
    assert fingerprint(name, dtype, n_threads, isa) == EXPECTED[name][dtype == np.float64]


@pytest.mark.parametrize("name", NETS)
def test_the_bits_do_not_depend_on_how_the_first_layer_is_stored(isa, dtype, name):
    assert fingerprint(name, dtype, 2, isa, by_inputs=True) == EXPECTED[name][dtype == np.float64]


SIZES = {"small": ([16, 32, 2], 100, 32), "medium": ([54, 200, 131, 7], 600, 256), "wide": ([300, 17], 257, 100)}


@pytest.mark.parametrize("size", SIZES)
def test_any_number_of_threads_gives_the_same_bits(size, dtype):
    """More threads than cores included: which thread computes a tile is no part of the sum."""
    sizes, n, batch_size = SIZES[size]
    p = random_net(sizes, ["tanh"] * (len(sizes) - 2), "softmax", "log_loss", n, dtype)
    X, y = batch(p)
    order = np.random.RandomState(0).permutation(n)
    results = []
    for n_threads in (1, 2, 3, 5):
        net = build(p, n_threads, "adam")
        losses = [net.train_epoch(X, y, order, batch_size, 0.01, 1e-3, p.sample_weight) for _ in range(2)]
        loss, coef_grads, _ = net.loss_gradient(X, y, p.sample_weight)
        passed = net.backprop(X, y)
        results.append((*net.get_parameters()[0], *coef_grads, *passed["delta"][1:], *passed["db"][1:], net.predict(X)))
        results[-1] += (np.array([*losses[0], *losses[1], loss, passed["loss"]]),)
    for other in results[1:]:
        assert_same_bits(other, results[0])


def test_the_number_of_threads_can_change_between_epochs(dtype):
    p = random_net([16, 64, 40, 3], ["relu", "relu"], "softmax", "log_loss", 300, dtype)
    changing, steady = build(p, 1, "adam"), build(p, 1, "adam")
    for n_threads in (1, 5, 2, 3):
        changing.n_threads = n_threads
        assert changing.n_threads == n_threads
        assert changing.train_epoch(*batch(p), None, 128, 0.01) == steady.train_epoch(*batch(p), None, 128, 0.01)
    assert_same_parameters(changing, steady)


if __name__ == "__main__":
    print("EXPECTED = {")
    for net in NETS:
        print(f'    "{net}": ("{fingerprint(net, np.float32)}", "{fingerprint(net, np.float64)}"),')
    print("}")
