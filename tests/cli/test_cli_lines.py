"""Lines of standard input, and options of one task that another does not take."""

import io
import json
import sys
from pathlib import Path

import pytest

import rnncore as rc
from rnncore.cli import main
from rnncore.text import CharTokenizer


@pytest.mark.parametrize("vocabulary", ["\nab", " ab", "ab"])
def test_empty_lines_are_continued_as_without_a_prompt(
    vocabulary: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = rc.LanguageModel(
        len(vocabulary), hidden_size=4, tokenizer=CharTokenizer(vocabulary), rng=0
    )
    rc.save(model, tmp_path / "model")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n\nb\n"))
    command = ["sample", str(tmp_path / "model"), "--stdin", "--json", "--length", "3"]
    assert main([*command, "--seed", "0"]) == 0
    prompts = [json.loads(line)["prompt"] for line in capsys.readouterr().out.splitlines()]
    assert (prompts[0], prompts[2]) == ("a", "b")
    assert prompts[1] in vocabulary
    assert prompts[1] == vocabulary[0] or vocabulary == "ab"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "train --task classify x --out y --sentences",
            "unrecognized arguments: --sentences; see rnncore train --task classify --help",
        ),
        ("train x --out y --zzzzz", "unrecognized arguments: --zzzzz; see rnncore train --help"),
        ("train x --out y z", "unrecognized arguments: z; see rnncore train --help"),
        ("info --zzzzz", "unrecognized arguments: --zzzzz; see rnncore info --help"),
    ],
)
def test_errors_name_the_help_of_their_command(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    assert message in capsys.readouterr().err
