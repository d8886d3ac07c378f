"""The fixed list of fits whose bits stand committed: see test_reproducibility.py.

The data come from NumPy's RandomState and exact arithmetic alone, so that no libm has a say.
"""

import hashlib
from itertools import pairwise

import numpy as np
import scipy.sparse

from fastbp._engine import Network, Objective


def cubic(y, z):
    """A custom loss: sum_j |z_j - y_j|^3, added in the order of the columns."""
    r = z - y
    return np.abs(r * r * r).cumsum(axis=1)[:, -1], 3 * r * np.abs(r)


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
    "absolute error": ([12, 40, 5], ["gelu"], "identity", "absolute_error", "adam", 120, 50),
    "relu output": ([6, 17, 3], ["elu"], "relu", "squared_error", "momentum", 100, 33),
    "multilabel": ([90, 60, 17], ["relu"], "logistic", "binary_log_loss", "adam", 200, 64),
    "custom loss": ([12, 40, 5], ["selu"], "identity", cubic, "adam", 120, 50),
    "too large for L2": ([601, 530, 3], ["silu"], "softmax", "log_loss", "adam", 12, 8),
    "everything": ([150, 70, 33, 5], ["relu", "tanh"], "softmax", "log_loss", "rmsprop", 300, 128),
}

CLIPS, DROPPED = dict(clip_norm=2**-4, clip_value=2**-8), [0.2, 0.5, 0.3]
SETTINGS = {  # of some losses
    "from z": dict(parameter=1.5),
    "huber": dict(parameter=0.25),
    "quantiles": dict(levels=(0.25, 0.5, 0.875)),
    "smoothed": dict(smoothing=0.125),
    "multilabel": dict(class_weights=tuple((1, 1 + j % 5 / 4) for j in range(17))),
    "weighted labels": dict(parameter=2.0, smoothing=0.25, class_weights=((1, 2), (0.5, 1), (1, 1), (3, 0.25))),
}
OPTIONS = {  # of some nets
    "adamw": dict(weight_decay=0.5),
    "average": dict(ema_decay=0.75),
    "clipped": CLIPS,
    "dropout": dict(dropout=DROPPED),
    "sparse": dict(sparse=True),
    "multilabel": dict(sparse=True, dropout=[0.25, 0.5]),
    "everything": dict(sparse=True, dropout=DROPPED, weight_decay=0.5, ema_decay=0.75, **CLIPS),
}

# SHA-256, shortened to 16 hexadecimal digits, of the weights, losses, gradients and predictions: (float32, float64).
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
    "from z": ("cb7e47e1874bdd61", "3bc9643bd1e18b65"),
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
    "absolute error": ("7dd9ceda621ab931", "75ad3f188eab5340"),
    "relu output": ("4cd3eca79231694a", "9163f4dfa7e59da8"),
    "multilabel": ("daacdd1f8feee29f", "aab7656bc2f42bb8"),
    "custom loss": ("54fb6b053d9e32bf", "250043d1bec9919d"),
    "too large for L2": ("8c3e3be4bad448d5", "bedb2d1343b023af"),
    "everything": ("e6ccc2ec63cce168", "4855135131537514"),
}

# The same of `answers`.
ANSWERS = {
    "narrow": ("c2bbadd97baebb94", "fc0793a0efa91aeb"),
    "one layer": ("8b1b91fdbad41e34", "6b4174e36e438601"),
    "wide": ("d400fcb490be6d02", "fa8884c73df59963"),
    "deep": ("d8db47ac461e811c", "3b48f7dfc816b066"),
    "logistic": ("575138632da1c041", "f631e3b0254c87bd"),
    "identity": ("e2a69dd254403925", "22c39e8684fd4297"),
    "mixed": ("320b73bbc59d7650", "effcc47a9600d0bb"),
    "quadratic": ("454a7041c65cf48b", "6003337a2d0e4185"),
    "softmax quadratic": ("ff4a709f69c5e6a2", "888630803d3b1e3b"),
    "tanh output": ("d22d0752d6966aa1", "48f1b7706f15b188"),
    "one against all": ("36cd991a89f6885c", "ed55add27cf9394d"),
    "full batch": ("e0af7f715bd5d55c", "a4a60a0ebbcdcdcf"),
    "from a": ("fcc2e518e604ba9e", "ee941263fce31bd0"),
    "from z": ("3214c6b284212cee", "4ad1cf65d4a8d813"),
    "huber": ("970f6efcf1dba7a4", "9401ec19fd4afb21"),
    "quantiles": ("605f99f308176713", "e63d6a930ea4129c"),
    "smoothed": ("08d7ffc05966795f", "373dd0bf6f7891a4"),
    "weighted labels": ("feacab247f52453b", "3e27e97806c3df73"),
    "rmsprop": ("7e488ee4ea1db0de", "3e698b039b05c2d4"),
    "adamw": ("e3a794701c0386d2", "b02e18d9f1f43b74"),
    "average": ("b2657a9fc91f3fe6", "3d2a657afbc49ad6"),
    "schedule free": ("aa7b1f1e18e6df31", "9e03a431d4f70674"),
    "clipped": ("15894021200c45ce", "27fa590b7e13ddd0"),
    "dropout": ("9888e61ddfd39c8d", "1286cb5b5027101c"),
    "sparse": ("b9ae452be55f29c9", "6c819a8a84f23c5e"),
    "absolute error": ("93f6c12999757bb6", "09e7bfea1b81c740"),
    "relu output": ("44517607e21aa38f", "5ef5eddda15e1581"),
    "multilabel": ("df2b8850b6cf40d9", "5b3d780b3e912d14"),
    "custom loss": ("d2d93f0628bd87bd", "614ec3fcb88fd174"),
    "too large for L2": ("951c8a8812298e63", "8a60d2a0bce851de"),
    "everything": ("4ba7c7070200b5d8", "4f03974fa87303c3"),
}


