"""All paths of frames, the labels that they lead to, and the readings of labels as words."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = tuple[int, ...]
Words = tuple[str, ...]


@dataclass
class Found:
    """Labels with the sum over their paths and the best of these: runs (symbol, start, end)."""

    log: float
    best: float
    runs: list[tuple[int, int, int]]


def runs_of(path: Sequence[int], blank: int) -> list[tuple[int, int, int]]:
    runs, t = [], 0
    for symbol, group in itertools.groupby(path):
        count = len(list(group))
        if symbol != blank:
            runs.append((symbol, t, t + count))
        t += count
    return runs


def all_labels(log_p: NDArray[Any], blank: int = 0) -> dict[Labels, Found]:
    """Every labeling that some path of positive probability leads to."""
    found: dict[Labels, Found] = {}
    steps, count = log_p.shape
    for path in itertools.product(range(count), repeat=steps):
        log = float(sum(log_p[t, s] for t, s in enumerate(path)))
        if log == -math.inf:
            continue
        runs = runs_of(path, blank)
        labels = tuple(symbol for symbol, _, _ in runs)
        if labels not in found:
            found[labels] = Found(log, log, runs)
            continue
        one = found[labels]
        one.log = float(np.logaddexp(one.log, log))
        if log > one.best:
            one.best, one.runs = log, runs
    return found


def ranked(
    log_p: NDArray[Any], readings: Callable[[Labels], Iterator[tuple[Words, float]]], blank: int = 0
) -> list[tuple[float, Labels, Words]]:
    """All results, the best first; `readings` gives the words of labels and what they add."""
    results = [
        (found.log + bonus, labels, words)
        for labels, found in all_labels(log_p, blank).items()
        for words, bonus in readings(labels)
    ]
    return sorted(results, key=lambda r: -r[0])


def word_sequences(
    labels: Labels, lexicon: dict[str, list[Labels]], separator: int | None
) -> Iterator[Words]:
    """All ways to read labels as words of a lexicon, each spelling of which counts."""
    if separator is None:
        yield from _without_separator(labels, lexicon)
        return
    pieces = [
        tuple(group)
        for is_separator, group in itertools.groupby(labels, lambda s: s == separator)
        if not is_separator
    ]
    choices = [[w for w, spellings in lexicon.items() if piece in spellings] for piece in pieces]
    yield from itertools.product(*choices)


def _without_separator(labels: Labels, lexicon: dict[str, list[Labels]]) -> Iterator[Words]:
    if not labels:
        yield ()
    for word, spellings in lexicon.items():
        for spelling in spellings:
            if labels[: len(spelling)] == spelling:
                for rest in _without_separator(labels[len(spelling) :], lexicon):
                    yield (word, *rest)


def random_frames(
    rng: np.random.Generator, steps: int, symbols: int, zeros: float = 0.0
) -> NDArray[np.float64]:
    """Log-probabilities [T,C]; a share of `zeros` of the probabilities is 0."""
    p = rng.dirichlet(np.full(symbols, 0.7), steps)
    p[rng.random(p.shape) < zeros] = 0
    p[np.arange(steps), rng.integers(0, symbols, steps)] += 0.05
    with np.errstate(divide="ignore"):
        return np.log(p / p.sum(axis=1, keepdims=True))
