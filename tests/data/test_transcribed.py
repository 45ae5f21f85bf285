"""TranscribedBatches: each target once, padding, epochs, errors."""

from typing import Any

import numpy as np
import pytest

from rnncore.data import IGNORED, TranscribedBatches

LENGTHS = (5, 0, 3, 5, 1)
SEQUENCES = [np.full((length, 2), float(k)) for k, length in enumerate(LENGTHS)]
LABELS = [[1, 2], [], [3], [4, 5, 6], [7]]


def test_every_label_is_that_of_its_sequence_once() -> None:
    batches = TranscribedBatches(SEQUENCES, LABELS, 2, seed=3)
    for number in range(3):
        seen = {}
        for batch in batches.epoch(number):
            for b, length in enumerate(batch.lengths):
                row = batch.targets[b]
                kept = row[row != IGNORED].tolist()
                assert (row[len(kept) :] == IGNORED).all()
                k = next(
                    k for k, x in enumerate(SEQUENCES) if len(x) == length and kept == LABELS[k]
                )
                np.testing.assert_array_equal(batch.inputs[:length, b], SEQUENCES[k])
                seen[k] = kept
        assert [seen[k] for k in range(5)] == LABELS
    assert len(batches) == 3
    again = TranscribedBatches(SEQUENCES, LABELS, 2, seed=3)
    for one, other in zip(batches.epoch(1), again.epoch(1), strict=True):
        np.testing.assert_array_equal(one.targets, other.targets)


def test_targets_per_step() -> None:
    labels = [np.arange(length) for length in LENGTHS]
    batches = TranscribedBatches(SEQUENCES, labels, 3, per_step=True)
    total = 0
    for batch in batches.epoch(0):
        assert batch.targets.shape == batch.inputs.shape[:2]
        for b, length in enumerate(batch.lengths):
            np.testing.assert_array_equal(batch.targets[:length, b], np.arange(length))
            assert (batch.targets[length:, b] == IGNORED).all()
        total += batch.num_targets
    assert total == sum(LENGTHS)
    with pytest.raises(ValueError, match=r"targets\[0\]: expected one for each of 5 steps, got 2"):
        TranscribedBatches(SEQUENCES, LABELS, per_step=True)


def test_weights_follow_the_labels() -> None:
    batches = TranscribedBatches(SEQUENCES, LABELS, 2)
    weights = [batch.weight for batch in batches.epoch(0)]
    assert np.mean(weights) == pytest.approx(1)
    # sorted by length: [] and [7], [3] and the shorter of the two, and the rest
    assert weights == pytest.approx([2 / 8 * 3, 3 / 8 * 3, 3 / 8 * 3])


def test_checksums_know_what_changed() -> None:
    own = TranscribedBatches(SEQUENCES, LABELS).checksum()
    assert own == TranscribedBatches(SEQUENCES, LABELS, 3, seed=1).checksum()
    assert own != TranscribedBatches(SEQUENCES, [*LABELS[:-1], [8]]).checksum()
    assert own != TranscribedBatches([*SEQUENCES[:-1], SEQUENCES[-1] + 1], LABELS).checksum()
    assert TranscribedBatches(SEQUENCES).batch(np.array([0])).targets is None


@pytest.mark.parametrize(
    ("sequences", "labels", "message"),
    [
        ([], [], "sequences: expected at least one"),
        (SEQUENCES, LABELS[:-1], "targets: expected one list for each of 5 sequences, got 4"),
        (SEQUENCES, [*LABELS[:-1], [0.5]], r"targets\[4\]: expected integers"),
        (SEQUENCES, [*LABELS[:-1], [[1]]], r"targets\[4\]: expected"),
    ],
)
def test_what_is_refused(sequences: Any, labels: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        TranscribedBatches(sequences, labels)
