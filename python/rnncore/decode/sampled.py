"""A language model that is sampled from: one sequence at a time, in the kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from rnncore import _memory
from rnncore._check import (
    check_below,
    describe,
    flag,
    generator,
    ids_or_floats,
    size,
)
from rnncore._draws import Draws
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IdsLike, as_tokens
from rnncore.decode.sampling import Sampling
from rnncore.text import Tokenizer

if TYPE_CHECKING:
    from rnncore import _core

__all__ = ["Sampled"]

#: Tokens drawn at once where a text may stop: those behind the stop are drawn in vain.
_BLOCK = 32


class Sampled(ABC):
    """A model that can be sampled from, by ids or, when it has a tokenizer, by text."""

    vocab_size: int
    tokenizer: Tokenizer | None
    sentences: bool

    @abstractmethod
    def sampler(self, weight_format: str | None = None, context: Any = None) -> _core.Sampler:
        """Return the kernel's sampler of one sequence, with the present parameters.

        `weight_format` is how it stores the matrices; None is the model's own choice. `context` [C]
        is what a model with ``context_size`` reads in every step.
        It takes one call at a time; ``sampler.copy()`` gives each thread its own.
        """

    def encode(self, tokens: str | IdsLike, name: str = "tokens") -> NDArray[np.int64]:
        """Return the ids [N] of a text, or ids checked to be integers [N]; errors name `name`.

        Raises
        ------
        TypeError, ValueError
            When tokens are neither text nor integers [N], a character is not in the vocabulary, an
            id lies outside [0, V), or the model has no vocabulary for text.
        """
        if not isinstance(tokens, str):
            if self.tokenizer is not None:
                _require_integers(name, tokens)
            ids = as_tokens(name, tokens)
            check_below(name, ids, self.vocab_size)
            return ids
        return self._vocabulary(name).encode_text(tokens, name)

    @property
    def opening(self) -> int | None:
        """Id before the first token of a line; None where the vocabulary has no such token."""
        tokenizer = self._vocabulary("opening")
        return tokenizer.start if self.sentences else tokenizer.line_end

    def encode_line(self, line: str, name: str = "line") -> NDArray[np.int64]:
        """Return the ids of one line of a text, between what the model has read at their ends.

        A model of sentences has read `start` and `end` of its tokenizer there, and another one what
        a line feed is to its tokenizer.

        Raises
        ------
        TypeError, ValueError
            When the line is no text or cannot be encoded, or the model has no vocabulary.
        """
        tokenizer = self._vocabulary(name)
        ends = self.opening, tokenizer.end if self.sentences else tokenizer.line_end
        before, after = ([] if end is None else [end] for end in ends)
        return np.concatenate([before, tokenizer.encode(line, name), after]).astype(np.int64)

    @overload
    def sample(
        self,
        prompt: str,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weight_format: str | None = ...,
        *,
        context: Any = ...,
        stop: str | None = ...,
        stop_at_end: bool | None = ...,
        num_samples: None = ...,
    ) -> str: ...
    @overload
    def sample(
        self,
        prompt: IdsLike,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weight_format: str | None = ...,
        *,
        context: Any = ...,
        stop: str | None = ...,
        stop_at_end: bool | None = ...,
        num_samples: None = ...,
    ) -> NDArray[np.int64]: ...
    @overload
    def sample(
        self,
        prompt: str,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weight_format: str | None = ...,
        *,
        context: Any = ...,
        stop: str | None = ...,
        stop_at_end: bool | None = ...,
        num_samples: int,
    ) -> list[str]: ...
    @overload
    def sample(
        self,
        prompt: IdsLike,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weight_format: str | None = ...,
        *,
        context: Any = ...,
        stop: str | None = ...,
        stop_at_end: bool | None = ...,
        num_samples: int,
    ) -> list[NDArray[np.int64]]: ...
    @strict_keywords()
    def sample(
        self,
        prompt: str | IdsLike,
        length: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        rng: np.random.Generator | int | None = None,
        weight_format: str | None = None,
        *,
        context: Any = None,
        stop: str | None = None,
        stop_at_end: bool | None = None,
        num_samples: int | None = None,
    ) -> Any:
        """Continue a prompt by ``length`` tokens, drawn one after the other in the kernel.

        Parameters
        ----------
        prompt : str, or integers [N]
            At least one token, read from the zero state. A model of sentences reads the start of a
            sentence before a text, which may then be empty.
        length : int
            Tokens to draw, at most.
        temperature, top_k, top_p
            See `Sampling`.
        rng : numpy Generator, int or None
            The same seed draws the same tokens.
        weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How the matrices are stored while the model reads and writes, see
            `rnncore.layers.Stream`: fewer bits are faster, at other probabilities. None is the
            model's own choice.
        stop : str or None
            The text ends behind the first such string in the continuation. It needs a text as
            prompt.
        stop_at_end : bool or None
            Whether the end token of the tokenizer ends the sample. It is the last of the ids, and
            not in a text. None: whether the model was trained on sentences.
        num_samples : int or None
            How many to draw, independent of one another. None: one, which is not in a list.

        Returns
        -------
        str, or int64 array [length], or a list of such
            For text, the prompt and its continuation; for ids, the new ids only.

        Raises
        ------
        TypeError, ValueError
            When the prompt is empty, is text and the model has no vocabulary, holds a character or
            id outside the vocabulary, or an option lies outside its range.
        MemoryError
            When all the tokens do not fit in memory.
        """
        wanted = 1 if num_samples is None else size("num_samples", num_samples)
        count = size("length", length, 0)
        _memory.require(8 * count * wanted, f"length: {count * wanted} tokens")
        sampling = Sampling(temperature, top_k, top_p)
        draws = self._draws(prompt, sampling, rng, (weight_format, context), stop, stop_at_end)
        may_stop = stop is not None or draws.end is not None
        samples: list[Any] = []
        for _ in range(wanted):
            pieces = draws.pieces(count, _BLOCK if may_stop else max(1, count))
            if isinstance(prompt, str):
                samples.append("".join([prompt, *draws.texts(pieces)]))
            else:
                samples.append(np.concatenate([np.zeros(0, np.int64), *pieces]))
        return samples[0] if num_samples is None else samples

    @overload
    def generate(
        self,
        prompt: str,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weight_format: str | None = ...,
        *,
        context: Any = ...,
        stop: str | None = ...,
        stop_at_end: bool | None = ...,
    ) -> Iterator[str]: ...
    @overload
    def generate(
        self,
        prompt: IdsLike,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weight_format: str | None = ...,
        *,
        context: Any = ...,
        stop: str | None = ...,
        stop_at_end: bool | None = ...,
    ) -> Iterator[int]: ...
    @strict_keywords()
    def generate(
        self,
        prompt: str | IdsLike,
        length: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        rng: np.random.Generator | int | None = None,
        weight_format: str | None = None,
        *,
        context: Any = None,
        stop: str | None = None,
        stop_at_end: bool | None = None,
    ) -> Iterator[str] | Iterator[int]:
        """Yield each new token, text or id, as soon as it is drawn: generator form of `sample`.

        Parameters, errors and, for the same seed, tokens are those of `sample`. The prompt is not
        repeated. Later changes of the parameters have no effect. A text may be empty: that of a
        part of a character, for one.
        """
        count = size("length", length, 0)
        sampling = Sampling(temperature, top_k, top_p)
        draws = self._draws(prompt, sampling, rng, (weight_format, context), stop, stop_at_end)
        pieces = draws.pieces(count, 1)
        if isinstance(prompt, str):
            return draws.texts(pieces)
        return (int(token) for (token,) in pieces)

    def _draws(
        self,
        prompt: str | IdsLike,
        sampling: Sampling,
        rng: np.random.Generator | int | None,
        form: tuple[str | None, Any],
        stop: str | None,
        stop_at_end: bool | None,
    ) -> Draws:
        """Read the prompt; return what continues it."""
        ids = self._opened(prompt)
        if stop is not None and not (isinstance(stop, str) and stop and isinstance(prompt, str)):
            kind = TypeError if not isinstance(stop, str) else ValueError
            raise kind(
                f"stop: expected None or a string of some length beside a text as prompt, got "
                f"{describe(stop)}"
            )
        end = self._end(stop_at_end)
        sampler = self.sampler(*form)
        sampler.feed(ids)
        top_k = min(sampling.top_k, self.vocab_size)
        options = sampling.temperature, top_k, sampling.top_p
        return Draws(sampler, ids, options, generator(rng), self.tokenizer, end, stop)

    def _opened(self, prompt: str | IdsLike, name: str = "prompt") -> NDArray[np.int64]:
        """Return the ids of a prompt, at least one, behind what opens a sentence."""
        ids = self.encode(prompt, name)
        if isinstance(prompt, str) and self.sentences and self.opening is not None:
            ids = np.insert(ids, 0, self.opening)
        if not ids.size:
            raise ValueError(f"{name}: expected at least one token, got none")
        return ids

    def _end(self, stop_at_end: bool | None) -> int | None:
        """Return the token that ends what is written, None: there is none."""
        ends = self.sentences if stop_at_end is None else flag("stop_at_end", stop_at_end)
        end = None if self.tokenizer is None or not ends else self.tokenizer.end
        if stop_at_end and end is None:
            raise ValueError("stop_at_end: expected a model whose vocabulary has an end token")
        return end

    def _vocabulary(self, name: str) -> Tokenizer:
        if self.tokenizer is None:
            raise ValueError(f"{name}: expected ids, got text; the model has no vocabulary")
        return self.tokenizer


def _require_integers(name: str, tokens: object) -> None:
    """Raise TypeError where text is taken and `tokens` are neither that nor integers."""
    array = ids_or_floats(name, tokens)
    if array.dtype.kind in "iuO" and array.ndim > 0:
        return
    mend = {"U": "; ''.join makes it text", "S": "; decode makes it text"}.get(array.dtype.kind, "")
    raise TypeError(f"{name}: expected text or integers [N], got {describe(tokens)}{mend}")
