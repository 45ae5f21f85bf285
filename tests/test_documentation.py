"""What the documentation shows works: examples in docstrings, Python and commands of the README."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import rnncore as rc
from rnncore import cli

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
MODULES = ["rnncore", *(m.name for m in pkgutil.walk_packages(rc.__path__, "rnncore."))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", [m for m in MODULES if m != "rnncore.__main__"])
def test_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    assert len(blocks("python")) > 2
    for thing in (rc, rc.RNN, rc.LanguageModel, rc.text.CharTokenizer):
        assert ">>> " in (thing.__doc__ or "")


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.split("\n")[3])
def test_python_of_the_readme(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block runs by itself, as who copies it has it."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    if "loss" in names:
        assert names["loss"] < 0.1
    if "result" in names:
        assert names["result"].best.loss < 3
        assert "ROMEO:" in capsys.readouterr().out
    if "frozen" in names:
        assert isinstance(rc.load("lstm.safetensors"), rc.LSTM)


def test_commands_of_the_readme() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [c.strip() for line in lines for c in line.split("&&") if "rnncore " in c]
    assert len(commands) >= 4
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "rnncore"
        cli._parser().parse_args(arguments)
