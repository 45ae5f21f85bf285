"""How the benchmarks run: how long, on how many threads, alone or under pytest-benchmark."""

import argparse
import importlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import rnncore as rc
from rnncore._bench.apart import Build, Sides, compared
from rnncore._bench.machine import processor_seconds
from rnncore._bench.tables import Table, show
from rnncore._bench.timing import Effort, Step, Timing, seconds


@dataclass(frozen=True)
class Plan:
    """What one run of the tables measures."""

    quick: bool = False
    threads: tuple[int, ...] = (1,)
    sides: Sides = field(default_factory=Sides)

    def effort(self, threads: int = 1, budget: float = 1.0) -> Effort:
        """How long to measure a row of a table."""
        effort = Effort(7, 3, budget / 5) if self.quick else Effort(25, 7, budget)
        return replace(effort, rounds=11).among_threads() if threads > 1 else effort

    def compare(self, threads: int, build: Build, *arguments: Any) -> dict[str, Timing]:
        """Times of the steps that a function builds for a number of threads."""
        return compared(self.sides, threads, self.effort(threads), build, *arguments)

    @classmethod
    def of(cls, quick: bool) -> "Plan":
        """One thread, then all."""
        return cls(quick, tuple(sorted({1, rc.get_num_threads()})))


Tables = Callable[[Plan], Iterable[Table]]


def measured(table: Table, plan: Plan) -> Table:
    """Print a table as it is measured; its notes say how much other programs have disturbed it."""
    start, before = time.monotonic(), processor_seconds(plan.sides.pids)
    finished = show(table)
    notes = [finished.notes] if finished.notes else []
    after = processor_seconds(plan.sides.pids)
    if before and after:
        busy, own = (now - then for now, then in zip(after, before, strict=True))
        share = max(0.0, busy - own) / ((time.monotonic() - start) * (os.cpu_count() or 1))
        notes.append(f"Other programs took {share:.0%} of the processors meanwhile.")
    print(*notes, sep="\n")
    return replace(finished, notes=" ".join(notes))


def run_alone(name: str) -> None:
    """Print the tables of one module: what `python benchmarks/bench_x.py` does.

    The module is imported, for the processes of other libraries cannot find what is in `__main__`.
    """
    module = importlib.import_module(name)
    parser = argparse.ArgumentParser(description=module.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and the smaller shapes")
    plan = Plan.of(parser.parse_args().quick)
    with plan.sides:
        for table in module.tables(plan):
            measured(table, plan)


def threads_text(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def beside(benchmark: Any, steps: Mapping[str, Step], rounds: int = 7) -> None:
    """Time the step "rnncore" with pytest-benchmark, and before each round every other one once.

    Records the peers' medians and the speed-up over the fastest in ``extra_info``.
    """
    peers = {name: step for name, step in steps.items() if name != "rnncore"}
    samples: dict[str, list[float]] = {name: [] for name in peers}

    def run_peers() -> None:
        for name, peer in peers.items():
            samples[name].append(seconds(peer))

    warmup = 2
    benchmark.pedantic(steps["rnncore"], setup=run_peers, rounds=rounds, warmup_rounds=warmup)
    ours = Timing(tuple(benchmark.stats.stats.data))
    timings = [Timing(tuple(values[warmup:])) for values in samples.values()]
    for name, timing in zip(samples, timings, strict=True):
        benchmark.extra_info[f"{name} [ms]"] = round(1e3 * timing.median, 4)
    if timings:
        benchmark.extra_info["speed-up"] = round(min(t.over(ours) for t in timings), 3)
