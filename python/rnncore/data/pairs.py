"""Batches of pairs of sequences, such as sentences and their translations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._keywords import strict_keywords
from rnncore.data.batch import Batch, Ids, as_tokens
from rnncore.data.buckets import Buckets
from rnncore.data.checksum import checksum
from rnncore.data.padding import pad
from rnncore.data.shifted import shifted

__all__ = ["PairBatches"]


@strict_keywords()
class PairBatches:
    """Sources with their targets, in batches of pairs of similar lengths.

    Pairs are sorted by the length of the source, then by that of the target, before they are cut
    into batches. ``inputs`` of a batch are the sources [S,B] and what the decoder reads [T,B];
    ``targets`` [T,B] are what it is to answer, a step later. ``lengths`` are those of the two.

    Parameters
    ----------
    sources : sequence of integers [S_k], or of arrays [S_k,I]
        What is read.
    targets : sequence of integers [N_k]
        What is to be written, each with its boundary tokens and at least 2 tokens long.
    batch_size : int or None
        Pairs of one batch, at most; None: `max_tokens` alone is the limit.
    max_tokens : int or None
        Tokens of one batch, at most, sources and targets together; None: no limit. A longer pair is
        a batch by itself.
    seed : int or None
        With one, each epoch deals pairs of equal lengths anew and takes the batches in a new order.
        None: every epoch is the same, shortest sources first.

    Raises
    ------
    TypeError, ValueError
        When there is no pair, not one source for each target, a target is not integers [N] with N
        at least 2, or a limit is not positive.

    Examples
    --------
    >>> import rnncore as rc
    >>> batches = rc.data.PairBatches([[5, 6], [7]], [[0, 3, 4, 1], [0, 2, 1]], batch_size=2)
    >>> (batch,) = batches.epoch(0)
    >>> sources, read = batch.inputs
    >>> sources.T.tolist(), read.T.tolist(), batch.targets.T.tolist()
    ([[7, 0], [5, 6]], [[0, 2, 0], [0, 3, 4]], [[2, 1, -100], [3, 4, 1]])
    >>> [lengths.tolist() for lengths in batch.lengths]
    [[1, 2], [2, 3]]
    """

    carries_state = False

    def __init__(
        self,
        sources: Sequence[Any],
        targets: Sequence[Any],
        batch_size: int | None = 64,
        *,
        max_tokens: int | None = None,
        seed: int | None = None,
    ) -> None:
        if not len(targets):
            raise ValueError("targets: expected at least one, got none")
        if len(sources) != len(targets):
            raise ValueError(
                f"targets: expected one for each of {len(sources)} sources, got {len(targets)}"
            )
        self._sources = sources
        self._targets: list[Ids] = [as_tokens(f"targets[{k}]", t) for k, t in enumerate(targets)]
        lengths = np.array(
            [(len(s), len(t) - 1) for s, t in zip(sources, self._targets, strict=True)], np.int64
        )
        shortest = int(np.argmin(lengths[:, 1]))
        if lengths[shortest, 1] < 1:
            raise ValueError(
                f"targets[{shortest}]: expected at least 2 tokens, got {lengths[shortest, 1] + 1}"
            )
        self._answers = int(lengths[:, 1].sum())
        self.buckets = Buckets(lengths, batch_size, seed, max_tokens=max_tokens)

    def __len__(self) -> int:
        return len(self.buckets)

    def checksum(self) -> int:
        """Return a checksum of all pairs, by which a run that goes on knows them again."""
        return checksum((list(self._sources), self._targets))

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0: a function of the seed and it."""
        return map(self._batch, self.buckets.epoch(number))

    def _batch(self, members: NDArray[np.int64]) -> Batch:
        sources, source_lengths = pad([self._sources[int(k)] for k in members])
        inputs, targets, lengths = shifted([self._targets[int(k)] for k in members])
        weight = self.buckets.weight(float(lengths.sum()), self._answers)
        return Batch((sources, inputs), targets, (source_lengths, lengths), weight)
