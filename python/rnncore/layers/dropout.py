"""Dropout: random zeros in training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import Array, as_array, describe, floats, real
from rnncore._layout import float_array
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module


class Saved(NamedTuple):
    """What makes the same mask again."""

    seed: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Dropout(Module):
    """Drop elements with probability p in ``forward`` and scale the others by 1/(1-p).

    Calling the layer is inference and returns x itself: this is the form that scales in training
    (Srivastava et al., Dropout, 2014). Every ``forward`` draws one seed from `rng`. The mask comes
    from a counter-based generator (Philox), so that the backward pass makes it again instead of
    keeping it.

    Parameters
    ----------
    p : float
        Probability in [0, 1).
    rng : numpy Generator, int or None
        Source of the seeds.

    Raises
    ------
    TypeError, ValueError
        If p is no number or outside [0, 1).

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> dropout = rc.Dropout(0.5, rng=0)
    >>> y, cache = dropout.forward(np.ones(1000, np.float32))
    >>> np.unique(y).tolist()
    [0.0, 2.0]
    >>> dx = dropout.backward(np.ones_like(y), cache)
    >>> bool((dx == y).all())  # the same mask
    True
    """

    def __init__(self, p: float, *, rng: np.random.Generator | int | None = None) -> None:
        super().__init__(rng=rng)
        self.p = real("p", p, 0, 1, open_high=True)

    def __call__(self, x: Array) -> Array:
        """Return x: nothing is dropped in inference. Errors as in `forward`."""
        return _checked(x)

    def forward(self, x: Array) -> tuple[Array, Cache[Saved]]:
        """Return x [...] with elements dropped (x itself where p is 0) and a cache.

        Raises
        ------
        TypeError
            If x is not float32 or float64.
        """
        _checked(x)
        saved = Saved(self.draw_seed(), x.dtype, x.shape)
        return self._masked(x, saved), Cache(self, self.version, saved)

    def backward(self, dy: ArrayLike, cache: Cache[Saved]) -> Array:
        """Return dy [...] with the same elements dropped (dy itself where p is 0).

        Raises
        ------
        TypeError
            If the dtype of dy is not that of x, or `cache` is no cache.
        ValueError
            If the shape does not fit or another layer made the cache.
        """
        saved = open_cache(cache, self)
        return self._masked(floats("dy", dy, saved.dtype, saved.shape), saved)

    def draw_seed(self) -> int:
        """Return the seed of the next mask; 0, drawing nothing, where p is 0."""
        return int(self.rng.integers(2**63)) if self.p > 0 else 0

    def _masked(self, x: Array, saved: Saved) -> Array:
        return _core.dropout(x, self.p, saved.seed) if self.p > 0 else x


def _checked(x: object) -> Array:
    if isinstance(x, np.ndarray):
        return float_array("x", x)
    if isinstance(x, tuple):
        as_array("x", x)  # says what is wrong with the result of a layer
    raise TypeError(f"x: expected a float32 or float64 array, got {describe(x)}")
