"""Attention of every instruction set: sizes around the lanes, extreme scores, single rows."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from instruction_sets import selected
from rnncore import _core

Array = NDArray[Any]

# Lanes are 2 to 16, four steps and up to four queries are compared at once, rows of weights are
# padded to 16: one less, equal, one more, several and a rest.
STEPS = (1, 2, 3, 4, 5, 15, 16, 17, 33)
WIDTHS = (1, 3, 4, 8, 15, 16, 17, 31, 64, 67, 130)
QUERIES = (1, 2, 3, 4, 5, 9)
# Sums of up to 130 products in another order, through an exponential.
LIMIT = {np.float32: 2e-5, np.float64: 1e-13}


def run(dtype: Any, queries: int, steps: int, width: int, *, additive: bool) -> list[Array]:
    """Forward and backward of two sequences, the second one step and query shorter."""
    rng = np.random.default_rng(0)
    lengths, targets = np.array([steps, steps - 1]), np.array([queries, queries - 1])
    values_width = 135 - width

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    keys = draw(lengths.sum(), width) / dtype(width**0.5)
    values, v = draw(lengths.sum(), values_width), draw(width) if additive else None
    query, dcontext = draw(targets.sum(), width), draw(queries, 2, values_width)
    memory = _core.AttentionMemory(keys, values, v, lengths, steps, 1, 1.0)
    context, weights = memory.forward(query, targets, queries, True)
    dv = np.zeros(width, dtype)
    gradients = memory.backward(dcontext, query, targets, weights, dv)
    return [context, weights, dv, *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("additive", [False, True], ids=["product", "additive"])
def test_sizes_around_the_lanes(isa: str, dtype: Any, additive: bool) -> None:
    sizes = [(q, s, 17) for q in QUERIES for s in STEPS] + [(3, 6, w) for w in WIDTHS]
    for size in sizes:
        got = run(dtype, *size, additive=additive)
        with selected("reference"):
            expected = run(dtype, *size, additive=additive)
        for a, b in zip(got, expected, strict=True):
            error = np.max(np.abs(a - b), initial=0) / max(1, np.max(np.abs(b), initial=0))
            assert error <= LIMIT[dtype], f"{size}: {error}"


@pytest.mark.parametrize("steps", STEPS)
def test_weights_are_padded_with_zeros_and_sum_to_one(isa: str, dtype: Any, steps: int) -> None:
    room = _core.padded_weights(steps)
    assert room % 16 == 0
    assert steps <= room < steps + 16
    _, weights, *_ = run(dtype, 4, steps, 17, additive=False)
    rows = weights[: 4 * room].reshape(4, room)
    assert not rows[:, steps:].any()
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("additive", [False, True], ids=["product", "additive"])
def test_a_query_does_not_depend_on_the_others(isa: str, dtype: Any, additive: bool) -> None:
    """Bits: a decoder that asks step by step reads what it read in one pass."""
    rng = np.random.default_rng(1)
    steps, width, values_width = 19, 37, 53
    keys, values, query = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((steps, width), (steps, values_width), (7, width))
    )
    v = rng.standard_normal(width).astype(dtype) if additive else None
    memory = _core.AttentionMemory(keys, values, v, np.array([steps]), steps, 1, 0.25)
    rows = np.zeros(7, np.int64)
    context, weights = memory.read(query, rows)
    whole, _ = memory.forward(query, np.array([7]), 7, False)
    np.testing.assert_array_equal(whole[:, 0], context)
    for n in range(7):
        for got, all_of_them in zip(
            memory.read(query[n:][:1], rows[:1]), (context, weights), strict=True
        ):
            np.testing.assert_array_equal(got[0], all_of_them[n])


def test_scores_of_any_size(isa: str, dtype: Any) -> None:
    """The greatest score is subtracted before the exponential."""
    scores = np.array([-1e30, 0, 1e30, 1e30], dtype)[:, np.newaxis]
    values = np.eye(4, dtype=dtype)
    memory = _core.AttentionMemory(scores, values, None, np.array([4]), 4, 1, 1.0)
    context, _ = memory.read(np.ones((1, 1), dtype), np.array([0]))
    np.testing.assert_array_equal(context, [[0, 0, 0.5, 0.5]])


def test_a_score_that_is_no_number_is_seen(isa: str, dtype: Any) -> None:
    for at in range(5):
        keys = np.zeros((5, 1), dtype)
        keys[at] = np.nan
        memory = _core.AttentionMemory(keys, np.ones((5, 3), dtype), None, np.array([5]), 5, 1, 1.0)
        assert np.isnan(memory.read(np.ones((1, 1), dtype), np.array([0]))[0]).all()


def test_joined_rows(dtype: Any) -> None:
    x = np.arange(24, dtype=dtype).reshape(4, 3, 2)
    lengths = np.array([4, 0, 2])
    rows = _core.join_rows(x, lengths)
    np.testing.assert_array_equal(rows, np.concatenate([x[:4, 0], x[:2, 2]]))
    expected = x.copy()
    expected[:, 1] = expected[2:, 2] = 0
    np.testing.assert_array_equal(_core.part_rows(rows, None, lengths, 4), expected)
    np.testing.assert_array_equal(_core.part_rows(rows, rows, lengths, 4), 2 * expected)
    with pytest.raises(ValueError, match="lengths"):
        _core.join_rows(x, np.array([5, 0, 2]))
    with pytest.raises(ValueError, match="lengths"):
        _core.join_rows(x, np.array([1, 2]))
    with pytest.raises(ValueError, match="x"):
        _core.part_rows(rows[1:], None, lengths, 4)
