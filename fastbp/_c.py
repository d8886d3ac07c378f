"""A fitted network as one file of C, which needs nothing but the C library's <math.h>.

The code below stands in double precision, with `real` for the type and `mlp` for the name: see `_Precision`.
"""

import re
from pathlib import Path

import numpy as np

import fastbp
from fastbp._layers import layers_of

_ACTIVATIONS = {
    "logistic": "const real e = exp(-fabs(z)); return (z < 0.0 ? e : 1.0) / (1.0 + e);",
    "tanh": "return tanh(z);",
    "relu": "return z > 0.0 ? z : 0.0;",
    "leaky_relu": "return z > 0.0 ? z : 0.01 * z;",
    "elu": "return z > 0.0 ? z : expm1(z);",
    "selu": "return z > 0.0 ? 1.0507009873554805 * z : 1.7580993408473769 * expm1(z);",
    "softplus": "return (z > 0.0 ? z : 0.0) + log1p(exp(-fabs(z)));",
    "gelu": "return 0.5 * z * erfc(-0.7071067811865476 * z);",
    "silu": "return z / (1.0 + exp(-z));",
    "mish": "return z * tanh((z > 0.0 ? z : 0.0) + log1p(exp(-fabs(z))));",
    "exp": "return exp(z);",
}

_LAYER = """\
/* z_j = b_j + sum_k W_jk a_k */
static void mlp_layer(const real *W, const real *b, const real *a, int n_in, real *z, int n_out)
{
    for (int j = 0; j < n_out; j++) {
        real sum = b[j];
        for (int k = 0; k < n_in; k++) sum += *W++ * a[k];
        z[j] = sum;
    }
}
"""

_OF_A_ROW = {
    "softmax": """\
/* e^z_j / sum_i e^z_i; the largest z is taken off first, lest e^z overflow */
static void mlp_softmax(real *z, int n)
{
    real largest = z[0], sum = 0.0;
    for (int j = 1; j < n; j++) largest = z[j] > largest ? z[j] : largest;
    for (int j = 0; j < n; j++) {
        z[j] = exp(z[j] - largest);
        sum += z[j];
    }
    for (int j = 0; j < n; j++) z[j] /= sum;
}
""",
    "shares": """\
/* a_j / sum_i a_i; all may have vanished */
static void mlp_shares(real *a, int n)
{
    real sum = 0.0;
    for (int j = 0; j < n; j++) {
        a[j] = a[j] > REAL_MIN ? a[j] : REAL_MIN;
        sum += a[j];
    }
    for (int j = 0; j < n; j++) a[j] /= sum;
}
""",
    "sort": """\
/* ascending: quantiles never cross */
static void mlp_sort(real *a, int n)
{
    for (int j = 1; j < n; j++) {
        const real moved = a[j];
        int i = j;
        for (; i > 0 && a[i - 1] > moved; i--) a[i] = a[i - 1];
        a[i] = moved;
    }
}
""",
}

# By what the outputs are: the functions for it, of which the first computes them, and the body of the second.
_FUNCTIONS = {
    "CLASSES": (
        "void mlp_predict_proba(const real x[MLP_N_FEATURES], real probabilities[MLP_N_CLASSES])",
        "int mlp_predict(const real x[MLP_N_FEATURES])",
    ),
    "LABELS": (
        "void mlp_predict_proba(const real x[MLP_N_FEATURES], real probabilities[MLP_N_LABELS])",
        "void mlp_predict(const real x[MLP_N_FEATURES], int labels[MLP_N_LABELS])",
    ),
    "OUTPUTS": ("void mlp_predict(const real x[MLP_N_FEATURES], real y[MLP_N_OUTPUTS])",),
}
_PREDICT = {
    "CLASSES": """
{
    real probabilities[MLP_N_CLASSES];
    int most = 0;
    mlp_predict_proba(x, probabilities);
    for (int j = 1; j < MLP_N_CLASSES; j++)
        if (probabilities[j] > probabilities[most]) most = j;
    return most;
}
""",
    "LABELS": """
{
    real probabilities[MLP_N_LABELS];
    mlp_predict_proba(x, probabilities);
    for (int j = 0; j < MLP_N_LABELS; j++) labels[j] = probabilities[j] > 0.5;
}
""",
}


class _Style:
    """How C is written in one precision, under one name."""

    def __init__(self, dtype, name):
        self.is_float, self.names = dtype == np.float32, {"mlp_": f"{name}_", "MLP_": f"{name.upper()}_"}
        self.real = "float" if self.is_float else "double"

    def code(self, code):
        code = re.sub(r"\b(mlp|MLP)_", lambda found: self.names[found[0]], code)
        code = re.sub(r"\bREAL_MIN\b", "FLT_MIN" if self.is_float else "DBL_MIN", code)
        code = re.sub(r"\breal\b", self.real, code)
        if self.is_float:
            code = re.sub(r"\b(exp|expm1|log1p|tanh|erfc|fabs)\(", r"\1f(", code)
            code = re.sub(r"\b\d+\.\d+\b", r"\g<0>f", code)
        return code

    def numbers(self, values):
        """The lines of an initializer; the shortest decimals that are read back as the same numbers."""
        numbers = [f"{value!s}f" if self.is_float else str(value) for value in values]
        width = 6 if self.is_float else 4
        return "".join(f"    {', '.join(numbers[i : i + width])},\n" for i in range(0, len(numbers), width))


