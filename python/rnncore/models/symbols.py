"""Symbols of a recognizer: their names, and texts that are written in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import as_array, check_shape, choice, describe, is_ids, quoted

__all__ = ["label_ids", "split_text", "symbol_names"]


def symbol_names(symbols: Iterable[Any], separator: str) -> list[str]:
    """Return the names of symbols, checked.

    Raises
    ------
    TypeError, ValueError
        If there is none, or a name is no text, occurs twice, or cannot be told from its neighbors
        in a text with this separator.
    """
    choice("separator", separator, (" ", ""))
    if isinstance(symbols, str) or not isinstance(symbols, Iterable):
        raise TypeError(f"symbols: expected a list of names, got {describe(symbols)}")
    names = list(symbols)
    seen: set[str] = set()
    for k, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"symbols[{k}]: expected the name of a symbol, got {describe(name)}")
        if split_text(name, separator) != [name]:
            what = "a text without blanks" if separator else "one character"
            raise ValueError(f"symbols[{k}]: expected {what}, got {quoted(name)}")
        if name in seen:
            raise ValueError(f"symbols[{k}]: expected a new name, got {quoted(name)} again")
        seen.add(name)
    if not names:
        raise ValueError("symbols: expected at least one, got none")
    return [str(name) for name in names]


def split_text(text: str, separator: str) -> list[str]:
    """Return the symbols of a text: what stands between blanks, or its characters."""
    return text.split() if separator else list(text)


def label_ids(
    labels: Any, ids: Mapping[str, int], separator: str, first: int = 0, name: str = "labels"
) -> NDArray[np.int64]:
    """Return the ids of the labels of one sequence.

    Parameters
    ----------
    labels : str, sequence of names, or integers [U]
        A text is divided by `split_text`.
    ids : mapping
        Id of each name.
    separator : str
        What stands between the symbols of a text: a blank, or nothing.
    first : int
        Lowest id that a label may have.
    name : str
        What errors call them.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, or an id is outside its range, by its position.
    """
    given = split_text(labels, separator) if isinstance(labels, str) else labels
    if isinstance(given, Sequence) and any(isinstance(label, str) for label in given):
        for k, label in enumerate(given):
            if not isinstance(label, str) or label not in ids:
                raise ValueError(
                    f"{name}: expected symbols that the model knows, got {quoted(label, 60)} at {k}"
                )
        return np.array([ids[label] for label in given], np.int64)
    array = as_array(name, given)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if not is_ids(array):
        raise TypeError(f"{name}: expected a text, names or ids, got {describe(labels)}")
    check_shape(name, array, ("U",))
    outside = np.flatnonzero((array < first) | (array >= first + len(ids)))
    if outside.size:
        k = int(outside[0])
        raise ValueError(
            f"{name}: expected ids in [{first}, {first + len(ids)}), got {array[k]} at {k}"
        )
    return array.astype(np.int64)
