"""Several models that write together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array, as_array, check_shape, describe
from rnncore._keywords import strict_keywords
from rnncore.decode.choosing import top_of_rows
from rnncore.decode.protocol import Scores, StepDecoder

__all__ = ["Ensemble"]

Ids = NDArray[np.int64]


@strict_keywords()
class Ensemble:
    """`StepDecoder` of several: the average of their probabilities.

    Parameters
    ----------
    decoders : sequence of StepDecoder
        At least one, of one vocabulary, that read the same sentences.
    weights : numbers [M], optional
        Share of each in the average, at least 0; they are divided by their sum. None: equal.

    Raises
    ------
    ValueError
        If there is no decoder, the vocabularies differ, or the weights are not as above.

    Examples
    --------
    >>> import rnncore as rc
    >>> models = [rc.LanguageModel(vocab_size=6, hidden_size=8, rng=seed) for seed in range(2)]
    >>> both = rc.decode.Ensemble([model.decoder() for model in models])
    >>> len(rc.decode.greedy(both, 3, start=0, end=1, max_length=4))
    3
    """

    def __init__(self, decoders: Sequence[StepDecoder], weights: ArrayLike | None = None) -> None:
        self.decoders = list(decoders)
        if not self.decoders:
            raise ValueError("decoders: expected at least one, got none")
        sizes = [decoder.vocab_size for decoder in self.decoders]
        if len(set(sizes)) > 1:
            raise ValueError(f"decoders: expected one vocab_size, got {sizes}")
        self.vocab_size = sizes[0]
        self.weights = _shares(weights, len(sizes))

    def start(self, count: int) -> tuple[Any, ...]:
        """Return the states of all, see `StepDecoder.start`."""
        return tuple(decoder.start(count) for decoder in self.decoders)

    def advance(self, tokens: Ids, state: tuple[Any, ...]) -> tuple[Scores, tuple[Any, ...]]:
        """Let all read a token, see `StepDecoder.advance`."""
        pairs = [
            decoder.advance(tokens, part)
            for decoder, part in zip(self.decoders, state, strict=True)
        ]
        scores = [own for own, _ in pairs]
        return _Average(scores, self.weights), tuple(part for _, part in pairs)

    def select(self, state: tuple[Any, ...], rows: Ids) -> tuple[Any, ...]:
        """Return the states of rows, see `StepDecoder.select`."""
        return tuple(
            decoder.select(part, rows) for decoder, part in zip(self.decoders, state, strict=True)
        )


class _Average:
    """Scores of the average; attention too, where all have one over as many positions."""

    def __init__(self, scores: list[Scores], weights: NDArray[np.float64]) -> None:
        self._scores, self._weights = scores, weights
        found = [own.attention for own in scores]
        shapes = {None if weights is None else weights.shape for weights in found}
        self.attention: Array | None = None
        if len(shapes) == 1 and None not in shapes:
            self.attention = sum(
                share * own for share, own in zip(weights.tolist(), found, strict=True)
            )

    def log_probabilities(self) -> NDArray[np.float64]:
        """Return ln of the average [N,V]: ln sum_m w_m p_m."""
        with np.errstate(divide="ignore"):
            shares = np.log(self._weights)
        total: Any = None
        for share, own in zip(shares.tolist(), self._scores, strict=True):
            part = own.log_probabilities().astype(np.float64) + share
            total = part if total is None else np.logaddexp(total, part)
        return np.asarray(total)

    def top(self, k: int) -> tuple[Array, Ids]:
        """Return the k most probable tokens, see `Scores.top`.

        Only their logarithms are taken: those of all tokens would take longer than the models.
        """
        total: Any = None
        for share, own in zip(self._weights.tolist(), self._scores, strict=True):
            part = share * np.exp(own.log_probabilities().astype(np.float64))
            total = part if total is None else total + part
        values, tokens = top_of_rows(total, k)
        with np.errstate(divide="ignore"):
            return np.log(values), tokens


def _shares(weights: ArrayLike | None, count: int) -> NDArray[np.float64]:
    """Return the weights, checked and divided by their sum."""
    if weights is None:
        return np.full(count, 1 / count)
    array = as_array("weights", weights)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"weights: expected numbers, got {describe(weights)}")
    check_shape("weights", array, (count,))
    numbers = array.astype(np.float64)
    if not (np.isfinite(numbers).all() and (numbers >= 0).all() and numbers.sum() > 0):
        raise ValueError(
            f"weights: expected finite numbers of at least 0, not all 0, got {numbers.tolist()}"
        )
    shares: NDArray[np.float64] = numbers / numbers.sum()
    return shares
