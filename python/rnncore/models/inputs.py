"""Sequences and labels as users have them, as arrays of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array, as_array, check_below, check_shape, describe, is_ids
from rnncore.text import Tokenizer

__all__ = ["class_ids", "class_names", "id_sequences", "vector_sequences"]


def id_sequences(
    sequences: Iterable[Any], vocab_size: int, tokenizer: Tokenizer | None
) -> list[NDArray[np.int64]]:
    """Return texts, or sequences of ids [T_k], as ids.

    Raises
    ------
    TypeError, ValueError
        If one is neither a text nor integers [T] in [0, V), or is a text and there is no tokenizer.
    """
    ids = []
    for k, sequence in enumerate(_listed(sequences)):
        name = f"sequences[{k}]"
        if isinstance(sequence, str):
            if tokenizer is None:
                raise ValueError(f"{name}: expected ids, got text; the model has no tokenizer")
            ids.append(tokenizer.encode(sequence, name))
            continue
        array = as_array(name, sequence)
        if array.size == 0 and not isinstance(sequence, np.ndarray):
            array = array.astype(np.int64)
        if not is_ids(array):
            raise TypeError(f"{name}: expected a text or integers, got {describe(sequence)}")
        check_shape(name, array, ("T",))
        check_below(name, array, vocab_size)
        ids.append(array.astype(np.int64, copy=False))
    return ids


def vector_sequences(
    sequences: Iterable[Any], input_size: int, dtype: np.dtype[Any]
) -> list[Array]:
    """Return sequences of vectors [T_k,I] in a dtype; numbers [T_k] where I is 1.

    Raises
    ------
    TypeError, ValueError
        If one has another shape, or holds anything but finite numbers.
    """
    arrays = []
    for k, sequence in enumerate(_listed(sequences)):
        name = f"sequences[{k}]"
        array = as_array(name, sequence)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name}: expected numbers, got {describe(sequence)}")
        if array.ndim == 1 and input_size == 1:
            array = array[:, np.newaxis]
        if array.size == 0 and array.ndim == 1:
            array = array.reshape(0, input_size)
        check_shape(name, array, ("T", input_size))
        array = array.astype(dtype, copy=False)
        if not np.isfinite(array).all():
            step = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise ValueError(f"{name}: expected finite numbers, got {array[step]} at step {step}")
        arrays.append(array)
    return arrays


def class_names(labels: Iterable[Any]) -> list[str]:
    """Return the distinct labels in their order, as names."""
    return sorted({str(label) for label in labels})


def class_ids(
    labels: Iterable[Any], names: Sequence[str] | None, num_classes: int
) -> NDArray[np.int64]:
    """Return labels, names or numbers in [0, C), as numbers.

    Raises
    ------
    TypeError, ValueError
        If a label is not among the names, or is no such number.
    """
    given = list(labels)
    if names is not None and any(isinstance(label, str) for label in given):
        numbers = {name: i for i, name in enumerate(names)}
        unknown = next((label for label in given if label not in numbers), None)
        if unknown is not None:
            some = ", ".join(repr(name) for name in names[:10])
            raise ValueError(f"labels: expected some of {some}, got {describe(unknown)}")
        return np.array([numbers[label] for label in given], np.int64)
    array = as_array("labels", given)
    if array.size and not is_ids(array):
        raise TypeError(f"labels: expected integers or names of classes, got {describe(given)}")
    check_shape("labels", array, ("N",))
    check_below("labels", array, num_classes)
    return array.astype(np.int64)


def _listed(sequences: Iterable[Any]) -> list[Any]:
    if isinstance(sequences, str) or not isinstance(sequences, Iterable):
        raise TypeError(f"sequences: expected a list of them, got {describe(sequences)}")
    return list(sequences)
