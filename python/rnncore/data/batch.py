"""Batch: what one update reads. Batches: a set of them. The loop needs no other facts of data.

T time, B batch. Arrays are time-major.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rnncore._check import check_shape, ids_array, integer, is_ids
from rnncore._keywords import strict_keywords

__all__ = ["IGNORED", "Batch", "Batches"]

Ids = NDArray[np.int64]
IdsLike = NDArray[np.integer[Any]] | Sequence[int] | Sequence[Sequence[int]]

#: Class of a target that does not count, as of padding.
IGNORED = -100


@strict_keywords()
@dataclass(frozen=True)
class Batch:
    """What one update reads, and what the model should answer.

    Parameters
    ----------
    inputs : array, or what else the model's `compute` takes
        Ids [T,B] or vectors [T,B,I]; of pairs, a tuple of what is read and of the targets before.
    targets : array
        What the model's head takes: classes [T,B] or [B], where `IGNORED` does not count, or
        numbers [...,V], where NaN does not count; or for CTC the labels of each sequence, a list of
        B arrays of ids or an array [B,U]. A tuple or dict of such is for several heads.
        None: `compute` needs none, or compares with the inputs.
    lengths : integers [B], or None
        Steps of each sequence; None: T for all. Of pairs, a tuple of the lengths of both.
    weight : float
        Weight of this batch in the mean over an epoch; 1 for a batch of average size.
    bptt : int or None
        Steps that gradients reach back at most: they are cut where a piece of so many steps begins,
        while the state goes on. It needs inputs and targets [T,B,...]. None: they reach back to the
        first step.
    contexts : array [B,C], or None
        A vector of each sequence, for models that read one in every step.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> text = np.array([[0, 1], [1, 2], [2, 0]])  # two rows of three tokens
    >>> rc.data.Batch(inputs=text[:-1], targets=text[1:]).num_targets
    4
    """

    inputs: Any
    targets: Any = None
    lengths: Any = None
    weight: float = 1.0
    bptt: int | None = None
    contexts: Any = None

    def __post_init__(self) -> None:
        if self.bptt is not None:
            integer("bptt", self.bptt, 1)

    def pieces(self) -> Iterator[Batch]:
        """Yield the pieces of `bptt` steps, one after the other; without it, the batch itself."""
        if self.bptt is None:
            yield self
            return
        lengths = None if self.lengths is None else np.asarray(self.lengths)
        for start in range(0, len(self.inputs), self.bptt):
            piece = slice(start, start + self.bptt)
            inputs = self.inputs[piece]
            left = None if lengths is None else np.clip(lengths - start, 0, len(inputs))
            targets = None if self.targets is None else self.targets[piece]
            yield Batch(inputs, targets, left, self.weight, contexts=self.contexts)

    @property
    def num_targets(self) -> int:
        """Number of targets that count; of several arrays, those of the first.

        Without targets it is that of the inputs, as for a model that answers what it reads.
        """
        return _number(self.inputs if self.targets is None else self.targets)

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in ("inputs", "targets", "lengths"))
        shapes = [f"{name} {_shape(value)}" for name, value in given if value is not None]
        return f"Batch({', '.join(shapes)}, weight={self.weight:g})"


def _number(targets: Any) -> int:
    """Return the number of targets that count in an array, or in the first of several."""
    if isinstance(targets, tuple | dict):
        first = next(iter(targets.values() if isinstance(targets, dict) else targets), None)
        return 0 if first is None else _number(first)
    try:
        array = np.asarray(targets)
    except ValueError:  # a list of arrays of different shapes
        if all(np.ndim(part) == 1 and _holds_ids(part) for part in targets):
            return sum(map(_number, targets))  # the labels of each sequence
        return _number(tuple(targets))
    if array.dtype.kind not in "iuf":
        return array.size
    counts = array != IGNORED if is_ids(array) else ~np.isnan(array)
    return int(np.count_nonzero(counts))


def _holds_ids(part: Any) -> bool:
    array = np.asarray(part)
    return not array.size or is_ids(array)


def _shape(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shape, value))})"
    return str(list(np.shape(value)))


class Batches(Protocol):
    """A set of batches. One epoch is a pure function of its number: training resumes exactly."""

    @property
    def carries_state(self) -> bool:
        """Whether row b of a batch continues row b of the batch before."""

    def __len__(self) -> int:
        """Number of batches in an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0."""


def held_tokens(name: str, ids: Any) -> NDArray[np.integer[Any]]:
    """Return `ids`, which must be integers [N], in their own dtype and not copied."""
    tokens = ids_array(name, ids)
    check_shape(name, tokens, ("N",))
    return np.asarray(tokens)


def as_tokens(name: str, ids: Any) -> Ids:
    """Return `ids`, which must be integers [N], as int64; errors call them `name`."""
    tokens = ids_array(name, ids)
    check_shape(name, tokens, ("N",))
    return tokens.astype(np.int64, copy=False)
