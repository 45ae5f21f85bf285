"""Inference in ONNX Runtime; nothing where it or onnx, which builds the graph, is not installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._bench import peers
from rnncore._bench.timing import Step

__all__ = ["inference_step"]

NAME = "ONNX Runtime"

# ONNX has the gates in another order than PyTorch: LSTM i, o, f, c; GRU z, r, h.
_GATE_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
_OPSET, _IR_VERSION = 14, 8  # old enough for every runtime of today


def inference_step(cell: str, layer: Any, x: NDArray[Any], num_threads: int) -> dict[str, Step]:
    """Return the forward pass of a graph with the parameters of a network of ours."""
    if peers.module("onnxruntime") is None or peers.module("onnx") is None:
        return {}
    session, feed = _session(cell, layer, num_threads), {"x": x}
    return {NAME: lambda: session.run(None, feed)[0]}


def _session(cell: str, layer: Any, num_threads: int) -> Any:
    onnx, onnxruntime = peers.module("onnx"), peers.module("onnxruntime")
    make_node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    options = {"linear_before_reset": 1} if cell == "GRU" else {}
    nodes, constants, x, y = [], [tensor(np.array([1]), "directions")], "x", ""
    for i in range(layer.num_layers):
        if i > 0:
            x = f"x{i}"
            nodes.append(make_node("Squeeze", [y, "directions"], [x]))
        y, parameters = f"y{i}", _parameters(cell, layer.params, i)
        constants += [tensor(value, name) for name, value in parameters.items()]
        nodes.append(
            make_node(cell, [x, *parameters], [y], hidden_size=layer.hidden_size, **options)
        )
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        cell,
        [onnx.helper.make_tensor_value_info("x", floats, [None, None, layer.input_size])],
        [onnx.helper.make_tensor_value_info(y, floats, [None, 1, None, layer.hidden_size])],
        constants,
    )
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = num_threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )


def _parameters(cell: str, params: Any, i: int) -> dict[str, NDArray[Any]]:
    """Parameters of layer i as its node takes them, by names of this graph."""
    w, r, *biases = (
        _reordered(cell, params[f"{name}_l{i}"])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    arrays = {f"W{i}": w, f"R{i}": r, f"B{i}": np.concatenate(biases)}
    return {name: array[np.newaxis] for name, array in arrays.items()}


def _reordered(cell: str, parameter: NDArray[Any]) -> NDArray[Any]:
    """Rows [G*H,...] of a parameter in the order of ONNX's gates."""
    gates = np.split(parameter, len(_GATE_ORDER[cell]))
    return np.concatenate([gates[index] for index in _GATE_ORDER[cell]])
