"""Texts that come with the package; origin and licence of each stand in README.md beside them."""

import lzma
from importlib import resources

__all__ = ["tinyshakespeare"]


def tinyshakespeare() -> str:
    """Speeches from Shakespeare's plays: 1,115,394 characters, 65 of them distinct.

    The text of Karpathy's char-rnn (2015), in the public domain. It is decompressed at each call,
    which takes a few hundredths of a second.
    """
    compressed = resources.files(__name__).joinpath("tinyshakespeare.txt.xz").read_bytes()
    return lzma.decompress(compressed).decode("ascii")
