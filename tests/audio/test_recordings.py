"""Recordings: what is read of files with and without soundfile, and what is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncore import audio
from sounds import header, tone, truncate, write_wav


@pytest.fixture(params=["soundfile", "wave"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read a file: the second is that of an installation without the extra."""
    if request.param == "wave":
        monkeypatch.setitem(sys.modules, "soundfile", None)
    else:
        pytest.importorskip("soundfile")
    return request.param


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_is_read(width: int, reader: str, tmp_path: Path) -> None:
    samples = tone()
    read = audio.read(write_wav(tmp_path / "a.wav", samples, 11025, width))
    assert read.rate == 11025
    assert read.samples.dtype == np.float32
    # half a step of the integers, and what 2^(8w-1) differs from 2^(8w-1) - 1
    np.testing.assert_allclose(read.samples, samples, atol=1.6 / 2 ** (8 * width - 1) + 1e-7)


def test_channels(reader: str, tmp_path: Path) -> None:
    both = np.stack([tone(), -tone(pitch=300.0)], axis=1)
    path = write_wav(tmp_path / "two.wav", both, channels=2)
    with pytest.raises(ValueError, match="expected a recording of one channel, got 2; channel=0"):
        audio.read(path)
    np.testing.assert_allclose(audio.read(path, channel=1).samples, both[:, 1], atol=1e-4)
    with pytest.raises(ValueError, match="expected channel 2, got a recording of 2"):
        audio.read(path, channel=2)
    with pytest.raises(ValueError, match="channel: expected at least 0"):
        audio.read(path, channel=-1)


@pytest.mark.parametrize("num_bytes", [20, 43, 44, 500, 4843])
def test_a_truncated_file(num_bytes: int, reader: str, tmp_path: Path) -> None:
    path = truncate(write_wav(tmp_path / "a.wav", tone()), num_bytes)
    with pytest.raises(ValueError, match=r"a\.wav: truncated WAV file: expected"):
        audio.read(path)


def test_a_file_without_samples(reader: str, tmp_path: Path) -> None:
    read = audio.read(write_wav(tmp_path / "a.wav", np.zeros(0)))
    assert read.samples.shape == (0,)
    assert read.seconds == 0


def test_a_file_from_a_pipe_ends_where_it_ends(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    path.write_bytes(header(0xFFFFFFFF) + np.arange(100, dtype="<i2").tobytes())
    np.testing.assert_allclose(audio.read(path).samples * 32768, np.arange(100))


def test_files_that_are_none(reader: str, tmp_path: Path) -> None:
    for content in (b"", b"RIFF", b"text" * 100, b"RIFF\0\0\0\0WAVE"):
        path = tmp_path / "none.wav"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"none\.wav: "):
            audio.read(path)
    with pytest.raises(FileNotFoundError):
        audio.read(tmp_path / "absent.wav")
    with pytest.raises(IsADirectoryError):
        audio.read(tmp_path)


def test_other_formats_need_soundfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile = pytest.importorskip("soundfile")
    for name, subtype in (("a.wav", "FLOAT"), ("a.flac", "PCM_16")):
        soundfile.write(str(tmp_path / name), tone(), 8000, subtype=subtype)
        assert len(audio.read(tmp_path / name).samples) == 2400
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for name in ("a.wav", "a.flac"):
        with pytest.raises(ValueError, match=r"brings soundfile, which reads more formats"):
            audio.read(tmp_path / name)


def test_a_number_that_is_none_in_a_file(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    samples = tone()
    samples[7] = np.nan
    soundfile.write(str(tmp_path / "a.wav"), samples, 8000, subtype="FLOAT")
    with pytest.raises(ValueError, match="samples: expected finite numbers, got nan at sample 7"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((4, 2)), "samples: expected shape"),
        (np.zeros(4, np.int64), "samples: expected floating numbers or integers of 8, 16 or 32"),
        (np.zeros(4, complex), "samples: expected floating"),
        ("text", "samples: expected"),
        ([0.0, np.inf], "samples: expected finite numbers, got inf at sample 1"),
    ],
)
def test_wrong_samples(samples: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        audio.Recording(samples, 8000)


def test_integers_are_scaled() -> None:
    for dtype, values in (
        ("uint8", [128, 192]),
        ("int16", [0, 1 << 14]),
        ("int32", [0, 1 << 30]),
    ):
        assert audio.Recording(np.array(values, dtype), 8000).samples.tolist() == [0, 0.5]
    for rate in (0, 1.5, 10**9):
        with pytest.raises((TypeError, ValueError), match="rate: expected"):
            audio.Recording([0.0], rate)


def test_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    recording = audio.Recording(tone(1.0, 8000), 8000)
    assert audio.resample(recording, 8000) is recording
    double = audio.resample(recording, 16000)
    assert len(double.samples) == 16000
    # the tone stays; the filter of soxr rings at the two ends
    np.testing.assert_allclose(
        double.samples[::2][500:-500], recording.samples[500:-500], atol=0.05
    )
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(ImportError, match=r'soxr: not installed; pip install "rnncore\[audio\]"'):
        audio.resample(recording, 16000)
