"""The recipe of a word model, on a small text that is made here."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import rnncore as rc

RECIPE = Path(__file__).parents[2] / "recipes" / "ptb_words.py"


def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ptb_words", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sentences that are easy to learn, of fifteen words."""
    sentences = [
        f" the {noun} {verb} N times \n"
        for noun in ("cat", "dog", "bird", "fish", "fox")
        for verb in ("runs", "sleeps", "<unk>", "sings", "waits")
    ]
    for part, copies in (("train", 60), ("valid", 2)):
        (tmp_path / f"ptb.{part}.txt").write_text("".join(sentences * copies))
    return tmp_path


def test_the_recipe_learns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = folder / "model"
    arguments = [str(folder), "--width", "32", "--epochs", "25", "--out", str(model)]
    perplexity = recipe().main(arguments)
    # Of six words, the noun and the verb are one of five, and the others certain: 25 ** (1 / 6).
    assert 1.6 < perplexity < 2.2
    out = capsys.readouterr().out
    assert f"validation perplexity {perplexity:.1f} after 24.9 epochs" in out
    assert rc.load(model).tie_weights


def test_it_is_short() -> None:
    assert len(RECIPE.read_text().splitlines()) <= 80
