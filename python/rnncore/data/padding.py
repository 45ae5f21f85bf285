"""Sequences of different lengths as one array."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore import _memory
from rnncore._check import as_array, describe, ids_array, is_ids

__all__ = ["pad"]


def pad(
    sequences: Iterable[Any], *, batch_first: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Put sequences of different lengths into one array, followed by zeros, as layers take them.

    Parameters
    ----------
    sequences : iterable of arrays [T_b,I] of numbers, or of integer ids [T_b]
        All of one dtype and one width I; integers of different dtypes become int64. A sequence may
        be empty, also as an empty list.
    batch_first : bool
        Whether the result is [B,T,...] instead of [T,B,...].

    Returns
    -------
    x : array [T,B,I] or [T,B]
        T is the length of the longest sequence; the dtype is that of the sequences.
    lengths : int64 array [B]
        T_b, for the argument `lengths` of recurrent layers and models.

    Raises
    ------
    TypeError
        If a sequence holds neither numbers nor integers, or has another dtype than the others.
    ValueError
        If there is no sequence, or one has another number of dimensions or width.
    MemoryError
        If x does not fit in memory.

    Examples
    --------
    >>> x, lengths = pad([[7, 8, 9], [5], []])
    >>> x.T.tolist(), lengths.tolist()
    ([[7, 8, 9], [5, 0, 0], [0, 0, 0]], [3, 1, 0])
    """
    if isinstance(sequences, str) or not isinstance(sequences, Iterable):
        raise TypeError(f"sequences: expected a list of arrays, got {describe(sequences)}")
    given = [_sequence(f"sequences[{b}]", sequence) for b, sequence in enumerate(sequences)]
    if not given:
        raise ValueError("sequences: expected at least one, got none")
    arrays = {b: array for b, array in enumerate(given) if array is not None}
    first, model = next(iter(arrays.items()), (0, np.zeros(0, np.int64)))
    for b, array in arrays.items():
        alike = array.dtype == model.dtype or (is_ids(array) and is_ids(model))
        if not alike or array.shape[1:] != model.shape[1:]:
            raise (ValueError if alike else TypeError)(
                f"sequences[{b}]: expected dtype and width of sequences[{first}], "
                f"{describe(model)}, got {describe(array)}"
            )
    one_dtype = len({array.dtype for array in arrays.values()}) == 1
    dtype = model.dtype if one_dtype else np.dtype(np.int64)
    lengths = np.array([0 if array is None else len(array) for array in given], np.int64)
    shape = (int(lengths.max()), len(given), *model.shape[1:])
    _memory.require(math.prod(shape) * dtype.itemsize, f"padded sequences {list(shape)}")
    x = np.zeros(shape, dtype)
    for b, array in arrays.items():
        x[: len(array), b] = array
    return x.swapaxes(0, 1) if batch_first else x, lengths


def _sequence(name: str, value: Any) -> NDArray[Any] | None:
    """Return a sequence of `pad` as an array; None for an empty list, which fits all others."""
    array = as_array(name, value)
    if array.size == 0 and array.ndim == 1 and not isinstance(value, np.ndarray):
        return None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected numbers [T, I] or ids [T], got {describe(value)}")
    if array.ndim != (1 if is_ids(array) else 2):
        hint = "; sequence[:, np.newaxis] makes it [T, I=1]" if array.ndim == 1 else ""
        raise ValueError(f"{name}: expected numbers [T, I] or ids [T], got {describe(array)}{hint}")
    return ids_array(name, array) if is_ids(array) else array
