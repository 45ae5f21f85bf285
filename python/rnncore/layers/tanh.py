"""Tanh: a layer without parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, floats
from rnncore._layout import float_array
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module

__all__ = ["Tanh"]


class Tanh(Module):
    """Hyperbolic tangent of every element.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.layers.Tanh()(np.zeros(2))
    array([0., 0.])
    """

    def __call__(self, x: ArrayLike) -> Array:
        """Return tanh x [...].

        Raises
        ------
        TypeError
            If x is not float32 or float64.
        """
        return np.tanh(float_array("x", x))

    def forward(self, x: ArrayLike) -> tuple[Array, Cache[Array]]:
        """Return tanh x [...] and a cache, which refers to it. Errors as in calling."""
        y = self(x)
        return y, Cache(self, self.version, y)

    def backward(self, dy: ArrayLike, cache: Cache[Array]) -> Array:
        """Return the gradient by x: ``(1 - y^2) dy``."""
        y = open_cache(cache, self)
        dx = y * y
        np.subtract(1, dx, out=dx)
        dx *= floats("dy", dy, y.dtype, y.shape)
        return dx
