"""``rnncore train --task speech`` and ``rnncore transcribe``."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from commands import fails, write_model
from rnncore.cli import main
from sounds import tone, truncate, write_wav

pytest.importorskip("kaldi_native_fbank")

SMALL = ["--hidden-size", "8", "--num-layers", "1", "--epochs", "2", "--batch-size", "4"]
PITCHES = {"low": 300.0, "high": 1500.0}


def sound(*words: str) -> Any:
    silence = np.zeros(400)
    parts = [np.concatenate([tone(0.2, pitch=PITCHES[word]), silence]) for word in words]
    return np.concatenate([silence, *parts])


def write_manifest(folder: Path, count: int = 12, **more: Any) -> Path:
    """Recordings of one to three words, and their manifest."""
    rng = np.random.default_rng(0)
    lines = []
    for k in range(count):
        words = rng.choice(list(PITCHES), rng.integers(1, 4)).tolist()
        write_wav(folder / f"{k}.wav", sound(*words))
        entry = {"audio_filepath": f"{k}.wav", "text": " ".join(words), **more}
        lines.append(json.dumps(entry))
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_features(folder: Path, *texts: str, width: int = 3) -> Path:
    lines = []
    for k, text in enumerate(texts):
        np.save(folder / f"{k}.npy", np.random.default_rng(k).standard_normal((12, width)))
        lines.append(json.dumps({"audio_filepath": f"{k}.npy", "text": text}))
    path = folder / "features.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path)


def train(manifest: Path, *options: str) -> list[str]:
    out = str(manifest.parent / "model")
    return ["train", "--task", "speech", str(manifest), "--out", out, *SMALL, *options]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recognizer")
    options = ["--epochs", "60", "--stack", "3", "--dropout", "0", "--learning-rate", "0.02"]
    assert main(train(write_manifest(folder), "--num-mels", "20", *options)) == 0
    return folder / "model"


# --- training -----------------------------------------------------------------------------------


def test_train(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--cell", "gru", "--features", "mfcc", "--deltas", "1", "--one-direction"]
    assert main(train(manifest, *options)) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    header, *reports, saved = printed.out.splitlines()
    assert header.startswith(f"{manifest}: 12 recordings, ")
    assert " steps, 2 symbols. gru 1 x 8: " in header
    assert len(reports) == 2
    assert all("(error_rate " in line and " symbols/s " in line for line in reports)
    assert f"saved {manifest.parent / 'model'}: validation loss" in saved
    model = rc.load(manifest.parent / "model")
    assert isinstance(model, rc.CTCRecognizer)
    assert model.symbols == ["high", "low"]
    assert (model.cell, model.bidirectional, model.separator) == ("gru", False, " ")
    assert (model.features.kind, model.features.rate, model.features.deltas) == ("mfcc", 8000, 1)
    assert model.features.normalization == "running"


def test_characters_and_another_validation_set(manifest: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    held_out = write_manifest(folder, 3)
    assert main(train(manifest, "--characters", "--validation", str(held_out))) == 0
    model = rc.load(manifest.parent / "model")
    assert model.symbols == sorted(set("high low"))
    assert model.features.normalization == "utterance"


def test_features_of_files_and_labels_of_frames(tmp_path: Path) -> None:
    texts = [" ".join("ab"[k % 2] for k in range(12)), "a " * 12, "b " * 12]
    manifest = write_features(tmp_path, *texts)
    assert main(train(manifest, "--frame-labels", "--validation-fraction", "0")) == 0
    model = rc.load(tmp_path / "model")
    assert isinstance(model, rc.FrameRecognizer)
    assert (model.features, model.input_size, model.symbols) == (None, 3, ["a", "b"])


def test_speakers(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--normalization", "speaker"]
    fails(train(manifest, *options), 'line 1: expected a "speaker", whose recordings', capsys)
    manifest = write_manifest(manifest.parent, speaker="anna")
    assert main(train(manifest, *options)) == 0
    assert main(train(manifest, "--normalization", "none", "--overwrite")) == 0
    assert rc.load(manifest.parent / "model").features.normalization is None


# --- transcripts --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--beam-size", "4"]])
def test_transcribe(
    options: list[str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [["low", "high"], ["high"], ["high", "low", "low"]]
    files = [str(write_wav(tmp_path / f"{k}.wav", sound(*said[k]))) for k in range(3)]
    empty = str(write_wav(tmp_path / "empty.wav", np.zeros(0)))
    assert main(["transcribe", str(trained), *files, empty, *options]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    rows = [line.split("\t") for line in printed.out.split("\n")[:-1]]
    assert rows == [
        *([f, " ".join(words)] for f, words in zip(files, said, strict=True)),
        [empty, ""],
    ]


def test_times(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(write_wav(tmp_path / "a b.wav", sound("low", "high")))
    model = rc.load(trained)
    (expected,) = model.transcribe([file])
    step = model.features.step
    assert main(["transcribe", str(trained), file, "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert (entry["audio_filepath"], entry["text"]) == (file, "low high")
    assert entry["score"] == pytest.approx(expected.score, rel=1e-4)
    for found, segment in zip(entry["segments"], expected.segments, strict=True):
        assert found["symbol"] == segment.symbol
        assert found["start"] == pytest.approx(segment.start * step)
        assert found["end"] == pytest.approx(segment.end * step)
        assert found["probability"] == pytest.approx(segment.probability, rel=1e-4)
    assert 0 < entry["segments"][0]["start"] < entry["segments"][1]["start"] < 0.6

    assert main(["transcribe", str(trained), file, "--ctm"]) == 0
    rows = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    assert [(row[0], row[1], row[4]) for row in rows] == [("a_b", "1", "low"), ("a_b", "1", "high")]
    for row, segment in zip(rows, expected.segments, strict=True):
        assert float(row[2]) == pytest.approx(segment.start * step, abs=1e-3)
        assert float(row[3]) == pytest.approx((segment.end - segment.start) * step, abs=1e-3)

    assert main(["transcribe", str(trained), file, "--textgrid", str(tmp_path)]) == 0
    lines = (tmp_path / "a b.TextGrid").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    values = [line.strip().partition(" = ") for line in lines]
    said = [value for name, _, value in values if name == "text"]
    assert [value for value in said if value != '""'] == ['"low"', '"high"']
    starts = [float(value) for name, _, value in values if name == "xmin"][2:]
    ends = [float(value) for name, _, value in values if name == "xmax"]
    assert starts == [0, *ends[2:-1]]  # the intervals have no gaps
    assert ends[0] == ends[1] == ends[-1]


def test_features_have_the_step_that_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rc.save(rc.FrameRecognizer(["a\u202e", "b"], input_size=3, rng=0), tmp_path / "model")
    np.save(tmp_path / "x.npy", np.zeros((7, 3)))
    arguments = ["transcribe", str(tmp_path / "model"), str(tmp_path / "x.npy")]
    assert main([*arguments, "--json", "--step", "0.5"]) == 0
    assert json.loads(capsys.readouterr().out)["segments"][-1]["end"] == 3.5
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["segments"][-1]["end"] == 0.07
    assert main(arguments) == 0
    assert capsys.readouterr().out.split("\t")[1] in (r"a\u202e" + "\n", "b\n")
    fails([*arguments, "--beam-size", "3"], "--beam-size: no option of a model of frame", capsys)
    fails([*arguments, "--step", "0"], "--step: expected", capsys)


# --- errors -------------------------------------------------------------------------------------


def test_lines_that_do_not_fit(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = manifest.parent
    two = np.stack([sound("low")] * 2, axis=1)
    np.save(folder / "x.npy", np.zeros((4, 3)))
    soft = write_wav(folder / "short.wav", sound("low")[:500])
    cases = {
        "two.wav": (write_wav(folder / "two.wav", two, channels=2), "of one channel, got 2"),
        "cut.wav": (truncate(write_wav(folder / "cut.wav", two[:, 0]), 99), "truncated WAV file"),
        "short.wav": (soft, "expected at least 60 steps for its 60 labels, got 6"),
        "x.npy": (folder / "x.npy", "expected a recording, as in the first line, got features"),
        "none.wav": (folder / "manifest.jsonl", "expected a recording, got a file that soundfile"),
        "slow.wav": (write_wav(folder / "slow.wav", sound("low"), 4000), "at least 8000 samples"),
    }
    first = manifest.read_text().splitlines()[0]
    for name, (path, message) in cases.items():
        text = " ".join(["low", "high"] * 30) if name == "short.wav" else "low"
        line = json.dumps({"audio_filepath": path.name, "text": text})
        (folder / "bad.jsonl").write_text(f"{first}\n\n{line}\n")
        rate = ["--rate", "8000"]
        fails(train(folder / "bad.jsonl", *rate), rf"bad\.jsonl: line 3: .*{message}", capsys)
    assert not (folder / "model").exists()
    (folder / "other.jsonl").write_text(json.dumps({"audio_filepath": "0.wav", "text": "low mid"}))
    arguments = train(manifest, "--validation", str(folder / "other.jsonl"))
    message = r"other\.jsonl: line 1: .*expected symbols that the model knows, got 'mid' at 1"
    fails(arguments, message, capsys)


def test_features_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_features(tmp_path, "a", "b", "a b")
    x = np.zeros((12, 3))
    x[5, 1] = np.nan
    np.save(tmp_path / "1.npy", x)
    message = r"line 2: .*1\.npy: expected finite numbers of float32, got nan at step 5"
    fails(train(manifest), message, capsys)
    np.save(tmp_path / "1.npy", np.zeros((12, 4)))
    fails(train(manifest), "line 2: .*expected 3 features a frame, as in the first line", capsys)
    np.save(tmp_path / "1.npy", np.zeros((0, 3)))
    fails(train(manifest), "line 2: .*expected at least 1 steps for its 1 labels, got 0", capsys)
    np.save(tmp_path / "1.npy", np.zeros((12, 3)))
    message = "--deltas: no option of manifests whose files hold features"
    fails(train(manifest, "--deltas", "1"), message, capsys)
    fails(train(manifest, "--features", "mfcc"), "--features: no option of manifests", capsys)
    fails(train(manifest, "--frame-labels"), "line 1: .*expected 12 labels, one for each", capsys)
    empty = write_features(tmp_path, "", " ")
    fails(train(empty), "expected texts, got empty ones only", capsys)


def test_transcribe_refuses(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    language_model = str(write_model(tmp_path / "lm"))
    file = str(write_wav(tmp_path / "a.wav", sound("low")))
    fails(["transcribe", language_model, file], "expected a recognizer of speech, got", capsys)
    fails(["classify", str(trained)], "expected a classifier of texts, got CTCRecognizer", capsys)
    fails(["score", str(trained)], "expected a language model with a vocabulary, got", capsys)
    model = str(trained)
    fails(["transcribe", model], "required: FILE", capsys)
    fails(["transcribe", model, str(tmp_path / "no.wav")], r"no\.wav: No such file", capsys)
    fails(
        ["transcribe", model, file, "--step", "0.01"], "--step: .* says itself that it is", capsys
    )
    fails(["transcribe", model, file, "--beam-size", "0"], "--beam-size: expected", capsys)
    fails(["transcribe", model, file, "--json", "--ctm"], "not allowed with argument", capsys)
    folder = tmp_path / "other"
    folder.mkdir()
    same = str(write_wav(folder / "a.wav", sound("low")))
    arguments = ["transcribe", model, file, same, "--textgrid", str(tmp_path)]
    fails(arguments, "--textgrid: expected files of different names, got", capsys)
    np.save(tmp_path / "x.npy", np.full((3, 60), np.nan))
    message = r"x\.npy: expected finite numbers of float32, got nan at step 0"
    fails(["transcribe", model, str(tmp_path / "x.npy")], message, capsys)
    np.save(tmp_path / "x.npy", np.zeros((3, 7)))
    fails(
        ["transcribe", model, str(tmp_path / "x.npy")], r"x\.npy: expected shape \[T, 60\]", capsys
    )
    truncate(Path(file), 100)
    fails(["transcribe", model, file], r"a\.wav: truncated WAV file", capsys)
