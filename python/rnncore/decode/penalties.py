"""How hypotheses of different lengths are compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnncore._check import Array, choice, real
from rnncore._keywords import strict_keywords

__all__ = ["NORMALIZATIONS", "Ranking"]

#: What ln p is divided by, as a function of the length and the exponent.
NORMALIZATIONS: dict[str, Callable[[int, float], float]] = {
    "power": lambda length, exponent: float(length**exponent),
    "wu": lambda length, exponent: float(((5 + length) / 6) ** exponent),
}


@strict_keywords()
@dataclass(frozen=True)
class Ranking:
    r"""Score of a finished hypothesis.

    .. math:: score = \frac{\ln p}{n(T)} + \beta \sum_s \ln \min\Bigl(\sum_t a_{t,s}, 1\Bigr)

    T is the number of tokens, the end included, and a the attention. `length_normalization` is
    ``n(T) = T**alpha`` ("power") or ``n(T) = ((5 + T) / 6)**alpha`` ("wu"; Wu et al. 2016, arXiv
    1609.08144, equation 14, which has the coverage penalty too).

    Parameters
    ----------
    length_penalty : float
        The exponent alpha, at least 0. 0: hypotheses are compared by ln p, which favors short ones.
        1 with "power": by the mean ln p of a token.
    length_normalization : {"power", "wu"}
        The formula.
    coverage_penalty : float
        The factor beta, at least 0. Above 0, hypotheses lose where a position of the source has
        received less attention than 1. Positions whose attention is exactly 0 in every step count
        as padding.

    Raises
    ------
    TypeError, ValueError
        If a value is not as above.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.decode.Ranking(length_penalty=1.0).score(-6.0, 3, None)
    -2.0
    """

    length_penalty: float = 1.0
    length_normalization: str = "power"
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        real("length_penalty", self.length_penalty, 0)
        choice("length_normalization", self.length_normalization, NORMALIZATIONS)
        real("coverage_penalty", self.coverage_penalty, 0)

    def score(self, log_probability: float, length: int, coverage: Array | None) -> float:
        """Return the score of T tokens; `coverage` [S] is their attention, summed over the steps.

        The sum over the source is rounded once: padding behind it changes no bit.
        """
        divisor = NORMALIZATIONS[self.length_normalization](max(length, 1), self.length_penalty)
        score = log_probability / divisor
        if self.coverage_penalty > 0 and coverage is not None:
            reached = np.minimum(coverage[coverage > 0], 1.0).tolist()
            score += self.coverage_penalty * math.fsum(map(math.log, reached))
        return score
