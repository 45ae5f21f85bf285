"""Stand-ins for models, batches and progress, whose behaviour in training is known exactly."""

import math
from collections.abc import Callable, Container, Iterator
from typing import Any

import numpy as np

import rnncore as rc
from rnncore.data import Batch
from rnncore.progress import Report
from rnncore.training import OptimizerConfig, ScheduleConfig, Trainable, TrainingConfig


def plain(**options: Any) -> TrainingConfig:
    """Gradient descent with a constant learning rate of 1, unless the options say otherwise."""
    defaults = {
        "optimizer": OptimizerConfig("sgd", learning_rate=1.0, clip_norm=None),
        "schedule": ScheduleConfig("constant"),
    }
    return TrainingConfig(**{**defaults, **options})


@rc.register
class Counter(Trainable):
    """One parameter w, from 0. Its gradient is -1, so that plain SGD adds the learning rate to it.

    `curve` is the validation loss as a function of w, `training_loss` that of training. In the
    updates of `broken`, counted from 1, the gradient is not a number.
    """

    _unsaved = frozenset({"first_curve"})

    def __init__(self, first_curve: Callable[[float], float] = lambda w: -w) -> None:
        super().__init__(np.float64, rng=0)
        self._allocate([("w", 0, (1,))])
        self.curve = first_curve
        self.training_loss: Callable[[float], float] = lambda _: 1.0
        self.broken: Container[int] = ()
        self.given_states: list[Any] = []
        self.values: list[float] = []  # w before each update

    @property
    def w(self) -> float:
        return float(self.flat_params[0])

    def loss_and_grad(
        self, batch: Batch, state: Any = None, *, scale: float = 1.0
    ) -> tuple[float, Any]:
        self.given_states.append(state)
        self.values.append(self.w)
        self.flat_grads[0] -= math.nan if len(self.values) in self.broken else scale
        return self.training_loss(self.w), (state or 0) + 1

    def loss(self, batch: Batch, state: Any = None) -> tuple[float, Any]:
        return self.curve(self.w), (state or 0) + 1

    def rates(self) -> list[float]:
        """Learning rate of every update but the last."""
        return np.diff(self.values).round(12).tolist()


class Ticks:
    """A number of batches of one token."""

    def __init__(self, count: int, carries_state: bool = True) -> None:
        self.count = count
        self.carries_state = carries_state

    def __len__(self) -> int:
        return self.count

    def epoch(self, number: int) -> Iterator[Batch]:
        token = np.zeros((1, 1), np.int64)
        return iter([Batch(token, token)] * self.count)


class Recorder:
    """A progress that keeps its reports, and may be made to raise."""

    def __init__(self, interval: float = math.inf, raise_at: int | None = None) -> None:
        self.interval = interval
        self.raise_at = raise_at
        self.reports: list[Report] = []

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, report: Report) -> None:
        self.reports.append(report)
        if len(self.reports) == self.raise_at:
            raise KeyboardInterrupt
