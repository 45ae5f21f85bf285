"""AttentionRNN: outputs, states, weights and every gradient against the float64 twin."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from attention_rnn_twin import DecoderTwin
from problems import RELATIVE_ERROR, assert_close, representable

Array = NDArray[Any]
Answers = dict[str, Array]

STEPS, SOURCE, BATCH, INPUT, HIDDEN, MEMORY = 6, 5, 4, 3, 6, 4
LENGTHS = (4, 1, 6, 0)  # any order, one row of full length, one empty
MEMORY_LENGTHS = (5, 0, 2, 3)

CELLS = {
    "rnn_tanh": {"cell": "rnn"},
    "rnn_relu": {"cell": "rnn", "nonlinearity": "relu"},
    "gru_after": {"cell": "gru"},
    "gru_before": {"cell": "gru", "reset": "before"},
    "lstm": {"cell": "lstm"},
}
SCORES: dict[str, dict[str, Any]] = {
    "general": {},
    "projected": {"score": "general", "attention_size": 8, "num_heads": 2, "scaled": True},
    "dot": {"score": "dot"},
    "additive": {"score": "additive", "attention_size": 5},
    "additive heads": {"score": "additive", "num_heads": 2},
}
FEEDINGS = ("input", "conditional")


@dataclass(frozen=True)
class Case:
    """A layer, and one pass through it."""

    options: dict[str, Any]
    twin: DecoderTwin
    params: Answers
    x: Array
    memory: Array
    dy: Array
    state: tuple[Array, ...]
    dstate: tuple[Array, ...]
    lengths: tuple[int, ...]
    memory_lengths: tuple[int, ...]
    sizes: tuple[int, int, int]

    @classmethod
    def make(
        cls,
        cell: str = "gru_after",
        feeding: str = "input",
        score: str = "general",
        *,
        sizes: tuple[int, int, int, int, int] = (INPUT, HIDDEN, MEMORY, STEPS, SOURCE),
        lengths: tuple[int, ...] = LENGTHS,
        memory_lengths: tuple[int, ...] = MEMORY_LENGTHS,
        seed: int = 0,
        **options: Any,
    ) -> "Case":
        rng = np.random.default_rng(seed)
        num_inputs, hidden, width, steps, source = sizes
        if score == "dot":
            width = hidden
        options = {"feeding": feeding, **CELLS[cell], **SCORES[score], **options}
        layer = rc.AttentionRNN(num_inputs, hidden, width, dtype=np.float64, rng=0, **options)
        attention = layer.attention
        twin = DecoderTwin(
            cell,
            feeding,
            attention.score,
            attention.query_projection is not None,
            attention.num_heads,
            (attention.num_heads / attention.key_size) ** 0.5 if attention.scaled else 1.0,
            layer.bias,
            layer.output_context,
        )
        # Small enough that gates do not saturate, see problems.Problem.
        scale = 0.7 / np.sqrt(hidden)
        params = {
            name: representable(rng, *value.shape, scale=scale)
            for name, value in layer.params.items()
        }
        batch = len(lengths)
        states = [
            tuple(representable(rng, batch, hidden) for _ in layer.state_names) for _ in range(2)
        ]
        return cls(
            options,
            twin,
            params,
            representable(rng, steps, batch, num_inputs),
            representable(rng, source, batch, width),
            representable(rng, steps, batch, layer.output_size),
            states[0],
            states[1],
            lengths,
            memory_lengths,
            (num_inputs, hidden, width),
        )

    def layer(self, dtype: str = "float32", **options: Any) -> rc.AttentionRNN:
        layer = rc.AttentionRNN(*self.sizes, dtype=dtype, rng=0, **self.options, **options)
        layer.load_state_dict(self.params)
        return layer

    def inputs(self, dtype: Any) -> tuple[Any, ...]:
        """x, memory and state as the layer takes them."""
        return self.x.astype(dtype), self.memory.astype(dtype), public(self.state, dtype)

    def lengths_of_both(self) -> dict[str, Any]:
        return {"lengths": self.lengths, "memory_lengths": self.memory_lengths}

    def solve(self, layer: rc.AttentionRNN) -> Answers:
        dtype = layer.dtype
        y, final, cache = layer.forward(*self.inputs(dtype), **self.lengths_of_both())
        layer.zero_grad()
        dx, dmemory, dinitial = layer.backward(
            self.dy.astype(dtype), cache, public(self.dstate, dtype)
        )
        weights = layer.weights(*self.inputs(dtype), **self.lengths_of_both())
        return named(y, parts(final), weights, dx, dmemory, parts(dinitial), layer.grads)

    def expected(self) -> Answers:
        lengths = list(self.lengths), list(self.memory_lengths)
        y, final, weights, saved = self.twin.forward(
            self.params, self.x, self.memory, self.state, *lengths
        )
        dx, dmemory, dinitial, grads = self.twin.backward(
            self.params, self.dy, (self.x, self.memory), saved, self.dstate
        )
        return named(y, final, weights, dx, dmemory, dinitial, grads)


def parts(state: Any) -> Any:
    return state if isinstance(state, tuple) else (state,)


def public(state: tuple[Array, ...], dtype: Any) -> Any:
    arrays = tuple(a.astype(dtype) for a in state)
    return arrays if len(arrays) > 1 else arrays[0]


def named(
    y: Any, final: Any, weights: Any, dx: Any, dmemory: Any, dstate: Any, grads: Any
) -> Answers:
    answers = {"y": y, "weights": weights, "dx": dx, "dmemory": dmemory}
    answers |= {f"final {i}": s for i, s in enumerate(final)}
    answers |= {f"initial gradient {i}": s for i, s in enumerate(dstate)}
    return answers | {f"gradient of {name}": np.array(g) for name, g in grads.items()}


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("score", SCORES)
def test_layer_equals_twin(cell: str, feeding: str, score: str) -> None:
    for bias, output_context in ((True, False), (False, True)):
        case = Case.make(cell, feeding, score, bias=bias, output_context=output_context)
        expected = case.expected()
        for dtype, limit in RELATIVE_ERROR.items():
            assert_close(case.solve(case.layer(dtype)), expected, limit)
