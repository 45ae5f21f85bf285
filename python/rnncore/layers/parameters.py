"""Named parameters as views of one flat buffer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, floats

Layout = list[tuple[str, int, tuple[int, ...]]]
"""(name, offset in the flat buffer, shape) of each parameter."""


def consecutive(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> Layout:
    """Lay parameters out one after the other."""
    layout: Layout = []
    offset = 0
    for name, shape in shapes:
        layout.append((name, offset, shape))
        offset += math.prod(shape)
    return layout


def total_size(layout: Layout) -> int:
    """Return the number of elements that `layout` covers."""
    return max((offset + math.prod(shape) for _, offset, shape in layout), default=0)


def fill_uniform(array: Array, bound: float, rng: np.random.Generator) -> None:
    """Draw U(-bound, bound) into a contiguous `array`."""
    rng.random(out=array, dtype=array.dtype.type)
    array *= 2 * bound
    array -= bound


def assign(name: str, view: Array, value: ArrayLike) -> None:
    """Write `value`, of the same dtype and shape, into `view`."""
    if value is not view:  # ``view += ...`` has written already
        view[...] = floats(name, value, view.dtype, view.shape)


class ParameterDict(dict[str, Array]):
    """Name -> view of a flat buffer; assigning to a name writes into the view.

    Parameters cannot be added, removed or bound to other memory: optimisers, clipping and the
    kernels work on the flat buffer.
    """

    def __init__(self, flat: Array, layout: Layout) -> None:
        super().__init__(
            (name, flat[offset : offset + math.prod(shape)].reshape(shape))
            for name, offset, shape in layout
        )

    def __setitem__(self, name: str, value: Array) -> None:
        if name not in self:
            raise KeyError(f"unknown parameter {name!r}; there are {list(self)}")
        assign(name, self[name], value)

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("parameters are views of one flat buffer: they cannot be added or removed")

    __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse
