"""Files of commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from rnncore import _files, _memory, io
from rnncore._check import quoted
from rnncore.models import LanguageModel, Seq2Seq, SequenceClassifier
from rnncore.models.recognizer import Recognizer

__all__ = [
    "add_overwrite",
    "load_classifier",
    "load_language_model",
    "load_recognizer",
    "load_translator",
    "read_labeled",
    "read_parallel",
    "read_text",
    "require_out",
    "standard_lines",
]


def read_text(path: str) -> str:
    """Return a text file in UTF-8 with its line ends as line feeds and without byte order mark.

    Raises
    ------
    OSError
        When it cannot be read.
    MemoryError
        When there is no room for it.
    ValueError
        When it is empty or not UTF-8.
    """
    with Path(path).open("rb") as file:
        data = _read(file, path)
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text in UTF-8, got the byte {error.object[error.start]:#04x} at "
            f"position {error.start}"
        ) from None
    if not text:
        raise ValueError(f"{path}: expected a text, got an empty file")
    return text


def _read(file: BinaryIO, path: str) -> bytearray:
    """Return the bytes of a file, or of a device without an end up to what memory holds."""
    chunk_size = 1 << 26
    data = bytearray()
    left = os.fstat(file.fileno()).st_size  # 0 where it is not a regular file
    while True:
        # what is left, and two copies of all: as a string, and with line feeds at its line ends
        _memory.require(max(left, 0) + 2 * (len(data) + max(left, 0)), f"{path}: the text would")
        chunk = file.read(chunk_size)
        if not chunk:
            return data
        data += chunk
        left -= len(chunk)


def standard_lines() -> Iterator[str]:
    """Yield the lines of standard input as they come, in UTF-8 like those of files.

    Raises
    ------
    ValueError
        When they are not UTF-8.
    """
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="strict", newline=None)
    try:
        yield from sys.stdin
    except UnicodeDecodeError as error:
        raise ValueError(
            f"standard input: expected text in UTF-8, got the byte {error.object[error.start]:#04x}"
        ) from None


def read_labeled(path: str) -> tuple[list[str], list[str]]:
    """Return labels and texts of a file whose lines are a label, a tab and a text.

    Raises
    ------
    OSError, MemoryError, ValueError
        As `read_text`, and when a line has no label or no tab.
    """
    labels, texts = [], []
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        label, tab, text = line.partition("\t")
        if not (label and tab):
            raise ValueError(
                f"{path}: line {number}: expected a label, a tab and a text, got {quoted(line, 60)}"
            )
        labels.append(label)
        texts.append(text)
    return labels, texts


def read_parallel(source: str, target: str) -> tuple[list[str], list[str]]:
    """Return the lines of two texts, each line of the one the translation of that of the other.

    Raises
    ------
    OSError, MemoryError, ValueError
        As `read_text`, and when one has more lines than the other, or a line is empty.
    """
    both = [read_text(path).removesuffix("\n").split("\n") for path in (source, target)]
    for path, lines in zip((source, target), both, strict=True):
        empty = [number for number, line in enumerate(lines, start=1) if not line.strip()]
        if empty:
            more = f" ({len(empty)} lines are empty)" if len(empty) > 1 else ""
            raise ValueError(f"{path}: line {empty[0]}: expected a sentence, got none{more}")
    counts = list(map(len, both))
    if counts[0] != counts[1]:
        longer = (source, target)[int(counts[1] > counts[0])]
        raise ValueError(
            f"{source}, {target}: expected a line for each line, got {counts[0]} and {counts[1]} "
            f"lines; line {min(counts) + 1} of {longer} has no counterpart"
        )
    return both[0], both[1]


def load_language_model(path: str) -> LanguageModel:
    """Return the language model of a file.

    Raises
    ------
    OSError, ValueError
        As `rnncore.load`, and when the model is of another kind or has no vocabulary.
    """
    model = io.load(path)
    if not isinstance(model, LanguageModel) or model.tokenizer is None:
        raise ValueError(f"{path}: expected a language model with a vocabulary, got {model!r}")
    return model


def load_classifier(path: str) -> SequenceClassifier:
    """Return the classifier of texts of a file.

    Raises
    ------
    OSError, ValueError
        As `rnncore.load`, and when the model is of another kind or has no vocabulary.
    """
    model = io.load(path)
    if not isinstance(model, SequenceClassifier) or model.tokenizer is None:
        raise ValueError(f"{path}: expected a classifier of texts, got {model!r}")
    return model


def load_translator(path: str) -> Seq2Seq:
    """Return the model of a file that turns texts into texts.

    Raises
    ------
    OSError, ValueError
        As `rnncore.load`, and when the model is of another kind or has no vocabularies.
    """
    model = io.load(path)
    if not isinstance(model, Seq2Seq) or None in (model.source_tokenizer, model.target_tokenizer):
        raise ValueError(f"{path}: expected a model of task translate, got {model!r}")
    return model


def load_recognizer(path: str) -> Recognizer:
    """Return the recognizer of a file.

    Raises
    ------
    OSError, ValueError
        As `rnncore.load`, and when the model is of another kind.
    """
    model = io.load(path)
    if not isinstance(model, Recognizer):
        raise ValueError(f"{path}: expected a recognizer of speech, got {model!r}")
    return model


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--overwrite`` of the commands that write a model."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the file of --out if there is one"
    )


def require_out(given: argparse.Namespace, **inputs: str | None) -> None:
    """Raise the error of writing to ``--out`` now, before long work.

    Parameters
    ----------
    given : argparse.Namespace
        With ``out`` and ``overwrite``.
    **inputs : str or None
        Files that the command reads, by what they are: none may be replaced.

    Raises
    ------
    OSError
        When it cannot be written, or exists and ``--overwrite`` is not given.
    ValueError
        When it is one of the inputs.
    """
    _files.require_writable(given.out)
    for what, file in inputs.items():
        if file is not None and os.path.exists(given.out) and os.path.samefile(file, given.out):
            raise ValueError(f"--out: expected another file than the {what}, got {given.out}")
    if not given.overwrite:
        _files.require_new(given.out, "--overwrite replaces it")
