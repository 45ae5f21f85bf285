"""Parameters of other people's networks, brought into rnncore's names, layouts and gate orders.

Ours are PyTorch's: weights [gates * H, inputs], LSTM gates i, f, g, o and GRU gates r, z, n.
"""

import numpy as np

import rnncore as rc
from rnncore._check import Array


def reordered(blocks: Array, order: tuple[int, ...]) -> Array:
    """The blocks of the first axis, one for each gate, in another order."""
    parts = np.split(blocks, len(order))
    return np.concatenate([parts[i] for i in order])


Layer = rc.RNN | rc.GRU | rc.LSTM

#: Which block of Keras stands at our place: its LSTM has i, f, c, o, its GRU z, r, h.
KERAS_ORDERS = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 1, 2, 3)}
#: ONNX has i, o, f, c.
ONNX_LSTM_ORDER = (0, 2, 3, 1)


def _names(layer: int, reverse: bool) -> tuple[str, ...]:
    ending = f"l{layer}" + "_reverse" * reverse
    return tuple(f"{kind}_{ending}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))


def put_keras(layer: Layer, weights: list[Array], reverse: bool = False) -> None:
    """Fill one direction of a layer from kernel [I, G*H], recurrent kernel [H, G*H] and bias.

    The bias is [G*H]; [2, 3*H] in a GRU whose reset gate acts after the product; or is left out.
    """
    order = KERAS_ORDERS[type(layer).__name__]
    kernel, recurrent, *biases = (np.asarray(w, np.float32) for w in weights)
    rows = [kernel.T, recurrent.T]
    if biases:
        both = biases[0].reshape(-1, kernel.shape[1])
        rows += [both[0], both[1] if len(both) == 2 else np.zeros_like(both[0])]
    for name, value in zip(_names(0, reverse), rows, strict=False):
        layer.params[name][:] = reordered(value, order)


def put_onnx_lstm(layer: rc.LSTM, index: int, w: Array, r: Array, b: Array) -> None:
    """Fill layer `index` from W [1, 4*H, I], R [1, 4*H, H] and B [1, 8*H], Wb and then Rb."""
    rows = [w[0], r[0], *np.split(b[0], 2)]
    for name, value in zip(_names(index, False), rows, strict=True):
        layer.params[name][:] = reordered(value, ONNX_LSTM_ORDER)


def dense(weight: Array, bias: Array) -> rc.Linear:
    """A Linear from weights [O, I], which is the transpose of Keras' kernel, and bias [O]."""
    layer = rc.Linear(weight.shape[1], weight.shape[0])
    layer.params["weight"][:] = weight
    layer.params["bias"][:] = bias
    return layer


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
