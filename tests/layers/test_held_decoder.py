"""Held decoders: single steps of an `AttentionRNN`, whose rows may share a memory."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from many_threads import threads

Array = NDArray[Any]
STEPS, SOURCE, BATCH, INPUT, HIDDEN, MEMORY = 5, 6, 3, 4, 8, 6
LENGTHS = (6, 0, 3)


def make(dtype: Any = np.float64, **options: Any) -> rc.AttentionRNN:
    return rc.AttentionRNN(INPUT, HIDDEN, MEMORY, dtype=dtype, rng=0, **options)


def inputs(dtype: Any = np.float64) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    shapes = (STEPS, BATCH, INPUT), (SOURCE, BATCH, MEMORY)
    x, memory = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return x, memory


def parts(state: Any) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("feeding", ["input", "conditional"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("score", ["general", "additive"])
def test_steps_equal_the_pass(isa: str, cell: str, feeding: str, score: str) -> None:
    # float32: some dozen roundings of numbers about 1, through 5 steps; float64: the same
    for dtype, limit in ((np.float32, 2e-6), (np.float64, 1e-14)):
        layer = make(
            dtype, cell=cell, feeding=feeding, score=score, num_heads=2, output_context=True
        )
        x, memory = inputs(dtype)
        y, final = layer(x, memory, memory_lengths=LENGTHS)
        weights = layer.weights(x, memory, memory_lengths=LENGTHS)
        held = layer.hold(memory, LENGTHS)
        state = None
        for t in range(STEPS):
            out, state, read = held.step(x[t], state)
            np.testing.assert_allclose(out, y[t], atol=limit)
            np.testing.assert_allclose(read, weights[t].mean(axis=1), atol=limit)
        for one, two in zip(parts(state), parts(final), strict=True):
            np.testing.assert_allclose(one, two, atol=limit)


@pytest.mark.parametrize("feeding", ["input", "conditional"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_share_a_memory(isa: str, feeding: str, dtype: Any) -> None:
    """Rows in any order and number: each has the bits that it has alone."""
    layer = rc.AttentionRNN(
        19, 40, 24, feeding=feeding, cell="lstm", score="additive", dtype=dtype, rng=0
    )
    rng = np.random.default_rng(2)
    rows = rng.integers(0, BATCH, 30)
    held = layer.hold(rng.standard_normal((SOURCE, BATCH, 24)).astype(dtype), LENGTHS)
    x = rng.standard_normal((len(rows), 19)).astype(dtype)
    state = tuple(rng.standard_normal((len(rows), 40)).astype(dtype) for _ in layer.state_names)
    y, final, weights = held.step(x, state, rows)
    assert weights.shape == (len(rows), SOURCE)
    # the rounding of six weights
    np.testing.assert_allclose(weights.sum(axis=1), np.array(LENGTHS)[rows] > 0, atol=1e-6)
    for n, row in enumerate(rows):
        own = tuple(s[n : n + 1] for s in state)
        alone, own_final, own_weights = held.step(x[n : n + 1], own, [row])
        np.testing.assert_array_equal(y[n], alone[0])
        np.testing.assert_array_equal(weights[n], own_weights[0])
        for whole, part in zip(final, own_final, strict=True):
            np.testing.assert_array_equal(whole[n], part[0])


def test_many_rows_have_the_same_bits_for_any_number_of_threads() -> None:
    layer = rc.AttentionRNN(64, 128, 96, rng=0)
    rng = np.random.default_rng(0)
    held = layer.hold(rng.standard_normal((20, 8, 96)).astype(np.float32))
    x = rng.standard_normal((80, 64)).astype(np.float32)
    results = []
    for number in (1, 2, 3):
        with threads(number):
            results.append(held.step(x, None, np.arange(80) % 8)[0])
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_later_changes_are_not_seen() -> None:
    layer = make()
    x, memory = inputs()
    frozen = layer.frozen()
    held, again = layer.hold(memory), frozen.hold(memory)
    expected, _, _ = held.step(x[0])
    layer.flat_params[:] = 0
    layer.mark_changed()
    memory[:] = 0
    np.testing.assert_array_equal(held.step(x[0])[0], expected)
    np.testing.assert_array_equal(again.step(x[0])[0], expected)


def test_copies_and_pickles() -> None:
    held = make(cell="lstm").hold(inputs()[1], LENGTHS)
    x = inputs()[0][0]
    expected, _, _ = held.step(x)
    for other in (copy.copy(held), copy.deepcopy(held), pickle.loads(pickle.dumps(held))):
        np.testing.assert_array_equal(other.step(x)[0], expected)
        assert repr(other) == repr(held)
    assert repr(held).endswith(".hold([S=6, B=3])")


def test_no_rows() -> None:
    held = make().hold(inputs()[1])
    y, _, weights = held.step(np.zeros((0, INPUT)), None, np.zeros(0, int))
    assert y.shape == (0, HIDDEN)
    assert weights.shape == (0, SOURCE)


def test_bad_arguments() -> None:
    layer = make()
    x, memory = inputs()
    held = layer.hold(memory)
    for arguments, error, message in [
        ((x[0, :, :2],), ValueError, r"x: expected shape \[N, 4\]"),
        ((x[0].astype(np.float32),), TypeError, "x: expected float64"),
        ((x[0], None, [0, 1]), ValueError, r"rows: expected shape \[3\]"),
        ((x[0], None, [0, 1, 3]), ValueError, "rows: expected ids in"),
        ((x[0], None, [0.0, 1.0, 2.0]), TypeError, "rows: expected integers"),
        ((x[0], np.zeros((3, HIDDEN))), TypeError, r"state: expected a tuple \(h, a\)"),
        ((x[0], (np.zeros((2, HIDDEN)), None)), ValueError, r"state \(h\): expected shape"),
    ]:
        with pytest.raises(error, match=message):
            held.step(*arguments)
    with pytest.raises(ValueError, match="memory_lengths: expected values in"):
        layer.hold(memory, [7, 1, 1])
    with pytest.raises(ValueError, match="memory: expected shape"):
        layer.hold(memory[..., :2])
