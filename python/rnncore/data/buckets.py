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
    lengths : integers [N] or [N,K]
        Length of each sequence; or K lengths, as of a sentence and its translation. The first of
        them counts for more.
    batch_size : int or None
        Sequences of one batch, at most; None: `max_tokens` alone is the limit.
    seed : int or None
        With one, each epoch deals sequences of equal length anew and takes the batches in a new
        order, both drawn from (seed, number of the epoch). None: every epoch is the same, shortest
        sequences first.
    max_tokens : int or None
        Sum of all lengths of one batch, at most; a longer sequence is a batch by itself. None: no
        limit.

    Raises
    ------
    TypeError, ValueError
        If a number is none, or outside its range, or there is no limit.

    Examples
    --------
    >>> import rnncore as rc
    >>> buckets = rc.data.Buckets([5, 2, 5, 3], batch_size=2)
    >>> [members.tolist() for members in buckets.epoch(0)]
    [[1, 3], [0, 2]]
    >>> buckets = rc.data.Buckets([5, 2, 5, 3], batch_size=None, max_tokens=10)
    >>> [members.tolist() for members in buckets.epoch(0)]
    [[1, 3, 0], [2]]
    """

    def __init__(
        self,
        lengths: ArrayLike,
        batch_size: int | None,
        seed: int | None = None,
        *,
        max_tokens: int | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self.batch_size = None if batch_size is None else size("batch_size", batch_size)
        self.max_tokens = None if max_tokens is None else size("max_tokens", max_tokens)
        if self.batch_size is None and self.max_tokens is None:
            raise ValueError("batch_size: expected a number, or one as max_tokens, got None")
        self.seed = None if seed is None else integer("seed", seed, 0)
        array = self.lengths
        self._columns = array if array.ndim == 2 else array[:, np.newaxis]
        # Sorted, the lengths are those of every epoch; so are the places where they are cut.
        in_order = self._columns[self._sorted(np.arange(len(array)))]
        self._starts = self._cuts(in_order.sum(axis=1))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def epoch(self, number: int) -> list[NDArray[np.int64]]:
        """Return the members of each batch of epoch `number`, in the order of the batches."""
        count = len(self.lengths)
        rng = None if self.seed is None else np.random.default_rng((self.seed, number))
        by_length = self._sorted(np.arange(count) if rng is None else rng.permutation(count))
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        return [by_length[self._starts[k] : self._starts[k + 1]] for k in order]

    def weight(self, amount: float, total: float) -> float:
        """Return the weight of a batch that holds `amount` of the `total` of an epoch.

        Means over batches of short and of long sequences would make a step of a short sequence
        count for more.
        """
        return float(amount / total * len(self)) if total else 1.0

    def _sorted(self, dealt: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return indices in the order of their lengths; those of equal lengths stay in order."""
        return dealt[np.lexsort(self._columns[dealt].T[::-1])]

    def _cuts(self, totals: NDArray[np.int64]) -> list[int]:
        """Return where the batches begin, and the end of the last."""
        count = len(totals)
        most = count if self.batch_size is None else self.batch_size
        if self.max_tokens is None:
            return [*range(0, count, most), count]
        starts, tokens = [0], 0
        for k, total in enumerate(totals.tolist()):
            full = k - starts[-1] == most or tokens + total > self.max_tokens
            if full and k > starts[-1]:
                starts.append(k)
                tokens = 0
            tokens += total
        return [*starts, count] if count else [0]
