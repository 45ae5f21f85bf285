"""Single steps of one sequence, on one thread: inside a sequence, and one call for each step.

Inside a sequence, the time of one call of `stream.run` is divided by its steps: what a fixed-size
program would pay; `bench_rtneural.py` has one beside it. `stream.step` is what a program in Python
pays for data that arrives step by step; PyTorch and ONNX Runtime are called with sequences of one
step.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from measure import Plan, beside, run_alone
from rnncore._bench.ceilings import read_gigabytes
from rnncore._bench.layers import GATES, Case, inference_steps
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import interleaved

SMALL = (16, 32, 64, 128)
LARGE = (256, 512, 1024)
NUM_STEPS = 2000

READING_TARGET = 80  # percent of the bandwidth of the cache that holds the weights

BYTES = {"float32": 4, "bfloat16": 2, "int8": 1, "int8_dynamic": 1}
WEIGHT_FORMATS = tuple(BYTES)


def stream_step(case: Case, weight_format: str = "float32") -> Any:
    """One step, called from Python."""
    stream = case.layer().stream(weight_format=weight_format)
    frame, out = case.arrays()[0][0], np.empty((1, case.hidden_size), np.float32)
    return lambda: stream.step(frame, out)


def small_rows(plan: Plan) -> Iterator[Row]:
    with threads(1):
        for cell in GATES:
            for size in SMALL:
                single, long = (Case(cell, steps, 1, 1, size) for steps in (1, NUM_STEPS))
                stream, x = long.layer().stream(), long.arrays()[0]
                inside = functools.partial(stream.run, x, np.empty((NUM_STEPS, 1, size), x.dtype))
                peers = {n: s for n, s in inference_steps(single).items() if n != "rnncore"}
                sides = {"inside": inside, "stream": stream_step(single), **peers}
                timings = interleaved(sides, plan.effort(budget=0.7))
                micro = {name: 1e6 * timing.median for name, timing in timings.items()}
                yield {
                    "cell": f"{cell} H={size}",
                    "in a sequence": micro["inside"] / NUM_STEPS,
                    "stream.step": micro["stream"],
                    **{name: micro[name] for name in peers},
                }


def large_rows(plan: Plan) -> Iterator[Row]:
    with threads(1):
        for cell in GATES:
            for size in (256,) if plan.quick else LARGE:
                case = Case(cell, 1, 1, size, size)
                sides = {form: stream_step(case, form) for form in WEIGHT_FORMATS}
                timings = interleaved(sides, plan.effort(budget=0.7))
                for form in WEIGHT_FORMATS:
                    read = 2 * case.recurrent_bytes // 4 * BYTES[form]  # W_ih and W_hh
                    rate = read / timings[form].median / 1e9
                    bandwidth = read_gigabytes(read)
                    percent = 100 * rate / bandwidth
                    yield {
                        "cell": f"{cell} H={size} {form}",
                        "KiB": read / 1024,
                        "us/step": 1e6 * timings[form].median,
                        "GB/s": rate,
                        "read GB/s": bandwidth,
                        "%": percent,
                        **verdict(Check("bandwidth", percent, READING_TARGET, unit="%")),
                    }


def tables(plan: Plan) -> Iterator[Table]:
    yield Table(
        "steps",
        "Microseconds a step, one sequence, one input, one thread",
        (
            Column("cell"),
            Column("in a sequence", ".3f"),
            Column("stream.step", ".2f"),
            Column("PyTorch", ".2f"),
            Column("ONNX Runtime", ".2f"),
        ),
        small_rows(plan),
        "All but the first are one call from Python for each step.",
    )
    yield Table(
        "stream-reading",
        "stream.step with I = H: how fast it reads its weights, one thread",
        (
            Column("cell"),
            Column("KiB", ".0f"),
            Column("us/step", ".2f"),
            Column("GB/s", ".0f"),
            Column("read GB/s", ".0f"),
            Column("%", ".0f"),
            Column("target"),
            Column("met"),
        ),
        large_rows(plan),
        "The call from Python is a part of the step.",
    )


@pytest.mark.parametrize("size", [*SMALL, *LARGE])
@pytest.mark.parametrize("cell", GATES)
def test_stream_step(benchmark: Any, cell: str, size: int) -> None:
    benchmark.group = f"stream H={size}"
    case = Case(cell, 1, 1, 1, size)
    peers = {n: s for n, s in inference_steps(case).items() if n != "rnncore"}
    with threads(1):
        beside(benchmark, {"rnncore": stream_step(case), **peers}, rounds=50)


if __name__ == "__main__":
    run_alone("bench_stream")
