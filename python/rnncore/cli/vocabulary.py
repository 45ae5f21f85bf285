"""Options of ``rnncore train`` that say what the tokens of a text are."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import chain
from typing import Any

from rnncore.cli.parser import OptionGroup, keywords
from rnncore.text import ByteTokenizer, CharTokenizer, Tokenizer, WordTokenizer, load_tokenizer

__all__ = ["add_options", "make"]

_TITLE = "tokens"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the vocabulary."""
    group = OptionGroup(parser, _TITLE, {"min_count": 1, "split": "punctuation"})
    group.add("--words", "words", "read words instead of characters", action="store_true")
    group.add("--bytes", "bytes", "read bytes of UTF-8 instead of characters", action="store_true")
    group.add(
        "--tokenizer", "file", "a .json of tokenizers or a .model of sentencepiece", metavar="FILE"
    )
    integer: dict[str, Any] = {"type": int, "metavar": "N"}
    group.add(
        "--vocab-size",
        "vocab_size",
        "number of most frequent words, including special ones (default: all)",
        **integer,
    )
    group.add("--min-count", "min_count", "least number of times that a word occurs", **integer)
    group.add("--lowercase", "lowercase", "lower-case the text", action="store_true")
    splits = ["punctuation", "whitespace"]
    group.add(
        "--split",
        "split",
        "punctuation marks are words, or blanks alone separate words",
        choices=splits,
    )


def make(given: argparse.Namespace, text: Iterable[str], *, sentences: bool) -> Tokenizer:
    """Return the tokenizer that was described, for a text in parts.

    Raises
    ------
    ValueError
        When options exclude each other, or the vocabulary cannot be made.
    """
    options = keywords(given, _TITLE)
    kinds = {"words": "--words", "bytes": "--bytes", "file": "--tokenizer"}
    chosen = [name for name in kinds if name in options]
    if len(chosen) > 1:
        flags = " and ".join(kinds[name] for name in chosen)
        raise ValueError(f"{flags}: expected one of the two, got both")
    of_words = {name: value for name, value in options.items() if name not in kinds}
    if of_words and chosen != ["words"]:
        raise ValueError(f"--{next(iter(of_words)).replace('_', '-')}: it needs --words")
    if chosen == ["words"]:
        return WordTokenizer.fit(text, **of_words)
    if chosen == ["bytes"]:
        return ByteTokenizer()
    if chosen == ["file"]:
        return load_tokenizer(options["file"])
    # Sentences begin and end with a line feed, also those of a text that is one line.
    return CharTokenizer.fit(chain(text, ["\n"] if sentences else []))
