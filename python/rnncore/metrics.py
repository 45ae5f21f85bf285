"""Metrics: how far what was found is from what is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["boundary_errors", "edit_alignment", "edit_distance", "error_rate"]


def edit_distance(reference: Sequence[Any], found: Sequence[Any]) -> int:
    """Return the fewest symbols to insert, delete or replace that turn one sequence into another.

    Parameters
    ----------
    reference, found : sequence
        Symbols of any kind that can be compared; of texts, the characters.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.metrics.edit_distance("kitten", "sitting")
    3
    """
    return int(_distances(reference, found)[-1, -1])


def error_rate(references: Iterable[Sequence[Any]], found: Iterable[Sequence[Any]]) -> float:
    """Return the edit distances of all sequences, divided by the symbols of the references.

    It is the phone error rate of phones and the word error rate of words; it may exceed 1.

    Parameters
    ----------
    references, found : iterable of sequences
        What is right, and what was found, one for each.

    Raises
    ------
    ValueError
        If there are more of one than of the other.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.metrics.error_rate([["y", "eh", "s"], ["n", "ow"]], [["y", "s"], ["n", "ow"]])
    0.2
    """
    pairs = list(zip(references, found, strict=True))
    errors = sum(edit_distance(reference, guess) for reference, guess in pairs)
    return errors / max(1, sum(len(reference) for reference, _ in pairs))


def edit_alignment(reference: Sequence[Any], found: Sequence[Any]) -> list[tuple[int, int]]:
    """Return the positions (i, j) of symbols that an edit of least distance keeps or replaces.

    Parameters
    ----------
    reference, found : sequence
        As in `edit_distance`.

    Returns
    -------
    list of (int, int)
        In order. What is deleted or inserted is in no pair.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.metrics.edit_alignment("cart", "cat")
    [(0, 0), (1, 1), (3, 2)]
    """
    table = _distances(reference, found)
    pairs, i, j = [], len(reference), len(found)
    while i and j:
        replaced = table[i - 1, j - 1] + (reference[i - 1] != found[j - 1])
        if table[i, j] == replaced:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif table[i, j] == table[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def boundary_errors(
    reference: Sequence[tuple[Any, float]], found: Sequence[tuple[Any, float]]
) -> NDArray[np.float64]:
    """Return how far the end of each segment of a reference is from where it was found.

    Parameters
    ----------
    reference, found : sequence of (symbol, end)
        Segments in the order of time. `edit_alignment` of the symbols says which belong together.

    Returns
    -------
    float64 array [N]
        One for each segment of the reference: infinite where no segment was found.

    Examples
    --------
    >>> import rnncore as rc
    >>> found = [("y", 0.11), ("s", 0.5)]
    >>> rc.metrics.boundary_errors([("y", 0.1), ("eh", 0.25), ("s", 0.5)], found).round(3).tolist()
    [0.01, inf, 0.0]
    """
    errors = np.full(len(reference), np.inf)
    for i, j in edit_alignment([s for s, _ in reference], [s for s, _ in found]):
        errors[i] = abs(reference[i][1] - found[j][1])
    return errors


def _distances(reference: Sequence[Any], found: Sequence[Any]) -> NDArray[np.int64]:
    """Return the distance of every beginning of one to every beginning of the other [N+1,M+1]."""
    ids: dict[Any, int] = {}
    first, second = (
        np.array([ids.setdefault(symbol, len(ids)) for symbol in symbols], np.int64)
        for symbols in (reference, found)
    )
    table = np.zeros((len(first) + 1, len(second) + 1), np.int64)
    columns = np.arange(len(second) + 1)
    table[0] = columns
    for i, symbol in enumerate(first, start=1):
        row, above = table[i], table[i - 1]
        row[0] = i
        row[1:] = np.minimum(above[1:] + 1, above[:-1] + (second != symbol))
        # insertions: row[j] = min over k <= j of row[k] + j - k
        row[:] = np.minimum.accumulate(row - columns) + columns
    return table
