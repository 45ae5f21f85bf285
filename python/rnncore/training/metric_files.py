"""Files of metrics: a row for every update and every validation."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, TextIO

from rnncore import _files
from rnncore._check import describe, flag, integer, printable
from rnncore._keywords import StrictKeywords
from rnncore.training.callbacks import Callback, Update
from rnncore.training.result import TrainingResult, Validation
from rnncore.training.run import Run

__all__ = ["CSV", "JSONLines", "metric_file", "read_rows"]

Row = dict[str, Any]

_COLUMNS = (
    *("update", "epoch", "loss", "gradient_norm", "learning_rate", "targets_per_second"),
    *("validation_loss", "measures"),
)


class _MetricFile(StrictKeywords, Callback):
    """A text file with a line for each row; lines are written at once, so that a kill loses none.

    A run that goes on from a checkpoint goes on with its file, from the same position.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.path = _files.as_path(path)
        self.overwrite = flag("overwrite", overwrite)
        self._file: TextIO | None = None

    def on_start(self, run: Run) -> None:
        """Open the file.

        Raises
        ------
        FileExistsError
            When there is one already, ``overwrite`` is False, and the run begins anew.
        OSError
            When it cannot be written.
        """
        _files.require_writable(self.path)
        kept = []
        if run.resumed and self.path.exists():
            kept = list(_before(run, read_rows(self.path)))
        elif not self.overwrite and not self._is_without_rows():
            _files.require_new(self.path, "overwrite=True replaces it")
        with _files.replacing(self.path) as file:
            lines = self._header() + "".join(map(self._line, kept))
            file.write(lines.encode())
        # a buffer of one line: what is written survives a kill of the process
        self._file = self.path.open("a", buffering=1, encoding="utf-8", newline="")

    def on_update(self, update: Update) -> None:
        """Write a row."""
        self._write(
            {
                "update": update.update,
                "epoch": update.epoch,
                "loss": update.loss,
                "gradient_norm": update.gradient_norm,
                "learning_rate": update.learning_rate,
                "targets_per_second": round(update.targets_per_second, 1),
            }
        )

    def on_validation(self, validation: Validation) -> None:
        """Write a row."""
        row = {
            "update": validation.update,
            "epoch": validation.epoch,
            "validation_loss": validation.loss,
        }
        self._write(row | ({"measures": validation.measures} if validation.measures else {}))

    def on_end(self, result: TrainingResult) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # `_write` has told it
                self._file.close()
            self._file = None

    def _is_without_rows(self) -> bool:
        """Return whether there is a file that a run has left before its first update."""
        header = self._header().encode()
        return (
            self.path.exists()
            and self.path.stat().st_size == len(header)
            and self.path.read_bytes() == header
        )

    def _write(self, row: Row) -> None:
        assert self._file is not None
        try:
            self._file.write(self._line(row))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def _header(self) -> str:
        return ""

    @abstractmethod
    def _line(self, row: Row) -> str:
        """Return a row as text with its line feed."""


class JSONLines(_MetricFile):
    """One JSON object a line; numbers that are not finite are null.

    The object of an update has ``update``, ``epoch``, ``loss``, ``gradient_norm``,
    ``learning_rate`` and ``targets_per_second``; that of a validation has ``update``, ``epoch``,
    ``validation_loss`` and, if the model has any, ``measures``.

    Parameters
    ----------
    path : path
        The file.
    overwrite : bool
        Whether a new run may replace a file that is there already.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=2, batch_size=2)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = pathlib.Path(directory) / "metrics.jsonl"
    ...     metrics = rc.training.JSONLines(path)
    ...     result = model.fit([0, 1, 2] * 50, config, callbacks=[metrics])
    ...     rows = [json.loads(line) for line in path.read_text().splitlines()]
    >>> [row["update"] for row in rows]
    [1, 2, 3, 3, 4, 5, 6, 6]
    """

    def _line(self, row: Row) -> str:
        return f"{json.dumps({name: _or_null(value) for name, value in row.items()})}\n"


class CSV(_MetricFile):
    """Comma-separated values under a header line; what a row does not have is empty.

    Parameters
    ----------
    path : path
        The file.
    overwrite : bool
        Whether a new run may replace a file that is there already.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=1, batch_size=2)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = pathlib.Path(directory) / "metrics.csv"
    ...     metrics = rc.training.CSV(path)
    ...     result = model.fit([0, 1, 2] * 50, config, callbacks=[metrics])
    ...     header, *rows = path.read_text().splitlines()
    >>> header
    'update,epoch,loss,gradient_norm,learning_rate,targets_per_second,validation_loss,measures'
    >>> len(rows)  # three updates and a validation
    4
    """

    def _header(self) -> str:
        return f"{','.join(_COLUMNS)}\n"

    def _line(self, row: Row) -> str:
        measures = row.get("measures")
        text = io.StringIO()
        cells = row | ({"measures": json.dumps(measures)} if measures else {})
        csv.writer(text, lineterminator="\n").writerow([cells.get(name, "") for name in _COLUMNS])
        return text.getvalue()


def metric_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> _MetricFile:
    """Return the `CSV` of a path that ends in ``.csv``, the `JSONLines` of every other."""
    kind = CSV if _files.as_path(path).suffix.lower() == ".csv" else JSONLines
    return kind(path, overwrite=overwrite)


def read_rows(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Yield the rows of a file of either kind; a last line that is cut short is left out.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is no file of metrics.
    """
    path = _files.as_path(path)
    number = 1
    try:
        for row in _parsed(path.read_text(encoding="utf-8")):
            _require_row(row)
            yield row
            number += 1
    except (AttributeError, csv.Error, RecursionError, TypeError, ValueError) as error:
        reason = "" if isinstance(error, UnicodeError) else f" (row {number}: {error})"
        raise ValueError(
            f"{path}: expected a file of metrics, as JSONLines or CSV write it, got another file"
            f"{printable(reason)}"
        ) from None


def _parsed(text: str) -> Iterator[Any]:
    """Yield the rows of a text of either kind as they come."""
    lines = text.split("\n")[:-1]
    if lines and lines[0] == ",".join(_COLUMNS):
        for cells in csv.DictReader(lines):
            yield {name: _value(name, cell) for name, cell in cells.items() if cell}
        return
    for line in lines:
        row = json.loads(line)
        yield {name: math.nan if value is None else value for name, value in row.items()}


def _require_row(row: Row) -> None:
    """Raise TypeError or ValueError unless it is the row of an update or of a validation."""
    if "update" not in row:
        raise ValueError("expected an update, got none")
    integer("update", row["update"], 0, 2**63 - 1)
    name = "validation_loss" if "validation_loss" in row else "loss"
    if name not in row:
        raise ValueError("expected a loss or a validation_loss, got neither")
    loss = row[name]
    if isinstance(loss, bool) or not isinstance(loss, int | float):
        raise TypeError(f"{name}: expected a number, got {describe(loss)}")
    if isinstance(loss, int) and loss.bit_length() > 1023:
        raise ValueError(f"{name}: expected a number of 64 bits, got {describe(loss)}")


def _value(name: str, cell: str) -> Any:
    if name == "measures":
        return json.loads(cell)
    return int(cell) if name in ("update", "epoch") else float(cell)


def _before(run: Run, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows of what `run` has done; those after its checkpoint will be written again."""
    validations = len(run.result.validations)
    for row in rows:
        if "validation_loss" in row:
            validations -= 1
            if validations >= 0:
                yield row
        elif row["update"] <= run.updates:
            yield row


def _or_null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
