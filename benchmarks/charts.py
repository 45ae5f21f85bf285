"""Charts of finished tables, as PNG; none where matplotlib is not installed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnncore._bench.tables import Row, Table

COLOURS = {"rnncore": "#1f6f8b", "PyTorch": "#e07b39", "ONNX Runtime": "#8a8a8a"}
OTHER_COLOURS = ("#5b8c5a", "#b05c9c", "#c9a227")


@dataclass(frozen=True)
class Series:
    """A library's bars: the value of a row, or None where it has none."""

    name: str
    value: Callable[[Row], Any]


def column(heading: str) -> Callable[[Row], Any]:
    return lambda row: row.get(heading)


def of_peak(heading: str) -> Callable[[Row], Any]:
    """Percent of peak of a peer: its time beside rnncore's, whose percentage is known."""

    def value(row: Row) -> Any:
        peer, ours, percent = (row.get(k) for k in (heading, "rnncore ms", "% of peak"))
        return None if peer is None or ours is None or percent is None else percent * ours / peer

    return value


@dataclass(frozen=True)
class Chart:
    """Which table is drawn how."""

    table: str
    label: str  # heading of the column that names a row
    axis: str
    series: Sequence[Series]
    target: Any = None  # a line across
    logarithmic: bool = False


PERCENT = "% of the peak of multiply-adds"
LIBRARIES = (
    Series("rnncore", column("% of peak")),
    Series("PyTorch", of_peak("PyTorch ms")),
    Series("ONNX Runtime", of_peak("ONNX Runtime ms")),
)
TOKENS = (Series("rnncore", column("tokens/s")), Series("PyTorch", column("PyTorch tokens/s")))
CHARTS = (
    Chart("training-1", "T,B,I,H", PERCENT, LIBRARIES[:2], target=82),
    Chart("training-2", "T,B,I,H", PERCENT, LIBRARIES[:2], target=75),
    Chart("inference-1", "T,B,I,H", PERCENT, LIBRARIES),
    Chart("inference-2", "T,B,I,H", PERCENT, LIBRARIES),
    Chart("language-model-1", "model", "tokens per second", TOKENS, logarithmic=True),
    Chart("language-model-bfloat16-1", "model", "tokens per second", TOKENS, logarithmic=True),
    Chart(
        "sampling",
        "model",
        "characters per second",
        (
            Series("rnncore", column("characters/s")),
            Series("PyTorch LSTM", column("PyTorch LSTM")),
            Series("PyTorch LSTMCell", column("PyTorch LSTMCell")),
        ),
        logarithmic=True,
    ),
)


def write(
    tables: Sequence[Table], folder: Path, wanted: Sequence[Chart] = CHARTS
) -> dict[str, Path]:
    """Draw the charts whose tables there are; return title -> file."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("matplotlib is not installed: no charts")
        return {}
    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {table.name: table for table in tables}
    written = {}
    for chart in wanted:
        if chart.table in by_name:
            path = folder / f"{chart.table}.png"
            draw(chart, by_name[chart.table], path)
            written[by_name[chart.table].title] = path
    return written


def draw(chart: Chart, table: Table, path: Path) -> None:
    """Horizontal bars, one group for each row that has a value of rnncore."""
    from matplotlib import pyplot

    rows = [row for row in table.rows if chart.series[0].value(row) is not None]
    series = [s for s in chart.series if any(s.value(row) is not None for row in rows)]
    height = 0.8 / len(series)
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.32 * len(rows)), layout="constrained")
    for i, one in enumerate(series):
        colour = COLOURS.get(one.name, OTHER_COLOURS[i % len(OTHER_COLOURS)])
        places = [k + i * height for k in range(len(rows))]
        values = [one.value(row) or 0 for row in rows]
        axes.barh(places, values, height, label=one.name, color=colour)
    axes.set_yticks([k + 0.4 - height / 2 for k in range(len(rows))])
    axes.set_yticklabels([str(row[chart.label]) for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(chart.axis)
    axes.set_title(table.title, fontsize=10)
    if chart.logarithmic:
        axes.set_xscale("log")
    if chart.target is not None:
        axes.axvline(chart.target, color="black", linewidth=0.8, linestyle="--")
        axes.text(chart.target, -0.7, f" target {chart.target}", fontsize=7, va="bottom")
    axes.grid(axis="x", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(series), frameon=False)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def speed(table: Table, headings: Sequence[str], path: Path) -> None:
    """Draw how many times as fast rnncore is: the means, with lines from the least to the greatest.

    Cells read "2.04 x (1.43 - 2.94)"; the columns are `headings`.
    """
    from matplotlib import pyplot

    rows = list(table.rows)
    height = 0.8 / len(headings)
    figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    for i, heading in enumerate(headings):
        given = [
            (k, [float(n) for n in re.findall(r"[\d.]+", str(row[heading]))])
            for k, row in enumerate(rows)
            if row.get(heading)
        ]
        places = [k + i * height for k, _ in given]
        beyond = [values[0] - 1 for _, values in given]  # bars begin at 1: as fast
        colour = (COLOURS["rnncore"], "#7fb5c5")[i]
        axes.barh(places, beyond, height, left=1, label=heading, color=colour)
        for place, (_, values) in zip(places, given, strict=True):
            if len(values) == 3:
                axes.plot(values[1:], [place, place], color="#333333", linewidth=1)
    axes.set_yticks([k + 0.4 - height / 2 for k in range(len(rows))])
    axes.set_yticklabels([str(row["What"]).replace(", one", ",\none") for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 4, 8], ["1 x", "2 x", "4 x", "8 x"], minor=False)
    axes.minorticks_off()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel(
        "times as fast as the fastest peer (bar: mean; line: least to greatest)", fontsize=9
    )
    axes.grid(axis="x", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(headings), frameon=False)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
