"""``rnncore train --task translate`` and ``rnncore translate``."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnncore as rc
from commands import command, fails, write_model
from rnncore.cli import main

WORDS = {"the": "der", "a": "ein", "dog": "hund", "cat": "kater", "sees": "sieht", "hears": "hört"}
SENTENCES = [
    f"{first} {who} {does} {second} {whom}"
    for first in ("the", "a")
    for who in ("dog", "cat")
    for does in ("sees", "hears")
    for second in ("the", "a")
    for whom in ("dog", "cat")
] * 4
SMALL = ["--hidden-size", "16", "--embedding-size", "16", "--epochs", "1", "--batch-size", "8"]
LEARNS = [
    *SMALL,
    "--epochs",
    "40",
    "--learning-rate",
    "0.01",
    "--dropout",
    "0",
    "--validation-fraction",
    "0",
]


def answer(sentence: str) -> str:
    return " ".join(WORDS.get(word, word) for word in sentence.split())


def write_pairs(folder: Path) -> list[str]:
    paths = folder / "source", folder / "target"
    paths[0].write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    paths[1].write_text("\n".join(map(answer, SENTENCES)), encoding="utf-8")
    return list(map(str, paths))


def train(folder: Path, *options: str) -> list[str]:
    out = ["--out", str(folder / "model")]
    return ["train", "--task", "translate", *write_pairs(folder), *out, *SMALL, *options]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translator")
    assert main(train(folder, *LEARNS)) == 0
    return folder / "model"


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    lines = ["the dog sees a cat", "", "a cat hears the dog"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    return monkeypatch


# --- training -----------------------------------------------------------------------------------


def test_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--context", "fixed", "--cell", "lstm", "--num-layers", "2", "--one-direction"]
    assert main(train(tmp_path, *options, "--reverse-source", "--scheduled-sampling", "0.2")) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    header, report, saved = printed.out.splitlines()
    assert "source, " in header
    assert ": 128 pairs, 9 and 9 words. lstm 2 x 16, fixed: " in header
    assert "(perplexity " in report
    assert f"saved {tmp_path / 'model'}: validation loss" in saved
    loaded = rc.load(tmp_path / "model")
    assert isinstance(loaded, rc.Seq2Seq)
    assert (loaded.cell, loaded.context, loaded.reverse_source) == ("lstm", "fixed", True)
    assert (loaded.config()["dropout"], loaded.config()["label_smoothing"]) == (0.3, 0.1)


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        (["--characters"], None),
        (["--bytes"], (256, 256)),
        (["--vocab-size", "5"], (5, 5)),
        (["--share-embeddings"], (15, 15)),
        (["--subwords", "40", "--share-embeddings"], (40, 40)),
    ],
)
def test_vocabularies(options: list[str], sizes: tuple[int, int] | None, tmp_path: Path) -> None:
    if "--subwords" in options:
        pytest.importorskip("sentencepiece")
    assert main(train(tmp_path, *options, "--context", "state")) == 0
    loaded = rc.load(tmp_path / "model")
    found = loaded.source_vocab_size, loaded.target_vocab_size
    if sizes is None:  # of both texts, with two markers
        letters = set("".join(SENTENCES) + "".join(map(answer, SENTENCES)))
        sizes = (len(letters) + 2,) * 2
    assert found == sizes
    assert isinstance(loaded.translate(SENTENCES[:1], max_length=3)[0], str)


def test_validation_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = tmp_path / "held_out"
    held_out.write_text("the dog\n")
    options = ["--validation", str(held_out), str(held_out), "--context", "state"]
    assert main(train(tmp_path, *options, "--max-tokens", "50")) == 0
    assert "validation loss" in capsys.readouterr().out


def test_the_learning_rate_is_that_of_the_task(tmp_path: Path) -> None:
    for options, rate in (([], 2e-3), (["--learning-rate", "0.5"], 0.5)):
        metrics = tmp_path / "metrics.jsonl"
        run = ["--context", "state", "--schedule", "constant", "--overwrite"]
        assert main(train(tmp_path, *run, "--metrics", str(metrics), *options)) == 0
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
        assert rows[0]["learning_rate"] == rate


def test_a_run_goes_on(tmp_path: Path) -> None:
    assert main(train(tmp_path, "--context", "state", "--resume")) == 0
    assert main(train(tmp_path, "--context", "state", "--resume")) == 0


# --- translating --------------------------------------------------------------------------------


def test_translate_standard_input(
    model: Path, text: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["translate", str(model)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out == "der hund sieht ein kater\n\nein kater hört der hund\n"


@pytest.mark.parametrize(
    "options", [[], ["--batch", "2"], ["--beam-size", "1"], ["--length-penalty", "0.6"]]
)
def test_a_file_is_translated_alike(
    options: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("\n".join(SENTENCES[:5]) + "\n\n")
    assert main(["translate", str(model), str(file), *options]) == 0
    assert capsys.readouterr().out == "\n".join(map(answer, SENTENCES[:5])) + "\n\n"


def test_json(model: Path, text: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(model), "--json", "--n-best", "3"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["source"] for row in rows] == ["the dog sees a cat", "", "a cat hears the dog"]
    assert [len(row["translations"]) for row in rows] == [3, 1, 3]
    assert rows[1]["translations"][0]["text"] == ""
    best, second, _ = rows[0]["translations"]
    assert best["text"] == "der hund sieht ein kater"
    assert best["score"] > second["score"]
    assert best["target_tokens"] == best["text"].split()
    assert np.shape(best["alignment"]) == (5, 5)
    np.testing.assert_allclose(np.sum(best["alignment"], axis=1), 1, atol=1e-3)


def test_n_best_lists(model: Path, text: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(model), "--n-best", "2"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["0", "0", "1", "2", "2"]
    assert rows[0][2] == "der hund sieht ein kater"
    assert float(rows[0][1]) > float(rows[1][1])


def test_unknown_words_are_those_that_are_attended_to(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is said of a word without translation is the word; here one that none reads."""
    loaded = rc.load(model)
    loaded.output.params["bias"][loaded.target_tokenizer.unknown] = 100
    loaded.mark_changed()
    rc.save(loaded, model.parent / "unknowing")
    for option, expected in ((["--keep-unknown"], {"<unk>"}), ([], {"the", "zebra", "sees"})):
        monkeypatch.setattr("sys.stdin", io.StringIO("the zebra sees\n"))
        arguments = ["translate", str(model.parent / "unknowing"), "--max-length", "4", *option]
        arguments += ["--beam-size", "1"]
        assert main(arguments) == 0
        words = capsys.readouterr().out.split()
        assert len(words) == 4
        assert set(words) <= expected


