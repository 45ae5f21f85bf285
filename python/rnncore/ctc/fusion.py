"""A recurrent language model that reads the prefixes of a search (shallow fusion)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore import _core
from rnncore._check import Array, describe, quoted
from rnncore.ctc.alphabet import Alphabet
from rnncore.layers.state import pack_state

__all__ = ["FusedModel", "ModelStates", "word_tokenizer"]


class FusedModel:
    """A language model and its tokens: of every unit, symbol or word, and those of the edges."""

    def __init__(
        self, model: Any, tokens: Sequence[int], start: int | None, end: int | None
    ) -> None:
        self.model = model
        self.tokens = np.array(tokens, np.int64)
        self.start, self.end = start, end

    @classmethod
    def of_symbols(cls, model: Any, alphabet: Alphabet) -> FusedModel:
        """Return the model as one of symbols; the separator is a blank in its texts."""
        count, tokenizer = len(alphabet.names), model.tokenizer
        if tokenizer is None:
            if model.vocab_size != count:
                raise ValueError(
                    f"language_model: expected one of V={count} tokens, the symbols, as it has no "
                    f"tokenizer, got V={model.vocab_size}"
                )
            return cls(model, range(count), alphabet.blank, alphabet.blank)
        tokens = [0] * count
        for name, i in alphabet.ids.items():
            tokens[i] = _token(tokenizer, " " if i == alphabet.separator else name)
        return cls(model, tokens, tokenizer.start, tokenizer.end)

    @classmethod
    def of_words(cls, model: Any, words: Sequence[str]) -> FusedModel:
        """Return the model as one of words and, as one more unit, of unknown ones."""
        tokenizer = word_tokenizer(model)
        unknown = tokenizer.unknown
        tokens = []
        for word in words:
            ids = tokenizer.encode(word).tolist()
            tokens.append(ids[0] if len(ids) == 1 else unknown)
        return cls(model, [*tokens, unknown], tokenizer.start, tokenizer.end)


class ModelStates:
    """The states of the language model after the prefixes of one search; it serves requests."""

    def __init__(self, fused: FusedModel, count: int) -> None:
        self._fused = fused
        self._count = count  # sequences
        self._rnn = fused.model.rnn.frozen()
        self._states: list[Array] = []  # [L,N,H], n being context * count + sequence

    def __copy__(self) -> ModelStates:
        other = ModelStates.__new__(ModelStates)
        other.__dict__.update(self.__dict__, _states=[state.copy() for state in self._states])
        return other

    def serve(self, search: _core.PrefixSearch) -> bool:
        """Let the model read what the search asks for; return whether it asked."""
        sequence, parent, unit, context = search.requests().T
        if not len(sequence):
            return False
        fused = self._fused
        rows = np.zeros((len(sequence), len(fused.tokens) + 1))
        # The beginning: without a token for it the first unit is free and meets the zero state.
        begins = unit < 0
        reads = np.flatnonzero(~begins if fused.start is None else np.ones_like(begins))
        place = context * self._count + sequence
        self._reserve(int(place.max()) + 1)
        if len(reads):
            first = 0 if fused.start is None else fused.start
            tokens = np.where(begins, first, fused.tokens[unit])[reads]
            before = np.where(begins, place, parent * self._count + sequence)[reads]
            rows[reads] = self._read(tokens, before, place[reads])
        search.supply(rows)
        return True

    def _read(
        self, tokens: NDArray[np.int64], before: NDArray[np.int64], after: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Read a token after each of N states; return ln p of units and end, [N,U+1]."""
        model = self._fused.model
        x = tokens[np.newaxis]
        if model.embedding is not None:
            x = model.embedding(x)
        y, final = self._rnn(x, pack_state(tuple(state[:, before] for state in self._states)))
        for state, new in zip(self._states, _parts(final), strict=True):
            state[:, after] = new
        log_p = model.output.log_probabilities(y)[0].astype(np.float64)
        end = self._fused.end
        ends = np.zeros(len(tokens)) if end is None else log_p[:, end]
        return np.column_stack([log_p[:, self._fused.tokens], ends])

    def _reserve(self, count: int) -> None:
        """Make room for `count` states."""
        rnn = self._fused.model.rnn
        old = self._states[0].shape[1] if self._states else 0
        if count <= old:
            return
        shape = rnn.num_layers, max(count, 2 * old), rnn.hidden_size
        states = [np.zeros(shape, rnn.dtype) for _ in rnn.state_names]
        for new, state in zip(states, self._states, strict=False):
            new[:, :old] = state
        self._states = states


def word_tokenizer(model: Any) -> Any:
    """Return the tokenizer of a model of words, which has a token for unknown ones."""
    if getattr(model.tokenizer, "unknown", None) is None:
        raise ValueError(
            "language_model: expected a WordTokenizer, or another one with the attribute unknown, "
            f"for a model of words, got {describe(model.tokenizer)}; "
            "language_model_unit='symbols' reads symbols"
        )
    return model.tokenizer


def _parts(state: Any) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)


def _token(tokenizer: Any, text: str) -> int:
    """Return the one id of a symbol's text."""
    ids = tokenizer.encode(text, "language_model").tolist()
    if len(ids) != 1:
        raise ValueError(
            f"language_model: expected one token for each symbol, got {len(ids)} for "
            f"{quoted(text)}; language_model_unit='words' reads whole words"
        )
    return int(ids[0])
