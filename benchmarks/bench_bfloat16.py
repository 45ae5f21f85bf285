"""Training and inference of a layer in bfloat16, beside itself in float32 and PyTorch's autocast.

All keep weights, gradients and sums in float32. rnncore rounds the operands of products alone;
PyTorch under autocast also keeps inputs, outputs and their gradients in bfloat16. Whole training
steps of language models in bfloat16 are in ``bench_language_model.py``.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench_layers import BATCHED, QUICK
from measure import Plan, beside, run_alone, threads_text
from rnncore._bench.ceilings import peak_gflops
from rnncore._bench.layers import GATES, Case, inference_steps, training_steps
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, geometric_mean, verdict
from rnncore._bench.timing import Step, interleaved

OWN_TARGET, PYTORCH_TARGET = 1.6, 1.3  # over own float32, over autocast
Steps = Callable[..., dict[str, Step]]


def ours(steps: Steps, case: Case, num_threads: int) -> dict[str, Step]:
    """Our step in both types, which one process may measure in turn."""
    return {
        name: steps(case, num_threads, bfloat16=bfloat16)["rnncore"]
        for name, bfloat16 in (("bfloat16", True), ("float32", False))
    }


def training(case: Case, num_threads: int) -> dict[str, Step]:
    return training_steps(case, num_threads, bfloat16=True)


def inference(case: Case, num_threads: int) -> dict[str, Step]:
    return inference_steps(case, num_threads, with_onnx=False, bfloat16=True)


PASSES = {"Training": (training, training_steps), "Inference": (inference, inference_steps)}


def rows(plan: Plan, count: int, name: str) -> Iterator[Row]:
    build, steps = PASSES[name]
    shapes = [shape for shape in (QUICK if plan.quick else BATCHED) if shape[1] > 1]
    with threads(count):
        peak = peak_gflops()
        ratios = []
        for cell in GATES:
            for shape in shapes:
                case = Case(cell, *shape)
                timings = plan.compare(count, build, case, count)
                own = interleaved(ours(steps, case, count), plan.effort(count))
                median, peer = timings["rnncore"].median, timings.get("PyTorch")
                over_own = own["float32"].over(own["bfloat16"])
                ratio = None if peer is None else peer.over(timings["rnncore"])
                ratios.append(ratio)
                gflop = case.training_gflop if name == "Training" else case.forward_gflop
                checks = [Check("PyTorch", ratio, PYTORCH_TARGET)]
                if name == "Training" and case.hidden_size >= 256 and case.batch >= 32:
                    checks.append(Check("own float32", over_own, OWN_TARGET))
                yield {
                    "T,B,I,H": case.name,
                    "rnncore ms": 1e3 * median,
                    "+-": 1e3 * timings["rnncore"].spread,
                    "PyTorch ms": None if peer is None else 1e3 * peer.median,
                    "ratio": ratio,
                    "over float32": over_own,
                    "GFLOP/s": gflop / median,
                    "% of 2 x peak": 50 * gflop / median / peak,
                    **verdict(*checks),
                }
        mean = geometric_mean(ratios)
        check = Check("geometric mean", mean, PYTORCH_TARGET)
        yield {"T,B,I,H": "geometric mean", "ratio": mean, **verdict(check)}


COLUMNS = (
    Column("T,B,I,H"),
    Column("rnncore ms", ".3f"),
    Column("+-", ".3f"),
    Column("PyTorch ms", ".3f"),
    Column("ratio", ".2f"),
    Column("over float32", ".2f"),
    Column("GFLOP/s", ".0f"),
    Column("% of 2 x peak", ".0f"),
    Column("target"),
    Column("met"),
)


def tables(plan: Plan) -> Iterator[Table]:
    for name in PASSES:
        for count in plan.threads:
            yield Table(
                f"bfloat16-{name.lower()}-{count}",
                f"{name} of a layer in bfloat16, {threads_text(count)}",
                COLUMNS,
                rows(plan, count, name),
                "PyTorch runs under autocast. The peak is that of float32; an instruction of "
                "AVX-512-BF16 does twice as many multiply-adds, AMX up to sixteen times.",
            )


@pytest.mark.parametrize("shape", BATCHED[:5], ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("cell", GATES)
def test_training(benchmark: Any, cell: str, shape: tuple[int, int, int, int]) -> None:
    case = Case(cell, *shape)
    benchmark.group = f"training in bfloat16 {shape}"
    with threads(1):
        beside(benchmark, training(case, 1))
        speed = case.training_gflop / benchmark.stats.stats.median
        benchmark.extra_info["GFLOP/s"] = round(speed, 1)


if __name__ == "__main__":
    run_alone("bench_bfloat16")
