"""Batches of whole sentences, each from the zero state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from rnncore._check import as_array, check_shape, describe, integer, size
from rnncore._keywords import strict_keywords
from rnncore.data.batch import Batch, Ids, as_tokens, held_tokens
from rnncore.data.buckets import Buckets
from rnncore.data.checksum import checksum
from rnncore.data.shifted import shifted

__all__ = ["SentenceBatches", "Sentences", "sentences"]

_COMPARED = 1 << 24


@strict_keywords()
class SentenceBatches:
    """Whole sentences in batches of similar length, each from the zero state.

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
    bptt : int or None
        Steps that gradients reach back at most, see `Batch`; None: through the whole sentence.
    contexts : array [K,C], or None
        A vector of each sentence, see `Batch`.

    Raises
    ------
    TypeError, ValueError
        When there is no sentence, one is not integers [N] with N at least 2, there is not one
        context for each, or the batch size is not positive.

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
        bptt: int | None = None,
        contexts: Any = None,
    ) -> None:
        if not isinstance(sentences, Iterable):
            raise TypeError(f"sentences: expected a sequence, got {describe(sentences)}")
        self._sentences: Sequence[Ids] = (
            sentences
            if isinstance(sentences, Sentences)
            else [as_tokens(f"sentences[{k}]", s) for k, s in enumerate(sentences)]
        )
        if not self._sentences:
            raise ValueError("sentences: expected at least one, got none")
        self._bptt = None if bptt is None else size("bptt", bptt)
        self._contexts = None if contexts is None else as_array("contexts", contexts)
        if self._contexts is not None:
            check_shape("contexts", self._contexts, (len(self._sentences), "C"))
        lengths = (
            sentences.lengths
            if isinstance(sentences, Sentences)
            else np.array([len(s) for s in self._sentences])
        )
        self._lengths = lengths - 1  # targets of each
        shortest = int(np.argmin(self._lengths))
        if self._lengths[shortest] < 1:
            raise ValueError(
                f"sentences[{shortest}]: expected at least 2 tokens, got "
                f"{len(self._sentences[shortest])}"
            )
        self._buckets = Buckets(self._lengths, batch_size, seed)

    def __len__(self) -> int:
        return len(self._buckets)

    def checksum(self) -> int:
        """Return a checksum of all sentences, by which a run that goes on knows them again."""
        held = self._sentences
        of_ids = held.checksum() if isinstance(held, Sentences) else checksum(held)
        return of_ids if self._contexts is None else checksum(self._contexts, of_ids)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0."""
        return map(self._batch, self._buckets.epoch(number))

    def _batch(self, members: NDArray[np.int64]) -> Batch:
        inputs, targets, lengths = shifted([self._sentences[int(k)] for k in members])
        weight = self._buckets.weight(lengths.sum(), self._lengths.sum())
        contexts = None if self._contexts is None else self._contexts[members]
        return Batch(inputs, targets, lengths, weight, self._bptt, contexts)


@strict_keywords()
class Sentences(Sequence[Ids]):
    """The sentences of one array of ids, each cut out when it is asked for; made by `sentences`.

    Parameters
    ----------
    ids : integers [M]
        Tokens of the text, which are not copied.
    spans : (int64 array [N], int64 array [N])
        Where in the text each sentence begins, and where it has ended.
    start, end : int
        Tokens before and after each.

    Attributes
    ----------
    lengths : int64 array [N]
        Tokens of each, with `start` and `end`.

    Examples
    --------
    >>> import rnncore as rc
    >>> lines = rc.data.sentences([5, 6, 0, 7], boundary=0, start=1, end=2)
    >>> lines.lengths.tolist(), lines[1].tolist()
    ([4, 3], [1, 7, 2])
    """

    def __init__(
        self,
        ids: NDArray[np.integer[Any]],
        spans: tuple[NDArray[np.int64], NDArray[np.int64]],
        start: int,
        end: int,
    ) -> None:
        self._ids, self._start, self._end = ids, start, end
        self._first, self._stop = spans
        self.lengths = self._stop - self._first + 2

    def __len__(self) -> int:
        return len(self._first)

    def checksum(self) -> int:
        """Return a checksum of the part of the text that they are cut from, and of the cuts."""
        if not len(self):
            return 0
        first, stop = int(self._first.min()), int(self._stop.max())
        cuts = self._first - first, self._stop - first
        return checksum((self._ids[first:stop], cuts, self._start, self._end))

    @overload
    def __getitem__(self, index: int) -> Ids: ...
    @overload
    def __getitem__(self, index: slice) -> Sentences: ...
    def __getitem__(self, index: int | slice) -> Ids | Sentences:
        if isinstance(index, slice):
            spans = self._first[index], self._stop[index]
            return Sentences(self._ids, spans, self._start, self._end)
        sentence = np.empty(int(self.lengths[index]), np.int64)
        sentence[0], sentence[-1] = self._start, self._end
        sentence[1:-1] = self._ids[self._first[index] : self._stop[index]]
        return sentence


@strict_keywords()
def sentences(
    ids: Any, boundary: int, start: int | None = None, end: int | None = None
) -> Sentences:
    """Sentences of a text, each between a token that begins and one that ends it.

    Parameters
    ----------
    ids : integers [N]
        Tokens of the text, which are not copied.
    boundary : int
        The token between sentences: the line feed of a text with one sentence a line.
    start, end : int or None
        What begins and ends every sentence, so that a model learns how sentences start and when
        they stop; None is the boundary.

    Returns
    -------
    sequence of int64 arrays [N_k]
        N_k is at least 2: an empty line is a sentence too.

    Raises
    ------
    TypeError, ValueError
        When the ids are not integers [N], or a token is no integer.

    Examples
    --------
    >>> import rnncore as rc
    >>> [s.tolist() for s in rc.data.sentences([5, 6, 0, 7], boundary=0)]
    [[0, 5, 6, 0], [0, 7, 0]]
    """
    tokens = held_tokens("ids", ids)
    boundary = integer("boundary", boundary, -(2**63), 2**63 - 1)
    first = boundary if start is None else integer("start", start, 0)
    last = boundary if end is None else integer("end", end, 0)
    at = _places(tokens, boundary)
    if first == boundary and len(at) and at[0] == 0 and len(tokens) > 1:
        begins, at = np.array([1]), at[1:]  # the text begins with what begins a sentence
    else:
        begins = np.array([0])
    if not len(at) or at[-1] != len(tokens) - 1:
        at = np.append(at, len(tokens))
    return Sentences(tokens, (np.concatenate([begins, at[:-1] + 1]), at), first, last)


def _places(tokens: NDArray[np.integer[Any]], wanted: int) -> NDArray[np.int64]:
    """Return where a token is, with memory for a part of the comparisons only."""
    starts = range(0, len(tokens), _COMPARED)
    found = [
        np.flatnonzero(tokens[start : start + _COMPARED] == wanted) + start for start in starts
    ]
    return np.concatenate([np.zeros(0, np.int64), *found])
