"""How the benchmarks run: how long, on how many threads, alone or under pytest-benchmark."""

import argparse
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rnncore as rc
from rnncore._bench.tables import Table, show
from rnncore._bench.timing import PAUSE, Effort, Step, seconds


@dataclass(frozen=True)
class Plan:
    """What one run of the tables measures."""

    quick: bool = False
    threads: tuple[int, ...] = (1,)

    def effort(self, threads: int = 1, budget: float = 1.5) -> Effort:
        """How long to measure a row of a table."""
        pause = PAUSE if threads > 1 else 0.0
        if self.quick:
            return Effort(rounds=7, least_rounds=3, budget=budget / 5, pause=pause)
        return Effort(rounds=25, least_rounds=7, budget=budget, pause=pause)

    @classmethod
    def of(cls, quick: bool) -> "Plan":
        """One thread, then all."""
        return cls(quick, tuple(sorted({1, rc.get_num_threads()})))


Tables = Callable[[Plan], Iterable[Table]]


def run_alone(description: str | None, tables: Tables) -> None:
    """Print the tables of one module: what `python benchmarks/bench_x.py` does."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and the smaller shapes")
    for table in tables(Plan.of(parser.parse_args().quick)):
        finished = show(table)
        if finished.notes:
            print(finished.notes)


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
    medians = {name: statistics.median(values[warmup:]) for name, values in samples.items()}
    for name, median in medians.items():
        benchmark.extra_info[f"{name} [ms]"] = round(1e3 * median, 4)
    if medians:
        speed_up = min(medians.values()) / benchmark.stats.stats.median
        benchmark.extra_info["speed-up"] = round(speed_up, 3)
