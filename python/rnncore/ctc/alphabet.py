"""The symbols of a network with the CTC loss, and words that are spelled in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rnncore._check import describe, integer, quoted

#: A text, or symbols one by one.
Spelling = str | Sequence[str]
#: Words, or for each word its spelling or a list of spellings.
Lexicon = Iterable[str] | Mapping[str, Spelling | Iterable[Spelling]]


class Alphabet:
    """Names of symbols, of which one is the blank and one may separate words.

    A text is spelled by its characters if every other symbol is one character; otherwise it is cut
    at white space.
    """

    def __init__(self, symbols: Iterable[str], blank: int, separator: str | None) -> None:
        if not isinstance(symbols, Iterable):
            raise TypeError(f"symbols: expected their names, got {describe(symbols)}")
        self.names = tuple(symbols)
        for i, name in enumerate(self.names):
            if not isinstance(name, str):
                raise TypeError(f"symbols[{i}]: expected str, got {describe(name)}")
        if len(set(self.names)) != len(self.names):
            twice = next(n for i, n in enumerate(self.names) if n in self.names[:i])
            raise ValueError(f"symbols: {quoted(twice)} occurs more than once")
        if not self.names:
            raise ValueError("symbols: expected the blank at least, got none")
        self.blank = integer("blank", blank, 0, len(self.names) - 1)
        self.ids = {name: i for i, name in enumerate(self.names) if i != self.blank}
        self.separator = -1
        if separator is not None:
            if not isinstance(separator, str):
                raise TypeError(f"separator: expected a symbol, got {describe(separator)}")
            if separator not in self.ids:
                raise ValueError(
                    f"separator: expected one of the symbols, not the blank, got {separator!r}"
                )
            self.separator = self.ids[separator]
        self.is_of_characters = all(
            len(name) == 1 for name, i in self.ids.items() if i != self.separator
        )

    def spell(self, name: str, spelling: object) -> list[int]:
        """Return the symbols [N] of one word or phrase, which an error calls `name`.

        White space in a text of characters is the separator, if there is one.
        """
        if isinstance(spelling, str) and self.is_of_characters:
            symbols = list(spelling)
            if self.separator >= 0:
                symbols = list(" ".join(spelling.split()))
                symbols = [self.names[self.separator] if s == " " else s for s in symbols]
        elif isinstance(spelling, str):
            symbols = spelling.split()
        elif isinstance(spelling, Sequence):
            symbols = list(spelling)
        else:
            raise TypeError(f"{name}: expected a spelling, got {describe(spelling)}")
        if not symbols:
            raise ValueError(f"{name}: expected at least one symbol, got {describe(spelling)}")
        for symbol in symbols:
            if symbol not in self.ids:
                what = "the blank" if symbol == self.names[self.blank] else "not among the symbols"
                raise ValueError(f"{name}: expected symbols, got {quoted(symbol)}, {what}")
        return [self.ids[symbol] for symbol in symbols]

    def spell_word(self, name: str, spelling: object) -> list[int]:
        """Return the symbols of one word, in which there is no separator."""
        symbols = self.spell(name, spelling)
        if self.separator in symbols:
            raise ValueError(
                f"{name}: expected a word without the separator, got {describe(spelling)}"
            )
        return symbols

    def spell_lexicon(self, lexicon: Lexicon) -> dict[str, list[list[int]]]:
        """Return the spellings of each word."""
        if isinstance(lexicon, str) or not isinstance(lexicon, Iterable):
            raise TypeError(
                f"lexicon: expected words, or a dict of their spellings, got {describe(lexicon)}"
            )
        result: dict[str, list[list[int]]] = {}
        for word in lexicon:
            if not isinstance(word, str):
                raise TypeError(f"lexicon: expected words, got {describe(word)}")
            given = lexicon[word] if isinstance(lexicon, Mapping) else word
            several = [given] if isinstance(given, str) else given
            name = f"lexicon[{quoted(word)}]"
            if not isinstance(several, Iterable):
                raise TypeError(f"{name}: expected spellings, got {describe(several)}")
            result[word] = [self.spell_word(name, spelling) for spelling in several]
            if not result[word]:
                raise ValueError(f"{name}: expected at least one spelling, got none")
        if not result:
            raise ValueError("lexicon: expected at least one word, got none")
        return result

    def spellable(self, words: Iterable[str]) -> dict[str, list[list[int]]]:
        """Return the spellings of those words that these symbols can spell."""
        result = {}
        for word in words:
            symbols = [self.ids.get(character, -1) for character in word]
            if symbols and -1 not in symbols and self.separator not in symbols:
                result[word] = [symbols]
        return result
