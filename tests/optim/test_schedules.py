"""Schedules of the learning rate: their values, and what they refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnncore import optim


def per_epoch(schedule: optim.Schedule, count: int) -> list[float]:
    return [schedule.factor(step=100 * epoch, epoch=epoch) for epoch in range(count)]


def test_constant() -> None:
    assert per_epoch(optim.Constant(), 3) == [1, 1, 1]


def test_exponential() -> None:
    assert per_epoch(optim.Exponential(0.5), 4) == [1, 0.5, 0.25, 0.125]
    assert per_epoch(optim.Exponential(0.5, flat_epochs=3), 5) == [1, 1, 1, 0.5, 0.25]


def test_step() -> None:
    assert per_epoch(optim.Step(0.1, flat_epochs=2), 5) == pytest.approx([1, 1, 0.1, 0.1, 0.1])
    assert per_epoch(optim.Step(0.5, flat_epochs=[1, 3]), 5) == [1, 0.5, 0.5, 0.25, 0.25]


def test_plateau() -> None:
    schedule = optim.Plateau(0.5, wait=1)
    factors = []
    for loss in (3.0, 2.0, 2.0, 1.9, 2.0, np.nan, 1.8, 1.8, 1.8):
        factors.append(schedule.factor(0, 0))
        schedule.observe(loss)
    factors.append(schedule.factor(0, 0))
    # one epoch without improvement is tolerated, a second in succession halves the rate
    assert factors == [1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_plateau_may_ask_for_a_least_improvement() -> None:
    schedule = optim.Plateau(0.5, wait=0, min_improvement=0.1)
    schedule.observe(2.0)
    schedule.observe(1.95)
    assert schedule.factor(0, 0) == 0.5
    schedule.observe(1.85)
    assert schedule.factor(0, 0) == 0.5


def test_cosine() -> None:
    schedule = optim.Cosine(total=110, warmup=10, floor=0.1)
    factors = np.array([schedule.factor(step, 0) for step in range(120)])
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    assert factors[10] == 1
    np.testing.assert_allclose(factors[60], 0.55)
    np.testing.assert_allclose(factors[110:], 0.1)
    assert np.all(np.diff(factors[10:111]) < 0)
    whole = [optim.Cosine(4).factor(step, 0) for step in range(5)]
    np.testing.assert_allclose(whole, (1 + np.cos(np.pi * np.arange(5) / 4)) / 2, atol=1e-15)


def test_cosine_and_exponential_against_torch() -> None:
    torch = pytest.importorskip("torch")
    for ours, theirs in (
        (optim.Cosine(20), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20)),
        (optim.Exponential(0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (optim.Step(0.9, [4, 8]), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [4, 8], 0.9)),
    ):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = theirs(optimizer)
        for i in range(20):
            assert ours.factor(i, i) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
            optimizer.step()
            scheduler.step()


@pytest.mark.parametrize(
    "make",
    [
        optim.Constant,
        lambda: optim.Exponential(0.5),
        lambda: optim.Plateau(0.5, 1),
        lambda: optim.Cosine(9),
    ],
)
def test_state_round_trip(make: Callable[[], optim.Schedule]) -> None:
    schedule, other = make(), make()
    for loss in (3.0, 3.0, 3.0, 3.0):
        schedule.observe(loss)
    other.load_state_dict(schedule.state_dict())
    for loss in (3.0, 2.0):
        assert other.factor(4, 4) == schedule.factor(4, 4)
        schedule.observe(loss)
        other.observe(loss)
    assert other.state_dict() == schedule.state_dict()
    with pytest.raises(ValueError, match=r"state_dict: .*'foreign'"):
        other.load_state_dict({"foreign": 1})


@pytest.mark.parametrize(
    ("state_dict", "error", "text"),
    [
        (3, TypeError, "state_dict: expected a mapping, got int 3"),
        ({"factor": 1.0, "best": 2.0}, ValueError, "state_dict: expected the entries"),
        ({1: 1.0, "best": 2.0}, ValueError, "state_dict: expected the entries"),
        ({"factor": 0.5, "best": "x", "waited": 0}, TypeError, r"state_dict\['best'\]: .*'x'"),
        ({"factor": 0.5, "best": np.nan, "waited": 0}, ValueError, r"state_dict\['best'\]: .*nan"),
        ({"factor": 0.5, "best": 2.0, "waited": 0.5}, TypeError, r"state_dict\['waited'\]: "),
        ({"factor": 2.0, "best": 2.0, "waited": 0}, ValueError, r"state_dict\['factor'\]: .*2"),
    ],
)
def test_bad_state(state_dict: Any, error: type[Exception], text: str) -> None:
    schedule = optim.Plateau(0.5, 1)
    schedule.observe(3.0)
    before = schedule.state_dict()
    with pytest.raises(error, match=text):
        schedule.load_state_dict(state_dict)
    assert schedule.state_dict() == before


def test_state_before_the_first_loss() -> None:
    schedule = optim.Plateau(0.5, 1)
    schedule.load_state_dict(optim.Plateau(0.5, 1).state_dict())
    assert schedule.state_dict() == {"factor": 1.0, "best": np.inf, "waited": 0}


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.Exponential(0), ValueError, "gamma"),
        (lambda: optim.Exponential(1.5), ValueError, "gamma"),
        (lambda: optim.Exponential(0.5, 0), ValueError, "flat_epochs"),
        (lambda: optim.Step(0.5, 1.5), TypeError, "flat_epochs: expected an integer, got float"),
        (lambda: optim.Step(0.5, [1, -1]), ValueError, "flat_epochs"),
        (lambda: optim.Plateau(0.5, -1), ValueError, "wait"),
        (lambda: optim.Plateau(np.nan), ValueError, "gamma"),
        (lambda: optim.Cosine(0), ValueError, "total"),
        (lambda: optim.Cosine(10, 10), ValueError, "warmup"),
        (lambda: optim.Cosine(10, 1, 2.0), ValueError, "floor"),
    ],
)
def test_bad_arguments(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
