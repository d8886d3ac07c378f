"""Models to PyTorch and back answer the same, and go on learning on either side."""

import sys

import numpy as np
import pytest
from portable import ALL, IRIS, NAMES, SPECIES, answer, fitted
from sklearn.exceptions import NotFittedError

from fastbp import MLPClassifier, from_torch

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

torch = pytest.importorskip("torch")
from torch.nn.utils import prune  # noqa: E402

nn = torch.nn

SETS = sorted(set(NAMES))


def shown(z, model):
    """Predictions, from what a module makes of X."""
    output = {"softmax": lambda z: torch.softmax(z, 1), "logistic": torch.sigmoid, "exp": torch.exp}
    a = output.get(model.out_activation_, lambda z: z)(z).detach().numpy()
    if model._form() == "two_columns":
        return np.hstack([1 - a, a])
    if model._form() == "shares":
        return a / a.sum(axis=1, keepdims=True)
    return np.sort(a, axis=1) if model._loss.sorts else a


@pytest.mark.parametrize("case", ALL)
def test_to_torch(case, dtype):
    model, X = fitted(case, dtype)
    module = model.to_torch()
    assert {type(part) for part in module} >= {nn.Linear}
    z = module(torch.from_numpy(X))
    assert z.numpy(force=True).dtype == dtype
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(shown(z, model), answer(model, X), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", [case for case in ALL if case != "one class"])
def test_there_and_back(case, dtype):
    model, X = fitted(case, dtype)
    told = {"loss": model.loss}
    if hasattr(model, "classes_"):
        told |= {"multilabel": True} if case == "labels" else {"classes": model.classes_}
    else:
        told |= {"quantile": model.quantile}
    back = from_torch(model.to_torch(), **told)
    assert type(back) is type(model)
    assert np.array_equal(answer(back, X), answer(model, X))
    assert np.array_equal(back.predict(X), model.predict(X))
    assert back.coefs_[0].dtype == dtype
    for name in ("n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
        assert getattr(back, name) == getattr(model, name)
    assert (back.input_dropout, np.max(back.dropout)) == (model.input_dropout, model.dropout)


def test_dropout_waits_for_training():
    model, X = fitted("averaged", np.float32)
    module = model.to_torch()
    assert [part.p for part in module if isinstance(part, nn.Dropout)] == [0.1, 0.2, 0.2, 0.2]
    assert not module.training
    rows = torch.from_numpy(X)
    assert torch.equal(module(rows), module(rows))
    assert not torch.equal(module.train()(rows), module(rows))


def test_weights_are_copied_and_random_numbers_left():
    model, X = fitted("real", np.float64)
    before, state = model.predict(X), torch.get_rng_state()
    module = model.to_torch()
    assert torch.equal(torch.get_rng_state(), state)
    back = from_torch(module)
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.requires_grad
            parameter.zero_()
    assert np.array_equal(model.predict(X), before)
    assert np.array_equal(back.predict(X), before)


# ---- what others have made


def network(n_outputs, *end, dtype=torch.float64):
    """As one would write it: an activation used twice, layers in a Sequential, no biases, an Identity."""
    torch.manual_seed(0)
    f = nn.Mish()
    body = nn.Sequential(nn.Linear(8, 6, bias=False), f, nn.Dropout(0.25))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(4, 8), f, body, nn.Identity(), nn.Linear(6, n_outputs), *end
    ).to(dtype).eval()  # fmt: skip


X64 = torch.from_numpy(IRIS)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
@pytest.mark.parametrize("end", [nn.Softmax(dim=1), nn.LogSoftmax(dim=-1), None])
def test_several_classes(order, end):
    classes = [SETS[i] for i in order]
    module = network(3, *([end] if end else []))
    z = module(X64).detach()
    p = {nn.Softmax: lambda z: z, nn.LogSoftmax: torch.exp}.get(type(end), lambda z: torch.softmax(z, 1))(z).numpy()
    model = from_torch(module, classes=classes)
    assert list(model.classes_) == SETS
    np.testing.assert_allclose(model.predict_proba(IRIS)[:, order], p, rtol=1e-12)
    assert (model.predict(IRIS) == np.array(classes)[p.argmax(axis=1)]).all()
    assert (model.activation, model.dropout, model.hidden_layer_sizes) == ("mish", [0, 0.25], (8, 6))


@pytest.mark.parametrize("classes", [["no", "yes"], ["yes", "no"]])
@pytest.mark.parametrize(("n_outputs", "end"), [(1, None), (1, nn.Sigmoid()), (2, None), (2, nn.Softmax(dim=1))])
def test_two_classes(classes, n_outputs, end):
    p = network(n_outputs)(X64)
    p = (torch.sigmoid(p)[:, 0] if n_outputs == 1 else torch.softmax(p, 1)[:, 1]).detach().numpy()  # of the second
    model = from_torch(network(n_outputs, *([end] if end else [])), classes=classes)
    assert list(model.classes_) == ["no", "yes"]
    np.testing.assert_allclose(model.predict_proba(IRIS)[:, 1], p if classes[1] == "yes" else 1 - p)
    assert (model.predict(IRIS) == np.where(p > 0.5, *classes[::-1])).all()


def test_labels_and_targets():
    z = network(3)(X64).detach().numpy()
    labels = from_torch(network(3, nn.Sigmoid()), multilabel=True)
    np.testing.assert_allclose(labels.predict_proba(IRIS), 1 / (1 + np.exp(-z)))
    assert np.array_equal(labels.predict(IRIS), z > 0)
    np.testing.assert_allclose(from_torch(network(3)).predict(IRIS), z)
    np.testing.assert_allclose(from_torch(network(1)).predict(IRIS), network(1)(X64)[:, 0].detach())
    np.testing.assert_allclose(from_torch(network(3), loss="poisson").predict(IRIS), np.exp(z))
    quantiles = from_torch(network(3), loss="quantile", quantile=[0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles.predict(IRIS), np.sort(z, axis=1))
    shares = from_torch(network(3), classes=SETS, loss="squared_error").predict_proba(IRIS)
    np.testing.assert_allclose(shares, (a := 1 / (1 + np.exp(-z))) / a.sum(axis=1, keepdims=True))


def test_precision():
    assert from_torch(network(3, dtype=torch.float32)).coefs_[0].dtype == np.float32
    assert from_torch(network(3), dtype="float32").coefs_[-1].dtype == np.float32


# ---- going on


def step(module, loss, X, y, learning_rate):
    """One step of gradient descent in PyTorch, on all rows."""
    gradients = torch.autograd.grad(loss(module(X), y), [*module.parameters()])
    with torch.no_grad():
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            parameter -= learning_rate * gradient


@pytest.mark.parametrize("kind", ["classes", "two classes", "labels", "targets"])
def test_partial_fit_goes_on_as_pytorch_does(kind, dtype):
    told, loss, y, target = {
        "classes": ({"classes": SETS}, nn.CrossEntropyLoss(), NAMES, torch.from_numpy(SPECIES)),
        "two classes": ({"classes": [False, True]}, nn.BCEWithLogitsLoss(), SPECIES == 1, None),
        "labels": ({"multilabel": True}, lambda z, y: 3 * nn.functional.binary_cross_entropy_with_logits(z, y),
                   np.eye(3, dtype=int)[SPECIES], None),
        "targets": ({}, lambda z, y: 1.5 * nn.functional.mse_loss(z, y), IRIS[:, :3], None),
    }[kind]  # fmt: skip
    n_outputs = 1 if kind == "two classes" else 3
    X = IRIS.astype(dtype)
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 7), nn.SiLU(), nn.Linear(7, n_outputs)).to(torch.from_numpy(X).dtype)
    settings = {"solver": "sgd", "momentum": 0, "alpha": 0, "learning_rate_init": 0.1, "batch_size": len(X)}
    model = from_torch(module, **told, **settings)
    if target is None:
        target = torch.from_numpy(np.reshape(y, (len(X), -1)).astype(dtype))
    for _ in range(3):
        step(module, loss, torch.from_numpy(X), target, 0.1)
        model.partial_fit(X, y)
    tolerance = 100 * np.finfo(dtype).eps
    for linear, W, b in zip((module[0], module[2]), model.coefs_, model.intercepts_, strict=True):
        np.testing.assert_allclose(W, linear.weight.detach().T, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(b, linear.bias.detach(), rtol=tolerance, atol=tolerance)
    assert len(model.loss_curve_) == 3


def test_fit_goes_on_with_warm_start():
    model = from_torch(stack(nn.Tanh()), classes=SETS, warm_start=True, solver="lbfgs", max_iter=3)
    before = [W.copy() for W in model.coefs_]
    assert model.fit(IRIS, NAMES).score(IRIS, NAMES) > 0.8
    assert 0 < max(abs(W - old).max() for W, old in zip(model.coefs_, before, strict=True)) < 2


# ---- what has no counterpart


def stack(*modules):
    return nn.Sequential(nn.Linear(4, 5), *modules, nn.Linear(5, 3))


@pytest.mark.parametrize(
    ("module", "told", "message"),
    [
        (stack(nn.BatchNorm1d(5)), {}, r"module\[1\] is a BatchNorm1d.*fusion.fuse_linear_bn_eval"),
        (stack(nn.Sequential(nn.Conv1d(1, 1, 1))), {}, r"module\[1\]\[0\] is a Conv1d.*has no counterpart in fastbp"),
        (stack(nn.ReLU6()), {}, "Expected Linear, Dropout, .*LeakyReLU"),
        (stack(nn.LeakyReLU(0.2)), {}, "LeakyReLU with negative_slope=0.2, but that of fastbp's 'leaky_relu' is 0.01"),
        (stack(nn.ELU(2)), {}, "ELU with alpha=2"),
        (stack(nn.GELU("tanh")), {}, "GELU with approximate='tanh', but that of fastbp's 'gelu' is 'none'"),
        (stack(nn.Softplus(beta=2)), {}, "Softplus with beta=2"),
        (stack(nn.ReLU(), nn.Tanh()), {}, r"module\[2\] is a Tanh\(\), expected it right after a Linear"),
        (stack(nn.Dropout(0.5), nn.ReLU()), {}, r"module\[2\] is a ReLU\(\), expected it right after a Linear"),
        (stack(nn.Softmax(1)), {}, "Softmax.* after a hidden layer, expected it after the last Linear alone"),
        (nn.Sequential(nn.Tanh(), stack()), {}, r"module\[0\] is a Tanh"),
        (nn.Sequential(nn.Flatten(0), stack()), {}, r"module\[0\] is a Flatten"),
        (nn.Sequential(stack(), nn.Dropout(0.5)), {}, "ends without a Linear layer"),
        (nn.Sequential(), {}, "ends without a Linear layer"),
        (nn.Sequential(stack(), nn.ReLU()), {}, "'identity' here. Expected nothing"),
        (nn.Sequential(stack(), nn.Softmax(1)), {}, "'identity' here. Expected nothing"),
        (nn.Sequential(stack(), nn.Sigmoid()), {"classes": SETS}, "Expected Softmax or LogSoftmax or nothing"),
        (nn.Sequential(stack(), nn.Softmax(0)), {"classes": SETS}, r"got Softmax\(dim=0\) after the last Linear"),
        (nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), {"classes": "ab"}, "1d array"),
        (nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), {"classes": [0, 1]}, "'softmax' here"),
        (stack(), {"classes": ["a", "b"]}, "got 2 classes, 2 of them different, for 3 outputs"),
        (stack(), {"classes": ["a", "b", "a"]}, "got 3 classes, 2 of them different, for 3 outputs"),
        (nn.Sequential(nn.Linear(4, 1)), {"classes": ["a"]}, "got 1 classes"),
        (stack(), {"classes": SETS, "multilabel": True}, "got multilabel=True with 3 outputs and classes="),
        (stack(), {"loss": "quantile", "quantile": [0.1, 0.9]}, "got 2 quantiles, expected 3"),
        (stack(), {"activation": "relu"}, "got activation='relu', but the module tells it"),
        (stack(), {"loss": "log_loss"}, "The 'loss' parameter of MLPRegressor must be"),
        (stack().half(), {}, r"got weights of torch.float16, expected .* module.float\(\)"),
        (nn.Sequential(nn.Linear(4, 5).double(), nn.Linear(5, 3)), {}, "got weights of torch.float32, torch.float64"),
        (nn.Sequential(nn.Linear(4, 5), nn.Linear(6, 3)), {}, "expected as many inputs as there are outputs before"),
        (stack(nn.Dropout(1.0)), {}, "dropout"),
    ],
)  # fmt: skip
def test_refusals(module, told, message):
    with pytest.raises(ValueError, match=message):
        from_torch(module, **told)


