"""Files of metrics, their curves, and files that can no longer be written or read."""

import csv
import errno
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.cli import main
from rnncore.data import Batch
from rnncore.training import CSV, Curves, JSONLines, TensorBoard, TrainingResult, Validation, fit
from rnncore.training.metric_files import metric_file, read_rows
from trainables import Counter, Ticks, plain


def trained(*callbacks: Any, **options: Any) -> TrainingResult:
    """Four updates, of which the third has no finite gradient, and two validations."""
    model = Counter(lambda w: 9 - w)
    model.broken = {3}
    config = plain(epochs=2, non_finite="skip")
    return fit(model, Ticks(2), Ticks(1), config, callbacks=callbacks, **options)


def test_json_lines(tmp_path: Path) -> None:
    trained(JSONLines(tmp_path / "metrics"))
    rows = [json.loads(line) for line in (tmp_path / "metrics").read_text().splitlines()]
    assert all(row.pop("targets_per_second") > 0 for row in rows if "loss" in row)
    shared = {"loss": 1.0, "learning_rate": 1.0}
    assert rows == [
        {"update": 1, "epoch": 1, "gradient_norm": 1.0, **shared},
        {"update": 2, "epoch": 1, "gradient_norm": 1.0, **shared},
        {"update": 2, "epoch": 1, "validation_loss": 7.0},
        {"update": 3, "epoch": 2, "gradient_norm": None, **shared},
        {"update": 4, "epoch": 2, "gradient_norm": 1.0, **shared},
        {"update": 4, "epoch": 2, "validation_loss": 6.0},
    ]


def test_csv(tmp_path: Path) -> None:
    trained(CSV(tmp_path / "metrics"))
    rows = list(csv.DictReader((tmp_path / "metrics").read_text().splitlines()))
    assert [row["update"] for row in rows] == ["1", "2", "2", "3", "4", "4"]
    assert [row["validation_loss"] for row in rows] == ["", "", "7.0", "", "", "6.0"]
    assert [row["gradient_norm"] for row in rows] == ["1.0", "1.0", "", "nan", "1.0", ""]


@pytest.mark.parametrize("name", ["metrics.csv", "metrics.jsonl"])
def test_measures_come_back(name: str, tmp_path: Path) -> None:
    file = metric_file(tmp_path / name)
    fit(Counter(), Ticks(1), config=plain(epochs=1), callbacks=[file])
    file.overwrite = True
    model = Counter()

    class Measures(rc.training.Callback):
        def on_start(self, run: rc.training.Run) -> None:
            file.on_validation(Validation(1, 0, 0.5, {"accuracy": 0.25, "f1": 0.75}))

    fit(model, Ticks(1), config=plain(epochs=1), callbacks=[file, Measures()])
    first, second = read_rows(tmp_path / name)
    assert first["measures"] == {"accuracy": 0.25, "f1": 0.75}
    assert second["loss"] == 1


