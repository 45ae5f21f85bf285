"""Text to integer ids and back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import check_shape, describe, ids_array
from rnncore._keywords import strict_keywords
from rnncore.text.tokenizer import MOST_CHARACTERS, Tokenizer

__all__ = ["CharTokenizer"]

_UNKNOWN = -1
_LONGEST_REPR = 100


@strict_keywords()
class CharTokenizer(Tokenizer):
    """Character-level vocabulary: id ``i`` stands for ``vocabulary[i]``.

    A token is a character, or several: the markers of sentences, ``"<s>"``. Where several tokens
    fit, a text is read as the longest of them.

    Parameters
    ----------
    vocabulary : str or sequence of str
        The V distinct tokens in the order of their ids.

    Raises
    ------
    TypeError
        When an element is not a string.
    ValueError
        When the vocabulary or an element is empty, a token occurs twice or is longer than 256.

    Examples
    --------
    >>> import rnncore as rc
    >>> tokenizer = rc.text.CharTokenizer.fit("to be or not to be")
    >>> tokenizer.vocab_size
    7
    >>> tokenizer.decode(tokenizer.encode("boot"))
    'boot'
    >>> rc.text.CharTokenizer(["<s>", "a", "b"]).encode("<s>ab")
    array([0, 1, 2])
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        if not isinstance(vocabulary, Iterable):
            raise TypeError(f"vocabulary: expected characters, got {describe(vocabulary)}")
        tokens = tuple(vocabulary)
        for index, token in enumerate(tokens):
            if not isinstance(token, str):
                raise TypeError(f"vocabulary[{index}]: expected str, got {describe(token)}")
            if not 1 <= len(token) <= MOST_CHARACTERS:
                raise ValueError(
                    f"vocabulary[{index}]: expected 1 to {MOST_CHARACTERS} characters, got "
                    f"{len(token)}"
                )
        if not tokens:
            raise ValueError("vocabulary: expected at least one token, got none")
        if len(set(tokens)) != len(tokens):
            twice = next(t for t, count in Counter(tokens).items() if count > 1)
            raise ValueError(f"vocabulary: {_named(twice)} occurs more than once")
        self._vocabulary = tokens
        self._special = {token: i for i, token in enumerate(tokens) if len(token) > 1}
        self._pattern = _pattern(self._special)
        # Look-up from code point to id; everything absent, and the one slot past the end onto
        # which larger code points are clipped, is unknown.
        characters = [i for i, token in enumerate(tokens) if len(token) == 1]
        self._code_points = _code_points("".join(tokens[i] for i in characters))
        self._ids = np.full(int(self._code_points.max(initial=0)) + 2, _UNKNOWN, np.int64)
        self._ids[self._code_points] = characters
        # Sentences begin and end with tokens of their own, or else with the line feed.
        ids = {token: i for i, token in enumerate(tokens)}
        line_feed = ids.get("\n")
        self._line_feed = line_feed
        self.start = ids.get("<s>", line_feed)
        self.end = ids.get("</s>", line_feed)

    unit = "character"

    @classmethod
    @strict_keywords()
    def fit(cls, text: str | Iterable[str], special_tokens: Sequence[str] = ()) -> CharTokenizer:
        """Vocabulary of the distinct characters of ``text``, in the order of their code points.

        Parameters
        ----------
        text : str, or iterable of str
            A text, or parts of one, whose characters to take.
        special_tokens : sequence of str
            Tokens of several characters, which get the first ids. Where they occur in the text,
            their characters do not count.

        Raises
        ------
        TypeError
            When the text or a special token is not a string.
        ValueError
            When the text is empty, or a special token is a single character or occurs twice.
        """
        if isinstance(text, str) or not isinstance(text, Iterable):
            _check_text(text)
            text = [text]
        if isinstance(special_tokens, str) or not isinstance(special_tokens, Sequence):
            raise TypeError(
                f"special_tokens: expected a list of str, got {describe(special_tokens)}"
            )
        for index, token in enumerate(special_tokens):
            _check_text(token, f"special_tokens[{index}]")
            if len(token) < 2:
                raise ValueError(
                    f"special_tokens[{index}]: expected several characters, got {token!r}"
                )
        pattern = _pattern(special_tokens)
        is_empty, characters = True, set[str]()
        for part in text:
            _check_text(part)
            is_empty = is_empty and not part
            characters.update(part if pattern is None else pattern.sub("", part))
        if is_empty:
            raise ValueError("text: expected at least one character, got an empty text")
        return cls([*special_tokens, *sorted(characters)])

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The V tokens in the order of their ids."""
        return self._vocabulary

    @property
    def vocab_size(self) -> int:
        """Number of tokens V."""
        return len(self._vocabulary)

    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Ids [T] of the T tokens of ``text``, which an error calls ``name``.

        Raises
        ------
        ValueError
            When a character is not in the vocabulary; the message names it and its position,
            counted from 0.
        """
        _check_text(text, name)
        if self._pattern is None:
            return self._encode_characters(text, name)
        pieces, start = [], 0
        for match in self._pattern.finditer(text):
            pieces.append(self._encode_characters(text[start : match.start()], name, start))
            pieces.append(np.array([self._special[match[0]]], np.int64))
            start = match.end()
        pieces.append(self._encode_characters(text[start:], name, start))
        return np.concatenate(pieces)

    def _encode_characters(self, text: str, name: str, start: int = 0) -> NDArray[np.int64]:
        """Ids of single characters, the first of which is at position `start` of the text."""
        code_points = _code_points(text)
        ids = self._ids[np.minimum(code_points, len(self._ids) - 1)]
        unknown = np.flatnonzero(ids == _UNKNOWN)
        if unknown.size:
            position = int(unknown[0])
            raise ValueError(
                f"{name}: {_named(text[position])} at position {start + position} is not in the "
                f"vocabulary of {self.vocab_size} tokens"
            )
        return ids

    def decode(self, ids: Any) -> str:
        """Text of integer ids [T].

        ``decode(encode(text))`` is the text. The reverse may be fewer ids, where characters next to
        each other spell a token.

        Raises
        ------
        TypeError
            When the ids are not integers.
        ValueError
            When they are not one-dimensional or one lies outside [0, V).
        """
        array = ids_array("ids", ids)
        check_shape("ids", array, ("T",))
        outside = np.flatnonzero((array < 0) | (array >= self.vocab_size))
        if outside.size:
            position = int(outside[0])
            raise ValueError(
                f"ids: expected values in [0, {self.vocab_size}), got {array[position]} at "
                f"position {position}"
            )
        if self._special:
            return "".join([self._vocabulary[i] for i in array.tolist()])
        return str(self._code_points[array].tobytes(), "utf-32-le", "surrogatepass")

    @property
    def line_end(self) -> int | None:
        """Id of the line feed; where it is not in the vocabulary, `end`."""
        return self.end if self._line_feed is None else self._line_feed

    def encode_text(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids of a text; see `Tokenizer.encode_text`."""
        has_line_feed = self._line_feed is not None
        return self.encode(text, name) if has_line_feed else super().encode_text(text, name)

    def token(self, index: int) -> str:
        """Return a token of the vocabulary."""
        return self._vocabulary[index]

    def asset(self) -> list[str]:
        """Return the tokens in the order of their ids."""
        return list(self._vocabulary)

    @classmethod
    def from_asset(cls, value: Any) -> CharTokenizer:
        """Build the tokenizer that `asset` described."""
        return cls(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CharTokenizer):
            return NotImplemented
        return self._vocabulary == other._vocabulary

    def __hash__(self) -> int:
        return hash(self._vocabulary)

    def __repr__(self) -> str:
        tokens = list(self._vocabulary) if self._special else "".join(self._vocabulary)
        text = f"CharTokenizer({tokens!r})"
        if len(text) <= _LONGEST_REPR:
            return text
        return f"<{text[: _LONGEST_REPR - 40]}... of {self.vocab_size} tokens>"


def _check_text(text: str, name: str = "text") -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected str, got {describe(text)}")


def _pattern(special: Iterable[str]) -> re.Pattern[str] | None:
    """Pattern of any of the tokens: the first that fits, which is the longest."""
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _code_points(text: str) -> NDArray[np.uint32]:
    """Unicode code points [T]; lone surrogates pass, as they do in Python strings."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _named(token: str) -> str:
    """'é' (U+00E9): readable also where the character is invisible or has no glyph."""
    return repr(token) if len(token) > 1 else f"character {token!r} (U+{ord(token):04X})"
