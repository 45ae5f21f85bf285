"""Commands with their defaults, whatever the characters of the model's text."""

import re
from pathlib import Path

import pytest

import rnncore as rc
from commands import SMALL
from rnncore.cli import main
from rnncore.text import CharTokenizer, WordTokenizer


def write_model(path: Path, vocabulary: str) -> str:
    tokenizer = CharTokenizer(vocabulary)
    model = rc.LanguageModel(tokenizer.vocab_size, hidden_size=4, tokenizer=tokenizer, rng=0)
    rc.save(model, path)
    return str(path)


@pytest.mark.parametrize(("vocabulary", "begins"), [("ab\n", "\n"), ("ab ", " "), ("ab", "[ab]")])
def test_sample_without_prompt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], vocabulary: str, begins: str
) -> None:
    """It begins with a line feed, else a space, else a character that the seed draws."""
    model = write_model(tmp_path / "model", vocabulary)
    written = []
    for seed in (0, 0, *range(1, 12)):
        assert main(["sample", model, "--length", "5", "--seed", str(seed)]) == 0
        written.append(capsys.readouterr().out)
    assert all(re.match(begins, text) and len(text) == 1 + 5 + 1 for text in written)
    assert written[0] == written[1]
    assert len({text[0] for text in written}) == (2 if "[" in begins else 1)


def test_quantize_without_text_measures_nothing_where_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = write_model(tmp_path / "model", "ab"), tmp_path / "out"
    assert main(["quantize", model, "--out", str(out)]) == 0
    first, *sizes = capsys.readouterr().out.splitlines()
    assert first.startswith("loss not measured: the embedded text of Shakespeare: character ")
    assert first.endswith("; give a FILE to measure it on")
    assert len(sizes) == 2
    assert rc.load(out).weight_format == "int8_dynamic"


def test_quantize_a_model_of_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nearly all words of the embedded text would be unknown: it measures nothing."""
    tokenizer = WordTokenizer.fit("to be or not to be")
    model = rc.LanguageModel(tokenizer.vocab_size, hidden_size=4, tokenizer=tokenizer, rng=0)
    path, out, text = (str(tmp_path / name) for name in ("model", "out", "text"))
    rc.save(model, path)
    assert main(["quantize", path, "--out", out]) == 0
    assert "suits models of characters, not words; give a FILE" in capsys.readouterr().out
    Path(text).write_text("to be", encoding="utf-8")
    assert main(["quantize", path, text]) == 0
    assert "loss on 2 words" in capsys.readouterr().out


def test_quantize_without_anything_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", write_model(tmp_path / "model", "ab")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "the embedded text of Shakespeare: character" in printed.err
    assert "give a FILE to measure the loss on, or --out" in printed.err


def test_sentences_of_one_line_are_all_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be\n")
    assert main(["train", str(text), "--out", str(tmp_path / "out"), "--sentences", *SMALL]) == 2
    error = capsys.readouterr().err
    assert "sentences: expected at least 2, one to learn from and one to hold out, got 1" in error
    assert "validation_fraction" in error
