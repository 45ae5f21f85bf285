"""Published outputs of Keras 2 layers, with every option that rnncore's layers have too.

The cases come without their options, which stand here as in the notebooks that made them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from foreign import put_keras, sigmoid
from rnncore._check import Array

TOLERANCE = 5e-6  # arrays are printed with six digits; measured: 2.1e-6


@dataclass(frozen=True)
class Options:
    """Those of a Keras layer, but for the cell and what the shapes of its arrays say."""

    backwards: bool = False
    stateful: bool = False  # the expected outputs are those of a second run
    activation: str = "tanh"
    merge: str = ""  # of two directions


PLAIN, BACKWARDS = Options(), Options(backwards=True)
STATEFUL, BOTH = Options(stateful=True), Options(backwards=True, stateful=True)
RUNS = [PLAIN, PLAIN, PLAIN, BACKWARDS, BACKWARDS, STATEFUL, STATEFUL, BOTH, BOTH]
MERGES = ["sum", "mul", "concat", "ave", "concat", "concat", "concat", "sum"]

EXPRESSIBLE = {
    **{f"recurrent.SimpleRNN.{i}": options for i, options in enumerate(RUNS)},
    "recurrent.SimpleRNN.1": Options(activation="sigmoid"),
    **{f"wrappers.Bidirectional.{i}": Options(merge=MERGES[i]) for i in (0, 1, 2, 3, 4, 7)},
}
#: Gates are clip(0.2 a + 0.5, 0, 1), which Keras 2 takes where nothing is said.
HARD_GATES = {
    **{f"recurrent.{cell}.{i}": RUNS[i] for cell in ("GRU", "LSTM") for i in range(9) if i != 1},
    "wrappers.Bidirectional.5": Options(merge="concat"),
    "wrappers.Bidirectional.6": Options(merge="concat"),
}
#: The candidate, and what leaves an LSTM's cell, go through a sigmoid instead of tanh.
SIGMOID_CANDIDATE = {
    "recurrent.GRU.1": Options(activation="sigmoid"),
    "recurrent.LSTM.1": Options(activation="sigmoid"),
}
INEXPRESSIBLE = HARD_GATES | SIGMOID_CANDIDATE

CELLS: dict[int, type[rc.RNN | rc.GRU | rc.LSTM]] = {1: rc.RNN, 3: rc.GRU, 4: rc.LSTM}  # by gates


class Case:
    """One case: its arrays, its options, and how outputs of directions become those of Keras."""

    def __init__(self, content: Any, options: Options) -> None:
        def array(part: Any) -> Array:
            return np.array(part["data"], np.float32).reshape(part["shape"])

        self.options = options
        self.x, self.expected = array(content["input"]), array(content["expected"])
        if options.backwards:
            self.x = self.x[::-1].copy()
        weights = [array(w) for w in content["weights"]]
        half = len(weights) // 2
        self.directions = [weights[:half], weights[half:]] if options.merge else [weights]
        self.runs = 2 if options.stateful else 1
        recurrent = weights[1]
        self.cell = CELLS[recurrent.shape[1] // recurrent.shape[0]]

    def merged(self, outputs: list[Array]) -> Array:
        """Merge the outputs [T, H] of all directions, or those of the last step of each."""
        if self.expected.ndim == 1:
            outputs = [y[last] for y, last in zip(outputs, (-1, 0), strict=False)]
        if len(outputs) == 1:
            return outputs[0]
        forward, reverse = outputs
        merges = {
            "sum": forward + reverse,
            "mul": forward * reverse,
            "ave": (forward + reverse) / 2,
            "concat": np.concatenate(outputs, -1),
        }
        return merges[self.options.merge]


@pytest.fixture(scope="module")
def contents(shared: Path) -> dict[str, Any]:
    """The 35 cases by name."""
    found: dict[str, Any] = {}
    for path in sorted((shared / "models/kerasjs").glob("*.json")):
        found |= json.loads(path.read_text("utf-8"))
    return found


def ours(case: Case) -> Array:
    """Outputs of the layer of rnncore that comes nearest."""
    inputs, hidden = case.x.shape[1], case.directions[0][1].shape[0]
    options: dict[str, Any] = {"bidirectional": len(case.directions) == 2}
    if case.cell is rc.RNN:
        options["nonlinearity"] = case.options.activation
    elif case.cell is rc.GRU:
        options["reset"] = "before"
    layer = case.cell(inputs, hidden, bias=len(case.directions[0]) == 3, **options)
    for direction, weights in enumerate(case.directions):
        put_keras(layer, weights, reverse=direction == 1)
    state: Any = None
    for _ in range(case.runs):
        y, state = layer(case.x, state)
    return case.merged(np.split(y, len(case.directions), -1))


Function = Callable[[Array], Array]


def in_numpy(case: Case, gate: Function, activation: Function) -> Array:
    """Outputs of a GRU or LSTM with any functions, in double precision."""

    def direction(weights: list[Array], x: Array) -> Array:
        kernel, recurrent, *biases = (w.astype(np.float64) for w in weights)
        h = c = np.zeros(len(recurrent))
        outputs: list[Array] = []
        for row in np.tile(x, (case.runs, 1)):
            a = row @ kernel + sum(biases)
            if case.cell is rc.LSTM:
                i, f, g, o = np.split(a + h @ recurrent, 4)
                c = gate(f) * c + gate(i) * activation(g)
                h = gate(o) * activation(c)
            else:
                a_z, a_r, a_n = np.split(a, 3)
                w_z, w_r, w_n = np.split(recurrent, 3, axis=1)
                z, r = gate(a_z + h @ w_z), gate(a_r + h @ w_r)
                h = z * h + (1 - z) * activation(a_n + (r * h) @ w_n)
            outputs.append(h)
        return np.stack(outputs[-len(x) :])

    outputs = [direction(case.directions[0], case.x)]
    if len(case.directions) == 2:
        outputs.append(direction(case.directions[1], case.x[::-1])[::-1])
    return case.merged(outputs)


def hard_sigmoid(a: Array) -> Array:
    return np.clip(0.2 * a + 0.5, 0, 1)


def test_every_case_is_named(contents: dict[str, Any]) -> None:
    assert set(contents) == set(EXPRESSIBLE) | set(INEXPRESSIBLE)
    assert (len(EXPRESSIBLE), len(HARD_GATES), len(SIGMOID_CANDIDATE)) == (15, 18, 2)


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_outputs_of_keras(contents: dict[str, Any], name: str, isa: str) -> None:
    case = Case(contents[name], EXPRESSIBLE[name])
    np.testing.assert_allclose(ours(case), case.expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_what_cannot_be_expressed_is_for_the_reason_given(
    contents: dict[str, Any], name: str
) -> None:
    """With the functions that rnncore lacks, NumPy gives what Keras gave; with its own, it cannot.

    A layer that learns to do so belongs among those above.
    """
    case = Case(contents[name], INEXPRESSIBLE[name])
    gate = hard_sigmoid if name in HARD_GATES else sigmoid
    activation = sigmoid if name in SIGMOID_CANDIDATE else np.tanh
    assert abs(in_numpy(case, gate, activation) - case.expected).max() < TOLERANCE
    assert abs(in_numpy(case, sigmoid, np.tanh) - ours(case)).max() < TOLERANCE
    assert abs(ours(case) - case.expected).max() > 1e-3
