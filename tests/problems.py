"""Random problems for the recurrent layers: one set of numbers, solved by a layer and by the twin.

Every number of a problem is representable in float32, so that a float32 layer, a float64 layer and
the twin are asked the same question and their answers differ by rounding alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnncore as rc
from rnncore import _core
from twin import CELLS, Twin

Array = NDArray[Any]
Answers = dict[str, Array]

CELL_NAMES = tuple(CELLS)

# Largest error of an array divided by the largest value of that array. An elementwise relative
# error would measure cancellation: an element near zero is a sum of terms as large as those of its
# neighbors, and carries their rounding. float32: 1e-5 is about 80 eps, what sums over some hundred
# terms and a chain of some dozen steps need. float64: 1e-12 is far below any error in the formulas.
RELATIVE_ERROR = {"float32": 1e-5, "float64": 1e-12}


def representable(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Array:
    """Normal float64 numbers that float32 holds exactly."""
    return (scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)


def as_tuple(state: Any) -> tuple[Array, ...]:
    """The public state as a tuple of arrays: RNN and GRU have one bare array, LSTM a tuple."""
    return state if isinstance(state, tuple) else (state,)


def as_public(state: Sequence[Array]) -> Any:
    """Inverse of `as_tuple`."""
    return state[0] if len(state) == 1 else tuple(state)


def make_layer(twin: Twin, dtype: str, **options: Any) -> Any:
    """The rnncore layer that a twin describes."""
    kind, _, option = twin.cell_name.partition("_")
    constructor = {"rnn": rc.RNN, "gru": rc.GRU, "lstm": rc.LSTM}[kind]
    if option:
        options["nonlinearity" if kind == "rnn" else "reset"] = option
    return constructor(
        twin.input_size,
        twin.hidden_size,
        twin.num_layers,
        bias=twin.bias,
        bidirectional=twin.bidirectional,
        dtype=np.dtype(dtype),
        rng=0,
        **options,
    )


def relative_error(got: Array, expected: Array) -> float:
    """max |got - expected| / max |expected|; an expected zero array must be met exactly."""
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    if expected.size == 0:
        return 0.0
    assert np.all(np.isfinite(got)), "not finite"
    error = np.max(np.abs(got.astype(np.float64) - expected))
    size = np.max(np.abs(expected))
    return float(error / size) if size > 0 else float(np.inf if error > 0 else 0.0)


def assert_close(got: Mapping[str, Array], expected: Mapping[str, Array], limit: float) -> None:
    """Every array within `limit` relative error of the expected one; all offenders are named."""
    assert list(got) == list(expected)
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    offenders = {name: error for name, error in errors.items() if not error <= limit}
    assert not offenders, f"relative error above {limit}: {offenders}"


def assert_same_bits(got: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert list(got) == list(expected)
    different = [name for name in expected if got[name].tobytes() != expected[name].tobytes()]
    assert not different, f"not the same bits: {different}"


@dataclass(frozen=True)
class Problem:
    """Parameters, input and output gradients of one forward and backward pass."""

    twin: Twin
    params: dict[str, Array]
    x: Array  # [T,B,I] or ids [T,B]
    dy: Array  # [T,B,D*H]
    state: tuple[Array, ...] | None  # arrays [L*D,B,H]
    dstate: tuple[Array, ...] | None
    lengths: Array | None  # [B]

    @classmethod
    def random(
        cls,
        twin: Twin,
        num_steps: int,
        batch: int,
        *,
        seed: int = 0,
        ids: bool = False,
        state: bool = False,
        lengths: Sequence[int] | None = None,
    ) -> "Problem":
        """`state` gives an initial state and a gradient of the final one."""
        rng = np.random.default_rng(seed)
        # Small enough that gates do not saturate: 1 - y * y would cancel, and tests measure that.
        scale = 0.5 / np.sqrt(twin.hidden_size)
        params = {
            name: representable(rng, *shape, scale=scale) for name, shape in twin.shapes().items()
        }
        x = (
            rng.integers(0, twin.input_size, (num_steps, batch))
            if ids
            else representable(rng, num_steps, batch, twin.input_size)
        )
        dy = representable(rng, num_steps, batch, twin.directions * twin.hidden_size)
        shape = (twin.num_layers * twin.directions, batch, twin.hidden_size)
        states = [
            tuple(representable(rng, *shape) for _ in range(twin.cell.num_states)) for _ in range(2)
        ]
        return cls(
            twin,
            params,
            x,
            dy,
            states[0] if state else None,
            states[1] if state else None,
            None if lengths is None else np.asarray(lengths, np.int64),
        )

    def layer(self, dtype: str, **options: Any) -> Any:
        """The layer with the problem's parameters."""
        layer = make_layer(self.twin, dtype, **options)
        layer.load_state_dict({name: value.astype(dtype) for name, value in self.params.items()})
        return layer

    def inputs(self, dtype: str) -> tuple[Array, Any, Array, Any]:
        """x, state, dy, dstate as the layer takes them."""
        x = self.x if np.issubdtype(self.x.dtype, np.integer) else self.x.astype(dtype)
        state, dstate = (
            None if s is None else as_public([a.astype(dtype) for a in s])
            for s in (self.state, self.dstate)
        )
        return x, state, self.dy.astype(dtype), dstate

    def solve(self, layer: Any) -> Answers:
        """Outputs, final state and every gradient from a layer of rnncore."""
        x, state, dy, dstate = self.inputs(layer.dtype.name)
        y, final, cache = layer.forward(x, state, lengths=self.lengths)
        layer.zero_grad()
        dx, d_initial = layer.backward(dy, cache, dstate)
        return _named(y, as_tuple(final), dx, as_tuple(d_initial), layer.grads)

    def expected(self, masks: Sequence[Array] | None = None) -> Answers:
        """The same from the twin."""
        y, final, cache = self.twin.forward(self.params, self.x, self.state, self.lengths, masks)
        dx, d_initial, grads = self.twin.backward(self.params, self.dy, cache, self.dstate)
        return _named(y, final, dx, d_initial, grads)


def _named(
    y: Array,
    final: Sequence[Array],
    dx: Array | None,
    d_initial: Sequence[Array],
    grads: Mapping[str, Array],
) -> Answers:
    answers = {"y": y}
    answers.update({f"final state {i}": s for i, s in enumerate(final)})
    if dx is not None:
        answers["dx"] = dx
    answers.update({f"gradient of initial state {i}": s for i, s in enumerate(d_initial)})
    answers.update({f"gradient of {name}": np.array(g) for name, g in grads.items()})
    return answers


def linear_losses(x: Array, weight: Array, bias: Array | None, targets: Any, ignored: int) -> Array:
    """Softmax losses of x W^T + b."""
    head = _core.LossHead("softmax", weight, bias, None, None, targets, None, ignored)
    return _core.linear_losses(head, x)
