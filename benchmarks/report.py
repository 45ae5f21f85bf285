"""All tables, into BENCHMARKS.md with charts: `python benchmarks/report.py [module ...] [--quick]`.

The modules that are not named are left out of the file.
"""

import argparse
import datetime
import functools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import bench_bfloat16
import bench_contention
import bench_kernels
import bench_language_model
import bench_layers
import bench_long_sequences
import bench_memory
import bench_peak
import bench_ragged
import bench_rtneural
import bench_sampling
import bench_stream
import bench_word_model
import charts
from measure import Plan, Tables, measured
from overview import overview, targets
from rnncore._bench.machine import description
from rnncore._bench.tables import Table, markdown

ROOT = Path(__file__).resolve().parent.parent
MODULES: dict[str, Tables] = {
    "peak": bench_peak.tables,
    "kernels": bench_kernels.tables,
    "layers": bench_layers.tables,
    "bfloat16": bench_bfloat16.tables,
    "language_model": bench_language_model.tables,
    "word_model": bench_word_model.tables,
    "sampling": bench_sampling.tables,
    "stream": bench_stream.tables,
    "ragged": bench_ragged.tables,
    "contention": bench_contention.tables,
    "memory": bench_memory.tables,
    "long_sequences": bench_long_sequences.tables,
}
INTRODUCTION = """\
# Benchmarks

Written by `python benchmarks/report.py`; the method is in
[benchmarks/README.md](benchmarks/README.md). Times are medians, +- half of the interquartile range;
ratios are medians of the peer's time divided by rnncore's of the same round: above 1, rnncore is
faster. They are measured in turn, with several threads each library in a process of its own. The
peak is that of multiply-adds in registers in the same run. A target that is missed stays in its
table.
"""


def reports(modules: Mapping[str, Tables], plan: Plan, draws: bool) -> Iterator[str]:
    """BENCHMARKS.md after each module, so that what was measured is not lost with what was not."""
    start = time.monotonic()
    finished: dict[str, list[Table]] = {}
    for name, tables in modules.items():
        finished[name] = [measured(table, plan) for table in tables(plan)]
        yield report(finished, plan, time.monotonic() - start, draws)


def report(modules: Mapping[str, list[Table]], plan: Plan, elapsed: float, draws: bool) -> str:
    """BENCHMARKS.md: the machine, then every module's tables; the charts are written beside."""
    parts: list[str] = []
    for name, tables in modules.items():
        parts += [f"## {name.replace('_', ' ').capitalize()}", *map(markdown, tables)]
    finished = [table for tables in modules.values() for table in tables]
    facts = description() | {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"}
    facts["duration"] = f"{elapsed / 60:.0f} minutes{', --quick' if plan.quick else ''}"
    machine = "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts.items())])
    pictures = charts.write(finished, ROOT / "benchmarks" / "charts") if draws else {}
    images = [f"![{title}](benchmarks/charts/{path.name})" for title, path in pictures.items()]
    summary = [markdown(overview(finished, plan.threads)), markdown(targets(finished))]
    return "\n\n".join([INTRODUCTION, machine, *summary, *images, *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="module", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and the smaller shapes")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "BENCHMARKS.md", help="file (default: BENCHMARKS.md)"
    )
    parser.add_argument(
        "--rtneural", type=Path, metavar="FOLDER", help="a clone of RTNeural: its table too"
    )
    parser.add_argument("--no-charts", action="store_true", help="leave benchmarks/charts/ alone")
    given = parser.parse_args()
    unknown = set(given.modules) - set(MODULES)
    if unknown:
        parser.error(f"unknown module {sorted(unknown)}; expected {', '.join(MODULES)}")
    plan = Plan.of(given.quick)
    chosen = {name: MODULES[name] for name in given.modules or MODULES}
    if given.rtneural:
        chosen["rtneural"] = functools.partial(bench_rtneural.tables, source=given.rtneural)
    with plan.sides:
        for text in reports(chosen, plan, not given.no_charts):
            given.out.write_text(text, encoding="utf-8")
    print(f"\nwrote {given.out}")


if __name__ == "__main__":
    main()
