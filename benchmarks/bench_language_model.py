"""The whole training step of language models beside PyTorch, in tokens per second.

Embedding, recurrent layers, output layer, softmax cross-entropy, their gradients, clipping of the
norm, Adam (in PyTorch: fused). With bfloat16, rnncore computes its products in it, and PyTorch runs
the forward pass under autocast.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from measure import Plan, beside, run_alone, threads_text
from rnncore._bench import pytorch
from rnncore._bench.ceilings import peak_gflops
from rnncore._bench.layers import GATES
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step, interleaved
from rnncore.data import Batch

CLIP_NORM, LEARNING_RATE = 1.0, 1e-3


@dataclass(frozen=True)
class Model:
    """A model and its batch. The embedding is as wide as the layers."""

    name: str
    cell: str
    num_layers: int
    hidden_size: int
    vocab_size: int
    batch: int
    num_steps: int
    target: float | None = None  # least ratio to PyTorch

    @property
    def tokens(self) -> int:
        return self.batch * self.num_steps

    @property
    def gflop(self) -> float:
        """Billions of operations of the products: three times those of the forward pass."""
        layer = 2 * GATES[self.cell.upper()] * self.hidden_size**2
        output = self.hidden_size * self.vocab_size
        return 3 * 2 * self.tokens * (self.num_layers * layer + output) / 1e9

    def ids(self) -> NDArray[np.int64]:
        """Inputs and targets, each [T,B]."""
        shape = (2, self.num_steps, self.batch)
        return np.random.default_rng(0).integers(0, self.vocab_size, shape)


MODELS = (
    Model("2x128 V65 B50 T50", "lstm", 2, 128, 65, 50, 50, 1.3),
    Model("2x128 V65 B50 T50", "gru", 2, 128, 65, 50, 50, 2.5),
    Model("2x256 V65 B64 T64", "lstm", 2, 256, 65, 64, 64),
    Model("2x256 V65 B64 T64", "gru", 2, 256, 65, 64, 64),
    Model("3x512 V65 B50 T100", "lstm", 3, 512, 65, 50, 100),
    Model("3x512 V65 B50 T100", "gru", 3, 512, 65, 50, 100),
    Model("PTB small", "lstm", 2, 200, 10_000, 20, 20, 2.2),
    Model("PTB small", "gru", 2, 200, 10_000, 20, 20, 2.2),
    Model("PTB medium", "lstm", 2, 650, 10_000, 20, 35, 1.7),
    Model("PTB medium", "gru", 2, 650, 10_000, 20, 35),
)
QUICK = tuple(m for m in MODELS if m.name in ("2x128 V65 B50 T50", "PTB small"))
BFLOAT16_TARGET = 1.3
OWN_BFLOAT16_TARGET = 1.6  # from H = 256 and batch 32 on, over own float32


def rnncore_step(case: Model, bfloat16: bool = False) -> Step:
    model = rc.LanguageModel(
        case.vocab_size,
        case.cell,
        case.hidden_size,
        case.hidden_size,
        case.num_layers,
        rng=0,
        compute="bfloat16" if bfloat16 else None,
    )
    optimiser = rc.optim.Adam(model, LEARNING_RATE, clip_norm=CLIP_NORM)
    inputs, targets = case.ids()

    def step() -> None:
        model.loss_and_grad(Batch(inputs, targets))
        optimiser.step(zero_grad=True)

    return step


def torch_step(case: Model, num_threads: int, bfloat16: bool = False) -> dict[str, Step]:
    """The same in PyTorch; nothing where it is not installed."""
    torch = pytorch.torch()
    if torch is None:
        return {}
    nn = torch.nn
    embedding = nn.Embedding(case.vocab_size, case.hidden_size)
    layers = getattr(nn, case.cell.upper())(case.hidden_size, case.hidden_size, case.num_layers)
    output = nn.Linear(case.hidden_size, case.vocab_size)
    parameters = [p for m in (embedding, layers, output) for p in m.parameters()]
    optimiser = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)
    inputs, targets = (torch.from_numpy(ids) for ids in case.ids())

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            y, _ = layers(embedding(inputs))
            logits = output(y).flatten(0, 1)
            loss = nn.functional.cross_entropy(logits, targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimiser.step()

    return pytorch.step_on_threads(num_threads, step, bfloat16=bfloat16)


def steps(case: Model, num_threads: int, bfloat16: bool = False) -> dict[str, Step]:
    peer = torch_step(case, num_threads, bfloat16)
    return {"rnncore": rnncore_step(case, bfloat16), **peer}


def models(plan: Plan) -> tuple[Model, ...]:
    return QUICK if plan.quick else MODELS


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        peak = peak_gflops()
        for case in models(plan):
            timings = plan.compare(count, steps, case, count)
            yield {
                **compared(case, timings),
                "% of peak": 100 * case.gflop / timings["rnncore"].median / peak,
            }


def bfloat16_rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for case in models(plan):
            wanted = replace(case, target=BFLOAT16_TARGET)
            timings = plan.compare(count, steps, case, count, True)
            types = {"bfloat16": rnncore_step(case, True), "float32": rnncore_step(case)}
            own_timings = interleaved(types, plan.effort(count))
            own = own_timings["float32"].over(own_timings["bfloat16"])
            large = case.hidden_size >= 256 and case.batch >= 32
            more = [Check("own float32", own, OWN_BFLOAT16_TARGET)] if large else []
            yield {**compared(wanted, timings, *more), "over float32": own}


def compared(case: Model, timings: Any, *more: Check) -> dict[str, Any]:
    ours, peer = timings["rnncore"], timings.get("PyTorch")
    ratio = None if peer is None else peer.over(ours)
    return {
        "model": f"{case.cell.upper()} {case.name}",
        "rnncore ms": 1e3 * ours.median,
        "+-": 1e3 * ours.spread,
        "PyTorch ms": None if peer is None else 1e3 * peer.median,
        "tokens/s": case.tokens / ours.median,
        "PyTorch tokens/s": None if peer is None else case.tokens / peer.median,
        "ratio": ratio,
        **verdict(Check("ratio", ratio, case.target or 1), *more),
    }


COLUMNS = (
    Column("model"),
    Column("rnncore ms", ".2f"),
    Column("+-", ".2f"),
    Column("PyTorch ms", ".2f"),
    Column("tokens/s", ",.0f"),
    Column("PyTorch tokens/s", ",.0f"),
    Column("ratio", ".2f"),
)
VERDICT = (Column("target"), Column("met"))


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"language-model-{count}",
            f"Training step of a language model, float32, {threads_text(count)}",
            (*COLUMNS, Column("% of peak", ".0f"), *VERDICT),
            rows(plan, count),
        )
    for count in plan.threads:
        yield Table(
            f"language-model-bfloat16-{count}",
            f"Training step of a language model, bfloat16, {threads_text(count)}",
            (*COLUMNS, Column("over float32", ".2f"), *VERDICT),
            bfloat16_rows(plan, count),
            "PyTorch runs under autocast; the last ratio is to rnncore in float32.",
        )


@pytest.mark.parametrize("case", MODELS, ids=lambda m: f"{m.cell} {m.name}".replace(" ", "-"))
def test_training_step(benchmark: Any, case: Model) -> None:
    benchmark.group = f"language model {case.name}"
    with threads(1):
        beside(benchmark, steps(case, 1))
    benchmark.extra_info["tokens/s"] = round(case.tokens / benchmark.stats.stats.median)


if __name__ == "__main__":
    run_alone("bench_language_model")
