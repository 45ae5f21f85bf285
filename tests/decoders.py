"""Decoders whose every probability is known, and all sequences of a small vocabulary."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnncore as rc

Ids = NDArray[np.int64]
Array = NDArray[Any]


class Table:
    """p(token | the last two tokens, sentence), from a table; with attention if `source` is given.

    `calls` are the numbers of rows of all steps.
    """

    def __init__(
        self, vocab_size: int, sentences: int = 1, *, source: int = 0, seed: int = 0
    ) -> None:
        rng = np.random.default_rng(seed)
        shape = (sentences, vocab_size, vocab_size)
        self.vocab_size = vocab_size
        self.table = np.log(rng.dirichlet(np.full(vocab_size, 0.5), shape))
        self.weights = rng.dirichlet(np.ones(source), (sentences, vocab_size)) if source else None
        self.calls: list[int] = []

    def start(self, count: int) -> tuple[Ids, Ids]:
        return np.arange(count), np.zeros(count, np.int64)

    def advance(self, tokens: Ids, state: tuple[Ids, Ids]) -> tuple[Any, tuple[Ids, Ids]]:
        sentences, before = state
        self.calls.append(len(tokens))
        attention = None if self.weights is None else self.weights[sentences, tokens]
        values = self.table[sentences, before, tokens]
        return rc.decode.LogProbabilities(values, attention), (sentences, tokens)

    def select(self, state: tuple[Ids, Ids], rows: Ids) -> tuple[Ids, Ids]:
        return state[0][rows], state[1][rows]

    def alone(self, sentence: int) -> "Table":
        """The decoder of one of the sentences."""
        one = Table(self.vocab_size)
        one.table = self.table[sentence : sentence + 1]
        one.weights = None if self.weights is None else self.weights[sentence : sentence + 1]
        return one

    def log_probabilities(self, sentence: int, tokens: list[int]) -> list[float]:
        """Of tokens[1:], the first being what is read first."""
        read = [0, *tokens]
        return [
            float(self.table[sentence, a, b, c])
            for a, b, c in zip(read, read[1:], read[2:], strict=False)
        ]

    def coverage(self, sentence: int, tokens: list[int]) -> list[float]:
        """Attention to each position in the steps that read `tokens`."""
        assert self.weights is not None
        return list(self.weights[sentence, tokens].sum(axis=0))


def every_sequence(vocab_size: int, end: int | None, longest: int) -> Iterator[tuple[int, ...]]:
    """Every sequence that ends, or else has the greatest length."""
    others = [token for token in range(vocab_size) if token != end]
    if end is not None:
        for length in range(longest):
            for body in itertools.product(others, repeat=length):
                yield (*body, end)
    yield from itertools.product(others, repeat=longest)


def has_repeat(tokens: tuple[int, ...], size: int) -> bool:
    """Whether an n-gram comes twice."""
    grams = [tokens[i : i + size] for i in range(len(tokens) - size + 1)]
    return len(set(grams)) < len(grams)


def best_of_all(
    decoder: Table,
    sentence: int,
    *,
    start: int,
    end: int | None,
    longest: int,
    alpha: float = 1.0,
    wu: bool = False,
    beta: float = 0.0,
    ngram: int = 0,
    barred: tuple[int, ...] = (),
    prefix: tuple[int, ...] = (),
) -> list[tuple[float, tuple[int, ...]]]:
    """Score and tokens of every possible sequence, the best first."""
    found = []
    for tokens in every_sequence(decoder.vocab_size, end, longest):
        if tokens[: len(prefix)] != prefix or set(tokens[len(prefix) :]) & set(barred):
            continue
        if ngram and has_repeat(tokens, ngram):
            continue
        total = sum(decoder.log_probabilities(sentence, [start, *tokens]))
        length = len(tokens)
        score = total / (((5 + length) / 6) ** alpha if wu else length**alpha)
        if beta:
            reached = decoder.coverage(sentence, [start, *tokens[:-1]])
            score += beta * sum(math.log(min(part, 1)) for part in reached)
        found.append((not (end is not None and tokens[-1] == end), -score, tokens))
    return [(-score, tokens) for _, score, tokens in sorted(found)]


def slow_beam(
    decoder: Table,
    sentence: int,
    *,
    start: int,
    end: int,
    width: int,
    longest: int,
    barred: tuple[int, ...] = (),
    ngram: int = 0,
) -> list[tuple[float, tuple[int, ...]]]:
    """What a beam finds: ln p by the length, and tokens; one hypothesis after the other."""
    going: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    done: list[tuple[bool, float, tuple[int, ...]]] = []
    free = width
    for _ in range(longest):
        found = []
        for row, (total, tokens) in enumerate(going):
            read = [0, start, *tokens]
            p = decoder.table[sentence, read[-2], read[-1]]
            for token in range(decoder.vocab_size):
                whole = (*tokens, token)
                if token not in barred and not (ngram and has_repeat(whole, ngram)):
                    found.append((-(total + p[token]), row, -p[token], token, whole))
        going = []
        for total, *_, tokens in sorted(found)[:free]:
            if tokens[-1] == end or len(tokens) == longest:
                done.append((tokens[-1] != end, total / len(tokens), tokens))
                free -= 1
            else:
                going.append((-total, tokens))
    done.sort(key=lambda one: one[:2])  # equal ones stay in the order of finishing
    return [(-score, tokens) for _, score, tokens in done]
