"""``rnncore train`` with checkpoints, metrics and early stopping."""

from pathlib import Path

import pytest

import rnncore as rc
from rnncore.cli import main
from rnncore.training import Curves

TEXT = "to be or not to be, that is the question\n" * 12


def train(folder: Path, *more: str) -> int:
    text = folder / "text"
    text.write_text(TEXT)
    small = "--hidden-size 4 --batch-size 2 --bptt 16 --dropout 0 --epochs 3 --sample-length 5"
    return main(["train", str(text), "--out", str(folder / "model"), *small.split(), *more])


def test_a_run_with_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = str(tmp_path / "metrics.csv")
    options = ("--checkpoint-every", "5", "--metrics", metrics)
    assert train(tmp_path, *options) == 0
    capsys.readouterr()
    before = (tmp_path / "model").read_bytes()
    curves = Curves.of_file(metrics)
    assert len(curves.validation_losses) == 3
    assert train(tmp_path, *options) == 2
    assert (
        "model.checkpoint: File exists; --resume goes on from it, --over" in capsys.readouterr().err
    )
    assert train(tmp_path, *options, "--resume") == 0
    shown = capsys.readouterr().out
    assert f"goes on from the checkpoint after update {len(curves.updates)}\n" in shown
    assert (tmp_path / "model").read_bytes() == before
    assert Curves.of_file(metrics) == curves
    assert train(tmp_path, *options, "--resume", "--epochs", "4") == 2
    assert "epochs: expected 3 as in the checkpoint" in capsys.readouterr().err
    assert train(tmp_path, *options, "--overwrite", "--epochs", "1") == 0
    assert len(Curves.of_file(metrics).validation_losses) == 1


def test_resume_without_a_checkpoint_begins_and_replaces_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "--resume") == 0
    assert "goes on" not in capsys.readouterr().out
    (tmp_path / "model.checkpoint").unlink()
    assert train(tmp_path, "--resume") == 2
    assert "model: File exists; --overwrite replaces it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--checkpoint-every", "0"), "--checkpoint-every: expected at least 1, got 0"),
        (("--metrics", "model"), "--metrics: expected a file of its own, got "),
        (("--metrics", "text"), "--metrics: expected a file of its own, got "),
        (("--metrics", "nowhere/metrics"), "nowhere/metrics: No such file or directory"),
        (("--metrics", "old"), "old: File exists; --overwrite replaces it"),
        (("--patience", "0"), "patience: expected at least 1, got 0"),
        (("--plateau-wait", "1"), "wait: no option of schedule 'cosine', which takes"),
    ],
)
def test_bad_options(
    more: tuple[str, str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").write_text("precious")
    assert train(Path(), *more) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "old").read_text() == "precious"
    assert not (tmp_path / "model").exists()


def test_early_stopping(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--learning-rate", "0", "--patience", "2", "--epochs", "99")
    assert train(tmp_path, *options, "--schedule", "constant") == 0
    assert "stopped early after 0:0" in capsys.readouterr().out
    assert isinstance(rc.load(tmp_path / "model"), rc.LanguageModel)


@pytest.mark.parametrize("option", [("--checkpoint-every", "5"), ("--resume",)])
def test_a_checkpoint_replaces_no_text(
    option: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "model.checkpoint"
    text.write_text(TEXT)
    command = ["train", str(text), "--out", str(tmp_path / "model"), "--overwrite", *option]
    assert main([*command, "--hidden-size", "4", "--batch-size", "2"]) == 2
    assert "--out: expected another name, got " in capsys.readouterr().err
    assert text.read_text() == TEXT


def test_another_label_is_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'ab'[k % 2]}\tword{k % 7} more" for k in range(40)]
    file, out = tmp_path / "lines", tmp_path / "model"
    command = ["train", "--task", "classify", str(file), "--out", str(out), "--epochs", "1"]
    command += ["--hidden-size", "4", "--batch-size", "4", "--dropout", "0", "--resume"]
    file.write_text("\n".join(lines))
    assert main(command) == 0
    for changed in range(0, 40, 7):
        other = [*lines]
        other[changed] = "ba"[changed % 2] + lines[changed][1:]
        file.write_text("\n".join(other))
        assert main(command) == 2
        assert " data: expected" in capsys.readouterr().err
    file.write_text("\n".join(lines))
    assert main(command) == 0
