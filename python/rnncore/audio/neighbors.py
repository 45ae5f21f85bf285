"""Frames that know their neighbors: deltas, and several frames in one."""

from __future__ import annotations

import numpy as np

from rnncore._check import Array, as_array, check_shape, describe, integer

__all__ = ["DELTA_REACH", "deltas", "stack"]

#: Frames on each side that a delta is computed from.
DELTA_REACH = 2


def deltas(frames: Array, order: int = 1) -> Array:
    r"""Append to each frame how it changes.

    .. math:: \Delta_t = \frac{\sum_{n=1}^{2} n (x_{t+n} - x_{t-n})}{2 \sum_{n=1}^{2} n^2}

    is the slope of a line through five frames (Furui 1986, "Speaker-independent isolated word
    recognition using dynamic features of speech spectrum"). Beyond the ends the first and the last
    frame are repeated.

    Parameters
    ----------
    frames : array [T,I]
        Features.
    order : int
        1 appends the deltas, 2 also the deltas of the deltas; 0 returns the frames.

    Returns
    -------
    array [T,I*(order+1)]

    Raises
    ------
    TypeError, ValueError
        If the frames are no array [T,I] of floating numbers, or the order is negative.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.audio.deltas(np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]))[2].tolist()
    [2.0, 1.0]
    """
    parts = [as_frames("frames", frames)]
    for _ in range(integer("order", order, 0)):
        parts.append(_slope(parts[-1]))
    return np.concatenate(parts, axis=1)


def _slope(x: Array) -> Array:
    if not len(x):
        return x
    reach, count = DELTA_REACH, len(x)
    wide = np.concatenate([x[:1].repeat(reach, axis=0), x, x[-1:].repeat(reach, axis=0)])
    total = np.zeros_like(x)
    for n in range(1, reach + 1):
        total += n * (wide[reach + n : reach + n + count] - wide[reach - n : reach - n + count])
    slope: Array = total / x.dtype.type(2 * sum(n * n for n in range(1, reach + 1)))
    return slope


def stack(frames: Array, count: int) -> Array:
    """Put each ``count`` frames into one, so that a network takes fewer steps.

    Parameters
    ----------
    frames : array [T,I]
        Features.
    count : int
        Frames of one step. They do not overlap; the last frame is repeated where some are missing.

    Returns
    -------
    array [ceil(T/count),I*count]

    Raises
    ------
    TypeError, ValueError
        If the frames are no array [T,I] of floating numbers, or the count is not positive.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.audio.stack(np.array([[1.0], [2.0], [3.0]]), 2).tolist()
    [[1.0, 2.0], [3.0, 3.0]]
    """
    x = as_frames("frames", frames)
    count = integer("count", count, 1)
    missing = -len(x) % count
    if missing:
        x = np.concatenate([x, x[-1:].repeat(missing, axis=0)])
    return x.reshape(len(x) // count, x.shape[1] * count)


def as_frames(name: str, value: Array) -> Array:
    """Return features [T,I] as an array of floating numbers."""
    array = as_array(name, value)
    if array.dtype.kind != "f":
        raise TypeError(f"{name}: expected floating numbers [T, I], got {describe(value)}")
    check_shape(name, array, ("T", "I"))
    return array
