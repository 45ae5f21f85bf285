"""Sequences and labels as users have them, as arrays of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import (
    Array,
    Ids,
    as_array,
    check_below,
    check_shape,
    describe,
    is_ids,
    lengths_array,
    size,
    within,
)
from rnncore.text import Tokenizer

__all__ = [
    "class_ids",
    "class_names",
    "id_sequences",
    "input_sizes",
    "padded_ids",
    "vector_sequence",
    "vector_sequences",
    "vocab_size_of",
]

# Names of classes that an error lists.
_NAMED = 10


def input_sizes(
    vocab_size: int | None, input_size: int | None, tokenizer: Tokenizer | None
) -> tuple[int | None, int | None]:
    """Return V and None of a model that takes ids, None and I of one that takes vectors.

    Raises
    ------
    TypeError, ValueError
        If both or neither are given, or V is not that of the tokenizer.
    """
    if tokenizer is not None and vocab_size is None and input_size is None:
        vocab_size = tokenizer.vocab_size
    if (vocab_size is None) == (input_size is None):
        raise ValueError(
            f"vocab_size, input_size: expected one of the two, got {vocab_size} and {input_size}"
        )
    if tokenizer is not None and vocab_size != tokenizer.vocab_size:
        raise ValueError(
            f"tokenizer: expected a vocabulary of vocab_size = {vocab_size} tokens, got "
            f"{tokenizer.vocab_size}"
        )
    if vocab_size is not None:
        return size("vocab_size", vocab_size), None
    return None, size("input_size", input_size)


def id_sequences(
    sequences: Iterable[Any],
    vocab_size: int,
    tokenizer: Tokenizer | None,
    called: str = "sequences",
) -> list[NDArray[np.int64]]:
    """Return texts, or sequences of ids [T_k], as ids; errors say what they are `called`.

    Raises
    ------
    TypeError, ValueError
        If one is neither a text nor integers [T] in [0, V), or is a text and there is no tokenizer.
    """
    ids = []
    for k, sequence in enumerate(_listed(sequences, called)):
        name = f"{called}[{k}]"
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
    return [
        vector_sequence(f"sequences[{k}]", sequence, input_size, dtype)
        for k, sequence in enumerate(_listed(sequences))
    ]


def vector_sequence(name: str, sequence: Any, input_size: int, dtype: np.dtype[Any]) -> Array:
    """Return one sequence as `vector_sequences` does; errors call it ``name``."""
    array = as_array(name, sequence)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected numbers, got {describe(sequence)}")
    if array.ndim == 1 and input_size == 1:
        array = array[:, np.newaxis]
    if array.size == 0 and array.ndim == 1:
        array = array.reshape(0, input_size)
    check_shape(name, array, ("T", input_size))
    with np.errstate(over="ignore"):
        converted = array.astype(dtype, copy=False)
    outside = ~np.isfinite(converted)
    if outside.any():
        step, element = np.argwhere(outside)[0].tolist()
        raise ValueError(
            f"{name}: expected finite numbers of {dtype}, got {array[step, element]} at step {step}"
        )
    return converted


def class_names(labels: Iterable[Any], num_classes: int) -> list[str]:
    """Return the names of C classes, checked.

    Raises
    ------
    TypeError, ValueError
        If a name is no text or occurs twice, or there are not C of them.
    """
    names = list(labels)
    for k, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"labels[{k}]: expected the name of a class, got {describe(name)}")
        if name in names[:k]:
            raise ValueError(f"labels[{k}]: expected a new name, got {describe(name)} again")
    if len(names) != num_classes:
        raise ValueError(f"labels: expected num_classes = {num_classes} names, got {len(names)}")
    return [str(name) for name in names]


def class_ids(
    labels: Iterable[Any], names: Sequence[str] | None, num_classes: int
) -> NDArray[np.int64]:
    """Return labels, names or numbers in [0, C), as numbers.

    Raises
    ------
    TypeError, ValueError
        If a label is not among the names, or is no such number.
    """
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise TypeError(f"labels: expected a list of them, got {describe(labels)}")
    given = list(labels)
    if names is not None and any(isinstance(label, str) for label in given):
        numbers = {name: i for i, name in enumerate(names)}
        for k, label in enumerate(given):
            if not isinstance(label, str) or label not in numbers:
                some = ", ".join(repr(name) for name in names[:_NAMED])
                more = ", ..." if len(names) > _NAMED else ""
                raise ValueError(f"labels[{k}]: expected one of {some}{more}, got {label!r}")
        return np.array([numbers[label] for label in given], np.int64)
    array = as_array("labels", given)
    if array.size and not is_ids(array):
        raise TypeError(f"labels: expected integers or names of classes, got {describe(given)}")
    check_shape("labels", array, ("N",))
    check_below("labels", array, num_classes)
    return array.astype(np.int64)


def vocab_size_of(side: str, given: int | None, tokenizer: Tokenizer | None) -> int:
    """Return the number of tokens of a side, which is that of its tokenizer.

    Raises
    ------
    TypeError, ValueError
        If there is none, or two that differ.
    """
    if given is None and tokenizer is None:
        raise ValueError(
            f"{side}_vocab_size: expected a number, or a {side}_tokenizer, got neither"
        )
    if tokenizer is None or given is None:
        return size(f"{side}_vocab_size", given if tokenizer is None else tokenizer.vocab_size)
    if given != tokenizer.vocab_size:
        raise ValueError(
            f"{side}_tokenizer: expected a vocabulary of {side}_vocab_size = {given} tokens, got "
            f"{tokenizer.vocab_size}"
        )
    return size(f"{side}_vocab_size", given)


def padded_ids(name: str, ids: Any, lengths: Any, vocab_size: int) -> Ids:
    """Return ids [T,B] with 0 past the ends, checked."""
    array = np.asarray(ids)
    counts = within(lengths_array(lengths, array.shape), array.shape)
    array = np.where(counts, array, 0)
    check_below(name, array, vocab_size)
    return array


def _listed(sequences: Iterable[Any], called: str = "sequences") -> list[Any]:
    if isinstance(sequences, str) or not isinstance(sequences, Iterable):
        raise TypeError(f"{called}: expected a list of them, got {describe(sequences)}")
    return list(sequences)
