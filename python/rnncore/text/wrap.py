"""Any object with ``encode`` and ``decode`` as a tokenizer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import as_array, check_shape, describe, ids_array
from rnncore.text.library import HuggingFaceTokenizer, SentencePieceTokenizer
from rnncore.text.tokenizer import Tokenizer

__all__ = ["as_tokenizer"]


class _Foreign(Tokenizer):
    """A tokenizer that somebody else wrote, and that no file can hold."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.start = getattr(tokenizer, "start", None)
        self.end = getattr(tokenizer, "end", None)
        self.unit = getattr(tokenizer, "unit", "token")

    @property
    def vocab_size(self) -> int:
        """Number of tokens V."""
        given = getattr(self.tokenizer, "vocab_size", None)
        return int(len(self.tokenizer) if given is None else given)

    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids [T] of a text."""
        ids = self.tokenizer.encode(text)
        array = ids_array(name, getattr(ids, "ids", ids))
        check_shape(name, array, ("T",))
        return array.astype(np.int64)

    def decode(self, ids: Any) -> str:
        """Return the text of ids [T]."""
        return str(self.tokenizer.decode([int(i) for i in as_array("ids", ids)]))

    def asset(self) -> Any:
        """Refuse: what the object consists of is not known."""
        raise TypeError(
            f"tokenizer: expected one that a file can hold, got {describe(self.tokenizer)}; derive "
            "its class from rnncore.text.Tokenizer and register it"
        )

    @classmethod
    def from_asset(cls, value: Any) -> _Foreign:
        """Refuse: `asset` does too."""
        raise TypeError("tokenizer: expected one that a file can hold")


def as_tokenizer(tokenizer: Any) -> Tokenizer:
    """Return a tokenizer as models take it.

    Parameters
    ----------
    tokenizer : Tokenizer, or an object of tokenizers, transformers or sentencepiece, or any other
        One with ``encode(text) -> ids``, ``decode(ids) -> text`` and ``vocab_size`` or ``len``.

    Raises
    ------
    TypeError
        When it has no such methods.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    fast = getattr(tokenizer, "backend_tokenizer", tokenizer)  # of transformers
    if hasattr(fast, "get_vocab_size") and hasattr(fast, "to_str"):
        return HuggingFaceTokenizer(fast)
    if hasattr(tokenizer, "serialized_model_proto"):
        return SentencePieceTokenizer(tokenizer)
    has_size = hasattr(tokenizer, "vocab_size") or hasattr(tokenizer, "__len__")
    if not (hasattr(tokenizer, "encode") and hasattr(tokenizer, "decode") and has_size):
        raise TypeError(
            "tokenizer: expected an object with encode, decode and vocab_size, got "
            f"{describe(tokenizer)}"
        )
    return _Foreign(tokenizer)
