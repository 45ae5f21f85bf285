"""Drawing hypotheses at random, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import generator, integer, real, size
from rnncore._keywords import strict_keywords
from rnncore.decode.candidates import require_numbers
from rnncore.decode.choosing import draw_rows
from rnncore.decode.hypothesis import End, Hypothesis, Tree
from rnncore.decode.limits import Limits
from rnncore.decode.protocol import StepDecoder

__all__ = ["Sampling", "sample"]

Ids = NDArray[np.int64]


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

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.decode.Sampling(temperature=0.8, top_p=0.9)
    Sampling(temperature=0.8, top_k=0, top_p=0.9)
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        real("temperature", self.temperature, 0)
        integer("top_k", self.top_k, 0)
        real("top_p", self.top_p, 0, 1, open_low=True)


@strict_keywords()
def sample(
    decoder: StepDecoder,
    count: int,
    *,
    start: ArrayLike,
    end: int | None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    num_samples: int = 1,
    max_length: ArrayLike = 100,
    prefixes: Sequence[Any] | None = None,
    rng: np.random.Generator | int | None = None,
) -> list[list[Hypothesis]]:
    """Draw hypotheses of each sentence, all in one batch; those that have ended leave it.

    Parameters
    ----------
    decoder : StepDecoder
        The model.
    count : int
        Number of sentences.
    start, end, max_length, prefixes
        As in `beam_search`.
    temperature, top_k, top_p
        How a token is drawn, see `Sampling`.
    num_samples : int
        Hypotheses to draw of each sentence, independent of one another.
    rng : numpy Generator, int or None
        Sample k of sentence n draws by itself: its tokens depend on the seed and on its number
        ``n * num_samples + k``, and not on what the others draw.

    Returns
    -------
    list of list of Hypothesis
        For each sentence its samples, in the order of their numbers. `score` is ln p, that of the
        model without temperature, top_k and top_p.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or a log-probability is not a number.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=6, hidden_size=8, rng=0)
    >>> drawn = rc.decode.sample(
    ...     model.decoder(), 2, start=0, end=1, num_samples=3, max_length=4, rng=0
    ... )
    >>> [len(samples) for samples in drawn]
    [3, 3]
    """
    sampling = Sampling(temperature, top_k, top_p)
    limits = Limits(
        decoder.vocab_size, count, start=start, end=end, max_length=max_length, prefixes=prefixes
    )
    samples = size("num_samples", num_samples)
    owners = np.repeat(np.arange(limits.count), samples)
    numbers = np.arange(len(owners))
    seeds = generator(rng).integers(2**63, size=len(owners))
    ends: list[Any] = [None] * len(owners)
    tree, totals, tokens = Tree(), np.zeros(len(owners)), limits.start[owners]
    state = decoder.start(limits.count)
    if samples > 1 and owners.size:
        state = decoder.select(state, owners)
    while owners.size:
        scores, state = decoder.advance(tokens, state)
        values = require_numbers(scores.log_probabilities())
        depth, rows = tree.depth, np.arange(len(owners))
        tokens = draw_rows(values, sampling, seeds[numbers], depth)
        if depth < limits.most_forced:
            forced = limits.forced(depth, owners)
            tokens = np.where(forced >= 0, forced, tokens)
        log_probabilities = values[rows, tokens].astype(np.float64)
        totals = totals + log_probabilities
        tree.grow(rows, tokens, log_probabilities, scores.attention)
        ended = tokens == limits.end
        cut = ended | (limits.longest[owners] <= depth + 1)
        if not cut.any():
            continue
        for row in np.flatnonzero(cut).tolist():
            total = float(totals[row])
            ends[numbers[row]] = End(bool(ended[row]), total, total, depth + 1, row)
        kept = np.flatnonzero(~cut)
        tree.keep(kept)
        owners, numbers, tokens, totals = owners[kept], numbers[kept], tokens[kept], totals[kept]
        if kept.size:
            state = decoder.select(state, kept)
    drawn = [tree.hypothesis(end) for end in ends]
    return [drawn[first : first + samples] for first in range(0, len(drawn), samples)]
