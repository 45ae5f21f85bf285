"""Named parameters as views of one flat buffer."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, floats

if TYPE_CHECKING:
    from rnncore.layers.assembly import Assembly

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


def apart(array: Array, written: Array) -> Array:
    """Return `array`, a copy where writing into `written` might change it."""
    if array is written or (array.base is not None and np.may_share_memory(array, written)):
        return array.copy()
    return array


class ParameterDict(dict[str, Array]):
    """Name -> view of a flat buffer; assigning to a name writes into the view.

    Parameters cannot be added, removed or bound to other memory, because optimizers, clipping and
    the kernels work on the flat buffer. Copies and pickles have a flat buffer of their own.

    Parameters
    ----------
    flat : array [P]
        The buffer.
    layout : list of (name, offset, shape)
        Where each parameter stands in it.
    owner : Module, optional
        Its `mark_changed` is called after every assignment.
    """

    def __init__(self, flat: Array, layout: Layout, owner: Assembly | None = None) -> None:
        super().__init__(
            (name, flat[offset : offset + math.prod(shape)].reshape(shape))
            for name, offset, shape in layout
        )
        self._flat = flat
        self._layout = layout
        # Weak, so that a module and its buffers are freed with the last reference to it.
        self._owner = None if owner is None else weakref.ref(owner)

    def __setitem__(self, name: str, value: Array) -> None:
        if name not in self:
            raise KeyError(f"unknown parameter {name!r}; there are {list(self)}")
        assign(name, self[name], value)
        owner = None if self._owner is None else self._owner()
        if owner is not None:
            owner.mark_changed()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._flat.copy(), self._layout)

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("parameters are views of one flat buffer: they cannot be added or removed")

    __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse
