"""What a prefix search knows besides the frames, checked and in the kernel's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore import _core
from rnncore._check import choice, describe, quoted, real
from rnncore.ctc.alphabet import Alphabet, Lexicon
from rnncore.ctc.fusion import FusedModel, word_tokenizer
from rnncore.ctc.ngram import NGram

__all__ = ["PrefixKnowledge"]

_EDGES = ("<s>", "</s>", "<unk>", "<UNK>")


class PrefixKnowledge:
    """Words, hot words and language models of a search; `options` are those of numbers."""

    def __init__(
        self,
        alphabet: Alphabet,
        options: dict[str, Any],
        *,
        lexicon: Lexicon | None,
        hot_words: Mapping[str, float] | None,
        ngram: NGram | None,
        ngram_unit: str | None,
        language_model: Any,
        language_model_unit: str | None,
    ) -> None:
        self.alphabet = alphabet
        self.only_words = lexicon is not None
        has_words = self.only_words or alphabet.separator >= 0
        if ngram is not None and not isinstance(ngram, NGram):
            raise TypeError(f"ngram: expected an NGram, got {describe(ngram)}")
        if language_model is not None:
            _require_language_model(language_model)
        of_words = has_words and hasattr(getattr(language_model, "tokenizer", None), "unknown")
        units = {
            "ngram_unit": _unit("ngram_unit", ngram, ngram_unit, has_words, has_words),
            "model_unit": _unit(
                "language_model_unit", language_model, language_model_unit, has_words, of_words
            ),
        }
        self.ngram, self.language_model = ngram, language_model
        spelled = self._spelled(lexicon, units)
        #: Texts of the words by number; one more number means an unknown word.
        self.words = tuple(spelled)
        self.fused = self._fused(units["model_unit"])
        hot = self._hot_patterns({} if hot_words is None else hot_words)
        if hot:
            units["hot_unit"] = "words" if self.only_words else "symbols"
        spellings = [(i, s) for i, word in enumerate(spelled) for s in spelled[word]]
        self.core = _core.PrefixModel(
            {
                **options,
                **{name: unit for name, unit in units.items() if unit is not None},
                "symbols": len(alphabet.names),
                "blank": alphabet.blank,
                "separator": alphabet.separator,
                "only_words": self.only_words,
                "words": len(self.words),
            },
            *_lists([symbols for _, symbols in spellings]),
            np.array([word for word, _ in spellings], np.int64),
            np.array(self._known(units), np.int64),
            *_lists([pattern for pattern, _ in hot]),
            np.array([weight for _, weight in hot], np.float64),
            None if ngram is None else ngram._core,
            np.array(self._ngram_ids(units["ngram_unit"]), np.int64),
        )

    def text_of(self, word: int, symbols: Sequence[int]) -> str:
        """Return the text of a word that was found in `symbols`."""
        if self.only_words:
            return self.words[word]
        return "".join(self.alphabet.names[symbol] for symbol in symbols)

    def _spelled(
        self, lexicon: Lexicon | None, units: dict[str, str | None]
    ) -> dict[str, list[list[int]]]:
        """Return the spellings of all words that have a number."""
        if lexicon is not None:
            return self.alphabet.spell_lexicon(lexicon)
        texts: list[str] = []
        for name, unit in units.items():
            if unit != "words":
                continue
            if not self.alphabet.is_of_characters:
                raise ValueError(
                    f"{'ngram' if name == 'ngram_unit' else 'language_model'}_unit: expected a "
                    "lexicon beside 'words', as symbols of several characters may spell a word in "
                    "several ways"
                )
            if name == "ngram_unit" and self.ngram is not None:
                texts += [word for word in self.ngram.words if word not in _EDGES]
            else:
                texts += _vocabulary(word_tokenizer(self.language_model))
        return self.alphabet.spellable(texts)

    def _fused(self, unit: str | None) -> FusedModel | None:
        if unit is None:
            return None
        if unit == "words":
            return FusedModel.of_words(self.language_model, self.words)
        return FusedModel.of_symbols(self.language_model, self.alphabet)

    def _ngram_ids(self, unit: str | None) -> list[int]:
        """Return the number in the n-gram model of each word and the unknown one, or symbol."""
        if unit is None or self.ngram is None:
            return []
        if unit == "words":
            return [*map(self.ngram._core.id, self.words), self.ngram._core.id("<unk>")]
        names = ["<space>" if name == " " else name for name in self.alphabet.names]
        return [self.ngram._core.id(name) for name in names]

    def _known(self, units: dict[str, str | None]) -> list[bool]:
        """Return for each word and the unknown one whether a language model of words knows it."""
        if units["ngram_unit"] == "words" and self.ngram is not None:
            known = {*self.ngram.words} - {*_EDGES}
            return [*(word in known for word in self.words), False]
        if units["model_unit"] == "words" and self.fused is not None:
            unknown = self.fused.tokens[-1]
            return [token != unknown for token in self.fused.tokens]
        return [True] * (len(self.words) + 1)

    def _hot_patterns(self, hot_words: Mapping[str, float]) -> list[tuple[list[int], float]]:
        """Return numbers of words, or symbols between separators, with the weight of each."""
        if not isinstance(hot_words, Mapping):
            raise TypeError(f"hot_words: expected a dict of weights, got {describe(hot_words)}")
        numbers = {word: i for i, word in enumerate(self.words)}
        edge = [self.alphabet.separator] if self.alphabet.separator >= 0 else []
        patterns = []
        for text, given in hot_words.items():
            name = f"hot_words[{quoted(text)}]"
            weight = real(name, given)
            if not self.only_words:
                patterns.append(([*edge, *self.alphabet.spell(name, text), *edge], weight))
                continue
            if not isinstance(text, str) or not text.split():
                raise TypeError(f"{name}: expected words of the lexicon, got {describe(text)}")
            for word in text.split():
                if word not in numbers:
                    raise ValueError(f"{name}: expected words of the lexicon, got {quoted(word)}")
            patterns.append(([numbers[word] for word in text.split()], weight))
        return patterns


def _unit(
    name: str, model: object, given: str | None, has_words: bool, prefers_words: bool
) -> str | None:
    """Return what a language model is about; None where there is no model."""
    if given is not None:
        choice(name, given, ("symbols", "words"))
    if model is None:
        if given is not None:
            raise ValueError(f"{name}: expected a model beside it, got none")
        return None
    if given == "words" and not has_words:
        raise ValueError(f"{name}: expected a lexicon or a separator beside 'words', got neither")
    return given or ("words" if prefers_words else "symbols")


def _require_language_model(model: Any) -> None:
    needed = ("rnn", "embedding", "output", "tokenizer", "vocab_size")
    if not all(hasattr(model, name) for name in needed):
        raise TypeError(f"language_model: expected a LanguageModel, got {describe(model)}")


def _vocabulary(tokenizer: Any) -> list[str]:
    """Return the words of a tokenizer."""
    words = getattr(tokenizer, "vocabulary", None)
    if words is None:
        raise ValueError(
            "language_model_unit: expected a WordTokenizer or a lexicon beside 'words', got "
            f"{describe(tokenizer)}"
        )
    edges = {tokenizer.start, tokenizer.end, getattr(tokenizer, "unknown", None)}
    return [word for i, word in enumerate(words) if i not in edges]


def _lists(lists: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the elements of all lists, and where each list ends."""
    ends = np.cumsum([len(one) for one in lists], dtype=np.int64)
    return np.array([element for one in lists for element in one], np.int64), ends
