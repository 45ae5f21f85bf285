"""``rnncore rescore``."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from commands import command, fails, write_model
from rnncore.cli import main

TABS = "a\t-1.5\tto be\na\t-1.0\tnot to be\na\t-9.5\tbe or\nb\t-2.0\t\n"
MOSES = (
    "0 ||| to be ||| LM0= -3 TM0= -1 2 ||| -1.5\n0 ||| not to be ||| LM0= -4 ||| -1.0\n"
    "1 ||| be or ||| -2\n1 |||  ||| -0.25\n"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("rescore") / "model"))


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["rescore", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def log_probability(model: str, text: str) -> float:
    loaded = rc.load(model)
    return float(loaded.score(loaded.encode_line(text)).sum())


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_lines_with_tabs(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], weight: float
) -> None:
    lines = run([model, write(tmp_path / "n", TABS), "--weight", str(weight)], capsys)
    expected = []
    for key in "ab":
        own = [line.split("\t") for line in TABS.splitlines() if line.startswith(key)]
        scored = [
            ((1 - weight) * float(score) + weight * log_probability(model, text), text)
            for _, score, text in own
        ]
        expected += [f"{key}\t{s:.4f}\t{text}" for s, text in sorted(scored, reverse=True)]
    for ours, theirs in zip(lines, expected, strict=True):
        key, score, text = ours.split("\t")
        assert [key, text] == theirs.split("\t")[::2]
        assert float(score) == pytest.approx(float(theirs.split("\t")[1]), abs=2e-4)


def test_moses(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run([model, write(tmp_path / "n", MOSES), "--weight", "0.25"], capsys)
    assert [line.split(" ||| ")[0] for line in lines] == ["0", "0", "1", "1"]
    for line in lines:
        key, text, features, score = line.split(" ||| ")
        before = next(e for e in MOSES.splitlines() if e.startswith(f"{key} ||| {text} |||"))
        old = before.split("|||")
        lm = float(features.split("lm= ")[1])
        assert features.startswith(old[2].strip())
        assert float(score) == pytest.approx(0.75 * float(old[-1]) + 0.25 * lm, abs=2e-4)
        assert lm == pytest.approx(log_probability(model, text), abs=2e-4)


def test_best_and_json(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "n", TABS)
    lines = run([model, path], capsys)
    best = run([model, path, "--best"], capsys)
    assert best == [lines[0], lines[3]]
    for line, plain in zip(run([model, path, "--json"], capsys), lines, strict=True):
        entry = json.loads(line)
        key, combined, text = plain.split("\t")
        assert (entry["id"], entry["text"]) == (key, text)
        assert entry["combined"] == pytest.approx(float(combined), abs=1e-4)
        assert entry["combined"] == pytest.approx(
            (entry["score"] + entry["log_probability"]) / 2, rel=1e-9
        )


def test_ids_may_be_mixed(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = TABS.splitlines()
    mixed = "\n".join([lines[0], lines[3], *lines[1:3]])
    assert run([model, write(tmp_path / "m", mixed)], capsys) == run(
        [model, write(tmp_path / "n", TABS)], capsys
    )


def test_one_line_and_what_is_printed_can_be_read_again(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run([model, write(tmp_path / "n", "7\t-1\tto be"), "--weight", "0"], capsys)
    assert lines == ["7\t-1.0000\tto be"]
    for text in (TABS, MOSES):
        once = run([model, write(tmp_path / "n", text)], capsys)
        again = run([model, write(tmp_path / "m", "\n".join(once)), "--weight", "0"], capsys)
        assert [line.split("|||")[:2] for line in again] == [line.split("|||")[:2] for line in once]


def test_standard_input(model: str) -> None:
    done = command("rescore", model, "--best", input=TABS)
    assert done.returncode == 0
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["a", "b"]


def test_contexts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = rc.text.CharTokenizer("ab\n")
    joint = rc.LanguageModel(
        3, "gru", hidden_size=8, num_layers=1, context_size=2, tokenizer=tokenizer, rng=0
    )
    path, lists = str(tmp_path / "joint"), write(tmp_path / "n", "x\t0\tab\ny\t0\tab\nx\t0\tba")
    rc.save(joint, path)
    contexts = np.array([[3.0, -1.0], [-2.0, 5.0]])
    np.save(tmp_path / "c.npy", contexts)
    arguments = [path, lists, "--weight", "1", "--contexts", str(tmp_path / "c.npy")]
    lines = [line.split("\t") for line in run(arguments, capsys)]
    assert [line[0] for line in lines] == ["x", "x", "y"]
    for key, score, text in lines:
        ids = joint.encode_line(text)
        expected = joint.score(ids, context=contexts["xy".index(key)]).sum()
        assert float(score) == pytest.approx(expected, abs=2e-4)
    fails(["rescore", path, lists], "contexts: expected an array", capsys)
    np.save(tmp_path / "c.npy", contexts[:1])
    fails(["rescore", *arguments], "contexts: expected one for each of 2 lists", capsys)
    write(tmp_path / "c.npy", "no array")
    fails(["rescore", *arguments], "expected an array of NumPy", capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\t-1\tto be\na\tnan\tto be\n", "line 2: expected one finite number as score, got 'nan'"),
        ("a\tinf\tto be\n", "line 1: expected one finite number"),
        ("a\t-1\tto be\n\n", "line 2: expected an id, a score and a sentence"),
        ("a\t-1\n", "line 1: expected an id, a score and a sentence"),
        ("0 ||| to be\n", "line 1: expected 'id .* got 2 fields"),
        ("0 ||| to be ||| LM= -3 -4\n", "line 1: expected one finite number as score"),
        ("a\t-1\tto be\na\t-1\tqed\n", "line 2: .*q"),
    ],
)
def test_bad_lines(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    fails(["rescore", model, write(tmp_path / "n", text)], message, capsys)


def test_bad_arguments(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write(tmp_path / "n", TABS)
    fails(["rescore", model, path, "--weight", "1.5"], "--weight: expected", capsys)
    fails(["rescore", model, write(tmp_path / "e", "")], "expected a text, got an empty", capsys)
    fails(["rescore", model, str(tmp_path / "none")], "No such file", capsys)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    fails(["rescore", model], "standard input: expected n-best lists, got nothing", capsys)
    classifier: Any = rc.SequenceClassifier(num_classes=2, vocab_size=4, hidden_size=4, rng=0)
    rc.save(classifier, tmp_path / "c")
    fails(["rescore", str(tmp_path / "c"), path], "expected a language model", capsys)
