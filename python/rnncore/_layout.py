"""Arrays as the kernels take them: of floating numbers, as rows [N,W] or flat [N]."""

from __future__ import annotations

import math

import numpy as np

from rnncore import _memory
from rnncore._check import Array, as_array, describe


def float_array(name: str, value: object) -> Array:
    """Return `value` as an array of float32 or float64, whichever of the two it is."""
    array = as_array(name, value)
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{name}: expected a float32 or float64 array, got {describe(value)}")
    return array


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
