"""Rescoring of n-best lists by a language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rnncore._check import describe, real
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IdsLike

__all__ = ["Rescored", "rescore"]


class _Scoring(Protocol):
    """What `rescore` needs of a model: that of a `LanguageModel`."""

    def encode_line(self, line: str, name: str = ...) -> NDArray[np.int64]: ...
    def score_prefix_tree(
        self, sequences: Any, weight_format: str | None = ..., *, contexts: Any = ...
    ) -> list[NDArray[np.float64]]: ...


@strict_keywords()
@dataclass(frozen=True)
class Rescored:
    """One entry of an n-best list with its new score.

    Parameters
    ----------
    index : int
        Place of the entry in the list that was given.
    score : float
        Its score there.
    log_probability : float
        ln p of the sentence, its end included.
    combined : float
        ``(1 - weight) * score + weight * log_probability``.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.decode.Rescored(index=0, score=-2.0, log_probability=-4.0, combined=-3.0).combined
    -3.0
    """

    index: int
    score: float
    log_probability: float
    combined: float


@strict_keywords()
def rescore(
    model: _Scoring,
    lists: Sequence[Sequence[tuple[float, str | IdsLike]]],
    weight: float = 0.5,
    *,
    weight_format: str | None = None,
    contexts: Any = None,
) -> list[list[Rescored]]:
    r"""Order n-best lists anew, by their scores and a language model.

    All lists are scored together, and every beginning that sentences share is read once.

    Parameters
    ----------
    model : LanguageModel
        What judges the sentences.
    lists : sequence of sequences of (score, sentence)
        For each input its candidates. A score is the greater the better, such as ln p of a
        translation; a sentence is a text, or ids between what the model reads at their ends.
    weight : float
        Share of the model, in [0, 1]: candidates are ordered by
        ``(1 - weight) * score + weight * ln p``.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the matrices are stored; None is the model's own choice.
    contexts : array [lists,C], or None
        What a model with ``context_size`` reads with the sentences of each list.

    Returns
    -------
    list of list of Rescored
        For each list its entries, the best first; equal ones stay in their order. The list of an
        input without candidates is empty.

    Raises
    ------
    TypeError, ValueError
        If a score is not a finite number, a sentence cannot be encoded, or another argument is not
        as above.

    Examples
    --------
    >>> import rnncore as rc
    >>> tokenizer = rc.text.CharTokenizer("ab\n")
    >>> model = rc.LanguageModel(3, hidden_size=8, tokenizer=tokenizer, rng=0)
    >>> (best, second) = rc.decode.rescore(model, [[(-1.0, "ab"), (-1.5, "ba")]], 0.2)[0]
    >>> best.combined >= second.combined
    True
    """
    share = real("weight", weight, 0, 1)
    scores, sentences, owners = [], [], []
    for n, entries in enumerate(lists):
        for k, entry in enumerate(entries):
            name = f"lists[{n}][{k}]"
            if not isinstance(entry, tuple | list) or len(entry) != 2:
                raise TypeError(f"{name}: expected (score, sentence), got {describe(entry)}")
            score, sentence = entry
            scores.append(real(f"{name}: score", score))
            if isinstance(sentence, str):
                sentence = model.encode_line(sentence, name)
            sentences.append(sentence)
            owners.append(n)
    rows = None
    if contexts is not None:
        given = np.asarray(contexts)
        if len(given) != len(lists):
            raise ValueError(
                f"contexts: expected one for each of {len(lists)} lists, got {len(given)}"
            )
        rows = given[owners]
    found = model.score_prefix_tree(sentences, weight_format, contexts=rows)
    results: list[list[Rescored]] = [[] for _ in lists]
    for n, score, own in zip(owners, scores, found, strict=True):
        log_probability = math.fsum(own.tolist())
        combined = (1 - share) * score + (share * log_probability if share else 0.0)
        results[n].append(Rescored(len(results[n]), score, log_probability, combined))
    return [sorted(entries, key=lambda entry: -entry.combined) for entries in results]
