"""Bytes of UTF-8 as tokens."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnncore._check import check_below, check_shape, describe, ids_array
from rnncore.text.tokenizer import Tokenizer

__all__ = ["ByteTokenizer"]


class ByteTokenizer(Tokenizer):
    """The 256 bytes of UTF-8 as tokens: every text can be encoded.

    A sentence begins and ends with the line feed.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.text.ByteTokenizer().encode("é")
    array([195, 169])
    """

    unit = "byte"
    start = end = 10

    @property
    def vocab_size(self) -> int:
        """Number of tokens: 256."""
        return 256

    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the bytes [T] of a text; lone surrogates are encoded as if they were characters.

        Raises
        ------
        TypeError
            When the text is not a string.
        """
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected str, got {describe(text)}")
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)

    def decode(self, ids: Any) -> str:
        """Return the text of bytes [T]; what is no UTF-8 becomes U+FFFD.

        Raises
        ------
        TypeError, ValueError
            When the ids are not integers [T] in [0, 256).
        """
        array = ids_array("ids", ids)
        check_shape("ids", array, ("T",))
        check_below("ids", array, self.vocab_size)
        return array.astype(np.uint8).tobytes().decode("utf-8", "replace")

    def encode_text(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the bytes of a text: line feeds are bytes like others."""
        return self.encode(text, name)

    def token(self, index: int) -> str:
        """Return the ASCII character of a byte, and the number of any other, ``<0xC3>``."""
        return chr(index) if index < 128 else f"<0x{index:02X}>"

    def asset(self) -> None:
        """Return None: there is nothing to keep."""

    @classmethod
    def from_asset(cls, value: Any) -> Self:
        """Return a tokenizer of bytes.

        Raises
        ------
        ValueError
            When there is a value: `asset` returns none.
        """
        if value is not None:
            raise ValueError(f"tokenizer: expected null for bytes, got {describe(value)}")
        return cls()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByteTokenizer)

    def __hash__(self) -> int:
        return hash(ByteTokenizer)

    def __repr__(self) -> str:
        return "ByteTokenizer()"
