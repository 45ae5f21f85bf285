"""Batches of whole sentences, each from the zero state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import describe, integer
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IGNORED, Batch, Ids, as_tokens
from rnncore.data.buckets import Buckets

__all__ = ["SentenceBatches", "sentences"]


@strict_keywords()
class SentenceBatches:
    """Whole sentences in batches of similar length, for full back-propagation through time.

    Sentences are sorted by length before they are cut into batches, so that little is padded.

    Parameters
    ----------
    sentences : sequence of integers [N_k]
        Each with its boundary tokens and at least 2 tokens long.
    batch_size : int
        Sentences of one batch; one batch of a pass may have fewer.
    seed : int or None
        With one, each epoch deals sentences of equal length anew and takes the batches in a new
        order. None: every epoch is the same, shortest sentences first.

    Raises
    ------
    TypeError, ValueError
        When there is no sentence, one is not integers [N] with N at least 2, or the batch size is
        not positive.

    Examples
    --------
    >>> import rnncore as rc
    >>> batches = rc.data.SentenceBatches([[0, 5, 6, 0], [0, 7, 0]], batch_size=2)
    >>> (batch,) = batches.epoch(0)
    >>> batch.inputs.T.tolist(), batch.lengths.tolist()  # padded with 0
    ([[0, 7, 0], [0, 5, 6]], [2, 3])
    """

    carries_state = False

    def __init__(
        self,
        sentences: Sequence[Any],
        batch_size: int,
        *,
        seed: int | None = None,
    ) -> None:
        if not isinstance(sentences, Iterable):
            raise TypeError(f"sentences: expected a sequence, got {describe(sentences)}")
        self._sentences = [as_tokens(f"sentences[{k}]", s) for k, s in enumerate(sentences)]
        if not self._sentences:
            raise ValueError("sentences: expected at least one, got none")
        self._lengths = np.array([len(s) - 1 for s in self._sentences])  # targets of each
        shortest = int(np.argmin(self._lengths))
        if self._lengths[shortest] < 1:
            raise ValueError(
                f"sentences[{shortest}]: expected at least 2 tokens, got "
                f"{len(self._sentences[shortest])}"
            )
        self._buckets = Buckets(self._lengths, batch_size, seed)

    def __len__(self) -> int:
        return len(self._buckets)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0."""
        return map(self._batch, self._buckets.epoch(number))

    def _batch(self, members: NDArray[np.int64]) -> Batch:
        lengths = self._lengths[members]
        shape = (int(lengths.max()), len(members))
        inputs = np.zeros(shape, np.int64)
        targets = np.full(shape, IGNORED, np.int64)
        for b, (k, length) in enumerate(zip(members, lengths, strict=True)):
            inputs[:length, b] = self._sentences[k][:-1]
            targets[:length, b] = self._sentences[k][1:]
        weight = self._buckets.weight(lengths.sum(), self._lengths.sum())
        return Batch(inputs, targets, lengths, weight)


def sentences(ids: Any, boundary: int) -> list[Ids]:
    """Sentences of a text, each from the boundary token before it to the one after it.

    Parameters
    ----------
    ids : integers [N]
        Tokens of the text.
    boundary : int
        The token between sentences: the line feed of a text with one sentence a line. It begins
        and ends every sentence, so that a model learns how sentences start and when they stop.

    Returns
    -------
    list of int64 arrays [N_k]
        N_k is at least 2: an empty line is a sentence too.

    Raises
    ------
    TypeError, ValueError
        When the ids are not integers [N], or the boundary is no integer.
    """
    tokens = as_tokens("ids", ids)
    boundary = integer("boundary", boundary, -(2**63), 2**63 - 1)
    if len(tokens) == 0 or tokens[0] != boundary:
        tokens = np.insert(tokens, 0, boundary)
    if len(tokens) == 1 or tokens[-1] != boundary:
        tokens = np.append(tokens, boundary)
    at = np.flatnonzero(tokens == boundary)
    return [tokens[start : end + 1] for start, end in pairwise(at)]
