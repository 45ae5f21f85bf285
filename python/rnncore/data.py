"""Batches of token ids for language models.

T time, B batch. Arrays are time-major. Target t of a sequence is its token t + 1.

`ContiguousBatches` walks one long text and carries the state from batch to batch (truncated BPTT);
`SentenceBatches` takes whole sentences, each from the zero state (full BPTT).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnncore import _memory
from rnncore._check import (
    as_array,
    check_shape,
    describe,
    generator,
    ids_array,
    integer,
    is_ids,
    real,
    size,
)

__all__ = [
    "IGNORED",
    "Batch",
    "Batches",
    "ContiguousBatches",
    "SentenceBatches",
    "pad",
    "sentences",
    "split",
]

Ids = NDArray[np.int64]
IdsLike = NDArray[np.integer[Any]] | Sequence[int] | Sequence[Sequence[int]]
Sliceable = TypeVar("Sliceable", Ids, list[Ids])

#: Target of padding: the losses' default ``ignore_index``.
IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Inputs of one update and what the model should have answered."""

    inputs: Ids  # [T,B]
    targets: Ids  # [T,B], IGNORED where there is padding
    lengths: Ids | None = None  # [B]; None: every row has T steps
    weight: float = 1.0  # of its mean loss in that of one pass, 1 for a batch of average size

    @property
    def num_targets(self) -> int:
        """Targets that count."""
        return int(np.count_nonzero(self.targets != IGNORED))


class Batches(Protocol):
    """One pass over a set of tokens; iterating again starts the next pass."""

    @property
    def carries_state(self) -> bool:
        """Whether row b of a batch continues row b of the batch before."""

    def __len__(self) -> int:
        """Batches of one pass."""

    def __iter__(self) -> Iterator[Batch]:
        """One pass."""


