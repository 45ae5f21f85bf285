"""Long sequences: training in the memory of 2 sqrt(T) steps, beside keeping all steps.

A step of a language model of two layers, forward and backward through all T steps at once. What a
cell keeps of a step is what back-propagation through time reads of it: values per unit as in
`bench_memory`. For an Elman network, one value, a checkpoint is as large as a step, and segments
are 512 rows at least, so that the memory of 2.25 sqrt(T) steps is what it needs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from bench_memory import KEPT
from measure import Plan, beside, run_alone, threads_text
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step, interleaved
from rnncore.data import Batch

VOCABULARY, LAYERS = 65, 2
#: T, B, H
SHAPES = ((100_000, 1, 64), (100_000, 1, 128), (10_000, 16, 128))
TARGET = 1.4  # at most, of the time without a limit


def step_bytes(cell: str, batch: int, hidden: int) -> int:
    """Bytes that are kept of one step."""
    return 4 * LAYERS * KEPT[cell] * batch * hidden


def limit_of(cell: str, shape: tuple[int, int, int]) -> int:
    """Bytes of some 2 sqrt(T) steps: a tenth more for alignment, RNN 2.25 and a tenth."""
    num_steps, batch, hidden = shape
    steps = (2.25 if cell == "rnn" else 2.0) * 1.1 * num_steps**0.5
    return int(steps * step_bytes(cell, batch, hidden))


def training_steps(cell: str, shape: tuple[int, int, int]) -> dict[str, Step]:
    """Steps with a limit ("rnncore") and without ("all steps"), which must have the same bits."""
    num_steps, batch, hidden = shape
    model = rc.LanguageModel(VOCABULARY, cell=cell, hidden_size=hidden, num_layers=LAYERS, rng=0)
    ids, targets = np.random.default_rng(0).integers(0, VOCABULARY, (2, num_steps, batch))
    gradients = []

    def step(limit: int | None) -> float:
        model.zero_grad()
        loss, _ = model.loss_and_grad(Batch(ids, targets), memory_limit=limit)
        return loss

    limit = limit_of(cell, shape)
    for chosen in (limit, None):
        step(chosen)
        gradients.append(model.flat_grads.copy())
    if not np.array_equal(*gradients):
        raise AssertionError("the gradients with and without a limit differ")
    return {"rnncore": lambda: step(limit), "all steps": lambda: step(None)}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for cell in KEPT:
            for shape in SHAPES[:1] if plan.quick else SHAPES:
                num_steps, batch, hidden = shape
                timings = interleaved(training_steps(cell, shape), plan.effort(count))
                limited, whole = timings["rnncore"], timings["all steps"]
                ratio = limited.over(whole)
                yield {
                    "cell T,B,H": f"{cell} {num_steps},{batch},{LAYERS}x{hidden}",
                    "all steps MB": num_steps * step_bytes(cell, batch, hidden) / 1e6,
                    "limit MB": limit_of(cell, shape) / 1e6,
                    "all steps s": whole.median,
                    "with limit s": limited.median,
                    "of all": ratio,
                } | verdict(Check("time", ratio, TARGET, at_most=True))


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"long-{count}",
            f"Long sequences in the memory of 2 sqrt(T) steps, {threads_text(count)}",
            (
                Column("cell T,B,H"),
                Column("all steps MB", ".1f"),
                Column("limit MB", ".2f"),
                Column("all steps s", ".3f"),
                Column("with limit s", ".3f"),
                Column("of all", ".2f"),
                Column("target"),
                Column("met"),
            ),
            rows(plan, count),
            "Both ways give the same bits, which is checked before they are timed.",
        )


@pytest.mark.parametrize("cell", KEPT)
def test_memory_limit(benchmark: Any, cell: str) -> None:
    benchmark.group = "long sequences"
    with threads(1):
        beside(benchmark, training_steps(cell, SHAPES[0]))


if __name__ == "__main__":
    run_alone("bench_long_sequences")
