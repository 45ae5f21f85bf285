"""Made sounds of tests: tones in WAV files."""

import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def tone(seconds: float = 0.3, rate: int = 8000, pitch: float = 440.0) -> Array:
    """A sine with a little noise, in [-1, 1]."""
    count = round(seconds * rate)
    noise = np.random.default_rng(0).standard_normal(count) * 0.01
    return 0.5 * np.sin(2 * np.pi * pitch / rate * np.arange(count)) + noise


def write_wav(
    path: Path, samples: Array, rate: int = 8000, width: int = 2, channels: int = 1
) -> Path:
    """Write samples in [-1, 1] as integers of so many bytes; several channels are [N,C]."""
    scaled = np.round(np.clip(samples, -1, 1) * (2 ** (8 * width - 1) - 1)).astype(np.int64)
    if width == 1:
        data = (scaled + 128).astype(np.uint8).tobytes()
    else:
        data = scaled.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", None))
        file.writeframes(data)
    return path


def truncate(path: Path, num_bytes: int) -> Path:
    """Cut a file, whose header still tells of all of it."""
    path.write_bytes(path.read_bytes()[:num_bytes])
    return path


def header(data_size: int, rate: int = 8000) -> bytes:
    """The beginning of a WAV file of one channel and 16 bits."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 0xFFFFFFFF)
        + b"WAVE"
        + form
        + struct.pack("<4sI", b"data", data_size)
    )
