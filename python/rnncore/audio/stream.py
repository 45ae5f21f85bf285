"""Features of live audio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array
from rnncore._keywords import strict_keywords
from rnncore.audio.filterbank import Filterbank
from rnncore.audio.neighbors import DELTA_REACH, deltas, stack
from rnncore.audio.normalization import RunningNormalization
from rnncore.audio.recording import as_samples

if TYPE_CHECKING:
    from rnncore.audio.features import Features

__all__ = ["FeatureStream"]


@strict_keywords()
class FeatureStream:
    """Features of samples as they come; made by ``features.stream()``.

    All pieces together give the same bits as the whole recording. A step comes late by half of the
    window, by two frames for each order of deltas, and by the frames that are stacked in it.

    Parameters
    ----------
    features : Features
        With the normalization "running" or None.

    Raises
    ------
    ImportError
        If kaldi-native-fbank is not installed.
    ValueError
        If the normalization needs the whole recording.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> features = rc.audio.Features(rate=8000, normalization="running")
    >>> stream = features.stream()
    >>> len(stream.push(np.zeros(800))), len(stream.push(np.zeros(800))), len(stream.finish())
    (9, 10, 1)
    """

    def __init__(self, features: Features) -> None:
        if features.normalization not in ("running", None):
            raise ValueError(
                "stream: expected features with normalization 'running' or None, got "
                f"{features.normalization!r}, which needs the whole recording"
            )
        self._features = features
        self._bank = Filterbank(features)
        self._running = RunningNormalization()
        self._held: Array | None = None  # frames that later deltas need
        self._told = 0  # how many of them were passed on
        self._rest: Array | None = None  # frames of a step that is not complete

    def push(self, samples: ArrayLike) -> Array:
        """Return the steps [T,I] that are complete with these samples [N].

        Raises
        ------
        TypeError, ValueError
            If the samples are no finite numbers [N], see `Recording`.
        """
        return self._steps(self._bank.push(as_samples("samples", samples)), last=False)

    def finish(self) -> Array:
        """Return the steps up to the end; nothing can be pushed after it."""
        return self._steps(self._bank.finish(), last=True)

    def _steps(self, frames: Array, *, last: bool) -> Array:
        x = self._with_deltas(frames, last=last)
        if self._features.normalization == "running":
            x = self._running(x)
        if self._rest is not None:
            x = np.concatenate([self._rest, x])
        whole = len(x) if last else len(x) - len(x) % self._features.stack
        self._rest = x[whole:]
        return stack(x[:whole], self._features.stack)

    def _with_deltas(self, frames: Array, *, last: bool) -> Array:
        """Return the frames whose neighbors have come, with their deltas."""
        order = self._features.deltas
        reach = DELTA_REACH * order
        held = frames if self._held is None else np.concatenate([self._held, frames])
        ready = len(held) if last else max(len(held) - reach, self._told)
        result = deltas(held, order)[self._told : ready]
        first = max(0, ready - reach)
        self._held, self._told = held[first:], ready - first
        return result
