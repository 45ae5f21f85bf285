"""Layers without parameters that join several arrays into one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, as_array, floats
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module

__all__ = ["Add", "Concatenate"]


class Concatenate(Module):
    """Join arrays [...,I_k] along their last dimension to one of [...,sum of I_k].

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.layers.Concatenate()(np.zeros((2, 3)), np.ones((2, 1))).shape
    (2, 4)
    """

    def __call__(self, *arrays: ArrayLike) -> Array:
        """Return the arrays side by side.

        Raises
        ------
        ValueError
            If there is none, or the dimensions before the last differ.
        """
        return np.concatenate(_alike("arrays", arrays, but_last=True), axis=-1)

    def forward(self, *arrays: ArrayLike) -> tuple[Array, Cache[list[int]]]:
        """Return the arrays side by side, and a cache. Errors as in calling."""
        given = _alike("arrays", arrays, but_last=True)
        ends = np.cumsum([array.shape[-1] for array in given])[:-1].tolist()
        return np.concatenate(given, axis=-1), Cache(self, self.version, ends)

    def backward(self, dy: ArrayLike, cache: Cache[list[int]]) -> tuple[Array, ...]:
        """Return the gradient [...,I_k] by each array."""
        return tuple(np.split(as_array("dy", dy), open_cache(cache, self), axis=-1))


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


def _alike(name: str, arrays: tuple[ArrayLike, ...], *, but_last: bool = False) -> list[Array]:
    """Return the arguments as arrays whose shapes agree; with `but_last` the last may differ."""
    given = [as_array(f"{name}[{k}]", array) for k, array in enumerate(arrays)]
    if not given:
        raise ValueError(f"{name}: expected at least one, got none")
    shapes = {array.shape[:-1] if but_last else array.shape for array in given}
    if len(shapes) > 1 or (but_last and not given[0].ndim):
        what = "the same shape but for the last dimension" if but_last else "the same shape"
        raise ValueError(
            f"{name}: expected {what}, got {', '.join(str(list(array.shape)) for array in given)}"
        )
    return given
