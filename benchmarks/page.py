"""BENCHMARKS.md and its charts, of results: `python benchmarks/page.py benchmarks/results/zen4.md`.

Nothing is measured: the page is a summary of what `report.py` has written.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import charts
from rnncore._bench.tables import Column, Row, Table, markdown

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "BENCHMARKS.md"
CHARTS = ROOT / "benchmarks" / "charts"
TEMPLATE = ROOT / "benchmarks" / "page.template.md"

THREADS = ("1 thread", "2 threads")
PYTORCH = "PyTorch"
BOTH = "the faster of PyTorch and ONNX Runtime"
#: What the page says, whom it is compared with, and the row of the results' overview.
SUMMARY = (
    ("Training an LSTM layer", PYTORCH, "LSTM training, batch 20 and more, over PyTorch"),
    ("Training a GRU layer", PYTORCH, "GRU training, batch 20 and more, over PyTorch"),
    ("Training an RNN layer", PYTORCH, "RNN training, batch 20 and more, over PyTorch"),
    (
        "Inference of an LSTM layer",
        BOTH,
        "LSTM inference, batch 20 and more, over the better of both",
    ),
    ("Inference of a GRU layer", BOTH, "GRU inference, batch 20 and more, over the better of both"),
    (
        "Training an LSTM language model",
        PYTORCH,
        "LSTM language model, training step, float32, over PyTorch",
    ),
    (
        "Training a GRU language model",
        PYTORCH,
        "GRU language model, training step, float32, over PyTorch",
    ),
    (
        "Sampling from a 2 x 256 LSTM, one character at a time",
        PYTORCH,
        "sampling, 2 x 256 LSTM, float32, over PyTorch",
    ),
)


def large_batch(row: Row) -> bool:
    """Whether a row is that of a layer and a batch of more than one sequence."""
    shape = re.search(r"(\d+),(\d+),\d+,\d+$", str(row["T,B,I,H"]))
    return shape is not None and shape[2] != "1"


#: Charts of the page: title in the results, how it is drawn, which rows.
PICTURES: tuple[tuple[str, charts.Chart, Callable[[Row], bool]], ...] = (
    (
        "Training of a layer, one thread",
        charts.Chart("training", "T,B,I,H", charts.PERCENT, charts.LIBRARIES[:2]),
        large_batch,
    ),
    (
        "Inference of a layer, one thread",
        charts.Chart("inference", "T,B,I,H", charts.PERCENT, charts.LIBRARIES),
        large_batch,
    ),
    (
        "Training step of a language model, float32, one thread",
        charts.Chart(
            "language-model", "model", "tokens per second", charts.TOKENS, logarithmic=True
        ),
        bool,
    ),
)


def read(text: str) -> dict[str, Table]:
    """Return the tables of a file of results by title; the first, without one, is the machine's."""
    tables: dict[str, Table] = {}
    title = ""
    lines: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            title = line.lstrip("# ")
        elif line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif lines:
            headings, _, *rows = lines
            name = title if headings[0] else "machine"
            cells = [dict(zip(headings, map(_cell, row), strict=False)) for row in rows]
            if not headings[0]:
                cells = [{"what": row[0], "value": row[1]} for row in rows]
                headings = ["what", "value"]
            tables.setdefault(name, Table(name, name, [Column(h) for h in headings], cells))
            lines = []
    return tables


def _cell(text: str) -> float | str | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return text or None


def summary(tables: dict[str, Table]) -> Table:
    """Return the rows of the page: what was measured, whom beside, and how many times as fast."""
    overview = {row["what"]: row for row in tables["Overview"].rows}
    rows = [
        {"What": what, "Beside": peer, **{key: overview[source].get(key) for key in THREADS}}
        for what, peer, source in SUMMARY
        if source in overview
    ]
    return Table("summary", "Summary", [Column(h) for h in ("What", "Beside", *THREADS)], rows)


def page(results: Path) -> str:
    """Return BENCHMARKS.md of a file of results."""
    tables = read(results.read_text(encoding="utf-8"))
    machine = [f"| {row['what']} | {row['value']} |" for row in tables["machine"].rows]
    images = [
        f"![{title}](benchmarks/charts/{chart.table}.png)"
        for title, chart, _ in PICTURES
        if title in tables
    ]
    rows = markdown(summary(tables)).split("\n\n")[1]
    text = TEMPLATE.read_text(encoding="utf-8")
    return text.format(
        summary=rows,
        machine="\n".join(["| | |", "|---|---|", *machine]),
        charts="\n\n".join(images),
        source=results.resolve().relative_to(ROOT).as_posix(),
    )


def draw(results: Path, folder: Path) -> None:
    """Draw the charts of the page and of the README."""
    tables = read(results.read_text(encoding="utf-8"))
    for title, chart, chosen in PICTURES:
        if title in tables:
            rows = list(filter(chosen, tables[title].rows))
            table = Table(chart.table, title, tables[title].columns, rows)
            charts.write([table], folder, [chart])
    charts.speed(summary(tables), THREADS, folder / "speed.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="file of report.py")
    given = parser.parse_args()
    PAGE.write_text(page(given.results), encoding="utf-8")
    draw(given.results, CHARTS)
    print(f"wrote {PAGE} and {CHARTS}")


if __name__ == "__main__":
    main()
