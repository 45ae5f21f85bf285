"""Layers without parameters that join several arrays into one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, as_array, floats, integer
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module

__all__ = ["Add", "Concatenate"]


class Concatenate(Module):
    """Join arrays [...,I_k] to [...,sum of I_k] or, along the first axis, [T_k,...].

    Parameters
    ----------
    axis : {-1, 0}
        The last dimension, or the first, such as time.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.layers.Concatenate()(np.zeros((2, 3)), np.ones((2, 1))).shape
    (2, 4)
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = integer("axis", axis, -1, 0)

    def __call__(self, *arrays: ArrayLike) -> Array:
        """Return the arrays side by side.

        Raises
        ------
        ValueError
            If there is none, or other dimensions than that of `axis` differ.
        """
        return np.concatenate(_alike("arrays", arrays, but=self.axis), axis=self.axis)

    def forward(self, *arrays: ArrayLike) -> tuple[Array, Cache[list[int]]]:
        """Return the arrays side by side, and a cache. Errors as in calling."""
        given = _alike("arrays", arrays, but=self.axis)
        ends = np.cumsum([array.shape[self.axis] for array in given])[:-1].tolist()
        return np.concatenate(given, axis=self.axis), Cache(self, self.version, ends)

    def backward(self, dy: ArrayLike, cache: Cache[list[int]]) -> tuple[Array, ...]:
        """Return the gradient by each array."""
        return tuple(np.split(as_array("dy", dy), open_cache(cache, self), axis=self.axis))


class Add(Module):
    """Add arrays of one shape.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.layers.Add()(np.ones(2), np.ones(2))
    array([2., 2.])
    """

    def __call__(self, *arrays: ArrayLike) -> Array:
        """Return the sum.

        Raises
        ------
        ValueError
            If there is no array, or the shapes differ.
        """
        given = _alike("arrays", arrays)
        return sum(given[1:], start=given[0].copy())

    def forward(self, *arrays: ArrayLike) -> tuple[Array, Cache[tuple[int, Array]]]:
        """Return the sum and a cache. Errors as in calling."""
        y = self(*arrays)
        return y, Cache(self, self.version, (len(arrays), y))

    def backward(self, dy: ArrayLike, cache: Cache[tuple[int, Array]]) -> tuple[Array, ...]:
        """Return the gradient by each array, which is dy itself."""
        count, y = open_cache(cache, self)
        return (floats("dy", dy, y.dtype, y.shape),) * count


def _alike(name: str, arrays: tuple[ArrayLike, ...], *, but: int | None = None) -> list[Array]:
    """Return the arguments as arrays whose shapes agree, those along the axis `but` aside."""
    given = [as_array(f"{name}[{k}]", array) for k, array in enumerate(arrays)]
    if not given:
        raise ValueError(f"{name}: expected at least one, got none")
    kept = {None: slice(None), -1: slice(-1), 0: slice(1, None)}[but]
    shapes = {(array.ndim, array.shape[kept]) for array in given}
    if len(shapes) > 1 or (but is not None and not given[0].ndim):
        aside = {None: "", -1: " but for the last dimension", 0: " but for the first dimension"}
        raise ValueError(
            f"{name}: expected the same shape{aside[but]}, got "
            f"{', '.join(str(list(array.shape)) for array in given)}"
        )
    return given
