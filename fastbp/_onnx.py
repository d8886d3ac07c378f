"""A fitted network as an ONNX graph, made by skl2onnx: alone, or as the last step of a Pipeline."""

import json
from math import sqrt
from numbers import Integral

import numpy as np
from sklearn.base import is_classifier

import fastbp
from fastbp._layers import layers_of
from fastbp._optional import optional

_INSTALL = 'pip install "fastbp[export]"'
_LAMBDA, _LAMBDA_ALPHA = 1.0507009873554805, 1.7580993408473769  # of selu


def to_onnx(model, path, target_opset):
    """An onnx.ModelProto of a fitted estimator."""
    if not (target_opset is None or (isinstance(target_opset, Integral) and target_opset >= 11)):
        raise ValueError(f"got target_opset={target_opset!r}, expected a whole number, 11 or more, or None.")
    skl2onnx = optional("skl2onnx", _INSTALL)
    import onnx  # which skl2onnx stands on

    register_onnx_converters()
    it = layers_of(model)
    options = {"zipmap": False} if is_classifier(model) else None
    X = [("X", _tensor_type(it.dtype)([None, it.sizes[0]]))]
    name = type(model).__name__
    proto = skl2onnx.to_onnx(model, initial_types=X, options=options, target_opset=target_opset, name=name)
    proto.producer_name, proto.producer_version, proto.domain = "fastbp", fastbp.__version__, "fastbp"
    proto.doc_string = f"{name} of fastbp, layers of {'-'.join(map(str, it.sizes))} units."
    onnx.helper.set_model_props(proto, _metadata(model, it))
    if path is not None:
        onnx.save(proto, path)
    return proto


def register_onnx_converters() -> None:
    """Tell skl2onnx how the estimators of fastbp are converted: alone, in a Pipeline, in a search.

    After one call, ``skl2onnx.to_onnx`` takes them as it takes scikit-learn's own networks, with the same outputs and
    options ('zipmap', 'output_class_labels' and 'nocl' of a classifier). What is converted is what they predict, not
    the features that `transform` gives: a step in the middle of a Pipeline is not converted rightly.

    Raises
    ------
    ImportError
        If skl2onnx is not installed: ``pip install "fastbp[export]"``.

    Examples
    --------
    >>> import fastbp
    >>> from skl2onnx import to_onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), fastbp.MLPClassifier(max_iter=500, random_state=0)).fit(X, y)
    >>> fastbp.register_onnx_converters()
    >>> graph = to_onnx(model, X[:1], options={"zipmap": False})
    >>> [output.name for output in graph.graph.output]
    ['label', 'probabilities']
    """
    skl2onnx = optional("skl2onnx", _INSTALL)
    options = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}
    skl2onnx.update_registered_converter(
        fastbp.MLPClassifier, "FastbpMLPClassifier", _classifier_shapes, _convert_classifier, options=options
    )
    skl2onnx.update_registered_converter(
        fastbp.MLPRegressor, "FastbpMLPRegressor", _regressor_shapes, _convert_regressor
    )


def _metadata(model, it):
    """What the graph alone does not tell: names of columns, and the labels, as JSON."""
    known = {"feature_names": getattr(model, "feature_names_in_", None), "classes": getattr(model, "classes_", None)}
    return {key: json.dumps(values.tolist(), default=str) for key, values in known.items() if values is not None}


# ---- shapes


def _tensor_type(dtype):
    from skl2onnx.common import data_types

    return data_types.DoubleTensorType if dtype == np.float64 else data_types.FloatTensorType


def _layers(operator):
    """The layers in the precision of the input: double for double, and single for all else."""
    if len(operator.inputs) != 1:
        names = ", ".join(variable.raw_name for variable in operator.inputs)
        raise ValueError(
            f"{type(operator.raw_operator).__name__} takes one matrix, got the inputs {names}. Give X as an array, or "
            "join its columns before, as a ColumnTransformer does."
        )
    is_double = isinstance(operator.inputs[0].type, _tensor_type(np.float64))
    return layers_of(operator.raw_operator, np.float64 if is_double else np.float32)


def _classifier_shapes(operator):
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    it, n = _layers(operator), operator.inputs[0].get_first_dimension()
    label, probabilities = operator.outputs
    label_type = Int64TensorType if it.multilabel or _labels(operator, it).dtype == np.int64 else StringTensorType
    label.set_type(label_type([n, it.n_columns] if it.multilabel else [n]))
    probabilities.set_type(_tensor_type(it.dtype)([n, it.n_columns]))


def _regressor_shapes(operator):
    it, n = _layers(operator), operator.inputs[0].get_first_dimension()
    operator.outputs[0].set_type(_tensor_type(it.dtype)([n, it.n_columns]))


def _labels(operator, it):
    """One for each column of the probabilities, as int64 or str; their numbers, if the option 'nocl' asks for that."""
    from skl2onnx.common.utils_classifier import get_label_classes

    labels = get_label_classes(operator.scope_inst, operator.raw_operator).take(np.arange(it.n_columns), mode="clip")
    return labels.astype(object if isinstance(labels[0], str) else np.int64)


