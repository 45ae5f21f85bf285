"""Text files: read in blocks, and tokenizers that other libraries have saved."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import TextIO

from rnncore._files import as_path, require_regular
from rnncore._keywords import strict_keywords
from rnncore.text.library import HuggingFaceTokenizer, SentencePieceTokenizer
from rnncore.text.tokenizer import Tokenizer

__all__ = ["blocks", "load_tokenizer"]

_BLOCK = 1 << 20


@strict_keywords()
def blocks(path: str | os.PathLike[str], size: int = _BLOCK) -> Iterator[str]:
    """Yield a text file in parts that end with a line feed, so that little of it is in memory.

    Line ends become line feeds, and a byte order mark is left out. A line that is longer than a
    block is cut behind a blank, or anywhere where it has none.

    Parameters
    ----------
    path : path
        A text in UTF-8.
    size : int
        Characters of a block, about.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is not UTF-8.
    """
    require_regular(as_path(path))
    count, rest = 0, ""
    with open(path, encoding="utf-8-sig") as file:
        while read := _read(file, size, f"{path}", count):
            count += len(read)
            text = rest + read
            cut = max(text.rfind("\n"), text.rfind(" ") if len(text) > size else -1) + 1
            if cut == 0 and len(text) > size:
                cut = len(text)
            if cut:
                yield text[:cut]
            rest = text[cut:]
    if rest:
        yield rest


def _read(file: TextIO, size: int, path: str, count: int) -> str:
    try:
        return file.read(size)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text in UTF-8, got the byte {error.object[error.start]:#04x} after "
            f"character {count:,}"
        ) from None


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Return the tokenizer of a file of another library.

    Parameters
    ----------
    path : path
        A ``.json`` of tokenizers, or a ``.model`` of sentencepiece.

    Raises
    ------
    ImportError
        When the library is not installed.
    OSError, ValueError
        When the file cannot be read, or is none of the two.
    """
    given = as_path(path)
    require_regular(given)
    content = given.read_bytes()
    try:
        if given.suffix == ".model":
            return SentencePieceTokenizer.from_asset(base64.b64encode(content).decode("ascii"))
        return HuggingFaceTokenizer.from_asset(content.decode())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
