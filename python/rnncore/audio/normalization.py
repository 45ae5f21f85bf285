"""Normalization: features with a mean of 0 and a standard deviation of 1."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array
from rnncore.audio.neighbors import as_frames

__all__ = ["RunningNormalization", "normalize", "normalize_running"]

#: Smallest standard deviation that is divided by: silence of zeros stays zero.
_SMALLEST = 1e-5

#: Frames that the running mean remembers: three seconds of 10 ms.
MEMORY = 300


def normalize(frames: Array, of: Iterable[Array] | None = None) -> Array:
    """Subtract the mean of every feature and divide by its standard deviation.

    Parameters
    ----------
    frames : array [T,I]
        Features of one recording.
    of : iterable of arrays [T_k,I], optional
        What mean and standard deviation are taken over, such as all recordings of a speaker; None:
        these frames alone.

    Returns
    -------
    array [T,I]
        A feature that does not change becomes 0.

    Raises
    ------
    TypeError, ValueError
        If the frames are no array [T,I] of floating numbers.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.audio.normalize(np.array([[1.0, 7.0], [3.0, 7.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    x = as_frames("frames", frames)
    every = x if of is None else np.concatenate([as_frames("of", part) for part in of])
    if not len(every):
        return x
    mean = every.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(every.std(axis=0, dtype=np.float64), _SMALLEST)
    normalized: Array = ((x - mean) / deviation).astype(x.dtype)
    return normalized


def normalize_running(frames: Array) -> Array:
    """Normalize each frame by the frames before it and itself, as live audio needs it.

    Mean and variance are those of all frames so far, and after 300 of them exponential averages,
    whose memory is 300 frames.

    Parameters and errors are those of `normalize`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.audio.normalize_running(np.array([[1.0], [3.0], [2.0]])).tolist()
    [[0.0], [1.0], [0.0]]
    """
    return RunningNormalization()(as_frames("frames", frames))


class RunningNormalization:
    """Normalizes frames by those before them, in any number of pieces."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: NDArray[np.float64] | float = 0.0
        self._variance: NDArray[np.float64] | float = 0.0

    def __call__(self, frames: Array) -> Array:
        """Return the next frames [T,I], normalized."""
        result = np.empty_like(frames)
        for t, frame in enumerate(frames.astype(np.float64)):
            self._count = min(self._count + 1, MEMORY)
            share = 1 / self._count
            # Welford 1962: the variance from the distances to the mean before and after
            before = frame - self._mean
            self._mean = self._mean + share * before
            after = frame - self._mean
            self._variance = (1 - share) * self._variance + share * before * after
            result[t] = after / np.maximum(np.sqrt(self._variance), _SMALLEST)
        return result
