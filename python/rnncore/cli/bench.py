"""``rnncore bench``: how fast this machine trains, runs and samples, beside what is installed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import rnncore
from rnncore._bench import layers
from rnncore._bench.apart import Build, Sides, compared
from rnncore._bench.ceilings import peak_gflops
from rnncore._bench.layers import Case
from rnncore._bench.machine import description, threads
from rnncore._bench.sampling import Sampling
from rnncore._bench.tables import Column, Row, Table, show
from rnncore._bench.timing import Effort, interleaved
from rnncore._check import real

__all__ = ["HELP", "add_options", "run"]

HELP = "measure this machine, beside PyTorch and ONNX Runtime where they are installed"

_SHAPES = ((35, 20, 200, 200), (64, 64, 256, 256), (100, 1, 256, 256))
_SAMPLING = (Sampling(2, 128), Sampling(2, 256))
_OURS, _THEIRS = 500, 20  # characters of one call
_PASSES: dict[str, Build] = {
    "training": layers.training_steps,
    "inference": layers.inference_steps,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print how fast a layer trains and runs, and how fast a language model writes, on one "
        "thread and on all. Other libraries are measured in turn with rnncore where they are "
        "installed; a ratio above 1 is in favor of rnncore. It takes less than a minute."
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.4,
        metavar="X",
        help="approximate seconds for each comparison (default: 0.4)",
    )


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    budget = real("--seconds", given.seconds, 0)
    facts = description()
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")
    effort = Effort(9, 3, budget)
    counts = sorted({1, rnncore.get_num_threads()})
    for count in counts:
        with threads(count), Sides() as sides:
            peak = peak_gflops()
            print(f"\n{count} thread{'s' * (count > 1)}: peak of multiply-adds {peak:.0f} GFLOP/s")
            show(_layers(count, sides, effort if count == 1 else effort.among_threads(), peak))
    with threads(1):
        show(_sampling(effort))
    return 0


def _layers(count: int, sides: Sides, effort: Effort, peak: float) -> Table:
    columns = (
        Column("T,B,I,H"),
        Column("rnncore ms", ".2f"),
        Column("PyTorch ms", ".2f"),
        Column("ONNX Runtime ms", ".2f"),
        Column("ratio", ".2f"),
        Column("GFLOP/s", ".0f"),
        Column("% of peak", ".0f"),
    )
    title = "A layer: training (forward and backward), inference"
    return Table(f"layers-{count}", title, columns, _layer_rows(count, sides, effort, peak))


def _layer_rows(count: int, sides: Sides, effort: Effort, peak: float) -> Iterator[Row]:
    for pass_ in _PASSES:
        for cell in layers.GATES:
            for shape in _SHAPES:
                case = Case(cell, *shape)
                gflop = case.training_gflop if pass_ == "training" else case.forward_gflop
                timings = compared(sides, count, effort, _PASSES[pass_], case, count)
                ours = timings.pop("rnncore")
                yield {
                    "T,B,I,H": f"{case.name} {pass_}",
                    "rnncore ms": 1e3 * ours.median,
                    **{f"{name} ms": 1e3 * peer.median for name, peer in timings.items()},
                    "ratio": min((peer.over(ours) for peer in timings.values()), default=None),
                    "GFLOP/s": gflop / ours.median,
                    "% of peak": 100 * gflop / ours.median / peak,
                }


def _sampling(effort: Effort) -> Table:
    columns = (
        Column("model"),
        Column("characters/s", ",.0f"),
        Column("PyTorch", ",.0f"),
        Column("ratio", ".1f"),
    )
    title = "Sampling, one character at a time, one thread"
    return Table("sampling", title, columns, _sampling_rows(effort))


def _sampling_rows(effort: Effort) -> Iterator[Row]:
    for case in _SAMPLING:
        timings = interleaved({"": case.step(_OURS), **case.peer_steps(_THEIRS)}, effort)
        own = timings.pop("")
        rates = (_THEIRS / peer.median for peer in timings.values())
        ratios = (_OURS / _THEIRS * peer.over(own) for peer in timings.values())
        yield {
            "model": case.name,
            "characters/s": _OURS / own.median,
            "PyTorch": max(rates, default=None),
            "ratio": min(ratios, default=None),
        }
