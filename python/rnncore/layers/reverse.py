"""Reversal of sequences in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, Ids, as_array, lengths_array
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module

__all__ = ["Reverse"]


class Reverse(Module):
    """Reverse each sequence [T,B,...] in time, within its length; later steps stay where they are.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.layers.Reverse()(np.array([[1, 4], [2, 5], [3, 0]]), lengths=[3, 2]).T
    array([[3, 2, 1],
           [5, 4, 0]])
    """

    def __call__(self, x: ArrayLike, lengths: ArrayLike | None = None) -> Array:
        """Return the sequences [T,B,...] reversed.

        Parameters
        ----------
        x : array [T,B,...]
            Sequences of vectors or ids.
        lengths : integers [B], optional
            Steps of each sequence; None is T for all.

        Raises
        ------
        TypeError, ValueError
            If x has fewer than two dimensions, or the lengths do not fit.
        """
        array = as_array("x", x)
        return _taken(array, _order(array, lengths))

    def forward(self, x: ArrayLike, lengths: ArrayLike | None = None) -> tuple[Array, Cache[Ids]]:
        """Return the sequences reversed and a cache. Errors as in calling."""
        array = as_array("x", x)
        order = _order(array, lengths)
        return _taken(array, order), Cache(self, self.version, order)

    def backward(self, dy: ArrayLike, cache: Cache[Ids]) -> Array:
        """Return the gradient by x: dy [T,B,...] reversed back."""
        return _taken(as_array("dy", dy), open_cache(cache, self))


def _order(x: Array, lengths: ArrayLike | None) -> Ids:
    """Return which step stands at each step of the result [T,B]; it is its own inverse."""
    if x.ndim < 2:
        raise ValueError(f"x: expected shape [T, B, ...], got {list(x.shape)}")
    steps = np.arange(x.shape[0])[:, np.newaxis]
    ends = (
        np.full(x.shape[1], x.shape[0]) if lengths is None else lengths_array(lengths, x.shape[:2])
    )
    return np.where(steps < ends, ends - 1 - steps, steps)


def _taken(x: Array, order: Ids) -> Array:
    return np.take_along_axis(x, order.reshape(*order.shape, *(1,) * (x.ndim - 2)), 0)
