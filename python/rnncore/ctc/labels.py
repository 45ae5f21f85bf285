"""Labels of a batch of sequences: how they are given, what they are checked for, what they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Ids, as_array, describe, ids_array, integer, is_ids, lengths_array
from rnncore._keywords import strict_keywords

__all__ = ["IGNORED", "Labels", "as_labels", "frames_needed"]

#: What follows the labels of a sequence in an array of several.
IGNORED = -100


@strict_keywords()
@dataclass(frozen=True)
class Labels:
    """The labels of B sequences, checked, and their numbers of frames.

    Parameters
    ----------
    ids : int64 array [K]
        The labels of all sequences, one after the other.
    counts, frames : int64 arrays [B]
        Numbers of labels and of frames of each sequence.
    shape : tuple
        Frames of the longest sequence and sequences, (T, B).
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    frames: NDArray[np.int64]
    shape: tuple[int, int]

    @property
    def possible(self) -> NDArray[np.bool_]:
        """Whether there is a path through the labels of each sequence [B]."""
        return _needed(self.ids, self.counts) <= self.frames

    @property
    def full(self) -> bool:
        """Whether all sequences have T frames."""
        return bool(np.all(self.frames == self.shape[0]))

    def impossible(self) -> str:
        """Say which sequences have no path; empty if there is none."""
        found = np.flatnonzero(~self.possible)
        if not found.size:
            return ""
        needed = _needed(self.ids, self.counts)
        parts = [
            f"sequence {b} has {self.counts[b]} labels, which need {needed[b]} frames, and "
            f"{self.frames[b]} frames"
            for b in found[:3]
        ]
        more = f", and {found.size - 3} more" if found.size > 3 else ""
        return "; ".join(parts) + more


def as_labels(
    targets: Any,
    shape: Sequence[int],
    lengths: ArrayLike | None,
    num_symbols: int,
    blank: int,
) -> Labels:
    """Return targets as `Labels`; those that are some already stay as they are.

    Parameters
    ----------
    targets : list of B sequences of ids, integers [B,U], or Labels
        Labels of each sequence, in [0, C) and not the blank. In an array, what follows the labels
        of a sequence is -100.
    shape : (T, B)
        Frames and sequences.
    lengths : integers [B], or None
        Frames of each sequence; None is T for all.
    num_symbols : int
        Number of symbols C.
    blank : int
        Id of the blank.

    Raises
    ------
    TypeError, ValueError
        If they have another type or number, or a label lies outside its range; by its sequence.
    """
    steps, batch = shape
    if isinstance(targets, Labels):
        if targets.shape != (steps, batch):
            raise ValueError(f"targets: expected those of {(steps, batch)}, got {targets.shape}")
        return targets
    given, counts = _flat(targets, batch)
    ids, counts = _without_padding(given, counts)
    outside = (ids < 0) | (ids >= num_symbols) | (ids == blank)
    if outside.any():
        k = int(np.flatnonzero(outside)[0])
        b = int(np.searchsorted(np.cumsum(counts), k, side="right"))
        at = k - int(counts[:b].sum())
        raise ValueError(
            f"targets: expected ids in [0, C={num_symbols}) other than the blank, {blank}, got "
            f"{ids[k]} at [{at}] of sequence {b}"
        )
    frames = np.full(batch, steps, np.int64)
    if lengths is not None:
        frames = lengths_array(lengths, (steps, batch)).astype(np.int64)
    return Labels(ids, counts, frames, (steps, batch))


def frames_needed(targets: Any) -> Any:
    """Return the fewest frames that labels need: their number, and one blank between equal ones.

    A recording with fewer frames cannot have these labels; see `heads.CTC`.

    Parameters
    ----------
    targets : ids [L], a list of B sequences of ids, or integers [B,U]
        As in `ctc.loss`.

    Returns
    -------
    int, or int64 array [B]

    Raises
    ------
    TypeError, ValueError
        If the targets are no integers.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.ctc.frames_needed([3, 3, 5])
    4
    >>> rc.ctc.frames_needed([[3, 3, 5], [1]]).tolist()
    [4, 1]
    """
    single = _is_one(targets)
    ids, counts = _without_padding(*_flat([targets] if single else targets, None))
    needed = _needed(ids, counts)
    return int(needed[0]) if single else needed


def checked_blank(blank: int, num_symbols: int) -> int:
    """Return the id of the blank, which is one of the symbols."""
    return integer("blank", blank, 0, num_symbols - 1)


def _is_one(targets: Any) -> bool:
    """Whether targets are the labels of one sequence."""
    if isinstance(targets, np.ndarray) and targets.dtype != object:
        return targets.ndim == 1
    return all(np.ndim(label) == 0 for label in targets)


def _flat(targets: Any, batch: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels [K] and their counts [B], with padding."""
    if isinstance(targets, np.ndarray) and targets.dtype != object:
        array = ids_array("targets", targets)
        if array.ndim != 2 or batch not in (None, len(array)):
            raise ValueError(
                f"targets: expected the labels of each sequence, {_shape(batch)}, got "
                f"{describe(array)}"
            )
        return array.astype(np.int64).ravel(), np.full(len(array), array.shape[1], np.int64)
    if isinstance(targets, str | bytes) or not hasattr(targets, "__len__"):
        raise TypeError(f"targets: expected {_shape(batch)}, got {describe(targets)}")
    if batch not in (None, len(targets)):
        raise ValueError(f"targets: expected {_shape(batch)}, got a list of {len(targets)}")
    parts = [_sequence(b, labels) for b, labels in enumerate(targets)]
    counts = np.array([len(part) for part in parts], np.int64)
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *parts]).astype(np.int64, copy=False), counts


def _shape(batch: int | None) -> str:
    number = "B" if batch is None else f"B={batch}"
    return f"integers [{number}, U], -100 behind the labels, or a list of {number} sequences of ids"


def _sequence(b: int, labels: Any) -> Ids:
    """Return the labels of one sequence."""
    array = as_array(f"targets[{b}]", labels)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or not is_ids(array):
        raise (TypeError if array.ndim == 1 else ValueError)(
            f"targets[{b}]: expected integers [L], got {describe(labels)}"
        )
    return ids_array(f"targets[{b}]", array)


def _without_padding(
    ids: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels and counts without what is `IGNORED`."""
    padding = ids == IGNORED
    if not padding.any():
        return ids, counts
    owner = np.repeat(np.arange(len(counts)), counts)
    label_after = padding[:-1] & ~padding[1:] & (owner[:-1] == owner[1:])
    if label_after.any():
        b = owner[np.flatnonzero(label_after)[0]]
        raise ValueError(
            f"targets: expected {IGNORED} behind labels only, got one before a label "
            f"in sequence {b}"
        )
    return ids[~padding], counts - np.bincount(owner[padding], minlength=len(counts))


def _needed(ids: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the frames that each sequence needs [B]."""
    owner = np.repeat(np.arange(len(counts)), counts)
    repeats = (ids[1:] == ids[:-1]) & (owner[1:] == owner[:-1])
    blanks = np.bincount(owner[1:][repeats], minlength=len(counts))
    return np.asarray(counts + blanks, np.int64)