def test_attention_is_drawn(model: Path, text: object, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "attention.png"
    assert main(["translate", str(model), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_lines_are_answered_as_they_come(model: Path) -> None:
    arguments = [sys.executable, "-m", "rnncore", "translate", str(model)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for sentence in SENTENCES[:3]:
            process.stdin.write(f"{sentence}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{answer(sentence)}\n"


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("a\nb", "expected a line for each line, got 128 and 2 lines; line 3 of .*source has no"),
        ("a\n" * 130, "got 128 and 130 lines; line 129 of .*target has no counterpart"),
        ("a\n \nb\n\nc", r"target: line 2: expected a sentence, got none \(2 lines are empty\)"),
        ("", "target: expected a text, got an empty file"),
    ],
)
def test_bad_pairs(
    target: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = train(tmp_path)
    (tmp_path / "target").write_text(target)
    fails(arguments, message, capsys)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--characters", "--min-count", "3"], "--min-count: an option of words alone"),
        (["--context", "state", "--num-heads", "2"], "num_heads: no option of context='state'"),
        (["--max-tokens", "0"], "max_tokens: expected"),
    ],
)
def test_bad_options(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(tmp_path, *options)) == 2
    assert message in capsys.readouterr().err


def test_an_input_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = write_pairs(tmp_path)
    for out in (source, target):
        arguments = ["train", "--task", "translate", source, target, "--out", out, "--overwrite"]
        fails(arguments, "--out: expected another file than the (source|target), got", capsys)


def test_a_model_of_another_task(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(write_model(tmp_path / "other"))
    fails(["translate", other], "expected a model of task translate, got LanguageModel", capsys)
    fails(["classify", str(model)], "expected a classifier of texts, got Seq2Seq", capsys)
    fails(["score", str(model)], "expected a language model with a vocabulary, got Seq2Seq", capsys)


def test_nothing_to_translate(model: Path) -> None:
    done = command("translate", str(model), input="")
    assert done.returncode == 2
    assert "standard input: expected a text, got nothing" in done.stderr
