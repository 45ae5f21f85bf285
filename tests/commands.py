"""The command ``rnncore`` in tests: a text, a model, and a process of its own."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rnncore as rc
from rnncore.cli import main
from rnncore.text import CharTokenizer

TEXT = "".join(f"{a} {b}.\n" for a in ("to be", "not to be", "be") for b in ("or", "and", "so")) * 9
SMALL = ["--hidden-size", "12", "--num-layers", "1", "--epochs", "2", "--batch-size", "4"]


def write_text(path: Path) -> Path:
    path.write_text(TEXT)
    return path


def write_model(path: Path) -> Path:
    """An untrained model of the text."""
    tokenizer = CharTokenizer.fit(TEXT)
    rc.save(
        rc.LanguageModel(tokenizer.vocab_size, "gru", hidden_size=16, tokenizer=tokenizer, rng=0),
        path,
    )
    return path


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "rnncore", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **({} if "input" in options else {"stdin": subprocess.DEVNULL}) | options,
    )


def fails(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, one line on standard error, nothing on standard output."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("rnncore: error: ")
    assert printed.err.count("\n") == 1
    assert printed.err.endswith("\n")
    assert re.search(message, printed.err), printed.err
