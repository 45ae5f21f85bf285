"""Recurrent layers beside PyTorch and ONNX Runtime: training and inference.

Training is the forward pass, then the gradients of every parameter and of the input from a given
gradient of the outputs; loss and optimiser are left out. Inference is the forward pass alone: of a
layer whose parameters may change between two calls, as PyTorch's may, and of a frozen one, whose
weights are packed once, as those of a session of ONNX Runtime are.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from measure import Plan, beside, run_alone, threads_text
from rnncore._bench.ceilings import peak_gflops, read_gigabytes
from rnncore._bench.layers import GATES, Case, frozen_step, inference_steps, training_steps
from rnncore._bench.machine import threads
from rnncore._bench.tables import (
    Check,
    Column,
    Row,
    Table,
    geometric_mean,
    numbers,
    verdict,
)
from rnncore._bench.timing import Step, interleaved

# (T, B, I, H): the language models of Zaremba et al. 2014, then longer and wider ones.
BATCHED = (
    (35, 20, 200, 200),
    (35, 20, 650, 650),
    (50, 50, 128, 128),
    (64, 64, 256, 256),
    (128, 32, 512, 512),
    (32, 128, 1024, 1024),
)
SINGLE = ((100, 1, 64, 64), (100, 1, 256, 256), (100, 1, 512, 512), (100, 1, 1024, 1024))
# (T, B, I, H, layers): small models of text or signals, a few sequences at a time.
DEEP = (
    (100, 1, 64, 64, 2),
    (100, 1, 128, 128, 2),
    (100, 1, 128, 128, 4),
    (100, 4, 128, 128, 2),
    (100, 1, 256, 256, 3),
)
QUICK = (BATCHED[0], BATCHED[2], SINGLE[1])

# Least percent of the peak of training at batch 20 and more, by whether there is one thread.
PEAK_TARGET = {True: 82, False: 75}
# Least geometric means of the ratios to PyTorch: batch 20 and more, batch 1.
TRAINING_TARGETS = {"LSTM": (1.25, 1.3), "GRU": (2.6, 3.5), "RNN": (2.6, 3.0)}
INFERENCE_TARGET = 1.2  # to the better of PyTorch and ONNX Runtime, over all cells and shapes
READING_TARGET = 85  # percent of the bandwidth of the cache that holds the weights


def shapes(plan: Plan) -> tuple[tuple[int, int, int, int], ...]:
    return QUICK if plan.quick else BATCHED + SINGLE


def mean_row(what: str, rows: list[Row], target: float | None = None) -> Row:
    """The geometric means of some rows' ratios; the target is of the first of them."""
    ratios = {column: geometric_mean(numbers(rows, column)) for column in ("ratio", "frozen")}
    checks = [] if target is None else [Check("geometric mean", ratios["ratio"], target)]
    return {"T,B,I,H": f"{what} geometric mean", **ratios, **verdict(*checks)}


def means(
    cell: str,
    rows: dict[bool, list[Row]],
    targets: tuple[float | None, float | None] = (None, None),
) -> Iterator[Row]:
    """The geometric means of the batched shapes and of those of batch 1."""
    for single, label in ((False, "B >= 20"), (True, "B = 1")):
        yield mean_row(f"{cell} {label},", rows[single], targets[single])


def training_rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        peak = peak_gflops()
        for cell in GATES:
            rows: dict[bool, list[Row]] = {False: [], True: []}
            for shape in shapes(plan):
                row = training_row(plan, count, Case(cell, *shape), peak)
                rows[shape[1] == 1].append(row)
                yield row
            yield from means(cell, rows, TRAINING_TARGETS[cell])


def training_row(plan: Plan, count: int, case: Case, peak: float) -> Row:
    timings = plan.compare(count, training_steps, case, count)
    ours, peer = timings["rnncore"], timings.get("PyTorch")
    ratio = None if peer is None else peer.over(ours)
    speed = case.training_gflop / ours.median
    percent = 100 * speed / peak
    checks = [Check("slower", ratio, 1)]
    if case.batch >= 20:
        checks.append(Check("peak", percent, PEAK_TARGET[count == 1], unit="%"))
    return {
        "T,B,I,H": case.name,
        "rnncore ms": 1e3 * ours.median,
        "+-": 1e3 * ours.spread,
        "PyTorch ms": None if peer is None else 1e3 * peer.median,
        "ratio": ratio,
        "GFLOP/s": speed,
        "% of peak": percent,
        **verdict(*checks),
    }


def inference_sides(case: Case, num_threads: int) -> dict[str, Step]:
    return inference_steps(case, num_threads) | frozen_step(case)


