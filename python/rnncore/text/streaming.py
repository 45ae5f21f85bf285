"""Text of tokens that come one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore.text.tokenizer import Tokenizer

__all__ = ["Detokenizer", "until"]

#: Tokens of a prompt that can matter for the blanks and letters that follow it.
_CONTEXT = 8
_INCOMPLETE = "\ufffd"


class Detokenizer:
    """Decodes tokens as they come; a token's text depends on the token before it.

    Each new token is decoded together with those before it, whose text is then left out: so there
    is a blank between two words and none before a comma. Bytes that are a part of a character wait
    for the rest of it.

    Parameters
    ----------
    tokenizer : Tokenizer
        Whose tokens.
    before : integers [N]
        Tokens that went before; their text is not repeated.
    """

    def __init__(self, tokenizer: Tokenizer, before: Iterable[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = [int(i) for i in before][-_CONTEXT:]
        self._done = len(self._ids)

    def push(self, ids: Iterable[int], *, last: bool = False) -> str:
        """Return the text of further tokens, as far as it is certain; `last` ends the waiting."""
        self._ids.extend(int(i) for i in ids)
        known = self._decode(self._ids[: self._done])
        text = self._decode(self._ids)
        new = text[len(known) :]
        if not new or (text.endswith(_INCOMPLETE) and not last):
            return ""
        if self._decode(self._ids[self._done :]).strip():  # a blank alone would be no context
            self._ids = self._ids[self._done :]
        self._done = len(self._ids)
        return new

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(np.array(ids, np.int64))

    def stream(self, pieces: Iterable[NDArray[Any]]) -> Iterator[str]:
        """Yield the text of pieces of ids [T], one after the other."""
        for piece in pieces:
            yield self.push(piece)
        yield self.push((), last=True)


def until(texts: Iterable[str], stop: str) -> Iterator[str]:
    """Yield parts of a text up to the end of the first `stop` in it."""
    tail = ""
    for text in texts:
        seen = tail + text
        at = seen.find(stop)
        if at >= 0:
            yield text[: at + len(stop) - len(tail)]
            return
        yield text
        tail = seen[max(0, len(seen) - len(stop) + 1) :]
