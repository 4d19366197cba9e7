"""The network of all-MiniLM-L6-v2 as an ONNX graph: BERT of six layers, the mean over the mask, length 1.

Whole, its weights are 32-bit floats. Small, they are integers: each row of the word table and each column of a matrix
has a scale of its own, and activations are rounded as they come. Integers keep to seven bits: x86 without VNNI adds
pairs of products in 16 bits, which eight would overflow, and a vector must not depend on the machine.
"""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

Weights = Mapping[str, np.ndarray]

LAYERS, HEADS, WIDE = 6, 12, 384
EPSILON = 1e-12
MOST = 63  # of an integer weight: 2 × 255 × 63 fits into 16 bits
OPSET = 20


class Graph:
    """Nodes and constants in the order in which they are added, so that the same weights give the same bytes."""

    def __init__(self, weights: Weights, *, small: bool) -> None:
        self.weights = weights
        self._small = small
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def op(self, kind: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: object) -> str:
        """Add a node. Names its first output; the others have a number behind a dot."""
        name = name or f"{kind}_{len(self._nodes)}"
        names = [name, *(f"{name}.{number}" for number in range(1, outputs))]
        self._nodes.append(helper.make_node(kind, inputs, names, name=name, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def words(self, tokens: str) -> str:
        name = "embeddings.word_embeddings.weight"
        if not self._small:
            return self.op("Gather", self.weight(name), tokens)
        rows, scales = rounded(self.weights[name], axis=1)
        row = self.op("Cast", self.op("Gather", self.constant(name, rows), tokens), to=TensorProto.FLOAT)
        return self.op("Mul", row, self.op("Gather", self.constant(f"{name}.scale", scales), tokens))

    def dense(self, x: str, *names: str) -> str:
        """Several layers of the same input are one multiplication."""
        matrix = np.concatenate([self.weights[f"{name}.weight"] for name in names]).T
        bias = self.constant(f"{names[0]}.bias", np.concatenate([self.weights[f"{name}.bias"] for name in names]))
        return self.op("Add", self._product(x, f"{names[0]}.weight", matrix), bias)

    def _product(self, x: str, name: str, matrix: np.ndarray) -> str:
        if not self._small:
            return self.op("MatMul", x, self.constant(name, matrix))
        columns, scales = rounded(matrix, axis=0)
        rough = self.op("DynamicQuantizeLinear", x, outputs=3)
        whole = self.op("MatMulInteger", rough, self.constant(name, columns), f"{rough}.2")
        scale = self.op("Mul", f"{rough}.1", self.constant(f"{name}.scale", scales[0]))
        return self.op("Mul", self.op("Cast", whole, to=TensorProto.FLOAT), scale)

    def normal(self, x: str, name: str) -> str:
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=EPSILON)

    def model(self, tokens: str, vector: str) -> ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info(tokens, TensorProto.INT64, [1, "length"])],
            [helper.make_tensor_value_info(vector, TensorProto.FLOAT, [1, WIDE])],
            self._constants,
        )
        # The oldest format that has this opset, so that an older runtime reads it too.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        checker.check_model(model, full_check=True)
        return model


def rounded(matrix: np.ndarray, *, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """As integers, with one scale for all that stands along the axis."""
    scales = np.abs(matrix).max(axis=axis, keepdims=True).astype(np.float32) / np.float32(MOST)
    scales[scales == 0] = 1
    return np.rint(matrix / scales).astype(np.int8), scales


def minilm(weights: Weights, *, small: bool) -> ModelProto:
    """Takes `tokens`, one text × its tokens; gives `vector`, one × 384. Nothing is padded, so there is no mask."""
    graph = Graph(weights, small=small)
    x = _embedded(graph)
    for layer in range(LAYERS):
        x = _layer(graph, x, f"encoder.layer.{layer}")
    _pooled(graph, x)
    return graph.model("tokens", "vector")


def _embedded(graph: Graph) -> str:
    length = graph.op("Shape", "tokens", start=1, end=2)
    start, axis = graph.constant("start", np.array([0])), graph.constant("axis", np.array([0]))
    places = graph.op("Slice", graph.weight("embeddings.position_embeddings.weight"), start, length, axis)
    kind = graph.constant("embeddings.kind", graph.weights["embeddings.token_type_embeddings.weight"][0])
    return graph.normal(graph.op("Add", graph.op("Add", graph.words("tokens"), kind), places), "embeddings.LayerNorm")


def _layer(graph: Graph, x: str, name: str) -> str:
    heard = graph.dense(_attention(graph, x, f"{name}.attention.self"), f"{name}.attention.output.dense")
    x = graph.normal(graph.op("Add", heard, x), f"{name}.attention.output.LayerNorm")
    inner = graph.op("Gelu", graph.dense(x, f"{name}.intermediate.dense"))
    return graph.normal(graph.op("Add", graph.dense(inner, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")


def _attention(graph: Graph, x: str, name: str) -> str:
    three = graph.dense(x, f"{name}.query", f"{name}.key", f"{name}.value")
    query = graph.op("Split", three, outputs=3, axis=-1, num_outputs=3)
    key, value = f"{query}.1", f"{query}.2"
    heads = graph.constant(f"{name}.heads", np.array([0, 0, HEADS, WIDE // HEADS]))
    query = graph.op("Transpose", graph.op("Reshape", query, heads), perm=[0, 2, 1, 3])
    key = graph.op("Transpose", graph.op("Reshape", key, heads), perm=[0, 2, 3, 1])
    value = graph.op("Transpose", graph.op("Reshape", value, heads), perm=[0, 2, 1, 3])
    root = graph.constant(f"{name}.root", np.float32((WIDE // HEADS) ** -0.5))
    share = graph.op("Softmax", graph.op("Mul", graph.op("MatMul", query, key), root), axis=-1)
    heard = graph.op("Transpose", graph.op("MatMul", share, value), perm=[0, 2, 1, 3])
    return graph.op("Reshape", heard, graph.constant(f"{name}.wide", np.array([0, 0, WIDE])))


def _pooled(graph: Graph, x: str) -> None:
    """The mean over the tokens, of length 1. Their sum does, for the length goes anyway."""
    total = graph.op("ReduceSum", x, graph.constant("tokens.axis", np.array([1])), keepdims=0)
    length = graph.op("ReduceL2", total, graph.constant("wide.axis", np.array([1])), keepdims=1)
    graph.op("Div", total, length, name="vector")
