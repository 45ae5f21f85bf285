"""Which tokens may follow each hypothesis."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rnncore._check import Array
from rnncore.decode.limits import Limits
from rnncore.decode.protocol import Scores

__all__ = ["candidates", "repeats", "require_numbers"]

Ids = NDArray[np.int64]


def candidates(
    scores: Scores, wanted: int, limits: Limits, forced: Ids | None, barred: Ids | None
) -> tuple[Array, Ids]:
    """Return ln p and tokens [N,k] that may follow N rows, the best first.

    Parameters
    ----------
    scores : Scores
        Of the N rows.
    wanted : int
        Tokens that may follow a row, at least; fewer where the vocabulary has no more.
    limits : Limits
        With the size of the vocabulary.
    forced : int64 array [N], or None
        The only token that may follow a row; -1: any.
    barred : int64 array [N,m], or None
        Tokens that may not; -1 stands for none.

    Returns
    -------
    values : array [N,k]
        -inf where a token may not follow.
    tokens : int64 array [N,k]

    Raises
    ------
    ValueError
        If a log-probability is not a number, or that of a forced token is -inf.
    """
    most = wanted + (0 if barred is None else barred.shape[1])
    values, tokens = scores.top(min(most, limits.vocab_size))
    require_numbers(values)
    if barred is not None and barred.shape[1]:
        found = (tokens[:, :, np.newaxis] == barred[:, np.newaxis]).any(axis=2)
        values = np.where(found, -np.inf, values)
    if forced is not None and (forced >= 0).any():
        rows = np.flatnonzero(forced >= 0)
        values, tokens = values.copy(), tokens.copy()
        values[rows] = -np.inf
        tokens[rows, 0] = forced[rows]
        values[rows, 0] = scores.log_probabilities()[rows, forced[rows]]
        impossible = rows[~(values[rows, 0] > -np.inf)]
        if impossible.size:
            token = forced[impossible[0]]
            raise ValueError(
                f"prefixes: expected tokens of some probability, got token {token} of probability 0"
            )
    return values, tokens


def require_numbers(values: Array) -> Array:
    """Return log-probabilities [N,k]; raise ValueError where one is not a number."""
    if np.isnan(values).any():
        row = int(np.argwhere(np.isnan(values))[0, 0])
        raise ValueError(
            f"log-probabilities: expected numbers, got nan in row {row}: the model's parameters or "
            "inputs are not finite"
        )
    return values


def repeats(history: Ids, size: int) -> Ids | None:
    """Return the tokens [N,m] that would complete an n-gram for the second time, -1 for none.

    Parameters
    ----------
    history : int64 array [N,t]
        Tokens so far.
    size : int
        n of the n-grams.
    """
    if history.shape[1] < size:
        return None
    grams = sliding_window_view(history, size, axis=1)  # [N,t-n+1,n]
    last = history[:, history.shape[1] - size + 1 :]
    alike = (grams[:, :, :-1] == last[:, np.newaxis]).all(axis=2)
    most = int(alike.sum(axis=1).max(initial=0))
    if most == 0:
        return None
    first = np.argsort(~alike, axis=1, kind="stable")[:, :most]
    tokens = np.where(alike, grams[:, :, -1], -1)
    return np.take_along_axis(tokens, first, axis=1)