@pytest.mark.parametrize(
    ("module", "hang", "name"),
    [
        (nn.Sequential(stack()), lambda module: prune.l1_unstructured(module[0][1], "weight", 0.5), r"\[0\]\[1\].*L1"),
        (stack(), lambda module: nn.utils.spectral_norm(module[0]), r"\[0\] has a hook, SpectralNorm"),
        (stack(nn.ReLU()), lambda module: module[1].register_forward_hook(doubled), r"\[1\] has a hook, doubled"),
        (stack(), lambda module: module.register_forward_hook(doubled), " has a hook, doubled"),
    ],
)  # fmt: skip
def test_hooks(module, hang, name):
    from_torch(module)
    hang(module)
    with pytest.raises(ValueError, match=f"^module{name}.*prune.remove"):
        from_torch(module)


def doubled(module, inputs, output):
    return 2 * output


class OwnForward(nn.Sequential):
    def forward(self, x):
        return -super().forward(x)


@pytest.mark.parametrize("module", [nn.Linear(4, 3), OwnForward(nn.Linear(4, 3)), "net.pt"])
def test_no_sequential(module):
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Sequential"):
        from_torch(module)


def test_weights_that_are_not_numbers():
    module = stack()
    with torch.no_grad():
        module[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="non-finite"):
        from_torch(module)


def test_without_pytorch(monkeypatch):
    model, _ = fitted("real", np.float32)
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (model.to_torch, lambda: from_torch(None)):
        with pytest.raises(ImportError, match="needs the package torch"):
            call()


def test_not_fitted():
    with pytest.raises(NotFittedError):
        MLPClassifier().to_torch()
