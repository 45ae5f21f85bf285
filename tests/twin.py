"""The NumPy float64 twin of every cell: slow, obvious, from the equations, independent of rnncore.

T time, B batch, I input, H hidden, G gates, L layers, D directions. One sequence and one step at a
time, so that ragged batches and the reverse direction need no special care: row b is
``x[:lengths[b], b]``, read backwards by the reverse direction. Names, layouts and gate orders of
the parameters are PyTorch's. A state is a tuple of arrays [L*D,B,H]: ``(h,)`` for RNN and GRU,
``(h, c)`` for LSTM.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Params = Mapping[str, Array]
State = tuple[Array, ...]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), without overflow for any finite a."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


@dataclass(frozen=True)
class Weights:
    """Parameters of one layer and direction; absent biases are zeros."""

    ih: Array  # [G*H,I]
    hh: Array  # [G*H,H]
    bias_ih: Array  # [G*H]
    bias_hh: Array  # [G*H]
    operand: Callable[[Array], Array]  # what products read of an array: all of it, or rounded

    def zeros(self) -> "Weights":
        arrays = (np.zeros_like(p) for p in (self.ih, self.hh, self.bias_ih, self.bias_hh))
        return Weights(*arrays, self.operand)

    def product(self, a: Array, b: Array) -> Array:
        """a b for a matrix and a vector."""
        return self.operand(a) @ self.operand(b)

    def outer(self, a: Array, b: Array) -> Array:
        """a b^T for two vectors."""
        return np.outer(self.operand(a), self.operand(b))

    def add_input_product(self, da: Array, x: Array) -> None:
        """Gradients of a = W_ih x + b_ih, given da [G*H]."""
        self.ih[...] += self.outer(da, x)
        self.bias_ih[...] += da

    def add_recurrent_product(self, da: Array, h: Array) -> None:
        """Gradients of a = W_hh h + b_hh, given da [G*H]."""
        self.hh[...] += self.outer(da, h)
        self.bias_hh[...] += da


class Cell:
    """One step of a recurrence and its derivative; vectors [I] and [H], no batch."""

    gates = 1
    num_states = 1

    def step(self, w: Weights, x: Array, state: State) -> tuple[State, Any]:
        """State after the step, and what `step_backward` needs."""
        raise NotImplementedError

    def step_backward(
        self, w: Weights, grads: Weights, saved: Any, dstate: State
    ) -> tuple[Array, State]:
        """dx and the gradient of the state before the step; adds to ``grads``."""
        raise NotImplementedError


class Elman(Cell):
    """h' = f(W_ih x + b_ih + W_hh h + b_hh)."""

    def __init__(self, f: Callable[[Array], Array], derivative: Callable[[Array], Array]) -> None:
        self.f = f
        self.derivative = derivative  # as a function of the output

    def step(self, w: Weights, x: Array, state: State) -> tuple[State, Any]:
        (h,) = state
        h_new = self.f(w.product(w.ih, x) + w.bias_ih + w.product(w.hh, h) + w.bias_hh)
        return (h_new,), (x, h, h_new)

    def step_backward(
        self, w: Weights, grads: Weights, saved: Any, dstate: State
    ) -> tuple[Array, State]:
        x, h, h_new = saved
        da = dstate[0] * self.derivative(h_new)
        grads.add_input_product(da, x)
        grads.add_recurrent_product(da, h)
        return w.product(w.ih.T, da), (w.product(w.hh.T, da),)


class GRUAfter(Cell):
    """Cho et al. 2014 as in cuDNN and PyTorch: the reset gate acts after the recurrent product.

    r = s(W_ir x + b_ir + W_hr h + b_hr), z = s(W_iz x + b_iz + W_hz h + b_hz),
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn)), h' = (1 - z) * n + z * h.
    """

    gates = 3

    def step(self, w: Weights, x: Array, state: State) -> tuple[State, Any]:
        (h,) = state
        input_r, input_z, input_n = np.split(w.product(w.ih, x) + w.bias_ih, 3)
        hidden_r, hidden_z, hidden_n = np.split(w.product(w.hh, h) + w.bias_hh, 3)
        r = sigmoid(input_r + hidden_r)
        z = sigmoid(input_z + hidden_z)
        n = np.tanh(input_n + r * hidden_n)
        return ((1 - z) * n + z * h,), (x, h, r, z, n, hidden_n)

    def step_backward(
        self, w: Weights, grads: Weights, saved: Any, dstate: State
    ) -> tuple[Array, State]:
        x, h, r, z, n, hidden_n = saved
        (dh_new,) = dstate
        da_n = dh_new * (1 - z) * (1 - n * n)
        da_z = dh_new * (h - n) * z * (1 - z)
        da_r = da_n * hidden_n * r * (1 - r)
        da_input = np.concatenate([da_r, da_z, da_n])
        da_hidden = np.concatenate([da_r, da_z, da_n * r])
        grads.add_input_product(da_input, x)
        grads.add_recurrent_product(da_hidden, h)
        return w.product(w.ih.T, da_input), (dh_new * z + w.product(w.hh.T, da_hidden),)


