"""Batches: nothing lost, nothing twice, and rows that continue where they should."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncore.data import IGNORED, ContiguousBatches, SentenceBatches, sentences, split

SIZES = st.integers(1, 12)


def streams(batches: ContiguousBatches) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of one pass, joined over time: [S,B]."""
    joined = [(batch.inputs, batch.targets) for batch in batches.epoch(0)]
    return tuple(np.concatenate(parts) for parts in zip(*joined, strict=True))


# --- contiguous text ----------------------------------------------------------------------------


@given(st.integers(0, 100), SIZES, SIZES)
def test_training_streams_are_stretches_of_the_text(rest: int, batch_size: int, bptt: int) -> None:
    ids = np.arange(batch_size + 1 + rest)  # as many as one step needs, or more
    batches = ContiguousBatches(ids, batch_size, bptt)
    inputs, targets = streams(batches)
    steps = (len(ids) - 1) // batch_size
    np.testing.assert_array_equal(inputs.T.reshape(-1), ids[: steps * batch_size])
    np.testing.assert_array_equal(targets, inputs + 1)
    assert batches.batch_size == batch_size


@given(st.integers(2, 100), SIZES, SIZES)
def test_padded_streams_have_every_target_once(length: int, batch_size: int, bptt: int) -> None:
    batches = ContiguousBatches(np.arange(length), batch_size, bptt, pad=True)
    inputs, targets = streams(batches)
    counted = targets != IGNORED
    assert sorted(targets[counted]) == list(range(1, length))
    np.testing.assert_array_equal(targets[counted], inputs[counted] + 1)
    assert sum(batch.num_targets for batch in batches.epoch(0)) == length - 1
    assert batches.batch_size <= batch_size


@given(st.integers(0, 100), SIZES, SIZES)
def test_batches_have_at_most_bptt_steps(rest: int, batch_size: int, bptt: int) -> None:
    batches = ContiguousBatches(np.arange(batch_size + 1 + rest), batch_size, bptt)
    shapes = [batch.inputs.shape for batch in batches.epoch(0)]
    assert len(shapes) == len(batches)
    assert all(shape == (bptt, batch_size) for shape in shapes[:-1])
    assert 1 <= shapes[-1][0] <= bptt
    assert batches.carries_state


