"""What a training run shows: plain lines, and on a terminal a live line."""

import io
import math
import sys
from dataclasses import replace

import pytest

from rnncore.progress import (
    PlainProgress,
    Report,
    RichProgress,
    bits,
    choose_progress,
    clock,
    perplexity,
    report_line,
)

REPORT = Report(
    epoch=2,
    epochs=10,
    fraction=0.125,
    loss=2.0,
    validation_loss=1.5,
    tokens_per_second=123456.7,
    seconds_left=75.2,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_line_of_a_report() -> None:
    assert report_line(REPORT, "character") == (
        "epoch 2/10   12%  training loss 2.000  last validation loss 1.500  "
        "123,457 characters/s  1:16 left"
    )


def test_other_measures_stand_behind_their_loss() -> None:
    measures = {"perplexity": 4.4817, "bits/token": 2.164, "accuracy": 0.875}
    measured = replace(REPORT, measures=measures)
    told = "(perplexity 4.482, 2.164 bits/token, accuracy 0.875)  "
    line = report_line(replace(measured, validated=True))
    assert f"  training loss 2.000  validation loss 1.500 {told}" in line
    assert f"  training loss 2.000 {told}" in report_line(replace(measured, validation_loss=None))
    assert "validation loss 1.500  " in report_line(measured)
    assert "validation loss 1.500  " in report_line(replace(REPORT, validated=True))


def test_a_run_that_the_time_ends_does_not_count_its_epochs() -> None:
    report = replace(REPORT, fraction=1.0, by_time=True)
    assert report_line(report).startswith("epoch 2  100% of the time  training loss")


def test_skipped_updates_are_told() -> None:
    line = report_line(REPORT)
    told = "1 update skipped (gradients not finite) so far"
    assert report_line(replace(REPORT, skipped=1)) == f"{line}  {told}"
    assert "1,234 updates skipped" in report_line(replace(REPORT, skipped=1234))


def test_units() -> None:
    assert bits(math.log(2)) == 1
    assert perplexity(0) == 1
    assert perplexity(1e9) == math.inf
    assert [clock(s) for s in (0, 0.1, 59, 60, 3599.5, 3600, 36061)] == [
        *("0:00", "0:01", "0:59", "1:00", "1:00:00", "1:00:00", "10:01:01"),
    ]


def test_plain_lines() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, "character") as progress:
        progress.show(REPORT)
        progress.show(replace(REPORT, validated=True))
    shown = [REPORT, replace(REPORT, validated=True)]
    assert stream.getvalue() == "".join(f"{report_line(r, 'character')}\n" for r in shown)


def test_a_file_gets_plain_lines() -> None:
    assert isinstance(choose_progress(io.StringIO()), PlainProgress)


def test_a_terminal_without_rich_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("rich", "rich.console", "rich.live"):
        monkeypatch.setitem(sys.modules, module, None)
    assert isinstance(choose_progress(Terminal()), PlainProgress)


def test_a_terminal_with_rich_gets_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left after the end are the lines of the validations."""
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    progress = choose_progress(stream, "character")
    assert isinstance(progress, RichProgress)
    with progress:
        progress.show(REPORT)
        assert "123,457 characters/s" in stream.getvalue()
        progress.show(replace(REPORT, epoch=3, validated=True))
        assert "\nepoch 3/10" in stream.getvalue().replace("\r", "\n").replace("\x1b[2K", "")
