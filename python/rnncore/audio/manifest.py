"""Manifests: files of recordings or features with what is said in them, a JSON object a line."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnncore._check import Array, describe, printable, quoted
from rnncore._files import as_path
from rnncore._keywords import strict_keywords

__all__ = ["Utterance", "read_features", "read_manifest"]


@strict_keywords()
@dataclass(frozen=True)
class Utterance:
    """A line of a manifest.

    Parameters
    ----------
    line : int
        Its number, from 1.
    path : Path
        File of the recording, or a ``.npy`` of features [T,I].
    text : str
        What is said: symbols, or characters.
    speaker : str or None
        Who says it.

    Examples
    --------
    >>> import pathlib, rnncore as rc
    >>> rc.audio.Utterance(1, pathlib.Path("yes.wav"), "y eh s").has_features
    False
    """

    line: int
    path: Path
    text: str
    speaker: str | None = None

    @property
    def has_features(self) -> bool:
        """Whether the file holds features instead of samples."""
        return self.path.suffix == ".npy"


@strict_keywords()
def read_manifest(path: str | os.PathLike[str]) -> list[Utterance]:
    r"""Read a manifest.

    Parameters
    ----------
    path : str or path
        A file of lines such as ``{"audio_filepath": "yes.wav", "text": "y eh s"}``, in UTF-8. Paths
        in it are relative to its folder. A line may have a ``"speaker"``; what else it has is left
        alone. Empty lines are passed over.

    Returns
    -------
    list of Utterance

    Raises
    ------
    OSError
        If the manifest cannot be read.
    ValueError
        If a line is no such object, or names a file that is not there, by its number; or there is
        none.

    Examples
    --------
    >>> import pathlib, tempfile, rnncore as rc
    >>> folder = tempfile.TemporaryDirectory()
    >>> manifest = pathlib.Path(folder.name, "manifest.jsonl")
    >>> _ = manifest.write_text('{"audio_filepath": "manifest.jsonl", "text": "a b"}\n')
    >>> [utterance.text for utterance in rc.audio.read_manifest(manifest)]
    ['a b']
    """
    path = as_path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected a manifest in UTF-8, got the byte "
            f"{error.object[error.start]:#04x} at position {error.start}"
        ) from None
    utterances = [
        _utterance(path, number, line)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not utterances:
        raise ValueError(f"{path}: expected a manifest, got a file without lines")
    return utterances


def _utterance(manifest: Path, number: int, line: str) -> Utterance:
    where = f"{manifest}: line {number}"
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{where}: expected a JSON object, got {quoted(line, 60)} ({printable(str(error))})"
        ) from None
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected a JSON object, got {quoted(line, 60)}")
    file, text = _text(where, entry, "audio_filepath"), _text(where, entry, "text")
    if not file or "\0" in file:
        raise ValueError(f"{where}: audio_filepath: expected a file name, got {quoted(file)}")
    speaker = _text(where, entry, "speaker") if "speaker" in entry else None
    path = manifest.parent / file
    if not path.is_file():
        raise ValueError(f"{where}: audio_filepath: expected a file, got {quoted(file)}")
    return Utterance(number, path, text, speaker)


def _text(where: str, entry: dict[str, Any], name: str) -> str:
    if name not in entry:
        raise ValueError(f"{where}: expected {name!r}, got {', '.join(map(quoted, entry)) or '{}'}")
    if not isinstance(entry[name], str):
        raise ValueError(f"{where}: {name}: expected a text, got {describe(entry[name])}")
    return str(entry[name])


def read_features(path: str | os.PathLike[str]) -> Array:
    """Return the features [T,I] of a file of NumPy.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or holds something else than numbers [T,I].
    """
    try:
        array = np.load(as_path(path), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{path}: expected features in a file of NumPy, got a truncated or another file "
            f"({printable(str(error))})"
        ) from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected numbers [T, I], got {describe(array)}")
    return array