class GRUBefore(Cell):
    """Cho et al. 2014 as printed: the reset gate acts on the state, before the recurrent product.

    r and z as in `GRUAfter`; n = tanh(W_in x + b_in + W_hn (r * h) + b_hn),
    h' = (1 - z) * n + z * h.
    """

    gates = 3

    def step(self, w: Weights, x: Array, state: State) -> tuple[State, Any]:
        (h,) = state
        w_hr, w_hz, w_hn = np.split(w.hh, 3)
        bias_hr, bias_hz, bias_hn = np.split(w.bias_hh, 3)
        input_r, input_z, input_n = np.split(w.product(w.ih, x) + w.bias_ih, 3)
        r = sigmoid(input_r + w.product(w_hr, h) + bias_hr)
        z = sigmoid(input_z + w.product(w_hz, h) + bias_hz)
        n = np.tanh(input_n + w.product(w_hn, r * h) + bias_hn)
        return ((1 - z) * n + z * h,), (x, h, r, z, n)

    def step_backward(
        self, w: Weights, grads: Weights, saved: Any, dstate: State
    ) -> tuple[Array, State]:
        x, h, r, z, n = saved
        (dh_new,) = dstate
        w_hr, w_hz, w_hn = np.split(w.hh, 3)
        da_n = dh_new * (1 - z) * (1 - n * n)
        d_reset_h = w.product(w_hn.T, da_n)  # gradient of r * h
        da_z = dh_new * (h - n) * z * (1 - z)
        da_r = d_reset_h * h * r * (1 - r)
        da = np.concatenate([da_r, da_z, da_n])
        grads.add_input_product(da, x)
        grads.bias_hh[...] += da
        grads.hh[...] += np.concatenate([w.outer(da_r, h), w.outer(da_z, h), w.outer(da_n, r * h)])
        dh = dh_new * z + d_reset_h * r + w.product(w_hr.T, da_r) + w.product(w_hz.T, da_z)
        return w.product(w.ih.T, da), (dh,)


