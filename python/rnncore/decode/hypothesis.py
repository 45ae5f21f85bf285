"""Hypotheses, and the tree of all that a search has written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array
from rnncore._keywords import strict_keywords

__all__ = ["End", "Hypothesis", "Tree"]

Ids = NDArray[np.int64]


@strict_keywords()
@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One answer of a search.

    Parameters
    ----------
    tokens : int64 array [T]
        What was written, a forced prefix included, without the start and the end token.
    score : float
        What hypotheses of a sentence are ordered by: their normalized log-probability.
    log_probability : float
        ln p of all tokens, the end included; the sum of `log_probabilities`.
    log_probabilities : float64 array [T], or [T+1] where the end token was written
        ln p of each token.
    attention : array [T,S] or [T+1,S], or None
        Weight of each position of the source in each step, where the decoder has an attention.
    ended : bool
        Whether the end token was written. False: the hypothesis was cut at the greatest length, or
        nothing could follow it.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.decode.Hypothesis(np.array([3, 1]), -0.5, -1.5, np.array([-1.0, -0.25, -0.25]))
    Hypothesis([3, 1], score=-0.5000)
    """

    tokens: Ids
    score: float
    log_probability: float
    log_probabilities: NDArray[np.float64]
    attention: Array | None = None
    ended: bool = True

    def __repr__(self) -> str:
        cut = "" if self.ended else ", ended=False"
        return f"Hypothesis({self.tokens.tolist()}, score={self.score:.4f}{cut})"


class End(NamedTuple):
    """Where a hypothesis stops in the tree."""

    ended: bool
    score: float
    total: float
    steps: int  # tokens, the end included
    node: int  # its number among those of the last step


class _Step(NamedTuple):
    parents: Ids  # index of the node before each, among those of the step before
    rows: Ids  # of the scores
    tokens: Ids
    log_probabilities: NDArray[np.float64]
    attention: Array | None


class Tree:
    """All continuations that were chosen, step by step; each knows the one before it."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._kept: Ids | None = None  # nodes of the last step that go on, None: all

    @property
    def depth(self) -> int:
        """Number of steps."""
        return len(self._steps)

    def grow(
        self,
        rows: Ids,
        tokens: Ids,
        log_probabilities: NDArray[np.float64],
        attention: Array | None,
    ) -> None:
        """Add a step: its nodes continue `rows` of those that went on."""
        parents = rows if self._kept is None else self._kept[rows]
        self._steps.append(_Step(parents, rows, tokens, log_probabilities, attention))
        self._kept = None

    def keep(self, nodes: Ids) -> None:
        """Let only some nodes of the last step go on: the rows of the next step."""
        self._kept = nodes

    def node_of(self, row: int) -> int:
        """Return the node of the last step that is row number `row` of the next."""
        return row if self._kept is None else int(self._kept[row])

    def hypothesis(self, end: End) -> Hypothesis:
        """Return what ends in a node, from the first token on."""
        tokens = np.empty(end.steps, np.int64)
        log_probabilities = np.empty(end.steps)
        attention = []
        node = end.node
        for t in range(end.steps - 1, -1, -1):
            step = self._steps[t]
            tokens[t] = step.tokens[node]
            log_probabilities[t] = step.log_probabilities[node]
            if step.attention is not None:
                attention.append(step.attention[step.rows[node]])
            node = step.parents[node]
        return Hypothesis(
            tokens[:-1] if end.ended else tokens,
            end.score,
            end.total,
            log_probabilities,
            np.array(attention[::-1]) if attention else None,
            end.ended,
        )
