"""WAV files: whether all of one is there, and its samples where soundfile is not."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np

from rnncore._check import Array, printable

__all__ = ["read_wav", "require_whole"]

#: Size of a chunk that was written to a pipe: it ends where the file ends.
_OPEN_ENDED = 0xFFFFFFFF


def require_whole(path: Path) -> None:
    """Raise ValueError if a WAV file is shorter than it says; other files pass.

    Libraries read the samples that are there, and say nothing.
    """
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] != b"RIFF" or start[8:] != b"WAVE":
            return
        while len(head := file.read(8)) == 8:
            (size,) = struct.unpack("<I", head[4:])
            held = num_bytes - file.tell()
            if size > held and size != _OPEN_ENDED:
                raise ValueError(
                    f"{path}: truncated WAV file: expected {size} bytes in the part "
                    f"{printable(head[:4].decode('latin-1'))!r}, got {held}"
                )
            if head[:4] == b"data":
                return
            file.seek(size + size % 2, 1)
    raise ValueError(f"{path}: truncated WAV file: expected a part 'data', got none")


def read_wav(path: Path) -> tuple[Array, int]:
    """Return the samples [N,C] of a WAV file, and their rate, by Python's standard library.

    Raises
    ------
    ValueError
        If it is no WAV file of integers.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(
            f"{path}: expected a WAV file of integers, got another or a damaged one "
            f'({printable(str(error))}); pip install "rnncore[audio]" brings soundfile, which '
            "reads more formats"
        ) from None
    if width not in (1, 2, 3, 4):
        raise ValueError(f"{path}: expected samples of 1 to 4 bytes, got {width}")
    data = data[: len(data) // (width * channels) * (width * channels)]
    if width == 3:  # the upper bytes of an integer of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = wide.view("<i4")[:, 0]
    else:
        samples = np.frombuffer(data, {1: "u1", 2: "<i2", 4: "<i4"}[width])
    return samples.reshape(-1, channels), rate
