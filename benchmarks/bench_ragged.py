"""Training on ragged batches: time beside that of the padded batch, half of whose steps are real.

PyTorch gets the same batch as a packed sequence, packing and unpacking included.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from measure import Plan, beside, run_alone, threads_text
from rnncore._bench import pytorch
from rnncore._bench.layers import GATES, Case, training_steps
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step

SHAPES = ((35, 20, 200, 200), (50, 50, 128, 128), (64, 64, 256, 256))
TARGET = 0.6  # at most, of the padded time


def lengths_of(case: Case) -> NDArray[np.int64]:
    """From 1 to T at even distances, in random order: half of all steps, and one."""
    lengths = np.linspace(1, case.num_steps, case.batch).round().astype(np.int64)
    return np.random.default_rng(0).permutation(lengths)


def rnncore_step(case: Case) -> Step:
    layer, lengths = case.layer(), lengths_of(case)
    x, dy = case.arrays()

    def step() -> None:
        layer.zero_grad()
        _, _, cache = layer.forward(x, lengths=lengths)
        layer.backward(dy, cache)

    return step


def torch_step(case: Case, num_threads: int) -> dict[str, Step]:
    torch = pytorch.torch()
    if torch is None:
        return {}
    rnn = torch.nn.utils.rnn
    module, lengths = pytorch.module(case.cell, case.layer()), torch.from_numpy(lengths_of(case))
    x, dy = (torch.from_numpy(a) for a in case.arrays())
    x.requires_grad_()

    def step() -> None:
        module.zero_grad()
        x.grad = None
        packed, _ = module(rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
        y, _ = rnn.pad_packed_sequence(packed, total_length=case.num_steps)
        y.backward(dy)

    return {"PyTorch": pytorch.on_threads(num_threads, step)}


def ragged_steps(case: Case, num_threads: int) -> dict[str, Step]:
    return {"rnncore": rnncore_step(case), **torch_step(case, num_threads)}


def both_steps(case: Case, num_threads: int) -> dict[str, Step]:
    """Steps on the ragged batch and, with "padded" behind the name, on the padded one."""
    padded = training_steps(case, num_threads)
    return ragged_steps(case, num_threads) | {f"{n} padded": step for n, step in padded.items()}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for cell in GATES:
            for shape in SHAPES[1:2] if plan.quick else SHAPES:
                case = Case(cell, *shape)
                timings = plan.compare(count, both_steps, case, count)
                ours, padded = timings["rnncore"], timings["rnncore padded"]
                share = ours.over(padded)
                row: dict[str, Any] = {
                    "T,B,I,H": case.name,
                    "padded ms": 1e3 * padded.median,
                    "ragged ms": 1e3 * ours.median,
                    "of padded": share,
                }
                if packed := timings.get("PyTorch"):
                    peer_padded = timings["PyTorch padded"]
                    row["PyTorch padded ms"] = 1e3 * peer_padded.median
                    row["packed ms"] = 1e3 * packed.median
                    row["packed of padded"] = packed.over(peer_padded)
                    row["ratio"] = min(peer.over(ours) for peer in (packed, peer_padded))
                yield row | verdict(Check("share", share, TARGET, at_most=True, unit=""))


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"ragged-{count}",
            f"Training with half of the padded steps real, {threads_text(count)}",
            (
                Column("T,B,I,H"),
                Column("padded ms", ".2f"),
                Column("ragged ms", ".2f"),
                Column("of padded", ".2f"),
                Column("PyTorch padded ms", ".2f"),
                Column("packed ms", ".2f"),
                Column("packed of padded", ".2f"),
                Column("ratio", ".2f"),
                Column("target"),
                Column("met"),
            ),
            rows(plan, count),
            "The ratio is to PyTorch's faster way, padded or packed. The target is of the share of "
            "the padded time.",
        )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("cell", GATES)
def test_ragged(benchmark: Any, cell: str, shape: tuple[int, int, int, int]) -> None:
    benchmark.group = f"ragged {shape}"
    case = Case(cell, *shape)
    with threads(1):
        beside(benchmark, ragged_steps(case, 1))


if __name__ == "__main__":
    run_alone("bench_ragged")
