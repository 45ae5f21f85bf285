"""Checkpoints know the data of their run again, whatever these are made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch, ContiguousBatches, LabeledBatches, SentenceBatches, sentences
from rnncore.data.checksum import checksum
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


@pytest.mark.parametrize("values", [[0, 255], [-1, 200], [-100, 70_000], [2**40, 0], []])
def test_integers_count_by_their_values(values: list[int]) -> None:
    expected = checksum(np.array(values, np.int64))
    assert checksum(np.array(values, ">i8")) == expected
    if values and min(values) >= 0:
        assert checksum(np.array(values, np.uint64)) == expected
    if values == [0, 255]:
        assert checksum(np.array(values, np.uint8)) == expected
    assert checksum(np.array([*values, 0])) != expected


def test_numbers_that_numpy_does_not_have_count() -> None:
    assert checksum([2**100, 1]) == checksum([2**100, 1])
    assert checksum([2**100, 1]) != checksum([2**100, 2])


def test_sequences_count_with_their_lengths() -> None:
    first, second = np.arange(3), np.arange(2)
    one = checksum([first, second])
    assert one == checksum([first.astype(np.uint8), second])
    assert one != checksum([np.array([0, 1, 2, 0]), np.array([1])])
    assert one != checksum([second, first])
    many = [np.array([k]) for k in range(5000)]
    before = checksum(many)
    many[4999] = np.array([3])
    assert checksum(many) != before


class Walker(rc.Model):
    """Reads places and moves; its state is kept by a number."""

    def __init__(self, *, rng: Any = None) -> None:
        super().__init__(rng=rng)
        self.places = rc.Embedding(5, 4, rng=self.rng)
        self.join = rc.layers.Concatenate()
        self.rnn = rc.GRU(5, 6, rng=self.rng)
        self.head = rc.heads.Softmax(6, 5, rng=self.rng)

    def compute(self, run: rc.Pass, batch: Batch, state: Any = None) -> dict[int, Any]:
        places, moves = batch.inputs
        x = run(self.join, run(self.places, places), moves)
        y, last = run(self.rnn, x, None if state is None else state[0])
        run.loss(self.head, y, batch.targets)
        return {0: last}


class Walks:
    carries_state = True

    def __len__(self) -> int:
        return 4

    def epoch(self, number: int) -> Iterator[Batch]:
        rng = np.random.default_rng(number)
        for _ in range(4):
            places = rng.integers(5, size=(6, 3))
            moves = rng.integers(2, size=(6, 3, 1))
            inputs = places, moves.astype(np.float32)
            yield Batch(inputs, targets=(places + moves[..., 0]) % 5)


class Stop(rc.training.Callback):
    def on_update(self, update: rc.training.Update) -> None:
        if update.update == 7:
            raise RuntimeError


def test_a_model_of_several_inputs_with_a_state_by_number(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=3)
    expected = Walker(rng=0).fit(Walks(), config=config)
    given: dict[str, Any] = {"checkpoint": tmp_path / "run", "checkpoint_every": 2, "resume": True}
    with pytest.raises(RuntimeError):
        Walker(rng=0).fit(Walks(), config=config, callbacks=[Stop()], **given)
    assert Walker(rng=0).fit(Walks(), config=config, **given).losses == expected.losses
