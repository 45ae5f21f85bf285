"""Recordings: samples and their rate, from files and arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore import _extras, _memory
from rnncore._check import Array, as_array, check_shape, describe, integer, printable
from rnncore._files import as_path, require_regular
from rnncore._keywords import strict_keywords
from rnncore.audio.wav import read_wav, require_whole

__all__ = ["Recording", "as_recording", "read", "resample"]

Samples = NDArray[np.float32]

#: Samples a second that any recording may have, and more.
HIGHEST_RATE = 1_000_000


@strict_keywords()
@dataclass(frozen=True)
class Recording:
    """Samples of one channel, and how many there are a second.

    Parameters
    ----------
    samples : array [N]
        Floating numbers, of which the loudest are 1 and -1; or integers of 8, 16 or 32 bits, as
        files hold them, which are divided by the largest of their type.
    rate : int
        Samples a second.

    Raises
    ------
    TypeError, ValueError
        If the samples have another type or shape, or one is not finite.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> recording = rc.audio.Recording(np.array([0, 16384], np.int16), rate=8000)
    >>> recording.samples.tolist(), recording.seconds
    ([0.0, 0.5], 0.00025)
    """

    samples: Samples
    rate: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", integer("rate", self.rate, 1, HIGHEST_RATE))
        object.__setattr__(self, "samples", as_samples("samples", self.samples))

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.rate


def as_samples(name: str, value: ArrayLike) -> Samples:
    """Return samples [N] as float32.

    Raises
    ------
    TypeError, ValueError
        If they have another type or shape, or one is not finite.
    """
    array = as_array(name, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.float32)
    check_shape(name, array, ("N",))
    scale, middle = _SCALES.get(array.dtype.name, (1, 0))
    if array.dtype.kind != "f" and array.dtype.name not in _SCALES:
        raise TypeError(
            f"{name}: expected floating numbers or integers of 8, 16 or 32 bits, got "
            f"{describe(value)}"
        )
    samples: Samples = array.astype(np.float32)
    if scale != 1:
        samples -= middle
        samples /= scale
    outside = np.flatnonzero(~np.isfinite(samples))
    if outside.size:
        at = int(outside[0])
        raise ValueError(f"{name}: expected finite numbers, got {samples[at]} at sample {at}")
    return samples


# What one is in each type of a file, and zero. WAV has no other integers: 24 bits come as 32.
_SCALES = {"uint8": (128, 128), "int16": (1 << 15, 0), "int32": (1 << 31, 0)}


@strict_keywords()
def read(path: str | os.PathLike[str], *, channel: int | None = None) -> Recording:
    """Read a recording.

    soundfile reads WAV, FLAC and other formats. Without it the module `wave` of Python's standard
    library reads WAV with integers of 8, 16, 24 or 32 bits.

    Parameters
    ----------
    path : str or path
        The file.
    channel : int or None
        Which of several channels is read, counted from 0. None: the file must have one.

    Returns
    -------
    Recording
        In the rate of the file. A file without samples is a recording of length 0.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is truncated or damaged, of an unknown format, has several channels and none is
        chosen, or does not have the one that is.
    MemoryError
        If the samples do not fit in memory.

    Examples
    --------
    >>> import pathlib, tempfile, wave, rnncore as rc
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "tone.wav")
    >>> with wave.open(str(path), "wb") as file:
    ...     file.setparams((1, 2, 8000, 0, "NONE", None))  # channels, bytes, rate
    ...     file.writeframes(bytes(1600))
    >>> rc.audio.read(path).seconds
    0.1
    """
    path = as_path(path)
    num_bytes = require_regular(path).st_size
    require_whole(path)
    _memory.require(12 * num_bytes, f"{path}: the samples")  # float32 of bytes, and a copy
    samples, rate = _read_all(path)
    return Recording(_channel(path, samples, channel), rate)


def _read_all(path: Path) -> tuple[Array, int]:
    """Return the samples [N,C] of a file as they are, and their rate."""
    try:
        soundfile = _extras.library("soundfile", "audio")
    except (ImportError, OSError):  # OSError: without its own library
        return read_wav(path)
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"{path}: expected a recording, got a file that soundfile does not read "
            f"({printable(str(error.error_string))})"
        ) from None
    return samples, rate


def _channel(path: Path, samples: Array, channel: int | None) -> Array:
    """Return one channel of samples [N,C]."""
    count = samples.shape[1]
    if channel is None:
        if count != 1:
            raise ValueError(
                f"{path}: expected a recording of one channel, got {count}; channel=0 takes the "
                "first"
            )
        channel = 0
    if integer("channel", channel, 0) >= count:
        raise ValueError(f"{path}: expected channel {channel}, got a recording of {count}")
    return samples[:, channel]


def as_recording(
    name: str, value: Any, rate: int | None = None, channel: int | None = None
) -> Recording:
    """Return a recording, the path of one, or samples [N] of a known rate as a recording.

    Errors call it ``name``, or by its path.
    """
    if isinstance(value, Recording):
        return value
    if isinstance(value, str | os.PathLike):
        return read(value, channel=channel)
    if rate is None:
        raise TypeError(f"{name}: expected a Recording or the path of one, got {describe(value)}")
    return Recording(as_samples(name, value), rate)


@strict_keywords()
def resample(recording: Recording, rate: int) -> Recording:
    """Return the same sound with another number of samples a second, by soxr.

    Parameters
    ----------
    recording : Recording
        What is converted.
    rate : int
        Samples a second of the result. A higher rate adds no higher tones.

    Raises
    ------
    ImportError
        If soxr is not installed and the rates differ.
    TypeError, ValueError
        If the rate is no positive number.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> recording = rc.audio.Recording(np.zeros(800), rate=8000)
    >>> len(rc.audio.resample(recording, 16000).samples)
    1600
    """
    rate = integer("rate", rate, 1, HIGHEST_RATE)
    if rate == recording.rate:
        return recording
    soxr = _extras.library("soxr", "audio")
    return Recording(soxr.resample(recording.samples, recording.rate, rate), rate)
