"""The page of benchmarks is what its command makes of the results, and reads what reports write."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from rnncore._bench.tables import Column, Table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of the folder of benchmarks."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_the_page_is_that_of_the_results(benchmarks: Any) -> None:
    """BENCHMARKS.md is what the command makes of the results; the README has rows of it."""
    made = benchmarks("page").page(ROOT / "benchmarks" / "results" / "zen4.md")
    assert (ROOT / "BENCHMARKS.md").read_text(encoding="utf-8") == made
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*\d x [(|].*$", readme, re.MULTILINE)
    assert len(rows) == 6
    assert set(rows) <= set(made.splitlines())


def test_the_page_reads_what_a_report_writes(benchmarks: Any, tmp_path: Path) -> None:
    report, measure, page = map(benchmarks, ("report", "measure", "page"))
    columns = (Column("T,B,I,H"), Column("rnncore ms", ".2f"), Column("ratio", ".2f"))
    rows = [
        {"T,B,I,H": "GRU 35,20,8,8", "rnncore ms": 1.5, "ratio": 3.0},
        {"T,B,I,H": "GRU 35,1,8,8", "rnncore ms": 1234.5},
    ]
    table = Table("training-1", "Training of a layer, one thread", columns, rows)
    place = report.Place("mine", tmp_path, draws=False)
    text = report.report({"layers": [table]}, measure.Plan(quick=True), 60.0, place)
    assert "--machine mine" in text
    tables = page.read(text)
    assert {"what": "duration", "value": "1 minutes, --quick"} in tables["machine"].rows
    assert tables[table.title].rows == [
        {"T,B,I,H": "GRU 35,20,8,8", "rnncore ms": 1.5, "ratio": 3.0},
        {"T,B,I,H": "GRU 35,1,8,8", "rnncore ms": 1234.5, "ratio": None},
    ]
    (row,) = page.summary(tables).rows
    assert row == {"What": "Training a GRU layer", "Beside": "PyTorch", "1 thread": "3.00 x"} | {
        "2 threads": None
    }


def test_charts_show_batches_alone(benchmarks: Any) -> None:
    page = benchmarks("page")
    assert page.large_batch({"T,B,I,H": "LSTM 35,20,200,200"})
    assert not page.large_batch({"T,B,I,H": "LSTM 100,1,256,256"})
    assert not page.large_batch({"T,B,I,H": "LSTM B >= 20, geometric mean"})
