"""Runs that are killed go on from their checkpoint and end with the same bits."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import rnncore as rc
from rnncore import datasets
from rnncore.text import CharTokenizer
from rnncore.training import JSONLines, OptimizerConfig, ScheduleConfig, TrainingConfig, fit
from trainables import Counter, Ticks, plain

Train = Callable[[Path], tuple[rc.Model, rc.training.TrainingResult]]

CONFIG: dict[str, Any] = {
    "epochs": 6,
    "optimizer": OptimizerConfig("adam", 1e-2),
    "schedule": ScheduleConfig("cosine", warmup=3),
}
KILLED = "killed"


def options(folder: Path) -> dict[str, Any]:
    metrics = JSONLines(folder / "metrics")
    return {"path": folder / KILLED, "checkpoint_every": 2, "resume": True, "callbacks": [metrics]}


def language_model(folder: Path, **given: Any) -> tuple[rc.Model, rc.training.TrainingResult]:
    text = datasets.tinyshakespeare()[:1500]
    tokenizer = CharTokenizer.fit(text)
    model = rc.LanguageModel(
        *(tokenizer.vocab_size, "gru", 8, 12, 2), dropout=0.3, tokenizer=tokenizer, rng=1
    )
    config = TrainingConfig(batch_size=8, bptt=12, validate_every=3, **CONFIG, **given)
    return model, model.fit(text, config, **options(folder))


def sentences(folder: Path) -> tuple[rc.Model, rc.training.TrainingResult]:
    return language_model(folder, sentences=True)


def classifier(folder: Path) -> tuple[rc.Model, rc.training.TrainingResult]:
    rng = np.random.default_rng(0)
    sequences = [rng.standard_normal((int(n), 3)) for n in rng.integers(2, 9, 70)]
    labels = [int(sequence.sum() > 0) for sequence in sequences]
    model = rc.SequenceClassifier(2, input_size=3, hidden_size=6, dropout=0.2, rng=2)
    return model, model.fit(
        sequences, labels, TrainingConfig(batch_size=5, **CONFIG), **options(folder)
    )


class Lines:
    """Counts the lines that the training loop runs, and kills the process before one of them."""

    def __init__(self, kill_at: float = float("inf")) -> None:
        self.count, self.kill_at = 0, kill_at

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        ours = ("training", "io", "optim")
        if os.path.basename(os.path.dirname(name)) in ours or name.endswith("_files.py"):
            self.count += event == "line"
            if self.count > self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return self
        return None


def traced(lines: Lines, work: Callable[[], Any]) -> Any:
    before = sys.gettrace()
    sys.settrace(lines)
    try:
        return work()
    finally:
        sys.settrace(before)


def killed(train: Train, folder: Path, kill_at: int) -> bool:
    """Train in a process that is killed at a line, unless it is done before."""
    child = os.fork()
    if child == 0:
        traced(Lines(kill_at), lambda: train(folder))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def rows(folder: Path) -> list[dict[str, float]]:
    """Metrics without what the clock says."""
    path = folder / "metrics"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{k: v for k, v in row.items() if k != "targets_per_second"} for row in found]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("train", [language_model, sentences, classifier])
def test_killed_at_ten_random_moments(train: Train, tmp_path: Path, seed: int) -> None:
    whole, often_killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    often_killed.mkdir()
    lines = Lines()
    expected, result = traced(lines, lambda: train(whole))
    moments = np.random.default_rng(seed).integers(0, lines.count // 4, 10)
    places = []
    for moment in moments:
        if killed(train, often_killed, int(moment)):
            places.append(len(rows(often_killed)))
    assert len(places) >= 6  # the last ones may find the run done
    assert len(set(places)) >= 4  # or too little time to get further than before
    model, resumed = train(often_killed)
    assert model.flat_params.tobytes() == expected.flat_params.tobytes()
    assert resumed.losses == result.losses
    assert resumed.validations == result.validations
    assert resumed.num_targets == result.num_targets
    assert (often_killed / KILLED).read_bytes() == (whole / KILLED).read_bytes()
    assert rows(often_killed) == rows(whole)
    assert {path.name for path in often_killed.iterdir()} >= {KILLED, f"{KILLED}.checkpoint"}


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    model, result = classifier(tmp_path)
    again, same = classifier(tmp_path)
    assert (same.losses, same.validations) == (result.losses, result.validations)
    np.testing.assert_array_equal(again.flat_params, model.flat_params)


def stop_at(update: int, model: Counter, **given: Any) -> rc.training.TrainingResult | None:
    """Train, and end with an error in the middle of that update, as a kill would."""

    def training_loss(w: float) -> float:
        if len(model.values) == update:
            raise RuntimeError
        return w

    model.training_loss = training_loss
    try:
        return fit(model, Ticks(4), Ticks(1), **given)
    except RuntimeError:
        return None


def test_everything_of_a_run_goes_on(tmp_path: Path) -> None:
    """Carried state, plateau, momentum, clock, best model, skipped updates, generator."""
    config = plain(
        epochs=4,
        optimizer=OptimizerConfig("sgd", 1.0, momentum=0.5, clip_norm=None),
        schedule=ScheduleConfig("plateau"),
        non_finite="skip",
    )
    curve = {1.0: 3.0, 4.0: 2.0}

    def new() -> Counter:
        model = Counter(lambda w: curve.get(round(w, 6), 5.0 + w))
        model.broken = {3}
        return model

    whole = new()
    expected = fit(whole, Ticks(4), Ticks(1), config)
    given: dict[str, Any] = {
        "config": config,
        "checkpoint": tmp_path / "run",
        "checkpoint_every": 1,
        "resume": True,
    }
    first = new()
    assert stop_at(11, first, **given) is None
    first.rng.random(7)  # what was drawn after the checkpoint does not count
    second = new()
    second.broken = ()
    result = fit(second, Ticks(4), Ticks(1), **given)
    assert second.w == whole.w
    assert second.given_states == whole.given_states[10:]
    assert result.validations == expected.validations
    assert (result.skipped, result.num_targets) == (1, 16)
    assert result.seconds > 0
    assert second.rng.bit_generator.state == whole.rng.bit_generator.state


def test_a_checkpoint_follows_each_epoch(tmp_path: Path) -> None:
    given: dict[str, Any] = {"config": plain(epochs=5), "path": tmp_path / "model", "resume": True}
    assert stop_at(11, Counter(), **given) is None
    model = Counter()
    fit(model, Ticks(4), Ticks(1), **given)
    assert model.values == list(range(8, 20))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": plain(epochs=4)}, "epochs: expected 3 as in the checkpoint .*run, got 4"),
        ({"config": plain(epochs=3, seed=1)}, "seed: expected 0 as in the checkpoint"),
        ({"training": Ticks(5)}, "training data: expected 4 batches with .*, got 5 batches"),
        ({"validation": None}, "validation data: expected 1 batches with .*, got none"),
        ({"model": rc.LanguageModel(3, hidden_size=4)}, "model: expected Counter as in"),
    ],
)
def test_another_run_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "model": Counter(),
        "training": Ticks(4),
        "validation": Ticks(1),
        "config": plain(epochs=3),
        "checkpoint": tmp_path / "run",
        "resume": True,
    }
    fit(**given)
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(ValueError, match=message):
        fit(**given | {"model": Counter()} | change)
    assert (tmp_path / "run").read_bytes() == before


def test_other_words_of_the_same_length_are_another_run(tmp_path: Path) -> None:
    model = rc.LanguageModel(3, hidden_size=4, rng=0)
    config = TrainingConfig(epochs=1, batch_size=2)
    model.fit([0, 1, 2] * 50, config, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="training data: expected 3 batches with checksum"):
        model.fit([0, 2, 1] * 50, config, checkpoint=tmp_path / "run", resume=True)


def test_no_checkpoint_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match=r"resume=True goes on from it, overwrite=True"):
        fit(Counter(), Ticks(1), checkpoint=path)
    with pytest.raises(ValueError, match=r"run: expected a checkpoint .* truncated or damaged"):
        fit(Counter(), Ticks(1), checkpoint=path, resume=True)
    assert path.read_text() == "precious"
    fit(Counter(), Ticks(1), config=plain(epochs=1), checkpoint=path, overwrite=True)
    rc.save(rc.Linear(2, 2), tmp_path / "linear")
    with pytest.raises(ValueError, match="expected a checkpoint of a training run, got another"):
        fit(Counter(), Ticks(1), checkpoint=tmp_path / "linear", resume=True)
    with pytest.raises(ValueError, match="expected an rnncore model, got a safetensors file of"):
        rc.load(path)
    cut = path.read_bytes()[:-3]
    path.write_bytes(cut)
    with pytest.raises(ValueError, match=r"run: expected a checkpoint .* truncated or damaged"):
        fit(Counter(), Ticks(1), config=plain(epochs=1), checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "truncated or damaged .*metadata"),
        ("[]", "truncated or damaged .*metadata"),
        ('{"version": 1}', "truncated or damaged .*metadata: 'identity'"),
        ('{"version": 1, "identity": {}}', "model: expected nothing as in the checkpoint"),
        ('{"version": 9, "identity": {}}', "expected version 1 of a checkpoint, got 9"),
    ],
)
def test_foreign_metadata(text: str, message: str, tmp_path: Path) -> None:
    array = {"0": np.zeros(1)}
    content = safetensors.numpy.save(array, {"rnncore-checkpoint": text})
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        fit(Counter(), Ticks(1), checkpoint=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"resume": True}, ValueError, "checkpoint: expected a path, or the path of a model"),
        ({"checkpoint_every": 3}, ValueError, "checkpoint: expected a path"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every: expected at least 1, got 0"),
        ({"resume": 1}, TypeError, "resume: expected True or False, got int 1"),
        ({"checkpoint": 3}, TypeError, "path: expected a file name, got int 3"),
        ({"checkpoint": "/nowhere/run"}, FileNotFoundError, "nowhere"),
    ],
)
def test_bad_arguments(given: dict[str, Any], error: type[Exception], message: str) -> None:
    model = Counter()
    with pytest.raises(error, match=message):
        fit(model, Ticks(1), **given)
    assert model.values == []


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_other_generators(bits: type[np.random.BitGenerator], tmp_path: Path) -> None:
    def new() -> rc.LanguageModel:
        rng = np.random.Generator(bits(3))
        return rc.LanguageModel(3, hidden_size=4, num_layers=1, dropout=0.5, rng=rng)

    whole, config = new(), TrainingConfig(epochs=4, batch_size=2)
    expected = whole.fit([0, 1, 2] * 50, config)

    class Kill(rc.training.Callback):
        def on_update(self, update: rc.training.Update) -> None:
            if update.update == 8:
                raise RuntimeError

    given: dict[str, Any] = {"checkpoint": tmp_path / "run", "resume": True}
    with pytest.raises(RuntimeError):
        new().fit([0, 1, 2] * 50, config, **given, callbacks=[Kill()])
    model = new()
    assert model.fit([0, 1, 2] * 50, config, **given).losses == expected.losses
    np.testing.assert_array_equal(model.flat_params, whole.flat_params)
