"""Batches of pairs: each pair once, similar lengths together, limits, and what is refused."""

from typing import Any

import numpy as np
import pytest

from rnncore.data import IGNORED, Batch, Buckets, PairBatches

PAIRS = 60


def some_pairs(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sources and targets whose first ids are their numbers."""
    rng = np.random.default_rng(seed)
    sources = [np.array([k, *rng.integers(0, 9, rng.integers(0, 6))]) for k in range(PAIRS)]
    targets = [np.array([k, *rng.integers(0, 9, rng.integers(1, 8))]) for k in range(PAIRS)]
    return sources, targets


def unpadded(batch: Batch) -> list[tuple[list[int], list[int], list[int]]]:
    """Source, what is read and what is answered of each pair; past the ends there is padding."""
    sources, inputs = batch.inputs
    source_lengths, lengths = batch.lengths
    found = []
    for b in range(sources.shape[1]):
        s, t = int(source_lengths[b]), int(lengths[b])
        assert not sources[s:, b].any()
        assert (batch.targets[t:, b] == IGNORED).all()
        found.append((sources[:s, b], inputs[:t, b], batch.targets[:t, b]))
    return [tuple(part.tolist() for part in pair) for pair in found]


@pytest.mark.parametrize("limits", [{"batch_size": 7}, {"batch_size": None, "max_tokens": 40}])
def test_each_pair_occurs_once(limits: dict[str, Any], seed: int) -> None:
    sources, targets = some_pairs(seed)
    batches = PairBatches(sources, targets, seed=3, **limits)
    epochs = [[unpadded(batch) for batch in batches.epoch(n)] for n in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    for epoch in epochs:
        assert len(epoch) == len(batches)
        pairs = sorted(pair for batch in epoch for pair in batch)
        expected = [
            (s.tolist(), t[:-1].tolist(), t[1:].tolist())
            for s, t in zip(sources, targets, strict=True)
        ]
        assert pairs == sorted(expected)


def test_lengths_are_similar(seed: int) -> None:
    """Sorted by the source, and pairs of equal sources by the target."""
    batches = PairBatches(*some_pairs(seed), 5)
    lengths = np.concatenate([np.stack(batch.lengths, 1) for batch in batches.epoch(0)])
    assert lengths.tolist() == sorted(lengths.tolist())


def test_limits_of_sentences_and_tokens(seed: int) -> None:
    sources, targets = some_pairs(seed)
    longest = max(len(s) + len(t) - 1 for s, t in zip(sources, targets, strict=True))
    for most, tokens in ((4, 30), (None, 30), (None, 3), (4, 10**6)):
        batches = PairBatches(sources, targets, most, max_tokens=tokens)
        counts, totals = [], []
        for batch in batches.epoch(0):
            counts.append(batch.targets.shape[1])
            totals.append(int(sum(map(np.sum, batch.lengths))))
        assert sum(counts) == PAIRS
        assert max(counts) <= (most or PAIRS)
        assert all(t <= tokens or n == 1 for t, n in zip(totals, counts, strict=True))
        # a pair more would be too much
        for n, total in zip(counts[:-1], totals[:-1], strict=True):
            assert n == most or total + longest > tokens


def test_weights_make_tokens_count_alike(seed: int) -> None:
    batches = list(PairBatches(*some_pairs(seed), 7).epoch(0))
    assert np.mean([batch.weight for batch in batches]) == pytest.approx(1)
    shares = [batch.weight / batch.num_targets for batch in batches]
    np.testing.assert_allclose(shares, shares[0])


def test_sources_may_be_vectors_and_empty() -> None:
    vectors = [np.ones((3, 2), np.float32), np.zeros((0, 2), np.float32)]
    (batch,) = PairBatches(vectors, [[0, 5, 1], [0, 1]], 2).epoch(0)
    assert batch.inputs[0].shape == (3, 2, 2)
    assert batch.lengths[0].tolist() == [0, 3]
    (batch,) = PairBatches([[], []], [[0, 1], [0, 1]], 2).epoch(0)
    assert batch.inputs[0].shape == (0, 2)


def test_a_checksum_knows_the_pairs(seed: int) -> None:
    sources, targets = some_pairs(seed)
    first = PairBatches(sources, targets).checksum()
    assert first == PairBatches(sources, targets, 9, seed=1).checksum()
    sources[7] = sources[7][::-1] + 1
    assert first != PairBatches(sources, targets).checksum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": []}, "targets: expected at least one, got none"),
        ({"targets": [[0, 1]] * 2}, "targets: expected one for each of 1 sources, got 2"),
        ({"targets": [[0]]}, r"targets\[0\]: expected at least 2 tokens, got 1"),
        ({"targets": [[0.5, 1]]}, r"targets\[0\]: expected integers"),
        ({"batch_size": 0}, "batch_size: expected"),
        ({"batch_size": None}, "batch_size: expected a number, or one as max_tokens, got None"),
        ({"max_tokens": -1}, "max_tokens: expected"),
    ],
)
def test_bad_pairs(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"sources": [[3, 4]], "targets": [[0, 1]], "batch_size": 2} | change
    with pytest.raises((TypeError, ValueError), match=message):
        PairBatches(**given)


def test_buckets_of_nothing() -> None:
    assert len(Buckets([], 3)) == 0
    assert Buckets([], None, max_tokens=3).epoch(0) == []
