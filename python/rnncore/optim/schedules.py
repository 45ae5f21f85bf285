"""Schedules of the learning rate.

A schedule gives the factor by which the base learning rate is multiplied::

    for epoch in range(epochs):
        for batch in batches:
            optimizer.learning_rate = learning_rate * schedule.factor(step, epoch)
            ...
            step += 1
        schedule.observe(validation_loss)

`step` counts updates and `epoch` counts epochs, both from 0 over the whole training.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from rnncore._check import describe, integer, real
from rnncore._keywords import StrictKeywords


class Schedule(StrictKeywords, ABC):
    """Base of the schedules."""

    @abstractmethod
    def factor(self, step: int, epoch: int) -> float:
        """Return the factor of the base learning rate for update `step`, in epoch `epoch`."""

    def observe(self, loss: float) -> None:
        """Take note of a validation loss."""
        del loss  # only `Plateau` depends on it

    def state_dict(self) -> dict[str, float]:
        """Return what the schedule has learned from `observe`; empty for most."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, float]) -> None:
        """Restore what `state_dict` returned; all of it or, after an error, nothing.

        Raises
        ------
        TypeError
            If `state_dict` is no mapping, or something in it no number.
        ValueError
            If an entry is missing, unknown or outside its range.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a mapping, got {describe(state_dict)}")
        if set(state_dict) != set(self.state_dict()):
            raise ValueError(
                f"state_dict: expected the entries {sorted(self.state_dict())}, "
                f"got {sorted(state_dict, key=str)}"
            )


class Constant(Schedule):
    """The base learning rate throughout.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.optim.Constant().factor(step=100, epoch=5)
    1.0
    """

    def factor(self, step: int, epoch: int) -> float:
        """Return 1."""
        return 1.0


class Exponential(Schedule):
    """The base rate for some epochs, then gamma times the rate of the epoch before.

    With N = flat_epochs, the epochs 0 to N-1 have the base rate, epoch N has gamma times it, epoch
    N+1 has gamma^2 times it (Zaremba et al., Recurrent neural network regularization, 2014).

    Parameters
    ----------
    gamma : float
        Factor per epoch, in (0, 1].
    flat_epochs : int
        Number of epochs N with the base rate, at least 1.

    Examples
    --------
    >>> import rnncore as rc
    >>> schedule = rc.optim.Exponential(gamma=0.5, flat_epochs=3)
    >>> [schedule.factor(step=0, epoch=epoch) for epoch in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, gamma: float, flat_epochs: int = 1) -> None:
        self.gamma = real("gamma", gamma, 0, 1, open_low=True)
        self.flat_epochs = integer("flat_epochs", flat_epochs, 1)

    def factor(self, step: int, epoch: int) -> float:
        """Return gamma^max(0, epoch + 1 - N)."""
        return float(self.gamma ** max(0, epoch + 1 - self.flat_epochs))


class Step(Schedule):
    """The rate is multiplied by gamma once, or once after each of several numbers of epochs.

    Parameters
    ----------
    gamma : float
        Factor of one step, in (0, 1].
    flat_epochs : int, or several
        Number of epochs before each step, at least 1.

    Examples
    --------
    >>> import rnncore as rc
    >>> schedule = rc.optim.Step(gamma=0.5, flat_epochs=[1, 3])
    >>> [schedule.factor(step=0, epoch=epoch) for epoch in range(5)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, gamma: float, flat_epochs: int | Sequence[int]) -> None:
        self.gamma = real("gamma", gamma, 0, 1, open_low=True)
        given = flat_epochs if isinstance(flat_epochs, Sequence) else (flat_epochs,)
        self.flat_epochs = tuple(integer("flat_epochs", epochs, 1) for epochs in given)

    def factor(self, step: int, epoch: int) -> float:
        """Return gamma to the number of steps before this epoch."""
        return float(self.gamma ** sum(epoch >= epochs for epochs in self.flat_epochs))


class Plateau(Schedule):
    """The rate is multiplied by gamma whenever the validation loss stops falling.

    Parameters
    ----------
    gamma : float
        Factor of one reduction, in (0, 1].
    wait : int
        Validations without a lower loss that are waited for; the next one reduces the rate.
    min_improvement : float
        By how much the loss must fall below the best so far to count as better.

    Examples
    --------
    >>> import rnncore as rc
    >>> schedule = rc.optim.Plateau(gamma=0.5)
    >>> for loss in (2.0, 1.5, 1.6):
    ...     schedule.observe(loss)
    >>> schedule.factor(step=300, epoch=3)
    0.5
    """

    def __init__(self, gamma: float = 0.5, wait: int = 0, min_improvement: float = 0.0) -> None:
        self.gamma = real("gamma", gamma, 0, 1, open_low=True)
        self.wait = integer("wait", wait, 0)
        self.min_improvement = real("min_improvement", min_improvement, 0)
        self._factor = 1.0
        self._best = math.inf
        self._waited = 0

    def factor(self, step: int, epoch: int) -> float:
        """Return gamma to the number of plateaus so far."""
        return self._factor

    def observe(self, loss: float) -> None:
        """Take note of a validation loss; one that is not a number is no improvement."""
        if loss < self._best - self.min_improvement:
            self._best = loss
            self._waited = 0
        elif self._waited < self.wait:
            self._waited += 1
        else:
            self._factor *= self.gamma
            self._waited = 0

    def state_dict(self) -> dict[str, float]:
        """Return the present factor, the best loss, and the validations waited since."""
        return {"factor": self._factor, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state_dict: Mapping[str, float]) -> None:
        """Restore what `state_dict` returned; errors as in `Schedule.load_state_dict`."""
        super().load_state_dict(state_dict)
        factor = real("state_dict['factor']", state_dict["factor"], 0, 1)
        best = state_dict["best"]
        if not (isinstance(best, float) and math.isinf(best)):  # inf: nothing observed yet
            best = real("state_dict['best']", best)
        waited = integer("state_dict['waited']", state_dict["waited"], 0)
        self._factor, self._best, self._waited = factor, best, waited


class Cosine(Schedule):
    """A linear rise over `warmup` updates, then half a cosine down to `floor` at update `total`.

    Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, without the
    restarts.

    Parameters
    ----------
    total : int
        Number of updates after which the factor stays at `floor`.
    warmup : int
        Updates of the rise; the first has the factor 1 / warmup.
    floor : float
        Last factor, in [0, 1].

    Examples
    --------
    >>> import rnncore as rc
    >>> schedule = rc.optim.Cosine(total=110, warmup=10)
    >>> [round(schedule.factor(step, epoch=0), 2) for step in (0, 4, 9, 60, 110)]
    [0.1, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, total: int, warmup: int = 0, floor: float = 0.0) -> None:
        self.total = integer("total", total, 1)
        self.warmup = integer("warmup", warmup, 0)
        self.floor = real("floor", floor, 0, 1)
        if self.warmup >= self.total:
            raise ValueError(f"warmup: expected less than total = {self.total}, got {self.warmup}")

    def factor(self, step: int, epoch: int) -> float:
        """Return the factor of update `step`."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        share = min(1.0, (step - self.warmup) / (self.total - self.warmup))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * share)) / 2
