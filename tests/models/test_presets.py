"""Presets: the sizes that Python and the command line take by the same names."""

from pathlib import Path

import pytest

import rnncore as rc
from rnncore.cli import main
from rnncore.models import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_and_python_make_the_same_model(name: str, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("to be, or not to be\n" * 100)
    out = tmp_path / "model"
    options = ["--preset", name, "--epochs", "1", "--hidden-size", "8", "--sample-length", "0"]
    assert main(["train", str(text), "--out", str(out), *options]) == 0
    trained = rc.load(out)
    model = rc.LanguageModel.from_preset(
        name, trained.vocab_size, hidden_size=8, tokenizer=trained.tokenizer
    )
    assert trained.config() == model.config()


def test_a_preset_is_one_of_those_known() -> None:
    with pytest.raises(ValueError, match=r"name: expected one of \['characters', 'tutorial'\]"):
        rc.LanguageModel.from_preset("words", 10)
