"""How the command ``rnncore`` fails: one line, status 2, and no trace in the files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import rnncore as rc
from commands import SMALL, command, fails, write_model, write_text
from rnncore.cli import main
from rnncore.text import CharTokenizer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["dream"], "invalid choice: 'dream'"),
        (["train", "TEXT"], "required: --out"),
        (["train", "TEXT", "--out", "OUT", "--no-such"], "unrecognized arguments: --no-such"),
        (["train", "TEXT", "--out", "OUT", "--lr", "1"], "--lr; did you mean --learning-rate?"),
        (["train", "TEXT", "--out", "OUT", "--layers=2"], "--layers; did you mean --num-layers?"),
        (["sample", "OUT", "--max-length", "1"], "--max-length; did you mean --length?"),
        (
            ["train", "TEXT", "--out", "OUT", "--epochs", "many"],
            "--epochs: invalid int value: 'many'",
        ),
        (["train", "TEXT", "--out", "OUT", "--epochs", "0"], "epochs: expected at least 1, got 0"),
        (
            ["train", "TEXT", "--out", "OUT", "--hidden-size", "-3"],
            "hidden_size: expected at least 1",
        ),
        (["train", "TEXT", "--out", "OUT", "--num-layers", "0"], "num_layers: expected at least 1"),
        (["train", "TEXT", "--out", "OUT", "--cell", "elman"], "--cell: invalid choice: 'elman'"),
        (["train", "TEXT", "--out", "OUT", "--reset", "before"], "reset: no option of cell 'lstm'"),
        (["train", "TEXT", "--out", "OUT", "--dropout", "1"], r"dropout: expected .*\[0, 1\)"),
        (["train", "TEXT", "--out", "OUT", "--dropout", "nan"], "dropout: expected"),
        (["train", "TEXT", "--out", "OUT", "--learning-rate", "-1"], "learning_rate: expected"),
        (["train", "TEXT", "--out", "OUT", "--clip-norm", "0"], "clip_norm: expected"),
        (
            ["train", "TEXT", "--out", "OUT", "--momentum", "0.9"],
            "momentum: no option of optimizer",
        ),
        (["train", "TEXT", "--out", "OUT", "--gamma", "0.9"], "gamma: no option of schedule"),
        (
            ["train", "TEXT", "--out", "OUT", "--init-scale", "1"],
            "scale: no option of initialization",
        ),
        (
            ["train", "TEXT", "--out", "OUT", "--init", "uniform", "--init-scale", "-1"],
            r"--init-scale: expected a finite number in \[0, inf\), got -1",
        ),
        (
            ["train", "TEXT", "--out", "OUT", "--init", "orthogonal", "--init-scale", "1e39"],
            "scale: expected a finite number in",
        ),
        (
            ["train", "TEXT", "--out", "OUT", "--cell", "gru", "--forget-bias", "1"],
            "forget_gate_bias: expected an LSTM with biases, got GRU",
        ),
        (
            ["train", "TEXT", "--out", "OUT", "--no-bias", "--forget-bias", "1"],
            "forget_gate_bias: expected an LSTM with biases, got LSTM",
        ),
        (
            ["train", "TEXT", "--out", "OUT", "--embedding-size", "4", "--one-hot-std", "1"],
            "one_hot_std: no option of a model with an embedding, got 1",
        ),
        (["train", "TEXT", "--out", "OUT", "--threads", "0"], "--threads: expected at least 1"),
        (["train", "TEXT", "--out", "OUT", "--threads", "9999999999"], "--threads: expected at mo"),
        (
            ["train", "TEXT", "--out", "OUT", "--clip-norm", "much"],
            "--clip-norm: expected a number or none, got 'much'",
        ),
        (["train", "TEXT", "--out", "OUT", "--one-hot-std", "-1"], "one_hot_std: expected"),
        (["train", "TEXT", "--out", "OUT", "--forget-bias", "nan"], "forget_gate_bias: expected"),
        (
            ["train", "TEXT", "--out", "OUT", "--sample-length", "9999999999999"],
            "--sample-length: 9999999999999 tokens need",
        ),
        (
            ["train", "TEXT", "--out", "OUT", "--num-layers", "9999999999"],
            "num_layers: 9999999999 layers need",
        ),
        (["train", "TEXT", "--out", ""], "path: expected a file name, got str ''"),
        (["train", "TEXT", "--out", "OUT", "--seed", "-1"], "seed: expected at least 0"),
        (
            ["train", "TEXT", "--out", "OUT", "--batch-size", "5000"],
            "expected more than batch_size = 5000 tokens",
        ),
        (["train", "TEXT", "--out", "OUT", "--hidden-size", "10000000"], "GiB|memory"),
        (["train", "TEXT", "--out", "OUT", "--sample-length", "-1"], "--sample-length"),
        (["train", "MISSING", "--out", "OUT"], "MISSING: No such file or directory"),
        (["train", "EMPTY", "--out", "OUT"], "EMPTY: expected a text, got an empty file"),
        (["train", "BINARY", "--out", "OUT"], "BINARY: expected text in UTF-8, got the byte 0xff"),
        (["train", "DIRECTORY", "--out", "OUT"], "DIRECTORY: Is a directory"),
        (["train", "TEXT", "--out", "DIRECTORY"], "DIRECTORY: Is a directory"),
        (["train", "TEXT", "--out", "DIRECTORY/new/"], "DIRECTORY/new/: Is a directory"),
        (["train", "TEXT", "--out", "DIRECTORY/no/OUT"], "OUT: No such file or directory"),
        (["train", "TEXT", "--out", "TEXT/OUT"], "OUT: Not a directory"),
        (["train", "TEXT", "--out", "TEXT"], "--out: expected another file than the text"),
        (["sample", "MISSING"], "MISSING: No such file or directory"),
        (["sample", "TEXT"], "TEXT: expected an rnncore model"),
        (["sample", "TRUNCATED"], "TRUNCATED: expected an rnncore model.*truncated"),
        (["sample", "FOREIGN"], "FOREIGN: expected an rnncore model.*another program"),
        (["sample", "LAYER"], "LAYER: expected a language model with a vocabulary, got LSTM"),
        (["sample", "OF_IDS"], "OF_IDS: expected a language model with a vocabulary"),
        (["sample", "MODEL", "--prompt", ""], "prompt: expected at least one token"),
        (["sample", "MODEL", "--prompt", "tö"], r"'ö' \(U\+00F6\) at position 1 is not in the"),
        (["sample", "MODEL", "--length", "-1"], "length: expected at least 0"),
        (["sample", "MODEL", "--temperature", "-1"], "temperature: expected"),
        (["sample", "MODEL", "--temperature", "nan"], "temperature: expected"),
        (["sample", "MODEL", "--top-k", "-1"], "top_k: expected at least 0"),
        (["sample", "MODEL", "--top-p", "0"], "top_p: expected"),
        (["sample", "MODEL", "--seed", "-1"], "--seed: expected at least 0, got -1"),
        (["score", "MODEL", "MISSING"], "MISSING: No such file or directory"),
        (["score", "MODEL", "EMPTY"], "EMPTY: expected a text, got an empty file"),
        (["score", "MODEL", "OTHER"], r"line 1: character 'ö' \(U\+00F6\) at position 3"),
        (["score", "OF_IDS", "TEXT"], "OF_IDS: expected a language model with a vocabulary"),
        (["info", "MISSING"], "MISSING: No such file or directory"),
        (["info", "TRUNCATED"], "TRUNCATED: expected an rnncore model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is overwritten, and nothing new is there."""
    work = tmp_path / "work"
    (work / "DIRECTORY").mkdir(parents=True)
    write_text(work / "TEXT")
    (work / "OTHER").write_text("be öe\n")
    (work / "EMPTY").touch()
    (work / "BINARY").write_bytes(b"to be \xff")
    (work / "OUT").write_text("precious")
    model = write_model(work / "MODEL")
    (work / "TRUNCATED").write_bytes(model.read_bytes()[:-100])
    safetensors.numpy.save_file({"weight": np.zeros(3)}, work / "FOREIGN")
    rc.save(rc.LSTM(3, 4), work / "LAYER")
    rc.save(rc.LanguageModel(5, hidden_size=4), work / "OF_IDS")
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}

    places = {p.name: str(p) for p in (*before, work / "DIRECTORY", work / "MISSING")}
    placed = [
        f"{work}/{argument}" if argument.split("/")[0] in places else argument
        for argument in arguments
    ]
    if "OUT" in arguments:
        placed.append("--overwrite")
    fails(placed, message, capsys)
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["train", "quantize"])
def test_an_existing_file(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before any work, and replaced when the option says so."""
    text, out = write_text(tmp_path / "text"), tmp_path / "out"
    out.write_text("precious")
    first = {"train": SMALL, "quantize": [str(write_model(tmp_path / "model"))]}[command]
    arguments = [command, *first, str(text), "--out", str(out)]
    fails(arguments, rf"{re.escape(str(out))}: File exists; --overwrite replaces it\n$", capsys)
    assert out.read_text() == "precious"
    assert main([*arguments, "--overwrite"]) == 0
    assert isinstance(rc.load(out), rc.LanguageModel)


def test_an_unknown_character_later_in_standard_input(tmp_path: Path) -> None:
    """The lines before it have been scored."""
    result = command("score", str(write_model(tmp_path / "model")), input="to be\nor ö\n")
    assert result.returncode == 2
    assert result.stdout.count("\n") == 2  # the header is one of them
    assert result.stderr == (
        "rnncore: error: line 2: character 'ö' (U+00F6) at position 3 is not in the "
        "vocabulary of 12 tokens\n"
    )


def test_standard_input_that_is_no_utf_8(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    with (tmp_path / "binary").open("wb+") as binary:
        binary.write(b"to be\n\xff\n")
        binary.seek(0)
        result = command("score", str(model), stdin=binary)
    assert result.returncode == 2
    assert result.stderr == (
        "rnncore: error: standard input: expected text in UTF-8, got the byte 0xff\n"
    )


def test_standard_output_that_cannot_write_the_text(tmp_path: Path) -> None:
    model = rc.LanguageModel(2, hidden_size=4, tokenizer=CharTokenizer("ö\n"))
    rc.save(model, tmp_path / "model")
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = command("sample", str(tmp_path / "model"), "--prompt", "ö", env=ascii_only)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert r"standard output: ascii has no '\xf6'" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_on_standard_output() -> None:
    run = [sys.executable, "-m", "rnncore", "info"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(run, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == ("rnncore: error: standard input or output: No space left on device\n")


@pytest.mark.parametrize("kind", ["file", "device"])
def test_a_text_that_fits_in_no_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file by its size, before it is read; a device without an end before memory is used up."""
    text = tmp_path / "text" if kind == "file" else Path("/dev/zero")
    if kind == "file":
        text.write_text("to be " * 800_000)
    elif not text.exists():
        pytest.skip("this system has no /dev/zero")
    model = write_model(tmp_path / "model")
    monkeypatch.setattr("rnncore._memory.available", lambda: 8 << 20)
    message = re.escape(f"{text}: the text would need") + ".* are available"
    for arguments in (
        ["train", str(text), "--out", str(tmp_path / "out")],
        ["score", str(model), str(text)],
    ):
        fails(arguments, message, capsys)
    assert not (tmp_path / "out").exists()


def test_nothing_on_standard_input(tmp_path: Path) -> None:
    result = command("score", str(write_model(tmp_path / "model")))
    assert result.returncode == 2
    assert result.stderr == "rnncore: error: standard input: expected a text, got nothing\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is write-protected for root")
