"""Texts that come with the package; README.md beside them names their origin and license."""

import lzma
from importlib import resources

__all__ = ["tinyshakespeare"]


def tinyshakespeare() -> str:
    """Speeches from Shakespeare's plays: 1,115,394 characters, 65 of them distinct.

    The text is that of Karpathy's char-rnn (2015) and is in the public domain. Each call
    decompresses it, which takes a few hundredths of a second.
    """
    compressed = resources.files(__name__).joinpath("tinyshakespeare.txt.xz").read_bytes()
    return lzma.decompress(compressed).decode("ascii")
