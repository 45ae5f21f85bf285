"""Buckets: which sequences share a batch, so that little is padded."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import integer, size
from rnncore._keywords import strict_keywords

__all__ = ["Buckets"]


@strict_keywords()
class Buckets:
    """Batches of sequences of similar length, as indices.

    Sequences are sorted by length before they are cut into batches.

    Parameters
    ----------
    lengths : integers [N]
        Length of each sequence.
    batch_size : int
        Sequences of one batch; one batch of an epoch may have fewer.
    seed : int or None
        With one, each epoch deals sequences of equal length anew and takes the batches in a new
        order, both drawn from (seed, number of the epoch). None: every epoch is the same, shortest
        sequences first.

    Examples
    --------
    >>> import rnncore as rc
    >>> buckets = rc.data.Buckets([5, 2, 5, 3], batch_size=2)
    >>> [members.tolist() for members in buckets.epoch(0)]
    [[1, 3], [0, 2]]
    """

    def __init__(self, lengths: ArrayLike, batch_size: int, seed: int | None = None) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self.batch_size = size("batch_size", batch_size)
        self.seed = None if seed is None else integer("seed", seed, 0)

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def epoch(self, number: int) -> list[NDArray[np.int64]]:
        """Return the members of each batch of epoch `number`, in the order of the batches."""
        count = len(self.lengths)
        rng = None if self.seed is None else np.random.default_rng((self.seed, number))
        dealt = np.arange(count) if rng is None else rng.permutation(count)
        by_length = dealt[np.argsort(self.lengths[dealt], kind="stable")]
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        starts = (int(k) * self.batch_size for k in order)
        return [by_length[start : start + self.batch_size] for start in starts]

    def weight(self, amount: float, total: float) -> float:
        """Return the weight of a batch that holds `amount` of the `total` of an epoch.

        Means over batches of short and of long sequences would make a step of a short sequence
        count for more.
        """
        return float(amount / total * len(self)) if total else 1.0
