"""Tables: rows that are printed as they are measured, and kept for Markdown and charts."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = [
    "Check",
    "Column",
    "Row",
    "Table",
    "geometric_mean",
    "markdown",
    "numbers",
    "show",
    "verdict",
]

Cell = float | str | None
#: Heading -> value; what is missing stays empty.
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Column:
    """A heading and the format of its numbers."""

    heading: str
    spec: str = ""

    def text(self, value: Cell) -> str:
        """Return a cell as it is shown."""
        if value is None or isinstance(value, str):
            return value or ""
        return format(value, self.spec)


@dataclass(frozen=True)
class Table:
    """A title, columns and rows; `rows` may be measured while they are iterated over."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Iterable[Row]
    notes: str = ""


@dataclass(frozen=True)
class Check:
    """A measured value beside what it must be at least (or at most)."""

    what: str
    value: float | None
    target: float
    at_most: bool = False
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where nothing was measured."""
        if self.value is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def verdict(*checks: Check) -> dict[str, str]:
    """Return the cells "target" and "met" of a row."""
    targets = ", ".join(
        f"{'<=' if c.at_most else '>='} {c.target:,g} {c.unit}".rstrip() for c in checks
    )
    missed = [c.what for c in checks if c.met is False]
    known = [c for c in checks if c.met is not None]
    met = f"no: {', '.join(missed)}" if missed else "yes" if known else ""
    return {"target": targets, "met": met}


def numbers(rows: Iterable[Row], column: str) -> list[float]:
    """Return what was measured of a column."""
    return [value for row in rows if isinstance(value := row.get(column), float)]


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean of those that were measured; None where none was."""
    known = [value for value in values if value is not None]
    return statistics.geometric_mean(known) if known else None


def show(table: Table) -> Table:
    """Print a table row by row as it comes; return it with its rows in a list."""
    widths = [max(10, len(column.heading)) for column in table.columns]
    widths[0] = 26
    print(f"\n{table.title}")
    print(_line([column.heading for column in table.columns], widths), flush=True)
    rows: list[Row] = []
    for row in table.rows:
        print(_line(_texts(table, row), widths), flush=True)
        rows.append(row)
    return replace(table, rows=rows)


def markdown(table: Table) -> str:
    """Return a table in Markdown, with its title as a headline and its notes below."""
    lines = [f"### {table.title}", ""]
    lines.append(_bar(column.heading for column in table.columns))
    lines.append(_bar(["---"] + ["---:"] * (len(table.columns) - 1)))
    lines += [_bar(_texts(table, row)) for row in table.rows]
    if table.notes:
        lines += ["", table.notes]
    return "\n".join(lines) + "\n"


def _texts(table: Table, row: Row) -> list[str]:
    return [column.text(row.get(column.heading)) for column in table.columns]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The first cell to the left, the others to the right."""
    first, *others = zip(cells, widths, strict=True)
    aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(aligned).rstrip()


def _bar(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
