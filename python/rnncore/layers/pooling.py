"""Pooling over time: one vector for each sequence of outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array, check_shape, choice, floats, lengths_array, within
from rnncore._layout import float_array
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module

__all__ = ["Pooling"]


class Saved(NamedTuple):
    """What the backward pass needs."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    steps: NDArray[Any]  # "mean": factor of each step [T,B]; "max": step of each element [B,H]


class Pooling(Module):
    """Mean or maximum over the steps of each sequence, [T,B,H] to [B,H].

    The result of a sequence without steps is zero.

    Parameters
    ----------
    kind : {"mean", "max"}
        What is taken over the steps.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> y = np.arange(6.0).reshape(3, 1, 2)  # [T,B,H]
    >>> rc.layers.Pooling("mean")(y, lengths=[2])
    array([[1., 2.]])
    """

    def __init__(self, kind: str = "mean") -> None:
        super().__init__()
        self.kind = choice("kind", kind, ("mean", "max"))

    def __call__(self, y: ArrayLike, lengths: ArrayLike | None = None) -> Array:
        """Return the pooled outputs [B,H].

        Parameters
        ----------
        y : array [T,B,H]
            Outputs of a recurrent layer.
        lengths : integers [B], optional
            Steps of each sequence; None is T for all.

        Raises
        ------
        TypeError, ValueError
            If y has another shape, or the lengths do not fit.
        """
        return self._pooled(y, lengths)[0]

    def forward(self, y: ArrayLike, lengths: ArrayLike | None = None) -> tuple[Array, Cache[Saved]]:
        """Return the pooled outputs [B,H] and a cache. Errors as in calling."""
        pooled, saved = self._pooled(y, lengths)
        return pooled, Cache(self, self.version, saved)

    def backward(self, dy: ArrayLike, cache: Cache[Saved]) -> Array:
        """Return the gradient [T,B,H] by the outputs, for dy [B,H]."""
        saved = open_cache(cache, self)
        gradient = floats("dy", dy, saved.dtype, saved.shape[1:])
        if self.kind == "mean":
            return saved.steps[..., np.newaxis] * gradient
        dx = np.zeros(saved.shape, saved.dtype)
        if dx.size:
            has_steps = saved.steps >= 0
            np.put_along_axis(
                dx, np.maximum(saved.steps, 0)[np.newaxis], (gradient * has_steps)[np.newaxis], 0
            )
        return dx

    def _pooled(self, y: ArrayLike, lengths: ArrayLike | None) -> tuple[Array, Saved]:
        array = float_array("y", y)
        check_shape("y", array, ("T", "B", "H"))
        num_steps, batch_size, width = array.shape
        given = [num_steps] * batch_size if lengths is None else lengths
        ends = lengths_array(given, (num_steps, batch_size))
        counts = within(ends, (num_steps, batch_size))
        if self.kind == "mean":
            share = (counts / np.maximum(ends, 1)).astype(array.dtype)
            pooled = np.einsum("tb,tbh->bh", share, array)
            return pooled, Saved(array.dtype, array.shape, share)
        if not num_steps:
            at = np.full((batch_size, width), -1)
            return np.zeros((batch_size, width), array.dtype), Saved(array.dtype, array.shape, at)
        masked = np.where(counts[..., np.newaxis], array, -np.inf)
        at = masked.argmax(axis=0)
        pooled = np.take_along_axis(array, at[np.newaxis], 0)[0]
        empty = ends == 0
        pooled[empty] = 0
        at[empty] = -1
        return pooled, Saved(array.dtype, array.shape, at)
