"""The CTC loss with its gradient by the logits, beside PyTorch's log_softmax and ctc_loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from measure import Plan, beside, run_alone, threads_text
from rnncore import ctc
from rnncore._bench import pytorch
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step

TARGET = 3.0  # at least, of the first case on one thread


@dataclass(frozen=True)
class Case:
    """A batch of T frames, B sequences and C symbols; numbers of labels, whether it is ragged."""

    frames: int
    batch: int
    symbols: int
    fewest: int
    most: int
    ragged: bool = False

    @property
    def name(self) -> str:
        sizes = f"{self.frames},{self.batch},{self.symbols}"
        return f"{sizes}, {self.fewest}-{self.most} labels{', ragged' * self.ragged}"

    def data(self) -> tuple[NDArray[Any], list[NDArray[np.int64]], NDArray[np.int64]]:
        """Logits [T,B,C], labels and frames of each sequence."""
        rng = np.random.default_rng(0)
        shape = (self.frames, self.batch, self.symbols)
        z = rng.standard_normal(shape, dtype=np.float32)
        counts = rng.integers(self.fewest, self.most + 1, self.batch)
        shortest = self.frames // 2 if self.ragged else self.frames
        lengths = rng.integers(shortest, self.frames + 1, self.batch)
        return z, [rng.integers(1, self.symbols, count) for count in counts], lengths


CASES = (
    Case(200, 32, 40, 20, 40),
    Case(200, 32, 40, 20, 40, ragged=True),
    Case(1000, 16, 40, 100, 150),
    Case(200, 32, 1000, 10, 20),
)


def steps(case: Case, num_threads: int) -> dict[str, Step]:
    z, targets, lengths = case.data()
    found: dict[str, Step] = {"rnncore": lambda: ctc.loss_and_grad(z, targets, lengths)}
    torch = pytorch.torch()
    if torch is None:
        return found
    logits = torch.from_numpy(z.copy()).requires_grad_()
    labels = torch.from_numpy(np.concatenate(targets))
    counts = torch.tensor([len(part) for part in targets])
    frames = torch.from_numpy(lengths)

    def peer() -> None:
        logits.grad = None
        log_p = torch.log_softmax(logits, -1)
        loss = torch.nn.functional.ctc_loss(log_p, labels, frames, counts, reduction="sum")
        loss.backward()

    return found | {"PyTorch": pytorch.on_threads(num_threads, peer)}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for case in CASES[:1] if plan.quick else CASES:
            timings = plan.compare(count, steps, case, count)
            ours, peer = timings["rnncore"], timings.get("PyTorch")
            ratio = None if peer is None else peer.over(ours)
            checked = case is CASES[0] and count == 1
            yield {
                "T,B,C": case.name,
                "ms": 1e3 * ours.median,
                "PyTorch ms": None if peer is None else 1e3 * peer.median,
                "ratio": ratio,
            } | (verdict(Check("ratio", ratio, TARGET)) if checked else {})


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"ctc-{count}",
            f"CTC loss and gradient, float32, {threads_text(count)}",
            (
                Column("T,B,C"),
                Column("ms", ".2f"),
                Column("PyTorch ms", ".2f"),
                Column("ratio", ".2f"),
                Column("target"),
                Column("met"),
            ),
            rows(plan, count),
            "Both compute the softmax too. Of ragged batches, PyTorch computes the steps past the "
            "end of a sequence in its softmax.",
        )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ctc(benchmark: Any, case: Case) -> None:
    benchmark.group = f"ctc {case.name}"
    with threads(1):
        beside(benchmark, steps(case, 1))


if __name__ == "__main__":
    run_alone("bench_ctc")
