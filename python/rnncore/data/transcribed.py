"""Batches of sequences that each have several targets: a transcript, or a class for every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import flag
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IGNORED, Batch, Ids, as_tokens
from rnncore.data.buckets import Buckets
from rnncore.data.checksum import checksum
from rnncore.data.padding import pad

__all__ = ["TranscribedBatches"]


@strict_keywords()
class TranscribedBatches:
    """Sequences with a list of targets each, in batches of similar length.

    Parameters
    ----------
    sequences : sequence of arrays [T_k,I] or ids [T_k]
        The inputs.
    targets : sequence of integers [U_k], optional
        Labels of each sequence. None: for inference only.
    batch_size : int
        Sequences of one batch; one batch of an epoch may have fewer.
    per_step : bool
        Whether every step has a target of its own: ``targets`` of a batch are then [T,B], and [B,U]
        otherwise. `IGNORED` follows the targets of a sequence.
    seed : int or None
        See `Buckets`.

    Raises
    ------
    TypeError, ValueError
        When there is no sequence, there are not as many lists of targets, one of them is no list of
        integers, or with `per_step` not one for each step.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> sequences = [np.zeros((5, 2)), np.zeros((3, 2))]
    >>> batches = rc.data.TranscribedBatches(sequences, [[1, 2], [3]])
    >>> (batch,) = batches.epoch(0)
    >>> batch.inputs.shape, batch.lengths.tolist(), batch.targets.tolist()
    ((5, 2, 2), [3, 5], [[3, -100], [1, 2]])
    """

    carries_state = False

    def __init__(
        self,
        sequences: Sequence[Any],
        targets: Sequence[Any] | None = None,
        batch_size: int = 32,
        *,
        per_step: bool = False,
        seed: int | None = None,
    ) -> None:
        self._sequences = sequences
        self._per_step = flag("per_step", per_step)
        if not len(sequences):
            raise ValueError("sequences: expected at least one, got none")
        lengths = np.array([len(s) for s in sequences], np.int64)
        self._targets: list[Ids] | None = None
        counts = lengths
        if targets is not None:
            self._targets = [as_tokens(f"targets[{k}]", t) for k, t in enumerate(targets)]
            counts = np.array([len(t) for t in self._targets], np.int64)
            self._require_fitting(lengths, counts)
        self._amounts = np.maximum(counts, 1)  # a sequence without labels has a loss too
        self.buckets = Buckets(lengths, batch_size, seed)

    def _require_fitting(self, lengths: Ids, counts: Ids) -> None:
        if len(counts) != len(lengths):
            raise ValueError(
                f"targets: expected one list for each of {len(lengths)} sequences, got "
                f"{len(counts)}"
            )
        wrong = np.flatnonzero(counts != lengths)
        if self._per_step and wrong.size:
            k = int(wrong[0])
            raise ValueError(
                f"targets[{k}]: expected one for each of {lengths[k]} steps, got {counts[k]}"
            )

    def __len__(self) -> int:
        return len(self.buckets)

    def checksum(self) -> int:
        """Return a checksum of all sequences and targets, by which a run knows them again."""
        return checksum((list(self._sequences), self._targets or []))

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0."""
        return map(self.batch, self.buckets.epoch(number))

    def batch(self, members: NDArray[np.int64]) -> Batch:
        """Return the batch of some sequences, by their indices."""
        inputs, lengths = pad([self._sequences[k] for k in members])
        weight = self.buckets.weight(self._amounts[members].sum(), self._amounts.sum())
        if self._targets is None:
            return Batch(inputs, None, lengths, weight)
        chosen = [self._targets[k] for k in members]
        rows = np.full((len(chosen), max(map(len, chosen))), IGNORED, np.int64)
        for row, labels in zip(rows, chosen, strict=True):
            row[: len(labels)] = labels
        return Batch(inputs, rows.T if self._per_step else rows, lengths, weight)
