"""Manifests: lines, paths, errors by line."""

import re
from pathlib import Path

import numpy as np
import pytest

from rnncore import audio
from rnncore.audio.manifest import read_features


def write(folder: Path, *lines: str) -> Path:
    path = folder / "manifest.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    return path


def test_lines(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in ("a.wav", "é.npy"):
        (folder / name).touch()
    path = write(
        tmp_path,
        '\ufeff{"audio_filepath": "sounds/a.wav", "text": "y eh s", "duration": 1.5}',
        "",
        f'{{"audio_filepath": "{folder / "é.npy"}", "text": "", "speaker": "anna"}}\r',
    )
    first, second = audio.read_manifest(path)
    assert (first.line, first.path, first.text) == (1, folder / "a.wav", "y eh s")
    assert (first.speaker, first.has_features) == (None, False)
    assert (second.line, second.path, second.text) == (3, folder / "é.npy", "")
    assert (second.speaker, second.has_features) == ("anna", True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected a JSON object, got '{'"),
        ("[1]", "expected a JSON object, got"),
        ("[" * 100_000, "expected a JSON object"),
        ("{}", "expected 'audio_filepath', got {}"),
        ('{"text": "a"}', "expected 'audio_filepath', got 'text'"),
        ('{"audio_filepath": "a.wav"}', "expected 'text', got 'audio_filepath'"),
        ('{"audio_filepath": 3, "text": "a"}', "audio_filepath: expected a text, got int 3"),
        ('{"audio_filepath": "", "text": "a"}', "audio_filepath: expected a file name, got ''"),
        ('{"audio_filepath": "no.wav", "text": "a"}', "audio_filepath: expected a file, got 'no"),
        ('{"audio_filepath": "a.wav", "text": null}', "text: expected a text, got NoneType"),
        ('{"audio_filepath": "a.wav", "text": "", "speaker": 1}', "speaker: expected a text, got"),
    ],
)
def test_bad_lines(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    path = write(tmp_path, '{"audio_filepath": "a.wav", "text": "a"}', line)
    with pytest.raises(ValueError, match=re.escape(f"{path}: line 2: {message}")):
        audio.read_manifest(path)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a manifest, got a file without lines"):
        audio.read_manifest(write(tmp_path, "", ""))
    with pytest.raises(ValueError, match="expected a manifest in UTF-8, got the byte 0xff"):
        audio.read_manifest(write(tmp_path, "\udcff"))
    with pytest.raises(FileNotFoundError):
        audio.read_manifest(tmp_path / "absent")


def test_features_of_files(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float16)
    np.save(path, x)
    np.testing.assert_array_equal(read_features(path), x)
    whole = path.read_bytes()
    for content in (b"", whole[:50], whole[:-3], b"text"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.npy: expected features in a file of NumPy"):
            read_features(path)
    for wrong in (np.zeros(3), np.zeros((2, 2), complex), np.array([["a"]])):
        np.save(path, wrong)
        with pytest.raises(ValueError, match=r"x\.npy: expected numbers \[T, I\], got"):
            read_features(path)
    np.save(path, np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy: expected features"):
        read_features(path)
