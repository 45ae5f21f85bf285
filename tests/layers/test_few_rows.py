"""Small layers on few rows: all steps between two ends of sequences are one call of a kernel."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from instruction_sets import selected
from many_threads import assert_bits_do_not_depend_on_threads
from memory_limits import least
from problems import (
    CELL_NAMES,
    RELATIVE_ERROR,
    Answers,
    Problem,
    as_tuple,
    assert_close,
    assert_same_bits,
)
from twin import Twin

Array = NDArray[Any]

every_cell = pytest.mark.parametrize("cell", CELL_NAMES)
both_directions = pytest.mark.parametrize("both", [False, True], ids=["forward", "both"])
# Rows that end together, one after the other, several at a time, and not at all.
BATCHES: dict[str, tuple[int, ...]] = {
    "one": (9,),
    "full": (9, 9, 9),
    "ragged": (2, 9, 5),
    "pairs": (3, 3, 8),
    "empty": (0, 4),
}


def inferred(problem: Problem, layer: Any, dtype: str = "float32") -> Answers:
    x, state, _, _ = problem.inputs(dtype)
    y, final = layer(x, state, lengths=problem.lengths)
    return {"y": y, **{f"final state {i}": s for i, s in enumerate(as_tuple(final))}}


@every_cell
@both_directions
@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize("inputs", ["rows", "rows from a state", "ids from a state"])
def test_equals_twin(isa: str, cell: str, both: bool, rows: str, inputs: str) -> None:
    lengths = BATCHES[rows]
    twin = Twin(cell, 4, 21, 2, bidirectional=both)
    problem = Problem.random(
        twin, 9, len(lengths), ids="ids" in inputs, state="state" in inputs, lengths=lengths
    )
    expected = problem.expected()
    for dtype, limit in RELATIVE_ERROR.items():
        layer = problem.layer(dtype)
        solved, got = problem.solve(layer), inferred(problem, layer, dtype)
        assert_close(solved, expected, limit)
        assert_same_bits(got, {name: solved[name] for name in got})


@every_cell
def test_steps_do_not_depend_on_what_follows(isa: str, cell: str) -> None:
    """The bits of a row are those it has where no row ends, and where the steps come in pieces."""
    problem = Problem.random(Twin(cell, 4, 21, 2), 20, 3)
    layer = problem.layer("float32")
    x = problem.inputs("float32")[0]
    y, final = layer(x)
    lengths = (5, 20, 11)
    ragged, _ = layer(x, lengths=lengths)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(ragged[:length, row], y[:length, row])
    first, state = layer(x[:7])
    second, last = layer(x[7:], state)
    np.testing.assert_array_equal(np.concatenate([first, second]), y)
    for one, other in zip(as_tuple(last), as_tuple(final), strict=True):
        np.testing.assert_array_equal(one, other)


@every_cell
@pytest.mark.parametrize("rows", [1, 3])
def test_several_chunks(isa: str, cell: str, rows: int) -> None:
    """The state goes from chunk to chunk; so it does to segments that are run again."""
    problem = Problem.random(Twin(cell, 2, 12), 1300, rows)
    layer = problem.layer("float32")
    solved = problem.solve(layer)
    assert_close(solved, problem.expected(), RELATIVE_ERROR["float32"])
    x, _, dy, _ = problem.inputs("float32")
    gradients = []
    for limit in (None, least(layer, x)):
        y, _, cache = layer.forward(x, memory_limit=limit)
        np.testing.assert_array_equal(y, solved["y"])
        layer.zero_grad()
        layer.backward(dy, cache)
        gradients.append(layer.flat_grads.copy())
    np.testing.assert_array_equal(*gradients)


@every_cell
@both_directions
@pytest.mark.parametrize("rows", [1, 3])
def test_threads(cell: str, both: bool, rows: int) -> None:
    problem = Problem.random(Twin(cell, 8, 64, 2, bidirectional=both), 700, rows, state=True)
    layer = problem.layer("float32")
    assert_bits_do_not_depend_on_threads(lambda: inferred(problem, layer))


def test_which_layers_are_small() -> None:
    """Weights for steps in one call are packed in another way: a frozen layer holds both."""
    with selected("baseline"):
        for hidden, packings in ((24, 2), (300, 1)):
            frozen = rc.GRU(8, hidden, rng=0).frozen()
            sizes = []
            for batch in (20, 1, 20, 1):
                frozen(np.zeros((3, batch, 8), np.float32))
                sizes.append(frozen.nbytes)
            assert len(set(sizes)) == packings
