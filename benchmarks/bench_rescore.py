"""Rescoring of n-best lists: as a tree of their beginnings, beside each sentence by itself.

A list holds the 100 candidates that a beam search of that width finds: the words follow each other
as in a Markov chain of perplexity 6, about that of a translation given its source. So candidates
share their beginnings as those of a translator do. The model is a word model of one GRU layer of
256 units, an embedding as wide and 10,000 words.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from measure import Plan, beside, run_alone, threads_text
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step
from rnncore.decode.prefix_tree import prefix_tree

VOCAB_SIZE, HIDDEN_SIZE, CANDIDATES = 10_000, 256, 100
TARGET = 5.0
#: Words of a candidate.
LENGTHS = (10, 20, 40)


class Chain:
    """`StepDecoder` of a Markov chain: each word has 50 successors of its own."""

    vocab_size = VOCAB_SIZE

    def start(self, count: int) -> None:
        return None

    def advance(self, tokens: NDArray[np.int64], state: None) -> tuple[Any, None]:
        return rc.decode.LogProbabilities(np.array([self.after(int(t)) for t in tokens])), None

    def select(self, state: None, rows: NDArray[np.int64]) -> None:
        return None

    def after(self, token: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(token)
        values = np.full(VOCAB_SIZE, -np.inf)
        successors = rng.choice(np.arange(2, VOCAB_SIZE), 50, replace=False)
        values[successors] = np.log(rng.dirichlet(np.full(50, 0.05)) + 1e-6)
        return values


def n_best_list(length: int) -> list[NDArray[np.int64]]:
    """Candidates between a token that begins and one that ends each."""
    options: dict[str, Any] = {"beam_size": CANDIDATES, "n_best": CANDIDATES, "max_length": length}
    (found,) = rc.decode.beam_search(Chain(), 1, start=0, end=None, **options)
    return [np.array([0, *hypothesis.tokens, 1]) for hypothesis in found]


def nodes(candidates: list[NDArray[np.int64]]) -> int:
    levels = prefix_tree(candidates, np.zeros(len(candidates), np.int64), VOCAB_SIZE)
    return sum(len(level.tokens) for level in levels[1:])


def steps(length: int) -> dict[str, Step]:
    model = rc.LanguageModel(VOCAB_SIZE, "gru", HIDDEN_SIZE, HIDDEN_SIZE, 1, rng=0)
    candidates = n_best_list(length)

    def alone() -> Any:
        return [model.score(candidate) for candidate in candidates]

    return {"rnncore": lambda: model.score_prefix_tree(candidates), "rnncore alone": alone}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for length in LENGTHS[1:2] if plan.quick else LENGTHS:
            timings = plan.compare(count, steps, length)
            ours, alone = timings["rnncore"], timings["rnncore alone"]
            candidates = n_best_list(length)
            words = sum(len(candidate) - 1 for candidate in candidates)
            ratio = alone.over(ours)
            yield {
                "words": length,
                "scored": words,
                "nodes": nodes(candidates),
                "tree ms": 1e3 * ours.median,
                "+-": 1e3 * ours.spread,
                "alone ms": 1e3 * alone.median,
                "words/s": words / ours.median,
                "ratio": ratio,
                **verdict(Check("ratio", ratio, TARGET)),
            }


COLUMNS = (
    Column("words"),
    Column("scored", ",.0f"),
    Column("nodes", ",.0f"),
    Column("tree ms", ".1f"),
    Column("+-", ".1f"),
    Column("alone ms", ".1f"),
    Column("words/s", ",.0f"),
    Column("ratio", ".1f"),
    Column("target"),
    Column("met"),
)


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"rescore-{count}",
            "Rescoring of a list of 100 candidates, GRU 1x256 V10000, float32, "
            f"{threads_text(count)}",
            COLUMNS,
            rows(plan, count),
            "The tree of a list has a node for each beginning that its candidates share.",
        )


@pytest.mark.parametrize("length", LENGTHS)
def test_rescoring(benchmark: Any, length: int) -> None:
    benchmark.group = f"rescoring of {length} words"
    with threads(1):
        beside(benchmark, steps(length))


if __name__ == "__main__":
    run_alone("bench_rescore")
