"""What a terminal would obey rather than show."""

from __future__ import annotations

import unicodedata
from typing import TextIO

__all__ = ["shown"]

# Kinds of marks that change the direction of other characters.
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def shown(text: str, stream: TextIO) -> str:
    """Return `text` for `stream`; for a terminal, with control characters escaped.

    Models of strangers may write sequences that move the cursor, clear the screen or worse, and
    marks that turn the direction of what follows. Files and pipes get the text as it is.
    """
    if not stream.isatty():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    turns = unicodedata.bidirectional(character) in _TURNING
    if character in "\n\t" or not (turns or unicodedata.category(character) in ("Cc", "Cs")):
        return character
    return ascii(character)[1:-1]
