"""Files that are no metrics are refused, with the row that shows it."""

from pathlib import Path

import pytest

from rnncore.cli import main
from rnncore.training.metric_files import read_rows

HEADER = "update,epoch,loss,gradient_norm,learning_rate,targets_per_second,validation_loss,measures"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"update": 1}', r"\(row 1: expected a loss or a validation_loss"),
        ('{"loss": 1}', r"\(row 1: expected an update, got none"),
        ('{"update": 1, "loss": 2}\n{"update": 2}', r"\(row 2: expected a loss"),
        ('{"update": "x", "loss": "y"}', "update: expected an integer, got str 'x'"),
        ('{"update": 1, "loss": "y"}', "loss: expected a number, got str 'y'"),
        ('{"update": 1, "loss": [1, 2]}', r"loss: expected a number, got list \[1, 2\]"),
        ('{"update": 1, "validation_loss": {}}', "validation_loss: expected a number"),
        (f'{{"update": 1, "loss": 1{"0" * 400}}}', "loss: expected a number of 64 bits"),
        ('{"update": -1, "loss": 1}', "update: expected at least 0"),
        ("[" * 100_000, "row 1"),
        ("3", "row 1"),
        (f"{HEADER}\n1,1,,,,,,", r"\(row 1: expected a loss"),
        (f"{HEADER}\n1,1,2,,,,,\nx,1,2,,,,,", "row 2"),
        (f"{HEADER}\n1,1,2,,,,,,,,", "another file"),
        (f"{HEADER}\n{'1' * 200_000},1,2,,,,,", "row 1"),
    ],
)
def test_another_file(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "metrics"
    path.write_text(f"{text}\n")
    with pytest.raises(ValueError, match=f"metrics: expected a file of metrics.*{reason}"):
        list(read_rows(path))
    assert main(["plot", str(path)]) == 2
    assert "expected a file of metrics" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_is_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_text('{"update": 1, "loss": null}\n')
    assert [row["update"] for row in read_rows(path)] == [1]


@pytest.mark.parametrize("folder", [".", "/", ".."])
def test_a_folder_is_no_file_of_metrics(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", folder]) == 2
    assert f"{folder}: Is a directory" in capsys.readouterr().err
