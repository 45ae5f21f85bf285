"""A training that can train nothing is an error; so are callbacks that are no list."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.training import TrainingConfig


class Given:
    """Batches that yield what they were given, `length` of them as they say."""

    carries_state = False

    def __init__(self, given: Any, length: int) -> None:
        self.given = given
        self.length = length

    def __len__(self) -> int:
        return self.length

    def epoch(self, number: int) -> Any:
        return iter(self.given)


def model() -> rc.LanguageModel:
    return rc.LanguageModel(vocab_size=3, hidden_size=4, rng=0)


def batch() -> rc.data.Batch:
    return rc.data.Batch(np.array([[0], [1]]), np.array([[1], [2]]))


@pytest.mark.parametrize("length", [0, 1, 3])
def test_no_batches_are_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="training: expected at least one batch, got none"):
        rc.training.fit(model(), Given([], length), config=TrainingConfig(epochs=1))


def test_an_iterator_that_was_read_is_an_error() -> None:
    batches = Given(iter([batch()]), 1)
    with pytest.raises(ValueError, match=r"got none from epoch\(1\); an iterator that was read"):
        rc.training.fit(model(), batches, config=TrainingConfig(epochs=2))


def test_no_validation_batches_are_an_error() -> None:
    with pytest.raises(ValueError, match="batches: expected at least one batch"):
        rc.training.fit(model(), Given([batch()], 1), Given([], 0), TrainingConfig(epochs=1))


@pytest.mark.parametrize("callbacks", [None, rc.training.Callback()], ids=["none", "one"])
def test_callbacks_are_a_list(callbacks: Any) -> None:
    with pytest.raises(TypeError, match=r"callbacks: expected a list.*\[callback\] is one"):
        rc.training.fit(model(), Given([batch()], 1), callbacks=callbacks)
