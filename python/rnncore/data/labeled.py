"""Batches of sequences that have one label each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import check_shape, ids_array
from rnncore._keywords import strict_keywords
from rnncore.data.batch import Batch
from rnncore.data.buckets import Buckets
from rnncore.data.checksum import checksum
from rnncore.data.padding import pad

__all__ = ["LabeledBatches"]


@strict_keywords()
class LabeledBatches:
    """Sequences with one label each, in batches of similar length.

    Parameters
    ----------
    sequences : sequence of ids [T_k] or arrays [T_k,I]
        The inputs.
    labels : integers [N], optional
        Class of each sequence. None: for inference only.
    batch_size : int
        Sequences of one batch; one batch of an epoch may have fewer.
    seed : int or None
        See `Buckets`.

    Raises
    ------
    TypeError, ValueError
        When there is no sequence, or the labels are not one integer for each.

    Examples
    --------
    >>> import rnncore as rc
    >>> batches = rc.data.LabeledBatches([[5, 6, 7], [8]], labels=[0, 1])
    >>> (batch,) = batches.epoch(0)
    >>> batch.inputs.T.tolist(), batch.lengths.tolist(), batch.targets.tolist()
    ([[8, 0, 0], [5, 6, 7]], [1, 3], [1, 0])
    """

    carries_state = False

    def __init__(
        self,
        sequences: Sequence[Any],
        labels: ArrayLike | None = None,
        batch_size: int = 32,
        *,
        seed: int | None = None,
    ) -> None:
        self._sequences = sequences
        if not len(sequences):
            raise ValueError("sequences: expected at least one, got none")
        self._labels = None if labels is None else ids_array("labels", labels)
        if self._labels is not None:
            check_shape("labels", self._labels, (len(sequences),))
        self.buckets = Buckets([len(s) for s in sequences], batch_size, seed)

    def __len__(self) -> int:
        return len(self.buckets)

    def checksum(self) -> int:
        """Return a checksum of the labels and of the sequences that are held in memory.

        A run that goes on knows them again. Of a sequence type of your own, which may read files,
        the lengths count.
        """
        given = self._sequences
        is_held = isinstance(given, list | tuple | np.ndarray)
        return checksum((given if is_held else self.buckets.lengths, self._labels))

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0."""
        return map(self.batch, self.buckets.epoch(number))

    def batch(self, members: NDArray[np.int64]) -> Batch:
        """Return the batch of some sequences, by their indices."""
        inputs, lengths = pad([self._sequences[k] for k in members])
        labels = None if self._labels is None else self._labels[members]
        weight = self.buckets.weight(len(members), len(self._sequences))
        return Batch(inputs, labels, lengths, weight)
