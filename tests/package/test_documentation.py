"""What the documents show works: examples in docstrings, Python, commands, links and figures."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = sorted({*PAGES, *ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("**/*.md")})
MODULES = ["rnncore", *(m.name for m in pkgutil.walk_packages(rc.__path__, "rnncore."))]


def blocks(language: str) -> list[Any]:
    """Code blocks of the README and the guide, each named after its page and first statement."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            lines = [line for line in block.split("\n") if line and "import" not in line]
            found.append(pytest.param(block, id=f"{page.stem}: {lines[0]}"))
    return found


@pytest.mark.parametrize("name", [m for m in MODULES if m != "rnncore.__main__"])
def test_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    assert len(blocks("python")) > 2
    for thing in (rc, rc.RNN, rc.LanguageModel, rc.text.CharTokenizer):
        assert ">>> " in (thing.__doc__ or "")


@pytest.mark.parametrize("block", blocks("python"))
def test_python(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block runs by itself, as who copies it has it."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    if "loss" in names:
        assert names["loss"] < 0.2
    if "result" in names:
        assert names["result"].best.loss < 7
    if "ROMEO:" in block:
        assert names["result"].best.loss < 3
        assert "ROMEO:" in capsys.readouterr().out
    if "Walker" in names:
        assert isinstance(rc.load("walker.safetensors"), names["Walker"])
        assert np.array_equal(names["places"], names["test"].targets)
    if "classifier" in names:
        assert names["classifier"].predict(["a fine film", "dull"]) == ["good", "bad"]
    if "lstm.safetensors" in block:
        assert isinstance(rc.load("lstm.safetensors"), rc.LSTM)


def test_commands() -> None:
    lines = [line for block in blocks("sh") for line in block.values[0].splitlines()]
    commands = [c.strip() for line in lines for c in line.split("&&") if "rnncore " in c]
    assert len(commands) >= 4
    for command in commands:
        program, *arguments = shlex.split(re.split(" [<>|] ", command)[0])  # the shell's own part
        assert program == "rnncore"
        cli._parser().parse_args(arguments)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """Links lead to files and headings that there are."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")) or "{" in target:
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if page.name == "page.template.md":  # its links are those of BENCHMARKS.md
            file = (ROOT / path).resolve()
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in anchors, target


def test_files_that_contributors_are_sent_to() -> None:
    """Sources that CONTRIBUTING.md names are there, by their path or its end."""
    folders = ("python", "src", "tests", "benchmarks", "recipes", "tools")
    files = [f"/{file}" for name in folders for file in (ROOT / name).rglob("*.*")]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w./-]+\.(?:py|cpp|hpp))`", text)
    assert len(names) > 50
    lost = [n for n in names if not any(file.endswith(f"/{n}") for file in files)]
    assert [n for n in lost if "NAME" not in n] == []
