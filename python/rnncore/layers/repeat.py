"""Repeat: one vector for a sequence, at every step of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, check_shape, floats, size
from rnncore._layout import float_array
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module

__all__ = ["Repeat"]


class Saved(NamedTuple):
    """What the backward pass needs."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Repeat(Module):
    """Repeat a vector for each sequence over time, [B,W] to [T,B,W].

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.layers.Repeat()(np.array([[1.0, 2.0]]), num_steps=3).shape
    (3, 1, 2)
    """

    def __call__(self, x: ArrayLike, num_steps: int) -> Array:
        """Return x [B,W] at every step.

        Parameters
        ----------
        x : array [B,W]
            A vector for each sequence.
        num_steps : int
            Number of steps T.

        Returns
        -------
        array [T,B,W]
            A read-only view of x.

        Raises
        ------
        TypeError, ValueError
            If x has another type or shape, or T is negative.
        """
        array = float_array("x", x)
        check_shape("x", array, ("B", "W"))
        return np.broadcast_to(array, (size("num_steps", num_steps, 0), *array.shape))

    def forward(self, x: ArrayLike, num_steps: int) -> tuple[Array, Cache[Saved]]:
        """Return x at every step, and a cache. Errors as in calling."""
        y = self(x, num_steps)
        return y, Cache(self, self.version, Saved(y.dtype, y.shape))

    def backward(self, dy: ArrayLike, cache: Cache[Saved]) -> Array:
        """Return the gradient [B,W] by x: the sum of dy [T,B,W] over time."""
        saved = open_cache(cache, self)
        dx: Array = floats("dy", dy, saved.dtype, saved.shape).sum(axis=0)
        return dx
