"""The whole training step of a word model of the size of Penn Treebank, and its share of the peak.

One GRU layer of 256 units, an embedding as wide, 10,000 words that are as frequent as those of a
text (Zipf), 35 steps. The peak is measured in turn with the steps: as many multiply-adds in
registers as the products of the model have, forward and backward. On one thread the share is also
taken of processor time, in which waiting for a processor that other programs have does not count.
"""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from bench_language_model import CLIP_NORM, LEARNING_RATE, Model, torch_step
from measure import Plan, beside, run_alone, threads_text
from rnncore import _core
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step
from rnncore.data import Batch

SHARE_TARGET = 75.0  # % of the peak, on one thread


class WordModel(Model):
    """A model whose words are as frequent as those of a text."""

    def ids(self) -> NDArray[np.int64]:
        """Inputs and targets, each [T,B]."""
        weights = 1 / (np.arange(self.vocab_size) + 2.7)  # Zipf and Mandelbrot
        shape = (2, self.num_steps, self.batch)
        rng = np.random.default_rng(0)
        return rng.choice(self.vocab_size, shape, p=weights / weights.sum())


MODELS = tuple(
    WordModel(f"1x256 V10000 B{batch} T35", "gru", 1, 256, 10_000, batch, 35)
    for batch in (20, 32, 64)
)
#: What is told to `LanguageModel`, and how that is called here.
VARIANTS: dict[str, dict[str, Any]] = {
    "rnncore": {},
    "rnncore sparse": {"sparse_embedding": True},
    "rnncore tied": {"tie_weights": True},
}


def rnncore_step(case: Model, options: dict[str, Any]) -> Step:
    width = case.hidden_size
    model = rc.LanguageModel(case.vocab_size, case.cell, width, width, 1, rng=0, **options)
    optimizer = rc.optim.Adam(model, LEARNING_RATE, clip_norm=CLIP_NORM)
    inputs, targets = case.ids()

    def step() -> None:
        model.loss_and_grad(Batch(inputs, targets))
        optimizer.step(zero_grad=True)

    return step


def peak_step(case: Model, num_threads: int) -> Step:
    count = int(case.gflop * 1e9 / 2 / num_threads)
    return lambda: _core.kernel_multiply_adds("float32", count)


def processor_seconds(step: Step) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def processor_share(case: Model, options: dict[str, Any], rounds: int = 9) -> float:
    """Share of the peak on one thread, in processor time: the median over rounds."""
    ours, peak = rnncore_step(case, options), peak_step(case, 1)
    ours()
    return statistics.median(
        processor_seconds(peak) / processor_seconds(ours) for _ in range(rounds)
    )


def steps(case: Model, num_threads: int) -> dict[str, Step]:
    ours = {name: rnncore_step(case, options) for name, options in VARIANTS.items()}
    peak = peak_step(case, num_threads)
    return {**ours, "rnncore peak": peak, **torch_step(case, num_threads)}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for case in MODELS[:1] if plan.quick else MODELS:
            timings = plan.compare(count, steps, case, count)
            for name, options in VARIANTS.items():
                ours, peer = timings[name], timings.get("PyTorch")
                ratio = None if peer is None else peer.over(ours)
                share = 100 * timings["rnncore peak"].over(ours)
                more = [Check("% of peak", share, SHARE_TARGET, unit="%")] if count == 1 else []
                yield {
                    "model": f"B{case.batch} {name.removeprefix('rnncore').strip() or 'dense'}",
                    "rnncore ms": 1e3 * ours.median,
                    "+-": 1e3 * ours.spread,
                    "PyTorch ms": None if peer is None else 1e3 * peer.median,
                    "tokens/s": case.tokens / ours.median,
                    "ratio": ratio,
                    "% of peak": share,
                    "by CPU time": 100 * processor_share(case, options) if count == 1 else None,
                    **verdict(Check("ratio", ratio, 1), *more),
                }


COLUMNS = (
    Column("model"),
    Column("rnncore ms", ".1f"),
    Column("+-", ".1f"),
    Column("PyTorch ms", ".1f"),
    Column("tokens/s", ",.0f"),
    Column("ratio", ".2f"),
    Column("% of peak", ".0f"),
    Column("by CPU time", ".0f"),
    Column("target"),
    Column("met"),
)


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"word-model-{count}",
            f"Training step of a word model, GRU 1x256 V10000 T35, float32, {threads_text(count)}",
            COLUMNS,
            rows(plan, count),
            "PyTorch's model is dense and not tied in all rows.",
        )


@pytest.mark.parametrize("case", MODELS, ids=lambda m: f"B{m.batch}")
def test_training_step(benchmark: Any, case: WordModel) -> None:
    benchmark.group = f"word model B{case.batch}"
    with threads(1):
        beside(benchmark, steps(case, 1))


if __name__ == "__main__":
    run_alone("bench_word_model")