class ContiguousBatches:
    """One long sequence as B parallel streams, cut into chunks of at most ``bptt`` steps.

    Stream b is a contiguous stretch of the sequence, and row b of each batch continues row b of
    the batch before: the final state of one batch is the initial state of the next. Gradients
    reach ``bptt`` steps back (truncated back-propagation through time; Williams and Peng 1990).

    Parameters
    ----------
    ids : integers [N]
        Tokens, at least 2.
    batch_size : int
        Number of streams B.
    bptt : int
        Steps of one batch; the last batch of a pass may be shorter.
    pad : bool
        False: every stream has floor((N-1)/B) targets and the up to B-1 targets left over at the
        end are dropped, as suits training. True: all N-1 targets occur, the last streams being
        padded with `IGNORED`, as a fair evaluation needs; B is lowered to N-1 where it exceeds it.

    Raises
    ------
    TypeError, ValueError
        When the ids are not integers [N], too few for the streams, or a size is not positive.
    """

    carries_state = True

    def __init__(self, ids: Any, batch_size: int, bptt: int, *, pad: bool = False) -> None:
        tokens = as_tokens("ids", ids)
        batch_size = size("batch_size", batch_size)
        num_targets = len(tokens) - 1
        fewest = 1 if pad else batch_size
        if num_targets < fewest:
            raise ValueError(
                f"ids: expected at least {fewest + 1} tokens for "
                f"{'evaluation' if pad else f'{batch_size} streams'}, got {len(tokens)}"
            )
        self.bptt = size("bptt", bptt)
        num_streams = min(batch_size, num_targets)
        if pad:
            steps = -(-num_targets // num_streams)
            missing = steps * num_streams - num_targets
            inputs = np.pad(tokens[:-1], (0, missing), constant_values=0)
            targets = np.pad(tokens[1:], (0, missing), constant_values=IGNORED)
        else:
            steps = num_targets // num_streams
            inputs = tokens[: steps * num_streams]
            targets = tokens[1 : steps * num_streams + 1]
        self._inputs = inputs.reshape(num_streams, steps).T  # [S,B], S steps of a whole stream
        self._targets = targets.reshape(num_streams, steps).T  # [S,B]

    @property
    def batch_size(self) -> int:
        """Number of streams B."""
        return self._inputs.shape[1]

    def __len__(self) -> int:
        return -(-len(self._inputs) // self.bptt)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._inputs), self.bptt):
            chunk = slice(start, start + self.bptt)
            yield Batch(self._inputs[chunk], self._targets[chunk])


class SentenceBatches:
    """Whole sentences in batches of similar length, for full back-propagation through time.

    Sentences are sorted by length before they are cut into batches, so that little is padded.

    Parameters
    ----------
    sentences : sequence of integers [N_k]
        Each with its boundary tokens and at least 2 tokens long.
    batch_size : int
        Sentences of one batch; one batch of a pass may have fewer.
    rng : numpy Generator, int or None
        With one, each pass deals sentences of equal length anew and takes the batches in
        a new order. None: every pass is the same, shortest sentences first.

    Raises
    ------
    TypeError, ValueError
        When there is no sentence, one is not integers [N] with N at least 2, or the batch size is
        not positive.
    """

    carries_state = False

    def __init__(
        self,
        sentences: Sequence[Any],
        batch_size: int,
        *,
        rng: np.random.Generator | int | None = None,
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
        self.batch_size = size("batch_size", batch_size)
        self._rng = None if rng is None else generator(rng)

    def __len__(self) -> int:
        return -(-len(self._sentences) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self._sentences)
        dealt = np.arange(count) if self._rng is None else self._rng.permutation(count)
        by_length = dealt[np.argsort(self._lengths[dealt], kind="stable")]
        order = np.arange(len(self)) if self._rng is None else self._rng.permutation(len(self))
        for k in order:
            yield self._batch(by_length[k * self.batch_size : (k + 1) * self.batch_size])

    def _batch(self, members: NDArray[np.int64]) -> Batch:
        lengths = self._lengths[members]
        shape = (int(lengths.max()), len(members))
        inputs = np.zeros(shape, np.int64)
        targets = np.full(shape, IGNORED, np.int64)
        for b, (k, length) in enumerate(zip(members, lengths, strict=True)):
            inputs[:length, b] = self._sentences[k][:-1]
            targets[:length, b] = self._sentences[k][1:]
        # Means over batches of short and of long sentences would make a token of a short sentence
        # count for more, and the model expect short sentences.
        weight = float(lengths.sum() / self._lengths.sum() * len(self))
        return Batch(inputs, targets, lengths, weight)


def pad(
    sequences: Iterable[Any], *, batch_first: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Put sequences of different lengths into one array, followed by zeros, as layers take them.

    Parameters
    ----------
    sequences : iterable of arrays [T_b,I] of numbers, or of integer ids [T_b]
        All of one dtype and one width I; integers of different dtypes become int64. A sequence may
        be empty, also as an empty list.
    batch_first : bool
        Whether the result is [B,T,...] instead of [T,B,...].

    Returns
    -------
    x : array [T,B,I] or [T,B]
        T is the length of the longest sequence; the dtype is that of the sequences.
    lengths : int64 array [B]
        T_b, for the argument `lengths` of recurrent layers and models.

    Raises
    ------
    TypeError
        If a sequence holds neither numbers nor integers, or has another dtype than the others.
    ValueError
        If there is no sequence, or one has another number of dimensions or width.
    MemoryError
        If x does not fit in memory.

    Examples
    --------
    >>> x, lengths = pad([[7, 8, 9], [5], []])
    >>> x.T.tolist(), lengths.tolist()
    ([[7, 8, 9], [5, 0, 0], [0, 0, 0]], [3, 1, 0])
    """
    if isinstance(sequences, str) or not isinstance(sequences, Iterable):
        raise TypeError(f"sequences: expected a list of arrays, got {describe(sequences)}")
    given = [_sequence(f"sequences[{b}]", sequence) for b, sequence in enumerate(sequences)]
    if not given:
        raise ValueError("sequences: expected at least one, got none")
    arrays = {b: array for b, array in enumerate(given) if array is not None}
    first, model = next(iter(arrays.items()), (0, np.zeros(0, np.int64)))
    for b, array in arrays.items():
        alike = array.dtype == model.dtype or (is_ids(array) and is_ids(model))
        if not alike or array.shape[1:] != model.shape[1:]:
            raise (ValueError if alike else TypeError)(
                f"sequences[{b}]: expected dtype and width of sequences[{first}], "
                f"{describe(model)}, got {describe(array)}"
            )
    one_dtype = len({array.dtype for array in arrays.values()}) == 1
    dtype = model.dtype if one_dtype else np.dtype(np.int64)
    lengths = np.array([0 if array is None else len(array) for array in given], np.int64)
    shape = (int(lengths.max()), len(given), *model.shape[1:])
    _memory.require(math.prod(shape) * dtype.itemsize, f"padded sequences {list(shape)}")
    x = np.zeros(shape, dtype)
    for b, array in arrays.items():
        x[: len(array), b] = array
    return x.swapaxes(0, 1) if batch_first else x, lengths


def _sequence(name: str, value: Any) -> NDArray[Any] | None:
    """Return a sequence of `pad` as an array; None for an empty list, which fits all others."""
    array = as_array(name, value)
    if array.size == 0 and array.ndim == 1 and not isinstance(value, np.ndarray):
        return None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected numbers [T, I] or ids [T], got {describe(value)}")
    if array.ndim != (1 if is_ids(array) else 2):
        hint = "; sequence[:, np.newaxis] makes it [T, I=1]" if array.ndim == 1 else ""
        raise ValueError(f"{name}: expected numbers [T, I] or ids [T], got {describe(array)}{hint}")
    return ids_array(name, array) if is_ids(array) else array


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


def split(tokens: Sliceable, validation_fraction: float) -> tuple[Sliceable, Sliceable]:
    """Training and validation part of a text: the validation part is the last of it.

    Parameters
    ----------
    tokens : integers [N], or list of N sentences
        What to divide.
    validation_fraction : float
        Share of the N that is held out, in [0, 1), up to the next whole number; but one is kept
        for training, where there are two. 0 gives an empty validation part.

    Raises
    ------
    ValueError
        When the share lies outside [0, 1).
    """
    held_out = real("validation_fraction", validation_fraction, 0, 1, open_high=True)
    # The decimal that was written: binary, 0.2 of 100 would be a little more or less than 20.
    share = math.ceil(len(tokens) * Fraction(str(held_out)))
    num_training = max(len(tokens) - share, min(1, len(tokens) - 1))
    return tokens[:num_training], tokens[num_training:]


def as_tokens(name: str, ids: Any) -> Ids:
    """Return `ids`, which must be integers [N], as int64; errors call them `name`."""
    tokens = ids_array(name, ids)
    check_shape(name, tokens, ("N",))
    return tokens.astype(np.int64, copy=False)
