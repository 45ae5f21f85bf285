"""What a forward pass keeps for its backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from rnncore._check import describe

if TYPE_CHECKING:
    from rnncore.layers.module import Module

Saved = TypeVar("Saved")


class Cache(Generic[Saved]):
    """What back-propagation needs: ``forward`` returns it, ``backward`` takes it.

    A cache belongs to the layer that made it and to the parameters of that moment. ``backward``
    refuses a cache of another layer. It also refuses a cache after the parameters have changed (by
    ``load_state_dict``, an optimizer's step, an assignment to `params` or a function of
    `rnncore.init`), because the gradient would be wrong. A cache may be used several times. It
    refers to the arrays given to ``forward``: do not write into them in between.

    Parameters
    ----------
    owner : layer
        The layer that made it.
    version : int
        The layer's `version` at that moment.
    saved : object
        What the layer keeps.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> linear = rc.Linear(3, 2, rng=0)
    >>> y, cache = linear.forward(np.zeros((5, 3), np.float32))
    >>> linear.backward(np.ones_like(y), cache).shape
    (5, 3)
    """

    __slots__ = ("owner", "saved", "version")

    def __init__(self, owner: Module, version: int, saved: Saved) -> None:
        self.owner = owner
        self.version = version
        self.saved = saved


def open_cache(cache: Cache[Saved], layer: Module) -> Saved:
    """Return what was saved if `layer` made the cache with its present parameters.

    Raises
    ------
    TypeError
        If `cache` is no cache.
    ValueError
        If another layer made the cache, or the parameters have changed since.
    """
    if not isinstance(cache, Cache):
        raise TypeError(
            f"cache: expected the Cache that this {type(layer).__name__}'s forward returned, "
            f"got {describe(cache)}"
        )
    if cache.owner is not layer:
        raise ValueError(
            f"cache: expected one made by this {type(layer).__name__}, "
            f"got the cache of another layer, {cache.owner!r}"
        )
    if cache.version != layer.version:
        raise ValueError(
            "cache: expected one made with the present parameters, got one made before they "
            "were changed (by load_state_dict, an optimizer's step, an assignment or rnncore.init)"
        )
    return cache.saved
