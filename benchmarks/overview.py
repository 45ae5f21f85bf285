"""The head of a report: what the tables come to, and which targets are missed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rnncore._bench.tables import Column, Row, Table, geometric_mean, numbers

LIBRARIES = ("rnncore", "PyTorch", "ONNX Runtime")


@dataclass(frozen=True)
class Line:
    """A line of the overview: the values of one column in the chosen rows of a table.

    The table's name goes on with the number of threads, except where there is only one.
    """

    what: str
    table: str
    value: str
    chosen: Callable[[Row], bool]
    spec: str = ".2f"
    unit: str = "x"

    def text(self, table: Table) -> str:
        """Geometric mean (least to greatest)."""
        values = numbers(filter(self.chosen, table.rows), self.value)
        mean = geometric_mean(values)
        if mean is None:
            return ""
        low, mean_text, high = (format(v, self.spec) for v in (min(values), mean, max(values)))
        return f"{mean_text} {self.unit}" + (f" ({low} - {high})" if len(values) > 1 else "")


def shape(cell: str, single: bool) -> Callable[[Row], bool]:
    """Rows of one layer: "LSTM T,B,I,H" of batch 1, or of larger ones."""

    def chosen(row: Row) -> bool:
        name, _, sizes = str(row["T,B,I,H"]).partition(" ")
        return name == cell and sizes[0].isdigit() and (sizes.split(",")[1] == "1") == single

    return chosen


def begins(column: str, start: str) -> Callable[[Row], bool]:
    return lambda row: str(row[column]).startswith(start)


def lines() -> Iterator[Line]:
    for table, peer in (("training", "PyTorch"), ("inference", "the better of both")):
        for cell in ("LSTM", "GRU", "RNN"):
            for single, batch in ((False, "batch 20 and more"), (True, "batch 1")):
                rows = shape(cell, single)
                yield Line(f"{cell} {table}, {batch}, over {peer}", table, "ratio", rows)
                if table == "inference":
                    what = f"{cell} frozen, {table}, {batch}, over {peer}"
                    yield Line(what, table, "frozen", rows)
                if not single:
                    what = f"{cell} {table}, {batch}, of the peak"
                    yield Line(what, table, "% of peak", rows, ".0f", "%")
    for table in ("training", "inference"):
        for cell in ("LSTM", "GRU", "RNN"):
            for column, beside in (("ratio", "PyTorch"), ("over float32", "rnncore in float32")):
                what = f"{cell} {table} in bfloat16, over {beside}"
                yield Line(what, f"bfloat16-{table}", column, shape(cell, False))
    for suffix, kind in (("", "float32"), ("-bfloat16", "bfloat16")):
        for cell in ("LSTM", "GRU"):
            what = f"{cell} language model, training step, {kind}, over PyTorch"
            table = f"language-model{suffix}"
            yield Line(what, table, "ratio", begins("model", cell))
    yield Line("ragged training, half real, of the padded time", "ragged", "of padded", bool)
    for library in LIBRARIES:
        what = f"{library}: throughput left beside two busy neighbours"
        yield Line(what, "contention", "kept %", begins("library", library), ".0f", "%")
    for size in ("2 x 128", "2 x 256", "3 x 512"):
        what = f"sampling, {size} LSTM, float32, over PyTorch"
        yield Line(what, "sampling", "ratio", begins("model", f"{size} LSTM float32"), ".1f")


def overview(tables: Sequence[Table], threads: Sequence[int]) -> Table:
    """One row for each line that was measured, one column for each number of threads."""
    by_name = {table.name: table for table in tables}
    for name, count in (("sampling", 1), ("contention", threads[-1])):
        if name in by_name:
            by_name[f"{name}-{count}"] = by_name[name]
    columns = {count: f"{count} thread{'s' * (count > 1)}" for count in threads}
    rows = []
    for line in lines():
        cells = {
            heading: line.text(by_name[f"{line.table}-{count}"])
            for count, heading in columns.items()
            if f"{line.table}-{count}" in by_name
        }
        if any(cells.values()):
            rows.append({"what": line.what, **cells})
    headings = (Column("what"), *map(Column, columns.values()))
    note = "Geometric mean (least - greatest) over the rows of the tables below."
    return Table("overview", "Overview", headings, rows, note)


def targets(tables: Sequence[Table]) -> Table:
    """How many targets of each table are met, and which rows miss theirs."""
    rows: list[Row] = []
    for table in tables:
        judged = [row for row in table.rows if row.get("met")]
        missed = [row for row in judged if row["met"] != "yes"]
        if judged:
            first = table.columns[0].heading
            names = "; ".join(f"{row[first]} ({str(row['met'])[4:]})" for row in missed)
            met = f"{len(judged) - len(missed)} of {len(judged)}"
            rows.append({"table": table.title, "met": met, "missed": names})
    columns = (Column("table"), Column("met"), Column("missed"))
    return Table("targets", "Targets", columns, rows)