def data(sizes, loss, n):
    """Integers / 2^k throughout: exact in float32."""
    rng = np.random.RandomState(42)
    X = rng.randint(-1024, 1025, (n, sizes[0])) / 1024
    if loss in ("log_loss", "focal"):
        y = rng.randint(sizes[-1], size=(n, 1))
    elif loss in ("squared_error", "absolute_error", "huber", "quantile", cubic):
        y = rng.randint(-512, 513, (n, sizes[-1])) / 1024
    else:
        y = rng.randint(2 if loss.startswith("binary") else 5, size=(n, sizes[-1])) + (loss == "gamma")
    scales = [2.0 ** -(1 + int(fan_in).bit_length() // 2) for fan_in in sizes[:-1]]
    coefs = [rng.randint(-2048, 2049, shape) / 1024 * s for shape, s in zip(pairwise(sizes), scales, strict=True)]
    intercepts = [rng.randint(-512, 513, size) / 1024 for size in sizes[1:]]
    return X, y, coefs, intercepts, rng.permutation(n), rng.randint(1, 9, n) / 4


def fingerprint(name, dtype, n_threads=1, isa=None, by_inputs=False, tile_panels=None, **rows):
    """The hashes of three epochs, with the average of the weights if there is one, and of all that a net then answers.

    `tile_panels` and `rows`: how the work is cut (Network.cut_tiles, Network.cut_rows).
    """
    sizes, activations, output, loss, optimizer, n, batch_size = NETS[name]
    options = dict(OPTIONS.get(name, {}))
    X, y, coefs, intercepts, order, weight = data(sizes, loss, n)
    X, y = X.astype(dtype), y.astype(dtype)
    if options.pop("sparse", False):
        X = scipy.sparse.csr_array(np.where(X * 1024 % 4 == 0, X, 0))
    settings = dict(n_threads=n_threads, isa=isa, by_inputs=by_inputs) | SETTINGS.get(name, {})
    net = Network(sizes, activations, output, loss, dtype, **settings)
    net.cut_rows(**rows)
    if tile_panels:
        net.cut_tiles(tile_panels)
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
    asked = order[order < 150]
    return digest(name, results), digest(name, answers(net, X[:150], y[:150], asked, weight[:150]))


def answers(net, X, y, order, weight):
    """What a trained net is asked besides: L-BFGS's function, the forms of its predictions, its layers, its slopes."""
    L = len(net.sizes) - 1
    evaluated, loss = net.evaluate(X, y, weight, order)
    passed = net.backprop(X, y, weight)
    forms = ["plain", "shares", "classes", *(["two_columns"] if net.sizes[-1] == 1 else [])]
    results = [
        *(net.predict(X, form=form) for form in forms),
        *(net.predict(X, layer, raw) for layer in range(1, L + 1) for raw in (False, True)),
        *(part for parts in ("z", "delta", "dW", "db") for part in passed[parts][1:]),
        *(net.input_gradients(X[:40], 0, raw) for raw in (False, True)),
        evaluated,
        np.array([loss, passed["loss"]]),
    ]
    objective = Objective(net, X, y, weight, [2.0**-l for l in range(L)], net.sizes[-1])
    coefs, intercepts = net.get_parameters()
    vector = np.concatenate([p.ravel() for p in (*coefs, *intercepts)]).astype(np.float64)
    for point in (vector, vector / 2):
        loss, gradient = objective(point)
        results += [np.array([loss]), gradient]
    return results


def digest(name, results):
    assert all(np.all(np.isfinite(r)) for r in results), name
    hashed = hashlib.sha256()
    for result in results:
        hashed.update(np.ascontiguousarray(result, result.dtype.newbyteorder("<")).tobytes())
    return hashed.hexdigest()[:16]
