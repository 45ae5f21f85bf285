"""Files of pictures, of their features and of their captions."""

from __future__ import annotations

import zipfile
from typing import NamedTuple

import numpy as np

from rnncore import io
from rnncore._check import Array, describe, listed, quoted
from rnncore.cli.files import read_text
from rnncore.models import Captioner

__all__ = ["Pictures", "load_captioner", "read_captions", "read_pictures"]

_KINDS = ("features", "pictures")


class Pictures(NamedTuple):
    """What a file holds of N pictures."""

    array: Array  # features [N,I], [N,R,I] or [N,rows,columns,I], or bytes [N,H,W,C]
    captions: list[str] | None

    @property
    def are_pictures(self) -> bool:
        """Whether they are pictures themselves."""
        return self.array.dtype == np.uint8 and self.array.ndim == 4


def read_pictures(path: str) -> Pictures:
    """Return what a .npy or .npz file holds.

    A .npz holds an array called ``features`` or ``pictures``, and may hold ``captions``.

    Raises
    ------
    OSError, MemoryError
        When it cannot be read.
    ValueError
        When it is no such file, or holds something else.
    """
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return Pictures(_checked(path, found), None)
        with found:
            names = [name for name in _KINDS if name in found.files]
            if len(names) != 1:
                raise ValueError(
                    f"{path}: expected an array called features or pictures, got "
                    f"{listed(found.files)}"
                )
            array = _checked(path, found[names[0]])
            given = found["captions"] if "captions" in found.files else None
    except (EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path}: expected a .npy or .npz file, got a damaged one") from error
    except ValueError as error:
        if str(error).startswith(path):
            raise
        raise ValueError(
            f"{path}: expected a .npy or .npz file of numbers, got another ({error})"
        ) from None
    if given is None:
        return Pictures(array, None)
    if given.dtype.kind != "U" or given.ndim != 1:
        raise ValueError(f"{path}: captions: expected texts [N], got {describe(given)}")
    return Pictures(array, [str(text) for text in given])


def _checked(path: str, array: Array) -> Array:
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3, 4) or not len(array):
        raise ValueError(
            f"{path}: expected features [N, I], [N, R, I] or [N, rows, columns, I] or pictures "
            f"[N, H, W, C] of bytes, got {describe(array)}"
        )
    return array


def read_captions(path: str, num_pictures: int) -> list[list[str]]:
    """Return the captions of each picture: a line for each, several divided by tabs.

    Raises
    ------
    OSError, MemoryError, ValueError
        As `read_text`, and when there is another number of lines, or a caption is empty.
    """
    lines = read_text(path).removesuffix("\n").split("\n")
    captions = [line.split("\t") for line in lines]
    for number, texts in enumerate(captions, start=1):
        if not all(text.strip() for text in texts):
            got = quoted(lines[number - 1], 60)
            raise ValueError(f"{path}: line {number}: expected a caption, or several, got {got}")
    if len(lines) != num_pictures:
        raise ValueError(
            f"{path}: expected a line for each of {num_pictures} pictures, got {len(lines)} lines"
        )
    return captions


def load_captioner(path: str) -> Captioner:
    """Return the captioner of a file.

    Raises
    ------
    OSError, ValueError
        As `rnncore.load`, and when the model is of another kind.
    """
    model = io.load(path)
    if not isinstance(model, Captioner):
        raise ValueError(f"{path}: expected a model of task caption, got {model!r}")
    return model
