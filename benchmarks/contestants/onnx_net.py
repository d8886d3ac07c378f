"""onnxruntime, which predicts only."""

from benchmarks.contestants.base import Contestant

OPSET, IR_VERSION = 17, 8  # old enough for every onnxruntime of today


def onnx_model(net, coefs, intercepts):
    """The net as an ONNX graph: a Gemm and an activation for each layer."""
    from onnx import helper, numpy_helper

    operators = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "softmax": "Softmax"}
    nodes, constants, L = [], [], len(coefs)
    for l, (W, b) in enumerate(zip(coefs, intercepts, strict=True), start=1):
        constants += [numpy_helper.from_array(W, f"W{l}"), numpy_helper.from_array(b, f"b{l}")]
        nodes.append(helper.make_node("Gemm", [f"a{l - 1}", f"W{l}", f"b{l}"], [f"z{l}"]))
        nodes.append(helper.make_node(operators[net.activation if l < L else net.output], [f"z{l}"], [f"a{l}"]))
    element = helper.np_dtype_to_tensor_dtype(coefs[0].dtype)
    a = [helper.make_tensor_value_info(f"a{l}", element, ["rows", net.sizes[l]]) for l in (0, L)]
    graph = helper.make_graph(nodes, "net", a[:1], a[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


class OnnxRuntime(Contestant):
    name, what = "onnxruntime", "InferenceSession.run of Gemm and activation nodes"
    requires = ("onnx", "onnxruntime")

    def prepare(self, net, data):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.n_threads
        model = onnx_model(net, data.coefs, data.intercepts).SerializeToString()
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def serve(self, X):
        return self.session.run(None, {"a0": X})[0]

    def predict(self):
        return self.serve(self.data.X_batch)
