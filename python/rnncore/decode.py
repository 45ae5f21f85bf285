"""Drawing tokens from a language model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from rnncore import _memory
from rnncore._check import check_below, describe, generator, ids_or_floats, integer, real, size
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IdsLike, as_tokens
from rnncore.text import CharTokenizer

if TYPE_CHECKING:
    from rnncore import _core

__all__ = ["Sampled", "Sampling"]


@strict_keywords()
@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn from p = softmax(logits / temperature).

    Parameters
    ----------
    temperature : float
        Above 0; smaller is more conservative. 0 is greedy: always the most probable token.
    top_k : int
        Draw among the k most probable tokens only (Fan et al. 2018); 0: among all.
    top_p : float
        Draw among the fewest most probable tokens whose probabilities sum to at least p, in
        (0, 1] (nucleus sampling, Holtzman et al. 2020); 1: among all.

    Raises
    ------
    TypeError, ValueError
        When a number is not one, or outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        real("temperature", self.temperature, 0)
        integer("top_k", self.top_k, 0)
        real("top_p", self.top_p, 0, 1, open_low=True)


class Sampled(ABC):
    """A model that can be sampled from, by ids or, when it has a tokenizer, by text."""

    vocab_size: int
    tokenizer: CharTokenizer | None

    @abstractmethod
    def sampler(self, weights: str | None = None) -> _core.Sampler:
        """Return the kernel's sampler of one sequence, with the present parameters.

        `weights` is how it stores the matrices; None is the model's own choice.
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
        if self.tokenizer is None:
            raise ValueError(f"{name}: expected ids, got text; the model has no vocabulary")
        return self.tokenizer.encode(tokens, name)

    @overload
    def sample(
        self,
        prompt: str,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weights: str | None = ...,
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
        weights: str | None = ...,
    ) -> NDArray[np.int64]: ...
    @strict_keywords()
    def sample(
        self,
        prompt: str | IdsLike,
        length: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        rng: np.random.Generator | int | None = None,
        weights: str | None = None,
    ) -> str | NDArray[np.int64]:
        """Continue a prompt by ``length`` tokens, drawn one after the other in the kernel.

        Parameters
        ----------
        prompt : str, or integers [N]
            At least one token, read from the zero state.
        length : int
            Tokens to draw.
        temperature, top_k, top_p
            See `Sampling`.
        rng : numpy Generator, int or None
            The same seed draws the same tokens.
        weights : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How the matrices are stored while the model reads and writes, see
            `rnncore.layers.Stream`: fewer bits are faster, at other probabilities. None is the
            model's own choice.

        Returns
        -------
        str, or int64 array [length]
            For text, the prompt and its continuation; for ids, the new ids only.

        Raises
        ------
        TypeError, ValueError
            When the prompt is empty, is text and the model has no vocabulary, holds a character or
            id outside the vocabulary, or an option lies outside its range.
        MemoryError
            When `length` tokens do not fit in memory.
        """
        count = size("length", length, 0)
        _memory.require(8 * count, f"length: {count} tokens")
        ids = self._primed(prompt, Sampling(temperature, top_k, top_p), rng, weights)(count, 0)
        if isinstance(prompt, str) and self.tokenizer is not None:
            return prompt + self.tokenizer.decode(ids)
        return ids

    @overload
    def generate(
        self,
        prompt: str,
        length: int,
        temperature: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        rng: np.random.Generator | int | None = ...,
        weights: str | None = ...,
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
        weights: str | None = ...,
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
        weights: str | None = None,
    ) -> Iterator[str] | Iterator[int]:
        """Yield each new token, text or id, as soon as it is drawn: generator form of `sample`.

        Parameters, errors and, for the same seed, tokens are those of `sample`. The prompt is not
        repeated. Later changes of the parameters have no effect.
        """
        count = size("length", length, 0)
        draw = self._primed(prompt, Sampling(temperature, top_k, top_p), rng, weights)
        pieces = (draw(1, i) for i in range(count))
        if isinstance(prompt, str) and self.tokenizer is not None:
            return map(self.tokenizer.decode, pieces)
        return (int(token) for (token,) in pieces)

    def _primed(
        self,
        prompt: str | IdsLike,
        sampling: Sampling,
        rng: np.random.Generator | int | None,
        weights: str | None,
    ) -> Callable[[int, int], NDArray[np.int64]]:
        """Read the prompt; return the function (count, counter) -> ids that continues it.

        Token number ``counter + i`` has the random numbers of that counter (Philox), so that pieces
        drawn one after the other equal one long draw.
        """
        ids = self.encode(prompt, "prompt")
        if not ids.size:
            raise ValueError("prompt: expected at least one token, got none")
        sampler = self.sampler(weights)
        sampler.feed(ids)
        top_k = min(sampling.top_k, self.vocab_size)
        seed = int(generator(rng).integers(2**63))

        def draw(count: int, counter: int) -> NDArray[np.int64]:
            return sampler.draw(count, sampling.temperature, top_k, sampling.top_p, seed, counter)

        return draw


def _require_integers(name: str, tokens: object) -> None:
    """Raise TypeError where text is taken and `tokens` are neither that nor integers."""
    array = ids_or_floats(name, tokens)
    if array.dtype.kind in "iuO" and array.ndim > 0:
        return
    mend = {"U": "; ''.join makes it text", "S": "; decode makes it text"}.get(array.dtype.kind, "")
    raise TypeError(f"{name}: expected text or integers [N], got {describe(tokens)}{mend}")