def test_a_write_protected_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = write_text(tmp_path / "text")
    protected = tmp_path / "protected"
    protected.mkdir(mode=0o500)
    fails(["train", str(text), "--out", str(protected / "model")], "Permission denied", capsys)


def test_a_write_protected_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, out = write_text(tmp_path / "text"), write_text(tmp_path / "out")
    content = out.read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for another user than root
    arguments = ["train", str(text), "--out", str(out), "--overwrite"]
    fails(arguments, f"{re.escape(str(out))}: Permission denied", capsys)
    assert out.read_bytes() == content


def test_a_process_fails_as_the_function_does(tmp_path: Path) -> None:
    result = command("train", str(tmp_path / "missing"), "--out", str(tmp_path / "model"))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == f"rnncore: error: {tmp_path / 'missing'}: No such file or directory\n"


def test_an_unknown_instruction_set() -> None:
    result = command("info", env={**os.environ, "RNNCORE_ISA": "mmx"})
    assert result.returncode == 2
    assert result.stderr.startswith("rnncore: error: ")
    assert "mmx" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_panic_of_safetensors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class PanicException(BaseException):
        """What Rust's panics are in Python: no Exception."""

    def panic(path: str) -> None:
        raise PanicException("out of\nmemory")

    monkeypatch.setattr("rnncore.io.load", panic)
    fails(["info", "MODEL"], "^rnncore: error: out of memory$", capsys)


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["--version"], ["train", "--help"], ["score", "--help"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
        printed = capsys.readouterr()
        assert printed.out
        assert printed.err == ""
