"""Whole layers on every instruction set, with sizes around the lane count, against the twin."""

from functools import cache

import numpy as np
import pytest

from instruction_sets import selected
from problems import CELL_NAMES, RELATIVE_ERROR, Answers, Problem, assert_close
from rnncore import _core
from twin import Twin

# (B, I, H): hidden sizes around 2 to 16 lanes, with rows and inputs that go through the same.
SIZES = (
    (1, 1, 1),
    (2, 5, 2),
    (3, 2, 3),
    (4, 17, 4),
    (5, 4, 5),
    (8, 3, 7),
    (7, 8, 8),
    (9, 9, 9),
    (16, 1, 15),
    (1, 16, 16),
    (17, 7, 17),
    (3, 33, 31),
    (15, 15, 32),
    (6, 31, 33),
    (33, 40, 67),
    (28, 40, 67),  # tall enough for the other products, see rnn/kernel_choice.cpp
    (48, 17, 35),
)


@cache
def problem(cell: str, size: tuple[int, int, int]) -> tuple[Problem, Answers]:
    """A bidirectional network on a ragged batch, and the twin's answers; shared by all sets."""
    batch, inputs, hidden = size
    lengths = [4 - b % 4 for b in range(batch)]
    twin = Twin(cell, inputs, hidden, bidirectional=hidden % 2 == 1)
    asked = Problem.random(twin, 4, batch, seed=hidden, state=True, lengths=lengths)
    return asked, asked.expected()


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda s: "B{}-I{}-H{}".format(*s))
def test_layer_equals_twin(
    isa: str, dtype: type[np.floating], tolerance: float, cell: str, size: tuple[int, int, int]
) -> None:
    asked, expected = problem(cell, size)
    assert_close(asked.solve(asked.layer(np.dtype(dtype).name)), expected, tolerance)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_reference_equals_twin(cell: str) -> None:
    """The oracle of the kernel tests is itself right, and computes in double precision."""
    for size in SIZES[::3]:
        asked, expected = problem(cell, size)
        with selected("reference"):
            for dtype, limit in RELATIVE_ERROR.items():
                assert_close(asked.solve(asked.layer(dtype)), expected, limit)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_sets_agree_on_a_long_chain(cell: str) -> None:
    """Rounding differs between sets (fused products, order of sums); the result may not drift."""
    asked = Problem.random(Twin(cell, 20, 50, 2), 60, 5, state=True)
    answers = []
    for isa in _core.available_isas():
        with selected(isa):
            answers.append(asked.solve(asked.layer("float32")))
    for other in answers[1:]:
        assert_close(other, answers[0], 5 * RELATIVE_ERROR["float32"])


def test_forced_set_is_active_and_an_unknown_one_is_refused() -> None:
    for isa in _core.available_isas():
        with selected(isa):
            assert _core.isa() == isa
    before = _core.isa()
    with pytest.raises(ValueError, match="sse9"):
        _core.select_isa("sse9")
    assert _core.isa() == before
