"""What a model asks of a tokenizer."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rnncore.layers.asset import Asset

__all__ = ["Tokenizer"]


class Tokenizer(Asset):
    """Text to ids and back; an asset that is saved in the file of its model.

    Attributes
    ----------
    unit : str
        What one token is called in reports.
    start, end : int or None
        Ids that begin and end a sentence; None where the vocabulary has no such token.
    """

    unit: ClassVar[str] = "token"
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

    def encode_sentence(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids of a sentence between `start` and `end`, where there are such."""
        before = [] if self.start is None else [self.start]
        after = [] if self.end is None else [self.end]
        return np.concatenate([before, self.encode(text, name), after]).astype(np.int64)
