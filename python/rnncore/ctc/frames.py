"""Frames of sequences of different lengths as rows without padding, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore import _memory
from rnncore._check import Array, describe, within
from rnncore._layout import as_rows, float_array
from rnncore.ctc.labels import Labels

__all__ = ["frames_array", "packed", "unpacked"]


def frames_array(name: str, value: ArrayLike) -> tuple[Array, bool]:
    """Return frames as an array [T,B,C], and whether they are those of one sequence [T,C]."""
    array = float_array(name, value)
    if array.ndim not in (2, 3) or array.shape[-1] == 0:
        raise ValueError(f"{name}: expected shape [T, B, C] or [T, C], got {describe(array)}")
    return (array[:, np.newaxis], True) if array.ndim == 2 else (array, False)


def packed(array: Array, labels: Labels) -> Array:
    """Return the frames of [T,B,W] that belong to sequences, [N,W], step after step.

    Where all do, it is no copy.
    """
    if labels.full:
        return as_rows("frames", array)
    _memory.require(array.nbytes, f"frames {list(array.shape)} without padding")
    return array[within(labels.frames, labels.shape)]


def unpacked(rows: NDArray[Any], labels: Labels) -> NDArray[Any]:
    """Return rows [N,...] as [T,B,...], zero past the end of a sequence."""
    shape = (*labels.shape, *rows.shape[1:])
    if labels.full:
        return rows.reshape(shape)
    _memory.require(math.prod(shape) * rows.itemsize, f"frames {list(shape)}")
    array = np.zeros(shape, rows.dtype)
    array[within(labels.frames, labels.shape)] = rows
    return array