def test_too_few_tokens() -> None:
    with pytest.raises(ValueError, match="expected at least 5 tokens for 4 streams, got 4"):
        ContiguousBatches(np.arange(4), 4, 2)
    with pytest.raises(ValueError, match="expected at least 2 tokens for evaluation, got 1"):
        ContiguousBatches([7], 4, 2, pad=True)
    with pytest.raises(ValueError, match="got 0"):
        ContiguousBatches([], 1, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros(9), 2, 2), TypeError, "ids: expected integers"),
        ((np.zeros((3, 3), int), 2, 2), ValueError, r"ids: expected shape \[N\]"),
        ((np.zeros(9, int), 0, 2), ValueError, "batch_size: expected at least 1, got 0"),
        ((np.zeros(9, int), 2, -1), ValueError, "bptt: expected at least 1, got -1"),
        ((np.zeros(9, int), 2.0, 2), TypeError, "batch_size: expected an integer"),
    ],
)
def test_bad_contiguous_batches(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ContiguousBatches(*arguments)


# --- sentences ----------------------------------------------------------------------------------

LINES = st.lists(st.lists(st.integers(1, 5), max_size=6), min_size=1, max_size=20)


@given(LINES, st.booleans(), st.booleans())
def test_sentences_are_the_lines_between_boundaries(
    lines: list[list[int]], starts: bool, ends: bool
) -> None:
    """Also where the text begins or ends with the boundary, as text files do."""
    text = [token for line in lines for token in [0, *line]][0 if starts else 1 :]
    text += [0] if ends else []
    if not ends and not lines[-1]:  # nothing after the last boundary: that line is not there
        lines = lines[:-1] or [[]]
    if not starts and len(lines) > 1 and not lines[0]:
        lines = lines[1:]  # the first boundary now begins the second line
    assert [s.tolist() for s in sentences(text, 0)] == [[0, *line, 0] for line in lines]


@given(LINES, SIZES, st.none() | st.integers(0, 3))
def test_sentence_batches_have_every_sentence_once(
    lines: list[list[int]], batch_size: int, seed: int | None
) -> None:
    wanted = [np.array([0, *line, 0]) for line in lines]
    batches = SentenceBatches(wanted, batch_size, seed=seed)
    found, weights = [], []
    for batch in batches.epoch(0):
        assert batch.lengths is not None
        assert batch.inputs.shape == (batch.lengths.max(), len(batch.lengths))
        for b, length in enumerate(batch.lengths):
            np.testing.assert_array_equal(batch.inputs[1:length, b], batch.targets[: length - 1, b])
            found.append([*batch.inputs[:length, b], batch.targets[length - 1, b]])
            assert np.all(batch.targets[length:, b] == IGNORED)
        assert batch.num_targets == batch.lengths.sum()
        weights.append(batch.weight)
        mean_targets = sum(len(s) - 1 for s in wanted) / len(batches)
        assert batch.weight == pytest.approx(batch.num_targets / mean_targets)
    assert sorted(found) == sorted(s.tolist() for s in wanted)
    assert len(batches) == -(-len(lines) // batch_size)
    assert np.mean(weights) == pytest.approx(1)
    assert not batches.carries_state


def test_batches_are_of_similar_length() -> None:
    """Sorted by length, padding is what the lengths differ within one batch; here not at all."""
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.repeat(np.arange(2, 10), 4))
    batches = SentenceBatches([np.zeros(n, int) for n in lengths], 4, seed=1)
    assert all(np.all(batch.targets != IGNORED) for batch in batches.epoch(0))


def test_each_pass_deals_anew_and_a_seed_repeats_it() -> None:
    words = [np.array([0, k, 0]) for k in range(1, 31)]

    def passes(seed: int | None) -> list[list[list[int]]]:
        batches = SentenceBatches(words, 4, seed=seed)
        return [[batch.inputs[1].tolist() for batch in batches.epoch(k)] for k in range(2)]

    first, second = passes(5)
    assert first != second
    assert passes(5) == [first, second]
    ordered, again = passes(None)
    assert ordered == again


def test_bad_sentence_batches() -> None:
    with pytest.raises(ValueError, match="sentences: expected at least one, got none"):
        SentenceBatches([], 4)
    for wrong in (None, 3):
        with pytest.raises(TypeError, match=f"sentences: expected a sequence, got .*{wrong}"):
            SentenceBatches(wrong, 2)
    with pytest.raises(ValueError, match=r"sentences\[1\]: expected at least 2 tokens, got 1"):
        SentenceBatches([[0, 1], [0]], 4)
    with pytest.raises(TypeError, match=r"sentences\[0\]: expected integers"):
        SentenceBatches([[0.5, 1.0]], 4)
    with pytest.raises(ValueError, match="batch_size: expected at least 1"):
        SentenceBatches([[0, 1]], 0)


@pytest.mark.parametrize("boundary", [0.5, None, "0", True])
def test_the_boundary_of_sentences_is_a_token(boundary: Any) -> None:
    with pytest.raises(TypeError, match="boundary: expected an integer, got "):
        sentences([1, 0, 2, 0], boundary)


# --- held-out part ------------------------------------------------------------------------------


def test_split_holds_out_the_end() -> None:
    ids = np.arange(1_115_394)
    training, validation = split(ids, 0.1)
    assert len(training) == 1_003_854  # the usual split of tinyshakespeare
    np.testing.assert_array_equal(np.concatenate([training, validation]), ids)
    assert split(ids, 0)[1].size == 0
    assert split([ids, ids, ids], 0.5) == ([ids], [ids, ids])


@pytest.mark.parametrize(
    ("length", "fraction", "held_out"),
    [
        (10, 0.9, 9),
        (100, 0.8, 80),
        (100, 0.07, 7),  # 100 * 0.07 is a little above 7
        (100, 0.2, 20),
        (10, 0.99, 9),
        (10, 1e-300, 1),
        (2, 0.001, 1),
        (2, 0.999, 1),
        (1, 0.1, 1),
        (0, 0.5, 0),
        (5, 0, 0),
    ],
)
def test_split_rounds_to_whole_tokens(length: int, fraction: float, held_out: int) -> None:
    training, validation = split(np.arange(length), fraction)
    assert (len(training), len(validation)) == (length - held_out, held_out)


@given(st.integers(1, 10**6))
def test_a_tenth_is_the_part_that_it_was(length: int) -> None:
    assert len(split(np.arange(length), 0.1)[0]) == int(length * 0.9)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_split_outside_the_range(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"validation_fraction: expected .*\[0, 1\)"):
        split(np.arange(4), fraction)