def to_c(model, path, name):
    """The text of a fitted estimator, which is written if there is a path."""
    if not (isinstance(name, str) and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)):
        raise ValueError(f"got name={name!r}, expected letters, digits and underscores, a letter first.")
    it = layers_of(model)
    style, kind = _Style(it.dtype, name), "LABELS" if it.multilabel else "OUTPUTS" if it.labels is None else "CLASSES"
    parts = [_heading(model, it), *_interface(it, kind, style), *_constants(it, style), *_functions(it, kind, style)]
    text = "\n".join(parts)
    if path is not None:
        Path(path).write_text(text, encoding="ascii", newline="\n")
    return text


# ---- what is declared


def _escaped(text):
    """As it may stand in strings and comments: all but plain ASCII in octal, three digits, which end by themselves."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')  # ??= and the like are trigraphs
    text = "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in str(text).encode())
    return text.replace("*/", "*\\057").replace("/*", "/\\052")


def _heading(model, it):
    units, precision = "-".join(map(str, it.sizes)), "single" if it.dtype == np.float32 else "double"
    activations = ", ".join(dict.fromkeys(layer.f for layer in it.layers))
    lines = [
        f"{type(model).__name__} of {units} units ({activations}), in {precision} precision, made by fastbp "
        f"{fastbp.__version__}.",
        "ISO C99 and the C library's <math.h> are all that it needs. Copy the declarations to where it is called.",
        *(f"x[{i}]: {_escaped(feature)}" for i, feature in enumerate(getattr(model, "feature_names_in_", []))),
    ]
    headers = "#include <float.h>\n" * (it.form == "shares") + "#include <math.h>\n"
    return "/* " + "\n * ".join(lines) + "\n */\n\n" + headers


def _interface(it, kind, style):
    yield '#ifdef __cplusplus\nextern "C" {\n#endif\n'
    yield style.code(f"enum {{ MLP_N_FEATURES = {it.sizes[0]}, MLP_N_{kind} = {it.n_columns} }};")
    if kind == "CLASSES":
        yield style.code("/* The labels, by the number that mlp_predict returns. */")
        yield f"extern {_labels(it, style)[0]};"
    yield from (style.code(f"{signature};") for signature in _FUNCTIONS[kind])
    yield "\n#ifdef __cplusplus\n}\n#endif\n"


def _labels(it, style):
    """The declaration of the table of labels, and its values."""
    labels = it.labels.tolist()
    if all(isinstance(label, int) and abs(label) < 2**63 for label in labels):  # bool is one
        kind, values = "long long", [f"{int(label)}" for label in labels]
    elif all(isinstance(label, float) for label in labels):
        kind, values = "double", [repr(label) for label in labels]
    else:
        kind, values = "char *const", [f'"{_escaped(label)}"' for label in labels]
    return style.code(f"const {kind} mlp_classes[MLP_N_CLASSES]"), values


def _constants(it, style):
    if it.labels is not None:
        declaration, values = _labels(it, style)
        yield f"{declaration} = {{\n" + "".join(f"    {value},\n" for value in values) + "};\n"
    for l, layer in enumerate(it.layers, 1):
        for name, values in (f"W{l}", layer.W), (f"b{l}", layer.b):
            yield style.code(f"static const real mlp_{name}[{values.size}] = {{")
            yield style.numbers(values.ravel()) + "};\n"


# ---- what is computed


def _functions(it, kind, style):
    first, *second = _FUNCTIONS[kind]
    used = dict.fromkeys((*(layer.f for layer in it.layers), it.form, "sort" if it.sorts else ""))
    yield style.code(_LAYER)
    for f in used:
        if f in _ACTIVATIONS:
            yield style.code(f"static real mlp_{f}(real z)\n{{\n    {_ACTIVATIONS[f]}\n}}\n")
        elif f in _OF_A_ROW:
            yield style.code(_OF_A_ROW[f])
    yield style.code("\n    ".join([f"{first}\n{{", *_passes(it, kind)]) + "\n}\n")
    yield from (style.code(f"{signature}{_PREDICT[kind]}") for signature in second)


def _passes(it, kind):
    """The lines that compute the outputs: layers write into two arrays in turn, the last one into the answer."""
    widths = it.sizes[1:-1]
    for name, own in ("odd", widths[::2]), ("even", widths[1::2]):
        if own:
            yield f"real {name}[{max(own)}];"
    answer = "y" if kind == "OUTPUTS" else "probabilities"
    a = "x"
    for l, layer in enumerate(it.layers, 1):
        n_out, n_in = layer.W.shape
        z = answer if l == len(it.layers) else "odd" if l % 2 else "even"
        yield f"mlp_layer(mlp_W{l}, mlp_b{l}, {a}, {n_in}, {z}, {n_out});"
        if layer.f == "softmax":
            yield f"mlp_softmax({z}, {n_out});"
        elif layer.f != "identity":
            yield f"for (int j = 0; j < {n_out}; j++) {z}[j] = mlp_{layer.f}({z}[j]);"
        a = z
    if it.form == "two_columns":
        yield "probabilities[1] = probabilities[0];"
        yield "probabilities[0] = 1.0 - probabilities[1];"
    elif it.form == "shares":
        yield f"mlp_shares({answer}, {it.n_columns});"
    elif it.sorts:
        yield f"mlp_sort({answer}, {it.n_columns});"
