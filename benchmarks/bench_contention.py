"""Throughput beside busy neighbours: two processes that never sleep, on the same two processors.

Shared fairly, a program keeps half of its throughput. Threads that wait awake for a neighbour's
time slice to end lose far more.
"""

import contextlib
import operator
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from measure import Plan, run_alone
from rnncore._bench.apart import Side, Sides
from rnncore._bench.layers import Case, inference_steps, training_steps
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import rate

NEIGHBOURS = PROCESSORS = 2
TARGET = 40  # percent of the quiet throughput

CASES = {
    "training": (Case("LSTM", 64, 64, 256, 256), Case("GRU", 35, 20, 200, 200)),
    "inference": (Case("LSTM", 50, 50, 128, 128), Case("LSTM", 100, 1, 512, 512)),
}
STEPS = {"training": training_steps, "inference": inference_steps}


@contextlib.contextmanager
def two_processors() -> Iterator[None]:
    """Keep this process, and the neighbours it starts, on two processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:PROCESSORS])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def neighbours() -> Iterator[None]:
    busy = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(busy) for _ in range(NEIGHBOURS)]
    try:
        time.sleep(0.2)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rates(sides: dict[str, Side], plan: Plan) -> dict[str, tuple[list[float], list[float]]]:
    """Rates of each library, quiet and beside neighbours, in turn."""
    turns, duration = (3, 0.3) if plan.quick else (5, 0.7)
    samples: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sides}
    for _ in range(turns):
        for busy, surroundings in enumerate((contextlib.nullcontext, neighbours)):
            with surroundings():
                for name, side in sides.items():
                    time.sleep(0.06)  # the threads of the one before fall asleep
                    samples[name][busy].append(side.rate(duration))
    return samples


def rows(plan: Plan) -> Iterator[Row]:
    with two_processors(), Sides() as sides:
        for pass_, cases in CASES.items():
            for case in cases:
                built = sides.build(PROCESSORS, STEPS[pass_], case, PROCESSORS)
                measured = rates(built, plan)
                for name, (quiet, beside) in measured.items():
                    kept = 100 * statistics.median(map(operator.truediv, beside, quiet))
                    check = [Check("kept", kept, TARGET, unit="%")] if name == "rnncore" else []
                    yield {
                        "step": f"{pass_} {case.name}",
                        "library": name,
                        "quiet 1/s": statistics.median(quiet),
                        "beside neighbours 1/s": statistics.median(beside),
                        "kept %": kept,
                        **verdict(*check),
                    }


def tables(plan: Plan) -> Iterator[Table]:
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < PROCESSORS:
        return
    yield Table(
        "contention",
        "Throughput with two busy neighbours on two processors, two threads",
        (
            Column("step"),
            Column("library"),
            Column("quiet 1/s", ".1f"),
            Column("beside neighbours 1/s", ".1f"),
            Column("kept %", ".0f"),
            Column("target"),
            Column("met"),
        ),
        rows(plan),
        "Shared fairly, half of the throughput is left.",
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen")
def test_beside_neighbours(benchmark: Any) -> None:
    benchmark.group = "contention"
    step = training_steps(CASES["training"][0], PROCESSORS)["rnncore"]
    with two_processors(), threads(PROCESSORS):
        quiet = rate(step, 0.5)
        with neighbours():
            benchmark.pedantic(step, rounds=20, warmup_rounds=2)
    benchmark.extra_info["kept"] = round(1 / benchmark.stats.stats.mean / quiet, 2)


if __name__ == "__main__":
    run_alone("bench_contention")
