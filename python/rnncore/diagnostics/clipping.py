"""When the gradients of a training were clipped."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rnncore._check import as_array, instance, real
from rnncore._keywords import strict_keywords
from rnncore.optim import Optimizer

__all__ = ["ClippingRecorder", "clipping_events"]


def clipping_events(norms: Iterable[float], clip_norm: float) -> list[int]:
    """Return the updates, counted from 0, whose gradients were scaled down to a norm.

    Parameters
    ----------
    norms : iterable of float
        Norm of the gradients at every update, before clipping, as `Optimizer.step` returns it.
    clip_norm : float
        The limit, above 0.

    Returns
    -------
    events : list of int
        Where the norm is finite and above the limit. An update with another norm is skipped.

    Raises
    ------
    TypeError, ValueError
        If the norms are no numbers, or the limit is not above 0.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.diagnostics.clipping_events([0.5, 3.0, 1.0, float("inf")], clip_norm=1.0)
    [1]
    """
    limit = real("clip_norm", clip_norm, 0, open_low=True)
    array = as_array("norms", list(norms)).astype(np.float64)
    return [int(i) for i in np.flatnonzero(np.isfinite(array) & (array > limit))]


@strict_keywords()
class ClippingRecorder:
    """An optimizer's steps, with a record of their norms and of what was clipped.

    Parameters
    ----------
    optimizer : Optimizer
        Which takes the steps. Its ``clip_norm`` may change between them.

    Attributes
    ----------
    norms : list of float
        Norm of the gradients at every step, before clipping.
    events : list of int
        Steps, counted from 0, whose gradients were scaled down to ``clip_norm``.

    Raises
    ------
    TypeError
        If `optimizer` is none.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> linear = rc.Linear(3, 2, rng=0)
    >>> recorder = rc.diagnostics.ClippingRecorder(rc.optim.SGD(linear, 0.1, clip_norm=1.0))
    >>> for size in (0.1, 10.0):
    ...     linear.flat_grads = np.full_like(linear.flat_grads, size)
    ...     norm = recorder.step()
    >>> recorder.events, recorder.share
    ([1], 0.5)
    """

    def __init__(self, optimizer: Optimizer) -> None:
        instance("optimizer", optimizer, Optimizer)
        self.optimizer = optimizer
        self.norms: list[float] = []
        self.events: list[int] = []

    def step(self, zero_grad: bool = False) -> float:
        """Take a step of the optimizer, and record it; see `Optimizer.step`."""
        limit = self.optimizer.clip_norm
        norm = self.optimizer.step(zero_grad)
        if limit is not None and clipping_events([norm], limit):
            self.events.append(len(self.norms))
        self.norms.append(norm)
        return norm

    @property
    def share(self) -> float:
        """Share of the steps so far that were clipped; 0 before the first."""
        return len(self.events) / max(1, len(self.norms))
