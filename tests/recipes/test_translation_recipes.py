"""The recipes of translation and addition, on small made data."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import rnncore as rc

RECIPES = Path(__file__).parents[2] / "recipes"


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_captions(folder: Path) -> None:
    """Sentences of five words, which are translated one by one."""
    words = {"ein": "a", "der": "the", "hund": "dog", "kater": "cat", "sieht": "sees"}
    german = [
        f"{first} {who} sieht {second} {whom}"
        for first in ("ein", "der")
        for who in ("hund", "kater")
        for second in ("ein", "der")
        for whom in ("hund", "kater")
    ]
    english = [" ".join(words[word] for word in line.split()) for line in german]
    for part, copies in (("train", 20), ("val", 1), ("test_2016_flickr", 1)):
        for code, lines in (("de", german), ("en", english)):
            text = "\n".join(lines * copies) + "\n"
            (folder / f"{part}.lc.norm.tok.{code}").write_text(text)


@pytest.mark.parametrize(("context", "least"), [("attention", 90), ("state", 30)])
def test_captions(
    context: str, least: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("sentencepiece")
    write_captions(tmp_path)
    sizes = ["--pieces", "40", "--width", "32", "--dropout", "0", "--learning-rate", "0.01"]
    out = ["--context", context, "--epochs", "30", "--out", str(tmp_path / "model")]
    bleu = recipe("multi30k").main([str(tmp_path), *sizes, *out])
    assert bleu > least
    printed = capsys.readouterr().out
    assert "320 pairs to learn from, " in printed
    assert f"BLEU {bleu:.2f} on 16 held-out pairs" in printed
    assert rc.load(tmp_path / "model").context == context


def test_addition(capsys: pytest.CaptureFixture[str]) -> None:
    exact = recipe("addition").main(
        ["--digits", "1", "--sums", "100", "--hidden-size", "16", "--epochs", "1"]
    )
    assert set(exact) == {"as written", "reversed"}
    printed = capsys.readouterr().out
    assert f"reversed: {exact['reversed']:.4f} of 10 sums exact" in printed


def test_sums_are_right_and_different() -> None:
    sums, answers = recipe("addition").make_sums(3, 1000)
    assert len(set(sums)) == len(answers) == 1000
    for text, answer in zip(sums, answers, strict=True):
        a, b = map(int, text.split("+"))
        assert str(a + b) == answer
        assert max(a, b) < 1000
