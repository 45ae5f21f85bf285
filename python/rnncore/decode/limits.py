"""What a search may write: lengths, forced beginnings, tokens that may not come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import check_below, check_shape, describe, ids_array, integer, size
from rnncore.data.batch import as_tokens

__all__ = ["Limits"]

Ids = NDArray[np.int64]


class Limits:
    """Arguments that all searches share, checked.

    Attributes
    ----------
    start : int64 array [count]
        First token that each sentence reads.
    end : int
        Token that ends a hypothesis; -1 where there is none.
    longest : int64 array [count]
        Tokens of a hypothesis at most, the end included.
    """

    def __init__(
        self,
        vocab_size: int,
        count: Any,
        *,
        start: Any,
        end: Any,
        max_length: Any,
        prefixes: Sequence[Any] | None,
    ) -> None:
        self.vocab_size = size("vocab_size", vocab_size)
        self.count = size("count", count, 0)
        self.start = self._of_each("start", start)
        check_below("start", self.start, self.vocab_size)
        self.end = -1 if end is None else integer("end", end, 0, self.vocab_size - 1)
        self.longest = self._of_each("max_length", max_length)
        if (self.longest < 1).any():
            raise ValueError(f"max_length: expected at least 1, got {self.longest.min()}")
        self._forced, self._lengths = self._prefixes(prefixes)
        self.most_forced = self._forced.shape[1]

    def forced(self, step: int, sentences: Ids) -> Ids:
        """Return the token [N] that must come in a step of each sentence, -1 where any may."""
        tokens: Ids = self._forced[sentences, step]
        return tokens

    def tokens(self, name: str, value: Any) -> Ids:
        """Return tokens [K], checked."""
        ids = as_tokens(name, value)
        check_below(name, ids, self.vocab_size)
        return ids

    def _of_each(self, name: str, value: Any) -> Ids:
        """Return an integer of each sentence; one may be given for all."""
        array = ids_array(name, value)
        if array.ndim == 0:
            return np.full(self.count, array, np.int64)
        check_shape(name, array, (self.count,))
        return array.astype(np.int64, copy=False)

    def _prefixes(self, given: Any) -> tuple[Ids, Ids]:
        if given is None:
            return np.empty((self.count, 0), np.int64), np.zeros(self.count, np.int64)
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TypeError(f"prefixes: expected a list of them, got {describe(given)}")
        prefixes = [as_tokens(f"prefixes[{n}]", prefix) for n, prefix in enumerate(given)]
        if len(prefixes) != self.count:
            raise ValueError(
                f"prefixes: expected one for each of {self.count} sentences, got {len(prefixes)}"
            )
        lengths = np.array([len(prefix) for prefix in prefixes], np.int64)
        forced = np.full((self.count, int(lengths.max(initial=0))), -1, np.int64)
        for n, prefix in enumerate(prefixes):
            name = f"prefixes[{n}]"
            check_below(name, prefix, self.vocab_size)
            if self.end in prefix:
                raise ValueError(f"{name}: expected no end token, got {self.end} in it")
            if len(prefix) > self.longest[n]:
                raise ValueError(
                    f"{name}: expected at most max_length = {self.longest[n]} tokens, got "
                    f"{len(prefix)}"
                )
            forced[n, : len(prefix)] = prefix
        return forced, lengths
