"""``rnncore train --task classify`` and ``rnncore classify``."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnncore as rc
from commands import command, fails, write_model, write_text
from rnncore.cli import main
from rnncore.cli.tasks import TASKS

LINES = ["good\ta nice film", "bad\ta bad film", "good\tnice\tindeed", "bad\tbad , bad"] * 5
SMALL = ["--hidden-size", "8", "--embedding-size", "8", "--epochs", "2", "--batch-size", "4"]


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    path = tmp_path / "lines.tsv"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    labeled = folder / "lines.tsv"
    labeled.write_text("\n".join(LINES))
    out = folder / "model"
    options = ["--out", str(out), *SMALL, "--epochs", "60", "--dropout", "0"]
    assert main(["train", "--task", "classify", str(labeled), *options]) == 0
    return out


def train(labeled: Path, *options: str) -> list[str]:
    out = str(labeled.parent / "model")
    return ["train", "--task", "classify", str(labeled), "--out", out, *SMALL, *options]


# --- training -----------------------------------------------------------------------------------


def test_train(labeled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(labeled, "--cell", "gru", "--pooling", "mean", "--one-direction")) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    header, *reports, saved = printed.out.splitlines()
    # "a", "bad", "film", "nice", "indeed", "," and three special words
    assert header.startswith(f"{labeled}: 20 texts, 2 labels, 9 words. gru 1 x 8: ")
    assert len(reports) == 2
    assert all("(accuracy " in line and " sequences/s " in line for line in reports)
    assert "perplexity" not in printed.out
    assert f"saved {labeled.parent / 'model'}: validation loss" in saved
    again = rc.load(labeled.parent / "model")
    assert isinstance(again, rc.SequenceClassifier)
    assert again.labels == ["bad", "good"]
    assert (again.cell, again.pooling, again.bidirectional) == ("gru", "mean", False)
    assert again.config()["dropout"] == 0.5


@pytest.mark.parametrize(
    ("options", "vocab_size"),
    [
        (["--characters"], len(set("".join(line.split("\t", 1)[1] for line in LINES)) | {"\n"})),
        (["--bytes"], 256),
        (["--vocab-size", "5"], 5),
        (["--min-count", "6"], 7),  # "a", "bad", "film", "nice", and three special words
    ],
)
def test_vocabularies(labeled: Path, options: list[str], vocab_size: int) -> None:
    assert main(train(labeled, *options)) == 0
    assert rc.load(labeled.parent / "model").vocab_size == vocab_size


def test_the_language_model_is_the_default_task(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text")
    options = ["--hidden-size", "4", "--epochs", "1", "--bptt", "8", "--batch-size", "4"]
    for name, task in (("a", []), ("b", ["--task", "lm"])):
        assert main(["train", str(text), "--out", str(tmp_path / name), *options, *task]) == 0
    first, second = (rc.load(tmp_path / name) for name in ("a", "b"))
    np.testing.assert_array_equal(first.flat_params, second.flat_params)


def test_a_task_is_loaded_when_it_is_asked_for() -> None:
    program = (
        "import sys, rnncore.cli as cli; cli.main(['info']); "
        f"print([name for name in {list(TASKS.values())!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


# --- classify -----------------------------------------------------------------------------------


def test_classify_a_file(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    texts = ["nice film", "bad", "", "nice\tindeed"] + ["bad film"] * 2000  # several reads
    file.write_text("\n".join(texts))
    assert main(["classify", str(model), str(file)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    rows = [line.split("\t", 2) for line in printed.out.splitlines()]
    assert [text for _, _, text in rows] == texts
    loaded = rc.load(model)
    probabilities = loaded.predict_proba(texts)
    assert [label for label, _, _ in rows] == loaded.predict(texts)
    assert [label for label, _, _ in rows[:2]] == ["good", "bad"]
    shown = [float(probability) for _, probability, _ in rows]
    np.testing.assert_allclose(shown, probabilities.max(axis=1), atol=1e-4)


def test_a_label_stays_on_its_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of a stranger cannot look like rows of other lines."""
    loaded = rc.load(model)
    forged = rc.SequenceClassifier.from_config(
        {**loaded.config(), "labels": ["a\tb\nc", "\u202e"]}, loaded.assets()
    )
    forged.flat_params[:] = loaded.flat_params
    rc.save(forged, tmp_path / "forged")
    (tmp_path / "file").write_text("nice film\nbad\n")
    assert main(["classify", str(tmp_path / "forged"), str(tmp_path / "file")]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [len(row) for row in rows] == [3, 3]
    assert {row[0] for row in rows} == {r"a\tb\nc", r"\u202e"}


def test_classify_standard_input_as_json(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('nice "film"\nbäd\n'))
    assert main(["classify", str(model), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ['nice "film"', "bäd"]
    for row in rows:
        assert row["probability"] == row["probabilities"][row["label"]]
        assert sum(row["probabilities"].values()) == pytest.approx(1, rel=1e-5)


def test_lines_are_answered_as_they_come(model: Path) -> None:
    arguments = [sys.executable, "-m", "rnncore", "classify", str(model)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("nice film", "bad"):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert process.stdout.readline().endswith(f"\t{text}\n")
        process.stdin.close()
        assert process.wait(60) == 0


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good\tnice\nbad\n", r"line 2: expected a label, a tab and a text, got 'bad'"),
        ("good\tnice\n\tbad\n", r"line 2: expected a label, a tab and a text, got '\\tbad'"),
        ("good\tnice\n\nbad\tbad\n", "line 2: expected a label, a tab and a text, got ''"),
        ("good\tnice\ngood\tbad\n", "expected at least 2 different labels, got 'good'"),
        ("", "expected a text, got an empty file"),
        ("good\t\udcff\n", "expected text in UTF-8, got the byte 0xff"),
    ],
)
def test_bad_lines(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines.tsv"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    fails(train(file), f"{file}: {message}", capsys)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bptt", "3"], "unrecognized arguments: --bptt"),
        (["--pooling", "sum"], "--pooling: invalid choice: 'sum'"),
        (["--characters", "--bytes"], "not allowed with argument"),
        (["--bytes", "--lowercase"], "--lowercase: no option of --characters and --bytes"),
        (["--dropout", "1"], "dropout: expected"),
        (["--hidden", "0"], "hidden_size: expected|unrecognized arguments"),
        (["--min-count", "0"], "min_count: expected"),
        (["--threads", "0"], "--threads: expected"),
        (["--task", "dream"], "--task: invalid choice: 'dream'"),
    ],
)
def test_bad_options(
    options: list[str], message: str, labeled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(train(labeled, *options), message, capsys)


def test_the_file_is_required_and_is_not_replaced(
    labeled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(["train", "--task", "classify", "--out", "x"], "required: FILE", capsys)
    arguments = ["train", "--task", "classify", str(labeled), "--out", str(labeled)]
    fails([*arguments, "--overwrite"], "--out: expected another file than the text", capsys)


def test_classify_refuses(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    language_model = write_model(tmp_path / "lm")
    fails(["classify", str(language_model)], "expected a classifier of texts, got", capsys)
    fails(["score", str(model)], "expected a language model with a vocabulary", capsys)
    fails(["classify", str(tmp_path / "no")], "No such file", capsys)
    done = command("classify", str(model), input="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rnncore: error: standard input: expected a text, got nothing\n"


def test_an_unknown_character_is_told_with_its_line(
    labeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(labeled, "--characters")) == 0
    capsys.readouterr()
    file = tmp_path / "file"
    file.write_text("bad\nbäd\n")
    arguments = ["classify", str(labeled.parent / "model"), str(file)]
    fails(arguments, r"line 2: character 'ä' \(U\+00E4\) at position 1", capsys)
    file.write_text("bad\n" * 1500 + "bäd\n")  # in the second part that is read
    assert main(arguments) == 2
    assert "line 1501: character" in capsys.readouterr().err
