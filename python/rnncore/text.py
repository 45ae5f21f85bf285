"""Text to integer ids and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import check_shape, describe, ids_array, quoted

__all__ = ["CharTokenizer"]

_UNKNOWN = -1


class CharTokenizer:
    """Character-level vocabulary: id ``i`` stands for ``vocabulary[i]``.

    Parameters
    ----------
    vocabulary : str or sequence of one-character str
        The V distinct characters in the order of their ids.

    Raises
    ------
    TypeError
        When an element is not a string.
    ValueError
        When the vocabulary is empty, an element is not one character, or a character occurs twice.

    Examples
    --------
    >>> tokenizer = CharTokenizer.fit("to be or not to be")
    >>> tokenizer.vocab_size
    7
    >>> tokenizer.decode(tokenizer.encode("boot"))
    'boot'
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        if not isinstance(vocabulary, Iterable):
            raise TypeError(f"vocabulary: expected characters, got {describe(vocabulary)}")
        characters = tuple(vocabulary)
        for index, character in enumerate(characters):
            if not isinstance(character, str):
                raise TypeError(f"vocabulary[{index}]: expected str, got {describe(character)}")
            if len(character) != 1:
                raise ValueError(
                    f"vocabulary[{index}]: expected a single character, got {quoted(character)}"
                )
        if not characters:
            raise ValueError("vocabulary: expected at least one character, got none")
        if len(set(characters)) != len(characters):
            twice = next(c for c, count in Counter(characters).items() if count > 1)
            raise ValueError(f"vocabulary: {_named(twice)} occurs more than once")
        self._vocabulary = characters
        self._code_points = _code_points("".join(characters))
        # Look-up from code point to id; everything absent, and the one slot past the end onto
        # which larger code points are clipped, is unknown.
        self._ids = np.full(int(self._code_points.max()) + 2, _UNKNOWN, np.int64)
        self._ids[self._code_points] = np.arange(len(characters))

    @classmethod
    def fit(cls, text: str) -> CharTokenizer:
        """Vocabulary of the distinct characters of ``text``, in the order of their code points.

        Raises
        ------
        ValueError
            When the text is empty.
        """
        _check_text(text)
        if not text:
            raise ValueError("text: expected at least one character, got an empty text")
        return cls(sorted(set(text)))

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The V characters in the order of their ids."""
        return self._vocabulary

    @property
    def vocab_size(self) -> int:
        """Number of characters V."""
        return len(self._vocabulary)

    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Ids [T] of the T characters of ``text``, which an error calls ``name``.

        Raises
        ------
        ValueError
            When a character is not in the vocabulary; the message names it and its position,
            counted from 0.
        """
        _check_text(text, name)
        code_points = _code_points(text)
        ids = self._ids[np.minimum(code_points, len(self._ids) - 1)]
        unknown = np.flatnonzero(ids == _UNKNOWN)
        if unknown.size:
            position = int(unknown[0])
            raise ValueError(
                f"{name}: {_named(text[position])} at position {position} is not in the vocabulary "
                f"of {self.vocab_size} characters"
            )
        return ids

    def decode(self, ids: Any) -> str:
        """Text of integer ids [T]; the inverse of `encode`.

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
        return str(self._code_points[array].tobytes(), "utf-32-le", "surrogatepass")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CharTokenizer):
            return NotImplemented
        return self._vocabulary == other._vocabulary

    def __hash__(self) -> int:
        return hash(self._vocabulary)

    def __repr__(self) -> str:
        return f"CharTokenizer({''.join(self._vocabulary)!r})"


def _check_text(text: str, name: str = "text") -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected str, got {describe(text)}")


def _code_points(text: str) -> NDArray[np.uint32]:
    """Unicode code points [T]; lone surrogates pass, as they do in Python strings."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _named(character: str) -> str:
    """'é' (U+00E9): readable also where the character is invisible or has no glyph."""
    return f"character {character!r} (U+{ord(character):04X})"