# ---- the graph


class _Graph:
    """Where nodes and constants go, all in one precision."""

    def __init__(self, scope, container, dtype):
        from onnx import TensorProto

        self.scope, self.container, self.dtype = scope, container, dtype
        self.real = TensorProto.DOUBLE if dtype == np.float64 else TensorProto.FLOAT

    def __call__(self, op, *inputs, output=None, n_outputs=1, **attributes):
        """Add a node; inputs are names of values, or numbers. Return the name of its (first) value."""
        inputs = [i if isinstance(i, str) else self.constant("number", np.array(i, self.dtype)) for i in inputs]
        outputs = [self.scope.get_unique_variable_name(op.lower()) for _ in range(n_outputs)]
        outputs[0] = output or outputs[0]
        self.container.add_node(op, inputs, outputs, name=self.scope.get_unique_operator_name(op), **attributes)
        return outputs[0]

    def constant(self, name, values):
        from onnx import TensorProto, numpy_helper

        name = self.scope.get_unique_variable_name(name)
        if values.dtype == object:
            texts = [text.encode() for text in values]
            self.container.add_initializer(name, TensorProto.STRING, values.shape, texts)
        else:
            tensor = numpy_helper.from_array(values)
            self.container.add_initializer(name, tensor.data_type, values.shape, tensor)
        return name


def _softplus(g, z):
    """max(0, z) + log(1 + e^-|z|)"""
    return g("Add", g("Relu", z), g("Log", g("Add", g("Exp", g("Neg", g("Abs", z))), 1)))


def _exp_minus_1_below_0(g, z):
    """e^min(0, z) - 1"""
    return g("Sub", g("Exp", g("Min", z, 0)), 1)


def _gelu(g, z):
    """z (1 + erf(z / sqrt(2))) / 2; onnxruntime has erf in single precision alone."""
    from onnx import TensorProto

    erf = g("Cast", g("Erf", g("Cast", g("Mul", z, sqrt(0.5)), to=TensorProto.FLOAT)), to=g.real)
    return g("Mul", g("Mul", z, 0.5), g("Add", erf, 1))


# f of operators that every version of ONNX since 11 has, in both precisions
_ACTIVATIONS = {
    "identity": lambda g, z: z,
    "logistic": lambda g, z: g("Sigmoid", z),
    "tanh": lambda g, z: g("Tanh", z),
    "relu": lambda g, z: g("Relu", z),
    "leaky_relu": lambda g, z: g("Max", z, g("Mul", z, 0.01)),
    "elu": lambda g, z: g("Add", g("Relu", z), _exp_minus_1_below_0(g, z)),
    "selu": lambda g, z: g("Add", g("Mul", g("Relu", z), _LAMBDA), g("Mul", _exp_minus_1_below_0(g, z), _LAMBDA_ALPHA)),
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": lambda g, z: g("Mul", z, g("Sigmoid", z)),
    "mish": lambda g, z: g("Mul", z, g("Tanh", _softplus(g, z))),
    "softmax": lambda g, z: g("Softmax", z, axis=1),
    "exp": lambda g, z: g("Exp", z),
}


def _outputs(g, it, a):
    """What predict_proba of a classifier, or predict of a regressor, shows of the input a."""
    for l, layer in enumerate(it.layers, 1):
        z = g("Gemm", a, g.constant(f"W{l}", layer.W), g.constant(f"b{l}", layer.b), transB=1)
        a = _ACTIVATIONS[layer.f](g, z)
    if it.form == "two_columns":
        return g("Concat", g("Sub", 1, a), a, axis=1)
    if it.form == "shares":  # a_j / sum_i a_i, all of which may have vanished
        return g("LpNormalization", g("Max", a, np.finfo(it.dtype).tiny), p=1, axis=1)
    if it.sorts:
        k = g.constant("k", np.array([it.n_columns]))
        return g("TopK", a, k, n_outputs=2, axis=1, largest=0, sorted=1)
    return a


def _begin(scope, operator, container):
    """The graph, the layers, and the name of the input in their precision."""
    it = _layers(operator)
    g, x = _Graph(scope, container, it.dtype), operator.inputs[0]
    is_real = isinstance(x.type, _tensor_type(it.dtype))
    return g, it, x.full_name if is_real else g("Cast", x.full_name, to=g.real)


def _convert_regressor(scope, operator, container):
    g, it, x = _begin(scope, operator, container)
    g("Identity", _outputs(g, it, x), output=operator.outputs[0].full_name)


def _convert_classifier(scope, operator, container):
    from onnx import TensorProto

    g, it, x = _begin(scope, operator, container)
    label, probabilities = (output.full_name for output in operator.outputs)
    g("Identity", _outputs(g, it, x), output=probabilities)
    if it.multilabel:
        g("Cast", g("Greater", probabilities, 0.5), to=TensorProto.INT64, output=label)
    else:
        number = g("ArgMax", probabilities, axis=1, keepdims=0)
        g("Gather", g.constant("classes", _labels(operator, it)), number, output=label)
