"""Training follows its options: state, schedule, optimizer, clipping; it refuses bad ones."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.training import (
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
    evaluate,
    fit,
    text_batches,
)
from trainables import Counter, Ticks, plain

# --- state, schedule, optimizer -----------------------------------------------------------------


def test_the_state_is_carried_within_an_epoch() -> None:
    model = Counter()
    fit(model, Ticks(3), config=TrainingConfig(epochs=2))
    assert model.given_states == [None, 1, 2, None, 1, 2]


def test_sentences_start_from_the_zero_state() -> None:
    model = Counter()
    fit(model, Ticks(3, carries_state=False), config=TrainingConfig(epochs=1))
    assert model.given_states == [None, None, None]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (ScheduleConfig("constant"), [1] * 8),
        (
            ScheduleConfig("exponential", gamma=0.5, flat_epochs=2),
            [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25],
        ),
        (ScheduleConfig("step", gamma=0.1, flat_epochs=1), [1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]),
        (ScheduleConfig("cosine", warmup=2, floor=0.2), None),
    ],
    ids=["constant", "exponential", "step", "cosine"],
)
def test_schedules(schedule: ScheduleConfig, rates: list[float] | None) -> None:
    """Two updates an epoch, four epochs; the rate of the last update shows in nothing."""
    if rates is None:
        cosine = [0.2 + 0.8 * (1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]
        rates = [0.5, 1.0, *cosine]
    model = Counter()
    config = plain(epochs=4, schedule=schedule)
    fit(model, Ticks(2), config=config)
    assert model.rates() == pytest.approx(rates[:-1])


def test_plateau_follows_the_validation_loss() -> None:
    """It falls in epochs 1 and 2, then stays: each further epoch but one of waiting halves."""
    model = Counter(lambda w: max(10 - w, 8.0))
    schedule = ScheduleConfig("plateau", gamma=0.5, wait=1)
    config = plain(epochs=8, schedule=schedule)
    fit(model, Ticks(1), Ticks(1), config)
    assert model.rates() == [1, 1, 1, 1, 0.5, 0.5, 0.25]


def test_plateau_without_validation_follows_the_training_loss() -> None:
    model = Counter()
    schedule = ScheduleConfig("plateau", gamma=0.5)
    config = plain(epochs=4, schedule=schedule)
    fit(model, Ticks(2), config=config)
    assert model.rates() == [1, 1, 1, 1, 0.5, 0.5, 0.25]


def test_a_warmup_longer_than_the_run_is_cut() -> None:
    model = Counter()
    schedule = ScheduleConfig("cosine", warmup=1000)
    fit(model, Ticks(4), config=plain(epochs=1, schedule=schedule))
    assert model.rates() == pytest.approx([0.5, 1.0, 1.0])


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [
        (OptimizerConfig("sgd", 1.0, clip_norm=0.25), [0.25, 0.25, 0.25]),
        (OptimizerConfig("sgd", 1.0, clip_norm=None, clip_value=0.125), [0.125, 0.125, 0.125]),
        (OptimizerConfig("sgd", 1.0, momentum=0.5, clip_norm=None), [1, 1.5, 1.75]),
        (
            OptimizerConfig("sgd", 1.0, momentum=0.5, nesterov=True, clip_norm=None),
            [1.5, 1.75, 1.875],
        ),
        (OptimizerConfig("sgd", 1.0, weight_decay=0.5, clip_norm=None), [1, 0.5, 0.25]),
        (OptimizerConfig("adam", 0.5, clip_norm=None), [0.5, 0.5, 0.5]),
        (OptimizerConfig("adamw", 0.5, weight_decay=0.0, clip_norm=None), [0.5, 0.5, 0.5]),
        (OptimizerConfig("rmsprop", 0.5, alpha=0.0, clip_norm=None), [0.5, 0.5, 0.5]),
    ],
    ids=lambda value: value.name if isinstance(value, OptimizerConfig) else "",
)
def test_optimizers_and_clipping(optimizer: OptimizerConfig, rates: list[float]) -> None:
    model = Counter()
    fit(model, Ticks(4), config=plain(epochs=1, optimizer=optimizer))
    assert model.rates() == pytest.approx(rates, rel=1e-6)


def test_old_gradients_do_not_count() -> None:
    model = Counter()
    model.flat_grads[0] = 100
    fit(model, Ticks(2), config=plain(epochs=1))
    assert model.rates() == [1]


# --- bad configurations -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TrainingConfig(epochs=0), ValueError, "epochs: expected at least 1, got 0"),
        (lambda: TrainingConfig(batch_size=-1), ValueError, "batch_size: expected at least 1"),
        (lambda: TrainingConfig(bptt=2.5), TypeError, "bptt: expected an integer"),
        (
            lambda: TrainingConfig(validation_fraction=1),
            ValueError,
            r"validation_fraction.*\[0, 1\)",
        ),
        (lambda: TrainingConfig(time_limit=0), ValueError, "time_limit"),
        (lambda: TrainingConfig(seed=-1), ValueError, "seed: expected at least 0"),
        (
            lambda: TrainingConfig(optimizer="sdg"),
            ValueError,
            r"optimizer: expected one of \['adam', 'adamw', 'rmsprop', 'sgd'\], got 'sdg'",
        ),
        (
            lambda: TrainingConfig(optimizer={"name": "sgd"}),
            TypeError,
            "optimizer: expected an OptimizerConfig or the name of one, got dict",
        ),
        (
            lambda: TrainingConfig(schedule=3),
            TypeError,
            "schedule: expected a ScheduleConfig or the name of one, got int 3",
        ),
        (lambda: OptimizerConfig("lion"), ValueError, "optimizer: expected one of .*'adam'"),
        (lambda: ScheduleConfig("linear"), ValueError, "schedule: expected one of .*'cosine'"),
        (lambda: ScheduleConfig("step", flat_epochs=0), ValueError, "flat_epochs"),
        (
            lambda: OptimizerConfig("adam", momentum=0.9),
            ValueError,
            "momentum: no option of optimizer 'adam', which takes",
        ),
        (
            lambda: ScheduleConfig("cosine", gamma=0.5),
            ValueError,
            "gamma: no option of schedule 'cosine', which takes",
        ),
        (
            lambda: OptimizerConfig(learning_rate=-1.0),
            ValueError,
            "learning_rate: expected",
        ),
    ],
)
def test_bad_configurations(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: fit(rc.LSTM(3, 3), Ticks(1)), "model: expected a Trainable, got LSTM"),
        (lambda model: fit(model, [1]), r"training: expected batches, .*, got list \["),
        (lambda model: fit(model, None), "training: expected batches, .*, got NoneType None"),
        (lambda model: fit(model, Ticks(1), [1]), r"validation: expected batches, .*, got list"),
        (lambda model: fit(model, Ticks(1), config={}), "config: expected a TrainingConfig, got"),
        (
            lambda model: fit(model, Ticks(1), progress="yes"),
            "progress: expected True, False or a Progress, .*, got str 'yes'",
        ),
        (lambda model: evaluate(rc.LSTM(3, 3), Ticks(1)), "model: expected a Trainable, got LSTM"),
        (lambda model: evaluate(model, [1]), r"batches: expected batches, .*, got list \[1\]"),
    ],
)
def test_bad_arguments(call: Callable[[Counter], Any], message: str) -> None:
    model = Counter()
    with pytest.raises(TypeError, match=message):
        call(model)
    assert model.values == []


@pytest.mark.parametrize(
    ("config", "boundary", "error", "message"),
    [
        (TrainingConfig(sentences=True), None, ValueError, "boundary: .* the line feed, got None"),
        (TrainingConfig(sentences=True), "\n", TypeError, "boundary: expected an integer, got str"),
        (TrainingConfig(sentences=True), -1, ValueError, "boundary: expected at least 0, got -1"),
        ({}, None, TypeError, "config: expected a TrainingConfig, got dict"),
    ],
)
def test_bad_arguments_of_text_batches(
    config: Any, boundary: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        text_batches([0, 1] * 50, config, boundary)


def test_a_text_that_is_too_short() -> None:
    model = rc.LanguageModel(3, hidden_size=4)
    with pytest.raises(ValueError, match=r"more than batch_size = 32 tokens.*, got 9 of 10 "):
        model.fit([0, 1] * 5)
    with pytest.raises(ValueError, match="got 0"):
        model.fit([])


def test_a_model_that_cannot_be_saved_is_not_trained(tmp_path: Path) -> None:
    class Small(rc.LanguageModel):
        def __init__(self) -> None:
            super().__init__(5, hidden_size=4, rng=0)

    model = Small()
    before = model.flat_params.copy()
    with pytest.raises(
        TypeError, match=r"Small: a class of your own is saved once it is registered"
    ):
        fit(model, Ticks(1), config=TrainingConfig(epochs=1), path=tmp_path / "model")
    np.testing.assert_array_equal(model.flat_params, before)
    assert not list(tmp_path.iterdir())
