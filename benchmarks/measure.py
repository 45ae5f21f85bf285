"""Measuring: interleaved rounds, medians, the arithmetic peak of the same run, and plain tables."""

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rnncore import _core

Step = Callable[[], object]


def torch_on_one_thread() -> Any:
    """The torch module limited to one thread, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    return torch


def seconds(step: Step) -> float:
    """Duration of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def interleaved_medians(steps: Mapping[str, Step], rounds: int) -> dict[str, float]:
    """Median seconds of each step; every round calls all of them in turn, A B A B.

    What disturbs the machine for a while thus disturbs all alike, and their ratio stays.
    """
    for step in steps.values():  # take memory, choose algorithms, warm caches
        step()
        step()
    samples: dict[str, list[float]] = {name: [] for name in steps}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, step in steps.items():
                samples[name].append(seconds(step))
    finally:
        gc.enable()
    return {name: statistics.median(values) for name, values in samples.items()}


def beside(benchmark: Any, ours: Step, peers: Mapping[str, Step], rounds: int) -> float | None:
    """Time `ours` with pytest-benchmark, and before each of its rounds every peer once.

    Records the peers' medians and the speed-up over the fastest in ``extra_info``; returns it.
    """
    samples: dict[str, list[float]] = {name: [] for name in peers}

    def run_peers() -> None:
        for name, peer in peers.items():
            samples[name].append(seconds(peer))

    warmup = 2
    benchmark.pedantic(ours, setup=run_peers, rounds=rounds, warmup_rounds=warmup)
    medians = {name: statistics.median(values[warmup:]) for name, values in samples.items()}
    if not medians:
        return None
    for name, median in medians.items():
        benchmark.extra_info[f"{name} [ms]"] = round(1e3 * median, 4)
    speed_up = min(medians.values()) / benchmark.stats.stats.median
    benchmark.extra_info["speed-up"] = round(speed_up, 3)
    return float(speed_up)


def peak_gflops() -> float:
    """GFLOP/s of rnncore's own product of two 512 x 512 float32 matrices, the best of 30.

    A stand-in for the peak of fused multiply-adds, which it comes close to: it includes packing.
    """
    size = 512
    a, b = np.ones((size, size), np.float32), np.ones((size, size), np.float32)
    best = min(seconds(lambda: _core.kernel_product(a, b)) for _ in range(30))
    return 2 * size**3 / best / 1e9


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as they come, the first column left, the others right aligned."""
    widths = [24, *(max(11, len(heading)) for heading in headings[1:])]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others])

    print(f"\n{title}")
    print(line(headings))
    for row in rows:
        print(line(row), flush=True)


def milliseconds(value: float | None) -> str:
    """Table cell of a duration in seconds; empty where there is none."""
    return "" if value is None else f"{1e3 * value:.3f}"


def ratio(peer: float | None, ours: float) -> str:
    """Table cell of a peer's cost divided by ours; empty where there is no peer."""
    return "" if peer is None else f"{peer / ours:.2f}"