@pytest.mark.parametrize("kind", [JSONLines, CSV])
def test_an_existing_file_is_kept(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_text("precious")
    model = Counter()
    with pytest.raises(FileExistsError, match="overwrite=True replaces it"):
        fit(model, Ticks(1), callbacks=[kind(path)])
    assert path.read_text() == "precious"
    assert model.values == []
    with pytest.raises(TypeError, match="overwrite: expected True or False, got int 1"):
        kind(path, overwrite=1)
    trained(kind(path, overwrite=True))
    assert len(list(read_rows(path))) == 6


def test_a_run_that_was_killed_before_its_first_update_goes_on(tmp_path: Path) -> None:
    """Its file of metrics has no row, and nothing to lose."""
    for name in ("metrics.csv", "metrics.jsonl"):
        given: dict[str, Any] = {"checkpoint": tmp_path / f"{name}.run", "resume": True}
        metric_file(tmp_path / name).on_start(rc.training.Run(Counter(), Ticks(2), None, plain()))
        trained(metric_file(tmp_path / name), **given)
        assert len(list(read_rows(tmp_path / name))) == 6


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(TensorBoard(tmp_path / "runs"))
    events = EventAccumulator(str(tmp_path / "runs"))
    events.Reload()
    seen = {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }
    assert seen["training/loss"] == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert seen["training/learning_rate"] == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert seen["validation/loss"] == [(2, 7), (4, 6)]
    assert math.isnan(seen["training/gradient_norm"][2][1])
    assert len(seen["training/targets_per_second"]) == 4


@pytest.mark.parametrize("module", ["tensorboard", "matplotlib"])
def test_without_their_packages(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    extra = {"tensorboard": "tensorboard", "matplotlib": "plot"}[module]
    with pytest.raises(ImportError, match=rf"pip install rnncore\[{extra}\]"):
        TensorBoard("runs") if module == "tensorboard" else TrainingResult([1.0]).plot()


# --- curves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metrics.csv", "metrics.jsonl"])
def test_curves_of_a_file_are_those_of_the_result(name: str, tmp_path: Path) -> None:
    result = trained(metric_file(tmp_path / name))
    assert Curves.of_file(tmp_path / name) == Curves.of_result(result)
    with (tmp_path / name).open("a") as file:
        file.write('{"update": 5, "ep')  # a run that goes on
    assert Curves.of_file(tmp_path / name) == Curves.of_result(result)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    losses = [3.0, math.nan, *np.linspace(3, 1, 98).tolist()]
    validations = [Validation(1, 50, 2.0), Validation(2, 75, 1.5), Validation(3, 100, math.inf)]
    figure = TrainingResult(losses, validations).plot(tmp_path / "picture.svg")
    (axes,) = figure.axes
    every, means, validation, best = axes.lines
    assert every.get_xdata().tolist() == list(range(1, 101))
    assert means.get_ydata()[-1] == pytest.approx(np.mean(losses[-4:]))
    assert np.isfinite(means.get_ydata()).all()
    assert validation.get_xydata().tolist()[:2] == [[50, 2], [75, 1.5]]
    assert best.get_xdata() == [75, 75]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training", "validation", "best: 1.500"]
    assert (tmp_path / "picture.svg").read_text().startswith("<?xml")
    TrainingResult().plot()
    with pytest.raises(ValueError, match=r"suffix of the picture: expected one of .*'png'"):
        TrainingResult().plot(tmp_path / "picture.doc")


def test_the_command_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    metrics = str(tmp_path / "metrics.csv")
    trained(CSV(metrics))
    assert main(["plot", metrics]) == 0
    picture = tmp_path / "metrics.png"
    assert capsys.readouterr().out == f"drew 4 updates, saved {picture}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["plot", metrics]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert main(["plot", metrics, "--overwrite"]) == 0
    assert main(["plot", str(picture), "--out", str(tmp_path / "x.png")]) == 2
    assert "expected a file of metrics, as JSONLines or CSV write it" in capsys.readouterr().err
    (tmp_path / "empty").write_text("")
    assert main(["plot", str(tmp_path / "empty")]) == 2
    assert "with at least one update, got 0" in capsys.readouterr().err
    assert main(["plot", str(tmp_path / "nowhere")]) == 2


# --- files that can no longer be used -----------------------------------------------------------


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error; model, checkpoint and metrics are those of before; the run goes on later."""
    given: dict[str, Any] = {"path": tmp_path / "model", "checkpoint_every": 1, "resume": True}

    def run(model: Counter) -> TrainingResult:
        metrics = JSONLines(tmp_path / "metrics")
        return fit(model, Ticks(1), Ticks(1), plain(epochs=9), callbacks=[metrics], **given)

    calls = iter(range(1000))

    def fsync(_: int) -> None:
        if next(calls) >= 17:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = Counter(lambda w: 20 - w)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(
            OSError, match=r"training stopped after update \d; .* is whole"
        ) as caught:
            run(model)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.startswith(str(tmp_path / "model"))
    assert (model.w, float(rc.load(tmp_path / "model").params["w"][0])) == (3, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics", "model", "model.checkpoint"}
    model = Counter(lambda w: 20 - w)
    assert len(run(model).losses) == 9
    assert model.values[0] == 3
    assert model.w == rc.load(tmp_path / "model").params["w"] == 9
    updates = [row["update"] for row in read_rows(tmp_path / "metrics") if "loss" in row]
    assert updates == list(range(1, 10))


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    class Remove(rc.training.Callback):
        def on_update(self, update: rc.training.Update) -> None:
            if update.update == 3:
                (folder / "model").unlink()
                folder.rmdir()

    model = Counter(lambda w: w)  # update 1 is the best
    model.curve = {1.0: 3.0, 2.0: 4.0, 3.0: 2.0}.__getitem__
    with pytest.raises(FileNotFoundError, match="training stopped after update 3") as caught:
        fit(model, Ticks(1), Ticks(1), path=folder / "model", config=plain(), callbacks=[Remove()])
    assert caught.value.filename == str(folder / "model")
    assert model.w == 3


def test_data_that_are_gone() -> None:
    class Gone(Ticks):
        def epoch(self, number: int) -> Iterator[Batch]:
            yield from super().epoch(number)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "text.ids")

    model = Counter()
    with pytest.raises(FileNotFoundError, match=r"stopped after update 4.*'text.ids'"):
        fit(model, Gone(4), config=plain())
    assert model.w == 4


LIMITED = """
import resource, sys
from rnncore.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files as POSIX does")
def test_a_command_whose_metrics_do_not_fit(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be, that is the question\n" * 60)
    model, metrics = tmp_path / "model", tmp_path / "metrics"
    command = f"train {text} --out {model} --metrics {metrics} --checkpoint-every 5 --epochs 20 "
    command += "--hidden-size 4 --batch-size 4 --dropout 0"

    def run(limit: int, *more: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", LIMITED, str(limit), *command.split(), *more]
        return subprocess.run(program, capture_output=True, text=True, check=False)

    done = run(12_000)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"rnncore: error: {metrics}: File too large; training stopped after upd")
    assert line.endswith("is whole")
    done = run(10**9, "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert "goes on from the checkpoint after update" in done.stdout
    updates = [row["update"] for row in read_rows(metrics) if "loss" in row]
    assert updates == list(range(1, len(updates) + 1))
    assert rc.load(model).perplexity(text.read_text()) < 30
