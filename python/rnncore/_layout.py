"""Arrays of any rank as the two shapes that the kernels take: rows [N,W] and flat [N]."""

from __future__ import annotations

import math

from rnncore import _memory
from rnncore._check import Array


def as_rows(name: str, array: Array) -> Array:
    """Return [..., W] as [N,W]; a copy only where strides leave no other way."""
    return _reshape(name, array, (math.prod(array.shape[:-1]), array.shape[-1]))


def as_flat(name: str, array: Array) -> Array:
    """Return [...] as [N]; a copy only where strides leave no other way."""
    return _reshape(name, array, (array.size,))


def _reshape(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    if not array.flags.c_contiguous:
        _memory.require(array.nbytes, f"{name}: {array.size} elements in contiguous order")
    return array.reshape(shape)
