"""All tables of a machine: `python benchmarks/report.py [module ...] [--machine NAME] [--quick]`.

They are written to benchmarks/results/NAME.md, with charts in benchmarks/results/NAME/. Modules
that are not named are left out of the file. `page.py` makes BENCHMARKS.md of it.
"""

import argparse
import datetime
import functools
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import bench_bfloat16
import bench_contention
import bench_ctc
import bench_ctc_decoding
import bench_decode
import bench_kernels
import bench_language_model
import bench_layers
import bench_long_sequences
import bench_memory
import bench_peak
import bench_ragged
import bench_recognition
import bench_rescore
import bench_rtneural
import bench_sampling
import bench_stream
import bench_translation
import bench_word_model
import charts
import rnncore as rc
from measure import Plan, Tables, measured
from overview import overview, targets
from rnncore._bench.machine import description, processor
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
    "decode": bench_decode.tables,
    "rescore": bench_rescore.tables,
    "stream": bench_stream.tables,
    "ragged": bench_ragged.tables,
    "translation": bench_translation.tables,
    "recognition": bench_recognition.tables,
    "ctc": bench_ctc.tables,
    "ctc_decoding": bench_ctc_decoding.tables,
    "contention": bench_contention.tables,
    "memory": bench_memory.tables,
    "long_sequences": bench_long_sequences.tables,
}
INTRODUCTION = """\
# Results: {machine}

Written by `python benchmarks/report.py --machine {machine}`. The method is in
[../README.md](../README.md). Times are medians, +- half of the interquartile range. A ratio is the
median of the peer's time divided by rnncore's time in the same round; above 1, rnncore is faster.
The peak is that of multiply-adds in registers in the same run. A missed target stays in its table.
"""


@dataclass(frozen=True)
class Place:
    """Where the report of a machine is written."""

    machine: str
    folder: Path = ROOT / "benchmarks" / "results"
    draws: bool = True

    @property
    def page(self) -> Path:
        """The file of tables."""
        return self.folder / f"{self.machine}.md"

    @property
    def charts(self) -> Path:
        """The folder of charts."""
        return self.folder / self.machine


def machine_name() -> str:
    """Return a name for files: that of the processor's model and its instruction set."""
    return re.sub(r"[^a-z0-9]+", "-", f"{processor()} {rc.isa()}".lower()).strip("-")


def reports(modules: Mapping[str, Tables], plan: Plan, place: Place) -> Iterator[str]:
    """Yield the report after each module, so that an interrupted run keeps its tables."""
    start = time.monotonic()
    finished: dict[str, list[Table]] = {}
    for name, tables in modules.items():
        finished[name] = [measured(table, plan) for table in tables(plan)]
        yield report(finished, plan, time.monotonic() - start, place)


def report(modules: Mapping[str, list[Table]], plan: Plan, elapsed: float, place: Place) -> str:
    """Return the machine and every module's tables; draw the charts."""
    parts: list[str] = []
    for name, tables in modules.items():
        parts += [f"## {name.replace('_', ' ').capitalize()}", *map(markdown, tables)]
    finished = [table for tables in modules.values() for table in tables]
    facts = description() | {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"}
    facts["duration"] = f"{elapsed / 60:.0f} minutes{', --quick' if plan.quick else ''}"
    machine = "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts.items())])
    pictures = charts.write(finished, place.charts) if place.draws else {}
    images = [f"![{title}]({place.machine}/{path.name})" for title, path in pictures.items()]
    summary = [markdown(overview(finished, plan.threads)), markdown(targets(finished))]
    introduction = INTRODUCTION.format(machine=place.machine)
    return "\n\n".join([introduction, machine, *summary, *images, *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="module", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and the smaller shapes")
    parser.add_argument(
        "--machine", metavar="NAME", default=machine_name(), help="name of the file and the charts"
    )
    parser.add_argument(
        "--folder", type=Path, default=Place.folder, help="folder (default: benchmarks/results)"
    )
    parser.add_argument(
        "--rtneural", type=Path, metavar="FOLDER", help="a clone of RTNeural: its table too"
    )
    parser.add_argument("--no-charts", action="store_true", help="draw no charts")
    given = parser.parse_args()
    unknown = set(given.modules) - set(MODULES)
    if unknown:
        parser.error(f"unknown module {sorted(unknown)}; expected {', '.join(MODULES)}")
    plan = Plan.of(given.quick)
    chosen = {name: MODULES[name] for name in given.modules or MODULES}
    if given.rtneural:
        chosen["rtneural"] = functools.partial(bench_rtneural.tables, source=given.rtneural)
    place = Place(given.machine, given.folder, not given.no_charts)
    with plan.sides:
        for text in reports(chosen, plan, place):
            place.page.write_text(text, encoding="utf-8")
    print(f"\nwrote {place.page}")


if __name__ == "__main__":
    main()
