"""Words as tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnncore._check import (
    check_below,
    check_shape,
    choice,
    describe,
    flag,
    ids_array,
    integer,
    size,
)
from rnncore._keywords import strict_keywords
from rnncore.text.tokenizer import MOST_CHARACTERS, Tokenizer

__all__ = ["WordTokenizer"]

#: How a text is cut into words; "punctuation" keeps don't together and cuts "well," in two.
_SPLITS = {"whitespace": r"\S+", "punctuation": r"\w+(?:['’]\w+)*|[^\w\s]"}
_SPACE_BEFORE_CLOSING = re.compile(r" ([.,;:!?%)\]}])")
_SPACE_AFTER_OPENING = re.compile(r"([(\[{]) ")


@strict_keywords()
class WordTokenizer(Tokenizer):
    """Word-level vocabulary: id ``i`` stands for ``vocabulary[i]``.

    A word outside of the vocabulary is read as `unknown`. A line feed is read as `end`, so that the
    lines of a text are its sentences.

    Parameters
    ----------
    vocabulary : sequence of str
        The V distinct words in the order of their ids; `unknown`, `start` and `end` among them.
    lowercase : bool
        Whether texts are lower-cased first.
    split : {"punctuation", "whitespace"}
        Whether a punctuation mark is a word of its own, or words are what stands between blanks, as
        suits a text that has been tokenized.
    special_tokens : three str
        The words unknown, start and end.

    Raises
    ------
    TypeError, ValueError
        When a word is not a string or occurs twice, or a special token is not in the vocabulary.

    Examples
    --------
    >>> import rnncore as rc
    >>> tokenizer = rc.text.WordTokenizer.fit("To be, or not to be", vocab_size=6, lowercase=True)
    >>> tokenizer.vocabulary
    ('<unk>', '<s>', '</s>', 'be', 'to', ',')
    >>> tokenizer.encode("To be here")
    array([4, 3, 0])
    >>> tokenizer.decode([4, 3, 5, 0])
    'to be, <unk>'
    """

    unit = "word"

    def __init__(
        self,
        vocabulary: Iterable[str],
        *,
        lowercase: bool = False,
        split: str = "punctuation",
        special_tokens: Sequence[str] = ("<unk>", "<s>", "</s>"),
    ) -> None:
        if isinstance(vocabulary, str) or not isinstance(vocabulary, Iterable):
            raise TypeError(f"vocabulary: expected a list of words, got {describe(vocabulary)}")
        words = tuple(vocabulary)
        for index, word in enumerate(words):
            if not isinstance(word, str):
                raise TypeError(f"vocabulary[{index}]: expected str, got {describe(word)}")
        self._ids = {word: i for i, word in enumerate(words)}
        if len(self._ids) != len(words):
            twice = next(word for i, word in enumerate(words) if self._ids[word] != i)
            raise ValueError(f"vocabulary: {twice!r} occurs more than once")
        self._vocabulary = words
        self.lowercase = flag("lowercase", lowercase)
        self.split = choice("split", split, _SPLITS)
        self.special_tokens = _special(special_tokens)
        for token in self.special_tokens:
            if token not in self._ids:
                raise ValueError(f"vocabulary: expected the special token {token!r} in it")
        self.unknown, self.start, self.end = (self._ids[t] for t in self.special_tokens)
        self._pattern = _pattern(self.split, self.special_tokens)

    @classmethod
    @strict_keywords()
    def fit(
        cls,
        text: str | Iterable[str],
        vocab_size: int | None = None,
        *,
        min_count: int = 1,
        lowercase: bool = False,
        split: str = "punctuation",
        special_tokens: Sequence[str] = ("<unk>", "<s>", "</s>"),
    ) -> Self:
        """Vocabulary of the most frequent words of a text.

        Parameters
        ----------
        text : str, or iterable of str
            A text, or its lines.
        vocab_size : int or None
            Number of words V, special tokens among them; None: all.
        min_count : int
            How often a word must occur.
        lowercase, split, special_tokens
            Of the tokenizer.

        Raises
        ------
        TypeError, ValueError
            When an argument has the wrong type, or there is no room for the special tokens.
        """
        special = _special(special_tokens)
        least = integer("min_count", min_count, 1)
        most = None if vocab_size is None else size("vocab_size", vocab_size, len(special))
        lower = flag("lowercase", lowercase)
        pattern = _pattern(choice("split", split, _SPLITS), special)
        if not isinstance(text, Iterable):
            raise TypeError(f"text: expected str or lines of text, got {describe(text)}")
        counts: Counter[str] = Counter()
        for line in [text] if isinstance(text, str) else text:
            if not isinstance(line, str):
                raise TypeError(f"text: expected str, got {describe(line)}")
            counts.update(pattern.findall(line.lower() if lower else line))
        for token in (*special, "\n"):
            counts.pop(token, None)
        kept = [word for word, count in counts.items() if count >= least]
        kept.sort(key=lambda word: (-counts[word], word))
        room = None if most is None else most - len(special)
        return cls([*special, *kept[:room]], lowercase=lower, split=split, special_tokens=special)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The V words in the order of their ids."""
        return self._vocabulary

    @property
    def vocab_size(self) -> int:
        """Number of words V."""
        return len(self._vocabulary)

    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids [T] of the words of a text; a line feed is the end of a sentence.

        Raises
        ------
        TypeError
            When the text is not a string.
        """
        ids, unknown = self._ids, self.unknown
        return np.array(
            [
                self.end if word == "\n" else ids.get(word, unknown)
                for word in self.words(text, name)
            ],
            np.int64,
        )

    def words(self, text: str, name: str = "text") -> list[str]:
        """Return the words of a text, also those that are not in the vocabulary.

        Raises
        ------
        TypeError
            When the text is not a string.
        """
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected str, got {describe(text)}")
        found: list[str] = self._pattern.findall(text.lower() if self.lowercase else text)
        return found

    def encode_text(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids of a text, in which `encode` has ended the lines."""
        return self.encode(text, name)

    def token(self, index: int) -> str:
        """Return a word of the vocabulary."""
        return self._vocabulary[index]

    def decode(self, ids: Any) -> str:
        """Return the text of ids [T]: words between blanks, none before a comma or full stop.

        Start tokens are left out, and end tokens become line feeds.

        Raises
        ------
        TypeError, ValueError
            When the ids are not integers [T] in [0, V).
        """
        array = ids_array("ids", ids)
        check_shape("ids", array, ("T",))
        check_below("ids", array, self.vocab_size)
        return self.join(self._vocabulary[i] for i in array.tolist() if i != self.start)

    def join(self, words: Iterable[str]) -> str:
        """Return the text of words, which need not be in the vocabulary; see `decode`."""
        end = self._vocabulary[self.end or 0]
        lines = " ".join("\n" if word == end else word for word in words).split("\n")
        text = "\n".join(line.strip() for line in lines)
        if self.split == "whitespace":
            return text
        return _SPACE_AFTER_OPENING.sub(r"\1", _SPACE_BEFORE_CLOSING.sub(r"\1", text))

    def asset(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "vocabulary": list(self._vocabulary),
            "lowercase": self.lowercase,
            "split": self.split,
            "special_tokens": list(self.special_tokens),
        }

    @classmethod
    def from_asset(cls, value: Any) -> Self:
        """Build the tokenizer that `asset` described.

        Raises
        ------
        TypeError, ValueError
            When it is no such description.
        """
        if not isinstance(value, dict):
            raise TypeError(f"tokenizer: expected the arguments of words, got {describe(value)}")
        return cls(**value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WordTokenizer):
            return NotImplemented
        return bool(self.asset() == other.asset())

    def __hash__(self) -> int:
        return hash(self._vocabulary)

    def __repr__(self) -> str:
        return f"<WordTokenizer of {self.vocab_size} words>"


def _special(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return the words unknown, start and end, checked."""
    given = tuple(tokens) if isinstance(tokens, Sequence) and not isinstance(tokens, str) else ()
    are_words = all(isinstance(t, str) and t and not t.isspace() for t in given)
    if not are_words or len(set(given)) != 3 or max(map(len, given)) > MOST_CHARACTERS:
        raise ValueError(
            "special_tokens: expected three words, unknown, start and end, of at most "
            f"{MOST_CHARACTERS} characters, got {describe(tokens)}"
        )
    return given


def _pattern(split: str, special: Sequence[str]) -> re.Pattern[str]:
    """Pattern of one word; special tokens are never cut, and a line feed is a word."""
    return re.compile("|".join(["\n", *map(re.escape, special), _SPLITS[split]]))