class LSTM(Cell):
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000.

    i, f, o = s(W_i* x + b_i* + W_h* h + b_h*), g = tanh(W_ig x + b_ig + W_hg h + b_hg),
    c' = f * c + i * g, h' = o * tanh(c').
    """

    gates = 4
    num_states = 2

    def step(self, w: Weights, x: Array, state: State) -> tuple[State, Any]:
        h, c = state
        a_i, a_f, a_g, a_o = np.split(
            w.product(w.ih, x) + w.bias_ih + w.product(w.hh, h) + w.bias_hh, 4
        )
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c_new = f * c + i * g
        return (o * np.tanh(c_new), c_new), (x, h, c, i, f, g, o, np.tanh(c_new))

    def step_backward(
        self, w: Weights, grads: Weights, saved: Any, dstate: State
    ) -> tuple[Array, State]:
        x, h, c, i, f, g, o, tanh_c_new = saved
        dh_new, dc_from_next = dstate
        dc_new = dc_from_next + dh_new * o * (1 - tanh_c_new * tanh_c_new)
        da_o = dh_new * tanh_c_new * o * (1 - o)
        da_i = dc_new * g * i * (1 - i)
        da_f = dc_new * c * f * (1 - f)
        da_g = dc_new * i * (1 - g * g)
        da = np.concatenate([da_i, da_f, da_g, da_o])
        grads.add_input_product(da, x)
        grads.add_recurrent_product(da, h)
        return w.product(w.ih.T, da), (w.product(w.hh.T, da), dc_new * f)


CELLS: dict[str, Cell] = {
    "rnn_tanh": Elman(np.tanh, lambda y: 1 - y * y),
    "rnn_relu": Elman(lambda a: np.maximum(a, 0), lambda y: (y > 0).astype(y.dtype)),
    "rnn_sigmoid": Elman(sigmoid, lambda y: y * (1 - y)),
    "rnn_identity": Elman(lambda a: a, np.ones_like),
    "gru_after": GRUAfter(),
    "gru_before": GRUBefore(),
    "lstm": LSTM(),
}


@dataclass
class TwinCache:
    """Saved steps per (layer, direction, row), and the shape of the call."""

    saved: dict[tuple[int, int, int], list[Any]]
    lengths: list[int]
    num_steps: int
    from_ids: bool
    masks: Sequence[Array] | None


@dataclass(frozen=True)
class Twin:
    """Stacked, possibly bidirectional network of one cell; parameters are passed in."""

    cell_name: str
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    operand: Callable[[Array], Array] = lambda a: a

    @property
    def cell(self) -> Cell:
        return CELLS[self.cell_name]

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def layer_input_size(self, layer: int) -> int:
        return self.input_size if layer == 0 else self.directions * self.hidden_size

    def names(self, layer: int, direction: int) -> list[str]:
        suffix = f"l{layer}" + ("_reverse" if direction else "")
        kinds = ["weight_ih", "weight_hh"] + (["bias_ih", "bias_hh"] if self.bias else [])
        return [f"{kind}_{suffix}" for kind in kinds]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every parameter, in PyTorch's order."""
        rows = self.cell.gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            columns = self.layer_input_size(layer)
            of_kind = [(rows, columns), (rows, self.hidden_size), (rows,), (rows,)]
            for direction in range(self.directions):
                # Without biases there are two names and the last two shapes go unused.
                shapes.update(zip(self.names(layer, direction), of_kind, strict=False))
        return shapes

    def weights(self, params: Params, layer: int, direction: int) -> Weights:
        arrays = [np.asarray(params[n], np.float64) for n in self.names(layer, direction)]
        if not self.bias:
            arrays += [np.zeros(len(arrays[0])), np.zeros(len(arrays[0]))]
        return Weights(*arrays, self.operand)

    def forward(
        self,
        params: Params,
        x: Array,  # [T,B,I], or integer ids [T,B] = one-hot
        state: State | None = None,  # arrays [L*D,B,H]
        lengths: Sequence[int] | Array | None = None,  # [B]
        masks: Sequence[Array]
        | None = None,  # L-1 arrays [T,B,D*H], the dropout factors between layers
    ) -> tuple[Array, State, TwinCache]:
        """y [T,B,D*H], final state, cache."""
        from_ids = np.issubdtype(x.dtype, np.integer)
        layer_input = np.eye(self.input_size)[x] if from_ids else np.asarray(x, np.float64)
        num_steps, batch = layer_input.shape[:2]
        rows = [num_steps] * batch if lengths is None else [int(n) for n in lengths]
        state_shape = (self.num_layers * self.directions, batch, self.hidden_size)
        if state is None:
            state = tuple(np.zeros(state_shape) for _ in range(self.cell.num_states))
        final = tuple(np.array(s, np.float64) for s in state)
        cache = TwinCache({}, rows, num_steps, from_ids, masks)

        y = layer_input
        for layer in range(self.num_layers):
            if layer > 0 and masks is not None:
                y = y * masks[layer - 1]
            layer_input = y
            y = np.zeros((num_steps, batch, self.directions * self.hidden_size))
            for direction in range(self.directions):
                w = self.weights(params, layer, direction)
                columns = slice(direction * self.hidden_size, (direction + 1) * self.hidden_size)
                slot = layer * self.directions + direction
                for b in range(batch):
                    h = tuple(s[slot, b].copy() for s in final)
                    saved = []
                    for t in _order(rows[b], direction):
                        h, kept = self.cell.step(w, layer_input[t, b], h)
                        y[t, b, columns] = h[0]
                        saved.append(kept)
                    cache.saved[layer, direction, b] = saved
                    for whole, value in zip(final, h, strict=True):
                        whole[slot, b] = value
        return y, final, cache

    def backward(
        self,
        params: Params,
        dy: Array | None,  # [T,B,D*H]; None: zero
        cache: TwinCache,
        dstate: State | None = None,  # gradient of the final state
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """dx [T,B,I] (None for ids), gradient of the initial state, gradient of every parameter."""
        batch, width = len(cache.lengths), self.directions * self.hidden_size
        d_output = (
            np.zeros((cache.num_steps, batch, width)) if dy is None else np.asarray(dy, np.float64)
        )
        if dstate is None:
            shape = (self.num_layers * self.directions, batch, self.hidden_size)
            dstate = tuple(np.zeros(shape) for _ in range(self.cell.num_states))
        d_initial = tuple(np.array(s, np.float64) for s in dstate)
        grads: dict[str, Array] = {}

        for layer in reversed(range(self.num_layers)):
            d_input = np.zeros((cache.num_steps, batch, self.layer_input_size(layer)))
            for direction in range(self.directions):
                w = self.weights(params, layer, direction)
                dw = w.zeros()
                columns = slice(direction * self.hidden_size, (direction + 1) * self.hidden_size)
                slot = layer * self.directions + direction
                for b in range(batch):
                    dh = tuple(s[slot, b].copy() for s in d_initial)
                    steps = list(
                        zip(
                            _order(cache.lengths[b], direction),
                            cache.saved[layer, direction, b],
                            strict=True,
                        )
                    )
                    for t, kept in reversed(steps):
                        dh = (dh[0] + d_output[t, b, columns], *dh[1:])
                        dx, dh = self.cell.step_backward(w, dw, kept, dh)
                        d_input[t, b] += dx
                    for whole, value in zip(d_initial, dh, strict=True):
                        whole[slot, b] = value
                # Without biases there are two names and the bias gradients are dropped.
                grads.update(
                    zip(
                        self.names(layer, direction),
                        (dw.ih, dw.hh, dw.bias_ih, dw.bias_hh),
                        strict=False,
                    )
                )
            d_output = (
                d_input if layer == 0 or cache.masks is None else d_input * cache.masks[layer - 1]
            )
        return (
            (None if cache.from_ids else d_output),
            d_initial,
            {name: grads[name] for name in self.shapes()},
        )


def _order(length: int, direction: int) -> range:
    """The steps of one row in the order in which a direction reads them."""
    return range(length) if direction == 0 else range(length - 1, -1, -1)
