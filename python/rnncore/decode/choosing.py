"""The greatest of many scores: of each row, and of all continuations of each sentence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncore import _core
from rnncore._check import Array

__all__ = ["Chosen", "best_continuations", "draw_rows", "top_of_rows"]

Ids = NDArray[np.int64]


class Chosen(NamedTuple):
    """Continuations [M], ordered by sentence and, within each, the best first."""

    rows: Ids  # that they continue
    tokens: Ids
    log_probabilities: NDArray[np.float64]  # of these tokens
    totals: NDArray[np.float64]  # of whole hypotheses


def top_of_rows(values: Array, k: int) -> tuple[Array, Ids]:
    """Return the k greatest of each row [N,V], the greatest and of equal ones the first first."""
    return _core.top_of_rows(values, k)


def best_continuations(
    values: Array, ids: Ids, totals: NDArray[np.float64], owners: Ids, free: Ids
) -> Chosen:
    """Choose the best continuations of each sentence.

    Parameters
    ----------
    values, ids : arrays [N,k]
        ln p and tokens that may follow each of N rows, the best first; -inf where none may.
    totals : float64 array [N]
        ln p of each row so far.
    owners : int64 array [N]
        Sentence of each row, in ascending order.
    free : int64 array [count]
        Continuations that each sentence takes at most.
    """
    return Chosen(*_core.best_continuations(values, ids, totals, owners, free))


def draw_rows(values: Array, sampling: Any, seeds: Ids, step: int) -> Ids:
    """Draw a token of each row of log-probabilities [N,V]; row n has the random numbers of seed n.

    Number `step` of them decides, as token number `step` of `LanguageModel.sample`.
    """
    top_k = min(sampling.top_k, values.shape[1])
    return _core.draw_rows(values, sampling.temperature, top_k, sampling.top_p, seeds, step)
