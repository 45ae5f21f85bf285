"""Beam search over many sentences at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array, integer, size
from rnncore._keywords import strict_keywords
from rnncore.decode.candidates import candidates, repeats
from rnncore.decode.choosing import Chosen, best_continuations
from rnncore.decode.hypothesis import End, Hypothesis, Tree
from rnncore.decode.limits import Limits
from rnncore.decode.penalties import Ranking
from rnncore.decode.protocol import Scores, StepDecoder

__all__ = ["beam_search", "greedy"]

Ids = NDArray[np.int64]


@strict_keywords()
def beam_search(
    decoder: StepDecoder,
    count: int,
    *,
    start: ArrayLike,
    end: int | None,
    beam_size: int = 5,
    n_best: int = 1,
    max_length: ArrayLike = 100,
    length_penalty: float = 1.0,
    length_normalization: str = "power",
    coverage_penalty: float = 0.0,
    no_repeat_ngram_size: int = 0,
    prefixes: Sequence[Any] | None = None,
    barred: ArrayLike = (),
) -> list[list[Hypothesis]]:
    """Find the best hypotheses of each sentence among those that a beam keeps.

    In every step each sentence keeps its most probable continuations, `beam_size` in all. One that
    writes the end token is finished and keeps its place, so that the beam gets narrower; the
    search of a sentence ends when all of them are finished or cut. Finished hypotheses leave the
    batch: the work of a step follows what is left of it.

    The result of a sentence depends neither on the other sentences nor on `n_best`, down to the
    bit, where this holds for the rows of the decoder. Of equally probable continuations the one
    whose beginning ranks higher is kept, and of the same beginning that with the smaller token.

    Parameters
    ----------
    decoder : StepDecoder
        The model.
    count : int
        Number of sentences; 0 gives an empty list.
    start : int, or integers [count]
        Token that is read first; it is not part of a hypothesis.
    end : int or None
        Token that ends a hypothesis; None: all are cut at `max_length`.
    beam_size : int
        Hypotheses that are kept of each sentence.
    n_best : int
        Hypotheses that are returned of each sentence, at most; from 1 to `beam_size`.
    max_length : int, or integers [count]
        Tokens of a hypothesis at most, the end included. A hypothesis that has not ended by then
        is cut there, and ranks behind all that have ended.
    length_penalty, length_normalization, coverage_penalty
        How finished hypotheses are ordered, see `Ranking`.
    no_repeat_ngram_size : int
        n: no sequence of n tokens comes twice in a hypothesis, but in a prefix (Paulus et al. 2018,
        arXiv 1705.04304). 0: any may.
    prefixes : sequence of integers [T_n], optional
        What each hypothesis of a sentence must begin with; may be empty.
    barred : integers [K]
        Tokens that are never written but in a prefix, such as that of padding.

    Returns
    -------
    list of list of Hypothesis
        For each sentence its best ones, the best first. There are fewer than `n_best` where no more
        are possible.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or a log-probability is not a number.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=6, hidden_size=8, rng=0)
    >>> found = rc.decode.beam_search(model.decoder(), 2, start=0, end=1, n_best=2, max_length=4)
    >>> [len(hypotheses) for hypotheses in found]
    [2, 2]
    """
    ranking = Ranking(length_penalty, length_normalization, coverage_penalty)
    limits = Limits(
        decoder.vocab_size,
        count,
        start=start,
        end=end,
        max_length=max_length,
        prefixes=prefixes,
    )
    width = size("beam_size", beam_size)
    best = integer("n_best", n_best, 1, width)
    ngram = integer("no_repeat_ngram_size", no_repeat_ngram_size, 0)
    beam = _Beam(decoder, limits, ranking, width, ngram, limits.tokens("barred", barred))
    return beam.search(best)


def greedy(decoder: StepDecoder, count: int, **options: Any) -> list[Hypothesis]:
    """Write the most probable token in every step: a `beam_search` that keeps one hypothesis.

    Parameters
    ----------
    decoder : StepDecoder
        The model.
    count : int
        Number of sentences.
    **options
        Of `beam_search`, but `beam_size` and `n_best`.

    Returns
    -------
    list of Hypothesis
        One for each sentence.

    Raises
    ------
    TypeError, ValueError
        As `beam_search`.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=6, hidden_size=8, rng=0)
    >>> len(rc.decode.greedy(model.decoder(), 2, start=0, end=1, max_length=4))
    2
    """
    found = beam_search(decoder, count, beam_size=1, **options)
    return [hypotheses[0] for hypotheses in found]


class _Beam:
    """The search; arrays of rows [N] belong to the hypotheses that go on, sentence by sentence."""

    def __init__(
        self,
        decoder: StepDecoder,
        limits: Limits,
        ranking: Ranking,
        width: int,
        ngram: int,
        barred: Ids,
    ) -> None:
        self._decoder = decoder
        self._limits = limits
        self._ranking = ranking
        self._ngram = ngram
        self._barred = barred
        count = limits.count
        self._tree = Tree()
        self._ends: list[list[End]] = [[] for _ in range(count)]
        self._free = np.full(count, width, np.int64)  # hypotheses that a sentence may still finish
        self._owners = np.arange(count)
        self._tokens = limits.start
        self._totals = np.zeros(count)
        self._history = np.empty((count, 0), np.int64)  # filled where n-grams are looked for
        self._coverage: NDArray[np.float64] | None = None
        self._earliest = int(limits.longest.min(initial=0))

    def search(self, n_best: int) -> list[list[Hypothesis]]:
        """Return the best hypotheses of each sentence."""
        state = self._decoder.start(self._limits.count)
        while self._owners.size:
            scores, state = self._decoder.advance(self._tokens, state)
            rows = self._step(scores)
            if rows.size:
                state = self._decoder.select(state, rows)
        return [
            [self._tree.hypothesis(end) for end in sorted(ends, key=_rank)[:n_best]]
            for ends in self._ends
        ]

    def _step(self, scores: Scores) -> Ids:
        """Choose what follows; return the rows that the hypotheses which go on continue."""
        depth, limits = self._tree.depth, self._limits
        forced = limits.forced(depth, self._owners) if depth < limits.most_forced else None
        wanted = int(self._free[self._owners].max())
        values, tokens = candidates(scores, wanted, limits, forced, self._not_now())
        chosen = best_continuations(values, tokens, self._totals, self._owners, self._free)
        if not values[:, -1].min() > -np.inf:
            self._close_starved(chosen)
        self._tree.grow(chosen.rows, chosen.tokens, chosen.log_probabilities, scores.attention)
        owners = self._owners[chosen.rows]
        if self._ranking.coverage_penalty > 0 and scores.attention is not None:
            reached = scores.attention[chosen.rows].astype(np.float64)
            before = 0.0 if self._coverage is None else self._coverage[chosen.rows]
            self._coverage = before + reached
        if self._ngram:
            self._history = np.column_stack([self._history[chosen.rows], chosen.tokens])
        ended = chosen.tokens == limits.end
        cut = ended
        if depth + 1 >= self._earliest:
            cut = ended | (limits.longest[owners] <= depth + 1)
        if not cut.any():
            self._owners, self._tokens, self._totals = owners, chosen.tokens, chosen.totals
            return chosen.rows
        for node in np.flatnonzero(cut).tolist():
            end = bool(ended[node]), chosen.totals[node], depth + 1, node
            self._close(owners[node], end, None if self._coverage is None else self._coverage[node])
        kept = np.flatnonzero(~cut)
        self._tree.keep(kept)
        self._owners, self._tokens = owners[kept], chosen.tokens[kept]
        self._totals = chosen.totals[kept]
        if self._coverage is not None:
            self._coverage = self._coverage[kept]
        if self._ngram:
            self._history = self._history[kept]
        return chosen.rows[kept]

    def _not_now(self) -> Ids | None:
        """Return the tokens [N,m] that may not follow each row; None: all may."""
        found = repeats(self._history, self._ngram) if self._ngram else None
        if not self._barred.size:
            return found
        always = np.broadcast_to(self._barred, (len(self._owners), len(self._barred)))
        return always if found is None else np.concatenate([always, found], axis=1)

    def _close(self, owner: int, end: tuple[bool, float, int, int], coverage: Array | None) -> None:
        """Take a hypothesis as finished: whether it ended, its ln p, steps and last node."""
        ended, total, steps, node = end
        score = self._ranking.score(float(total), steps, coverage)
        self._ends[owner].append(End(ended, score, float(total), steps, node))
        self._free[owner] -= 1

    def _close_starved(self, chosen: Chosen) -> None:
        """Cut the hypotheses of sentences that nothing can follow, where they are."""
        fed = np.zeros(self._limits.count, bool)
        fed[self._owners[chosen.rows]] = True
        for row in np.flatnonzero(~fed[self._owners]).tolist():
            end = False, self._totals[row], self._tree.depth, self._tree.node_of(row)
            coverage = None if self._coverage is None else self._coverage[row]
            self._close(self._owners[row], end, coverage)


def _rank(end: End) -> tuple[bool, float]:
    """Order the finished hypotheses of a sentence; equal ones stay in the order of finishing."""
    return not end.ended, -end.score