def inference_row(plan: Plan, count: int, case: Case, peak: float) -> Row:
    timings = plan.compare(count, inference_sides, case, count)
    ours, frozen = timings.pop("rnncore"), timings.pop("rnncore frozen")
    ratio, frozen_ratio = (
        min((peer.over(side) for peer in timings.values()), default=None) for side in (ours, frozen)
    )
    speed = case.forward_gflop / ours.median
    return {
        "T,B,I,H": case.name,
        "rnncore ms": 1e3 * ours.median,
        "+-": 1e3 * ours.spread,
        "frozen ms": 1e3 * frozen.median,
        **{f"{name} ms": 1e3 * t.median for name, t in timings.items()},
        "ratio": ratio,
        "frozen": frozen_ratio,
        "GFLOP/s": speed,
        "% of peak": 100 * speed / peak,
        **verdict(Check("slower", ratio, 1), Check("frozen", frozen_ratio, 1)),
    }


def inference_rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        peak = peak_gflops()
        of_all: list[Row] = []
        for cell in GATES:
            rows: dict[bool, list[Row]] = {False: [], True: []}
            for shape in shapes(plan):
                row = inference_row(plan, count, Case(cell, *shape), peak)
                rows[shape[1] == 1].append(row)
                yield row
            of_all += rows[False] + rows[True]
            yield from means(cell, rows)
        yield mean_row("all cells,", of_all, INFERENCE_TARGET)


def deep_rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        peak = peak_gflops()
        rows: list[Row] = []
        for cell in GATES:
            for shape in DEEP[1:2] if plan.quick else DEEP:
                rows.append(inference_row(plan, count, Case(cell, *shape), peak))
                yield rows[-1]
        yield mean_row("all cells,", rows)


def reading_rows(plan: Plan) -> Iterator[Row]:
    """Steps whose input is an id, so that they read nothing but the recurrent weights."""
    with threads(1):
        for cell in GATES:
            for size in (256,) if plan.quick else (64, 256, 512, 1024):
                case = Case(cell, 1000, 1, 64, size)
                layer, ids = case.layer(), np.arange(1000)[:, np.newaxis] % 64
                timing = interleaved({"": lambda: layer(ids)}, plan.effort(budget=0.5))[""]  # noqa: B023
                rate = case.num_steps * case.recurrent_bytes / timing.median / 1e9
                bandwidth = read_gigabytes(case.recurrent_bytes)
                percent = 100 * rate / bandwidth
                yield {
                    "cell": f"{cell} H={size}",
                    "KiB": case.recurrent_bytes / 1024,
                    "us/step": 1e6 * timing.median / case.num_steps,
                    "GB/s": rate,
                    "read GB/s": bandwidth,
                    "%": percent,
                    **verdict(Check("bandwidth", percent, READING_TARGET, unit="%")),
                }


SIDES = (Column("T,B,I,H"), Column("rnncore ms", ".3f"), Column("+-", ".3f"))
FROZEN, PYTORCH = Column("frozen ms", ".3f"), Column("PyTorch ms", ".3f")
ONNX, RATIO = Column("ONNX Runtime ms", ".3f"), Column("ratio", ".2f")
RESULTS = (Column("GFLOP/s", ".0f"), Column("% of peak", ".0f"))
VERDICT = (Column("target"), Column("met"))


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"training-{count}",
            f"Training of a layer, {threads_text(count)}",
            (*SIDES, PYTORCH, RATIO, *RESULTS, *VERDICT),
            training_rows(plan, count),
        )
    for name, title, rows in (
        ("inference", "Inference of a layer", inference_rows),
        ("deep", "Inference of deep networks, a few sequences at a time", deep_rows),
    ):
        for count in plan.threads:
            yield Table(
                f"{name}-{count}",
                f"{title}, {threads_text(count)}",
                (*SIDES, FROZEN, PYTORCH, ONNX, RATIO, Column("frozen", ".2f"), *RESULTS, *VERDICT),
                rows(plan, count),
                "Ratios are to the faster of the two: of a layer whose weights may change before "
                "the next call, as in PyTorch, and of a frozen one, whose weights are fixed, as in "
                "ONNX Runtime. Targets are of both; that of the mean, of the first.",
            )
    yield Table(
        "reading",
        "Batch 1: how fast a step reads its recurrent weights, one thread",
        (
            Column("cell"),
            Column("KiB", ".0f"),
            Column("us/step", ".2f"),
            Column("GB/s", ".0f"),
            Column("read GB/s", ".0f"),
            Column("%", ".0f"),
            *VERDICT,
        ),
        reading_rows(plan),
    )


@pytest.mark.parametrize("shape", BATCHED[:5] + SINGLE, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("pass_", ["training", "inference"])
def test_layer(benchmark: Any, pass_: str, cell: str, shape: tuple[int, int, int, int]) -> None:
    case = Case(cell, *shape)
    benchmark.group = f"{pass_} {shape}"
    steps, gflop = {
        "training": (training_steps, case.training_gflop),
        "inference": (inference_steps, case.forward_gflop),
    }[pass_]
    with threads(1):
        beside(benchmark, steps(case))
        speed = gflop / benchmark.stats.stats.median
        benchmark.extra_info["GFLOP/s"] = round(speed, 1)
        benchmark.extra_info["percent of peak"] = round(100 * speed / peak_gflops(), 1)


if __name__ == "__main__":
    run_alone("bench_layers")
