"""Checksums of data of any nesting, so that a run that goes on knows them again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np

from rnncore._check import Array

__all__ = ["checksum"]

#: Elements that are copied at a time.
_CHUNK = 1 << 18
#: Sequences of ids that are joined at a time.
_JOINED = 1 << 10


def checksum(value: Any, before: int = 0) -> int:
    """Return a CRC-32 of numbers, texts and arrays, and of tuples, lists and mappings of these.

    Integers count by their values: ids of a file are those of memory, whatever their dtypes.

    Parameters
    ----------
    value : any
        What is read, arrays a part at a time. Of any other object the type counts alone.
    before : int
        Checksum of what comes before.
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            before = checksum(part, _of_text(f"key {key!r}", before))
        return _of_text("end", before)
    if isinstance(value, tuple | list) and not all(isinstance(part, Number) for part in value):
        for part in _joined(value):
            before = checksum(part, before)
        return _of_text("end", before)
    array = np.asarray(value)
    if array.dtype.hasobject:
        for part in array.ravel() if array.ndim else ():
            before = checksum(part, before)
        return _of_text(f"type {type(value).__qualname__}", before)
    return _of_array(array, before)


def _joined(parts: Sequence[Any]) -> Iterator[Any]:
    """Yield `parts`; many sequences of ids as their lengths and some at a time in one array."""
    if not all(isinstance(p, np.ndarray) and p.ndim == 1 and p.dtype.kind in "iu" for p in parts):
        yield from parts
        return
    yield np.array([len(part) for part in parts], np.int64)
    for start in range(0, len(parts), _JOINED):
        yield np.concatenate(parts[start : start + _JOINED])


def _of_array(array: Array, before: int) -> int:
    is_integer = array.dtype.kind in "iu"
    before = _of_text(f"{'integer' if is_integer else array.dtype.str} {array.shape}", before)
    array = np.atleast_1d(array)
    rows = max(1, _CHUNK * len(array) // max(1, array.size))
    for start in range(0, len(array) if array.size else 0, rows):
        part = array[start : start + rows]
        before = zlib.crc32((_narrowed(part) if is_integer else part).tobytes(), before)
    return before


def _narrowed(integers: Array) -> Array:
    """Return integers in the smallest dtype for their values, so that few bytes are summed."""
    ends = np.min_scalar_type(integers.min()), np.min_scalar_type(integers.max())
    return integers.astype(np.result_type(*ends).newbyteorder("<"), copy=False)


def _of_text(text: str, before: int) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), before)
