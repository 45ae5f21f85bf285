"""Checkpoints know the data of their run again, whatever these are made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch, ContiguousBatches, LabeledBatches, SentenceBatches, sentences
from rnncore.training import TrainingConfig, fit
from trainables import Counter, plain


class Given:
    """One batch of whatever it is given."""

    carries_state = False

    def __init__(self, inputs: Any, targets: Any = None) -> None:
        self.batch = Batch(inputs, np.zeros(1) if targets is None else targets)

    def __len__(self) -> int:
        return 1

    def epoch(self, number: int) -> Iterator[Batch]:
        yield self.batch


def nested(last: int) -> list[Any]:
    ragged = np.arange(3), np.zeros((2, last))
    objects = np.array([None, np.arange(last)], object)
    return [ragged, list(ragged), {"a": ragged[0], "b": ragged}, [[1, 2], [last]], objects]


@pytest.mark.parametrize("kind", range(5))
def test_nested_inputs(kind: int, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "config": plain(epochs=2),
        "checkpoint": tmp_path / "run",
        "resume": True,
    }
    fit(Counter(), Given(nested(4)[kind]), **given)
    fit(Counter(), Given(nested(4)[kind]), **given)
    with pytest.raises(ValueError, match="training data: expected 1 batches with checksum"):
        fit(Counter(), Given(nested(5)[kind]), **given)


def test_several_targets(tmp_path: Path) -> None:
    given: dict[str, Any] = {"config": plain(epochs=2), "checkpoint": tmp_path / "run"}
    fit(Counter(), Given(np.zeros(2), (np.zeros(2), np.zeros((2, 3)))), **given)
    with pytest.raises(ValueError, match="training data"):
        fit(Counter(), Given(np.zeros(2), (np.zeros(2), np.ones((2, 3)))), resume=True, **given)


def all_batches(changed: int | None) -> dict[str, Any]:
    """Batches of 20 lines of 4 tokens, one of which may be another."""
    lines = np.tile([0, 1, 2, 3], (20, 1))
    labels = np.zeros(20, int)
    if changed is not None:
        lines[changed, 1] = labels[changed] = 2
    cut = sentences(lines.ravel(), boundary=0)
    texts = [line[1:] for line in lines]
    return {
        "contiguous": ContiguousBatches(lines.ravel(), 2, 3),
        "sentences": SentenceBatches(list(lines), 2, seed=0),
        "cut": SentenceBatches(cut, 2, seed=0),
        "slice": SentenceBatches(cut[:-1] if changed != 19 else cut, 2, seed=0),
        "sequences": LabeledBatches(texts, np.zeros(20, int), 2, seed=0),
        "labels": LabeledBatches([[1, 2]] * 20, labels, 2, seed=0),
    }


@pytest.mark.parametrize("kind", list(all_batches(None)))
def test_one_changed_line_is_other_data(kind: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "config": plain(epochs=1),
        "checkpoint": tmp_path / "run",
        "resume": True,
    }
    fit(Counter(), all_batches(None)[kind], **given)
    fit(Counter(), all_batches(None)[kind], **given)
    for changed in range(20):
        with pytest.raises(ValueError, match="training data: expected"):
            fit(Counter(), all_batches(changed)[kind], **given)


def test_the_end_of_a_text_is_compared(tmp_path: Path) -> None:
    ids = np.arange(300) % 3
    model = rc.LanguageModel(3, hidden_size=4, rng=0)
    given: dict[str, Any] = {"checkpoint": tmp_path / "run", "resume": True}
    config = TrainingConfig(epochs=1, batch_size=2, validation_fraction=0)
    model.fit(ids, config, **given)
    model.fit(ids.astype(np.uint8), config, **given)  # the same values, as on disk
    ids[-2] = (ids[-2] + 1) % 3
    with pytest.raises(ValueError, match="training data: expected"):
        model.fit(ids, config, **given)
