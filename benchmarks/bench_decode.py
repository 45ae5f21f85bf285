"""Beam search of width 5, beside the same search over PyTorch's modules.

The model is a decoder of the size of a small translator's: one GRU layer of 256 units, an embedding
as wide and 8,000 words. Every hypothesis is 20 words long. What happens between two steps is
`rnncore.decode.beam_search` in both, so that steps, log-probabilities and choices of words are
compared.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from measure import Plan, beside, run_alone, threads_text
from rnncore._bench import pytorch
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step

VOCAB_SIZE, HIDDEN_SIZE, LENGTH, BEAM_SIZE = 8_000, 256, 20, 5
FORMATS = ("float32", "bfloat16", "int8", "int8_dynamic")
#: Sentences that are searched together, and how many times as fast as PyTorch that must be.
TARGETS = {1: 4.0, 32: 1.4}


class Torch:
    """`StepDecoder` of PyTorch's modules."""

    vocab_size = VOCAB_SIZE

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._embedding = torch.nn.Embedding(VOCAB_SIZE, HIDDEN_SIZE)
        self._layer = torch.nn.GRU(HIDDEN_SIZE, HIDDEN_SIZE)
        self._output = torch.nn.Linear(HIDDEN_SIZE, VOCAB_SIZE)

    def start(self, count: int) -> Any:
        return self._torch.zeros(1, count, HIDDEN_SIZE)

    def advance(self, tokens: NDArray[np.int64], state: Any) -> tuple[Any, Any]:
        with self._torch.inference_mode():
            x = self._embedding(self._torch.from_numpy(tokens))
            y, state = self._layer(x[None], state)
            logits = self._output(y[0])
            return TorchScores(self._torch, self._torch.log_softmax(logits, -1)), state

    def select(self, state: Any, rows: NDArray[np.int64]) -> Any:
        return state[:, self._torch.from_numpy(rows)]


class TorchScores:
    attention = None

    def __init__(self, torch: Any, values: Any) -> None:
        self._torch, self._values = torch, values

    def log_probabilities(self) -> Any:
        return self._values.numpy()

    def top(self, k: int) -> tuple[Any, Any]:
        values, tokens = self._torch.topk(self._values, k)
        return values.numpy(), tokens.numpy()


def search(decoder: Any, sentences: int) -> Step:
    starts = np.arange(sentences)
    return lambda: rc.decode.beam_search(
        decoder, sentences, start=starts, end=None, beam_size=BEAM_SIZE, max_length=LENGTH
    )


def steps(sentences: int, num_threads: int) -> dict[str, Step]:
    model = rc.LanguageModel(VOCAB_SIZE, "gru", HIDDEN_SIZE, HIDDEN_SIZE, 1, rng=0)
    ours = {
        "rnncore" if name == "float32" else f"rnncore {name}": search(
            model.decoder(name), sentences
        )
        for name in FORMATS
    }
    torch = pytorch.torch()
    if torch is None:
        return ours
    step = search(Torch(torch), sentences)
    return {**ours, **pytorch.step_on_threads(num_threads, step, bfloat16=False)}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for sentences, target in TARGETS.items():
            timings = plan.compare(count, steps, sentences, count)
            peer = timings.get("PyTorch")
            for name in FORMATS:
                timing = timings["rnncore" if name == "float32" else f"rnncore {name}"]
                ratio = None if peer is None else peer.over(timing)
                yield {
                    "sentences": f"{sentences} {name}",
                    "rnncore ms": 1e3 * timing.median,
                    "+-": 1e3 * timing.spread,
                    "PyTorch ms": None if peer is None else 1e3 * peer.median,
                    "sentences/s": sentences / timing.median,
                    "ratio": ratio,
                    **verdict(Check("ratio", ratio, target)),
                }


COLUMNS = (
    Column("sentences"),
    Column("rnncore ms", ".2f"),
    Column("+-", ".2f"),
    Column("PyTorch ms", ".2f"),
    Column("sentences/s", ",.0f"),
    Column("ratio", ".2f"),
    Column("target"),
    Column("met"),
)


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"decode-{count}",
            f"Beam search of width {BEAM_SIZE}, {LENGTH} words, GRU 1x256 V8000, "
            f"{threads_text(count)}",
            COLUMNS,
            rows(plan, count),
            "PyTorch computes in float32 in all rows. The search around the steps is the same.",
        )


@pytest.mark.parametrize("sentences", TARGETS)
def test_beam_search(benchmark: Any, sentences: int) -> None:
    benchmark.group = f"beam search of {sentences} sentences"
    with threads(1):
        beside(benchmark, steps(sentences, 1))


if __name__ == "__main__":
    run_alone("bench_decode")
