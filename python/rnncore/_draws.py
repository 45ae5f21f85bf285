"""What continues a prompt, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnncore import _core
from rnncore.text import Tokenizer
from rnncore.text.streaming import Detokenizer, until

__all__ = ["Draws"]


@dataclass
class Draws:
    """Continuations of one prompt, which the sampler has read."""

    sampler: _core.Sampler
    prompt: NDArray[np.int64]
    options: tuple[float, int, float]
    rng: np.random.Generator
    tokenizer: Tokenizer | None
    end: int | None
    stop: str | None

    def pieces(self, length: int, block: int) -> Iterator[NDArray[np.int64]]:
        """Yield the ids of one continuation, `block` at a time, up to the end token.

        Token number i has the random numbers of the counter i (Philox), so that pieces drawn one
        after the other equal one long draw.
        """
        return self._pieces(self.sampler.copy(), int(self.rng.integers(2**63)), length, block)

    def _pieces(
        self, sampler: _core.Sampler, seed: int, length: int, block: int
    ) -> Iterator[NDArray[np.int64]]:
        for start in range(0, length, block):
            ids = sampler.draw(min(block, length - start), *self.options, seed, start)
            at = np.flatnonzero(ids == self.end) if self.end is not None else ids[:0]
            if at.size:
                yield ids[: at[0] + 1]
                return
            yield ids

    def texts(self, pieces: Iterator[NDArray[np.int64]]) -> Iterator[str]:
        """Yield the text of the pieces of one continuation, up to `stop`."""
        assert self.tokenizer is not None  # `encode` has taken the text of the prompt
        texts = Detokenizer(self.tokenizer, self.prompt).stream(map(self._shown, pieces))
        return texts if self.stop is None else until(texts, self.stop)

    def _shown(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a piece without the end token, which ends it."""
        return ids[:-1] if self.end is not None and ids[-1] == self.end else ids
