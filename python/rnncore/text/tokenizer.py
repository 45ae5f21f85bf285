"""What a model asks of a tokenizer."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore.layers.asset import Asset

__all__ = ["Tokenizer"]

#: Most characters of a special token: a pattern takes a hundred times the memory of its text.
MOST_CHARACTERS = 256


class Tokenizer(Asset):
    """Text to ids and back; an asset that is saved in the file of its model.

    A subclass defines `vocab_size`, `encode`, `decode`, `asset` and `from_asset`. Files hold it
    once it is registered, see `rnncore.register`.

    Attributes
    ----------
    unit : str
        What one token is called in reports.
    start, end : int or None
        Ids that begin and end a sentence; None where the vocabulary has no such token.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> class Bits(rc.text.Tokenizer):
    ...     unit = "bit"
    ...     vocab_size = 2
    ...     def encode(self, text, name="text"):
    ...         return np.array([int(bit) for bit in text], np.int64)
    ...     def decode(self, ids):
    ...         return "".join(str(bit) for bit in ids)
    ...     def asset(self):
    ...         return None
    ...     @classmethod
    ...     def from_asset(cls, value):
    ...         return cls()
    >>> model = rc.LanguageModel(2, hidden_size=4, tokenizer=Bits(), rng=0)
    >>> len(model.sample("101", 5, rng=0))
    8
    """

    unit: str = "token"
    start: int | None = None
    end: int | None = None

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of tokens V."""

    @abstractmethod
    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids [T] of a text, which an error calls ``name``."""

    @abstractmethod
    def decode(self, ids: Any) -> str:
        """Return the text of ids [T]."""

    def token(self, index: int) -> str:
        """Return what a token is called: its text, where it has no other name."""
        return self.decode([index])

    def encode_sentence(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids of a sentence between `start` and `end`, where there are such."""
        before = [] if self.start is None else [self.start]
        after = [] if self.end is None else [self.end]
        return np.concatenate([before, self.encode(text, name), after]).astype(np.int64)

    @property
    def line_end(self) -> int | None:
        """Id that a line feed becomes in `encode_text`; None where it has no id of its own."""
        return self.end

    def encode_text(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids [T] of a text of several lines, each of which ends with `line_end`.

        A text that is cut after a line feed has the ids of its parts, one after the other.
        """
        if self.line_end is None:
            return self.encode(text, name)
        *lines, rest = text.split("\n")
        pieces = [np.append(self.encode(line, name), self.line_end) for line in lines]
        return np.concatenate([*pieces, self.encode(rest, name)]).astype(np.int64)
